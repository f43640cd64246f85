//! The shards and where their replicas are: a JSON file, the same for every movement.

use configuration::{BadValue, Checked, refuse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::ShardId;

/// Which shards there are. Unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the whole installation; replicas of another one are not spoken to.
    pub cluster: String,
    /// The shards.
    pub shards: Vec<ShardReplicas>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardReplicas {
    /// Its number.
    pub shard: u16,
    /// The order address of each of its replicas, `host:port`.
    pub replicas: Vec<String>,
}

impl Config {
    /// A shard's replicas.
    pub(crate) fn replicas_of(&self, shard: ShardId) -> Option<&[String]> {
        let found = self.shards.iter().find(|it| it.shard == shard.0);
        found.map(|it| it.replicas.as_slice())
    }
}

impl Checked for Config {
    fn check(&self) -> Result<(), BadValue> {
        if self.cluster.is_empty() || self.cluster.len() > 63 {
            let value = format!("{:?}", self.cluster);
            return refuse("cluster", value, "use 1 to 63 characters");
        }
        let numbers: BTreeSet<u16> = self.shards.iter().map(|it| it.shard).collect();
        if numbers.len() != self.shards.len() || numbers.len() < 2 {
            let listed: Vec<u16> = self.shards.iter().map(|it| it.shard).collect();
            let accepted = "name each shard once, and at least two";
            return refuse("shards[].shard", format!("{listed:?}"), accepted);
        }
        for (place, shard) in self.shards.iter().enumerate() {
            let field = format!("shards[{place}].replicas");
            if shard.replicas.is_empty() {
                return refuse(field, "[]", "name the order address of each replica");
            }
            for (replica, address) in shard.replicas.iter().enumerate() {
                if let Err(error) = client::endpoint(address) {
                    let field = format!("{field}[{replica}]");
                    return refuse(field, format!("{address:?}"), error.to_string());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let good = json!({"cluster": "lab", "shards": [
            {"shard": 1, "replicas": ["10.99.0.1:7002", "10.99.0.2:7002"]},
            {"shard": 2, "replicas": ["10.99.0.1:7102"]},
        ]});
        let config: Config = serde_json::from_value(good.clone()).unwrap();
        config.check().unwrap();
        assert_eq!(config.replicas_of(ShardId(2)).map(<[String]>::len), Some(1));
        assert_eq!(config.replicas_of(ShardId(3)), None);
        for (path, value, named) in [
            ("/cluster", json!(""), "cluster"),
            ("/shards/1/shard", json!(1), "shards[].shard"),
            ("/shards", json!([]), "shards[].shard"),
            ("/shards/1/replicas", json!([]), "shards[1].replicas"),
            (
                "/shards/0/replicas/1",
                json!("nowhere"),
                "shards[0].replicas[1]",
            ),
        ] {
            let mut changed = good.clone();
            *changed.pointer_mut(path).unwrap() = value;
            let config: Config = serde_json::from_value(changed).unwrap();
            assert_eq!(config.check().unwrap_err().field, named);
        }
    }
}
