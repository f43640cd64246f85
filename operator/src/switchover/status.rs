//! What is reported of a planned move. Pure.

use jiff::Timestamp;

use crds::conditions::{self, Finding, reasons};
use crds::{ConditionStatus, Leg, SwitchoverPhase, SwitchoverSpec, SwitchoverStatus};
use protocol::admin::Operation;

use crate::status::Notice;
use crate::switchover::plan::{CheckedNote, Plan, TransferredNote, note, steps};

/// The status after a plan was made and its step performed. `operation` is what the log has of it, if
/// anything; `now` is this operator's clock, for conditions alone.
#[must_use]
pub fn update(
    before: &SwitchoverStatus,
    spec: &SwitchoverSpec,
    generation: i64,
    plan: &Plan,
    operation: Option<&Operation>,
    now: Timestamp,
) -> SwitchoverStatus {
    let mut status = SwitchoverStatus {
        observed_generation: Some(generation),
        phase: Some(plan.phase),
        message: Some(plan.message.clone()),
        ..before.clone()
    };
    if let Some(checks) = &plan.checks {
        status.checks.clone_from(checks);
    }
    if let Some(operation) = operation {
        take(&mut status, operation);
    }
    let findings = findings(&status, spec, plan.phase);
    status.conditions =
        conditions::update(&before.conditions, &findings, generation, &now.to_string());
    status
}

/// Takes over what the log says: it outlives the object's status and any operator.
fn take(status: &mut SwitchoverStatus, operation: &Operation) {
    status.operation = Some(operation.name.clone());
    status.run_by = Some(operation.holder.clone());
    status.started_at = time(operation.began_at_us);
    status.ended_at = time(operation.ended_at_us);
    if let Some(checked) = note::<CheckedNote>(operation, steps::CHECKED) {
        status.from = Some(checked.from);
        status.epoch_before = Some(checked.epoch);
    }
    if let Some(transferred) = note::<TransferredNote>(operation, steps::TRANSFERRED) {
        status.epoch_after = Some(transferred.epoch);
        status.gap_ms = transferred.gap_us.map(ms);
    }
    let mut began = operation.began_at_us;
    status.legs.clear();
    for step in &operation.steps {
        let name = match step.name.as_str() {
            steps::CHECKED => "begin",
            steps::TRANSFERRED => "transfer",
            steps::END => "verify",
            _ => continue,
        };
        status.legs.push(Leg {
            name: name.to_owned(),
            took_ms: ms(step.at_us.saturating_sub(began)),
        });
        began = step.at_us;
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn time(us: u64) -> Option<String> {
    let us = i64::try_from(us).ok().filter(|us| *us > 0)?;
    Some(Timestamp::from_microsecond(us).ok()?.to_string())
}

fn findings(
    status: &SwitchoverStatus,
    spec: &SwitchoverSpec,
    phase: SwitchoverPhase,
) -> Vec<Finding> {
    let message = status.message.clone().unwrap_or_default();
    let (ready, reason) = match phase {
        SwitchoverPhase::Pending => (false, reasons::CHECKS_PENDING),
        SwitchoverPhase::Predicted => (true, reasons::PREDICTED),
        SwitchoverPhase::Refused => (false, reasons::CHECKS_FAILED),
        SwitchoverPhase::Running => (false, reasons::MOVING),
        SwitchoverPhase::Succeeded => (true, reasons::MOVED),
        SwitchoverPhase::Failed => (false, reasons::NOT_MOVED),
    };
    let mut findings = vec![Finding::new(
        conditions::READY,
        ConditionStatus::from_bool(ready),
        reason,
        message.clone(),
    )];
    if let Some(gap_ms) = status.gap_ms {
        findings.push(Finding::new(
            conditions::GAP_WITHIN_OBJECTIVE,
            ConditionStatus::from_bool(gap_ms <= f64::from(spec.gap_ms_max)),
            reasons::MEASURED,
            format!(
                "{gap_ms:.1} ms without service; the objective is {} ms",
                spec.gap_ms_max
            ),
        ));
    }
    let extra = match phase {
        SwitchoverPhase::Pending | SwitchoverPhase::Running => Some(conditions::RECONCILING),
        SwitchoverPhase::Refused | SwitchoverPhase::Failed => Some(conditions::STALLED),
        SwitchoverPhase::Predicted | SwitchoverPhase::Succeeded => None,
    };
    if let Some(extra) = extra {
        findings.push(Finding::new(extra, ConditionStatus::True, reason, message));
    }
    findings
}

/// What people should hear of: every change of phase, once.
#[must_use]
pub fn notice(before: &SwitchoverStatus, after: &SwitchoverStatus) -> Option<Notice> {
    let phase = after.phase.filter(|phase| before.phase != Some(*phase))?;
    let text = after.message.clone().unwrap_or_default();
    let action = format!("Switchover {}", phase.as_str());
    Some(match phase {
        SwitchoverPhase::Refused => Notice::warning("SwitchoverRefused", action, text),
        SwitchoverPhase::Failed => Notice::warning("SwitchoverFailed", action, text),
        SwitchoverPhase::Succeeded => {
            let gap = after.gap_ms.map_or_else(
                || "; the gap was not measured".to_owned(),
                |gap| format!(", after a gap of {gap:.1} ms"),
            );
            Notice::normal("SwitchoverSucceeded", action, format!("{text}{gap}"))
        }
        SwitchoverPhase::Pending => Notice::normal("SwitchoverPending", action, text),
        SwitchoverPhase::Predicted => Notice::normal("SwitchoverPredicted", action, text),
        SwitchoverPhase::Running => Notice::normal("SwitchoverRunning", action, text),
    })
}
