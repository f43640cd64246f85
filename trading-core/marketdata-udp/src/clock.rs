//! The one place where a clock is read.

use marketdata::Monotonic;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use types::UnixMicros;

/// The clocks that packets and waits go by.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begin: Instant,
}

impl Clock {
    /// Begins to count.
    #[must_use]
    pub fn start() -> Self {
        Self {
            begin: Instant::now(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Monotonic {
        Monotonic::from_us(microseconds(self.begin.elapsed()))
    }

    /// When a time comes, for a wait.
    #[must_use]
    pub fn instant(&self, at: Monotonic) -> tokio::time::Instant {
        (self.begin + Duration::from_micros(at.us())).into()
    }

    /// The wall clock; the beginning of 1970 when it stands before that.
    #[must_use]
    pub fn wall() -> UnixMicros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        UnixMicros(since.map_or(0, microseconds))
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
