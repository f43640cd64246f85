//! `TradingCore`: one replicated trading core over the centers that it lists.
//!
//! The same object is applied to every center's cluster; each center's operator makes only its own
//! center's part of it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// Names become parts of object names, labels and metrics.
const NAME: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
// Sites are cities: `A`, `B`, `tokyo`.
const SITE: &str = r"^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$";
const ADDRESS: &str =
    r"^([A-Za-z0-9]([-A-Za-z0-9.]{0,250}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\]):[1-9][0-9]{0,4}$";
const QUANTITY: &str = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$";

/// One replicated trading core over several centers. Apply the same object to each center's
/// cluster; the operator there makes only that center's part.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "tricenter.dev",
    version = "v1alpha1",
    kind = "TradingCore",
    plural = "tradingcores",
    shortname = "tc",
    category = "tricenter",
    namespaced,
    status = "TradingCoreStatus",
    derive = "PartialEq",
    doc = "One replicated trading core over several centers. Apply the same object to each center's cluster; the operator there makes only that center's part.",
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name becomes part of other objects' names: accepted are at most 40 characters; choose a shorter one"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leaderCenter", description = "The center whose replica leads"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch", description = "The leader's term; never reused"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lagEntries", description = "Entries by which the slowest replica is behind"),
    printcolumn(name = "RPO0", type_ = "string", json_path = ".status.conditions[?(@.type==\"RpoZero\")].status", description = "Whether the loss of any one center would lose no acknowledged order"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether this center runs what was asked for and the core serves orders"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why it is ready or not", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since it was applied")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.centers.all(c, self.centers.exists_one(d, d.name == c.name))")
        .message("spec.centers: two centers have the same name; give each its own")
        .field_path(".centers"),
    validation = Rule::new("self.centers.all(c, self.centers.exists_one(d, d.replica == c.replica))")
        .message("spec.centers: two centers have the same replica number; give each its own")
        .field_path(".centers"),
    validation = Rule::new("self.centers.all(c, c.site in self.sites)")
        .message(kube::core::Message::Expression("'spec.centers: the sites of %s are not all in spec.sites; accepted are %s'.format([self.centers.map(c, c.name + ' (' + c.site + ')'), self.sites])".to_owned()))
        .field_path(".centers"),
    validation = Rule::new("self.centers.exists(c, c.name == self.primaryCenter)")
        .message(kube::core::Message::Expression("'spec.primaryCenter: %s is not in spec.centers; accepted are %s'.format([self.primaryCenter, self.centers.map(c, c.name)])".to_owned()))
        .field_path(".primaryCenter"),
    validation = Rule::new("!has(self.routes) || self.routes.all(r, self.centers.exists(c, c.name == r.from) && self.centers.exists(c, c.name == r.to))")
        .message(kube::core::Message::Expression("'spec.routes: a route names a center that is not in spec.centers; accepted are %s'.format([self.centers.map(c, c.name)])".to_owned()))
        .field_path(".routes"),
    validation = Rule::new("!has(self.routes) || self.routes.all(r, self.routes.exists_one(s, s.from == r.from && s.to == r.to))")
        .message("spec.routes: two routes lead from the same center to the same center; keep one")
        .field_path(".routes"),
    validation = Rule::new("self.centers.all(c, oldSelf.centers.all(d, c.name != d.name || (c.replica == d.replica && c.site == d.site)))")
        .message("spec.centers: the replica number and the site of a center cannot change, for its journal carries them; remove the TradingCore and its volumes to begin anew")
        .field_path(".centers"),
    validation = Rule::new("oldSelf.centers.all(d, self.centers.exists(c, c.name == d.name))")
        .message("spec.centers: a center cannot be replaced, for its replica votes; accepted are the centers of the first apply")
        .field_path(".centers"),
    validation = Rule::new("2 * self.timing.electionTimeoutMsMax + 1000 <= 1000 * self.objective.rtoSeconds")
        .message(kube::core::Message::Expression("'spec.timing cannot meet spec.objective.rtoSeconds: detect %d ms + elect (one split vote) %d ms + replay and re-route 1000 ms = %d ms, more than %d ms; lower electionTimeoutMsMax or raise rtoSeconds'.format([self.timing.electionTimeoutMsMax, self.timing.electionTimeoutMsMax, 2 * self.timing.electionTimeoutMsMax + 1000, 1000 * self.objective.rtoSeconds])".to_owned()))
        .field_path(".timing"),
    validation = Rule::new("self.exposure.type != 'NodePort' || (has(self.exposure.replicationNodePort) && has(self.exposure.ordersNodePort))")
        .message("spec.exposure: type NodePort needs replicationNodePort and ordersNodePort, for the other centers' objects name them; set both (most clusters take 30000 to 32767)")
        .field_path(".exposure")
)]
pub struct TradingCoreSpec {
    /// The name of the replicated log. Every journal, session and metric carries it, so it cannot
    /// change.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.cluster cannot change, for every journal carries it; remove the TradingCore and its volumes to begin anew"))]
    pub cluster: String,
    /// The image of trading-core, for replicas and gateways. Changing it restarts the gateways, and
    /// the replicas one at a time.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// The center whose replica should lead when all is well.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub primary_center: String,
    /// When leadership goes back to the primary center.
    #[serde(default)]
    pub hand_back: HandBack,
    /// The sites (cities), each with one or more centers.
    #[schemars(length(min = 1, max = 8), inner(regex(pattern = SITE), length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub sites: Vec<String>,
    /// The centers: three, each with its own cluster and one replica that votes.
    #[schemars(length(min = 3, max = 3))]
    pub centers: Vec<Center>,
    /// Addresses that differ with where one stands: each overrides the addresses of `to` as seen
    /// from `from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub routes: Vec<Route>,
    /// How a replica is reached from other centers.
    #[serde(default)]
    pub exposure: Exposure,
    /// Heartbeats and election timeouts.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new("self.tickMs <= self.heartbeatMs")
            .message(kube::core::Message::Expression("'spec.timing.tickMs is %d: accepted are at most heartbeatMs, %d'.format([self.tickMs, self.heartbeatMs])".to_owned())),
        validation = Rule::new("3 * self.heartbeatMs <= self.electionTimeoutMsMin")
            .message(kube::core::Message::Expression("'spec.timing.electionTimeoutMsMin is %d: accepted are at least three heartbeats, %d, so that one lost heartbeat elects nobody'.format([self.electionTimeoutMsMin, 3 * self.heartbeatMs])".to_owned())),
        validation = Rule::new("self.electionTimeoutMsMin < self.electionTimeoutMsMax")
            .message(kube::core::Message::Expression("'spec.timing.electionTimeoutMsMax is %d: accepted are more than electionTimeoutMsMin, %d, so that votes do not split for ever'.format([self.electionTimeoutMsMax, self.electionTimeoutMsMin])".to_owned()))
    )]
    pub timing: Timing,
    /// How the log is kept on disk.
    #[serde(default)]
    pub journal: Journal,
    /// The volume of each replica.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.storage cannot change, for a StatefulSet's volumes cannot; resize the claims themselves"))]
    pub storage: Storage,
    /// What a failover may cost.
    #[serde(default)]
    pub objective: Objective,
    /// Where clients come in.
    #[serde(default)]
    pub entry: Entry,
    /// When an order counts as committed.
    #[serde(default)]
    pub commit_policy: CommitPolicy,
    /// While true the operator changes nothing, hands nothing back and restarts nothing; it goes
    /// on reporting.
    #[serde(default)]
    pub paused: bool,
}

