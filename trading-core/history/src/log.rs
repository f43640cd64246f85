//! The promoted log, replayed: what took effect, and what each session was told.
//!
//! ```text
//!   snapshot? ─┐
//!              ├─► engine::State ─► requests by (session, number)
//!   entries ───┘                 └► messages by (session, number)
//! ```

use crate::SeenMessage;
use engine::{EntryContext, Limits, SnapshotError, StaleEntry, State};
use std::collections::HashMap;
use types::{
    AccountId, ClOrdId, ClientSeq, CodecError, Command, Epoch, Event, LogIndex, LogSeq, OutSeq,
    Outbound, Report, Request, SessionId, decode_batch,
};

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An entry is missing.
    #[error("failed to replay the log: entry {found} follows entry {last}")]
    Gap {
        /// The last entry replayed.
        last: LogIndex,
        /// The one that came.
        found: LogIndex,
    },
    /// An entry cannot be read.
    #[error("failed to replay entry {index}: {source}")]
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
    /// The replay does not lead to the state that the replica has.
    #[error("the log up to entry {index} leads to state {found}, and the replica says {expected}")]
    OtherState {
        /// The last entry.
        index: LogIndex,
        /// What the replay came to.
        found: String,
        /// What the replica says.
        expected: String,
    },
}

/// One request that took effect (a reject is an effect).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub request: Request,
    /// The first message that answers it.
    pub answer: OutSeq,
    /// How many commands of the log had it take effect; more than 1 must not be.
    pub times: u32,
}

/// A log that has been replayed.
#[derive(Debug)]
pub struct Log {
    state: State,
    last_index: LogIndex,
    /// Commands up to here are in the snapshot that the log began with, and cannot be looked into.
    pub(crate) hidden: LogSeq,
    pub(crate) effects: HashMap<(SessionId, ClientSeq), Effect>,
    pub(crate) messages: HashMap<(SessionId, OutSeq), SeenMessage>,
    pub(crate) accepted: HashMap<(AccountId, ClOrdId), u32>,
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// A log from its first entry on.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// The same of a group whose state began with bounds of its own.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            state: State::with_limits(limits),
            last_index: LogIndex(0),
            hidden: LogSeq(0),
            effects: HashMap::new(),
            messages: HashMap::new(),
            accepted: HashMap::new(),
        }
    }

    /// A log whose beginning is only kept as a snapshot.
    ///
    /// # Errors
    /// [`ReplayError::Snapshot`] when it cannot be read.
    pub fn from_snapshot(index: LogIndex, state: &[u8]) -> Result<Self, ReplayError> {
        let state = State::restore(state)?;
        Ok(Self {
            hidden: state.last_seq(),
            last_index: index,
            state,
            ..Self::new()
        })
    }

    /// Replays the next entry; an empty one is a leader's opening entry.
    ///
    /// # Errors
    /// [`ReplayError`]; the log is not one that a group can have written.
    pub fn entry(
        &mut self,
        index: LogIndex,
        epoch: Epoch,
        batch: &[u8],
    ) -> Result<(), ReplayError> {
        if index.0 != self.last_index.0 + 1 {
            return Err(ReplayError::Gap {
                last: self.last_index,
                found: index,
            });
        }
        self.last_index = index;
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = batch;
        let batch = decode_batch(bytes).map_err(|source| ReplayError::Entry { index, source })?;
        let context = EntryContext {
            epoch,
            index,
            leader_time: batch.leader_time,
        };
        self.state.begin_entry(context, bytes)?;
        let mut events = Vec::new();
        for command in &batch.commands {
            events.clear();
            self.state.apply(context, command, &mut events);
            self.note(command, &events);
        }
        Ok(())
    }

    fn note(&mut self, command: &Command, events: &[Event]) {
        for event in events {
            let Event::ToSession(told) = event else {
                continue;
            };
            self.messages
                .insert((told.session, told.out_seq), told.into());
            if let Report::Accepted { cl_ord_id, .. } = told.report
                && let Some(account) = self.state.account_of_session(told.session)
            {
                *self.accepted.entry((account, cl_ord_id)).or_default() += 1;
            }
        }
        let Command::Client(client) = command else {
            return;
        };
        let number = Some(client.client_seq);
        let answer = events.iter().find_map(|event| match event {
            Event::ToSession(Outbound {
                session,
                out_seq,
                in_reply_to,
                ..
            }) if *session == client.session && *in_reply_to == number => Some(*out_seq),
            _ => None,
        });
        if let Some(answer) = answer {
            let key = (client.session, client.client_seq);
            self.effects
                .entry(key)
                .and_modify(|effect| effect.times += 1)
                .or_insert_with(|| Effect {
                    request: client.request,
                    answer,
                    times: 1,
                });
        }
    }

    /// Holds the replay against the state that the replica says it has at this entry.
    ///
    /// # Errors
    /// [`ReplayError::OtherState`] when they differ.
    pub fn compare(&self, history_hash: &[u8]) -> Result<(), ReplayError> {
        let found = self.state.history_hash().to_bytes();
        if found == history_hash {
            return Ok(());
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(ReplayError::OtherState {
            index: self.last_index,
            found: hex(&found),
            expected: hex(history_hash),
        })
    }

    /// How many times an order was accepted under this id; for clients that speak another protocol
    /// and write no history.
    #[must_use]
    pub fn times_accepted(&self, account: AccountId, cl_ord_id: ClOrdId) -> u32 {
        let times = self.accepted.get(&(account, cl_ord_id));
        times.copied().unwrap_or(0)
    }

    /// The state that the log leads to.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last entry replayed.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// How many requests took effect.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.effects.len()
    }
}

#[cfg(test)]
impl Log {
    pub(crate) fn note_for_test(&mut self, event: &Event) {
        self.note(&Command::Tick, std::slice::from_ref(event));
    }

    pub(crate) fn snapshot_for_test(&self) -> Vec<u8> {
        self.state.snapshot().unwrap()
    }
}
