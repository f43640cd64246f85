//! Judges one card, reading by reading.
//!
//! ```text
//!   Reading ──► offline? ──► rules ──► limits ──► trends ──► what is held ──► worst finding
//!                                                                                │
//!              worse: at once; better: after `recover_ms` ◄──────────────────────┘
//! ```

use std::collections::BTreeMap;

use crate::cross_check::Mismatch;
use crate::series::Series;
use crate::thresholds::Watched;
use crate::{
    Finding, Judgement, LatencyHistogram, Reading, Reason, Settings, Signal, State, Statistics,
    rules,
};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// After so long the older of the two latency baselines goes.
const LATENCY_SPAN_MS: u64 = 10_000;

/// Counters that count within a span, and the two figures with trends.
#[derive(Debug, Clone)]
struct Past {
    correctable: Series,
    ecc: Series,
    retrains: Series,
    drops: Series,
    gaps: Series,
    temperature: Series,
    temperature_long: Series,
    ecc_trend: Series,
    /// Latency as it was at the begin of the span before this one and of this one.
    latency: Option<(LatencyHistogram, LatencyHistogram, u64)>,
    /// Counters whose growth is wrong in itself: uncorrected memory, nonfatal and fatal link errors.
    uncorrected: Option<(u64, u64)>,
    /// Messages written, and since when there is work and nothing more was.
    written: Option<u64>,
    packets: Option<u64>,
    stalled_since_ms: Option<u64>,
}

impl Past {
    fn new(settings: &Settings) -> Self {
        Self {
            correctable: Series::new(MINUTE_MS),
            ecc: Series::new(MINUTE_MS),
            retrains: Series::new(HOUR_MS),
            drops: Series::new(MINUTE_MS),
            gaps: Series::new(MINUTE_MS),
            temperature: Series::new(settings.temperature_trend.span_ms),
            temperature_long: Series::new(settings.temperature_trend.stuck_ms),
            ecc_trend: Series::new(settings.ecc_trend.span_ms),
            latency: None,
            uncorrected: None,
            written: None,
            packets: None,
            stalled_since_ms: None,
        }
    }

    fn latency_p99_ns(&mut self, at_ms: u64, now: &LatencyHistogram) -> Option<u64> {
        let (before, begin, begun_ms) = self.latency.get_or_insert((*now, *now, at_ms));
        if at_ms - *begun_ms >= LATENCY_SPAN_MS {
            (*before, *begin, *begun_ms) = (*begin, *now, at_ms);
        }
        now.since(before).p99_ns()
    }

    fn values(&mut self, at_ms: u64, reading: &Reading) -> BTreeMap<Signal, i64> {
        let mut values = BTreeMap::new();
        let mut put = |signal, value: Option<i64>| {
            if let Some(value) = value {
                values.insert(signal, value);
            }
        };
        put(
            Signal::TemperatureMillidegrees,
            reading.temperature_millidegrees,
        );
        put(Signal::PowerMilliwatts, reading.power_milliwatts);
        put(Signal::VoltageMillivolts, reading.voltage_millivolts);
        let correctable = reading.correctable_errors;
        put(
            Signal::CorrectableErrorsInMinute,
            correctable.map(|count| self.correctable.grown(at_ms, count)),
        );
        if let Some(it) = &reading.statistics {
            put(
                Signal::EccCorrectedInMinute,
                Some(self.ecc.grown(at_ms, it.ecc_corrected)),
            );
            put(
                Signal::LinkRetrainsInHour,
                Some(self.retrains.grown(at_ms, it.link_retrains)),
            );
            put(
                Signal::DropsInMinute,
                Some(self.drops.grown(at_ms, it.drops)),
            );
            put(
                Signal::SequenceGapsInMinute,
                Some(self.gaps.grown(at_ms, it.sequence_gaps)),
            );
            put(Signal::DmaQueuePercent, queue_percent(it));
            put(Signal::PtpOffsetNs, Some(it.ptp_offset_ns.saturating_abs()));
            let p99 = self.latency_p99_ns(at_ms, &it.latency);
            let p99 = p99.map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
            put(Signal::DecodeLatencyP99Ns, p99);
        }
        values
    }
}

