//! Probes of the steady state, and conditions that end an experiment early.

use serde::{Deserialize, Serialize};

use crate::experiment::When;

/// A probe with its name and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedProbe {
    /// Its name within the scenario.
    pub name: String,
    /// When it must hold.
    pub when: When,
    /// What it looks at.
    pub probe: Probe,
}

/// What a probe looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Probe {
    /// Orders are acknowledged at so much of the offered rate, over the last second.
    AcknowledgedRate {
        /// In percent of what is offered.
        #[serde(rename = "percentMin")]
        percent_min: u8,
    },
    /// Orders are acknowledged at no more than so much of the offered rate.
    AcknowledgedRateAtMost {
        /// In percent of what is offered.
        #[serde(rename = "percentMax")]
        percent_max: u8,
    },
    /// The clients' 99th percentile of the last seconds, from when an order was due.
    Latency {
        /// In milliseconds.
        #[serde(rename = "p99MsMax")]
        p99_ms_max: u64,
    },
    /// Exactly one replica says that it leads the highest epoch and serves.
    OneLeader {},
    /// The leader confirms that every voter is in step.
    AllVotersInStep {},
    /// All replicas hold the same state at the same entry.
    EqualStates {},
    /// Every center's `TradingCore` has all its conditions True.
    ConditionsTrue {},
    /// Nothing that a client saw acknowledged is lost, doubled or contradicted in the log.
    Witness {},
    /// Leaderships that began since the injection.
    LeaderChanges {
        /// At least.
        #[serde(default)]
        min: u64,
        /// At most.
        max: u64,
    },
    /// The longest time in which no client saw an order accepted.
    LongestSilence {
        /// In milliseconds.
        #[serde(rename = "msMax")]
        ms_max: u64,
    },
    /// Every center's API server answers.
    ApiServersAnswer {},
}

impl Probe {
    /// Whether it can only be judged at the end, from the histories.
    #[must_use]
    pub const fn needs_the_end(&self) -> bool {
        matches!(self, Self::Witness {} | Self::LongestSilence { .. })
    }

    /// Its kind, for reports.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AcknowledgedRate { .. } => "acknowledgedRate",
            Self::AcknowledgedRateAtMost { .. } => "acknowledgedRateAtMost",
            Self::Latency { .. } => "latency",
            Self::OneLeader {} => "oneLeader",
            Self::AllVotersInStep {} => "allVotersInStep",
            Self::EqualStates {} => "equalStates",
            Self::ConditionsTrue {} => "conditionsTrue",
            Self::Witness {} => "witness",
            Self::LeaderChanges { .. } => "leaderChanges",
            Self::LongestSilence { .. } => "longestSilence",
            Self::ApiServersAnswer {} => "apiServersAnswer",
        }
    }
}

/// What ends an experiment early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AbortCondition {
    /// No order was acknowledged for so long.
    NothingAcknowledgedFor {
        /// In milliseconds.
        ms: u64,
    },
    /// So many requests wait for their answer.
    InFlightAbove {
        /// Over all clients.
        requests: u64,
    },
}
