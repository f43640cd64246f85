//! Forming the group without a person at the disk: for whoever has had the takeover approved already,
//! such as an operator that runs this on the volume of a stopped replica.
//!
//! ```text
//!   what was approved (generation, who is lost, how old the log may be, until when)
//!        └─► look ─► formed already? say so ─► plan ─► is it that? ─► apply
//! ```
//! May be run again at any time, and may be killed at any time: the entry that forms the group is on the
//! disk as a whole or not at all.

use super::{apply, plan, survey};
use crate::config::ReplicaConfig;
use anyhow::{Context, Result, bail};
use journal::inspect;
use serde::Serialize;

/// What was approved, as far as a disk can be compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The generation to be formed.
    pub generation: u64,
    /// The voters that count as lost.
    pub lost: Vec<u64>,
    /// The log must reach to here: it was shown so to those who approved.
    pub last_index_min: u64,
    /// Nothing is formed from this time on, µs since 1970: what proves that nothing is lost ends then.
    pub not_after_us: Option<u64>,
}

/// What was formed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Formed {
    /// The group's generation.
    pub generation: u64,
    /// Its first epoch, or a later one when it was formed before.
    pub epoch: u64,
    /// The first entry that is its own.
    pub formed_at_index: u64,
    /// Entries that were not known to be committed, and are kept; not known when it was formed before.
    pub uncommitted_entries_kept: Option<u64>,
    /// It was formed by an earlier run.
    pub already: bool,
}

/// Forms the group on this replica's disk, unless that was done.
///
/// # Errors
/// When what is found is not what was approved; nothing was changed then.
pub async fn form(config: &ReplicaConfig, approved: &Approved, now_us: u64) -> Result<Formed> {
    let found = survey::of_directory(config).await?;
    if found.generation >= approved.generation {
        return formed_before(config, &found, approved);
    }
    let plan = plan::plan(&config.cluster, config.shard, vec![found])
        .context("nothing survived that could be a base")?;
    agree(&plan, approved, now_us)?;
    let digest = plan.digest.clone();
    apply::apply(&plan, &digest, config)?;
    Ok(Formed {
        generation: plan.generation,
        epoch: plan.epoch,
        formed_at_index: plan.formed_at_index,
        uncommitted_entries_kept: Some(plan.uncommitted_entries_kept),
        already: false,
    })
}

fn formed_before(
    config: &ReplicaConfig,
    found: &survey::Survivor,
    approved: &Approved,
) -> Result<Formed> {
    let is_ours = found.generation == approved.generation
        && found.voters.iter().any(|it| it.replica == config.replica);
    if !is_ours {
        bail!(
            "the log is of generation {} already, and {} was approved: look at who leads",
            found.generation,
            approved.generation
        );
    }
    let state = survey::replay(&inspect(&config.data_directory)?)?.state;
    Ok(Formed {
        generation: found.generation,
        epoch: found.last_epoch,
        formed_at_index: state.group().formed_at.0,
        uncommitted_entries_kept: None,
        already: true,
    })
}

/// Pure: whether the plan is what was approved.
fn agree(plan: &plan::Plan, approved: &Approved, now_us: u64) -> Result<()> {
    if let Some(refused) = &plan.refused {
        bail!("the takeover is refused: {refused}");
    }
    if plan.generation != approved.generation {
        bail!(
            "generation {} would be formed, and {} was approved",
            plan.generation,
            approved.generation
        );
    }
    let mut lost = (plan.lost.clone(), approved.lost.clone());
    lost.0.sort_unstable();
    lost.1.sort_unstable();
    if lost.0 != lost.1 {
        bail!(
            "replicas {:?} would count as lost, and {:?} were approved: the membership in the log is \
             not what was thought",
            lost.0,
            lost.1
        );
    }
    let last_index = plan.formed_at_index - 1;
    if last_index < approved.last_index_min {
        bail!(
            "the log ends at {last_index}, and reached to {} when it was approved: this disk is not \
             the one that was shown",
            approved.last_index_min
        );
    }
    if let Some(not_after_us) = approved.not_after_us.filter(|end| now_us >= *end) {
        bail!(
            "it is {now_us} us, and until {not_after_us} us it was certain that nothing is lost: ask \
             people now"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::takeover::plan::tests::survivor;

    fn approved() -> Approved {
        Approved {
            generation: 2,
            lost: vec![2, 1],
            last_index_min: 88,
            not_after_us: Some(5_500_000),
        }
    }

    fn said(change: impl FnOnce(&mut Approved), now_us: u64) -> String {
        let plan = plan::plan("lab", 0, vec![survivor(3, 90)]).unwrap();
        let mut approved = approved();
        change(&mut approved);
        agree(&plan, &approved, now_us)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn what_is_found_as_approved_is_formed() {
        assert_eq!(said(|_| {}, 5_000_000), "");
    }

    #[test]
    fn what_differs_from_what_was_approved_is_told() {
        for (change, text) in [
            (
                (|it| it.generation = 3) as fn(&mut Approved),
                "generation 2 would be formed, and 3 was approved",
            ),
            (
                |it| it.lost = vec![1],
                "replicas [1, 2] would count as lost",
            ),
            (|it| it.last_index_min = 91, "the log ends at 90"),
        ] {
            let said = said(change, 5_000_000);
            assert!(said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_proof_that_nothing_is_lost_ends_with_its_time() {
        assert!(said(|_| {}, 5_500_000).contains("ask people now"));
        assert_eq!(said(|it| it.not_after_us = None, 5_500_000), "");
    }
}
