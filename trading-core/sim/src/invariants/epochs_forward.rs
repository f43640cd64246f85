//! Source: the design's second rule: an epoch is never reused. Across starts it holds for replicas
//! whose disk kept what was promised.

use super::{Invariant, Seen};
use std::collections::BTreeMap;
use types::Epoch;

/// The newest epoch of each replica, and of the log.
#[derive(Default)]
pub struct EpochsForward {
    replicas: BTreeMap<u64, Epoch>,
    log: Epoch,
}

impl Invariant for EpochsForward {
    fn words(&self) -> &'static str {
        "epochs never go back"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let (who, newest, now) = match seen {
            Seen::Started {
                replica,
                intact: false,
            } => {
                self.replicas.remove(replica);
                return Ok(());
            }
            Seen::Turn { view, .. } if view.died => return Ok(()),
            Seen::Turn { replica, view } => (
                format!("replica {replica}"),
                self.replicas.entry(*replica).or_default(),
                view.epoch,
            ),
            Seen::Entry { index, epoch, .. } => {
                (format!("the log at entry {index}"), &mut self.log, *epoch)
            }
            _ => return Ok(()),
        };
        if now < *newest {
            return Err(format!("{who} went from epoch {newest} to {now}"));
        }
        *newest = now;
        Ok(())
    }
}
