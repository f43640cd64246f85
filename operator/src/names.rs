//! What the operator's objects are called, and how they are labelled.

use std::collections::BTreeMap;

/// The field manager of everything that the operator applies, and the source of its events.
pub const FIELD_MANAGER: &str = "tricenter-operator";
/// Digest of the configuration that a pod template was made for.
pub const CONFIGURATION_ANNOTATION: &str = "tricenter.dev/configuration";

/// Container port of replication.
pub const REPLICATION_PORT: u16 = 7001;
/// Container port of orders and administration.
pub const ORDERS_PORT: u16 = 7002;
/// Container port of a gateway.
pub const GATEWAY_PORT: u16 = 7003;
/// Container port of a replica's metrics and health.
pub const REPLICA_HTTP_PORT: u16 = 9100;
/// Container port of a gateway's metrics and health.
pub const GATEWAY_HTTP_PORT: u16 = 9101;

/// The two kinds of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The replica, in a StatefulSet of one.
    Replica,
    /// The gateways, in a Deployment.
    Gateway,
}

impl Component {
    /// The value of its label and the suffix of its objects' names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Gateway => "gateway",
        }
    }
}

/// The name of a component's objects: `core-replica`, `core-gateway`.
#[must_use]
pub fn component_name(core: &str, component: Component) -> String {
    format!("{core}-{}", component.as_str())
}

/// The headless Service that gives the replica's pod its name.
#[must_use]
pub fn headless_name(core: &str) -> String {
    format!("{core}-replica-pods")
}

/// The replica's only pod.
#[must_use]
pub fn replica_pod_name(core: &str) -> String {
    format!("{core}-replica-0")
}

/// The labels by which a component's pods are found; they never change.
#[must_use]
pub fn selector(core: &str, component: Component) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "trading-core"),
        ("app.kubernetes.io/instance", core),
        ("app.kubernetes.io/component", component.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The labels of every object that belongs to a core.
#[must_use]
pub fn labels(core: &str, center: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "trading-core"),
        ("app.kubernetes.io/instance", core),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER),
        ("tricenter.dev/center", center),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
