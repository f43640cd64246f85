//! What a replica's market data shows at `/metrics`.

use marketdata::level2::PublisherCounts;
use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};
use std::sync::atomic::{AtomicU64, Ordering};

/// Written by the feed's thread, read by whoever scrapes.
#[derive(Debug, Default)]
pub struct FeedMeters {
    pub(super) epoch: AtomicU64,
    pub(super) lag_entries: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) restarts: AtomicU64,
    levels: AtomicU64,
    trades: AtomicU64,
    refused: AtomicU64,
    ladders: AtomicU64,
    incremental_packets: AtomicU64,
    snapshot_packets: AtomicU64,
    heartbeats: AtomicU64,
}

impl FeedMeters {
    /// Adds what a publisher counted between two looks; each stream's begins at nothing.
    pub(super) fn count(&self, before: PublisherCounts, after: PublisherCounts) {
        for (meter, before, after) in [
            (&self.levels, before.levels, after.levels),
            (&self.trades, before.trades, after.trades),
            (&self.refused, before.refused, after.refused),
            (&self.ladders, before.ladders, after.ladders),
            (
                &self.incremental_packets,
                before.incremental_packets,
                after.incremental_packets,
            ),
            (
                &self.snapshot_packets,
                before.snapshot_packets,
                after.snapshot_packets,
            ),
            (&self.heartbeats, before.heartbeats, after.heartbeats),
        ] {
            meter.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// Prometheus' text form.
    ///
    /// # Errors
    /// What the encoder says; not known to happen.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let registry = Registry::new();
        for (name, help, meter) in [
            (
                "epoch",
                "Epoch of the stream published here; 0 while none is.",
                &self.epoch,
            ),
            (
                "lag_entries",
                "Entries applied and not read for market data.",
                &self.lag_entries,
            ),
            (
                "waiting_events",
                "Events that wait for the publisher.",
                &self.waiting,
            ),
        ] {
            let gauge = IntGauge::new(format!("trading_core_market_data_{name}"), help)?;
            gauge.set(i64::try_from(meter.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
            registry.register(Box::new(gauge))?;
        }
        for (name, help, meter) in [
            ("streams", "Streams begun here.", &self.streams),
            (
                "log_restarts",
                "Times that the log was read anew.",
                &self.restarts,
            ),
            ("levels", "Changes of levels taken.", &self.levels),
            ("trades", "Trades taken.", &self.trades),
            (
                "offers_refused",
                "Events beyond a bound: trades wait, symbols are dropped.",
                &self.refused,
            ),
            (
                "ladders",
                "Ladders sent; changes above it were conflated.",
                &self.ladders,
            ),
            (
                "incremental_packets",
                "Incremental packets.",
                &self.incremental_packets,
            ),
            (
                "snapshot_packets",
                "Snapshot packets.",
                &self.snapshot_packets,
            ),
            ("heartbeats", "Heartbeats.", &self.heartbeats),
            (
                "packets_unsent",
                "Packets that the system did not take.",
                &self.unsent,
            ),
        ] {
            let counter = IntCounter::new(format!("trading_core_market_data_{name}_total"), help)?;
            counter.inc_by(meter.load(Ordering::Relaxed));
            registry.register(Box::new(counter))?;
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text)?;
        Ok(text)
    }
}
