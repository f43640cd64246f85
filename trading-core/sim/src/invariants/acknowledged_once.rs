//! Source: the design's first rule: an acknowledged order is in the promoted log exactly once.

use super::{Invariant, Seen, findings};

/// From the witness check, at the end.
pub struct AcknowledgedOnce;

impl Invariant for AcknowledgedOnce {
    fn words(&self) -> &'static str {
        "nothing takes effect twice"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Judged(verdict) if verdict.doubled > 0 => Err(findings(verdict)),
            _ => Ok(()),
        }
    }
}
