//! Whether a takeover may be, out of whom, and what it may cost.

use super::survey::Survivor;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Each generation's epochs begin this much higher, so that the new group's are higher than any that
/// a lost site can have reached unseen: it would have to elect a leader a million times.
pub const EPOCHS_A_GENERATION: u64 = 1_000_000;

/// What the loss of the others may have cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// Nothing, if the lost replicas answered nothing at or after this time by the leader's clock:
    /// until then they waited for this site. What they answered later is lost.
    NothingBefore {
        /// µs since 1970.
        until_us: u64,
    },
    /// All that the lost replicas answered after the base's last entry.
    AllAfterLastEntry {
        /// The leader's clock in its last batch, µs since 1970.
        last_batch_at_us: u64,
        /// Why no more can be promised.
        because: &'static str,
    },
}

/// A takeover as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The installation.
    pub cluster: String,
    /// The shard.
    pub shard: u16,
    /// All that was found.
    pub survivors: Vec<Survivor>,
    /// Voters of which nothing was found: they count as lost.
    pub lost: Vec<u64>,
    /// Who becomes the new group: the survivor with the newest log.
    pub base: u64,
    /// Survivors that are to rejoin it, empty.
    pub rejoin: Vec<u64>,
    /// The new group's generation.
    pub generation: u64,
    /// The new group's first epoch.
    pub epoch: u64,
    /// The first entry that is the new group's own.
    pub formed_at_index: u64,
    /// Entries of the base that it does not know to be committed. They are kept: the lost replicas may
    /// have answered them.
    pub uncommitted_entries_kept: u64,
    /// What it may cost.
    pub loss: Loss,
    /// Why it is refused, if it is.
    pub refused: Option<String>,
    /// SHA-256 over all of the above but the refusal: what is approved, and what `apply` does.
    pub digest: String,
}

/// Decides. `None` when nothing survived that a group can be made of.
#[must_use]
pub fn plan(cluster: &str, shard: u16, mut survivors: Vec<Survivor>) -> Option<Plan> {
    survivors.sort_by_key(|survivor| survivor.replica);
    let newest = |s: &&Survivor| (s.generation, s.last_epoch, s.last_index, !s.unproven);
    let base = survivors
        .iter()
        .filter(|survivor| survivor.directory)
        .max_by_key(newest)?
        .clone();
    let here: BTreeSet<u64> = survivors.iter().map(|s| s.replica).collect();
    let lost: Vec<u64> = base
        .voters
        .iter()
        .map(|voter| voter.replica)
        .filter(|replica| !here.contains(replica))
        .collect();
    let generation = base.generation + 1;
    let epoch = (base.epoch + 1).max(base.generation * EPOCHS_A_GENERATION);
    let mut plan = Plan {
        cluster: cluster.to_owned(),
        shard,
        loss: loss(&base, &lost),
        refused: refusal(&base, &survivors, &lost),
        rejoin: here
            .iter()
            .copied()
            .filter(|id| *id != base.replica)
            .collect(),
        uncommitted_entries_kept: base.last_index.saturating_sub(base.commit_index),
        formed_at_index: base.last_index + 1,
        base: base.replica,
        survivors,
        lost,
        generation,
        epoch,
        digest: String::new(),
    };
    plan.digest = digest(&plan);
    Some(plan)
}

fn loss(base: &Survivor, lost: &[u64]) -> Loss {
    let lost_here = base
        .voters
        .iter()
        .any(|voter| voter.site == base.site && lost.contains(&voter.replica));
    let because = match base.site_safe_degrade_after_ms {
        None => "the policy was not SiteSafe",
        Some(_) if base.degraded => "commits did not wait for this site",
        Some(_) if lost_here => "replicas of this site are lost as well",
        Some(degrade_after_ms) => {
            return Loss::NothingBefore {
                until_us: base.last_batch_at_us + u64::from(degrade_after_ms) * 1_000,
            };
        }
    };
    Loss::AllAfterLastEntry {
        last_batch_at_us: base.last_batch_at_us,
        because,
    }
}

