//! A token bucket in integers: so many at once, so many a second.

use serde::{Deserialize, Serialize};
use types::UnixMicros;

/// What is left of a burst.
///
/// It fills by the microsecond, so no rounding is lost: a token is a million parts, and a rate of `r`
/// a second is `r` parts a microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket {
    /// Parts that have been taken and not come back.
    missing_parts: u64,
    filled_at: UnixMicros,
}

const PARTS: u64 = 1_000_000;

impl TokenBucket {
    /// Takes a token when there is one. A new bucket is full.
    ///
    /// `burst` is the most that there are at once, `per_second` how many come back. Time that goes
    /// back counts as no time.
    #[must_use]
    pub fn take(&mut self, now: UnixMicros, per_second: u32, burst: u32) -> bool {
        let elapsed = now.0.saturating_sub(self.filled_at.0);
        let back = elapsed.saturating_mul(u64::from(per_second));
        self.missing_parts = self.missing_parts.saturating_sub(back);
        self.filled_at = self.filled_at.max(now);
        if self.missing_parts + PARTS > u64::from(burst) * PARTS {
            return false;
        }
        self.missing_parts += PARTS;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bucket: &mut TokenBucket, ms: u64) -> bool {
        bucket.take(UnixMicros(ms * 1_000), 10, 3)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::default();
        assert!((0..3).all(|_| take(&mut bucket, 1_000)));
        assert!(!take(&mut bucket, 1_000));
        assert!(!take(&mut bucket, 1_099));
        assert!(take(&mut bucket, 1_100));
        assert!(!take(&mut bucket, 1_100));
        assert!(
            (0..3).all(|_| take(&mut bucket, 9_000)),
            "it is full again, not fuller"
        );
        assert!(!take(&mut bucket, 9_000));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::default();
        assert!((0..3).all(|_| take(&mut bucket, 5_000)));
        assert!(!take(&mut bucket, 1_000));
        assert!(
            !take(&mut bucket, 5_000),
            "what went back is not counted twice"
        );
        assert!(take(&mut bucket, 5_100));
    }
}
