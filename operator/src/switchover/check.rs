//! What must be true before a leader is moved on purpose. Pure; no data is no pass.

use crds::{Check, Verdict};
use protocol::admin::Phase;

use crate::switchover::plan::Situation;
use crate::view::{LAG_ENTRIES_MAX, Leader};

/// Free space that the next leader's disk must have, in bytes: what it writes while somebody can
/// still look after it.
const DISK_FREE_BYTES_MIN: u64 = 512 << 20;

/// Names of the checks, in the order in which they count.
pub mod names {
    /// A leader serves.
    pub const LEADER_SERVES: &str = "LeaderServes";
    /// The replica that shall lead follows closely.
    pub const TARGET_IN_STEP: &str = "TargetInStep";
    /// Its content is the leader's, and no replica's differs.
    pub const CONTENT_AGREES: &str = "ContentAgrees";
    /// Every voter confirms, so that the loss of one more stops nothing.
    pub const ALL_VOTERS_IN_STEP: &str = "AllVotersInStep";
    /// Commits wait for what the policy asks for.
    pub const PROTECTION_FULL: &str = "ProtectionFull";
    /// No other operation runs.
    pub const NO_OTHER_OPERATION: &str = "NoOtherOperation";
    /// No replica is being restarted.
    pub const NO_MAINTENANCE: &str = "NoMaintenance";
    /// No call auction runs.
    pub const TRADING_PHASE: &str = "TradingPhase";
    /// The disk of the replica that shall lead has room.
    pub const DISK_SPACE: &str = "DiskSpace";
}

fn check(name: &str, holds: Option<bool>, message: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        verdict: match holds {
            Some(true) => Verdict::Passed,
            Some(false) => Verdict::Failed,
            None => Verdict::Unknown,
        },
        message: message.into(),
    }
}

/// All checks, whatever the first says: who reads them wants to know all that is missing.
#[must_use]
pub fn checks(situation: &Situation<'_>) -> Vec<Check> {
    vec![
        leader_serves(situation),
        target_in_step(situation),
        content_agrees(situation),
        all_voters_in_step(situation),
        protection_full(situation),
        no_other_operation(situation),
        no_maintenance(situation),
        trading_phase(situation),
        disk_space(situation),
    ]
}

/// Those that did not pass, in one sentence; none when all did.
#[must_use]
pub fn failing(checks: &[Check]) -> Option<String> {
    let failing: Vec<String> = checks
        .iter()
        .filter(|check| check.verdict != Verdict::Passed)
        .map(|check| format!("{}: {}", check.name, check.message))
        .collect();
    (!failing.is_empty()).then(|| failing.join("; "))
}

fn leader_serves(situation: &Situation<'_>) -> Check {
    let view = situation.view;
    let (holds, message) = match view.leader() {
        Leader::NoData => (None, "no replica could be asked".to_owned()),
        Leader::None => (Some(false), "replicas answer and know no leader".to_owned()),
        Leader::Differ(leaders) => {
            let leaders: Vec<String> = leaders.iter().map(u64::to_string).collect();
            let text = format!("replicas name different leaders: {}", leaders.join(", "));
            (Some(false), text)
        }
        Leader::Known(leader) => {
            let center = view.center_of(*leader).unwrap_or("an unknown center");
            match view.leader_status() {
                None => (None, format!("the leader, in {center}, could not be asked")),
                Some(status) if status.serving => (
                    Some(true),
                    format!("{center} leads epoch {} and serves", status.epoch),
                ),
                Some(_) => (
                    Some(false),
                    format!("{center} leads and does not serve yet"),
                ),
            }
        }
    };
    check(names::LEADER_SERVES, holds, message)
}

fn target_in_step(situation: &Situation<'_>) -> Check {
    let (view, target) = (situation.view, situation.target);
    let lag = view.lag_entries(target.replica);
    let holds = view.in_step(target.replica);
    let message = match (lag, holds) {
        (Some(lag), Some(true)) => format!("{} is {lag} entries behind", target.name),
        (Some(lag), _) => format!(
            "{} is {lag} entries behind, or silent: accepted are at most {LAG_ENTRIES_MAX}, heard \
             lately",
            target.name
        ),
        (None, _) => format!("the leader says nothing of {}", target.name),
    };
    check(names::TARGET_IN_STEP, holds, message)
}

