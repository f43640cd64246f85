//! Source: Raft's election safety (Ongaro, Ousterhout 2014, figure 3); the design's second rule.

use super::{Invariant, Seen};
use replica::Role;
use std::collections::BTreeMap;
use types::Epoch;

/// Who led in each epoch.
#[derive(Default)]
pub struct OneLeader(BTreeMap<Epoch, u64>);

impl Invariant for OneLeader {
    fn words(&self) -> &'static str {
        "at most one replica leads in an epoch"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Turn { replica, view } = seen else {
            return Ok(());
        };
        if view.role != Role::Leader {
            return Ok(());
        }
        let first = *self.0.entry(view.epoch).or_insert(*replica);
        if first == *replica {
            return Ok(());
        }
        let epoch = view.epoch;
        Err(format!(
            "replicas {first} and {replica} both led in epoch {epoch}"
        ))
    }
}
