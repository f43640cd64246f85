//! The conditions of our objects: their types, their reasons, and how one is put in place.
//!
//! | type | True means |
//! | --- | --- |
//! | `Ready` | this center runs what the object asks for, and the core serves orders |
//! | `Available` | a leader serves orders |
//! | `LeaderKnown` | the replicas agree on who leads |
//! | `ReplicasInStep` | every replica follows closely and none differs in content |
//! | `RpoZero` | the loss of any one center would lose no acknowledged order |
//! | `EntryReady` | this center's entry takes clients |
//!
//! Those are a `TradingCore`'s. A `Switchover` has `Ready` once it has ended well, and
//! `GapWithinObjective` once a gap was measured. A `Takeover` has `Ready` once it has ended well,
//! `RpoZero` once the survivor was asked, and `Approved` once approvals are needed.
//! An `FpgaCard` has `Ready` while it may be used and
//! `Healthy` while nothing is wrong with it.
//!
//! Without data a condition is `Unknown`, never `True`. Two more are there only while they hold, as
//! the kstatus convention wants it: `Reconciling` (this center's objects are still becoming what the
//! object asks for) and `Stalled` (they cannot without help).

use crate::{Condition, ConditionStatus};

/// This center runs what the object asks for, and the core serves orders.
pub const READY: &str = "Ready";
/// A leader serves orders.
pub const AVAILABLE: &str = "Available";
/// The replicas agree on who leads.
pub const LEADER_KNOWN: &str = "LeaderKnown";
/// Every replica follows closely and none differs in content.
pub const REPLICAS_IN_STEP: &str = "ReplicasInStep";
/// The loss of any one center would lose no acknowledged order.
pub const RPO_ZERO: &str = "RpoZero";
/// This center's entry takes clients.
pub const ENTRY_READY: &str = "EntryReady";

/// This center's objects are still becoming what the object asks for. Absent otherwise.
pub const RECONCILING: &str = "Reconciling";
/// This center's objects cannot become what the object asks for without help. Absent otherwise.
pub const STALLED: &str = "Stalled";

/// A planned move's time without service was no longer than its objective.
pub const GAP_WITHIN_OBJECTIVE: &str = "GapWithinObjective";

/// Enough people have approved, or none need to.
pub const APPROVED: &str = "Approved";
/// Nothing is wrong with a card.
pub const HEALTHY: &str = "Healthy";

/// Every type that is always there on a `TradingCore`, in the order in which they are written.
pub const TYPES: [&str; 6] = [
    READY,
    AVAILABLE,
    LEADER_KNOWN,
    REPLICAS_IN_STEP,
    RPO_ZERO,
    ENTRY_READY,
];

