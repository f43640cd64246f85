//! The reference feed's configuration file.

use configuration::{BadValue, Checked, refuse, within};
use marketdata::TrackerSettings;
use marketdata::level2::{ChannelId, ReceiverSettings};
use marketdata_udp::{Groups, Interface, ReceiveOptions};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// What a reference feed needs to know. JSON; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For metrics and health.
    pub http: SocketAddr,
    /// The order address of each replica of the shard, `host:port`.
    pub replicas: Vec<String>,
    /// Incremental packets, lines A and B.
    pub incremental: [SocketAddrV4; 2],
    /// Snapshots, lines A and B.
    pub snapshot: [SocketAddrV4; 2],
    /// The interface to listen on, by its address.
    pub interface: Ipv4Addr,
    /// The feed's channel.
    #[serde(default = "channel")]
    pub channel: u16,
    /// Most records a second.
    #[serde(default = "records_per_second_max")]
    pub records_per_second_max: u32,
    /// Smallest change of a symbol's price that is told, in 1/100 % of the price told before.
    #[serde(default = "change_basis_points_min")]
    pub change_basis_points_min: u32,
    /// Shortest time between two prices of one symbol, in milliseconds.
    #[serde(default = "symbol_interval_ms")]
    pub symbol_interval_ms: u64,
}

fn channel() -> u16 {
    1
}

fn records_per_second_max() -> u32 {
    100
}

fn change_basis_points_min() -> u32 {
    10
}

fn symbol_interval_ms() -> u64 {
    1_000
}

impl Checked for Config {
    fn check(&self) -> Result<(), BadValue> {
        if self.replicas.is_empty() {
            return refuse("replicas", "[]", "name the order address of each replica");
        }
        for (place, address) in self.replicas.iter().enumerate() {
            if let Err(error) = client::endpoint(address) {
                let field = format!("replicas[{place}]");
                return refuse(field, format!("{address:?}"), error.to_string());
            }
        }
        let lines = [
            ("incremental", self.incremental),
            ("snapshot", self.snapshot),
        ];
        for (name, groups) in lines {
            for (place, group) in groups.iter().enumerate() {
                if !group.ip().is_multicast() || group.port() == 0 {
                    let field = format!("{name}[{place}]");
                    let accepted = "use 224.0.0.0 to 239.255.255.255 and a port from 1";
                    return refuse(field, group, accepted);
                }
            }
        }
        for (field, value, min, max) in [
            ("channel", u64::from(self.channel), 1, u64::from(u16::MAX)),
            (
                "records_per_second_max",
                self.records_per_second_max.into(),
                1,
                10_000,
            ),
            (
                "change_basis_points_min",
                self.change_basis_points_min.into(),
                0,
                1_000,
            ),
            ("symbol_interval_ms", self.symbol_interval_ms, 10, 600_000),
        ] {
            within(field, value, min..=max)?;
        }
        Ok(())
    }
}

impl Config {
    /// Shortest time between two records, in microseconds.
    pub(crate) fn record_interval_us(&self) -> u64 {
        1_000_000 / u64::from(self.records_per_second_max.max(1))
    }

    pub(crate) fn receive(&self) -> ReceiveOptions {
        ReceiveOptions {
            groups: Groups {
                incremental: self.incremental,
                snapshot: self.snapshot,
            },
            interface: Interface {
                address: self.interface,
                ..Interface::default()
            },
            settings: ReceiverSettings {
                channel: ChannelId(self.channel),
                ..ReceiverSettings::default()
            },
            tracker: TrackerSettings {
                change_basis_points_min: self.change_basis_points_min,
                symbol_interval_us: self.symbol_interval_ms * 1_000,
                record_interval_us: self.record_interval_us(),
                ..TrackerSettings::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn documented() -> Value {
        json!({
            "http": "0.0.0.0:9103",
            "replicas": ["10.99.0.1:7002", "10.99.0.2:7002", "10.99.0.3:7002"],
            "incremental": ["239.192.77.1:31001", "239.192.77.2:31002"],
            "snapshot": ["239.192.77.3:31003", "239.192.77.4:31004"],
            "interface": "127.0.0.1"
        })
    }

    fn check(value: &Value) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        std::fs::write(&path, value.to_string()).unwrap();
        configuration::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_form_is_accepted() {
        let config = check(&documented()).unwrap();
        assert_eq!(config.record_interval_us(), 10_000);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        for (field, value, named) in [
            ("replicas", json!([]), "replicas []"),
            ("replicas", json!(["nowhere"]), "replicas[0] \"nowhere\""),
            (
                "snapshot",
                json!(["239.192.77.3:31003", "10.0.0.1:31004"]),
                "snapshot[1] 10.0.0.1:31004",
            ),
            ("channel", json!(0), "channel 0"),
            (
                "records_per_second_max",
                json!(0),
                "records_per_second_max 0",
            ),
            ("symbol_interval_ms", json!(1), "symbol_interval_ms 1"),
        ] {
            let mut changed = documented();
            changed[field] = value;
            let error = check(&changed).unwrap_err();
            assert!(error.contains(named), "{error}");
            assert!(error.contains(" is not accepted: "), "{error}");
        }
        let mut unknown = documented();
        unknown["speed"] = json!(1);
        assert!(check(&unknown).unwrap_err().contains("speed"));
    }
}
