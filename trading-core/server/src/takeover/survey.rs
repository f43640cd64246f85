//! What is found of a replica: in its data directory, or by asking its process.

use crate::config::ReplicaConfig;
use anyhow::{Context, Result, bail};
use journal::{Inspected, LogEntry, SavedSnapshot, inspect};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{ReadLogRequest, ReplicaStatus, StatusRequest, log_chunk};
use replica::{Group, ProtectionLevel, Replayed};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::Channel;
use types::{CommitPolicy, Epoch, LogIndex, MemberDuty, MemberRole, UnixMicros};

const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest pause of a log that is read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A snapshot comes in one message.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// A voter as the survivor's log names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voter {
    /// Its id.
    pub replica: u64,
    /// Its site.
    pub site: String,
    /// It serves nobody.
    pub witness: bool,
}

/// One replica that survived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survivor {
    /// Its id.
    pub replica: u64,
    /// Its site.
    pub site: String,
    /// Found in its data directory, and not only by asking its process.
    pub directory: bool,
    /// Its process answers.
    pub running: bool,
    /// Its process leads and takes orders.
    pub serving: bool,
    /// Its disk was lost once and it has not caught up since.
    pub unproven: bool,
    /// The group's generation.
    pub generation: u64,
    /// The highest epoch that it has seen.
    pub epoch: u64,
    /// The last entry's epoch.
    pub last_epoch: u64,
    /// The last entry.
    pub last_index: u64,
    /// The last entry that it knows to be committed.
    pub commit_index: u64,
    /// The leader's clock in the last batch, µs since 1970; 0 when not known.
    pub last_batch_at_us: u64,
    /// Commits were to reach two sites, and the leader went on alone after so long, in milliseconds.
    pub site_safe_degrade_after_ms: Option<u32>,
    /// By the last record that it has, commits waited for a majority only.
    pub degraded: bool,
    /// Who votes, by the last record that it has.
    pub voters: Vec<Voter>,
}

/// Looks into a replica's data directory, and asks its process whether it runs.
///
/// # Errors
/// When the directory cannot be read or holds nothing.
pub async fn of_directory(config: &ReplicaConfig) -> Result<Survivor> {
    let folder = &config.data_directory;
    let found =
        inspect(folder).with_context(|| format!("failed to look into {}", folder.display()))?;
    let replayed = replay(&found)?;
    let group = replayed.state.group();
    if group.generation == 0 {
        bail!("{} holds no group's log", folder.display());
    }
    let status = ask(&config.listen.orders.to_string()).await.ok();
    let (site_safe_degrade_after_ms, degraded) = protection(group);
    Ok(Survivor {
        replica: config.replica,
        site: config.site.clone(),
        directory: true,
        running: status.is_some(),
        serving: status.is_some_and(|status| status.serving),
        unproven: folder.join("unproven").exists(),
        generation: group.generation,
        epoch: found.hard_state.epoch.max(found.last.1).0,
        last_epoch: found.last.1.0,
        last_index: found.last.0.0,
        commit_index: found.hard_state.commit.0,
        last_batch_at_us: replayed.last_batch_at.0,
        site_safe_degrade_after_ms,
        degraded,
        voters: voters(group),
    })
}

/// Asks a running process at `host:port`.
///
/// # Errors
/// When it does not answer.
pub async fn of_process(address: &str) -> Result<Survivor> {
    let status = ask(address).await?;
    let group = status.group.unwrap_or_default();
    let policy = group.policy.unwrap_or_default();
    let site_safe = policy.name() == protocol::admin::PolicyName::SiteSafe;
    let members = group.members.iter();
    let voting = members.filter(|m| m.role() == protocol::admin::MemberRole::Voter);
    Ok(Survivor {
        replica: status.replica,
        site: status.site,
        directory: false,
        running: true,
        serving: status.serving,
        unproven: false,
        generation: group.generation,
        epoch: status.epoch,
        last_epoch: 0,
        last_index: status.last_index,
        commit_index: status.commit_index,
        last_batch_at_us: 0,
        site_safe_degrade_after_ms: site_safe.then_some(policy.degrade_after_ms),
        degraded: group
            .protection
            .is_some_and(|protection| protection.degraded),
        voters: voting
            .map(|member| Voter {
                replica: member.replica,
                site: member.site.clone(),
                witness: member.witness,
            })
            .collect(),
    })
}

