//! The wall clock and the dice. Nothing else in the core reads or throws them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};
use types::UnixMicros;

/// Now. Before 1970 there is only 0.
#[must_use]
pub fn now() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMicros(since.map_or(0, |since| since.as_micros() as u64))
}

/// A number that another start, or another replica, will hardly draw.
#[must_use]
pub fn draw() -> u64 {
    // The keys of a new hasher come from the operating system.
    RandomState::new().build_hasher().finish()
}
