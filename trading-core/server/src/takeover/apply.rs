//! Forming the new group on the base's disk.

use super::plan::Plan;
use super::survey::replay;
use crate::config::ReplicaConfig;
use anyhow::{Context, Result, bail};
use journal::{HardState, Journal, LogEntry, Sync, inspect};
use types::{
    Batch, Command, Control, Epoch, GroupChange, LogIndex, Member, MemberDuty, MemberRole,
    ReplicaId, encode_batch,
};

/// Writes the entry with which the base is the whole group. Its own log stays as it is, the tail that
/// is not committed included.
///
/// # Errors
/// When the plan is refused, is not the one that was approved, or the base's process runs.
pub fn apply(plan: &Plan, approved_digest: &str, base: &ReplicaConfig) -> Result<()> {
    if let Some(refused) = &plan.refused {
        bail!("the takeover is refused: {refused}");
    }
    if plan.digest != approved_digest {
        bail!(
            "digest {approved_digest} was approved, and what is found now has {}: plan again, and \
             have that approved",
            plan.digest
        );
    }
    let folder = &base.data_directory;
    // Taken before it is looked into: nobody writes from here on.
    let (mut journal, recovered) = Journal::open(folder, base.journal_options())?;
    let found = inspect(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    if recovered.last_index().0 + 1 != plan.formed_at_index {
        bail!(
            "the log of replica {} has changed since it was planned",
            plan.base
        );
    }
    let replayed = replay(&found)?;
    let member = replayed.state.group().member(ReplicaId(plan.base));
    let member = member.with_context(|| {
        format!(
            "replica {} is no member of the group in its own log",
            plan.base
        )
    })?;
    let change = GroupChange::Refound {
        members: vec![Member {
            role: MemberRole::Voter,
            // There is nobody else to serve.
            duty: MemberDuty::Data,
            ..member.clone()
        }],
        generation: plan.generation,
    };
    let data = encode_batch(&Batch {
        leader_time: replayed.last_batch_at,
        commands: vec![Command::Control(Control::Group(change))],
    })?;
    let (index, epoch) = (LogIndex(plan.formed_at_index), Epoch(plan.epoch));
    let hard_state = HardState {
        epoch,
        vote: ReplicaId(0),
        commit: index,
    };
    let entry = LogEntry { index, epoch, data };
    journal.append(vec![entry], Some(hard_state), Sync::Now)?;
    Ok(())
}