fn refusal(base: &Survivor, survivors: &[Survivor], lost: &[u64]) -> Option<String> {
    if let Some(serving) = survivors.iter().find(|survivor| survivor.serving) {
        return Some(format!(
            "replica {} leads and takes orders: there is a quorum",
            serving.replica
        ));
    }
    let present = base.voters.len() - lost.len();
    let needed = base.voters.len() / 2 + 1;
    if present >= needed {
        return Some(format!(
            "{present} of {} voters are here and {needed} are a quorum: start them, and they elect a \
             leader without loss",
            base.voters.len()
        ));
    }
    if base.unproven {
        return Some(format!(
            "replica {} lost its disk once and has not caught up since: what it has may be older than \
             what was answered; give another survivor",
            base.replica
        ));
    }
    None
}

fn digest(plan: &Plan) -> String {
    let mut what = plan.clone();
    what.refused = None;
    // Whether a process runs at the moment is not what is approved.
    for survivor in &mut what.survivors {
        (survivor.running, survivor.serving) = (false, false);
    }
    let text = serde_json::to_vec(&what).unwrap_or_default();
    let bytes = Sha256::digest(&text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::takeover::survey::Voter;

    pub(in crate::takeover) fn survivor(replica: u64, last_index: u64) -> Survivor {
        let voter = |replica: u64, site: &str| Voter {
            replica,
            site: site.into(),
            witness: false,
        };
        Survivor {
            replica,
            site: if replica == 3 { "B" } else { "A" }.into(),
            directory: true,
            running: false,
            serving: false,
            unproven: false,
            generation: 1,
            epoch: 7,
            last_epoch: 7,
            last_index,
            commit_index: last_index - 2,
            last_batch_at_us: 5_000_000,
            site_safe_degrade_after_ms: Some(500),
            degraded: false,
            voters: vec![voter(1, "A"), voter(2, "A"), voter(3, "B")],
        }
    }

    fn of(survivors: Vec<Survivor>) -> Plan {
        plan("lab", 0, survivors).unwrap()
    }

    #[test]
    fn a_site_lost_under_site_safe_costs_nothing_until_the_leader_would_have_degraded() {
        let plan = of(vec![survivor(3, 90)]);
        assert_eq!(plan.refused, None);
        assert_eq!((plan.base, plan.lost.clone()), (3, vec![1, 2]));
        assert_eq!((plan.generation, plan.epoch), (2, 1_000_000));
        assert_eq!(plan.formed_at_index, 91);
        assert_eq!(plan.uncommitted_entries_kept, 2);
        let until_us = 5_500_000;
        assert_eq!(plan.loss, Loss::NothingBefore { until_us });
    }

    #[test]
    fn a_loss_that_nothing_bounds_is_said_with_its_reason() {
        let mut metro = survivor(3, 90);
        metro.site_safe_degrade_after_ms = None;
        let mut degraded = survivor(3, 90);
        degraded.degraded = true;
        let beside = survivor(1, 90);
        for (survivor, reason) in [
            (metro, "the policy was not SiteSafe"),
            (degraded, "commits did not wait for this site"),
            (beside, "replicas of this site are lost as well"),
        ] {
            let loss = of(vec![survivor]).loss;
            assert!(
                matches!(loss, Loss::AllAfterLastEntry { because, .. } if because == reason),
                "{loss:?}"
            );
        }
    }

    #[test]
    fn a_takeover_is_refused_while_a_quorum_exists() {
        let refused = of(vec![survivor(2, 80), survivor(3, 90)]).refused.unwrap();
        assert!(refused.contains("2 of 3 voters are here"), "{refused}");
        let mut leader = survivor(1, 95);
        (leader.directory, leader.serving) = (false, true);
        let refused = of(vec![survivor(3, 90), leader]).refused.unwrap();
        assert!(refused.contains("replica 1 leads"), "{refused}");
        let mut empty = survivor(3, 90);
        empty.unproven = true;
        assert!(of(vec![empty]).refused.unwrap().contains("lost its disk"));
    }

    #[test]
    fn what_is_approved_is_bound_to_what_was_found() {
        let plan = of(vec![survivor(3, 90)]);
        assert_eq!(of(vec![survivor(3, 90)]).digest, plan.digest);
        assert_ne!(of(vec![survivor(3, 91)]).digest, plan.digest);
        let mut running = survivor(3, 90);
        running.running = true;
        assert_eq!(of(vec![running]).digest, plan.digest);
    }
}
