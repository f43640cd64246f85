//! This center's objects, built from a placement. Pure: the same placement always gives the same
//! objects.
//!
//! ```text
//!  ServiceAccounts   ConfigMaps ──digest──► StatefulSet (replica) ◄── Services ── other centers
//!                         └──────digest──► Deployment (gateways) ◄── Service ◄── GRPCRoute ◄── Gateway
//!  PodDisruptionBudgets, NetworkPolicies for both; traffic policies where Envoy Gateway is there
//! ```

mod configuration;
mod entry;
mod gateway;
mod policy;
mod replica;

use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use kube::{Resource, ResourceExt};
use serde_json::{Map, Value, json};

use crate::names;
use crate::validate::Placement;

pub use configuration::digest;
pub(crate) use configuration::priority;

/// The kinds that the operator applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An identity without rights.
    ServiceAccount,
    /// Configuration files.
    ConfigMap,
    /// An address.
    Service,
    /// The replica.
    StatefulSet,
    /// The gateways.
    Deployment,
    /// What an eviction may take.
    PodDisruptionBudget,
    /// Which flows are allowed.
    NetworkPolicy,
    /// The entry.
    Gateway,
    /// From the entry to the gateways.
    GrpcRoute,
    /// Envoy Gateway: towards the gateways.
    BackendTrafficPolicy,
    /// Envoy Gateway: towards the clients.
    ClientTrafficPolicy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::StatefulSet,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::Gateway,
        Self::GrpcRoute,
        Self::BackendTrafficPolicy,
        Self::ClientTrafficPolicy,
    ];

    /// Group, version, kind and plural.
    #[must_use]
    pub const fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::PodDisruptionBudget => (
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::Gateway => ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
            Self::GrpcRoute => ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
            Self::BackendTrafficPolicy => (
                "gateway.envoyproxy.io",
                "v1alpha1",
                "BackendTrafficPolicy",
                "backendtrafficpolicies",
            ),
            Self::ClientTrafficPolicy => (
                "gateway.envoyproxy.io",
                "v1alpha1",
                "ClientTrafficPolicy",
                "clienttrafficpolicies",
            ),
        }
    }

    /// The kind as the API client knows it.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// What the cluster offers beyond Kubernetes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// `Gateway` and `GRPCRoute` of the Gateway API.
    pub gateway_api: bool,
    /// `BackendTrafficPolicy` and `ClientTrafficPolicy` of Envoy Gateway.
    pub envoy_gateway: bool,
}

/// One object to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The whole of what is applied.
    pub value: Value,
}

/// Every object of this center, in the order in which they are applied.
#[must_use]
pub fn build(placed: &Placement<'_>, offers: Offers) -> Vec<Object> {
    let mut objects = Vec::new();
    objects.extend(replica::build(placed));
    objects.extend(gateway::build(placed));
    objects.extend(policy::build(placed));
    objects.extend(entry::build(placed, offers));
    objects
}

/// The same objects with a replica that does not run: a takeover works on its disk.
pub fn hold(objects: &mut [Object]) {
    for object in objects {
        if object.kind == Kind::StatefulSet {
            object.value["spec"]["replicas"] = json!(0);
        }
    }
}

/// An object of `kind` with our labels and owner; `rest` holds `spec`, `data` and the like.
fn object(placed: &Placement<'_>, kind: Kind, name: &str, rest: Value) -> Object {
    let (group, version, kind_name, _) = kind.parts();
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let core = placed.core;
    let mut value = Map::new();
    value.insert("apiVersion".to_owned(), json!(api_version));
    value.insert("kind".to_owned(), json!(kind_name));
    value.insert(
        "metadata".to_owned(),
        json!({
            "name": name,
            "namespace": placed.namespace,
            "labels": names::labels(&core.name_any(), &placed.own.name),
            "ownerReferences": core.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        }),
    );
    if let Value::Object(rest) = rest {
        value.extend(rest);
    }
    Object {
        kind,
        name: name.to_owned(),
        value: Value::Object(value),
    }
}

