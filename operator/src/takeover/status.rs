//! What is reported of a takeover. Pure.

use jiff::Timestamp;

use crds::conditions::{self, Finding, reasons};
use crds::{
    ConditionStatus, JudgedApproval, Leg, LossBound, TakeoverAction, TakeoverPhase, TakeoverSpec,
    TakeoverStatus, TakeoverStep,
};

use crate::status::Notice;
use crate::takeover::approve::counted;
use crate::takeover::plan::{Plan, approvals_needed, has, steps};

/// What a status is made from, besides what stood there.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What is asked for.
    pub spec: &'a TakeoverSpec,
    /// The generation of the object.
    pub generation: i64,
    /// SHA-256 of the request.
    pub digest: &'a str,
    /// What was decided.
    pub plan: &'a Plan,
    /// The approvals, judged.
    pub approvals: &'a [JudgedApproval],
    /// This operator.
    pub holder: &'a str,
    /// Its clock.
    pub now: Timestamp,
}

/// The status after a plan was made and its step performed.
#[must_use]
pub fn update(before: &TakeoverStatus, report: &Report<'_>) -> TakeoverStatus {
    let Report {
        spec, plan, now, ..
    } = *report;
    let now_text = now.to_string();
    let mut status = TakeoverStatus {
        observed_generation: Some(report.generation),
        phase: Some(plan.phase),
        reason: Some(plan.reason.to_owned()),
        message: Some(plan.message.clone()),
        digest: Some(report.digest.to_owned()),
        approvals: report.approvals.to_vec(),
        ..before.clone()
    };
    if let Some(checks) = &plan.checks {
        status.checks.clone_from(checks);
        status.passing_since = match (plan.passing, &before.passing_since) {
            (false, _) => None,
            (true, Some(since)) => Some(since.clone()),
            (true, None) => Some(now_text.clone()),
        };
    }
    if let Some(known) = &plan.known {
        status.known = Some(known.clone());
    }
    if let Some(result) = &plan.result {
        status.result = Some(result.clone());
    }
    let needed = approvals_needed(spec, &status);
    status.approvals_needed = Some(needed);
    // What was approved is not taken back by time once the command has been started.
    if !is_past_approval(&status) {
        status.approved = Some(format!("{}/{needed}", counted(report.approvals)));
    }
    if plan.phase == TakeoverPhase::Running && status.started_at.is_none() {
        status.started_at = Some(now_text.clone());
        status.run_by = Some(report.holder.to_owned());
    }
    if plan.phase.is_final() && status.started_at.is_some() && status.ended_at.is_none() {
        status.ended_at = Some(now_text.clone());
    }
    if let Some(done) = plan.done.filter(|done| !has(&status, done)) {
        status.steps.push(TakeoverStep {
            name: done.to_owned(),
            at: now_text.clone(),
        });
    }
    status.legs = legs(&status);
    let findings = findings(&status, spec, plan);
    status.conditions =
        conditions::update(&before.conditions, &findings, report.generation, &now_text);
    status
}

fn is_past_approval(status: &TakeoverStatus) -> bool {
    has(status, steps::FENCED)
}

/// Each step's time since the one before.
fn legs(status: &TakeoverStatus) -> Vec<Leg> {
    let parse = |text: &String| text.parse::<Timestamp>().ok();
    let Some(mut before) = status.started_at.as_ref().and_then(parse) else {
        return Vec::new();
    };
    let mut legs = Vec::new();
    for step in &status.steps {
        let Some(at) = parse(&step.at) else {
            continue;
        };
        let name = match step.name.as_str() {
            steps::FENCED => "fence",
            steps::FORMED => "form",
            steps::KEPT_ASIDE => "keep-aside",
            steps::SERVED => "serve",
            steps::REROUTED => "reroute",
            steps::JOINED => "join",
            _ => continue,
        };
        let took_us = at.as_microsecond().saturating_sub(before.as_microsecond());
        legs.push(Leg {
            name: name.to_owned(),
            took_ms: took_us as f64 / 1_000.0,
        });
        before = at;
    }
    legs
}

