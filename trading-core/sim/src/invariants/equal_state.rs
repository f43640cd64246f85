//! Source: the design's fifth rule; Raft's log matching. The hash covers every command and event up
//! to the entry, so equal hashes are equal logs.

use super::{Invariant, Seen};
use std::collections::BTreeMap;
use types::LogIndex;

/// The state at each entry, as the first replica to reach it had it.
#[derive(Default)]
pub struct EqualState(BTreeMap<LogIndex, (u64, [u8; 8])>);

impl Invariant for EqualState {
    fn words(&self) -> &'static str {
        "replicas that applied the same entries hold the same state"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let (replica, index, hash) = match seen {
            Seen::Turn { replica, view } => (*replica, view.applied, view.hash),
            // The replay beside the cluster counts as replica 0.
            Seen::Entry { index, state, .. } => (0, *index, state.history_hash().to_bytes()),
            _ => return Ok(()),
        };
        let (first, expected) = *self.0.entry(index).or_insert((replica, hash));
        if expected == hash {
            return Ok(());
        }
        Err(format!(
            "replica {replica} holds another state at entry {index} than replica {first}"
        ))
    }
}
