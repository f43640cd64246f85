//! A replica's configuration file.

use crate::market_data::MarketDataConfig;
use configuration::{BadValue, Checked, ConfigurationError, refuse, within};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use types::{CenterName, CommitPolicy, ReplicaId};

/// What a replica needs to know. JSON; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaConfig {
    /// Name of the whole installation; replicas of another one are refused.
    pub cluster: String,
    /// Which shard.
    pub shard: u16,
    /// Which replica this is.
    pub replica: u64,
    /// Its center.
    pub center: CenterName,
    /// Its site.
    pub site: String,
    /// Where the journal lives.
    pub data_directory: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// All replicas of the shard, this one among them, as reached from here.
    pub members: Vec<MemberConfig>,
    /// Timers.
    #[serde(default)]
    pub timing: Timing,
    /// Sizes of the log.
    #[serde(default)]
    pub journal: JournalConfig,
    /// Certificates; absent for plain connections.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The policy with which an empty group begins.
    #[serde(default)]
    pub commit: CommitConfig,
    /// This replica joins a group that is there: on an empty disk it waits to be added.
    #[serde(default)]
    pub join: bool,
    /// Where the leader publishes the market; nowhere when left out.
    #[serde(default)]
    pub market_data: Option<MarketDataConfig>,
    /// Take all memory of the day's tables at the start (about 1.5 GB), so that no order waits for a
    /// page and memory does not grow with the day. Off, pages come as they are needed.
    #[serde(default)]
    pub touch_tables: bool,
}

/// Where a replica listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For the other replicas.
    pub replication: SocketAddr,
    /// For gateways and administration (gRPC).
    pub orders: SocketAddr,
    /// For clients of the binary order protocol; none are let in where it is left out.
    #[serde(default)]
    pub binary: Option<SocketAddr>,
    /// For metrics and health.
    pub http: SocketAddr,
}

/// One replica of the shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Its id, from 1.
    pub replica: u64,
    /// Its center.
    pub center: CenterName,
    /// Its site.
    pub site: String,
    /// Where its replication is reached, `host:port`.
    pub replication: String,
    /// Where its orders and administration are reached, `host:port`.
    pub orders: String,
    /// Who should lead: higher ones miss a dead leader sooner.
    pub priority: u32,
    /// Keeps the log and votes, serves nobody.
    #[serde(default)]
    pub witness: bool,
}

/// What an order's commit waits for when the group begins; later the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum CommitConfig {
    /// A majority of the voters.
    #[default]
    Metro,
    /// A majority with voters of two sites.
    SiteSafe {
        /// How long the leader waits for another site before it goes on with a majority, in
        /// milliseconds.
        degrade_after_ms: u32,
    },
}

/// Timers, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Resolution of the timers.
    pub tick_ms: u32,
    /// How often a silent leader speaks.
    pub heartbeat_ms: u32,
    /// How long the preferred follower waits for a silent leader at least.
    pub election_timeout_ms_min: u32,
    /// How long the least preferred follower waits at most.
    pub election_timeout_ms_max: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick_ms: 10,
            heartbeat_ms: 100,
            election_timeout_ms_min: 500,
            election_timeout_ms_max: 900,
        }
    }
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalConfig {
    /// Size of a segment in bytes.
    pub segment_bytes: usize,
    /// A snapshot is taken after so many entries.
    pub snapshot_every_entries: u64,
    /// Entries kept in memory for followers that lag.
    pub retain_entries: u64,
    /// Segments that snapshots make needless are kept, for audits, while all take less than this.
    #[serde(default = "retain_bytes")]
    pub retain_bytes: u64,
}

