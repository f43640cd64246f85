//! nftables in a center's network namespace.
//!
//! ```text
//!   eth0 ─► prerouting, before addresses change ─► the center
//!   eth0 ◄─ postrouting, after they did ◄───────── the center
//! ```
//!
//! Each strike is a table of its own, so that taking it back is one deletion, and its rules count what
//! they strike: a counter that stays at zero is a fault that did not act.

use std::time::Duration;

use chaos_scenario::{PacketFilter, PacketTraffic, PacketWay};
use lab::ground::address_plan::{Center, Endpoint, Link, Traffic};
use lab::ground::invocation::Invocation;
use serde::{Deserialize, Serialize};

use crate::ground::look_until;

/// The beginning of our tables' names.
const TABLE: &str = "tricenter_chaos_";

/// Rules in one center.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// The center.
    pub center: Center,
    /// What the rules do.
    pub filter: PacketFilter,
    /// With which packets.
    pub traffic: PacketTraffic,
    /// Which way.
    pub way: PacketWay,
    /// The table's name.
    pub table: String,
}

/// What takes the rules back: the table's name says it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// The table to be deleted.
    pub table: String,
}

impl Strike {
    pub(crate) fn new(
        center: Center,
        filter: PacketFilter,
        traffic: PacketTraffic,
        way: PacketWay,
        id: &str,
    ) -> Self {
        let clean: String = id
            .chars()
            .map(|letter| match letter.is_ascii_alphanumeric() {
                true => letter.to_ascii_lowercase(),
                false => '_',
            })
            .collect();
        Self {
            center,
            filter,
            traffic,
            way,
            table: format!("{TABLE}{clean}"),
        }
    }

    pub(crate) fn target(&self) -> String {
        format!("packets {}", self.center)
    }

    pub(crate) fn prepare(&self) -> Inverse {
        Inverse {
            table: self.table.clone(),
        }
    }

    /// The rules, as nft reads them.
    #[must_use]
    pub fn rules(&self) -> String {
        let verdict = match self.filter {
            PacketFilter::Drop {} => "counter drop".to_owned(),
            PacketFilter::Reject {} => "counter reject with tcp reset".to_owned(),
            // A random number for each packet, against a share.
            PacketFilter::Loss { percent } => {
                format!("numgen random mod 100 < {percent} counter drop")
            }
        };
        let mut chains = String::new();
        if self.way != PacketWay::Out {
            chains.push_str(&chain(
                "in",
                "prerouting priority -300",
                "iifname",
                &self.matches(true),
                &verdict,
            ));
        }
        if self.way != PacketWay::In {
            chains.push_str(&chain(
                "out",
                "postrouting priority 300",
                "oifname",
                &self.matches(false),
                &verdict,
            ));
        }
        format!("table ip {} {{\n{chains}}}\n", self.table)
    }

    /// What packets are struck. Those of a connection that the center takes carry its node port on
    /// the center's side; those of one that it dials carry the link's port on the other side.
    fn matches(&self, inwards: bool) -> Vec<String> {
        let wanted = match self.traffic {
            PacketTraffic::All => return vec!["meta l4proto { tcp, udp, icmp }".to_owned()],
            PacketTraffic::Replication => Traffic::Replication,
            PacketTraffic::Orders => Traffic::Orders,
            PacketTraffic::Entry => Traffic::Entry,
        };
        let own = Endpoint::Center(self.center);
        let (mut taken, mut dialled) = (Vec::new(), Vec::new());
        for proxy in Link::ALL.into_iter().flat_map(Link::proxies) {
            if proxy.traffic != wanted {
                continue;
            }
            if proxy.direction.to == own {
                taken.push(proxy.upstream.port().to_string());
            }
            if proxy.direction.from == own {
                dialled.push(proxy.listen.port().to_string());
            }
        }
        taken.sort();
        taken.dedup();
        let (own_side, other_side) = match inwards {
            true => ("dport", "sport"),
            false => ("sport", "dport"),
        };
        let mut matches = Vec::new();
        if !taken.is_empty() {
            matches.push(format!("tcp {own_side} {{ {} }}", taken.join(", ")));
        }
        if !dialled.is_empty() {
            matches.push(format!("tcp {other_side} {{ {} }}", dialled.join(", ")));
        }
        matches
    }

    fn call(&self, arguments: &[&str]) -> Invocation {
        let namespace = format!("--net=/run/netns/{}", self.center.network_namespace());
        let mut all = vec![namespace, "nft".to_owned()];
        all.extend(arguments.iter().map(|it| (*it).to_owned()));
        Invocation::new("nsenter", all)
    }

