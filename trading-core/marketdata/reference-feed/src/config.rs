//! The reference feed's configuration file.

use configuration::{BadValue, Checked, refuse, within};
use marketdata::TrackerSettings;
use marketdata::itch::{FeedSettings, Stock};
use marketdata::level2::{ChannelId, ReceiverSettings};
use marketdata_udp::{Groups, Interface, ItchOptions, ReceiveOptions};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use types::SymbolId;

/// What a reference feed needs to know. JSON; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For metrics and health.
    pub http: SocketAddr,
    /// The order address of each replica of the shard, `host:port`.
    pub replicas: Vec<String>,
    /// Where prices come from.
    pub source: Source,
    /// The interface to listen on, by its address.
    pub interface: Ipv4Addr,
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

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A level-2 feed of snapshots and increments.
    Level2 {
        /// Incremental packets, lines A and B.
        incremental: [SocketAddrV4; 2],
        /// Snapshots, lines A and B.
        snapshot: [SocketAddrV4; 2],
        /// The feed's channel.
        #[serde(default = "channel")]
        channel: u16,
    },
    /// NASDAQ ITCH 5.0 over MoldUDP64.
    Itch {
        /// Lines A and B.
        lines: [SocketAddrV4; 2],
        /// Who sends again what is missing.
        retransmission: SocketAddr,
        /// The exchange's names of stocks, each with the core's symbol.
        listing: BTreeMap<String, u32>,
        /// Time after a loss for good until everything is asked for again, in milliseconds.
        #[serde(default = "restart_ms")]
        restart_ms: u64,
    },
}

