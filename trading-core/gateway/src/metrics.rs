//! What a gateway counts. No label takes a value that a client chooses.

use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use types::{Epoch, ReplicaId, ShardId};

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
    /// The client named no shard that is served here.
    Unrouted,
    /// A bound was reached.
    Limit,
    /// The gateway stops.
    Stopping,
}

impl Ended {
    const ALL: [Self; 9] = [
        Self::ByClient,
        Self::ClientLost,
        Self::LeaderChanged,
        Self::LeaderSilent,
        Self::ByLeader,
        Self::NoLeader,
        Self::Unrouted,
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
            Self::Unrouted => "unrouted",
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
    pub misplaced: IntCounter,
    ended: IntCounterVec,
    leader: IntGaugeVec,
    epoch: IntGaugeVec,
    replicas: IntGaugeVec,
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
            misplaced: IntCounter::new(
                "gateway_misplaced_orders_total",
                "Orders not carried because their symbol belongs to another shard than their stream.",
            )?,
            ended: IntCounterVec::new(
                Opts::new(
                    "gateway_sessions_ended_total",
                    "Client streams ended, by reason.",
                ),
                &["reason"],
            )?,
            leader: by_shard(
                "gateway_leader",
                "The leader's replica, by shard; 0 when none is known.",
            )?,
            epoch: by_shard(
                "gateway_leader_epoch",
                "Its epoch, by shard; 0 when none is known.",
            )?,
            replicas: by_shard(
                "gateway_replicas_heard",
                "Replicas that speak to it, by shard.",
            )?,
        };
        for reason in Ended::ALL {
            metrics.ended.with_label_values(&[reason.label()]);
        }
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.sessions_refused.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.messages.clone()))?;
        registry.register(Box::new(metrics.misplaced.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(metrics.epoch.clone()))?;
        registry.register(Box::new(metrics.replicas.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn count_end(&self, ended: Ended) {
        self.ended.with_label_values(&[ended.label()]).inc();
    }

    pub(crate) fn show_leader(
        &self,
        shard: ShardId,
        leader: Option<(ReplicaId, Epoch)>,
        heard: usize,
    ) {
        let (replica, epoch) = leader.unwrap_or_default();
        let shard = shard.to_string();
        let show = |gauge: &IntGaugeVec, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            gauge.with_label_values(&[&shard]).set(value);
        };
        show(&self.leader, replica.0);
        show(&self.epoch, epoch.0);
        show(&self.replicas, heard as u64);
    }

    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn by_shard(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), &["shard"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_show_the_leader_and_every_reason_from_the_start() {
        let metrics = Metrics::new().unwrap();
        metrics.show_leader(ShardId(4), Some((ReplicaId(2), Epoch(5))), 3);
        metrics.count_end(Ended::Limit);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        for line in [
            "gateway_leader{shard=\"4\"} 2\n",
            "gateway_leader_epoch{shard=\"4\"} 5\n",
            "gateway_replicas_heard{shard=\"4\"} 3\n",
            "gateway_sessions_ended_total{reason=\"limit\"} 1\n",
            "gateway_sessions_ended_total{reason=\"leader_silent\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