/// Reasons: one word for programs, as the message is for people.
pub mod reasons {
    /// All is as it should be.
    pub const AS_SPECIFIED: &str = "AsSpecified";
    /// The object contradicts itself in a way that admission did not see.
    pub const INVALID: &str = "Invalid";
    /// The object does not list this operator's center.
    pub const CENTER_NOT_LISTED: &str = "CenterNotListed";
    /// `spec.paused` is set: nothing is applied.
    pub const PAUSED: &str = "Paused";
    /// An object could not be applied.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// A pod is being started.
    pub const PODS_STARTING: &str = "PodsStarting";
    /// A takeover holds this center's replica while it works on its disk.
    pub const HELD: &str = "Held";
    /// The replica's pod runs an older configuration or image and waits to be restarted.
    pub const RESTART_WAITING: &str = "RestartWaiting";
    /// The replica's pod is being restarted under the maintenance lease.
    pub const RESTARTING: &str = "Restarting";
    /// A leader serves orders.
    pub const LEADER_SERVES: &str = "LeaderServes";
    /// Replicas answer, and none of them serves.
    pub const NO_LEADER: &str = "NoLeader";
    /// Replicas name different leaders for the same epoch.
    pub const LEADERS_DIFFER: &str = "LeadersDiffer";
    /// No replica could be asked.
    pub const NO_DATA: &str = "NoData";
    /// Every replica is in step.
    pub const IN_STEP: &str = "InStep";
    /// A replica is behind, silent, or could not be asked.
    pub const REPLICA_BEHIND: &str = "ReplicaBehind";
    /// Two replicas have different content at the same place of the log.
    pub const CONTENT_DIFFERS: &str = "ContentDiffers";
    /// A voter has not confirmed lately: one more loss could stop trading or cost orders.
    pub const VOTER_MISSING: &str = "VoterMissing";
    /// The entry takes clients.
    pub const ENTRY_SERVES: &str = "EntryServes";
    /// The cluster has no Gateway API.
    pub const GATEWAY_API_MISSING: &str = "GatewayApiMissing";
    /// The Gateway is not programmed yet, or its route was not accepted.
    pub const ENTRY_PENDING: &str = "EntryPending";
    /// No gateway pod is ready.
    pub const GATEWAY_DOWN: &str = "GatewayDown";
    /// A move is waiting for its checks.
    pub const CHECKS_PENDING: &str = "ChecksPending";
    /// A check of a move did not pass.
    pub const CHECKS_FAILED: &str = "ChecksFailed";
    /// A dry run has told what would happen.
    pub const PREDICTED: &str = "Predicted";
    /// A move is under way.
    pub const MOVING: &str = "Moving";
    /// A move has ended well.
    pub const MOVED: &str = "Moved";
    /// A move had begun and did not come to its end.
    pub const NOT_MOVED: &str = "NotMoved";
    /// A quorum exists: there is nothing to take over.
    pub const QUORUM_EXISTS: &str = "QuorumExists";
    /// A quorum may exist: a leader is heard, or a replica is silent that nobody called lost.
    pub const QUORUM_POSSIBLE: &str = "QuorumPossible";
    /// A center that was called lost answers.
    pub const LOST_CENTER_ANSWERS: &str = "LostCenterAnswers";
    /// The survivor could not be asked what it has.
    pub const SURVIVOR_SILENT: &str = "SurvivorSilent";
    /// The replica has no vote, or another one that answers has a newer log.
    pub const SURVIVOR_NOT_NEWEST: &str = "SurvivorNotNewest";
    /// Another takeover of the same core runs.
    pub const OTHER_OPERATION: &str = "OtherOperation";
    /// The replica belongs to the leader's group already.
    pub const STILL_A_MEMBER: &str = "StillAMember";
    /// The object names another center than this cluster's.
    pub const OTHER_CENTER: &str = "OtherCenter";
    /// The checks pass, and have not for long enough yet.
    pub const SILENCE_TOO_SHORT: &str = "SilenceTooShort";
    /// Fewer people have approved than must.
    pub const APPROVALS_MISSING: &str = "ApprovalsMissing";
    /// As many people have approved as must.
    pub const APPROVALS_GIVEN: &str = "ApprovalsGiven";
    /// Orders may be lost, and enough people had approved; one of them has taken it back, or its time is
    /// over.
    pub const APPROVAL_WITHDRAWN: &str = "ApprovalWithdrawn";
    /// The log proves that no answered order is lost, so nobody must approve.
    pub const LOG_PROVES_ZERO: &str = "LogProvesZero";
    /// Answered orders may be lost.
    pub const LOSS_POSSIBLE: &str = "LossPossible";
    /// The takeover is under way.
    pub const TAKING_OVER: &str = "TakingOver";
    /// The command on the disk did not do it.
    pub const COMMAND_FAILED: &str = "CommandFailed";
    /// It took longer than it may.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// The group was formed anew and serves.
    pub const TAKEN_OVER: &str = "TakenOver";
    /// The replica belongs to the group and votes.
    pub const REJOINED: &str = "Rejoined";
    /// The gap was measured.
    pub const MEASURED: &str = "Measured";
}

/// What a condition should say now, before it is compared with what it said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One of the types above.
    pub type_: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One of [`reasons`].
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Finding {
    /// A finding in one line.
    #[must_use]
    pub fn new(
        type_: &'static str,
        status: ConditionStatus,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status,
            reason,
            message: message.into(),
        }
    }
}

/// Conditions from findings. The time of the last transition is kept while the status is the same;
/// otherwise it becomes `now` (RFC 3339).
#[must_use]
pub fn update(
    before: &[Condition],
    findings: &[Finding],
    generation: i64,
    now: &str,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| {
            let kept = before
                .iter()
                .find(|old| old.type_ == finding.type_ && old.status == finding.status);
            Condition {
                type_: finding.type_.to_owned(),
                status: finding.status,
                reason: finding.reason.to_owned(),
                message: finding.message.clone(),
                last_transition_time: kept
                    .map_or_else(|| now.to_owned(), |old| old.last_transition_time.clone()),
                observed_generation: generation,
            }
        })
        .collect()
}

/// The status of a type, if it is there.
#[must_use]
pub fn status_of(conditions: &[Condition], type_: &str) -> Option<ConditionStatus> {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .map(|condition| condition.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: ConditionStatus) -> Finding {
        Finding::new(AVAILABLE, status, reasons::LEADER_SERVES, "replica 1 leads")
    }

    #[test]
    fn the_transition_time_is_kept_while_the_status_is_the_same() {
        let first = update(&[], &[finding(ConditionStatus::True)], 1, "then");
        let second = update(&first, &[finding(ConditionStatus::True)], 2, "now");
        assert_eq!(second[0].last_transition_time, "then");
        assert_eq!(second[0].observed_generation, 2);
    }

    #[test]
    fn the_transition_time_moves_with_the_status() {
        let first = update(&[], &[finding(ConditionStatus::True)], 1, "then");
        let second = update(&first, &[finding(ConditionStatus::Unknown)], 1, "now");
        assert_eq!(second[0].last_transition_time, "now");
        assert_eq!(
            status_of(&second, AVAILABLE),
            Some(ConditionStatus::Unknown)
        );
        assert_eq!(status_of(&second, READY), None);
    }
}
