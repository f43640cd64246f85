//! What a fault strikes, said by role: who plays it is found out when the experiment is planned.

use serde::{Deserialize, Serialize};

/// Centers, by the role that they play when the experiment begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    /// Out of which.
    pub pool: Pool,
    /// How many of them.
    #[serde(default)]
    pub mode: Mode,
}

/// Which centers may be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pool {
    /// The leader's.
    Leader,
    /// The one in the leader's site that does not lead; the first other one where there is none.
    NearFollower,
    /// The last one that is neither the leader's nor the near follower's.
    FarFollower,
    /// All that do not lead.
    Followers,
    /// All.
    All,
    /// These, by name.
    Named(Vec<String>),
}

/// How many of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// One, chosen by the run's seed.
    #[default]
    One,
    /// All of them.
    All,
    /// So many, from the one that the seed chooses on.
    Fixed(u32),
    /// So many in a hundred, at least one.
    Percent(u8),
}

/// A process of the trading system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessKind {
    /// The replica of the trading core.
    Replica,
    /// Its gateway.
    Gateway,
    /// The Envoy that clients enter by.
    Entry,
    /// The operator.
    Operator,
    /// The controller that configures the entry.
    EntryController,
    /// The cluster's DNS.
    ClusterDns,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkEnd {
    /// The clients.
    Clients,
    /// The leader's center.
    Leader,
    /// As [`Pool::NearFollower`].
    NearFollower,
    /// As [`Pool::FarFollower`].
    FarFollower,
    /// This center.
    Center(String),
}

/// A link between two ends, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkTarget {
    /// One end.
    pub from: LinkEnd,
    /// The other.
    pub to: LinkEnd,
    /// Which connections over it.
    #[serde(default)]
    pub traffic: LinkTraffic,
    /// Which way the spoiled data flows.
    #[serde(default)]
    pub way: LinkWay,
}

/// Which connections of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkTraffic {
    /// All of them.
    #[default]
    All,
    /// Between replicas.
    Replication,
    /// From gateways to replicas, and administration.
    Orders,
}

/// Which way data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkWay {
    /// Both ways.
    #[default]
    Both,
    /// From `from` to `to` only.
    There,
    /// From `to` to `from` only.
    Back,
}
