//! Who has which name, address and port in the lab. Pure: nothing here touches the machine.
//!
//! ```text
//!                    bridge tri-wan 10.99.0.1, one Toxiproxy a link
//!        ┌───────────────────────┬───────────────────────┐
//!   10.99.0.11              10.99.0.12              10.99.0.13
//!   a1 (site A)             a2 (site A)             b1 (site B)
//!   pods 10.241.0.0/24      pods 10.242.0.0/24      pods 10.243.0.0/24
//! ```
//!
//! Every trading connection between centers, and from clients to an entry, dials a port of
//! 10.99.0.1, where the link's Toxiproxy listens:
//!
//! | from → to | port | leads to |
//! | --- | --- | --- |
//! | center S → T, replication | `17ST1` | node T, 30701 |
//! | center S → T, orders and admin | `17ST2` | node T, 30702 |
//! | clients → T, entry | `1750T` | node T, 30750 |
//!
//! S and T are 1 for a1, 2 for a2, 3 for b1. Pod and service networks exist only inside their
//! center's network namespace; what leaves a center carries its node's address.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The bridge that stands for the wide area network. Its alias marks it as ours.
pub const BRIDGE: &str = "tri-wan";
/// The alias of every interface that the lab makes, by which it knows them again.
pub const INTERFACE_ALIAS: &str = "tricenter lab";
/// The host's address on the bridge; all links listen on it.
pub const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The length of the bridge network's prefix.
pub const BRIDGE_PREFIX_LENGTH: u8 = 24;
/// Where a node takes replication, on every center.
pub const REPLICATION_NODE_PORT: u16 = 30701;
/// Where a node takes orders from gateways, and admin calls.
pub const ORDERS_NODE_PORT: u16 = 30702;
/// Where a node's Envoy takes clients.
pub const ENTRY_NODE_PORT: u16 = 30750;
/// The API server's port on each node.
pub const API_SERVER_PORT: u16 = 6443;
/// The first control API of a link's Toxiproxy; they listen on loopback, out of the pods' reach.
const LINK_API_PORT_FIRST: u16 = 18471;

/// A city.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The city of a1 and a2.
    A,
    /// The city of b1.
    B,
}

impl Site {
    /// The name in labels and state files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// One of the three data centers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Center {
    /// The first center of site A.
    A1,
    /// The second center of site A, about a millisecond away.
    A2,
    /// The center of site B, about thirty milliseconds away.
    B1,
}

impl Center {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::A1, Self::A2, Self::B1];

    /// `a1`, `a2` or `b1`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A1 => "a1",
            Self::A2 => "a2",
            Self::B1 => "b1",
        }
    }

    /// The digit that stands for it in addresses and ports.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::A1 => 1,
            Self::A2 => 2,
            Self::B1 => 3,
        }
    }

    /// The city it is in.
    #[must_use]
    pub const fn site(self) -> Site {
        match self {
            Self::A1 | Self::A2 => Site::A,
            Self::B1 => Site::B,
        }
    }

    /// The Kubernetes node's name, which is the center's host name too.
    #[must_use]
    pub fn node_name(self) -> String {
        format!("node-{self}")
    }

    /// The node's address on the wide area network.
    #[must_use]
    pub const fn node_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, 0, 10 + self.digit())
    }

    /// The node's hardware address. Fixed, so that nobody waits for a stale neighbour entry after
    /// a center came back.
    #[must_use]
    pub fn node_hardware_address(self) -> String {
        format!("02:99:00:00:00:{:02x}", 10 + self.digit())
    }

    /// The network of its pods.
    #[must_use]
    pub const fn pod_network(self) -> Network {
        Network {
            first: Ipv4Addr::new(10, 240 + self.digit(), 0, 0),
            prefix_length: 24,
        }
    }

    /// The network of its services.
    #[must_use]
    pub const fn service_network(self) -> Network {
        Network {
            first: Ipv4Addr::new(10, 90 + self.digit(), 0, 0),
            prefix_length: 24,
        }
    }

    /// The cluster address of the API server.
    #[must_use]
    pub const fn api_service_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 90 + self.digit(), 0, 1)
    }

    /// The cluster address of the DNS.
    #[must_use]
    pub const fn dns_service_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 90 + self.digit(), 0, 10)
    }

    /// The network namespace in the host's `/run/netns`.
    #[must_use]
    pub fn network_namespace(self) -> String {
        format!("tricenter-{self}")
    }

    /// The host's end of the center's leg to the wide area network.
    #[must_use]
    pub fn host_interface(self) -> String {
        format!("tri-{self}")
    }

    /// Where the host reaches the admin service of the center's replica, past all links.
    #[must_use]
    pub const fn admin_address(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.node_address(), ORDERS_NODE_PORT)
    }

    /// Where clients dial the center's entry, through their link.
    #[must_use]
    pub fn entry_address(self) -> SocketAddrV4 {
        SocketAddrV4::new(BRIDGE_ADDRESS, 17500 + u16::from(self.digit()))
    }
}

