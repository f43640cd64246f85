//! Source: pre-vote (Ongaro's thesis, 9.6): a follower that was away and comes back does not unseat
//! a leader that the others hear.

use super::{Invariant, Seen};

/// Looked at after a follower alone was cut off for many election timeouts.
pub struct Undisturbed;

impl Invariant for Undisturbed {
    fn words(&self) -> &'static str {
        "a follower that comes back does not unseat the leader"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Returned { before, after } if before != after => Err(format!(
                "epoch {before} ended for no other reason, and epoch {after} began"
            )),
            _ => Ok(()),
        }
    }
}
