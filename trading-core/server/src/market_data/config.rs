//! Where and how a replica publishes its market.

use configuration::{BadValue, refuse, within};
use marketdata::level2::{ChannelId, DEPTH_MAX, PublisherSettings};
use marketdata_udp::{Groups, Interface};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Level 2 over UDP multicast. All replicas of a shard name the same groups and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketDataConfig {
    /// Incremental packets, lines A and B.
    pub incremental: [SocketAddrV4; 2],
    /// Snapshots, lines A and B.
    pub snapshot: [SocketAddrV4; 2],
    /// The interface to send through, by its address.
    pub interface: Ipv4Addr,
    /// Time to live: 0 stays on this host, 1 on this network.
    #[serde(default)]
    pub ttl: u32,
    /// The channel's number: one a shard.
    #[serde(default = "channel")]
    pub channel: u16,
    /// Levels of a side that are shown.
    #[serde(default = "depth")]
    pub depth: usize,
    /// Shortest time between two ladders of a symbol, in milliseconds.
    #[serde(default = "update_interval_ms")]
    pub update_interval_ms: u64,
    /// Time between two rounds of snapshots, in milliseconds.
    #[serde(default = "snapshot_interval_ms")]
    pub snapshot_interval_ms: u64,
    /// Longest silence, in milliseconds.
    #[serde(default = "heartbeat_interval_ms")]
    pub heartbeat_interval_ms: u64,
}

fn channel() -> u16 {
    1
}

fn depth() -> usize {
    10
}

fn update_interval_ms() -> u64 {
    100
}

fn snapshot_interval_ms() -> u64 {
    1_000
}

fn heartbeat_interval_ms() -> u64 {
    250
}

impl MarketDataConfig {
    pub(crate) fn check(&self) -> Result<(), BadValue> {
        let path = |field: &str| format!("market_data.{field}");
        let [a, b] = self.incremental;
        let [c, d] = self.snapshot;
        let groups = [
            ("incremental[0]", a),
            ("incremental[1]", b),
            ("snapshot[0]", c),
            ("snapshot[1]", d),
        ];
        for (place, (field, group)) in groups.iter().enumerate() {
            if !group.ip().is_multicast() || group.port() == 0 {
                let accepted = "use 224.0.0.0 to 239.255.255.255 and a port from 1";
                return refuse(path(field), group, accepted);
            }
            if groups[..place].iter().any(|(_, before)| before == group) {
                let accepted = "name four groups, each once";
                return refuse(path(field), group, accepted);
            }
        }
        for (field, value, min, max) in [
            ("ttl", u64::from(self.ttl), 0, 1),
            ("channel", self.channel.into(), 1, u16::MAX.into()),
            ("depth", self.depth as u64, 1, DEPTH_MAX as u64),
            ("update_interval_ms", self.update_interval_ms, 100, 60_000),
            (
                "snapshot_interval_ms",
                self.snapshot_interval_ms,
                10,
                60_000,
            ),
            (
                "heartbeat_interval_ms",
                self.heartbeat_interval_ms,
                10,
                60_000,
            ),
        ] {
            within(&path(field), value, min..=max)?;
        }
        Ok(())
    }

    pub(crate) fn groups(&self) -> Groups {
        Groups {
            incremental: self.incremental,
            snapshot: self.snapshot,
        }
    }

    pub(crate) fn interface(&self) -> Interface {
        Interface {
            address: self.interface,
            ttl: self.ttl,
        }
    }

    pub(crate) fn publisher(&self) -> PublisherSettings {
        PublisherSettings {
            channel: ChannelId(self.channel),
            depth: self.depth,
            update_interval_us: self.update_interval_ms * 1_000,
            snapshot_interval_us: self.snapshot_interval_ms * 1_000,
            heartbeat_interval_us: self.heartbeat_interval_ms * 1_000,
            ..PublisherSettings::default()
        }
    }
}