impl fmt::Display for Center {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A name that is none of the lab's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {field} {value:?}: accepted are {accepted}")]
pub struct UnknownName {
    /// What kind of name was expected.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// The names there are.
    pub accepted: String,
}

impl FromStr for Center {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|center| center.name() == name)
            .ok_or_else(|| UnknownName {
                field: "center",
                value: name.to_owned(),
                accepted: "a1, a2, b1".to_owned(),
            })
    }
}

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its first address.
    pub first: Ipv4Addr,
    /// The length of its prefix.
    pub prefix_length: u8,
}

impl Network {
    /// The wide area network.
    pub const WIDE_AREA: Self = Self {
        first: Ipv4Addr::new(10, 99, 0, 0),
        prefix_length: BRIDGE_PREFIX_LENGTH,
    };

    /// Whether two networks share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = self.prefix_length.min(other.prefix_length);
        let mask = u32::MAX.checked_shl(32 - u32::from(shorter)).unwrap_or(0);
        (self.first.to_bits() ^ other.first.to_bits()) & mask == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.prefix_length)
    }
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// The clients of the lab, which run on the host.
    Clients,
    /// A center.
    Center(Center),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => formatter.write_str("clients"),
            Self::Center(center) => center.fmt(formatter),
        }
    }
}

impl FromStr for Endpoint {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        if name == "clients" {
            return Ok(Self::Clients);
        }
        name.parse().map(Self::Center).map_err(|_| UnknownName {
            field: "end of a link",
            value: name.to_owned(),
            accepted: "clients, a1, a2, b1".to_owned(),
        })
    }
}

/// One way over a link, such as `a1>a2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Direction {
    /// Where the data comes from.
    pub from: Endpoint,
    /// Where it goes.
    pub to: Endpoint,
}

impl Direction {
    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}>{}", self.from, self.to)
    }
}

impl FromStr for Direction {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let wrong = || UnknownName {
            field: "direction",
            value: text.to_owned(),
            accepted: "two ends of a link with > between, such as a1>b1 or clients>a1".to_owned(),
        };
        let (from, to) = text.split_once('>').ok_or_else(wrong)?;
        Ok(Self {
            from: from.parse()?,
            to: to.parse()?,
        })
    }
}

/// What a proxied connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Between replicas.
    Replication,
    /// From gateways to replicas, and admin calls.
    Orders,
    /// From clients to an entry.
    Entry,
}

impl Traffic {
    const BETWEEN_CENTERS: [Self; 2] = [Self::Replication, Self::Orders];

    const fn name(self) -> &'static str {
        match self {
            Self::Replication => "replication",
            Self::Orders => "orders",
            Self::Entry => "entry",
        }
    }

    const fn node_port(self) -> u16 {
        match self {
            Self::Replication => REPLICATION_NODE_PORT,
            Self::Orders => ORDERS_NODE_PORT,
            Self::Entry => ENTRY_NODE_PORT,
        }
    }
}

/// A listening port of a link and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkProxy {
    /// Such as `a1>a2.replication`.
    pub name: String,
    /// From who dials to who answers.
    pub direction: Direction,
    /// What it carries.
    pub traffic: Traffic,
    /// On the bridge address.
    pub listen: SocketAddrV4,
    /// The target's node and node port.
    pub upstream: SocketAddrV4,
}

/// One link, which is one Toxiproxy server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    low: Endpoint,
    high: Endpoint,
}

impl Link {
    /// All links: between each two centers, and from the clients to each center.
    pub const ALL: [Self; 6] = [
        Self::between(Center::A1, Center::A2),
        Self::between(Center::A1, Center::B1),
        Self::between(Center::A2, Center::B1),
        Self::clients(Center::A1),
        Self::clients(Center::A2),
        Self::clients(Center::B1),
    ];

    const fn between(low: Center, high: Center) -> Self {
        Self {
            low: Endpoint::Center(low),
            high: Endpoint::Center(high),
        }
    }

    const fn clients(center: Center) -> Self {
        Self {
            low: Endpoint::Clients,
            high: Endpoint::Center(center),
        }
    }

    /// The link that a direction goes over.
    #[must_use]
    pub fn of(direction: Direction) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|link| link.directions().contains(&direction))
    }

    /// Both ways over it.
    #[must_use]
    pub const fn directions(self) -> [Direction; 2] {
        let there = Direction {
            from: self.low,
            to: self.high,
        };
        [there, there.reversed()]
    }

    /// The round trip that the link has in an undisturbed lab.
    #[must_use]
    pub const fn round_trip_ms_default(self) -> u32 {
        match (self.low, self.high) {
            (Endpoint::Center(low), Endpoint::Center(high)) => match (low.site(), high.site()) {
                (Site::A, Site::A) | (Site::B, Site::B) => 1,
                (Site::A, Site::B) | (Site::B, Site::A) => 30,
            },
            // Clients stand beside whichever entry they dial.
            (Endpoint::Clients, _) | (_, Endpoint::Clients) => 0,
        }
    }

    /// Where its Toxiproxy takes control calls.
    #[must_use]
    pub fn api_address(self) -> SocketAddrV4 {
        let position = Self::ALL
            .iter()
            .position(|link| *link == self)
            .unwrap_or_default();
        let offset = u16::try_from(position).unwrap_or_default();
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, LINK_API_PORT_FIRST + offset)
    }

    /// Its proxies: one for each way that a connection can be dialled and each kind of traffic.
    #[must_use]
    pub fn proxies(self) -> Vec<LinkProxy> {
        self.directions().into_iter().flat_map(proxies_of).collect()
    }
}