/// The group that a running process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedGroup {
    /// How often it has been formed.
    pub generation: u64,
    /// The entry that began this generation.
    pub formed_at: LogIndex,
}

/// Asks the leader at `host:port` for its group.
///
/// # Errors
/// When it does not answer or does not serve.
pub async fn group_of(address: &str) -> Result<LedGroup> {
    let status = ask(address).await?;
    if !status.serving {
        bail!("{address} does not lead: give the leader's address");
    }
    let group = status.group.unwrap_or_default();
    Ok(LedGroup {
        generation: group.generation,
        formed_at: LogIndex(group.formed_at_index),
    })
}

/// The indexes and epochs of a running process's log from `from` on, without what is in the entries.
///
/// # Errors
/// When the log breaks off, or pauses for longer than 10 s.
pub async fn log_of_process(address: &str, from: u64) -> Result<Inspected> {
    let channel = Channel::from_shared(format!("http://{address}"))?;
    let channel = timeout(ASK_TIMEOUT, channel.connect()).await;
    let channel = channel.with_context(|| format!("{address} does not answer within 1 s"))??;
    let mut admin = AdminClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let asked = admin.read_log(ReadLogRequest {
        from_index: from,
        follow: false,
    });
    let stream = timeout(READ_TIMEOUT, asked).await;
    let mut stream = stream.context("the log does not begin")??.into_inner();
    let mut found = Inspected::default();
    loop {
        let next = timeout(READ_TIMEOUT, stream.message()).await;
        let chunk = next.with_context(|| format!("the log of {address} pauses"))??;
        match chunk.and_then(|chunk| chunk.body) {
            None => bail!("the log of {address} was cut short"),
            Some(log_chunk::Body::End(_)) => return Ok(found),
            Some(log_chunk::Body::Snapshot(snapshot)) => {
                found.snapshot = Some(SavedSnapshot {
                    index: LogIndex(snapshot.index),
                    epoch: Epoch(snapshot.epoch),
                    state: Vec::new(),
                });
            }
            Some(log_chunk::Body::Entry(entry)) => found.entries.push(LogEntry {
                index: LogIndex(entry.index),
                epoch: Epoch(entry.epoch),
                data: Vec::new(),
            }),
        }
    }
}

async fn ask(address: &str) -> Result<ReplicaStatus> {
    let asked = async {
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        let status = AdminClient::new(channel).status(StatusRequest {}).await?;
        anyhow::Ok(status.into_inner())
    };
    let answer = timeout(ASK_TIMEOUT, asked).await;
    answer.with_context(|| format!("{address} does not answer within 1 s"))?
}

/// The state behind the last entry, whether that is committed or not.
///
/// # Errors
/// When what was found cannot be replayed.
pub fn replay(found: &Inspected) -> Result<Replayed> {
    let base = found.snapshot.as_ref();
    Ok(Replayed::of(base, &found.entries, LogIndex(u64::MAX))?)
}

/// The epoch of every entry that is still there.
pub(crate) fn epoch_at(found: &Inspected, index: LogIndex) -> Option<Epoch> {
    let first = found.entries.first()?.index.0;
    let place = usize::try_from(index.0.checked_sub(first)?).ok()?;
    found.entries.get(place).map(|entry| entry.epoch)
}

fn protection(group: &Group) -> (Option<u32>, bool) {
    let waits = match group.policy {
        CommitPolicy::Metro => None,
        CommitPolicy::SiteSafe { degrade_after_ms } => Some(degrade_after_ms),
    };
    (waits, group.protection.level != ProtectionLevel::Full)
}

fn voters(group: &Group) -> Vec<Voter> {
    let voting = group
        .members
        .iter()
        .filter(|m| m.role != MemberRole::Learner);
    voting
        .map(|member| Voter {
            replica: member.replica.0,
            site: member.site.clone(),
            witness: member.duty == MemberDuty::Witness,
        })
        .collect()
}

/// Reads a directory that only its path is known of.
///
/// # Errors
/// When it cannot be read.
pub fn look_into(folder: &Path) -> Result<Inspected> {
    inspect(folder).with_context(|| format!("failed to look into {}", folder.display()))
}

/// A batch's time, for people.
pub(crate) fn micros(time: UnixMicros) -> u64 {
    time.0
}
