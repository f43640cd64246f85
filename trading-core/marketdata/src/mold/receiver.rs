//! Puts the messages of a MoldUDP64 session in order, from two lines and a retransmission server.
//!
//! ```text
//!   line A ─┐          ┌─ next number ──► sink(message)
//!   line B ─┼─► read ──┼─ later ──► waits ─► Request … ─► too long ─► Lost
//!   again ──┘          └─ earlier ─► duplicate
//! ```

use super::frame::{Block, Contents, FrameError, Packet, Request, Session};
use crate::time::Monotonic;
use std::collections::BTreeMap;

/// How a receiver works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// Time for the other line before messages are asked for again, in microseconds; and between two
    /// requests for the same ones.
    pub request_wait_us: u64,
    /// Requests for the same messages; then they are lost.
    pub requests_max: u32,
    /// Messages that wait behind a hole; further ones are dropped and asked for in their turn.
    pub waiting_max: usize,
    /// Messages that one request asks for.
    pub request_count_max: u16,
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self {
            request_wait_us: 10_000,
            requests_max: 5,
            waiting_max: 65_536,
            request_count_max: 1_000,
        }
    }
}

/// What a packet or the passing of time caused, beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this to the retransmission server.
    Ask(Request),
    /// Messages are lost for good: what is built on them is wrong from here on.
    Lost {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Another session began; numbers count from 1 again.
    SessionBegan(Session),
    /// The session ended and all its messages have come or are lost.
    SessionEnded(Session),
}

/// What a receiver counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverCounts {
    /// Packets that came.
    pub packets: u64,
    /// Messages handed on, in order.
    pub messages: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Packets that could not be read.
    pub malformed: u64,
    /// Packets of a session that ended.
    pub old_session: u64,
    /// Holes that appeared.
    pub gaps: u64,
    /// Requests for retransmission.
    pub requests: u64,
    /// Messages lost for good.
    pub lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    first: u64,
    asked_or_seen: Monotonic,
    requests: u32,
}

/// One session's receiver, from its first message on.
#[derive(Clone, Debug)]
pub struct Receiver {
    settings: ReceiverSettings,
    session: Option<Session>,
    ended: Vec<Session>,
    next: u64,
    /// The number behind the last message known to have been sent.
    announced: u64,
    ends_at: Option<u64>,
    waiting: BTreeMap<u64, Box<[u8]>>,
    hole: Option<Hole>,
    counts: ReceiverCounts,
}

/// Ended sessions that are remembered, so that a late packet does not begin one again.
const ENDED_MAX: usize = 16;

