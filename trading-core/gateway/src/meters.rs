//! What a gateway counts.

use crate::leader::Leaders;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// Why a client's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    LeaderChanged,
    LeaderSilent,
    LeaderEnded,
    ClientGone,
    SlowClient,
    Stopping,
}

impl End {
    fn label(self) -> &'static str {
        match self {
            Self::LeaderChanged => "leader_changed",
            Self::LeaderSilent => "leader_silent",
            Self::LeaderEnded => "leader_ended",
            Self::ClientGone => "client_gone",
            Self::SlowClient => "slow_client",
            Self::Stopping => "stopping",
        }
    }
}

pub(crate) struct Meters {
    pub leaders: Leaders,
    pub sessions: IntGauge,
    pub requests: IntCounter,
    pub answers: IntCounter,
    pub refused: IntCounterVec,
    ends: IntCounterVec,
    epoch: IntGauge,
    registry: Registry,
}

impl Meters {
    pub(crate) fn new(leaders: Leaders) -> Result<Self, prometheus::Error> {
        let meters = Self {
            leaders,
            sessions: IntGauge::new("gateway_sessions", "Streams of clients that are open.")?,
            requests: IntCounter::new("gateway_requests_total", "Messages of clients passed on.")?,
            answers: IntCounter::new("gateway_answers_total", "Messages of leaders passed on.")?,
            refused: IntCounterVec::new(
                Opts::new("gateway_refused_total", "Streams that were not taken."),
                &["reason"],
            )?,
            ends: IntCounterVec::new(
                Opts::new("gateway_stream_ends_total", "Streams that ended."),
                &["reason"],
            )?,
            epoch: IntGauge::new("gateway_leader_epoch", "Epoch of the leader; 0 for none.")?,
            registry: Registry::new(),
        };
        let registry = &meters.registry;
        registry.register(Box::new(meters.sessions.clone()))?;
        registry.register(Box::new(meters.requests.clone()))?;
        registry.register(Box::new(meters.answers.clone()))?;
        registry.register(Box::new(meters.refused.clone()))?;
        registry.register(Box::new(meters.ends.clone()))?;
        registry.register(Box::new(meters.epoch.clone()))?;
        Ok(meters)
    }

    pub(crate) fn ended(&self, end: End) {
        self.ends.with_label_values(&[end.label()]).inc();
    }

    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let epoch = self.leaders.current().map_or(0, |leader| leader.epoch);
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