fn findings(status: &TakeoverStatus, spec: &TakeoverSpec, plan: &Plan) -> Vec<Finding> {
    let is_ready = matches!(
        plan.phase,
        TakeoverPhase::Succeeded | TakeoverPhase::Predicted
    );
    let mut findings = vec![Finding::new(
        conditions::READY,
        ConditionStatus::from_bool(is_ready),
        plan.reason,
        plan.message.clone(),
    )];
    if let Some(known) = &status.known {
        let (holds, reason) = match known.loss_bound {
            LossBound::Zero => (ConditionStatus::True, reasons::LOG_PROVES_ZERO),
            _ => (ConditionStatus::False, reasons::LOSS_POSSIBLE),
        };
        let message = known.loss_reason.clone();
        findings.push(Finding::new(conditions::RPO_ZERO, holds, reason, message));
    }
    let is_judged = status.known.is_some() || spec.action == TakeoverAction::Rejoin;
    if is_judged && !is_past_approval(status) {
        let needed = status.approvals_needed.unwrap_or_default();
        let given = counted(&status.approvals);
        let reason = match (needed, given >= needed as usize) {
            (0, _) => reasons::LOG_PROVES_ZERO,
            (_, true) => reasons::APPROVALS_GIVEN,
            (_, false) => reasons::APPROVALS_MISSING,
        };
        let holds = ConditionStatus::from_bool(given >= needed as usize);
        let message = format!("{given} of {needed} people have approved");
        findings.push(Finding::new(conditions::APPROVED, holds, reason, message));
    } else if is_past_approval(status) {
        let message = format!(
            "{} people had approved when the command was started",
            status.approved.as_deref().unwrap_or("0/0")
        );
        let (holds, reason) = (ConditionStatus::True, reasons::APPROVALS_GIVEN);
        findings.push(Finding::new(conditions::APPROVED, holds, reason, message));
    }
    let extra = match plan.phase {
        TakeoverPhase::Pending | TakeoverPhase::AwaitingApproval | TakeoverPhase::Running => {
            Some(conditions::RECONCILING)
        }
        TakeoverPhase::Refused | TakeoverPhase::Failed => Some(conditions::STALLED),
        TakeoverPhase::Predicted | TakeoverPhase::Succeeded => None,
    };
    if let Some(extra) = extra {
        let message = plan.message.clone();
        findings.push(Finding::new(
            extra,
            ConditionStatus::True,
            plan.reason,
            message,
        ));
    }
    findings
}

/// What people should hear of: every change of phase and every step, once.
#[must_use]
pub fn notices(before: &TakeoverStatus, after: &TakeoverStatus) -> Vec<Notice> {
    let text = after.message.clone().unwrap_or_default();
    let mut notices: Vec<Notice> = (after.steps.iter())
        .filter(|step| !has(before, &step.name))
        .map(|step| {
            let action = format!("Takeover {}", step.name);
            Notice::normal("TakeoverStep", action, format!("{}: {text}", step.name))
        })
        .collect();
    let Some(phase) = after.phase.filter(|phase| before.phase != Some(*phase)) else {
        return notices;
    };
    let action = format!("Takeover {}", phase.as_str());
    let reason = after.reason.clone().unwrap_or_default();
    let text = format!("{reason}: {text}");
    notices.push(match phase {
        TakeoverPhase::Refused => Notice::warning("TakeoverRefused", action, text),
        TakeoverPhase::Failed => Notice::warning("TakeoverFailed", action, text),
        TakeoverPhase::AwaitingApproval => {
            Notice::warning("TakeoverAwaitingApproval", action, text)
        }
        // Trading moves by force: whoever looks should see it.
        TakeoverPhase::Running => Notice::warning("TakeoverRunning", action, text),
        TakeoverPhase::Succeeded => Notice::normal("TakeoverSucceeded", action, text),
        TakeoverPhase::Pending => Notice::normal("TakeoverPending", action, text),
        TakeoverPhase::Predicted => Notice::normal("TakeoverPredicted", action, text),
    });
    notices
}