fn restart_ms() -> u64 {
    5_000
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
        self.source.check()?;
        for (field, value, min, max) in [
            (
                "records_per_second_max",
                u64::from(self.records_per_second_max),
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

    pub(crate) fn receive(&self) -> Receive {
        let interface = Interface {
            address: self.interface,
            ..Interface::default()
        };
        let tracker = TrackerSettings {
            change_basis_points_min: self.change_basis_points_min,
            symbol_interval_us: self.symbol_interval_ms * 1_000,
            record_interval_us: self.record_interval_us(),
            ..TrackerSettings::default()
        };
        match &self.source {
            Source::Level2 {
                incremental,
                snapshot,
                channel,
            } => Receive::Level2(ReceiveOptions {
                groups: Groups {
                    incremental: *incremental,
                    snapshot: *snapshot,
                },
                interface,
                settings: ReceiverSettings {
                    channel: ChannelId(*channel),
                    ..ReceiverSettings::default()
                },
                tracker,
            }),
            Source::Itch {
                lines,
                retransmission,
                listing,
                restart_ms,
            } => {
                let stock = |(name, symbol): (&String, &u32)| {
                    Stock::new(name).map(|stock| (stock, SymbolId(*symbol)))
                };
                Receive::Itch(ItchOptions {
                    lines: *lines,
                    retransmission: *retransmission,
                    interface,
                    listing: listing.iter().filter_map(stock).collect(),
                    settings: FeedSettings {
                        tracker,
                        restart_us: restart_ms * 1_000,
                        ..FeedSettings::default()
                    },
                })
            }
        }
    }
}

/// What the sockets need of it.
pub(crate) enum Receive {
    Level2(ReceiveOptions),
    Itch(ItchOptions),
}

impl Source {
    fn check(&self) -> Result<(), BadValue> {
        match self {
            Self::Level2 {
                incremental,
                snapshot,
                channel,
            } => {
                check_groups("source.incremental", *incremental)?;
                check_groups("source.snapshot", *snapshot)?;
                within("source.channel", (*channel).into(), 1..=u16::MAX.into())
            }
            Self::Itch {
                lines,
                retransmission,
                listing,
                restart_ms,
            } => {
                check_groups("source.lines", *lines)?;
                if retransmission.port() == 0 || retransmission.ip().is_multicast() {
                    let accepted = "use one host's address and a port from 1";
                    return refuse("source.retransmission", retransmission, accepted);
                }
                check_listing(listing)?;
                within("source.restart_ms", *restart_ms, 100..=600_000)
            }
        }
    }
}

fn check_groups(field: &str, groups: [SocketAddrV4; 2]) -> Result<(), BadValue> {
    for (place, group) in groups.iter().enumerate() {
        if !group.ip().is_multicast() || group.port() == 0 {
            let accepted = "use 224.0.0.0 to 239.255.255.255 and a port from 1";
            return refuse(format!("{field}[{place}]"), group, accepted);
        }
    }
    Ok(())
}

fn check_listing(listing: &BTreeMap<String, u32>) -> Result<(), BadValue> {
    let symbols: BTreeSet<&u32> = listing.values().collect();
    if listing.is_empty() || symbols.len() != listing.len() {
        let value = format!("{listing:?}");
        let accepted = "name at least one stock, and each symbol once";
        return refuse("source.listing", value, accepted);
    }
    for name in listing.keys() {
        if name.is_empty() || name.contains(' ') || Stock::new(name).is_none() {
            let accepted = "use 1 to 8 printable ASCII characters without spaces";
            return refuse("source.listing", format!("{name:?}"), accepted);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn documented() -> Value {
        json!({
            "http": "0.0.0.0:9103",
            "replicas": ["10.99.0.1:7002", "10.99.0.2:7002", "10.99.0.3:7002"],
            "source": {
                "kind": "level2",
                "incremental": ["239.192.77.1:31001", "239.192.77.2:31002"],
                "snapshot": ["239.192.77.3:31003", "239.192.77.4:31004"]
            },
            "interface": "127.0.0.1"
        })
    }

    fn itch() -> Value {
        json!({
            "kind": "itch",
            "lines": ["239.192.78.1:31001", "239.192.78.2:31002"],
            "retransmission": "127.0.0.1:31010",
            "listing": {"TRICEN": 600_000}
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
        let mut of_itch = documented();
        of_itch["source"] = itch();
        let Receive::Itch(options) = check(&of_itch).unwrap().receive() else {
            panic!("another source");
        };
        let stock = Stock::new("TRICEN").unwrap();
        assert_eq!(options.listing.get(&stock), Some(&SymbolId(600_000)));
        assert_eq!(options.settings.restart_us, 5_000_000);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        for (field, value, named) in [
            ("replicas", json!([]), "replicas []"),
            ("replicas", json!(["nowhere"]), "replicas[0] \"nowhere\""),
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
        let level2 = documented()["source"].clone();
        for (source, field, value, named) in [
            (
                &level2,
                "snapshot",
                json!(["239.192.77.3:31003", "10.0.0.1:31004"]),
                "source.snapshot[1] 10.0.0.1:31004",
            ),
            (&level2, "channel", json!(0), "source.channel 0"),
            (
                &itch(),
                "lines",
                json!(["10.0.0.1:1", "239.192.78.2:31002"]),
                "source.lines[0] 10.0.0.1:1",
            ),
            (
                &itch(),
                "retransmission",
                json!("127.0.0.1:0"),
                "source.retransmission 127.0.0.1:0",
            ),
            (&itch(), "listing", json!({}), "source.listing {}"),
            (
                &itch(),
                "listing",
                json!({"FAR TOO LONG": 1}),
                "source.listing \"FAR TOO LONG\"",
            ),
            (
                &itch(),
                "listing",
                json!({"A": 1, "B": 1}),
                "source.listing {\"A\": 1, \"B\": 1}",
            ),
            (&itch(), "restart_ms", json!(1), "source.restart_ms 1"),
        ] {
            let mut changed = documented();
            changed["source"] = source.clone();
            changed["source"][field] = value;
            let error = check(&changed).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let mut unknown = documented();
        unknown["speed"] = json!(1);
        assert!(check(&unknown).unwrap_err().contains("speed"));
    }
}