impl Receiver {
    /// A receiver that follows the first session it hears, from message 1.
    #[must_use]
    pub fn new(settings: ReceiverSettings) -> Self {
        Self {
            settings,
            session: None,
            ended: Vec::new(),
            next: 1,
            announced: 1,
            ends_at: None,
            waiting: BTreeMap::new(),
            hole: None,
            counts: ReceiverCounts::default(),
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> ReceiverCounts {
        self.counts
    }

    /// Whether all messages known of have been handed on.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.next >= self.announced
    }

    /// Takes a packet in; messages go to `sink` in the order of their numbers, each once. A message
    /// that need not wait is handed on where it lies: nothing is copied.
    ///
    /// # Errors
    /// [`FrameError`] when it cannot be read; it is counted and changes nothing.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now: Monotonic,
        sink: &mut impl FnMut(Block<'_>),
        effects: &mut Vec<Effect>,
    ) -> Result<(), FrameError> {
        self.counts.packets += 1;
        let packet = Packet::read(bytes).inspect_err(|_| self.counts.malformed += 1)?;
        if !self.follow(packet.session, effects) {
            self.counts.old_session += 1;
            return Ok(());
        }
        match packet.contents {
            Contents::Messages(blocks) => blocks.for_each(|block| self.message(block, sink)),
            Contents::Heartbeat => self.announced = self.announced.max(packet.sequence),
            Contents::EndOfSession => {
                self.announced = self.announced.max(packet.sequence);
                self.ends_at = Some(self.announced);
            }
        }
        self.settle(now, effects);
        Ok(())
    }

    /// Lets time pass: asks again for what is missing, and gives it up at last.
    pub fn tick(
        &mut self,
        now: Monotonic,
        sink: &mut impl FnMut(Block<'_>),
        effects: &mut Vec<Effect>,
    ) {
        let Some(hole) = self.hole else { return };
        if now.since_us(hole.asked_or_seen) < self.settings.request_wait_us {
            return;
        }
        if hole.requests >= self.settings.requests_max {
            self.give_up(sink, effects);
            self.settle(now, effects);
            return;
        }
        if let Some(session) = self.session {
            let count = u16::try_from(self.hole_end() - self.next).unwrap_or(u16::MAX);
            self.counts.requests += 1;
            effects.push(Effect::Ask(Request {
                session,
                sequence: self.next,
                count: count.min(self.settings.request_count_max),
            }));
        }
        self.hole = Some(Hole {
            asked_or_seen: now,
            requests: hole.requests + 1,
            ..hole
        });
    }

    /// When [`Receiver::tick`] has something to do.
    #[must_use]
    pub fn next_tick(&self) -> Option<Monotonic> {
        self.hole
            .map(|hole| hole.asked_or_seen.after_us(self.settings.request_wait_us))
    }

    fn follow(&mut self, session: Session, effects: &mut Vec<Effect>) -> bool {
        if self.session == Some(session) {
            return true;
        }
        if self.ended.contains(&session) {
            return false;
        }
        if let Some(before) = self.session.replace(session) {
            self.remember(before);
        }
        self.next = 1;
        self.announced = 1;
        self.ends_at = None;
        self.waiting.clear();
        self.hole = None;
        effects.push(Effect::SessionBegan(session));
        true
    }

    fn remember(&mut self, ended: Session) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.remove(0);
        }
        self.ended.push(ended);
    }

    #[inline]
    fn message(&mut self, block: Block<'_>, sink: &mut impl FnMut(Block<'_>)) {
        self.announced = self.announced.max(block.sequence + 1);
        if block.sequence == self.next {
            self.next += 1;
            self.counts.messages += 1;
            sink(block);
            if !self.waiting.is_empty() {
                self.hand_on(sink);
            }
        } else if block.sequence < self.next || self.waiting.contains_key(&block.sequence) {
            self.counts.duplicates += 1;
        } else if self.waiting.len() < self.settings.waiting_max {
            self.waiting.insert(block.sequence, block.bytes.into());
        }
        // Beyond the bound the message is dropped here, stays announced, and is asked for again.
    }

    fn hand_on(&mut self, sink: &mut impl FnMut(Block<'_>)) {
        while let Some(bytes) = self.waiting.remove(&self.next) {
            let sequence = self.next;
            self.next += 1;
            self.counts.messages += 1;
            // Where it lay in its packet is not known any more.
            let (offset, bytes) = (0, &*bytes);
            sink(Block {
                sequence,
                offset,
                bytes,
            });
        }
    }

    /// The first number behind the hole.
    fn hole_end(&self) -> u64 {
        self.waiting.keys().next().map_or(self.announced, |at| *at)
    }

    fn give_up(&mut self, sink: &mut impl FnMut(Block<'_>), effects: &mut Vec<Effect>) {
        let (first, end) = (self.next, self.hole_end());
        self.counts.lost = self.counts.lost.saturating_add(end - first);
        effects.push(Effect::Lost {
            first,
            last: end - 1,
        });
        self.next = end;
        self.hole = None;
        self.hand_on(sink);
    }

    /// Notes a hole where there is one, and the end of the session where all has come.
    fn settle(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        if self.is_in_step() {
            self.hole = None;
        } else if self.hole.is_none_or(|hole| hole.first != self.next) {
            // Another hole than before: it has its own time and its own requests.
            self.counts.gaps += 1;
            self.hole = Some(Hole {
                first: self.next,
                asked_or_seen: now,
                requests: 0,
            });
        }
        if let (Some(end), Some(session)) = (self.ends_at, self.session)
            && self.next >= end
        {
            self.remember(session);
            self.session = None;
            self.ends_at = None;
            effects.push(Effect::SessionEnded(session));
        }
    }
}
