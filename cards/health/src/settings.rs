//! How cards are judged, as data, with the defaults and what is accepted.

use serde::{Deserialize, Serialize};

use crate::thresholds::{Band, Direction, Limit, Signal};

/// How a rising temperature warns before its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TemperatureTrend {
    /// Over how long the slope is taken, in milliseconds.
    pub span_ms: u64,
    /// Warn when the failing limit would be reached within this time, in milliseconds.
    pub warn_before_ms: u64,
    /// Slopes below this are noise, in thousandths of a degree a second.
    pub slope_per_second_min: i64,
    /// Not having moved at all for so long means a stuck sensor, in milliseconds.
    pub stuck_ms: u64,
}

impl Default for TemperatureTrend {
    fn default() -> Self {
        Self {
            span_ms: 60_000,
            warn_before_ms: 120_000,
            slope_per_second_min: 50,
            stuck_ms: 600_000,
        }
    }
}

/// How memory errors that come faster and faster warn before their limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct EccTrend {
    /// The time whose halves are compared, in milliseconds.
    pub span_ms: u64,
    /// Fewer errors than this in the later half say nothing.
    pub errors_min: i64,
    /// Warn when the later half has so many times the errors of the earlier one.
    pub factor: i64,
}

impl Default for EccTrend {
    fn default() -> Self {
        Self {
            span_ms: 600_000,
            errors_min: 4,
            factor: 2,
        }
    }
}

/// How cards are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The driver that must be bound.
    pub driver: String,
    /// Bitstreams that may be loaded, by the region's compatibility id. None are: every card that
    /// has one fails.
    pub approved_bitstreams: Vec<String>,
    /// Limits, at most one for each signal.
    pub limits: Vec<Limit>,
    /// Temperature trend.
    pub temperature_trend: TemperatureTrend,
    /// Memory errors trend.
    pub ecc_trend: EccTrend,
    /// Packets come in and nothing is written to memory for this long: stalled. In milliseconds.
    pub stall_ms: u64,
    /// Without a reading for this long nothing is known, and the card must not be relied on. In
    /// milliseconds.
    pub blind_ms: u64,
    /// What cannot be undone (a mismatch, an uncorrected error) counts for this long after it was
    /// last seen, in milliseconds.
    pub hold_ms: u64,
    /// A better state must last this long before it is believed, in milliseconds.
    pub recover_ms: u64,
}

fn above(signal: Signal, degraded: (i64, i64), failing: Option<(i64, i64)>) -> Limit {
    let band = |(enter, leave)| Band { enter, leave };
    Limit {
        signal,
        bad: Direction::Above,
        degraded: Some(band(degraded)),
        failing: failing.map(band),
        confirm_ms: 0,
    }
}

/// The limits of a decoder card in a server's slot: 75 W is what a slot gives, 12 V its supply with
/// the 5 % that the slot's specification allows, 5 µs the decode objective.
fn default_limits() -> Vec<Limit> {
    let voltage = Limit {
        signal: Signal::VoltageMillivolts,
        bad: Direction::Below,
        degraded: Some(Band {
            enter: 11_400,
            leave: 11_600,
        }),
        failing: Some(Band {
            enter: 11_000,
            leave: 11_300,
        }),
        confirm_ms: 0,
    };
    vec![
        above(
            Signal::TemperatureMillidegrees,
            (85_000, 80_000),
            Some((95_000, 88_000)),
        ),
        above(Signal::PowerMilliwatts, (75_000, 70_000), None),
        voltage,
        above(
            Signal::CorrectableErrorsInMinute,
            (10, 2),
            Some((1_000, 100)),
        ),
        above(Signal::EccCorrectedInMinute, (5, 1), Some((100, 20))),
        above(Signal::LinkRetrainsInHour, (2, 0), Some((10, 2))),
        above(Signal::DropsInMinute, (1, 0), Some((1_000, 0))),
        above(Signal::SequenceGapsInMinute, (100, 10), None),
        above(Signal::DmaQueuePercent, (70, 50), Some((95, 70))),
        above(
            Signal::DecodeLatencyP99Ns,
            (5_001, 5_000),
            Some((20_001, 10_000)),
        ),
        above(Signal::PtpOffsetNs, (1_000, 500), None),
    ]
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            driver: "tricenter_decoder".to_owned(),
            approved_bitstreams: Vec::new(),
            limits: default_limits(),
            temperature_trend: TemperatureTrend::default(),
            ecc_trend: EccTrend::default(),
            stall_ms: 300,
            blind_ms: 1_000,
            hold_ms: 600_000,
            recover_ms: 5_000,
        }
    }
}