    async fn perform(invocation: Invocation) -> Result<String, String> {
        invocation
            .perform()
            .await
            .map_err(|error| error.to_string())
    }

    pub(crate) async fn apply(&self) -> Result<(), String> {
        Self::perform(self.call(&["-f", "-"]).with_input(self.rules()))
            .await
            .map(drop)
    }

    pub(crate) async fn observe(&self, limit: Duration) -> Result<String, String> {
        look_until(limit, || async {
            let listed =
                Self::perform(self.call(&["-j", "list", "table", "ip", &self.table])).await?;
            let (packets, bytes) = counted(&listed)?;
            match packets {
                0 => Err("the rules have struck no packet".to_owned()),
                _ => Ok(format!("struck {packets} packets, {bytes} bytes so far")),
            }
        })
        .await
    }

    pub(crate) async fn recover(&self) -> Result<(), String> {
        if !self.is_there().await? {
            return Ok(());
        }
        Self::perform(self.call(&["delete", "table", "ip", &self.table]))
            .await
            .map(drop)
    }

    async fn is_there(&self) -> Result<bool, String> {
        let namespace = std::path::Path::new("/run/netns").join(self.center.network_namespace());
        // A center that was powered off has lost its rules with its namespace.
        if !namespace.exists() {
            return Ok(false);
        }
        let listed = Self::perform(self.call(&["list", "tables"])).await?;
        Ok(listed
            .lines()
            .any(|line| line.trim() == format!("table ip {}", self.table)))
    }

    pub(crate) async fn prove(&self) -> Result<String, String> {
        match self.is_there().await? {
            true => Err(format!("table {} is still listed", self.table)),
            false => Ok(format!("table {} is not listed", self.table)),
        }
    }
}

fn chain(name: &str, hook: &str, interface: &str, matches: &[String], verdict: &str) -> String {
    let rules: Vec<String> = matches
        .iter()
        .map(|it| format!("\t\t{interface} \"eth0\" {it} {verdict}\n"))
        .collect();
    format!(
        "\tchain {name} {{\n\t\ttype filter hook {hook}; policy accept;\n{}\t}}\n",
        rules.concat()
    )
}

/// Packets and bytes over all counters of a listing. Pure.
fn counted(listed: &str) -> Result<(u64, u64), String> {
    let value: serde_json::Value =
        serde_json::from_str(listed).map_err(|error| format!("nft printed no JSON: {error}"))?;
    let (mut packets, mut bytes) = (0, 0);
    for rule in value["nftables"].as_array().into_iter().flatten() {
        for expression in rule["rule"]["expr"].as_array().into_iter().flatten() {
            packets += expression["counter"]["packets"].as_u64().unwrap_or(0);
            bytes += expression["counter"]["bytes"].as_u64().unwrap_or(0);
        }
    }
    Ok((packets, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_struck_on_both_kinds_of_connections() {
        let strike = Strike::new(
            Center::A1,
            PacketFilter::Loss { percent: 30 },
            PacketTraffic::Orders,
            PacketWay::Both,
            "NET-001/0",
        );
        let rules = strike.rules();
        assert!(
            rules.starts_with("table ip tricenter_chaos_net_001_0 {"),
            "{rules}"
        );
        assert!(
            rules.contains(
                "iifname \"eth0\" tcp dport { 30702 } numgen random mod 100 < 30 counter drop"
            ),
            "{rules}"
        );
        assert!(
            rules.contains("iifname \"eth0\" tcp sport { 17122, 17132 }"),
            "{rules}"
        );
        assert!(
            rules.contains("oifname \"eth0\" tcp sport { 30702 }"),
            "{rules}"
        );
    }

    #[test]
    fn one_way_has_one_chain() {
        let strike = |way| {
            Strike::new(
                Center::B1,
                PacketFilter::Drop {},
                PacketTraffic::All,
                way,
                "x",
            )
            .rules()
        };
        assert!(!strike(PacketWay::In).contains("postrouting"));
        assert!(!strike(PacketWay::Out).contains("prerouting"));
    }

    #[test]
    fn counters_are_added_up() {
        let listed = r#"{"nftables":[{"rule":{"expr":[{"counter":{"packets":3,"bytes":120}},{"drop":null}]}},
            {"rule":{"expr":[{"counter":{"packets":2,"bytes":80}}]}}]}"#;
        assert_eq!(counted(listed).unwrap(), (5, 200));
        assert_eq!(counted(r#"{"nftables":[]}"#).unwrap(), (0, 0));
        assert!(counted("no").is_err());
    }
}
