//! The wide area network: a bridge on the host, and a leg to each center's network namespace.
//!
//! ```text
//!   host:  tri-wan 10.99.0.1/24 ── tri-a1 ─┐ veth
//!   tricenter-a1:                          └─ eth0 10.99.0.11/24, default via 10.99.0.1
//! ```
//!
//! Nothing is added to the host's routes (beyond the bridge's own network) or packet filter. The
//! rules that keep trading traffic on the links live inside the centers' namespaces.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::address_plan::{
    BRIDGE, BRIDGE_ADDRESS, BRIDGE_PREFIX_LENGTH, Center, INTERFACE_ALIAS, Network,
};
use super::invocation::{self, Invocation};

/// Why the network could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system program said no.
    #[error(transparent)]
    Call(#[from] invocation::Error),
    /// `ip` printed what we cannot read.
    #[error("failed to read the machine's interfaces: {0}; iproute2 5 or later is needed")]
    Unreadable(#[from] serde_json::Error),
}

fn ip_batch(lines: &[String]) -> Invocation {
    Invocation::new("ip", ["-batch", "-"]).with_input(lines.join("\n") + "\n")
}

/// The calls that make the bridge.
#[must_use]
pub fn plan_bridge() -> Vec<Invocation> {
    vec![ip_batch(&[
        format!("link add {BRIDGE} type bridge"),
        format!("link set {BRIDGE} alias \"{INTERFACE_ALIAS}\""),
        format!("link set {BRIDGE} addrgenmode none"),
        format!("address add {BRIDGE_ADDRESS}/{BRIDGE_PREFIX_LENGTH} dev {BRIDGE}"),
        format!("link set {BRIDGE} up"),
    ])]
}

/// The calls that make a center's namespace and its leg.
#[must_use]
pub fn plan_leg(center: Center) -> Vec<Invocation> {
    let (namespace, interface) = (center.network_namespace(), center.host_interface());
    let hardware_address = center.node_hardware_address();
    let inside = [
        "link set lo up".to_owned(),
        "link set eth0 addrgenmode none".to_owned(),
        format!(
            "address add {}/{BRIDGE_PREFIX_LENGTH} dev eth0",
            center.node_address()
        ),
        "link set eth0 up".to_owned(),
        format!("route add default via {BRIDGE_ADDRESS}"),
        // Pods have routes of their own. Without this one, who dials a pod that is gone (a service
        // still names those from before a power-off) would hang in silence for two minutes, and a
        // Toxiproxy, which dials one connection after the other, with all that wait behind it.
        // ("Unreachable" would do for TCP, but resolvers over UDP only take "prohibited" for an end.)
        format!("route add prohibit {}", center.pod_network()),
    ];
    vec![
        Invocation::new("ip", ["netns", "add", &namespace]),
        ip_batch(&[
            format!(
                "link add {interface} type veth peer name eth0 address {hardware_address} \
                 netns {namespace}"
            ),
            format!("link set {interface} alias \"{INTERFACE_ALIAS}\""),
            format!("link set {interface} addrgenmode none"),
            format!("link set {interface} master {BRIDGE} up"),
        ]),
        Invocation::new("ip", ["-netns", &namespace, "-batch", "-"])
            .with_input(inside.join("\n") + "\n"),
    ]
}

/// The packet filter inside a center.
///
/// Replicas of other centers are reached through the links on the bridge's address. Whatever dials
/// another center's node or pods directly would go past the links and see no delay and no cut, so
/// it is refused, loudly, and counted. Pods leave the center under their node's address, since
/// nobody outside knows their networks.
#[must_use]
pub fn packet_filter(center: Center) -> String {
    let others: Vec<_> = Center::ALL
        .into_iter()
        .filter(|other| *other != center)
        .collect();
    let past_links: Vec<String> = others
        .iter()
        .flat_map(|other| {
            [
                other.node_address().to_string(),
                other.pod_network().to_string(),
            ]
        })
        .collect();
    let refuse = format!(
        "ip daddr {{ {} }} counter reject with icmp type admin-prohibited",
        past_links.join(", ")
    );
    format!(
        "table ip tricenter {{\n\
         \tchain forward {{ type filter hook forward priority filter; {refuse}; }}\n\
         \tchain output {{ type filter hook output priority filter; {refuse}; }}\n\
         \tchain postrouting {{ type nat hook postrouting priority srcnat; \
         ip saddr {} oifname \"eth0\" counter masquerade; }}\n\
         }}\n",
        center.pod_network()
    )
}

/// An interface of the host, as `ip -json -details address` prints it (without details it leaves out aliases).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interface {
    /// Its name.
    pub ifname: String,
    /// Its alias, if it has one.
    #[serde(default)]
    pub ifalias: Option<String>,
    /// Its addresses.
    #[serde(default)]
    pub addr_info: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InterfaceAddress {
    /// The address, v4 or v6.
    #[serde(default)]
    pub local: String,
    /// The length of its prefix.
    #[serde(default)]
    pub prefixlen: u8,
}

impl Interface {
    /// Whether the lab made it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.ifalias.as_deref() == Some(INTERFACE_ALIAS)
    }

    fn networks(&self) -> impl Iterator<Item = Network> + '_ {
        self.addr_info.iter().filter_map(|address| {
            let first = address.local.parse().ok()?;
            Some(Network {
                first,
                prefix_length: address.prefixlen,
            })
        })
    }
}

