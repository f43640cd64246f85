//! Drop copy: what happened to the orders of a set of accounts, read out of the committed log.
//!
//! ```text
//!   snapshot? ─┐                         ┌─ of other accounts, or told before: dropped
//!              ├─► engine::State ─► events
//!   entries ───┘                         └─► Copy: position, account, ExecutionReport
//! ```
//!
//! The log is the truth and the engine the one who reads it, so a drop copy cannot differ from what
//! the trading sessions were told, and needs nothing of the leader: any replica's committed log does.
//!
//! # Positions
//! A [`Position`] is a place in the log, the same on every replica and for ever. Who keeps the
//! position of the last copy that it has passed on, and begins there again, gets each copy once; the
//! `ExecID`s, the same as the trading session's, tell a copy that comes twice.
//!
//! [`Desk`] is the FIX session over it.

mod desk;
mod places;
mod recall;

pub use desk::{Desk, DeskOptions};

use engine::{EntryContext, SnapshotError, StaleEntry, State};
use fix::orders::{Entered, Orders};
use fix::report::{execution, execution_report};
use fix::write::Body;
use fix::{Happened, Told};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{
    AccountId, CodecError, Command, Epoch, Event, LogIndex, Outbound, Request, decode_batch,
};

/// A place in the log: behind an event of an entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The entry.
    pub index: LogIndex,
    /// Which of the entry's messages to sessions, from 1; 0 before the first.
    pub message: u32,
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where to go on after it.
    pub position: Position,
    /// Whose order.
    pub account: AccountId,
    /// The body of an `ExecutionReport`.
    pub report: Body,
}

/// Why a log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Entries are missing.
    #[error(
        "failed to read the log: entry {found} follows entry {last}: ask for the log from {next} on",
        next = last.0 + 1
    )]
    Gap {
        /// The last entry read.
        last: LogIndex,
        /// The one that came.
        found: LogIndex,
    },
    /// An entry cannot be read.
    #[error("failed to read entry {index}: {source}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// Why.
        source: CodecError,
    },
    /// Epochs go back.
    #[error(transparent)]
    Stale(#[from] StaleEntry),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// A reader of one shard's committed log.
#[derive(Debug)]
pub struct Reader {
    state: State,
    last_index: LogIndex,
    accounts: BTreeSet<AccountId>,
    /// Copies up to here have been passed on.
    after: Position,
    orders: BTreeMap<AccountId, Orders>,
    untold: u64,
    events: Vec<Event>,
}

impl Reader {
    /// A reader at the beginning of the log, for these accounts, that passes on what comes after
    /// `after`. To go on after a restart the log is read from its beginning, or from the snapshot that
    /// it begins with, for what is told of an order needs what came before.
    #[must_use]
    pub fn new(accounts: impl IntoIterator<Item = AccountId>, after: Position) -> Self {
        Self {
            state: State::new(),
            last_index: LogIndex(0),
            accounts: accounts.into_iter().collect(),
            after,
            orders: BTreeMap::new(),
            untold: 0,
            events: Vec::new(),
        }
    }

    /// Takes the snapshot that a log begins with. Gives back how many entries after the reader's
    /// position are inside it: their copies cannot be made any more, and whoever receives them must
    /// be told.
    ///
    /// # Errors
    /// [`ReadError::Snapshot`] when it cannot be read.
    pub fn snapshot(&mut self, index: LogIndex, state: &[u8]) -> Result<u64, ReadError> {
        self.state = State::restore(state)?;
        self.last_index = index;
        self.orders.clear();
        let hidden = index.0.saturating_sub(self.after.index.0);
        Ok(hidden)
    }

    /// Reads the next entry and appends the copies that it gives; an empty one is a leader's opening
    /// entry.
    ///
    /// # Errors
    /// [`ReadError`]; nothing was read.
    pub fn entry(
        &mut self,
        index: LogIndex,
        epoch: Epoch,
        batch: &[u8],
        copies: &mut Vec<Copy>,
    ) -> Result<(), ReadError> {
        if index.0 != self.last_index.0 + 1 {
            return Err(ReadError::Gap {
                last: self.last_index,
                found: index,
            });
        }
        if batch.is_empty() {
            self.last_index = index;
            return Ok(());
        }
        let batch = decode_batch(batch).map_err(|source| ReadError::Entry { index, source })?;
        let context = EntryContext {
            epoch,
            index,
            leader_time: batch.leader_time,
        };
        self.state.admit(context)?;
        self.last_index = index;
        let mut message = 0;
        for command in &batch.commands {
            let mut events = std::mem::take(&mut self.events);
            events.clear();
            self.state.apply(context, command, &mut events);
            for event in &events {
                let Event::ToSession(outbound) = event else {
                    continue;
                };
                message += 1;
                let position = Position { index, message };
                copies.extend(self.copy(context, position, command, outbound));
            }
            self.events = events;
        }
        Ok(())
    }

    fn copy(
        &mut self,
        context: EntryContext,
        position: Position,
        command: &Command,
        outbound: &Outbound,
    ) -> Option<Copy> {
        let account = self.state.account_of_session(outbound.session)?;
        if !self.accounts.contains(&account) {
            return None;
        }
        let answered = answered(command, outbound);
        let orders = self.orders.entry(account).or_default();
        if let Some(entered) = &answered {
            orders.entered(entered);
        }
        let told = Told::from(outbound);
        let order = orders.happened(&told.happened, answered.as_ref());
        if position <= self.after {
            return None;
        }
        let execution = execution(outbound.session, &told, answered.as_ref())?;
        let Some(order) = order else {
            // Rejects of cancels are no executions; the rest is of orders inside a snapshot.
            if !matches!(told.happened, Happened::Rejected { .. }) {
                self.untold += 1;
            }
            return None;
        };
        self.after = position;
        Some(Copy {
            position,
            account,
            report: execution_report(&order, account, execution, context.leader_time),
        })
    }

    /// The last entry read: the log is asked for from the next one on.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// Where to go on after the last copy.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }

    /// Messages about orders that were entered before the snapshot that the log began with: what FIX
    /// wants told of them is not known.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.untold
    }
}

/// What a message answers, as a FIX counterparty would have asked it. A cancel has no id of its own in
/// the core, so it goes by the order's.
fn answered(command: &Command, outbound: &Outbound) -> Option<Entered> {
    let Command::Client(client) = command else {
        return None;
    };
    if client.session != outbound.session || outbound.in_reply_to != Some(client.client_seq) {
        return None;
    }
    match &client.request {
        Request::New(new) => Some(Entered::New(*new)),
        Request::Replace {
            original,
            replacement,
            price,
            quantity,
        } => Some(Entered::Replace {
            original: *original,
            replacement: *replacement,
            price: *price,
            quantity: *quantity,
        }),
        Request::Cancel { .. } | Request::MassCancel { .. } | Request::Status { .. } => None,
    }
}

#[cfg(test)]
mod tests;
