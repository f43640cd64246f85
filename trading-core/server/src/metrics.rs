//! What Prometheus is told, and latencies over the last seconds.

use crate::core::Published;
use crate::group_metrics;
use crate::transport::LinkMeters;
use hdrhistogram::Histogram;
use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, GaugeVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use replica::Role;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Length of one window; two are shown together.
const WINDOW: Duration = Duration::from_secs(5);
/// Longest latency told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Latencies over the last 5 to 10 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile, in microseconds.
    pub p99_us: u64,
    /// Longest, in microseconds.
    pub max_us: u64,
}

/// Two windows of latencies, one being filled.
pub struct CommitLatency {
    current: Histogram<u64>,
    previous: Histogram<u64>,
    since: Instant,
}

impl Default for CommitLatency {
    fn default() -> Self {
        // Two significant digits are plenty for a display.
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 2);
        let histogram = || histogram().expect("the bounds are constants that are accepted");
        Self {
            current: histogram(),
            previous: histogram(),
            since: Instant::now(),
        }
    }
}

impl CommitLatency {
    /// Takes in one latency, in microseconds.
    pub fn record_us(&mut self, latency_us: u64) {
        self.current.saturating_record(latency_us.max(1));
    }

    /// What was measured lately.
    pub fn recent(&mut self, now: Instant) -> Latency {
        if now.duration_since(self.since) >= WINDOW {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            self.since = now;
        }
        let mut both = self.previous.clone();
        // The bounds are the same, so that nothing is left out.
        if both.add(&self.current).is_err() || both.is_empty() {
            return Latency::default();
        }
        Latency {
            count: both.len(),
            p50_us: both.value_at_quantile(0.5),
            p99_us: both.value_at_quantile(0.99),
            max_us: both.max(),
        }
    }
}

/// A replica's metrics in Prometheus' text form, made from what it publishes at this moment.
///
/// # Errors
/// What the encoder says; not known to happen.
pub fn render(
    shown: &Published,
    links: &BTreeMap<u64, LinkMeters>,
) -> Result<Vec<u8>, prometheus::Error> {
    let registry = Registry::new();
    let status = &shown.status;
    let gauge = |name: &str, help: &str, value: u64| -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))
    };
    gauge(
        "trading_core_leader",
        "1 while this replica leads.",
        (status.role == Role::Leader).into(),
    )?;
    gauge(
        "trading_core_serving",
        "1 while it leads and takes orders.",
        status.serving.into(),
    )?;
    gauge(
        "trading_core_ready",
        "1 when it knows a leader and has caught up.",
        shown.ready.into(),
    )?;
    gauge("trading_core_epoch", "Its epoch.", status.epoch.0)?;
    gauge(
        "trading_core_last_index",
        "Last entry on disk.",
        status.last_index.0,
    )?;
    gauge(
        "trading_core_commit_index",
        "Last entry known to be committed.",
        status.commit_index.0,
    )?;
    gauge(
        "trading_core_applied_index",
        "Last entry applied.",
        status.applied_index.0,
    )?;
    gauge(
        "trading_core_voters_in_step",
        "1 when every voter is in step (leader).",
        status.all_voters_in_step.into(),
    )?;
    gauge(
        "trading_core_sessions_connected",
        "Sessions connected here.",
        shown.connected as u64,
    )?;
    gauge(
        "trading_core_journal_bytes",
        "Bytes of the log on disk.",
        shown.journal_bytes,
    )?;
    gauge(
        "trading_core_open_orders",
        "Orders that rest.",
        status.counters.open_orders,
    )?;
    let seconds = [
        ("0.5", shown.commit_latency.p50_us),
        ("0.99", shown.commit_latency.p99_us),
        ("1", shown.commit_latency.max_us),
    ];
    let latency = GaugeVec::new(
        Opts::new(
            "trading_core_commit_latency_seconds",
            "From a batch's forming to its commit, over the last 5 to 10 s.",
        ),
        &["quantile"],
    )?;
    for (quantile, microseconds) in seconds {
        latency
            .with_label_values(&[quantile])
            .set(microseconds as f64 / 1e6);
    }
    registry.register(Box::new(latency))?;
    let sync_seconds = Gauge::new(
        "trading_core_journal_sync_seconds_sum",
        "Time spent in journal syncs.",
    )?;
    sync_seconds.set(shown.syncs.1 as f64 / 1e6);
    registry.register(Box::new(sync_seconds))?;
    let total = totals(shown)?;
    registry.register(Box::new(total))?;
    let lag = GaugeVec::new(
        Opts::new(
            "trading_core_peer_lag_entries",
            "Entries a voter is behind (leader).",
        ),
        &["replica"],
    )?;
    for peer in &status.peers {
        lag.with_label_values(&[&peer.replica.to_string()])
            .set(peer.lag_entries as f64);
    }
    registry.register(Box::new(lag))?;
    links_into(&registry, links)?;
    group_metrics::register(&registry, shown)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

