//! The log as it was first applied, replayed beside the cluster.

use crate::invariants::Seen;
use engine::{EntryContext, Limits, OracleState};
use history::Log;
use journal::LogEntry;
use replica::Replica;
use types::{Command, Event, LogIndex, decode_batch};

/// What took effect, in the order of the log.
pub struct Oracle {
    /// On the naive book: each entry also holds the fast book against it.
    state: OracleState,
    log: Log,
    last: LogIndex,
}

impl Oracle {
    /// Nothing yet, of a group whose state begins with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: OracleState::with_limits(limits),
            log: Log::with_limits(limits),
            last: LogIndex(0),
        }
    }

    /// Takes in what a replica has applied and nobody before it, and shows each entry.
    ///
    /// # Errors
    /// When an entry is missing or cannot be replayed, or from `show`.
    pub fn look_at(
        &mut self,
        replica: &Replica,
        mut show: impl FnMut(&Seen<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if replica.applied_index() <= self.last {
            return Ok(());
        }
        let entries = replica.entries_after(self.last);
        if entries.first().is_none_or(|e| e.index.0 != self.last.0 + 1) {
            return Err(format!(
                "entry {} was applied by nobody, and entry {} was",
                self.last.0 + 1,
                replica.applied_index()
            ));
        }
        for entry in entries {
            let commands = self.replay(&entry)?;
            show(&Seen::Entry {
                index: entry.index,
                epoch: entry.epoch,
                state: &self.state,
                commands: &commands,
            })?;
        }
        Ok(())
    }

    fn replay(&mut self, entry: &LogEntry) -> Result<Vec<(Command, Vec<Event>)>, String> {
        self.last = entry.index;
        self.log
            .entry(entry.index, entry.epoch, &entry.data)
            .map_err(|error| error.to_string())?;
        if entry.data.is_empty() {
            return Ok(Vec::new());
        }
        let batch = decode_batch(&entry.data).map_err(|error| error.to_string())?;
        let context = EntryContext {
            epoch: entry.epoch,
            index: entry.index,
            leader_time: batch.leader_time,
        };
        self.state
            .begin_entry(context, &entry.data)
            .map_err(|error| error.to_string())?;
        let apply = |command: Command| {
            let mut events = Vec::new();
            self.state.apply(context, &command, &mut events);
            (command, events)
        };
        Ok(batch.commands.into_iter().map(apply).collect())
    }

    /// The state after all that took effect.
    #[must_use]
    pub fn state(&self) -> &OracleState {
        &self.state
    }

    /// The log, for the witness check.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The last entry that took effect.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        self.last
    }
}
