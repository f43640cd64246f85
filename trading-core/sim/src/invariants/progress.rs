//! Source: references/reliability.md B, live mode: after bounded faults end, the cluster serves
//! again, answers all that is open, and every replica reaches the same state.

use super::{Invariant, Seen};

/// Looked at once, when the time to recover is over. Runs of unbounded faults do not ask.
pub struct Progress;

impl Invariant for Progress {
    fn words(&self) -> &'static str {
        "after the faults end the cluster serves, answers and converges"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Recovered {
                missing: Some(missing),
            } => Err(missing.clone()),
            _ => Ok(()),
        }
    }
}