fn queue_percent(statistics: &Statistics) -> Option<i64> {
    let percent = (u128::from(statistics.dma_queue_depth) * 100)
        .checked_div(u128::from(statistics.dma_queue_capacity))?;
    i64::try_from(percent).ok()
}

/// Judges one card.
#[derive(Debug, Clone)]
pub struct Judge {
    settings: Settings,
    limits: Vec<Watched>,
    past: Past,
    /// What cannot be undone, when it was last seen, and its text.
    held: BTreeMap<Reason, (u64, String)>,
    last_reading_ms: Option<u64>,
    judgement: Option<Judgement>,
    /// Since when the findings are better than the state.
    better_since_ms: Option<u64>,
}

impl Judge {
    /// A judge who has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            limits: settings.limits.iter().copied().map(Watched::new).collect(),
            past: Past::new(&settings),
            held: BTreeMap::new(),
            last_reading_ms: None,
            judgement: None,
            better_since_ms: None,
            settings,
        }
    }

    /// What is thought now; nothing before the first reading.
    #[must_use]
    pub fn judgement(&self) -> Option<&Judgement> {
        self.judgement.as_ref()
    }

    /// Takes a reading in, made at `at_ms` of a clock that never goes back, with the first message
    /// of the samples that differed.
    pub fn judge(
        &mut self,
        at_ms: u64,
        reading: &Reading,
        mismatch: Option<&Mismatch>,
    ) -> &Judgement {
        self.last_reading_ms = Some(at_ms);
        if let Some(mismatch) = mismatch {
            let text = format!("message {}: {}", mismatch.sequence, mismatch.text);
            self.held.insert(Reason::DecodeMismatch, (at_ms, text));
        }
        let findings = match rules::offline(reading, &self.settings) {
            Some(finding) => {
                // A card that comes back has counted anew.
                self.past = Past::new(&self.settings);
                self.limits.iter_mut().for_each(Watched::forget);
                vec![finding]
            }
            None => self.findings(at_ms, reading),
        };
        self.settle(at_ms, findings)
    }

    /// Says that no reading came. After `blind_ms` the card must not be relied on.
    pub fn no_reading(&mut self, at_ms: u64) -> Option<&Judgement> {
        let last_ms = *self.last_reading_ms.get_or_insert(at_ms);
        let blind_ms = at_ms.saturating_sub(last_ms);
        if blind_ms < self.settings.blind_ms {
            return self.judgement.as_ref();
        }
        let text = format!("no reading for {blind_ms} ms");
        Some(self.settle(
            at_ms,
            vec![Finding::new(State::Failing, Reason::NoData, text)],
        ))
    }

    fn findings(&mut self, at_ms: u64, reading: &Reading) -> Vec<Finding> {
        let mut findings = rules::plain(reading, &self.settings);
        self.hold_uncorrected(at_ms, reading);
        findings.extend(self.stall(at_ms, reading));
        let values = self.past.values(at_ms, reading);
        for watched in &mut self.limits {
            let signal = watched.limit.signal;
            let Some(value) = values.get(&signal) else {
                continue;
            };
            let state = watched.update(at_ms, *value);
            if state > State::Healthy {
                let text = format!("{} is {value}", signal.label());
                findings.push(Finding::new(state, signal.reason(), text));
            }
        }
        findings.extend(self.trends(at_ms, reading));
        let hold_ms = self.settings.hold_ms;
        self.held
            .retain(|_, (seen_ms, _)| at_ms - *seen_ms <= hold_ms);
        for (reason, (_, text)) in &self.held {
            findings.push(Finding::new(State::Failing, *reason, text.clone()));
        }
        findings
    }

    fn hold_uncorrected(&mut self, at_ms: u64, reading: &Reading) {
        let memory = reading.statistics.map_or(0, |it| it.ecc_uncorrected);
        let link = reading.nonfatal_errors.unwrap_or(0) + reading.fatal_errors.unwrap_or(0);
        let (memory_before, link_before) = self.past.uncorrected.unwrap_or((0, 0));
        let grown = [
            (
                Reason::EccUncorrected,
                memory_before,
                memory,
                "memory errors",
            ),
            (
                Reason::PcieUncorrected,
                link_before,
                link,
                "PCI Express errors",
            ),
        ];
        for (reason, before, now, what) in grown {
            if now > before {
                let text = format!("{} {what} were not corrected", now - before);
                self.held.insert(reason, (at_ms, text));
            }
        }
        self.past.uncorrected = Some((memory, link));
    }

    /// By progress, not by a heartbeat: work is there and nothing is written.
    fn stall(&mut self, at_ms: u64, reading: &Reading) -> Option<Finding> {
        let statistics = reading.statistics.as_ref()?;
        let past = &mut self.past;
        let has_written =
            past.written.replace(statistics.dma_completed) != Some(statistics.dma_completed);
        let before = past.packets.replace(statistics.packets);
        let has_work = statistics.dma_queue_depth > 0
            || before.is_some_and(|packets| statistics.packets > packets);
        if has_written || (!has_work && past.stalled_since_ms.is_none()) {
            past.stalled_since_ms = None;
            return None;
        }
        let stalled_ms = at_ms - *past.stalled_since_ms.get_or_insert(at_ms);
        (stalled_ms >= self.settings.stall_ms).then(|| {
            let text = format!(
                "nothing was written to memory for {stalled_ms} ms while {} messages wait",
                statistics.dma_queue_depth
            );
            Finding::new(State::Failing, Reason::DmaStalled, text)
        })
    }

    fn trends(&mut self, at_ms: u64, reading: &Reading) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(value) = reading.temperature_millidegrees {
            self.past.temperature.push(at_ms, value);
            self.past.temperature_long.push(at_ms, value);
            if self.past.temperature_long.is_flat(at_ms) {
                let text = format!(
                    "the temperature stands at exactly {value} m°C for {} ms",
                    self.settings.temperature_trend.stuck_ms
                );
                findings.push(Finding::new(State::Degraded, Reason::SensorStuck, text));
            }
            findings.extend(self.heating(value));
        }
        if let Some(statistics) = &reading.statistics {
            let trend = self.settings.ecc_trend;
            self.past.ecc_trend.grown(at_ms, statistics.ecc_corrected);
            if let Some((earlier, later)) = self.past.ecc_trend.halves(at_ms)
                && later >= trend.errors_min
                && later >= earlier.saturating_mul(trend.factor)
            {
                let text = format!("{later} memory errors after {earlier} in the same time before");
                findings.push(Finding::new(State::Degraded, Reason::EccRising, text));
            }
        }
        findings
    }

    fn heating(&self, value: i64) -> Option<Finding> {
        let trend = self.settings.temperature_trend;
        let limit = self
            .settings
            .limits
            .iter()
            .find(|limit| limit.signal == Signal::TemperatureMillidegrees);
        let enter = limit?.failing?.enter;
        let slope = self.past.temperature.slope_per_second()?;
        if slope < trend.slope_per_second_min || value >= enter {
            return None;
        }
        let left_seconds = (enter - value) / slope;
        let warn_before = i64::try_from(trend.warn_before_ms / 1_000).unwrap_or(i64::MAX);
        (left_seconds <= warn_before).then(|| {
            let text = format!(
                "at {slope} m°C a second the limit of {enter} m°C is reached in {left_seconds} s"
            );
            Finding::new(State::Degraded, Reason::TemperatureRising, text)
        })
    }

    /// Worse counts at once; better has to last.
    fn settle(&mut self, at_ms: u64, mut findings: Vec<Finding>) -> &Judgement {
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.state), finding.reason));
        let worst = findings.first().cloned().unwrap_or_else(|| {
            Finding::new(
                State::Healthy,
                Reason::AsItShouldBe,
                "all is as it should be",
            )
        });
        let judgement = self.judgement.get_or_insert_with(|| Judgement {
            state: worst.state,
            reason: worst.reason,
            text: worst.text.clone(),
            since_ms: at_ms,
            findings: Vec::new(),
        });
        if worst.state < judgement.state {
            let better_ms = at_ms - *self.better_since_ms.get_or_insert(at_ms);
            if better_ms < self.settings.recover_ms {
                judgement.findings = findings;
                return judgement;
            }
        }
        self.better_since_ms = None;
        if worst.state != judgement.state {
            judgement.since_ms = at_ms;
        }
        judgement.state = worst.state;
        judgement.reason = worst.reason;
        judgement.text = worst.text;
        judgement.findings = findings;
        judgement
    }
}