fn retain_bytes() -> u64 {
    2 << 30
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            snapshot_every_entries: 20_000,
            retain_entries: 10_000,
            retain_bytes: retain_bytes(),
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

impl Checked for ReplicaConfig {
    fn check(&self) -> Result<(), BadValue> {
        if self.cluster.is_empty() || self.cluster.len() > 63 {
            return refuse(
                "cluster",
                format!("{:?}", self.cluster),
                "use 1 to 63 characters",
            );
        }
        let ids: BTreeSet<u64> = self.members.iter().map(|m| m.replica).collect();
        if ids.len() != self.members.len() || ids.contains(&0) {
            let listed: Vec<u64> = self.members.iter().map(|m| m.replica).collect();
            return refuse(
                "members[].replica",
                format!("{listed:?}"),
                "name each replica once, from 1",
            );
        }
        // Who joins may be the fourth of four: it does not found the group.
        if (self.members.len().is_multiple_of(2) && !self.join) || self.members.len() > 7 {
            let accepted = "use 1, 3, 5 or 7, so that a majority is clear";
            return refuse(
                "members",
                format!("of length {}", self.members.len()),
                accepted,
            );
        }
        let Some(own) = self.members.iter().find(|m| m.replica == self.replica) else {
            let accepted = format!("use one of the members: {ids:?}");
            return refuse("replica", self.replica.to_string(), accepted);
        };
        if own.center != self.center {
            let accepted = format!(
                "members says that replica {} is in {}",
                own.replica, own.center
            );
            return refuse("center", self.center.to_string(), accepted);
        }
        self.timing.check()?;
        if let CommitConfig::SiteSafe { degrade_after_ms } = self.commit {
            let waits_ms = u64::from(degrade_after_ms);
            within("commit.degrade_after_ms", waits_ms, 100..=600_000)?;
            let sites: BTreeSet<&String> = self.members.iter().map(|m| &m.site).collect();
            if sites.len() < 2 {
                let accepted = "it needs members of two sites: use metro, or add one";
                return refuse("commit.name", "site_safe", accepted);
            }
        }
        let segment_bytes = self.journal.segment_bytes as u64;
        within("journal.segment_bytes", segment_bytes, 1 << 16..=1 << 30)?;
        if self.journal.snapshot_every_entries == 0 {
            return refuse("journal.snapshot_every_entries", "0", "use 1 or more");
        }
        if self.tls.is_some() {
            let accepted = "this version speaks plain connections only: leave it out, and keep \
                            replication and orders inside a network of your own";
            return refuse("tls", "set", accepted);
        }
        self.market_data.map_or(Ok(()), |it| it.check())
    }
}

impl Timing {
    fn check(&self) -> Result<(), BadValue> {
        let timing = self;
        let refuse =
            |field: &str, value: u32, accepted| refuse(format!("timing.{field}"), value, accepted);
        within("timing.tick_ms", timing.tick_ms.into(), 1..=100)?;
        if timing.heartbeat_ms < timing.tick_ms {
            let accepted = format!("use at least tick_ms, {}", timing.tick_ms);
            return refuse("heartbeat_ms", timing.heartbeat_ms, accepted);
        }
        let least = timing.heartbeat_ms.saturating_mul(3);
        if timing.election_timeout_ms_min < least {
            let accepted = format!("use at least three heartbeats, {least}");
            let value = timing.election_timeout_ms_min;
            return refuse("election_timeout_ms_min", value, accepted);
        }
        if timing.election_timeout_ms_max <= timing.election_timeout_ms_min {
            let accepted = format!(
                "use more than election_timeout_ms_min, {}",
                timing.election_timeout_ms_min
            );
            let value = timing.election_timeout_ms_max;
            return refuse("election_timeout_ms_max", value, accepted);
        }
        Ok(())
    }
}

impl ReplicaConfig {
    /// Reads and checks a file. Gives back the configuration and its digest (SHA-256, hex).
    ///
    /// # Errors
    /// [`ConfigurationError`] naming the file and the field.
    pub fn read(path: &Path) -> Result<(Self, String), ConfigurationError> {
        let (config, bytes) = configuration::read_with_bytes(path)?;
        Ok((config, digest(&bytes)))
    }

    /// This replica's own entry among the members' others.
    pub fn peers(&self) -> impl Iterator<Item = &MemberConfig> {
        self.members.iter().filter(|m| m.replica != self.replica)
    }

    /// What the replica crate needs of it. `election_seed` should differ from start to start.
    #[must_use]
    pub fn group(&self, election_seed: u64) -> replica::Config {
        replica::Config {
            replica: ReplicaId(self.replica),
            members: self.members.iter().map(MemberConfig::founder).collect(),
            policy: match self.commit {
                CommitConfig::Metro => CommitPolicy::Metro,
                CommitConfig::SiteSafe { degrade_after_ms } => {
                    CommitPolicy::SiteSafe { degrade_after_ms }
                }
            },
            joins: self.join,
            tick_ms: self.timing.tick_ms,
            heartbeat_ms: self.timing.heartbeat_ms,
            election_timeout_ms_min: self.timing.election_timeout_ms_min,
            election_timeout_ms_max: self.timing.election_timeout_ms_max,
            election_seed,
            retain_entries: self.journal.retain_entries,
            snapshot_every_entries: self.journal.snapshot_every_entries,
            limits: replica::Limits::default(),
        }
    }

    /// What the journal crate needs of it.
    #[must_use]
    pub fn journal_options(&self) -> journal::Options {
        journal::Options {
            segment_bytes: self.journal.segment_bytes,
            retain_entries: self.journal.retain_entries,
            retain_bytes: self.journal.retain_bytes,
        }
    }
}

impl MemberConfig {
    /// The member as the group's founding names it: without addresses, which differ with the place
    /// they are reached from.
    fn founder(&self) -> types::Member {
        types::Member {
            replica: ReplicaId(self.replica),
            center: self.center.clone(),
            site: self.site.clone(),
            role: types::MemberRole::Voter,
            duty: if self.witness {
                types::MemberDuty::Witness
            } else {
                types::MemberDuty::Data
            },
            priority: self.priority,
            address: None,
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> serde_json::Value {
        let member = |replica: u64, center: &str, site: &str| {
            serde_json::json!({
                "replica": replica, "center": center, "site": site,
                "replication": format!("{center}.example:7001"),
                "orders": format!("{center}.example:7002"), "priority": 4 - replica,
            })
        };
        serde_json::json!({
            "cluster": "lab", "shard": 0, "replica": 1, "center": "a1", "site": "A",
            "data_directory": "/data",
            "listen": {"replication": "0.0.0.0:7001", "orders": "0.0.0.0:7002",
                       "http": "0.0.0.0:9100"},
            "members": [member(1, "a1", "A"), member(2, "a2", "A"), member(3, "b1", "B")],
            "timing": {"tick_ms": 10, "heartbeat_ms": 100, "election_timeout_ms_min": 500,
                       "election_timeout_ms_max": 900},
            "journal": {"segment_bytes": 67_108_864, "snapshot_every_entries": 20_000,
                        "retain_entries": 10_000},
            "tls": null, "commit": {"name": "metro"}
        })
    }

    fn check(value: &serde_json::Value) -> Result<ReplicaConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replica.json");
        std::fs::write(&path, value.to_string()).unwrap();
        let read = ReplicaConfig::read(&path);
        read.map(|(config, _)| config).map_err(|e| e.to_string())
    }

    #[test]
    fn the_documented_form_is_accepted() {
        let config = check(&example()).unwrap();
        assert_eq!(config.journal.retain_bytes, 2 << 30);
        assert_eq!(config.peers().count(), 2);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        for (pointer, value, field) in [
            ("/replica", serde_json::json!(9), "replica 9"),
            (
                "/members/1/replica",
                serde_json::json!(1),
                "members[].replica [1, 1, 3]",
            ),
            ("/center", serde_json::json!("b1"), "center b1"),
            (
                "/timing/heartbeat_ms",
                serde_json::json!(1),
                "timing.heartbeat_ms 1",
            ),
            (
                "/timing/election_timeout_ms_min",
                serde_json::json!(200),
                "timing.election_timeout_ms_min 200",
            ),
            (
                "/journal/segment_bytes",
                serde_json::json!(1),
                "journal.segment_bytes 1",
            ),
            ("/cluster", serde_json::json!(""), "cluster \"\""),
            (
                "/commit",
                serde_json::json!({"name": "site_safe", "degrade_after_ms": 5}),
                "commit.degrade_after_ms 5",
            ),
        ] {
            let mut changed = example();
            *changed.pointer_mut(pointer).unwrap() = value;
            let error = check(&changed).unwrap_err();
            assert!(error.contains(field), "{error}");
            assert!(error.contains("is not accepted: "), "{error}");
        }
    }

    #[test]
    fn market_data_that_cannot_be_is_refused_by_its_field() {
        let groups = |last: u8| [1, 2].map(|line| format!("239.192.77.{}:31001", last + line));
        let mut documented = example();
        documented["market_data"] = serde_json::json!({
            "incremental": groups(0), "snapshot": groups(2), "interface": "127.0.0.1",
            "update_interval_ms": 100,
        });
        check(&documented).unwrap();
        for (field, value, named) in [
            ("depth", serde_json::json!(26), "market_data.depth 26"),
            ("ttl", serde_json::json!(2), "market_data.ttl 2"),
            ("channel", serde_json::json!(0), "market_data.channel 0"),
            (
                "update_interval_ms",
                serde_json::json!(99),
                "market_data.update_interval_ms 99",
            ),
            (
                "snapshot",
                serde_json::json!(groups(0)),
                "market_data.snapshot[0] 239.192.77.1:31001",
            ),
            (
                "incremental",
                serde_json::json!(["239.192.77.1:31001", "10.0.0.1:31001"]),
                "market_data.incremental[1] 10.0.0.1:31001",
            ),
        ] {
            let mut changed = documented.clone();
            changed["market_data"][field] = value;
            let error = check(&changed).unwrap_err();
            assert!(error.contains(named), "{error}");
            assert!(error.contains("is not accepted: "), "{error}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_its_name() {
        let mut changed = example();
        changed["shards"] = serde_json::json!(2);
        assert!(check(&changed).unwrap_err().contains("shards"));
    }
}
