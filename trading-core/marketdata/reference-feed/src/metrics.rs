//! What a reference feed counts, beside what its receiver does.

use probes::Probes;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::sync::Arc;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// It took effect.
    Done,
    /// The core refused it, such as for a symbol that is not listed.
    Refused,
    /// Nobody who leads took it: it is tried again.
    Unled,
}

impl Became {
    const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Unled];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unled => "unled",
        }
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    pub replaced: IntCounter,
    pub waiting: IntGauge,
    pub epoch: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            records: IntCounterVec::new(
                Opts::new(
                    "reference_feed_records_total",
                    "Records sent, by what became of them.",
                ),
                &["became"],
            )?,
            replaced: IntCounter::new(
                "reference_feed_replaced_total",
                "Prices that a newer one replaced before they were told.",
            )?,
            waiting: IntGauge::new("reference_feed_waiting", "Prices that wait.")?,
            epoch: IntGauge::new(
                "reference_feed_core_epoch",
                "Epoch in which the last record took effect; 0 before the first.",
            )?,
        };
        for became in Became::ALL {
            metrics.records.with_label_values(&[became.label()]);
        }
        metrics
            .registry
            .register(Box::new(metrics.records.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.replaced.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.waiting.clone()))?;
        metrics.registry.register(Box::new(metrics.epoch.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, became: Became) {
        self.records.with_label_values(&[became.label()]).inc();
    }

    fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// The receiver's probes, and what goes to the core. It is ready while its books are good.
pub(crate) struct Probe {
    pub feed: Box<dyn Probes>,
    pub metrics: Arc<Metrics>,
}

impl Probes for Probe {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        let mut text = self.feed.metrics()?;
        text.extend(self.metrics.render().map_err(|error| error.to_string())?);
        Ok(text)
    }

    fn healthy(&self) -> Result<(), String> {
        self.feed.healthy()
    }

    fn ready(&self) -> Result<(), String> {
        self.feed.ready()
    }
}