/// When leadership goes back to the primary center.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HandBack {
    /// Automatic: once the primary's replica is caught up and all voters have been in step for
    /// afterSeconds. Manual: somebody asks for it.
    pub policy: HandBackPolicy,
    /// How long all must have been well, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub after_seconds: u32,
}

impl Default for HandBack {
    fn default() -> Self {
        Self {
            policy: HandBackPolicy::Automatic,
            after_seconds: 120,
        }
    }
}

/// Who hands leadership back.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum HandBackPolicy {
    /// The operator of the primary center.
    Automatic,
    /// People.
    Manual,
}

/// One center.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Center {
    /// Its name; the operator there is started with it.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub name: String,
    /// The site it is in, one of spec.sites.
    #[schemars(regex(pattern = SITE), length(max = 63))]
    pub site: String,
    /// The number of its replica. It cannot change, for the replica's journal carries it.
    #[schemars(range(min = 1, max = 9))]
    pub replica: u64,
    /// Where the other centers reach its replica.
    pub addresses: CenterAddresses,
}

/// Where a replica is reached.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CenterAddresses {
    /// Replication between replicas, as host:port.
    #[schemars(regex(pattern = ADDRESS), length(max = 260))]
    pub replication: String,
    /// Orders from gateways, and administration, as host:port.
    #[schemars(regex(pattern = ADDRESS), length(max = 260))]
    pub orders: String,
}