/// A route of the host, as `ip -json route` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// `default`, an address or a network.
    pub dst: String,
    /// The interface it leads to.
    #[serde(default)]
    pub dev: String,
}

impl Route {
    fn network(&self) -> Option<Network> {
        let (first, prefix) = self.dst.split_once('/').unwrap_or((&self.dst, "32"));
        Some(Network {
            first: first.parse().ok()?,
            prefix_length: prefix.parse().ok()?,
        })
    }
}

/// Something of the machine's that the lab's network would collide with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// An interface that is not ours has one of our names.
    #[error(
        "interface {0} exists and was not made by the lab; rename or remove it \
         (`ip link delete {0}`)"
    )]
    InterfaceName(String),
    /// Another interface has an address in our network.
    #[error(
        "the lab's network {wide_area} overlaps {network} on interface {interface}; take that \
         address off the interface while the lab runs", wide_area = Network::WIDE_AREA
    )]
    Address {
        /// The interface.
        interface: String,
        /// Its network.
        network: Network,
    },
    /// The host routes our network elsewhere.
    #[error(
        "the lab's network {wide_area} overlaps the route {route} over interface {interface}; \
         remove that route while the lab runs", wide_area = Network::WIDE_AREA
    )]
    Route {
        /// The route's destination.
        route: String,
        /// The interface it leads to.
        interface: String,
    },
}

/// Judges the machine's interfaces and routes. Pure.
#[must_use]
pub fn conflicts(interfaces: &[Interface], routes: &[Route]) -> Vec<Conflict> {
    let mut names: BTreeSet<String> = Center::ALL
        .into_iter()
        .map(Center::host_interface)
        .collect();
    names.insert(BRIDGE.to_owned());
    let ours: BTreeSet<&str> = interfaces
        .iter()
        .filter(|interface| interface.is_ours())
        .map(|interface| interface.ifname.as_str())
        .collect();
    let mut found = Vec::new();
    for interface in interfaces.iter().filter(|interface| !interface.is_ours()) {
        if names.contains(&interface.ifname) {
            found.push(Conflict::InterfaceName(interface.ifname.clone()));
        }
        found.extend(
            interface
                .networks()
                .filter(|network| network.overlaps(Network::WIDE_AREA))
                .map(|network| Conflict::Address {
                    interface: interface.ifname.clone(),
                    network,
                }),
        );
    }
    found.extend(
        routes
            .iter()
            .filter(|route| !ours.contains(route.dev.as_str()))
            .filter(|route| {
                route
                    .network()
                    .is_some_and(|it| it.overlaps(Network::WIDE_AREA))
            })
            .map(|route| Conflict::Route {
                route: route.dst.clone(),
                interface: route.dev.clone(),
            }),
    );
    found
}

/// The machine's interfaces.
pub async fn interfaces() -> Result<Vec<Interface>, Error> {
    let printed = Invocation::new("ip", ["-json", "-details", "address"])
        .perform()
        .await?;
    Ok(serde_json::from_str(&printed)?)
}

/// What of the machine stands in the way of the lab's network.
pub async fn observe_conflicts() -> Result<Vec<Conflict>, Error> {
    let interfaces = interfaces().await?;
    let printed = Invocation::new("ip", ["-json", "-4", "route"])
        .perform()
        .await?;
    let routes: Vec<Route> = if printed.trim().is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(&printed)?
    };
    Ok(conflicts(&interfaces, &routes))
}

