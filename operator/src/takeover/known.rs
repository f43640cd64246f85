//! What the survivor knows, and what the loss of the others may have cost. Pure.
//!
//! ```text
//!   last batch ──── degrade_after_ms ────► until here the lost leader must wait for this site
//!   (its clock)      now? nothing is lost │ now? what it answered since then may be
//! ```

use crds::{KnownState, LossBound};
use jiff::Timestamp;
use protocol::admin::{PolicyName, ReplicaStatus};

use crate::takeover::check::lost;
use crate::takeover::plan::Situation;

/// By how much the survivor's clock and the lost leader's may differ, in microseconds, so that a proof
/// from both still holds.
pub const CLOCK_ERROR_US_MAX: u64 = 1_000_000;

/// What the survivor knows, and what the loss of the others may have cost.
#[must_use]
pub fn known(situation: &Situation<'_>) -> Option<KnownState> {
    let status = situation.view.status_of(situation.own.replica)?;
    let group = status.group.as_ref()?;
    let policy = group.policy.unwrap_or_default();
    let is_site_safe = policy.name() == PolicyName::SiteSafe;
    let degraded = group.protection.as_ref().is_none_or(|it| it.degraded);
    let (loss_bound, begins_us, loss_reason) = judge_loss(
        situation,
        status,
        is_site_safe,
        degraded,
        policy.degrade_after_ms,
    );
    Some(KnownState {
        replica: status.replica,
        generation: group.generation,
        epoch: status.epoch,
        last_index: status.last_index,
        commit_index: status.commit_index,
        last_batch_at: time(status.last_batch_at_us),
        commit_policy: if is_site_safe { "SiteSafe" } else { "Metro" }.to_owned(),
        degraded,
        loss_bound,
        loss_begins: time(begins_us),
        loss_reason,
    })
}

/// A time of the core in the object's form; 0 is none.
pub(super) fn time(us: u64) -> Option<String> {
    let us = i64::try_from(us).ok().filter(|us| *us > 0)?;
    Some(Timestamp::from_microsecond(us).ok()?.to_string())
}

/// Under SiteSafe the lost leader answers nothing that is not here until it has waited in vain for
/// `degrade_after_ms` since what it last had confirmed. While that time is not over, nothing is lost;
/// from the survivor's log alone nobody can see what became of it afterwards.
fn judge_loss(
    situation: &Situation<'_>,
    status: &ReplicaStatus,
    is_site_safe: bool,
    degraded: bool,
    degrade_after_ms: u32,
) -> (LossBound, u64, String) {
    let lost = lost(situation);
    let site = &situation.own.site;
    let lost_here = (situation.core.centers.iter())
        .any(|center| center.site == *site && lost.contains(&center.replica));
    let last_us = status.last_batch_at_us;
    let because = match (is_site_safe, degraded, lost_here) {
        (false, _, _) => "the policy was not SiteSafe",
        (true, true, _) => "commits did not wait for this site",
        (true, false, true) => "replicas of this site are lost as well",
        (true, false, false) if last_us == 0 => "no batch has a time yet",
        (true, false, false) => {
            let until_us = last_us + u64::from(degrade_after_ms) * 1_000;
            let text = time(until_us).unwrap_or_default();
            return if status.now_us + CLOCK_ERROR_US_MAX < until_us {
                let reason = format!(
                    "no answered order is lost: until {text} the lost replicas have to wait for this site"
                );
                (LossBound::Zero, until_us, reason)
            } else {
                let reason = format!("what was answered after {text} may be lost");
                (LossBound::AfterDegradation, until_us, reason)
            };
        }
    };
    let from = time(last_us).map_or_else(
        || "what was answered after its last entry".to_owned(),
        |last| format!("what was answered after {last}"),
    );
    let reason = format!("{from} may be lost: {because}");
    (LossBound::AfterLastBatch, last_us, reason)
}

/// When the proof that nothing is lost ends, if that is what no approval was needed for.
#[must_use]
pub fn proof_ends_us(known: &KnownState) -> Option<u64> {
    if known.loss_bound != LossBound::Zero {
        return None;
    }
    let ends: Timestamp = known.loss_begins.as_ref()?.parse().ok()?;
    let us = u64::try_from(ends.as_microsecond()).ok()?;
    Some(us.saturating_sub(CLOCK_ERROR_US_MAX))
}