/// What the pods of both components have in common, under the restricted pod security level.
fn pod_spec(service_account: &str, container: Value, volumes: Value) -> Value {
    // Trading goes on while the control plane is silent, so a node that only stopped reporting
    // keeps its pods.
    let stay = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute"});
    json!({
        "serviceAccountName": service_account,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            stay("node.kubernetes.io/unreachable"),
            stay("node.kubernetes.io/not-ready"),
        ],
        "containers": [container],
        "volumes": volumes,
    })
}

/// A container's share of the restricted level.
fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// Startup waits for a long log to be read; liveness is patient, for a restart costs more than a
/// slow disk; readiness is quick.
fn probes() -> Value {
    let get = |path: &str| json!({"path": path, "port": "http"});
    json!({
        "startupProbe": {
            "httpGet": get("/healthz"), "periodSeconds": 1, "timeoutSeconds": 1,
            "failureThreshold": 300,
        },
        "livenessProbe": {
            "httpGet": get("/healthz"), "periodSeconds": 5, "timeoutSeconds": 3,
            "failureThreshold": 6,
        },
        "readinessProbe": {
            "httpGet": get("/readyz"), "periodSeconds": 1, "timeoutSeconds": 1,
            "failureThreshold": 3,
        },
    })
}

/// One JSON object laid over another.
fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::{tests::core, validate};
    use k8s_openapi::api::apps::v1::StatefulSet;

    const ALL: Offers = Offers {
        gateway_api: true,
        envoy_gateway: true,
    };

    fn built(center: &str) -> Vec<Object> {
        build(&validate(&core(), center).unwrap(), ALL)
    }

    fn find(objects: &[Object], kind: Kind, name: &str) -> Value {
        objects
            .iter()
            .find(|object| object.kind == kind && object.name == name)
            .unwrap_or_else(|| panic!("no {kind:?} {name}"))
            .value
            .clone()
    }

    #[test]
    fn the_same_object_gives_the_same_objects() {
        assert_eq!(built("a1"), built("a1"));
    }

    #[test]
    fn every_object_has_its_owner_and_labels_and_a_name_of_its_own() {
        let objects = built("b1");
        let mut names = std::collections::BTreeSet::new();
        for object in &objects {
            let metadata = &object.value["metadata"];
            assert_eq!(metadata["ownerReferences"][0]["kind"], "TradingCore");
            assert_eq!(metadata["ownerReferences"][0]["controller"], true);
            assert_eq!(metadata["labels"]["tricenter.dev/center"], "b1");
            assert!(names.insert((object.kind, object.name.clone())));
        }
    }

    #[test]
    fn kinds_that_the_cluster_lacks_are_left_out() {
        let core = core();
        let placed = validate(&core, "a1").unwrap();
        let bare = build(&placed, Offers::default());
        assert!(bare.iter().all(|object| object.kind < Kind::Gateway));
        let without_envoy = build(
            &placed,
            Offers {
                gateway_api: true,
                envoy_gateway: false,
            },
        );
        assert_eq!(without_envoy.len(), bare.len() + 2);
        assert_eq!(built("a1").len(), bare.len() + 4);
    }

    #[test]
    fn the_replica_is_never_replaced_by_the_cluster_and_keeps_to_its_node() {
        let value = find(&built("a2"), Kind::StatefulSet, "core-replica");
        let set: StatefulSet = serde_json::from_value(value).unwrap();
        let spec = set.spec.unwrap();
        assert_eq!(spec.replicas, Some(1));
        assert_eq!(
            spec.update_strategy.unwrap().type_.as_deref(),
            Some("OnDelete")
        );
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.termination_grace_period_seconds, Some(15));
        assert_eq!(pod.automount_service_account_token, Some(false));
        for toleration in pod.tolerations.unwrap() {
            assert_eq!(toleration.toleration_seconds, None);
        }
        let container = &pod.containers[0];
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(
            container.command.as_deref(),
            Some(&["/trading-core".to_owned()][..])
        );
    }

    #[test]
    fn a_held_replica_has_no_pod_and_all_else_is_as_it_was() {
        let (mut held, free) = (built("b1"), built("b1"));
        hold(&mut held);
        let differing: Vec<_> = held.iter().zip(&free).filter(|(a, b)| a != b).collect();
        assert_eq!(differing.len(), 1);
        assert_eq!(differing[0].0.kind, Kind::StatefulSet);
        assert_eq!(differing[0].0.value["spec"]["replicas"], 0);
    }

    #[test]
    fn a_change_of_the_configuration_changes_the_template() {
        let mut core = core();
        let before = build(&validate(&core, "a1").unwrap(), ALL);
        core.spec.timing.heartbeat_ms += 1;
        let after = build(&validate(&core, "a1").unwrap(), ALL);
        let annotation = |objects: &[Object]| {
            find(objects, Kind::StatefulSet, "core-replica")["spec"]["template"]["metadata"]
                ["annotations"][names::CONFIGURATION_ANNOTATION]
                .clone()
        };
        assert_ne!(annotation(&before), annotation(&after));
        // Gateways know nothing of heartbeats, so they are left alone.
        assert_eq!(
            find(&before, Kind::Deployment, "core-gateway"),
            find(&after, Kind::Deployment, "core-gateway")
        );
    }

    #[test]
    fn the_replicas_file_is_what_the_replica_reads() {
        let config = find(&built("b1"), Kind::ConfigMap, "core-replica");
        let file: Value =
            serde_json::from_str(config["data"]["replica.json"].as_str().unwrap()).unwrap();
        assert_eq!(file["replica"], 3);
        assert_eq!(file["center"], "b1");
        assert_eq!(file["members"][0]["replication"], "10.99.0.1:17311");
        assert_eq!(
            file["members"][2]["orders"],
            "core-replica.trading.svc:7002"
        );
        // The primary first, then its site, then the others.
        let priorities: Vec<u64> = file["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["priority"].as_u64().unwrap())
            .collect();
        assert_eq!(priorities, [3, 2, 1]);
    }

    #[test]
    fn the_exposure_follows_the_object() {
        let service = find(&built("a1"), Kind::Service, "core-replica");
        assert_eq!(service["spec"]["type"], "NodePort");
        assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
        assert_eq!(service["spec"]["ports"][0]["nodePort"], 30701);
        assert_eq!(service["spec"]["ports"][1]["nodePort"], 30702);
        let mut core = core();
        core.spec.exposure.type_ = crds::ExposureType::ClusterIP;
        let objects = build(&validate(&core, "a1").unwrap(), ALL);
        let service = find(&objects, Kind::Service, "core-replica");
        assert_eq!(service["spec"]["type"], "ClusterIP");
        assert!(service["spec"]["ports"][0].get("nodePort").is_none());
    }

    #[test]
    fn only_listed_ports_may_be_dialled() {
        let policy = find(&built("a1"), Kind::NetworkPolicy, "core-gateway");
        let text = policy["spec"]["egress"].to_string();
        for port in ["53", "7002", "17122", "17132"] {
            assert!(text.contains(port), "{port} is missing from {text}");
        }
        assert!(!text.contains("17121"), "gateways do not replicate: {text}");
    }

    #[test]
    fn long_streams_are_never_timed_out() {
        let objects = built("a1");
        let backend = find(&objects, Kind::BackendTrafficPolicy, "core");
        assert_eq!(backend["spec"]["timeout"]["http"]["requestTimeout"], "0s");
        assert_eq!(
            backend["spec"]["timeout"]["http"]["streamIdleTimeout"],
            "0s"
        );
        let client = find(&objects, Kind::ClientTrafficPolicy, "core");
        assert_eq!(client["spec"]["timeout"]["http"]["streamIdleTimeout"], "0s");
    }
}
