//! Limits as data, with hysteresis: a limit is entered at one value and left at another.
//!
//! ```text
//!   value  ── failing.enter ────────────▄▄▄▄
//!          ── failing.leave ───────────█    █▄▄   Failing until below leave
//!          ── degraded.enter ─────▄▄▄▄█        █
//!          ── degraded.leave ────█              █▄▄▄ Healthy
//! ```

use serde::{Deserialize, Serialize};

use crate::{Reason, State};

macro_rules! signals {
    ($( $(#[$doc:meta])* $name:ident, $reason:ident, $label:literal; )*) => {
        /// A figure that can have a limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Signal {
            $( $(#[$doc])* $name, )*
        }

        impl Signal {
            /// The reason that a finding about it has.
            #[must_use]
            pub const fn reason(self) -> Reason {
                match self {
                    $( Self::$name => Reason::$reason, )*
                }
            }

            /// Its name for people, with the unit.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $( Self::$name => $label, )*
                }
            }
        }
    };
}

signals! {
    /// Thousandths of a degree Celsius.
    TemperatureMillidegrees, TooHot, "temperature in m°C";
    /// Milliwatts.
    PowerMilliwatts, PowerHigh, "power in mW";
    /// Millivolts.
    VoltageMillivolts, VoltageOut, "supply in mV";
    /// PCI Express errors corrected within the last minute.
    CorrectableErrorsInMinute, PcieCorrectable, "PCI Express errors corrected in a minute";
    /// Memory errors corrected within the last minute.
    EccCorrectedInMinute, EccCorrected, "memory errors corrected in a minute";
    /// Trainings of the link within the last hour.
    LinkRetrainsInHour, LinkRetraining, "link trainings in an hour";
    /// Messages dropped within the last minute.
    DropsInMinute, Dropping, "messages dropped in a minute";
    /// Holes in the feed's numbers within the last minute.
    SequenceGapsInMinute, SequenceGaps, "sequence gaps in a minute";
    /// How full the queue to memory is, in percent.
    DmaQueuePercent, DmaQueueFull, "DMA queue in percent";
    /// What 99 of 100 messages of the last 10 to 20 seconds did not exceed, in nanoseconds.
    DecodeLatencyP99Ns, Slow, "decode latency p99 in ns";
    /// The distance to the grandmaster's time, without sign, in nanoseconds.
    PtpOffsetNs, PtpUnlocked, "PTP offset in ns";
}

/// On which side of a limit it is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// High values are bad.
    Above,
    /// Low values are bad.
    Below,
}

/// Where a limit is entered and where it is left, both values belonging to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Band {
    /// Bad from here on.
    pub enter: i64,
    /// Good again from here on.
    pub leave: i64,
}

/// A limit of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Limit {
    /// Of what.
    pub signal: Signal,
    /// Which side is bad.
    pub bad: Direction,
    /// When the card is degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Band>,
    /// When it is failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Band>,
    /// How long the value must be bad until it counts, in milliseconds.
    #[serde(default)]
    pub confirm_ms: u64,
}

impl Limit {
    fn reaches(&self, value: i64, mark: i64) -> bool {
        match self.bad {
            Direction::Above => value >= mark,
            Direction::Below => value <= mark,
        }
    }

    fn has_left(&self, value: i64, mark: i64) -> bool {
        match self.bad {
            Direction::Above => value <= mark,
            Direction::Below => value >= mark,
        }
    }
}

/// Where one limit stands.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    is_in: bool,
    bad_since_ms: Option<u64>,
}

impl Held {
    fn update(&mut self, limit: &Limit, band: Band, at_ms: u64, value: i64) -> bool {
        if self.is_in {
            self.is_in = !limit.has_left(value, band.leave);
        } else if limit.reaches(value, band.enter) {
            let since_ms = *self.bad_since_ms.get_or_insert(at_ms);
            self.is_in = at_ms - since_ms >= limit.confirm_ms;
        }
        if self.is_in || !limit.reaches(value, band.enter) {
            self.bad_since_ms = None;
        }
        self.is_in
    }
}

/// A limit with its memory.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) limit: Limit,
    degraded: Held,
    failing: Held,
}

impl Watched {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            limit,
            degraded: Held::default(),
            failing: Held::default(),
        }
    }

    /// What a value makes of the card.
    pub(crate) fn update(&mut self, at_ms: u64, value: i64) -> State {
        let limit = self.limit;
        let mut worst = State::Healthy;
        if let Some(band) = limit.degraded
            && self.degraded.update(&limit, band, at_ms, value)
        {
            worst = State::Degraded;
        }
        if let Some(band) = limit.failing
            && self.failing.update(&limit, band, at_ms, value)
        {
            worst = State::Failing;
        }
        worst
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot() -> Watched {
        Watched::new(Limit {
            signal: Signal::TemperatureMillidegrees,
            bad: Direction::Above,
            degraded: Some(Band {
                enter: 85,
                leave: 80,
            }),
            failing: Some(Band {
                enter: 95,
                leave: 88,
            }),
            confirm_ms: 0,
        })
    }

    #[test]
    fn a_limit_is_left_lower_than_it_is_entered() {
        let mut limit = hot();
        let states: Vec<State> = [84, 85, 82, 95, 90, 88, 81, 80]
            .into_iter()
            .zip(0..)
            .map(|(value, at_ms)| limit.update(at_ms, value))
            .collect();
        use State::{Degraded, Failing, Healthy};
        assert_eq!(
            states,
            [
                Healthy, Degraded, Degraded, Failing, Failing, Degraded, Degraded, Healthy
            ]
        );
    }

    #[test]
    fn a_value_that_is_bad_for_too_short_does_not_count() {
        let mut limit = hot();
        limit.limit.confirm_ms = 100;
        assert_eq!(limit.update(0, 90), State::Healthy);
        assert_eq!(limit.update(50, 70), State::Healthy);
        assert_eq!(limit.update(60, 90), State::Healthy);
        assert_eq!(limit.update(160, 90), State::Degraded);
    }

    #[test]
    fn a_supply_is_bad_below() {
        let mut limit = Watched::new(Limit {
            signal: Signal::VoltageMillivolts,
            bad: Direction::Below,
            degraded: Some(Band {
                enter: 11_400,
                leave: 11_600,
            }),
            failing: None,
            confirm_ms: 0,
        });
        assert_eq!(limit.update(0, 12_000), State::Healthy);
        assert_eq!(limit.update(1, 11_400), State::Degraded);
        assert_eq!(limit.update(2, 11_500), State::Degraded);
        assert_eq!(limit.update(3, 11_600), State::Healthy);
    }
}
