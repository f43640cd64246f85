//! The recent past of one figure, thinned out to a bounded number of points.

use std::collections::VecDeque;

/// Points kept of a span; a new one comes once in a 120th of it.
const POINTS_MAX: u64 = 120;

/// Values of the last `span_ms` milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    span_ms: u64,
    points: VecDeque<(u64, i64)>,
}

impl Series {
    pub(crate) fn new(span_ms: u64) -> Self {
        Self {
            span_ms,
            points: VecDeque::new(),
        }
    }

    /// Takes a value in; too soon after the last one it is passed over.
    pub(crate) fn push(&mut self, at_ms: u64, value: i64) {
        let pause_ms = self.span_ms / POINTS_MAX;
        let is_due = self
            .points
            .back()
            .is_none_or(|(last_ms, _)| at_ms >= last_ms + pause_ms.max(1));
        if is_due {
            self.points.push_back((at_ms, value));
        }
        // One point beyond the span stays: counts are taken from there.
        while self
            .points
            .get(1)
            .is_some_and(|(second_ms, _)| second_ms + self.span_ms <= at_ms)
        {
            self.points.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.points.clear();
    }

    /// Takes a counter in and gives by how much it grew within the span. A counter that went back
    /// belongs to a card that was reset: what was before does not count.
    pub(crate) fn grown(&mut self, at_ms: u64, counter: u64) -> i64 {
        let counter = i64::try_from(counter).unwrap_or(i64::MAX);
        if self.points.back().is_some_and(|(_, last)| *last > counter) {
            self.clear();
        }
        self.push(at_ms, counter);
        self.points
            .front()
            .map_or(0, |(_, first)| counter.saturating_sub(*first))
    }

    /// By how much a counter grew in the earlier and in the later half of a full span.
    pub(crate) fn halves(&self, at_ms: u64) -> Option<(i64, i64)> {
        let (first_ms, first) = *self.points.front()?;
        let (_, last) = *self.points.back()?;
        if first_ms + self.span_ms > at_ms {
            return None;
        }
        let middle_ms = at_ms.saturating_sub(self.span_ms / 2);
        let (_, middle) = *self.points.iter().rev().find(|(at, _)| *at <= middle_ms)?;
        Some((middle - first, last - middle))
    }

    /// The slope by least squares, in value units a second; none before half the span is there.
    pub(crate) fn slope_per_second(&self) -> Option<i64> {
        let (first_ms, first) = *self.points.front()?;
        let (last_ms, _) = *self.points.back()?;
        if last_ms - first_ms < self.span_ms / 2 {
            return None;
        }
        let count = self.points.len() as i128;
        let (mut x, mut y, mut xx, mut xy) = (0_i128, 0_i128, 0_i128, 0_i128);
        for (at_ms, value) in &self.points {
            let (dx, dy) = (
                i128::from(at_ms - first_ms),
                i128::from(*value) - i128::from(first),
            );
            x += dx;
            y += dy;
            xx += dx * dx;
            xy += dx * dy;
        }
        let spread = count * xx - x * x;
        (spread > 0)
            .then(|| i64::try_from((count * xy - x * y) * 1_000 / spread).unwrap_or(i64::MAX))
    }

    /// Whether the whole span was seen and the value never moved.
    pub(crate) fn is_flat(&self, at_ms: u64) -> bool {
        let Some((first_ms, first)) = self.points.front() else {
            return false;
        };
        first_ms + self.span_ms <= at_ms && self.points.iter().all(|(_, value)| value == first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_that_of_the_span_alone() {
        let mut series = Series::new(1_000);
        for second in 0..10 {
            assert!(series.grown(second * 100, second * 3) <= 30);
        }
        assert_eq!(series.grown(10_000, 30), 3);
        assert_eq!(series.grown(11_500, 30), 0);
    }

    #[test]
    fn a_reset_counter_starts_anew() {
        let mut series = Series::new(1_000);
        series.grown(0, 500);
        assert_eq!(series.grown(100, 2), 0);
        assert_eq!(series.grown(200, 5), 3);
    }

    #[test]
    fn points_are_bounded() {
        let mut series = Series::new(1_200);
        (0..100_000).for_each(|at| series.push(at, 0));
        assert!(series.points.len() as u64 <= POINTS_MAX + 2);
    }

    #[test]
    fn the_slope_is_that_of_a_line() {
        let mut series = Series::new(10_000);
        for at in (0..=10_000).step_by(200) {
            series.push(at, 50_000 + at as i64 / 2);
        }
        assert_eq!(series.slope_per_second(), Some(500));
        assert!(!series.is_flat(10_000));
    }
}
