//! Source: references/reliability.md B, checking by witness: real time, exact replies, no unknown
//! request twice; linear in log and histories.

use super::{Invariant, Seen, findings};

/// From the witness check, at the end.
pub struct Witness;

impl Invariant for Witness {
    fn words(&self) -> &'static str {
        "what clients saw is a reading of the log"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Judged(verdict) if verdict.contradictions + verdict.unverifiable > 0 => {
                Err(findings(verdict))
            }
            _ => Ok(()),
        }
    }
}
