//! Source: the engine's guarantee that cash and shares only change hands, and that what is frozen is
//! what the open orders need.

use super::{Invariant, Seen};

/// Checked from scratch after each entry.
pub struct Conservation;

impl Invariant for Conservation {
    fn words(&self) -> &'static str {
        "cash and shares only change hands"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Entry { index, state, .. } => state
                .check_conservation()
                .map_err(|unbalanced| format!("after entry {index}: {unbalanced}")),
            _ => Ok(()),
        }
    }
}
