//! The configuration files of replicas and gateways.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crds::Center;

use crate::names::{
    GATEWAY_HTTP_PORT, GATEWAY_PORT, ORDERS_PORT, REPLICA_HTTP_PORT, REPLICATION_PORT,
};
use crate::validate::Placement;

/// The first form has one shard.
const SHARD: u16 = 0;

/// How willingly a center leads: the primary first, then the others of its site, then the rest.
pub(crate) fn priority(placed: &Placement<'_>, center: &Center) -> u32 {
    let spec = placed.spec();
    let primary_site = spec
        .centers
        .iter()
        .find(|listed| listed.name == spec.primary_center)
        .map(|listed| listed.site.as_str());
    if center.name == spec.primary_center {
        3
    } else if Some(center.site.as_str()) == primary_site {
        2
    } else {
        1
    }
}

fn everywhere(port: u16) -> String {
    format!("0.0.0.0:{port}")
}

/// `replica.json`.
pub(super) fn replica(placed: &Placement<'_>) -> String {
    let spec = placed.spec();
    let members: Vec<Value> = spec
        .centers
        .iter()
        .map(|center| {
            let addresses = placed.addresses(center);
            json!({
                "replica": center.replica,
                "center": center.name,
                "site": center.site,
                "replication": addresses.replication,
                "orders": addresses.orders,
                "priority": priority(placed, center),
            })
        })
        .collect();
    text(&json!({
        "cluster": spec.cluster,
        "shard": SHARD,
        "replica": placed.own.replica,
        "center": placed.own.name,
        "site": placed.own.site,
        "data_directory": "/data",
        "listen": {
            "replication": everywhere(REPLICATION_PORT),
            "orders": everywhere(ORDERS_PORT),
            "http": everywhere(REPLICA_HTTP_PORT),
        },
        "members": members,
        "timing": {
            "tick_ms": spec.timing.tick_ms,
            "heartbeat_ms": spec.timing.heartbeat_ms,
            "election_timeout_ms_min": spec.timing.election_timeout_ms_min,
            "election_timeout_ms_max": spec.timing.election_timeout_ms_max,
        },
        "journal": {
            "segment_bytes": spec.journal.segment_bytes,
            "snapshot_every_entries": spec.journal.snapshot_every_entries,
            "retain_entries": spec.journal.retain_entries,
        },
        "tls": null,
    }))
}

/// `gateway.json`.
pub(super) fn gateway(placed: &Placement<'_>) -> String {
    let spec = placed.spec();
    let replicas: Vec<Value> = spec
        .centers
        .iter()
        .map(|center| {
            json!({
                "replica": center.replica,
                "center": center.name,
                "orders": placed.addresses(center).orders,
            })
        })
        .collect();
    text(&json!({
        "cluster": spec.cluster,
        "shard": SHARD,
        "center": placed.own.name,
        "listen": {
            "grpc": everywhere(GATEWAY_PORT),
            "http": everywhere(GATEWAY_HTTP_PORT),
        },
        "replicas": replicas,
        "limits": {"sessions_max": 4096, "in_flight_per_session_max": 1024},
        "tls": null,
    }))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// SHA-256 of a text, in hex.
#[must_use]
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