/// A setting that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to take the settings: {field} = {value} is not accepted; {accepted}")]
pub struct SettingsError {
    /// Which.
    pub field: String,
    /// What it is.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

fn refuse(
    field: impl Into<String>,
    value: impl ToString,
    accepted: impl Into<String>,
) -> Result<(), SettingsError> {
    Err(SettingsError {
        field: field.into(),
        value: value.to_string(),
        accepted: accepted.into(),
    })
}

const DAY_MS: u64 = 86_400_000;

impl Settings {
    /// Checks what types alone cannot.
    ///
    /// # Errors
    /// The first setting that is not accepted.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.driver.is_empty() {
            refuse("driver", "\"\"", "use the name of the kernel's driver")?;
        }
        for (field, value, min, max) in [
            ("stallMs", self.stall_ms, 10, 60_000),
            ("blindMs", self.blind_ms, 100, 60_000),
            ("holdMs", self.hold_ms, 0, DAY_MS),
            ("recoverMs", self.recover_ms, 0, DAY_MS),
            (
                "temperatureTrend.spanMs",
                self.temperature_trend.span_ms,
                1_000,
                DAY_MS,
            ),
            (
                "temperatureTrend.stuckMs",
                self.temperature_trend.stuck_ms,
                1_000,
                DAY_MS,
            ),
            ("eccTrend.spanMs", self.ecc_trend.span_ms, 1_000, DAY_MS),
        ] {
            if !(min..=max).contains(&value) {
                refuse(field, value, format!("use {min} to {max} milliseconds"))?;
            }
        }
        if self.ecc_trend.factor < 2 {
            refuse("eccTrend.factor", self.ecc_trend.factor, "use 2 or more")?;
        }
        if self.temperature_trend.slope_per_second_min < 1 {
            let slope = self.temperature_trend.slope_per_second_min;
            refuse("temperatureTrend.slopePerSecondMin", slope, "use 1 or more")?;
        }
        for (place, limit) in self.limits.iter().enumerate() {
            self.check_limit(place, limit)?;
        }
        Ok(())
    }

    fn check_limit(&self, place: usize, limit: &Limit) -> Result<(), SettingsError> {
        let field = |name: &str| format!("limits[{place}].{name}");
        let signal = format!("{:?}", limit.signal);
        if self.limits[..place]
            .iter()
            .any(|other| other.signal == limit.signal)
        {
            refuse(field("signal"), &signal, "use each signal once")?;
        }
        if limit.degraded.is_none() && limit.failing.is_none() {
            refuse(
                field("degraded"),
                "nothing",
                "set degraded, failing or both",
            )?;
        }
        let is_worse = |worse: i64, better: i64| match limit.bad {
            Direction::Above => worse > better,
            Direction::Below => worse < better,
        };
        let side = match limit.bad {
            Direction::Above => "below",
            Direction::Below => "above",
        };
        for (name, band) in [("degraded", limit.degraded), ("failing", limit.failing)] {
            if let Some(band) = band
                && !is_worse(band.enter, band.leave)
            {
                let accepted = format!("use a value {side} enter, {}", band.enter);
                refuse(field(&format!("{name}.leave")), band.leave, accepted)?;
            }
        }
        if let (Some(degraded), Some(failing)) = (limit.degraded, limit.failing)
            && !is_worse(failing.enter, degraded.enter)
        {
            let accepted = format!("{} must come first: use a value {side} it", failing.enter);
            refuse(field("degraded.enter"), degraded.enter, accepted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn a_bad_setting_is_named_with_what_is_accepted() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        for (text, expected) in [
            (
                with(|it| it.stall_ms = 1),
                "stallMs = 1 is not accepted; use 10 to 60000 milliseconds",
            ),
            (
                with(|it| {
                    it.limits[0].degraded = Some(Band {
                        enter: 80,
                        leave: 80,
                    })
                }),
                "limits[0].degraded.leave = 80 is not accepted; use a value below enter, 80",
            ),
            (
                with(|it| {
                    it.limits[0].failing = Some(Band {
                        enter: 70_000,
                        leave: 60_000,
                    })
                }),
                "limits[0].degraded.enter = 85000 is not accepted; 70000 must come first",
            ),
            (
                with(|it| it.limits.push(it.limits[0])),
                "limits[11].signal = TemperatureMillidegrees is not accepted; use each signal once",
            ),
            (with(|it| it.ecc_trend.factor = 1), "eccTrend.factor = 1"),
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