/// Makes the bridge unless it is there.
pub async fn raise_bridge() -> Result<(), Error> {
    if interfaces()
        .await?
        .iter()
        .any(|it| it.ifname == BRIDGE && it.is_ours())
    {
        return Ok(());
    }
    perform_all(&plan_bridge()).await
}

/// Makes a center's leg anew.
pub async fn raise_leg(center: Center) -> Result<(), Error> {
    remove_leg(center).await?;
    perform_all(&plan_leg(center)).await
}

/// Takes the leg down so that the center falls silent: nothing that its kernel sends while it
/// dies, no FIN and no RST, reaches anybody.
pub async fn silence_leg(center: Center) -> Result<(), Error> {
    let interface = center.host_interface();
    if exists(&interface) {
        Invocation::new("ip", ["link", "set", &interface, "down"])
            .perform()
            .await?;
    }
    Ok(())
}

/// Removes a center's leg and namespace, whatever of them is there.
pub async fn remove_leg(center: Center) -> Result<(), Error> {
    remove_own_interface(&center.host_interface()).await?;
    let namespace = center.network_namespace();
    if std::path::Path::new("/run/netns").join(&namespace).exists() {
        Invocation::new("ip", ["netns", "delete", &namespace])
            .perform()
            .await?;
    }
    Ok(())
}

/// Removes the bridge, if it is there.
pub async fn remove_bridge() -> Result<(), Error> {
    remove_own_interface(BRIDGE).await
}

async fn remove_own_interface(name: &str) -> Result<(), Error> {
    let is_there = interfaces()
        .await?
        .iter()
        .any(|it| it.ifname == name && it.is_ours());
    if is_there {
        Invocation::new("ip", ["link", "delete", name])
            .perform()
            .await?;
    }
    Ok(())
}

fn exists(interface: &str) -> bool {
    std::path::Path::new("/sys/class/net")
        .join(interface)
        .exists()
}

async fn perform_all(calls: &[Invocation]) -> Result<(), Error> {
    for call in calls {
        call.perform().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(json: serde_json::Value) -> Vec<Interface> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_free_machine_has_no_conflicts() {
        let interfaces = machine(serde_json::json!([
            {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
            {"ifname": "eth0", "addr_info": [{"local": "192.0.2.2", "prefixlen": 24},
                                             {"local": "fd00::2", "prefixlen": 64}]},
        ]));
        let routes = [Route {
            dst: "default".into(),
            dev: "eth0".into(),
        }];
        assert_eq!(conflicts(&interfaces, &routes), []);
    }

    #[test]
    fn our_own_bridge_from_before_is_no_conflict() {
        let interfaces = machine(serde_json::json!([
            {"ifname": "tri-wan", "ifalias": "tricenter lab",
             "addr_info": [{"local": "10.99.0.1", "prefixlen": 24}]},
        ]));
        let routes = [Route {
            dst: "10.99.0.0/24".into(),
            dev: "tri-wan".into(),
        }];
        assert_eq!(conflicts(&interfaces, &routes), []);
    }

    #[test]
    fn strangers_names_addresses_and_routes_are_named() {
        let interfaces = machine(serde_json::json!([
            {"ifname": "tri-wan", "addr_info": []},
            {"ifname": "wg0", "addr_info": [{"local": "10.99.0.7", "prefixlen": 16}]},
        ]));
        let routes = [Route {
            dst: "10.0.0.0/8".into(),
            dev: "tun0".into(),
        }];
        let texts: Vec<_> = conflicts(&interfaces, &routes)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            texts[0].starts_with("interface tri-wan exists"),
            "{texts:?}"
        );
        assert!(
            texts[1].contains("10.99.0.7/16 on interface wg0"),
            "{texts:?}"
        );
        assert!(
            texts[2].contains("route 10.0.0.0/8 over interface tun0"),
            "{texts:?}"
        );
    }

    #[test]
    fn a_center_refuses_what_would_go_past_the_links() {
        let filter = packet_filter(Center::A2);
        for other in ["10.99.0.11", "10.241.0.0/24", "10.99.0.13", "10.243.0.0/24"] {
            assert!(filter.contains(other), "{other} missing in {filter}");
        }
        assert!(
            !filter.contains("10.99.0.1,") && !filter.contains("10.99.0.12"),
            "{filter}"
        );
    }
}
