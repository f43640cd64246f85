//! What a FIX gateway counts. No label takes a value that a counterparty chooses.

use fix::Counted;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many as may be are open.
    Full,
    /// No whole message came in time.
    Silent,
    /// Its first message is no message.
    Garbled,
    /// Nobody is configured by these `CompID`s.
    Stranger,
    /// The counterparty is connected already.
    Connected,
}

impl Refused {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::Silent,
        Self::Garbled,
        Self::Stranger,
        Self::Connected,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Silent => "silent",
            Self::Garbled => "garbled",
            Self::Stranger => "stranger",
            Self::Connected => "connected_already",
        }
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    events: IntCounterVec,
    refused: IntCounterVec,
    pub connected: IntGauge,
    pub logged_on: IntGauge,
    pub core_sessions: IntGauge,
    pub core_entries_lost: IntCounter,
    pub in_flight: IntGauge,
    pub store_bytes: IntGauge,
    pub slow_counterparties: IntCounter,
    pub log_replicas_lost: IntCounter,
    pub copies_hidden: IntCounter,
    pub copies_untold: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let counters = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            registry: Registry::new(),
            events: counters("fix_events_total", "What happened to sessions.", "event")?,
            refused: counters(
                "fix_connections_refused_total",
                "Connections that were not taken, by reason.",
                "reason",
            )?,
            connected: IntGauge::new("fix_connected", "Counterparties connected.")?,
            logged_on: IntGauge::new("fix_logged_on", "Counterparties logged on.")?,
            core_sessions: IntGauge::new(
                "fix_core_sessions",
                "Counterparties whose session with the core is open.",
            )?,
            core_entries_lost: IntCounter::new(
                "fix_core_entries_lost_total",
                "Entries to the core given up for another.",
            )?,
            in_flight: IntGauge::new("fix_in_flight", "Requests without an answer.")?,
            store_bytes: IntGauge::new("fix_store_bytes", "Bytes in the sessions' files.")?,
            slow_counterparties: IntCounter::new(
                "fix_slow_counterparties_total",
                "Connections ended because what was sent was not read.",
            )?,
            log_replicas_lost: IntCounter::new(
                "fix_drop_copy_replicas_lost_total",
                "Replicas given up for another while their log was read for a drop copy.",
            )?,
            copies_hidden: IntCounter::new(
                "fix_drop_copy_entries_hidden_total",
                "Log entries inside a snapshot whose copies cannot be told.",
            )?,
            copies_untold: IntCounter::new(
                "fix_drop_copy_untold_total",
                "Reports of orders that were entered inside a snapshot, which cannot be told.",
            )?,
        };
        for event in Counted::ALL {
            metrics.events.with_label_values(&[event.label()]);
        }
        for reason in Refused::ALL {
            metrics.refused.with_label_values(&[reason.label()]);
        }
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.connected.clone()))?;
        registry.register(Box::new(metrics.logged_on.clone()))?;
        registry.register(Box::new(metrics.core_sessions.clone()))?;
        registry.register(Box::new(metrics.core_entries_lost.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.store_bytes.clone()))?;
        registry.register(Box::new(metrics.slow_counterparties.clone()))?;
        registry.register(Box::new(metrics.log_replicas_lost.clone()))?;
        registry.register(Box::new(metrics.copies_hidden.clone()))?;
        registry.register(Box::new(metrics.copies_untold.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, event: Counted) {
        self.events.with_label_values(&[event.label()]).inc();
    }

    pub(crate) fn refuse(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_and_reason_is_shown_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.count(Counted::ResendAsked);
        metrics.refuse(Refused::Stranger);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "fix_events_total{event=\"resend_asked\"} 1\n",
            "fix_events_total{event=\"garbled\"} 0\n",
            "fix_connections_refused_total{reason=\"stranger\"} 1\n",
            "fix_connections_refused_total{reason=\"full\"} 0\n",
            "fix_logged_on 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
