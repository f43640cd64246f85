//! What the lab itself puts into a center's Kubernetes, as values: cluster DNS, the gateway class,
//! and texts read into objects.

use serde_json::{Value, json};

use super::address_plan::{Center, ENTRY_NODE_PORT};

/// The gateway class that a `TradingCore` asks for.
pub const GATEWAY_CLASS: &str = "tricenter";
/// The port of the gateway's listener that clients reach through the node port.
pub const ENTRY_PORT: u16 = 7003;
/// The controller of the gateway class.
const GATEWAY_CONTROLLER: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// A manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {name} as Kubernetes objects: {source}")]
pub struct Error {
    name: String,
    source: crds::yaml::YamlError,
}

/// Reads a text of several YAML documents; empty ones are dropped.
pub fn read(name: &str, text: &str) -> Result<Vec<Value>, Error> {
    crds::yaml::read_all(text).map_err(|source| Error {
        name: name.to_owned(),
        source,
    })
}

/// Cluster DNS: without it Envoy never finds its control plane.
#[must_use]
pub fn cluster_dns(center: Center) -> Vec<Value> {
    let labels = json!({"app": "coredns"});
    let metadata = json!({"name": "coredns", "namespace": "kube-system"});
    let configuration = ".:53 {\n  errors\n  health :8080 {\n    lameduck 0s\n  }\n  ready :8181\n  \
                         kubernetes cluster.local in-addr.arpa {\n    pods insecure\n  }\n  \
                         cache 10\n}\n";
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "tricenter:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"],
                 "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
                 "verbs": ["list", "watch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "tricenter:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "tricenter:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns",
                          "namespace": "kube-system"}],
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": {"Corefile": configuration},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {
                "clusterIP": center.dns_service_address(),
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": cluster_dns_pod(),
                },
            },
        }),
    ]
}

fn cluster_dns_pod() -> Value {
    json!({
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "coredns",
            "image": lab_parts::COREDNS_IMAGE,
            "imagePullPolicy": "Never",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [
                {"containerPort": 53, "name": "dns", "protocol": "UDP"},
                {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            ],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
        }],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    })
}

/// Probes each second: a center that comes back must not wait for a probe's next turn.
fn eager_container(name: &str) -> Value {
    json!({
        "name": name,
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"periodSeconds": 1},
    })
}

/// Makes the readiness probes of deployments ask at once and each second.
#[must_use]
pub fn with_eager_probes(mut objects: Vec<Value>) -> Vec<Value> {
    for object in objects.iter_mut().filter(|it| it["kind"] == "Deployment") {
        let containers = object
            .pointer_mut("/spec/template/spec/containers")
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(probe) = container.get_mut("readinessProbe") {
                probe["initialDelaySeconds"] = json!(0);
                probe["periodSeconds"] = json!(1);
            }
        }
    }
    objects
}

/// The gateway class, and how its Envoys are run: small, and on the node port that the clients'
/// link leads to.
#[must_use]
pub fn gateway_class(namespace: &str) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy",
            "metadata": {"name": GATEWAY_CLASS, "namespace": namespace},
            "spec": {
                "concurrency": 1,
                // Envoy starts beside cluster DNS when a center comes back, and its first look-ups
                // fail: it must not wait for its usual 5 s after each.
                "bootstrap": {"type": "JSONPatch", "jsonPatches": [{
                    "op": "add",
                    "jsonPath": "$.static_resources.clusters[?(@.name=='xds_cluster')]",
                    "path": "/dns_failure_refresh_rate",
                    "value": {"base_interval": "0.2s", "max_interval": "0.5s"},
                }]},
                "shutdown": {"drainTimeout": "2s", "minDrainDuration": "0s"},
                "provider": {"type": "Kubernetes", "kubernetes": {
                    "envoyService": {
                        "type": "NodePort",
                        // Refuses where no Envoy is ready; "Local" would drop in silence.
                        "externalTrafficPolicy": "Cluster",
                        "patch": {"type": "StrategicMerge", "value": {"spec": {"ports": [
                            {"port": ENTRY_PORT, "nodePort": ENTRY_NODE_PORT, "protocol": "TCP"},
                        ]}}},
                    },
                    "envoyDeployment": {
                        "patch": {"type": "StrategicMerge", "value": {"spec": {"template": {
                            "spec": {"containers": [
                                eager_container("envoy"), eager_container("shutdown-manager"),
                            ]},
                        }}}},
                        "container": {
                            "image": lab_parts::ENVOY_IMAGE,
                            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                        },
                    },
                }},
            },
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": GATEWAY_CLASS},
            "spec": {
                "controllerName": GATEWAY_CONTROLLER,
                "parametersRef": {
                    "group": "gateway.envoyproxy.io", "kind": "EnvoyProxy",
                    "name": GATEWAY_CLASS, "namespace": namespace,
                },
            },
        }),
    ]
}

/// An object's kind and name, for people.
#[must_use]
pub fn title(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    format!(
        "{} {}",
        text("/kind").unwrap_or("object without kind"),
        text("/metadata/name").unwrap_or("without name")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_apart_and_empty_ones_dropped() {
        let text = "---\n# nothing\n---\nkind: A\nmetadata: {name: x}\n---\nkind: B\n";
        let objects = read("test", text).unwrap();
        assert_eq!(
            objects.iter().map(title).collect::<Vec<_>>(),
            ["A x", "B without name"]
        );
    }

    #[test]
    fn a_torn_text_is_refused_with_its_name() {
        let error = read("chart", "kind: [").unwrap_err().to_string();
        assert!(error.contains("failed to read chart"), "{error}");
    }

    #[test]
    fn only_probes_that_are_there_are_made_eager() {
        let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "containers": [{"readinessProbe": {"periodSeconds": 10}}, {"name": "plain"}],
        }}}});
        let eager = with_eager_probes(vec![deployment]);
        let containers = &eager[0]["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["readinessProbe"]["periodSeconds"], 1);
        assert_eq!(containers[1], json!({"name": "plain"}));
    }

    #[test]
    fn each_center_has_its_own_dns_address() {
        let text = json!(cluster_dns(Center::B1)).to_string();
        assert!(text.contains("10.93.0.10"), "{text}");
    }
}
