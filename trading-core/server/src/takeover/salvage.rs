//! The orders that only a lost replica has: what its clients may have been told, and the new group
//! does not know.

use super::survey::{epoch_at, look_into, micros, replay};
use anyhow::Result;
use journal::Inspected;
use replica::Replayed;
use serde::Serialize;
use std::path::Path;
use types::{Command, LogIndex, decode_batch};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Salvage {
    /// The first entry that differs; 0 when none does.
    pub fork_index: u64,
    /// Entries of the lost replica from there on.
    pub entries: u64,
    /// The last entry that the lost replica knew to be committed: up to here, its group had answered.
    pub commit_index: u64,
    /// The requests in them, in their order.
    pub requests: Vec<Request>,
}

/// One request of a client.
#[derive(Debug, Serialize)]
pub struct Request {
    /// Its entry.
    pub index: u64,
    /// That entry's epoch.
    pub epoch: u64,
    /// The leader's clock, µs since 1970.
    pub leader_time_us: u64,
    /// The session that sent it.
    pub session: u64,
    /// The account that it trades for; 0 when not known.
    pub account: u64,
    /// Its number in the session.
    pub client_seq: u64,
    /// Its client was told, for certain; otherwise it may have been.
    pub answered: bool,
    /// The request itself.
    pub request: serde_json::Value,
}

/// Compares a lost replica's directory with a survivor's.
///
/// # Errors
/// When one of them cannot be read.
pub fn salvage(lost: &Path, survivor: &Path) -> Result<Salvage> {
    let (lost, survivor) = (look_into(lost)?, look_into(survivor)?);
    let group = replay(&survivor)?.state.group().clone();
    let is_later = group.generation > replay(&lost)?.state.group().generation;
    of(&lost, &survivor, is_later.then_some(group.formed_at))
}

/// Compares two logs. `formed_at` is where a later group than the lost replica's was formed: what the
/// lost one has from there on is its own, whatever the survivor still keeps entry by entry.
///
/// # Errors
/// When the lost log cannot be replayed.
pub fn of(lost: &Inspected, survivor: &Inspected, formed_at: Option<LogIndex>) -> Result<Salvage> {
    let fork = fork(lost, survivor, formed_at);
    let commit = lost.hard_state.commit;
    let mut found = Salvage {
        fork_index: fork.map_or(0, |index| index.0),
        entries: 0,
        commit_index: commit.0,
        requests: Vec::new(),
    };
    let Some(fork) = fork else {
        return Ok(found);
    };
    let base = lost.snapshot.as_ref().filter(|s| s.index < fork);
    let before = LogIndex(fork.0.saturating_sub(1));
    let mut known = Replayed::of(base, &lost.entries, before)?;
    for entry in lost.entries.iter().filter(|entry| entry.index >= fork) {
        found.entries += 1;
        if entry.data.is_empty() {
            continue;
        }
        let batch = decode_batch(&entry.data)?;
        // Before the requests are told: a session may have logged on in this very entry.
        known.take(entry)?;
        for command in &batch.commands {
            let Command::Client(command) = command else {
                continue;
            };
            let account = known.state.account_of_session(command.session);
            found.requests.push(Request {
                index: entry.index.0,
                epoch: entry.epoch.0,
                leader_time_us: micros(batch.leader_time),
                session: command.session.0,
                account: account.map_or(0, |account| account.0),
                client_seq: command.client_seq.0,
                answered: entry.index <= commit,
                request: serde_json::to_value(command.request)?,
            });
        }
    }
    Ok(found)
}

/// The first entry of the lost log that is not the survivor's.
fn fork(lost: &Inspected, survivor: &Inspected, formed_at: Option<LogIndex>) -> Option<LogIndex> {
    let known = survivor.snapshot.as_ref().map_or(0, |s| s.index.0);
    let first_kept = survivor.entries.first().map(|entry| entry.index);
    let differs = |entry: &&journal::LogEntry| match epoch_at(survivor, entry.index) {
        _ if formed_at.is_some_and(|formed_at| entry.index >= formed_at) => true,
        Some(epoch) => epoch != entry.epoch,
        // Before what the survivor still has entry by entry, its snapshot speaks: both have it.
        None => first_kept.is_none_or(|first| entry.index >= first) && entry.index.0 > known,
    };
    lost.entries.iter().find(differs).map(|entry| entry.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::LogEntry;
    use types::Epoch;

    fn log(epochs: &[u64]) -> Inspected {
        let entries = (1..).zip(epochs).map(|(index, epoch)| LogEntry {
            index: LogIndex(index),
            epoch: Epoch(*epoch),
            data: Vec::new(),
        });
        Inspected {
            entries: entries.collect(),
            ..Inspected::default()
        }
    }

    #[test]
    fn the_fork_is_where_the_epochs_part_or_the_survivor_ends() {
        let survivor = log(&[1, 1, 2, 9]);
        assert_eq!(fork(&log(&[1, 1, 2]), &survivor, None), None);
        assert_eq!(
            fork(&log(&[1, 1, 2, 2, 3]), &survivor, None),
            Some(LogIndex(4))
        );
        assert_eq!(
            fork(&log(&[1, 1, 2, 9, 9]), &survivor, None),
            Some(LogIndex(5))
        );
    }

    /// Once the survivor had traded on past a snapshot, the orders that only the lost site had were
    /// taken for known.
    #[test]
    fn a_tail_that_lies_below_the_survivors_snapshot_is_still_the_lost_replicas_own() {
        let survivor = Inspected {
            snapshot: Some(journal::SavedSnapshot {
                index: LogIndex(900),
                epoch: Epoch(1_000_000),
                state: Vec::new(),
            }),
            ..Inspected::default()
        };
        let lost = log(&[1, 1, 2, 2, 3]);
        let formed_at = Some(LogIndex(4));
        assert_eq!(fork(&lost, &survivor, formed_at), formed_at);
        assert_eq!(fork(&lost, &survivor, None), None, "both have it");
    }
}
