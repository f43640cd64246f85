//! The wall clock. Nothing else in the core reads it.

use std::time::{SystemTime, UNIX_EPOCH};
use types::UnixMicros;

/// Now. Before 1970 there is only 0.
#[must_use]
pub fn now() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMicros(since.map_or(0, |since| since.as_micros() as u64))
}
