//! What may be evicted, and which flows are allowed.
//!
//! ```text
//!  other centers ──7001,7002──► replica ──► replication and orders ports of the members, DNS
//!  Envoy ──7003──► gateway ──► orders ports of the members, DNS
//!  monitoring ──9100, 9101──► both
//! ```

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Kind, Object, object};
use crate::names::{
    self, Component, GATEWAY_HTTP_PORT, GATEWAY_PORT, ORDERS_PORT, REPLICA_HTTP_PORT,
    REPLICATION_PORT,
};
use crate::validate::{Placement, port};

pub(super) fn build(placed: &Placement<'_>) -> Vec<Object> {
    let core = placed.core.name_any();
    [Component::Replica, Component::Gateway]
        .into_iter()
        .flat_map(|component| {
            let name = names::component_name(&core, component);
            [
                object(
                    placed,
                    Kind::PodDisruptionBudget,
                    &name,
                    disruption_budget(&core, component),
                ),
                object(
                    placed,
                    Kind::NetworkPolicy,
                    &name,
                    network_policy(placed, &core, component),
                ),
            ]
        })
        .collect()
}

/// A replica leaves only under the core's maintenance lease, so an eviction never takes it.
fn disruption_budget(core: &str, component: Component) -> Value {
    let unavailable_max = match component {
        Component::Replica => 0,
        Component::Gateway => 1,
    };
    json!({"spec": {
        "maxUnavailable": unavailable_max,
        "selector": {"matchLabels": names::selector(core, component)},
    }})
}

fn network_policy(placed: &Placement<'_>, core: &str, component: Component) -> Value {
    let tcp = |port: u16| json!({"protocol": "TCP", "port": port});
    // What comes from another center carries a node's address, so it cannot be told by pod.
    let ingress = match component {
        Component::Replica => json!([{
            "ports": [tcp(REPLICATION_PORT), tcp(ORDERS_PORT), tcp(REPLICA_HTTP_PORT)],
        }]),
        Component::Gateway => json!([
            {"from": [{"namespaceSelector": {}}], "ports": [tcp(GATEWAY_PORT)]},
            {"ports": [tcp(GATEWAY_HTTP_PORT)]},
        ]),
    };
    // Behind a Service address a packet is judged by the port of the container.
    let mut ports = BTreeSet::from([ORDERS_PORT]);
    for center in &placed.spec().centers {
        let addresses = placed.addresses(center);
        ports.extend(port(&addresses.orders));
        if component == Component::Replica {
            ports.insert(REPLICATION_PORT);
            ports.extend(port(&addresses.replication));
        }
    }
    let members: Vec<Value> = ports.into_iter().map(tcp).collect();
    json!({"spec": {
        "podSelector": {"matchLabels": names::selector(core, component)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": [
            {"ports": members},
            {"ports": [{"protocol": "UDP", "port": 53}, tcp(53)]},
        ],
    }})
}