/// The addresses of one center as seen from another.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The center in which one stands.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub from: String,
    /// The center to which it leads.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub to: String,
    /// Replication between replicas, as host:port.
    #[schemars(regex(pattern = ADDRESS), length(max = 260))]
    pub replication: String,
    /// Orders from gateways, and administration, as host:port.
    #[schemars(regex(pattern = ADDRESS), length(max = 260))]
    pub orders: String,
}

/// How a replica is reached from other centers.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// The type of the Service before the replica. ClusterIP is for networks that join the
    /// clusters' service addresses.
    #[serde(rename = "type")]
    pub type_: ExposureType,
    /// The node port of replication, with type NodePort.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub replication_node_port: Option<u16>,
    /// The node port of orders and administration, with type NodePort.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub orders_node_port: Option<u16>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            type_: ExposureType::LoadBalancer,
            replication_node_port: None,
            orders_node_port: None,
        }
    }
}

/// The type of the Service before the replica.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum ExposureType {
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
    /// An address of the cluster only.
    ClusterIP,
}

impl ExposureType {
    /// The word in the Service.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ClusterIP => "ClusterIP",
        }
    }
}

/// Heartbeats and election timeouts.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timing {
    /// The replica's clock tick, in milliseconds.
    #[schemars(range(min = 1, max = 1000))]
    pub tick_ms: u32,
    /// How often a leader tells that it is there, in milliseconds.
    #[schemars(range(min = 1, max = 10000))]
    pub heartbeat_ms: u32,
    /// The least silence after which a follower misses its leader, in milliseconds.
    #[schemars(range(min = 1, max = 60000))]
    pub election_timeout_ms_min: u32,
    /// The greatest silence after which a follower misses its leader, in milliseconds.
    #[schemars(range(min = 1, max = 60000))]
    pub election_timeout_ms_max: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick_ms: 10,
            heartbeat_ms: 100,
            election_timeout_ms_min: 500,
            election_timeout_ms_max: 900,
        }
    }
}

/// How the log is kept on disk.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Journal {
    /// The size of one file of the journal, in bytes.
    #[schemars(range(min = 1_048_576, max = 1_073_741_824))]
    pub segment_bytes: u64,
    /// Entries between two snapshots.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub snapshot_every_entries: u64,
    /// Entries kept behind the last snapshot, so that a replica that was away for a short time
    /// needs no snapshot.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub retain_entries: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            segment_bytes: 67_108_864,
            snapshot_every_entries: 20_000,
            retain_entries: 10_000,
        }
    }
}

/// The volume of each replica.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Storage {
    /// How much to ask for, such as 10Gi.
    #[schemars(regex(pattern = QUANTITY), length(max = 32))]
    pub size: String,
    /// The storage class; without it the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: "10Gi".to_owned(),
            storage_class_name: None,
        }
    }
}

/// What a failover may cost.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Objective {
    /// From a fault to the first order that the new leader accepts, in seconds. Timers that cannot
    /// meet it are refused.
    #[schemars(range(min = 1, max = 300))]
    pub rto_seconds: u32,
    /// Acknowledged orders that may be lost with one center. The Metro policy loses none, so
    /// nothing but 0 is accepted.
    #[schemars(range(min = 0, max = 0))]
    pub rpo_orders: u32,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            rto_seconds: 30,
            rpo_orders: 0,
        }
    }
}

