//! Source: Raft's state machine safety; a process' own view of what is committed only grows.

use super::{Invariant, Seen};
use std::collections::BTreeMap;
use types::LogIndex;

/// What each process knew to be committed, and had applied.
#[derive(Default)]
pub struct CommitForward(BTreeMap<u64, (LogIndex, LogIndex)>);

impl Invariant for CommitForward {
    fn words(&self) -> &'static str {
        "what is committed stays committed"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Started { replica, .. } => {
                self.0.remove(replica);
                Ok(())
            }
            Seen::Turn { replica, view } => {
                let now = (view.commit, view.applied);
                let before = self.0.insert(*replica, now).unwrap_or(now);
                if now.0 >= before.0 && now.1 >= before.1 && now.1 <= now.0 {
                    return Ok(());
                }
                Err(format!(
                    "replica {replica} went from commit {} and applied {} to {} and {}",
                    before.0, before.1, now.0, now.1
                ))
            }
            _ => Ok(()),
        }
    }
}
