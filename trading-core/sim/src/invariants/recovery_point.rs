//! Source: the design's figures: RPO 0. Counted in orders, by holding what clients saw acknowledged
//! against the log.

use super::{Invariant, Seen, findings};

/// From the witness check, at the end.
pub struct RecoveryPoint;

impl Invariant for RecoveryPoint {
    fn words(&self) -> &'static str {
        "no acknowledged order is lost (RPO 0)"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Judged(verdict) if verdict.lost > 0 => Err(findings(verdict)),
            _ => Ok(()),
        }
    }
}