fn totals(shown: &Published) -> Result<IntCounterVec, prometheus::Error> {
    let counters = &shown.status.counters;
    let total = IntCounterVec::new(
        Opts::new(
            "trading_core_events_total",
            "What the core counted since the log began.",
        ),
        &["event"],
    )?;
    for (event, value) in [
        ("command", counters.commands),
        ("order_accepted", counters.orders_accepted),
        ("order_rejected", counters.orders_rejected),
        ("trade", counters.trades),
        ("duplicate", counters.duplicates),
        ("sequence_gap", counters.sequence_gaps),
        ("overflow", shown.status.overflows),
        ("slow_stream", shown.slow_streams),
        ("journal_sync", shown.syncs.0),
    ] {
        total.with_label_values(&[event]).inc_by(value);
    }
    Ok(total)
}

fn links_into(
    registry: &Registry,
    links: &BTreeMap<u64, LinkMeters>,
) -> Result<(), prometheus::Error> {
    let round_trip = GaugeVec::new(
        Opts::new(
            "trading_core_link_round_trip_seconds",
            "Last round trip to a peer; 0 when unknown.",
        ),
        &["replica"],
    )?;
    let dropped = IntCounterVec::new(
        Opts::new(
            "trading_core_link_dropped_total",
            "Messages to a peer that were dropped.",
        ),
        &["replica"],
    )?;
    for (peer, meters) in links {
        let labels = &[peer.to_string()];
        round_trip
            .with_label_values(labels)
            .set(meters.round_trip_us.load(Ordering::Relaxed) as f64 / 1e6);
        dropped
            .with_label_values(labels)
            .inc_by(meters.dropped.load(Ordering::Relaxed));
    }
    let families: [Box<dyn Collector>; 2] = [Box::new(round_trip), Box::new(dropped)];
    for family in families {
        registry.register(family)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_forgotten_after_two_windows() {
        let mut latency = CommitLatency::default();
        let start = Instant::now();
        (1..=100).for_each(|n| latency.record_us(n * 1_000));
        let recent = latency.recent(start);
        assert_eq!(recent.count, 100);
        assert!((49_000..=51_000).contains(&recent.p50_us), "{recent:?}");
        assert_eq!(latency.recent(start + WINDOW).count, 100);
        assert_eq!(latency.recent(start + 2 * WINDOW).count, 0);
    }

    #[test]
    fn a_scrape_tells_who_serves_and_how_far_the_voters_are() {
        let mut shown = Published::default();
        shown.status.serving = true;
        shown.status.peers = vec![replica::Peer {
            replica: types::ReplicaId(2),
            matched_index: types::LogIndex(1),
            lag_entries: 9,
            silent_ms: 0,
            learner: false,
        }];
        let links = BTreeMap::from([(2, LinkMeters::default())]);
        let text = String::from_utf8(render(&shown, &links).unwrap()).unwrap();
        assert!(text.contains("trading_core_serving 1\n"), "{text}");
        assert!(
            text.contains("trading_core_peer_lag_entries{replica=\"2\"} 9\n"),
            "{text}"
        );
    }
}
