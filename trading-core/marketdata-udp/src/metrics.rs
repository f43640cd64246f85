//! What a receiver shows at `/metrics`. No label takes a value that a packet chooses.

use marketdata::TrackerCounts;
use marketdata::level2::{Line, Receiver};
use probes::Probes;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounter, IntGauge, Registry, TextEncoder};
use std::sync::Arc;
use std::time::Duration;
use types::UnixMicros;

/// Upper bounds of decode latency in seconds: from 250 ns to 1 ms, the card's bound of 5 µs among
/// them.
const DECODE_SECONDS: [f64; 9] = [250e-9, 500e-9, 1e-6, 2e-6, 5e-6, 10e-6, 50e-6, 200e-6, 1e-3];

/// A receiver's metrics and their registry.
pub struct Metrics {
    registry: Registry,
    counters: Vec<IntCounter>,
    symbols: IntGauge,
    stale: IntGauge,
    age_ms: IntGauge,
    epoch: IntGauge,
    decode: Histogram,
}

/// Name, help and value of each counter.
fn counted(receiver: &Receiver, tracker: TrackerCounts) -> [(&'static str, &'static str, u64); 16] {
    let counts = receiver.counts();
    let (a, b) = (Line::A as usize, Line::B as usize);
    [
        (
            "packets_line_a_total",
            "Packets on line A.",
            counts.packets[a],
        ),
        (
            "packets_line_b_total",
            "Packets on line B.",
            counts.packets[b],
        ),
        (
            "first_by_line_a_total",
            "Updates that line A brought first.",
            counts.first_by[a],
        ),
        (
            "first_by_line_b_total",
            "Updates that line B brought first.",
            counts.first_by[b],
        ),
        (
            "duplicates_total",
            "Packets that had come before.",
            counts.duplicates,
        ),
        (
            "malformed_total",
            "Packets that could not be read.",
            counts.malformed,
        ),
        (
            "stale_stream_total",
            "Packets of an older epoch, refused.",
            counts.stale_stream,
        ),
        (
            "gaps_total",
            "Gaps in the numbers that nothing filled.",
            counts.gaps,
        ),
        (
            "packets_lost_total",
            "Packets lost in gaps.",
            counts.packets_lost,
        ),
        (
            "trades_lost_total",
            "Trades lost in gaps.",
            counts.trades_lost,
        ),
        (
            "trades_repeated_total",
            "Trades that an earlier stream had told.",
            counts.trades_repeated,
        ),
        (
            "recoveries_total",
            "Books good again by a snapshot.",
            counts.recoveries,
        ),
        (
            "mismatches_total",
            "Snapshots that differed from a good book.",
            counts.snapshot_mismatches,
        ),
        (
            "inconsistent_total",
            "Changes that did not fit a book.",
            counts.inconsistent,
        ),
        (
            "reference_prices_total",
            "Reference prices told.",
            tracker.told,
        ),
        (
            "reference_withheld_total",
            "Reference prices withheld: broken feed.",
            tracker.withheld,
        ),
    ]
}

impl Metrics {
    /// Metrics that show nothing yet.
    ///
    /// # Errors
    /// When two have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let nothing = Receiver::new(marketdata::level2::ReceiverSettings::default());
        let mut counters = Vec::new();
        for (name, help, _) in counted(&nothing, TrackerCounts::default()) {
            let counter = IntCounter::new(format!("marketdata_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            counters.push(counter);
        }
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(format!("marketdata_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let symbols = gauge("symbols", "Symbols named in the stream.")?;
        let stale = gauge(
            "symbols_stale",
            "Of these, symbols whose book is not to be used.",
        )?;
        let age_ms = gauge(
            "update_age_milliseconds",
            "Age of the newest packet by the publisher's clock; -1 before the first.",
        )?;
        let epoch = gauge("epoch", "The epoch followed; 0 before the first packet.")?;
        let decode = Histogram::with_opts(
            HistogramOpts::new(
                "marketdata_decode_seconds",
                "Time from a packet's arrival in this process to its effects.",
            )
            .buckets(DECODE_SECONDS.to_vec()),
        )?;
        registry.register(Box::new(decode.clone()))?;
        Ok(Self {
            registry,
            counters,
            symbols,
            stale,
            age_ms,
            epoch,
            decode,
        })
    }

    pub(crate) fn decoded(&self, took: Duration) {
        self.decode.observe(took.as_secs_f64());
    }

    pub(crate) fn show(&self, receiver: &Receiver, tracker: TrackerCounts, wall: UnixMicros) {
        for (counter, (_, _, value)) in self.counters.iter().zip(counted(receiver, tracker)) {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.symbols.set(whole(receiver.symbols().count() as u64));
        self.stale.set(whole(receiver.stale_symbols() as u64));
        let age_ms = |sent: UnixMicros| whole(wall.0.saturating_sub(sent.0) / 1_000);
        self.age_ms.set(receiver.newest_sent().map_or(-1, age_ms));
        let epoch = receiver.stream().map_or(0, |stream| stream.epoch.0);
        self.epoch.set(whole(epoch));
    }

    /// Prometheus' text form.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Metrics and health of a receiver over HTTP. It is ready while it has symbols and none is stale.
pub struct FeedProbes(pub Arc<Metrics>);

impl Probes for FeedProbes {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        self.0.render().map_err(|error| error.to_string())
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        match (self.0.symbols.get(), self.0.stale.get()) {
            (0, _) => Err("no symbol has been named yet".into()),
            (_, 0) => Ok(()),
            (symbols, stale) => Err(format!("{stale} of {symbols} books are stale")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_there_from_the_start_and_no_data_is_not_ready() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "marketdata_gaps_total 0\n",
            "marketdata_recoveries_total 0\n",
            "marketdata_duplicates_total 0\n",
            "marketdata_decode_seconds_count 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(
            FeedProbes(metrics).ready(),
            Err("no symbol has been named yet".into())
        );
    }
}