fn content_agrees(situation: &Situation<'_>) -> Check {
    let (view, target) = (situation.view, situation.target);
    if let Some((one, other)) = view.divergence() {
        let message = format!(
            "replicas {one} and {other} differ in content: find out why before anything is moved"
        );
        return check(names::CONTENT_AGREES, Some(false), message);
    }
    let leader = view.leader_replica();
    let holds = leader.and_then(|leader| view.content_agrees(leader, target.replica));
    let message = match holds {
        Some(_) => format!(
            "{} has the leader's content where both have told it",
            target.name
        ),
        None => format!(
            "the leader and {} have told nothing of the same place in the log yet",
            target.name
        ),
    };
    check(names::CONTENT_AGREES, holds, message)
}

fn all_voters_in_step(situation: &Situation<'_>) -> Check {
    let status = situation.view.leader_status();
    let holds = status.map(|status| status.all_voters_in_step);
    let message = match holds {
        Some(true) => "every voter confirms",
        Some(false) => "a voter does not confirm: one more loss would stop trading",
        None => "no leader could be asked",
    };
    check(names::ALL_VOTERS_IN_STEP, holds, message)
}

fn protection_full(situation: &Situation<'_>) -> Check {
    let group = situation
        .view
        .leader_status()
        .and_then(|s| s.group.as_ref());
    let degraded = group.and_then(|group| Some(group.protection.as_ref()?.degraded));
    let message = match degraded {
        Some(false) => "commits wait for what the policy asks for",
        Some(true) => "commits do not wait for another site, which does not confirm",
        None => "the leader says nothing of it",
    };
    check(names::PROTECTION_FULL, degraded.map(|it| !it), message)
}

fn no_other_operation(situation: &Situation<'_>) -> Check {
    let status = situation.view.leader_status();
    let operations = status.and_then(|status| status.operations.as_ref());
    let (holds, message) = match operations {
        None => (None, "the leader says nothing of it".to_owned()),
        Some(operations) => match &operations.running {
            Some(running) if running.name != situation.operation => (
                Some(false),
                format!("{} runs, held by {}", running.name, running.holder),
            ),
            _ => (Some(true), "no other operation runs".to_owned()),
        },
    };
    check(names::NO_OTHER_OPERATION, holds, message)
}

fn no_maintenance(situation: &Situation<'_>) -> Check {
    let view = situation.view;
    let (holds, message) = match (view.leader_status(), view.lease()) {
        (None, _) => (None, "no leader could be asked".to_owned()),
        (_, None) => (Some(true), "no replica is being restarted".to_owned()),
        (_, Some(lease)) => (
            Some(false),
            format!("{} restarts replica {}", lease.holder, lease.replica),
        ),
    };
    check(names::NO_MAINTENANCE, holds, message)
}

fn trading_phase(situation: &Situation<'_>) -> Check {
    let name = names::TRADING_PHASE;
    let Some(status) = situation.view.leader_status() else {
        return check(name, None, "no leader could be asked");
    };
    if status.phases.is_empty() {
        return check(name, None, "the leader says nothing of it");
    }
    let auctions = status
        .phases
        .iter()
        .map(protocol::admin::BoardPhase::phase)
        .filter(|phase| {
            matches!(
                phase,
                Phase::OpeningCall | Phase::OpeningCallNoCancel | Phase::ClosingCall
            )
        })
        .count();
    if auctions == 0 {
        return check(name, Some(true), "no call auction runs");
    }
    if situation.spec.allow_in_auction {
        let message = format!("a call auction runs on {auctions} boards, and spec accepts that");
        return check(name, Some(true), message);
    }
    let message = format!(
        "a call auction runs on {auctions} boards: wait for its end, or set spec.allowInAuction"
    );
    check(name, Some(false), message)
}

fn disk_space(situation: &Situation<'_>) -> Check {
    let target = situation.target;
    let free = situation
        .view
        .status_of(target.replica)
        .map(|status| status.disk_free_bytes)
        .filter(|free| *free > 0);
    let message = match free {
        None => format!("{} says nothing of its disk", target.name),
        Some(free) => format!(
            "{} has {} MiB free; {} MiB are needed",
            target.name,
            free >> 20,
            DISK_FREE_BYTES_MIN >> 20
        ),
    };
    let holds = free.map(|free| free >= DISK_FREE_BYTES_MIN);
    check(names::DISK_SPACE, holds, message)
}