/// Where clients come in.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// The GatewayClass of the Gateway in each center.
    #[schemars(length(min = 1, max = 253))]
    pub gateway_class_name: String,
    /// The Gateway's port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Gateway pods in each center.
    #[schemars(range(min = 1, max = 16))]
    pub gateway_replicas: i32,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            gateway_class_name: "tricenter".to_owned(),
            port: 7003,
            gateway_replicas: 2,
        }
    }
}

/// When an order counts as committed.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Default)]
pub enum CommitPolicy {
    /// A majority of the replicas has it on disk: no loss with any one center.
    #[default]
    Metro,
}

/// What this center's operator last saw.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TradingCoreStatus {
    /// The generation of the object that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions: Ready, Available, LeaderKnown, ReplicasInStep, RpoZero and EntryReady, and
    /// Reconciling or Stalled only while they hold. Without data a condition is Unknown.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The number of the replica that leads. Absent when none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
    /// The center of the replica that leads. Absent when none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_center: Option<String>,
    /// The leader's term; never reused. Absent when no replica could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Entries by which the slowest replica is behind the leader. Absent when no leader is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_entries: Option<u64>,
    /// Whether the loss of any one center would lose no acknowledged order. Absent when that is
    /// not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo_zero: Option<bool>,
    /// The replicas as this center sees them.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["replica"]))]
    pub replicas: Vec<ReplicaSummary>,
    /// The last change of leader that this center knows of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failover: Option<LastFailover>,
    /// Since when hand-back has been possible without a break (RFC 3339). Absent while it is not
    /// possible or not wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_back_ready_since: Option<String>,
}

/// One statement about the object.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the statement is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, in one word for programs.
    pub reason: String,
    /// Why, in one sentence for people.
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the object that the statement is about.
    #[serde(default)]
    pub observed_generation: i64,
}

/// Whether a condition holds.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// There is no data.
    Unknown,
}

impl ConditionStatus {
    /// `True` or `False`.
    #[must_use]
    pub const fn from_bool(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a replica is to its group.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum ReplicaRole {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It asks for votes, or whether others miss the leader too.
    Candidate,
    /// It could not be asked.
    Unknown,
}

/// One replica as this center sees it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSummary {
    /// The number of the replica.
    pub replica: u64,
    /// The center it is in.
    pub center: String,
    /// What it is to its group.
    pub role: ReplicaRole,
    /// The epoch it knows. Absent when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The last entry of the log that it applied. Absent when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_index: Option<u64>,
    /// Entries by which it is behind the leader, as the leader says. Absent when no leader says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_entries: Option<u64>,
    /// The version of its software. Absent when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What one change of leader cost, as the new leader measured it with its own clock.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailover {
    /// The epoch that began with it.
    pub epoch: u64,
    /// The center that led before. Absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The center that leads since.
    pub to: String,
    /// When the new leader began to serve (RFC 3339).
    pub at: String,
    /// From missing the old leader to asking for votes, in milliseconds.
    pub detect_ms: u64,
    /// From asking for votes to a quorum's answer, in milliseconds: the old epoch is fenced then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_ms: Option<u64>,
    /// From asking for votes to being elected, in milliseconds.
    pub elect_ms: u64,
    /// From being elected to having applied all that was committed, in milliseconds.
    pub replay_ms: u64,
    /// Whether it was asked for rather than caused by silence.
    pub planned: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fill_what_a_short_object_leaves_out() {
        let spec: TradingCoreSpec = serde_json::from_value(serde_json::json!({
            "cluster": "lab", "image": "i", "primaryCenter": "a1", "sites": ["A"], "centers": [],
        }))
        .unwrap();
        assert_eq!(spec.timing, Timing::default());
        assert_eq!(spec.hand_back.after_seconds, 120);
        assert!(!spec.paused);
    }

    #[test]
    fn the_default_timers_meet_the_default_objective() {
        let (timing, objective) = (Timing::default(), Objective::default());
        assert!(2 * timing.election_timeout_ms_max + 1000 <= objective.rto_seconds * 1000);
    }
}
