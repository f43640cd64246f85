//! What to do next about a planned move. Pure: all that it needs to remember stands in the core's log,
//! so whoever asks this next, in whichever center, goes on from the same step.
//!
//! ```text
//!  checks ─► Begin ─► note Checked ─► Transfer ─► note Transferred ─► verified? ─► End
//!    │ fail: Refused      (from, epoch)              (epoch, gap)       │ no: wait, until the deadline
//!    └ wait, or dry run: nothing                                        └ content differs: End, failed
//! ```

use crds::{Center, Check, SwitchoverPhase, SwitchoverSpec, SwitchoverStatus, TradingCoreSpec};
use protocol::admin;
use serde::{Deserialize, Serialize};
use types::{CenterName, OperationOutcome, PreferredLeader, ReplicaId};

use crate::switchover::check::{checks, failing};
use crate::view::View;

/// How long nobody else may go on with a move, in milliseconds. Renewed at half of it.
pub const LEASE_MS: u32 = 20_000;

/// The steps in the log.
pub mod steps {
    /// The checks passed; from where, and in which epoch.
    pub const CHECKED: &str = "Checked";
    /// The center leads; in which epoch, and after which gap.
    pub const TRANSFERRED: &str = "Transferred";
    /// The core's own last step.
    pub const END: &str = "End";
}

/// What the log keeps with [`steps::CHECKED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedNote {
    /// The replica that led.
    pub replica: u64,
    /// Its center.
    pub from: String,
    /// Its epoch.
    pub epoch: u64,
}

/// What the log keeps with [`steps::TRANSFERRED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferredNote {
    /// The new epoch.
    pub epoch: u64,
    /// Time without service as the old leader measured it, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<u64>,
}

/// What a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub spec: &'a SwitchoverSpec,
    /// What the object says so far.
    pub status: &'a SwitchoverStatus,
    /// The name of the operation in the log.
    pub operation: &'a str,
    /// Who asks: this operator.
    pub holder: &'a str,
    /// The core.
    pub core: &'a TradingCoreSpec,
    /// The center that shall lead.
    pub target: &'a Center,
    /// What the replicas said.
    pub view: &'a View,
    /// How long ago the object was applied, in seconds.
    pub age_seconds: i64,
}

/// The one thing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, or nothing yet.
    Rest,
    /// Begin in the log, or go on with what another began.
    Begin,
    /// Write a step into the log, or renew the lease with the last one.
    Note {
        /// Which step.
        step: &'static str,
        /// What came of it.
        detail: String,
    },
    /// Ask the leader to hand over.
    Transfer,
    /// End it in the log.
    End {
        /// How.
        outcome: OperationOutcome,
        /// In a few words.
        detail: String,
        /// Where leadership belongs from now on.
        preferred: Option<PreferredLeader>,
    },
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The one thing to do now.
    pub step: Step,
    /// Where the move is.
    pub phase: SwitchoverPhase,
    /// In one sentence.
    pub message: String,
    /// The checks, if they were made now.
    pub checks: Option<Vec<Check>>,
}

impl Plan {
    fn new(step: Step, phase: SwitchoverPhase, message: impl Into<String>) -> Self {
        Self {
            step,
            phase,
            message: message.into(),
            checks: None,
        }
    }
}

/// Decides.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { view, status, .. } = *situation;
    let phase = status.phase.unwrap_or(SwitchoverPhase::Pending);
    if phase.is_final() {
        return Plan::new(
            Step::Rest,
            phase,
            status.message.clone().unwrap_or_default(),
        );
    }
    let known = operation(view, situation.operation);
    match known {
        Some(known) if known.outcome() != admin::OperationOutcome::Running => ended(known),
        Some(running) => go_on(situation, running),
        None if phase == SwitchoverPhase::Running => not_found(situation),
        None => begin(situation),
    }
}

/// An operation, as the leader has it in its log.
#[must_use]
pub fn operation<'a>(view: &'a View, name: &str) -> Option<&'a admin::Operation> {
    let operations = view.leader_status()?.operations.as_ref()?;
    let all = operations.running.iter().chain(&operations.ended);
    all.into_iter().find(|operation| operation.name == name)
}

/// What a step of an operation says, if it was taken.
#[must_use]
pub fn note<T: for<'a> Deserialize<'a>>(operation: &admin::Operation, step: &str) -> Option<T> {
    let step = operation.steps.iter().find(|it| it.name == step)?;
    serde_json::from_str(&step.detail).ok()
}

fn ended(operation: &admin::Operation) -> Plan {
    let last = operation.steps.last();
    let message = last.map_or_else(String::new, |step| step.detail.clone());
    let phase = if operation.outcome() == admin::OperationOutcome::Succeeded {
        SwitchoverPhase::Succeeded
    } else {
        SwitchoverPhase::Failed
    };
    Plan::new(Step::Rest, phase, message)
}

fn not_found(situation: &Situation<'_>) -> Plan {
    if situation.view.leader_status().is_none() {
        let message = "under way; no leader can be asked";
        return Plan::new(Step::Rest, SwitchoverPhase::Running, message);
    }
    // A status may be older than the record that began this: give it until the deadline.
    let spec = situation.spec;
    let patience = i64::from(spec.wait_seconds) + i64::from(spec.deadline_seconds);
    if situation.age_seconds <= patience {
        let message = "under way; the leader's status does not know of it yet";
        return Plan::new(Step::Rest, SwitchoverPhase::Running, message);
    }
    let message = "the core's log does not remember this move any more: look at who leads";
    Plan::new(Step::Rest, SwitchoverPhase::Failed, message)
}

