//! What a gateway counts. No label takes a value that a client chooses.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use types::{Epoch, ReplicaId};

/// Why a client's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed it.
    ByClient,
    /// The client's connection broke.
    ClientLost,
    /// Another replica or epoch leads, or none.
    LeaderChanged,
    /// The leader fell silent.
    LeaderSilent,
    /// The leader ended it.
    ByLeader,
    /// No leader was found in time.
    NoLeader,
    /// A bound was reached.
    Limit,
    /// The gateway stops.
    Stopping,
}

impl Ended {
    const ALL: [Self; 8] = [
        Self::ByClient,
        Self::ClientLost,
        Self::LeaderChanged,
        Self::LeaderSilent,
        Self::ByLeader,
        Self::NoLeader,
        Self::Limit,
        Self::Stopping,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::ByClient => "by_client",
            Self::ClientLost => "client_lost",
            Self::LeaderChanged => "leader_changed",
            Self::LeaderSilent => "leader_silent",
            Self::ByLeader => "by_leader",
            Self::NoLeader => "no_leader",
            Self::Limit => "limit",
            Self::Stopping => "stopping",
        }
    }
}

/// The gateway's metrics and their registry.
pub(crate) struct Metrics {
    registry: Registry,
    pub sessions: IntGauge,
    pub sessions_refused: IntCounter,
    pub requests: IntCounter,
    pub messages: IntCounter,
    ended: IntCounterVec,
    leader: IntGauge,
    epoch: IntGauge,
    replicas: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            sessions: IntGauge::new("gateway_sessions", "Client streams open.")?,
            sessions_refused: IntCounter::new(
                "gateway_sessions_refused_total",
                "Client streams refused because as many as allowed were open.",
            )?,
            requests: IntCounter::new("gateway_requests_total", "Client messages carried.")?,
            messages: IntCounter::new("gateway_messages_total", "Leader messages carried.")?,
            ended: IntCounterVec::new(
                Opts::new(
                    "gateway_sessions_ended_total",
                    "Client streams ended, by reason.",
                ),
                &["reason"],
            )?,
            leader: IntGauge::new(
                "gateway_leader",
                "The leader's replica; 0 when none is known.",
            )?,
            epoch: IntGauge::new("gateway_leader_epoch", "Its epoch; 0 when none is known.")?,
            replicas: IntGauge::new("gateway_replicas_heard", "Replicas that speak to it.")?,
        };
        for reason in Ended::ALL {
            metrics.ended.with_label_values(&[reason.label()]);
        }
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.sessions_refused.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.messages.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(metrics.epoch.clone()))?;
        registry.register(Box::new(metrics.replicas.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn count_end(&self, ended: Ended) {
        self.ended.with_label_values(&[ended.label()]).inc();
    }

    pub(crate) fn show_leader(&self, leader: Option<(ReplicaId, Epoch)>, heard: usize) {
        let (replica, epoch) = leader.unwrap_or_default();
        self.leader
            .set(i64::try_from(replica.0).unwrap_or(i64::MAX));
        self.epoch.set(i64::try_from(epoch.0).unwrap_or(i64::MAX));
        self.replicas.set(i64::try_from(heard).unwrap_or(i64::MAX));
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
    fn metrics_show_the_leader_and_every_reason_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.show_leader(Some((ReplicaId(2), Epoch(5))), 3);
        metrics.count_end(Ended::Limit);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "gateway_leader 2\n",
            "gateway_leader_epoch 5\n",
            "gateway_replicas_heard 3\n",
            "gateway_sessions_ended_total{reason=\"limit\"} 1\n",
            "gateway_sessions_ended_total{reason=\"leader_silent\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
