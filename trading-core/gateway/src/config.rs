//! A gateway's configuration file.

use configuration::{BadValue, Checked, refuse, within};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use types::{CenterName, ShardId};

/// What a gateway needs to know. JSON; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the whole installation; replicas of another one are not followed.
    pub cluster: String,
    /// Which shard; the first, where it stands in front of several.
    pub shard: u16,
    /// Its center.
    pub center: CenterName,
    /// Where it listens.
    pub listen: Listen,
    /// All replicas of the shard, as reached from here.
    pub replicas: Vec<ReplicaAddress>,
    /// Further shards that this gateway stands in front of.
    #[serde(default)]
    pub other_shards: Vec<ShardAddresses>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Certificates; absent for plain connections.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For clients.
    pub grpc: SocketAddr,
    /// For metrics and health.
    pub http: SocketAddr,
}

/// One more shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardAddresses {
    /// Which.
    pub shard: u16,
    /// All its replicas, as reached from here.
    pub replicas: Vec<ReplicaAddress>,
}

/// Most shards behind one gateway: each order's symbol is weighed against all.
const SHARDS_MAX: usize = 64;

/// One replica of the shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaAddress {
    /// Its id, from 1.
    pub replica: u64,
    /// Its center.
    pub center: CenterName,
    /// Where its orders and administration are reached, `host:port`.
    pub orders: String,
}

/// Bounds; beyond them a client gets `RESOURCE_EXHAUSTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Streams at once.
    pub sessions_max: usize,
    /// Requests without an answer, a stream.
    pub in_flight_per_session_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 4_096,
            in_flight_per_session_max: 1_024,
        }
    }
}

/// Files of a certificate, its key, and the authority that signs all replicas and gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The authority, PEM.
    pub authority: PathBuf,
}

impl Checked for Config {
    fn check(&self) -> Result<(), BadValue> {
        if self.cluster.is_empty() || self.cluster.len() > 63 {
            let value = format!("{:?}", self.cluster);
            return refuse("cluster", value, "use 1 to 63 characters");
        }
        check_replicas("replicas", &self.replicas)?;
        let numbers: BTreeSet<ShardId> = self.shards().map(|(shard, _)| shard).collect();
        if numbers.len() != self.shards().count() || numbers.len() > SHARDS_MAX {
            let listed: Vec<u16> = self.shards().map(|(shard, _)| shard.0).collect();
            let accepted = format!("name each shard once, and at most {SHARDS_MAX} with `shard`");
            return refuse("other_shards[].shard", format!("{listed:?}"), accepted);
        }
        for (place, shard) in self.other_shards.iter().enumerate() {
            check_replicas(&format!("other_shards[{place}].replicas"), &shard.replicas)?;
        }
        let Limits {
            sessions_max,
            in_flight_per_session_max,
        } = self.limits;
        for (field, value) in [
            ("limits.sessions_max", sessions_max),
            (
                "limits.in_flight_per_session_max",
                in_flight_per_session_max,
            ),
        ] {
            within(field, value as u64, 1..=65_536)?;
        }
        if self.tls.is_some() {
            let accepted = "this version speaks plain connections only: leave it out, and keep \
                            clients and replicas inside a network of your own";
            return refuse("tls", "set", accepted);
        }
        Ok(())
    }
}

fn check_replicas(field: &str, replicas: &[ReplicaAddress]) -> Result<(), BadValue> {
    let ids: BTreeSet<u64> = replicas.iter().map(|it| it.replica).collect();
    if ids.is_empty() || ids.len() != replicas.len() || ids.contains(&0) {
        let listed: Vec<u64> = replicas.iter().map(|it| it.replica).collect();
        let accepted = "name each replica once, from 1, and at least one";
        return refuse(
            format!("{field}[].replica"),
            format!("{listed:?}"),
            accepted,
        );
    }
    for (place, replica) in replicas.iter().enumerate() {
        if let Err(error) = client::endpoint(&replica.orders) {
            let field = format!("{field}[{place}].orders");
            return refuse(field, format!("{:?}", replica.orders), error.to_string());
        }
    }
    Ok(())
}

impl Config {
    /// The shards with their replicas.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (ShardId, &[ReplicaAddress])> {
        let first = (ShardId(self.shard), self.replicas.as_slice());
        let others = self.other_shards.iter();
        std::iter::once(first).chain(others.map(|it| (ShardId(it.shard), it.replicas.as_slice())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written() -> Value {
        json!({
            "cluster": "lab", "shard": 0, "center": "a1",
            "listen": {"grpc": "0.0.0.0:7003", "http": "0.0.0.0:9101"},
            "replicas": [
                {"replica": 1, "center": "a1", "orders": "10.99.0.1:17112"},
                {"replica": 2, "center": "a2", "orders": "10.99.0.1:17122"}
            ],
            "other_shards": [
                {"shard": 1, "replicas": [
                    {"replica": 1, "center": "a1", "orders": "10.99.0.1:17212"}
                ]}
            ],
            "limits": {"sessions_max": 4096, "in_flight_per_session_max": 1024},
            "tls": null
        })
    }

    #[test]
    fn what_the_operator_writes_is_accepted() {
        let config: Config = serde_json::from_value(written()).unwrap();
        config.check().unwrap();
    }

    #[test]
    fn a_value_that_cannot_be_is_named_by_its_field() {
        let cases = [
            ("/cluster", json!(""), "cluster"),
            ("/replicas", json!([]), "replicas[].replica"),
            ("/replicas/1/replica", json!(1), "replicas[].replica"),
            ("/replicas/1/orders", json!("nowhere"), "replicas[1].orders"),
            ("/other_shards/0/shard", json!(0), "other_shards[].shard"),
            (
                "/other_shards/0/replicas",
                json!([]),
                "other_shards[0].replicas[].replica",
            ),
            (
                "/other_shards/0/replicas/0/orders",
                json!("nowhere"),
                "other_shards[0].replicas[0].orders",
            ),
            ("/limits/sessions_max", json!(0), "limits.sessions_max"),
            (
                "/limits/in_flight_per_session_max",
                json!(70_000),
                "limits.in_flight_per_session_max",
            ),
            (
                "/tls",
                json!({"certificate": "c", "key": "k", "authority": "a"}),
                "tls",
            ),
        ];
        for (path, value, named) in cases {
            let mut text = written();
            *text.pointer_mut(path).unwrap() = value;
            let config: Config = serde_json::from_value(text).unwrap();
            assert_eq!(config.check().unwrap_err().field, named);
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut text = written();
        text["replicsa"] = json!([]);
        let error = serde_json::from_value::<Config>(text).unwrap_err();
        assert!(error.to_string().contains("replicsa"), "{error}");
    }
}