fn begin(situation: &Situation<'_>) -> Plan {
    let Situation { spec, target, .. } = *situation;
    let checks = checks(situation);
    let plan = match failing(&checks) {
        None if spec.dry_run => {
            Plan::new(Step::Rest, SwitchoverPhase::Predicted, predict(situation))
        }
        None => {
            let message = format!("the checks passed: moving to {}", target.name);
            Plan::new(Step::Begin, SwitchoverPhase::Running, message)
        }
        Some(why) if situation.age_seconds < i64::from(spec.wait_seconds) => Plan::new(
            Step::Rest,
            SwitchoverPhase::Pending,
            format!("waiting: {why}"),
        ),
        Some(why) => Plan::new(Step::Rest, SwitchoverPhase::Refused, why),
    };
    Plan {
        checks: Some(checks),
        ..plan
    }
}

/// A hand-over takes the last entries to the next leader, its votes from the nearest voter, and its
/// first entry to a majority: three ways there and back, of which only the leader's is known.
fn predict(situation: &Situation<'_>) -> String {
    let (view, target) = (situation.view, situation.target);
    let from = view.leader_replica();
    let center = from.and_then(|from| view.center_of(from)).unwrap_or("?");
    if from == Some(target.replica) {
        return format!("{center} leads already: nothing would be moved");
    }
    let round_trip_us = view
        .leader_status()
        .and_then(|status| status.peers.iter().find(|p| p.replica == target.replica))
        .map(|peer| peer.round_trip_us)
        .filter(|us| *us > 0);
    let gap = round_trip_us.map_or_else(
        || "of unknown length, for the round trip is not known".to_owned(),
        |us| format!("of about {:.1} ms", 3.0 * us as f64 / 1_000.0),
    );
    format!(
        "all checks pass: leadership would move from {center} to {}, with a gap {gap}",
        target.name
    )
}

fn go_on(situation: &Situation<'_>, running: &admin::Operation) -> Plan {
    let Situation { view, holder, .. } = *situation;
    let now_us = view.leader_status().map_or(0, |status| status.now_us);
    let say = |step, message: String| Plan::new(step, SwitchoverPhase::Running, message);
    if running.holder != holder {
        if running.until_us > now_us {
            return say(Step::Rest, format!("{} runs this move", running.holder));
        }
        let message = format!("{} is not heard of: going on in its place", running.holder);
        return say(Step::Begin, message);
    }
    let deadline_us = u64::from(situation.spec.deadline_seconds) * 1_000_000;
    if now_us > running.began_at_us + deadline_us {
        let message = format!(
            "not done within {} s; {}",
            situation.spec.deadline_seconds,
            where_it_is(situation)
        );
        return say(fail(message.clone()), message);
    }
    let next = next(situation, running);
    // The lease is renewed by what is noted; while nothing is, by the last step again.
    let is_short = running.until_us < now_us + u64::from(LEASE_MS) * 500;
    match (next, running.steps.last()) {
        (Step::Rest, Some(last)) if is_short => {
            let step = if last.name == steps::CHECKED {
                steps::CHECKED
            } else {
                steps::TRANSFERRED
            };
            let detail = last.detail.clone();
            say(Step::Note { step, detail }, where_it_is(situation))
        }
        (next, _) => say(next, where_it_is(situation)),
    }
}

fn fail(detail: String) -> Step {
    Step::End {
        outcome: OperationOutcome::Failed,
        detail,
        preferred: None,
    }
}

fn where_it_is(situation: &Situation<'_>) -> String {
    let view = situation.view;
    let leader = view
        .leader_replica()
        .and_then(|leader| view.center_of(leader));
    match leader {
        Some(center) => format!("{center} leads"),
        None => "no leader is known".to_owned(),
    }
}

fn next(situation: &Situation<'_>, running: &admin::Operation) -> Step {
    let Situation { view, target, .. } = *situation;
    let leads = view.leader_replica() == Some(target.replica);
    let Some(status) = view.leader_status() else {
        return Step::Rest;
    };
    let Some(checked) = note::<CheckedNote>(running, steps::CHECKED) else {
        let center = view.center_of(status.replica).unwrap_or_default();
        return noted(
            steps::CHECKED,
            &CheckedNote {
                replica: status.replica,
                from: center.to_owned(),
                epoch: status.epoch,
            },
        );
    };
    if note::<TransferredNote>(running, steps::TRANSFERRED).is_none() {
        if !leads {
            return Step::Transfer;
        }
        let gap_us = view
            .status_of(checked.replica)
            .and_then(|status| status.handover.as_ref())
            .filter(|handover| handover.to == target.replica && handover.epoch > checked.epoch)
            .map(|handover| handover.gap_us);
        let epoch = status.epoch;
        return noted(steps::TRANSFERRED, &TransferredNote { epoch, gap_us });
    }
    if let Some((one, other)) = view.divergence() {
        return fail(format!(
            "replicas {one} and {other} differ in content after the move"
        ));
    }
    let agrees = checked.replica == target.replica
        || view.content_agrees(checked.replica, target.replica) == Some(true);
    if leads && status.serving && agrees {
        return Step::End {
            outcome: OperationOutcome::Succeeded,
            detail: format!("{} leads since epoch {}", target.name, status.epoch),
            preferred: preferred(situation),
        };
    }
    Step::Rest
}

fn noted(step: &'static str, note: &impl Serialize) -> Step {
    // Numbers and names always have a form in JSON.
    let detail = serde_json::to_string(note).unwrap_or_default();
    Step::Note { step, detail }
}

fn preferred(situation: &Situation<'_>) -> Option<PreferredLeader> {
    Some(PreferredLeader {
        replica: ReplicaId(situation.target.replica),
        declared: CenterName::new(&situation.core.primary_center).ok()?,
    })
}