fn proxies_of(direction: Direction) -> Vec<LinkProxy> {
    let Endpoint::Center(target) = direction.to else {
        return Vec::new(); // Nobody dials the clients.
    };
    let kinds: &[Traffic] = match direction.from {
        Endpoint::Clients => &[Traffic::Entry],
        Endpoint::Center(_) => &Traffic::BETWEEN_CENTERS,
    };
    kinds
        .iter()
        .map(|&traffic| LinkProxy {
            name: format!("{direction}.{}", traffic.name()),
            direction,
            traffic,
            listen: listen_address(direction.from, target, traffic),
            upstream: SocketAddrV4::new(target.node_address(), traffic.node_port()),
        })
        .collect()
}

fn listen_address(from: Endpoint, target: Center, traffic: Traffic) -> SocketAddrV4 {
    let Endpoint::Center(source) = from else {
        return target.entry_address();
    };
    let last = if traffic == Traffic::Replication {
        1
    } else {
        2
    };
    let port = 17_000 + u16::from(source.digit()) * 100 + u16::from(target.digit()) * 10 + last;
    SocketAddrV4::new(BRIDGE_ADDRESS, port)
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.low, self.high)
    }
}

impl FromStr for Link {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|link| link.to_string() == name)
            .ok_or_else(|| UnknownName {
                field: "link",
                value: name.to_owned(),
                accepted: Self::ALL.map(|link| link.to_string()).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_ports_of_links_follow_the_documented_scheme() {
        let link: Link = "a1-b1".parse().unwrap();
        let rows: Vec<_> = link
            .proxies()
            .into_iter()
            .map(|proxy| format!("{} {} {}", proxy.name, proxy.listen, proxy.upstream))
            .collect();
        assert_eq!(
            rows,
            [
                "a1>b1.replication 10.99.0.1:17131 10.99.0.13:30701",
                "a1>b1.orders 10.99.0.1:17132 10.99.0.13:30702",
                "b1>a1.replication 10.99.0.1:17311 10.99.0.11:30701",
                "b1>a1.orders 10.99.0.1:17312 10.99.0.11:30702",
            ]
        );
        let entry = &"clients-a2".parse::<Link>().unwrap().proxies()[0];
        assert_eq!(entry.name, "clients>a2.entry");
        assert_eq!(entry.listen.to_string(), "10.99.0.1:17502");
        assert_eq!(entry.upstream.to_string(), "10.99.0.12:30750");
    }

    #[test]
    fn no_two_proxies_or_apis_share_a_port() {
        let listen: BTreeSet<_> = Link::ALL
            .into_iter()
            .flat_map(|link| {
                let mut all: Vec<_> = link.proxies().iter().map(|proxy| proxy.listen).collect();
                all.push(link.api_address());
                all
            })
            .collect();
        assert_eq!(listen.len(), 12 + 3 + 6);
    }

    #[test]
    fn a_wrong_link_is_told_which_there_are() {
        let error = "a2-a1".parse::<Link>().unwrap_err().to_string();
        assert!(
            error.contains("\"a2-a1\"") && error.contains("a1-a2, a1-b1"),
            "{error}"
        );
        assert!("a1>c9".parse::<Direction>().is_err());
    }

    #[test]
    fn a_direction_finds_its_link() {
        let back: Direction = "b1>a2".parse().unwrap();
        assert_eq!(Link::of(back).unwrap().to_string(), "a2-b1");
        assert_eq!(
            Link::of("clients>b1".parse().unwrap()).unwrap().to_string(),
            "clients-b1"
        );
    }

    #[test]
    fn overlapping_networks_are_seen_and_others_are_not() {
        let network = |first: &str, prefix_length| Network {
            first: first.parse().unwrap(),
            prefix_length,
        };
        assert!(Network::WIDE_AREA.overlaps(network("10.0.0.0", 8)));
        assert!(Network::WIDE_AREA.overlaps(network("10.99.0.128", 25)));
        assert!(!Network::WIDE_AREA.overlaps(network("10.99.1.0", 24)));
        assert!(Network::WIDE_AREA.overlaps(network("0.0.0.0", 0)));
    }

    #[test]
    fn round_trips_depend_on_the_sites() {
        let of = |name: &str| name.parse::<Link>().unwrap().round_trip_ms_default();
        assert_eq!((of("a1-a2"), of("a1-b1"), of("clients-a1")), (1, 30, 0));
    }
}
