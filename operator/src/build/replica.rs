//! The replica: its identity, its file, its two Services and its StatefulSet.

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Kind, Object, configuration, container_security, merged, object, pod_spec, probes};
use crate::names::{
    self, CONFIGURATION_ANNOTATION, Component, ORDERS_PORT, REPLICA_HTTP_PORT, REPLICATION_PORT,
};
use crate::validate::Placement;

pub(super) fn build(placed: &Placement<'_>) -> Vec<Object> {
    let core = placed.core.name_any();
    let name = names::component_name(&core, Component::Replica);
    let file = configuration::replica(placed);
    vec![
        object(
            placed,
            Kind::ServiceAccount,
            &name,
            json!({"automountServiceAccountToken": false}),
        ),
        object(
            placed,
            Kind::ConfigMap,
            &name,
            json!({"data": {"replica.json": file}}),
        ),
        object(
            placed,
            Kind::Service,
            &names::headless_name(&core),
            headless(&core),
        ),
        object(placed, Kind::Service, &name, exposure(placed, &core)),
        object(
            placed,
            Kind::StatefulSet,
            &name,
            stateful_set(placed, &core, &name, &configuration::digest(&file)),
        ),
    ]
}

fn headless(core: &str) -> Value {
    json!({"spec": {
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": names::selector(core, Component::Replica),
        "ports": [
            {"name": "replication", "port": REPLICATION_PORT, "targetPort": "replication"},
            {"name": "orders", "port": ORDERS_PORT, "targetPort": "orders"},
        ],
    }})
}

/// How other centers, and this center's gateways, reach the replica. It is not ready before it has
/// heard the others, so being not ready must not cut it off.
fn exposure(placed: &Placement<'_>, core: &str) -> Value {
    let exposure = &placed.spec().exposure;
    let port = |name: &str, port: u16, node_port: Option<u16>| {
        let mut value = json!({"name": name, "port": port, "targetPort": name});
        if let (crds::ExposureType::NodePort, Some(node_port)) = (exposure.type_, node_port) {
            value["nodePort"] = json!(node_port);
        }
        value
    };
    json!({"spec": {
        "type": exposure.type_.as_str(),
        "publishNotReadyAddresses": true,
        "selector": names::selector(core, Component::Replica),
        "ports": [
            port("replication", REPLICATION_PORT, exposure.replication_node_port),
            port("orders", ORDERS_PORT, exposure.orders_node_port),
        ],
    }})
}

fn stateful_set(placed: &Placement<'_>, core: &str, name: &str, digest: &str) -> Value {
    let spec = placed.spec();
    let selector = names::selector(core, Component::Replica);
    let mut labels = names::labels(core, &placed.own.name);
    labels.extend(selector.clone());
    let container = merged(
        json!({
            "name": "replica",
            "image": spec.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/trading-core"],
            "args": ["replica", "--config", "/etc/tricenter/replica.json"],
            "ports": [
                {"name": "replication", "containerPort": REPLICATION_PORT, "protocol": "TCP"},
                {"name": "orders", "containerPort": ORDERS_PORT, "protocol": "TCP"},
                {"name": "http", "containerPort": REPLICA_HTTP_PORT, "protocol": "TCP"},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [
                {"name": "configuration", "mountPath": "/etc/tricenter", "readOnly": true},
                {"name": "data", "mountPath": "/data"},
            ],
            "securityContext": container_security(),
        }),
        probes(),
    );
    let mut claim = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": spec.storage.size}},
    });
    if let Some(class) = &spec.storage.storage_class_name {
        claim["storageClassName"] = json!(class);
    }
    json!({"spec": {
        "replicas": 1,
        "serviceName": names::headless_name(core),
        // Only the operator restarts a replica, under the core's maintenance lease.
        "updateStrategy": {"type": "OnDelete"},
        "podManagementPolicy": "Parallel",
        // The journal outlives everything but a decision of people.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {CONFIGURATION_ANNOTATION: digest},
            },
            "spec": pod_spec(
                name,
                container,
                json!([{"name": "configuration", "configMap": {"name": name}}]),
            ),
        },
        "volumeClaimTemplates": [{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": claim,
        }],
    }})
}
