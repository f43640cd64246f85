//! The gateways: their identity, their file, their Service and their Deployment.

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Kind, Object, configuration, container_security, merged, object, pod_spec, probes};
use crate::names::{self, CONFIGURATION_ANNOTATION, Component, GATEWAY_HTTP_PORT, GATEWAY_PORT};
use crate::validate::Placement;

pub(super) fn build(placed: &Placement<'_>) -> Vec<Object> {
    let core = placed.core.name_any();
    let name = names::component_name(&core, Component::Gateway);
    let file = configuration::gateway(placed);
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
            json!({"data": {"gateway.json": file}}),
        ),
        object(placed, Kind::Service, &name, service(&core)),
        object(
            placed,
            Kind::Deployment,
            &name,
            deployment(placed, &core, &name, &configuration::digest(&file)),
        ),
    ]
}

fn service(core: &str) -> Value {
    json!({"spec": {
        "type": "ClusterIP",
        "selector": names::selector(core, Component::Gateway),
        "ports": [{
            "name": "grpc",
            "port": GATEWAY_PORT,
            "targetPort": "grpc",
            "appProtocol": "kubernetes.io/h2c",
        }],
    }})
}

fn deployment(placed: &Placement<'_>, core: &str, name: &str, digest: &str) -> Value {
    let spec = placed.spec();
    let selector = names::selector(core, Component::Gateway);
    let mut labels = names::labels(core, &placed.own.name);
    labels.extend(selector.clone());
    let container = merged(
        json!({
            "name": "gateway",
            "image": spec.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/trading-core"],
            "args": ["gateway", "--config", "/etc/tricenter/gateway.json"],
            "ports": [
                {"name": "grpc", "containerPort": GATEWAY_PORT, "protocol": "TCP"},
                {"name": "http", "containerPort": GATEWAY_HTTP_PORT, "protocol": "TCP"},
            ],
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
            "volumeMounts": [
                {"name": "configuration", "mountPath": "/etc/tricenter", "readOnly": true},
            ],
            "securityContext": container_security(),
        }),
        probes(),
    );
    json!({"spec": {
        "replicas": spec.entry.gateway_replicas,
        // The new one serves before the old one goes.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
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
    }})
}
