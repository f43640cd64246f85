//! One recall: messages that are no longer kept, given again out of the log.
//!
//! ```text
//!   asked for: 1 … 900, kept from 400 on
//!      1 … 399: places ─► the log is read again behind the first one ─► copy by copy, its number
//!               what the log does not give ─► gap fill, told at the end
//!    400 … 900: as they are kept
//! ```

use crate::places::position;
use crate::{Copy, Position};
use fix::Place;
use fix::session::Now;
use std::collections::VecDeque;
use types::LogIndex;

/// A recall to which the log gave nothing for so long ends the session, in milliseconds: nothing is
/// gap-filled that may only be out of reach for now.
pub(crate) const RECALL_MS_MAX: u64 = 30_000;

#[derive(Clone, Debug)]
pub(crate) struct Recall {
    /// Tells this recall from those before it.
    pub number: u64,
    /// The next message to be given.
    pub next: u64,
    /// The last one asked for.
    pub last: u64,
    /// What the log is read for, in its order.
    wanted: VecDeque<Place>,
    /// Where the log is read from.
    pub after: Position,
    /// Messages that the log did not give.
    pub missing: u64,
    /// When it went on last.
    pub progress_ms: u64,
}

impl Recall {
    pub(crate) fn new(
        number: u64,
        (first, last): (u64, u64),
        wanted: Vec<Place>,
        too_old: u64,
        now: Now,
    ) -> Self {
        let after = wanted.first().map(|first| Position {
            message: first.message.saturating_sub(1),
            ..position(first)
        });
        Self {
            number,
            next: first,
            last,
            wanted: wanted.into(),
            after: after.unwrap_or_default(),
            missing: (too_old + 1).saturating_sub(first),
            progress_ms: now.ms,
        }
    }

    /// The place that a copy of the log belongs to, if it is wanted. Those before it will not come.
    pub(crate) fn take(&mut self, copy: &Copy, now: Now) -> Option<Place> {
        self.progress_ms = now.ms;
        while let Some(first) = self.wanted.front()
            && position(first) < copy.position
        {
            self.wanted.pop_front();
            self.missing += 1;
        }
        let is_wanted = (self.wanted.front()).is_some_and(|it| position(it) == copy.position);
        self.wanted.pop_front_if(|_| is_wanted)
    }

    /// The log has been read up to and with this entry: what was wanted of it and did not come will
    /// not.
    pub(crate) fn read_until(&mut self, index: LogIndex, now: Now) {
        self.progress_ms = now.ms;
        while self.wanted.front().is_some_and(|it| it.index <= index) {
            self.wanted.pop_front();
            self.missing += 1;
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.wanted.is_empty()
    }
}
