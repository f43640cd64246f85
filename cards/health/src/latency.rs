//! The decode latency as the driver counts it: a histogram with fixed bounds.

/// Upper bounds of the buckets, in nanoseconds; one more bucket has none.
pub const LATENCY_BOUNDS_NS: [u64; 11] = [
    250, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 7_500, 10_000, 20_000, 50_000,
];

/// Messages by the time that decoding them took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyHistogram {
    /// Messages of each bucket, the last one without a bound.
    pub counts: [u64; LATENCY_BOUNDS_NS.len() + 1],
}

impl LatencyHistogram {
    /// Counts one message.
    pub fn record(&mut self, latency_ns: u64) {
        let bucket = LATENCY_BOUNDS_NS.partition_point(|bound| *bound < latency_ns);
        self.counts[bucket] += 1;
    }

    /// All messages.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What came since `earlier`; nothing where a bucket went backwards, as after a reset.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (now, before) in counts.iter_mut().zip(earlier.counts) {
            *now = now.saturating_sub(before);
        }
        Self { counts }
    }

    /// The bound, in nanoseconds, that 99 of 100 messages do not exceed; `u64::MAX` when that bucket
    /// has none; nothing without messages.
    #[must_use]
    pub fn p99_ns(&self) -> Option<u64> {
        let total = self.total();
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if total > 0 && u128::from(seen) * 100 >= u128::from(total) * 99 {
                return Some(LATENCY_BOUNDS_NS.get(place).copied().unwrap_or(u64::MAX));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p99_is_the_bound_that_99_of_100_keep() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.p99_ns(), None);
        (0..99).for_each(|_| histogram.record(1_000));
        histogram.record(60_000);
        assert_eq!(histogram.p99_ns(), Some(1_000));
        histogram.record(60_000);
        assert_eq!(histogram.p99_ns(), Some(u64::MAX));
    }

    #[test]
    fn what_was_before_does_not_count_and_a_reset_does_not_wrap() {
        let mut before = LatencyHistogram::default();
        (0..50).for_each(|_| before.record(60_000));
        let mut now = before;
        now.record(300);
        assert_eq!(now.since(&before).p99_ns(), Some(500));
        assert_eq!(LatencyHistogram::default().since(&before).total(), 0);
    }
}
