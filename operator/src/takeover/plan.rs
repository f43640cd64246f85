//! What to do next about a takeover. Pure. No log can remember it while no leader writes one, so the
//! object's status does, and each step can be seen to be done without it.
//!
//! ```text
//!  checks pass ─► for long enough ─► loss possible? ─► two people ─► use approvals ─► Running
//!    │ no: Refused by name              │ no ───────────────────────────────────────────┘
//!    ▼                                                                                   ▼
//!  Form:    hold the replica ─► pod gone: Fenced ─► command: Formed ─► release ─► Served ─► Rerouted
//!  Rejoin:  hold the replica ─► pod gone: Fenced ─► command: KeptAside ─► release ─► learner ─► Joined
//! ```
//! Until the command has been started, everything is judged again in each round, and whatever no longer
//! holds ends it without a trace. After it there is no way back, and none is tried.

use std::collections::BTreeSet;

use crds::conditions::{self, reasons};
use crds::{
    Center, Check, ConditionStatus, DiskResult, JudgedApproval, KnownState, LossBound,
    TakeoverAction, TakeoverPhase, TakeoverSpec, TakeoverStatus, TradingCore, TradingCoreSpec,
};
use jiff::Timestamp;
use protocol::admin::MemberRole;
use serde::Deserialize;

use crate::takeover::approve::counted;
use crate::takeover::check::{
    Judged, before_forming, before_rejoining, failing, lost, while_stopped,
};
use crate::takeover::known::{known, proof_ends_us, time};
use crate::view::View;

/// How many people must approve what may lose orders.
pub const PEOPLE: u32 = 2;
/// The steps, by the names in the status.
pub mod steps {
    /// The approvals were used.
    pub const APPROVED: &str = "Approved";
    /// The replica is stopped, and stays so.
    pub const FENCED: &str = "Fenced";
    /// Its disk begins a new generation.
    pub const FORMED: &str = "Formed";
    /// Its log is kept aside, and what only it had is listed.
    pub const KEPT_ASIDE: &str = "KeptAside";
    /// The new group takes orders.
    pub const SERVED: &str = "Served";
    /// The entry leads to it.
    pub const REROUTED: &str = "Rerouted";
    /// The replica belongs to the group and votes.
    pub const JOINED: &str = "Joined";
}

/// What became of the command on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandFacts {
    /// It was not started.
    Absent,
    /// It runs.
    Active,
    /// It has ended well, and told this.
    Succeeded(String),
    /// It has failed, and told this.
    Failed(String),
}

/// What was seen in this center's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether this takeover holds the replica.
    pub is_held: bool,
    /// Whether the replica has a pod, or should have one.
    pub runs: bool,
    /// The command.
    pub command: CommandFacts,
}

/// What a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is asked for.
    pub spec: &'a TakeoverSpec,
    /// What the object says so far.
    pub status: &'a TakeoverStatus,
    /// The core.
    pub core: &'a TradingCoreSpec,
    /// This center.
    pub own: &'a Center,
    /// What the replicas said.
    pub view: &'a View,
    /// What was seen in this cluster.
    pub facts: &'a Facts,
    /// The approvals, judged.
    pub approvals: &'a [JudgedApproval],
    /// Another takeover of this core that runs.
    pub other_running: Option<&'a str>,
    /// Whether this center's entry leads to a leader that serves.
    pub is_rerouted: bool,
    /// How long ago the object was applied, in seconds.
    pub age_seconds: i64,
    /// This operator's clock.
    pub now: Timestamp,
}

/// The one thing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, or nothing yet.
    Rest,
    /// Only say so, and look again.
    Say,
    /// Mark the approvals that count as used.
    UseApprovals,
    /// Keep the replica from running.
    Hold,
    /// Start the command that forms the group.
    Form(FormOrder),
    /// Start the command that keeps the log aside.
    KeepAside,
    /// Let the replica run again.
    Release,
    /// Ask the leader to take the replica in, without a vote.
    AddLearner,
    /// Ask the leader to give it a vote.
    Promote,
}

/// What the command that forms the group is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormOrder {
    /// The generation to be formed.
    pub generation: u64,
    /// The replicas that count as lost.
    pub lost: BTreeSet<u64>,
    /// The log must reach to here.
    pub last_index_min: u64,
    /// Nothing is formed from this time on, µs since 1970: the proof that nothing is lost ends.
    pub not_after_us: Option<u64>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The one thing to do now.
    pub step: Step,
    /// Where the takeover is.
    pub phase: TakeoverPhase,
    /// In one word, of [`reasons`].
    pub reason: &'static str,
    /// In one sentence.
    pub message: String,
    /// The checks, if they were made now.
    pub checks: Option<Vec<Check>>,
    /// Whether they all passed.
    pub passing: bool,
    /// What the survivor knows, if it was asked now.
    pub known: Option<KnownState>,
    /// A step that is seen to be done.
    pub done: Option<&'static str>,
    /// What the command told, if it was read now.
    pub result: Option<DiskResult>,
}

impl Plan {
    /// A decision without more to it.
    #[must_use]
    pub fn new(
        step: Step,
        phase: TakeoverPhase,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            step,
            phase,
            reason,
            message: message.into(),
            checks: None,
            passing: false,
            known: None,
            done: None,
            result: None,
        }
    }

    fn running(step: Step, message: impl Into<String>) -> Self {
        Self::new(step, TakeoverPhase::Running, reasons::TAKING_OVER, message)
    }

    fn done(mut self, step: &'static str) -> Self {
        self.done = Some(step);
        self
    }
}

/// Decides.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    match situation.status.phase {
        Some(TakeoverPhase::Running) => go_on(situation),
        _ => begin(situation),
    }
}

/// Whether a step was seen to be done.
#[must_use]
pub fn has(status: &TakeoverStatus, step: &str) -> bool {
    status.steps.iter().any(|it| it.name == step)
}

/// Whether this center's entry leads to a leader that serves, as the TradingCore says. Where the cluster
/// has no Gateway API there is nothing to re-route.
#[must_use]
pub fn is_rerouted(core: &TradingCore) -> bool {
    let status = core.status.as_ref();
    let conditions = status.map_or(&[][..], |status| &status.conditions);
    let is_true =
        |type_: &str| conditions::status_of(conditions, type_) == Some(ConditionStatus::True);
    let has_no_entry = conditions
        .iter()
        .any(|it| it.type_ == conditions::ENTRY_READY && it.reason == reasons::GATEWAY_API_MISSING);
    is_true(conditions::AVAILABLE) && (is_true(conditions::ENTRY_READY) || has_no_entry)
}

// -- before anything is done --------------------------------------------------------------------

fn begin(situation: &Situation<'_>) -> Plan {
    let spec = situation.spec;
    let judged = match spec.action {
        TakeoverAction::Form => before_forming(situation),
        TakeoverAction::Rejoin => before_rejoining(situation),
    };
    let known = match spec.action {
        TakeoverAction::Form => known(situation),
        TakeoverAction::Rejoin => None,
    };
    let plan = match failing(&judged) {
        Some(failing) => not_yet(situation, failing),
        None => checked(situation, known.as_ref()),
    };
    Plan {
        passing: failing(&judged).is_none(),
        checks: Some(judged.into_iter().map(|it| it.check).collect()),
        known,
        ..plan
    }
}

/// What failed refuses at once; what nobody can tell is waited for like approvals.
fn not_yet(situation: &Situation<'_>, failing: &Judged) -> Plan {
    let spec = situation.spec;
    let message = format!("{}: {}", failing.check.name, failing.check.message);
    let is_unknown = failing.check.verdict == crds::Verdict::Unknown;
    let may_wait = !spec.dry_run && situation.age_seconds < i64::from(spec.approval_wait_seconds);
    if is_unknown && may_wait {
        return Plan::new(Step::Rest, TakeoverPhase::Pending, failing.reason, message);
    }
    Plan::new(Step::Rest, TakeoverPhase::Refused, failing.reason, message)
}

fn checked(situation: &Situation<'_>, known: Option<&KnownState>) -> Plan {
    let spec = situation.spec;
    let needed = needed(spec.action, known);
    if spec.dry_run {
        let message = predict(situation, known, needed);
        return Plan::new(
            Step::Rest,
            TakeoverPhase::Predicted,
            reasons::PREDICTED,
            message,
        );
    }
    let since: Option<Timestamp> =
        (situation.status.passing_since.as_ref()).and_then(|since| since.parse().ok());
    let passed_seconds = since.map_or(0, |since| {
        situation.now.as_second().saturating_sub(since.as_second())
    });
    let is_form = spec.action == TakeoverAction::Form;
    if is_form && passed_seconds < i64::from(spec.silence_seconds) {
        let message = format!(
            "the checks pass since {passed_seconds} s; {} s are asked for",
            spec.silence_seconds
        );
        let (phase, reason) = (TakeoverPhase::Pending, reasons::SILENCE_TOO_SHORT);
        return Plan::new(Step::Rest, phase, reason, message);
    }
    let given = counted(situation.approvals);
    if given < needed as usize {
        let message = format!("{given} of {needed} people have approved: {}", loss(known));
        if situation.age_seconds >= i64::from(spec.approval_wait_seconds) {
            let (phase, reason) = (TakeoverPhase::Refused, reasons::APPROVALS_MISSING);
            return Plan::new(Step::Rest, phase, reason, message);
        }
        let (phase, reason) = (TakeoverPhase::AwaitingApproval, reasons::APPROVALS_MISSING);
        return Plan::new(Step::Rest, phase, reason, message);
    }
    Plan::running(Step::UseApprovals, loss(known)).done(steps::APPROVED)
}

fn needed(action: TakeoverAction, known: Option<&KnownState>) -> u32 {
    match (action, known.map(|known| known.loss_bound)) {
        // Its log is kept aside, and nobody is served from it.
        (TakeoverAction::Rejoin, _) | (_, Some(LossBound::Zero)) => 0,
        _ => PEOPLE,
    }
}

/// How many people must approve, by what the status says.
#[must_use]
pub fn approvals_needed(spec: &TakeoverSpec, status: &TakeoverStatus) -> u32 {
    needed(spec.action, status.known.as_ref())
}

fn loss(known: Option<&KnownState>) -> String {
    known.map_or_else(
        || "nothing is lost: its log is kept aside".to_owned(),
        |known| known.loss_reason.clone(),
    )
}

fn predict(situation: &Situation<'_>, known: Option<&KnownState>, needed: u32) -> String {
    let center = &situation.own.name;
    match known {
        Some(known) => format!(
            "the replica of {center} would be the whole group, in generation {}, with its log up to \
             entry {}; {needed} people must approve: {}",
            known.generation + 1,
            known.last_index,
            known.loss_reason
        ),
        None => format!("the log of {center} would be kept aside, and its replica join the group"),
    }
}

// -- once it has begun --------------------------------------------------------------------------

fn go_on(situation: &Situation<'_>) -> Plan {
    let Situation {
        spec,
        status,
        facts,
        ..
    } = *situation;
    let command_done = match spec.action {
        TakeoverAction::Form => steps::FORMED,
        TakeoverAction::Rejoin => steps::KEPT_ASIDE,
    };
    if has(status, command_done) {
        return after_the_command(situation);
    }
    match &facts.command {
        CommandFacts::Absent => before_the_command(situation),
        CommandFacts::Active => Plan::running(Step::Rest, "the command on the disk runs"),
        CommandFacts::Failed(said) => {
            let message = format!("the command on the disk failed: {said}");
            give_up(situation, reasons::COMMAND_FAILED, message)
        }
        CommandFacts::Succeeded(said) => match read(spec.action, said) {
            Some(result) => {
                let message = "the disk is ready: the replica may run again";
                let mut plan = Plan::running(Step::Say, message).done(command_done);
                plan.result = Some(result);
                plan
            }
            None => {
                let message =
                    format!("the command on the disk told nothing that is known: {said:?}");
                give_up(situation, reasons::COMMAND_FAILED, message)
            }
        },
    }
}

/// Lets go of the replica first; the phase is final only once it may run again.
fn give_up(situation: &Situation<'_>, reason: &'static str, message: String) -> Plan {
    let (step, phase) = if situation.facts.is_held {
        (Step::Release, TakeoverPhase::Running)
    } else {
        (Step::Rest, TakeoverPhase::Failed)
    };
    Plan::new(step, phase, reason, message)
}

fn before_the_command(situation: &Situation<'_>) -> Plan {
    let Situation {
        spec,
        status,
        facts,
        ..
    } = *situation;
    if let Some((reason, message)) = no_longer_holds(situation) {
        return give_up(situation, reason, message);
    }
    let center = &situation.own.name;
    if !facts.is_held {
        return Plan::running(Step::Hold, format!("stopping the replica of {center}"));
    }
    if facts.runs {
        let message = format!("waiting until the replica of {center} has stopped");
        return Plan::running(Step::Rest, message);
    }
    let step = match (spec.action, &status.known) {
        (TakeoverAction::Rejoin, _) => Step::KeepAside,
        (TakeoverAction::Form, Some(known)) => Step::Form(FormOrder {
            generation: known.generation + 1,
            lost: lost(situation),
            // Its own tail may be cut by nobody but the command that forms the group.
            last_index_min: known.commit_index,
            not_after_us: proof_ends_us(known),
        }),
        (TakeoverAction::Form, None) => {
            let message = "what the survivor knew was not written down".to_owned();
            return give_up(situation, reasons::SURVIVOR_SILENT, message);
        }
    };
    Plan::running(
        step,
        "the replica is stopped: starting the command on its disk",
    )
    .done(steps::FENCED)
}

/// What was true when it began and is not any more.
fn no_longer_holds(situation: &Situation<'_>) -> Option<(&'static str, String)> {
    let Situation { spec, status, .. } = *situation;
    if is_too_late(situation) {
        let message = format!("nothing was done within {} s", spec.deadline_seconds);
        return Some((reasons::DEADLINE_EXCEEDED, message));
    }
    let (given, needed) = (counted(situation.approvals), approvals_needed(spec, status));
    if given < needed as usize {
        let message = format!("only {given} of {needed} approvals still count");
        return Some((reasons::APPROVAL_WITHDRAWN, message));
    }
    if spec.action == TakeoverAction::Rejoin {
        return None;
    }
    let proof_ends_us = status.known.as_ref().and_then(proof_ends_us);
    let now_us = u64::try_from(situation.now.as_microsecond()).unwrap_or_default();
    if let Some(ends_us) = proof_ends_us.filter(|ends_us| now_us >= *ends_us) {
        let until = time(ends_us).unwrap_or_default();
        let message =
            format!("only until {until} it was certain that nothing is lost: people must approve");
        return Some((reasons::LOSS_POSSIBLE, message));
    }
    let judged = while_stopped(situation);
    let failing = failing(&judged)?;
    let message = format!("{}: {}", failing.check.name, failing.check.message);
    Some((failing.reason, message))
}

fn is_too_late(situation: &Situation<'_>) -> bool {
    let started: Option<Timestamp> =
        (situation.status.started_at.as_ref()).and_then(|started| started.parse().ok());
    started.is_some_and(|started| {
        let passed = situation.now.as_second() - started.as_second();
        passed > i64::from(situation.spec.deadline_seconds)
    })
}

/// There is no way back from here, so nothing is judged but whether it has come about.
fn after_the_command(situation: &Situation<'_>) -> Plan {
    if situation.facts.is_held {
        return Plan::running(Step::Release, "letting the replica run again");
    }
    let plan = match situation.spec.action {
        TakeoverAction::Form => until_rerouted(situation),
        TakeoverAction::Rejoin => until_joined(situation),
    };
    if plan.step == Step::Rest && plan.phase == TakeoverPhase::Running && is_too_late(situation) {
        let message = format!(
            "{}; not within {} s. The disk is ready and stays so: look after the replica's pod",
            plan.message, situation.spec.deadline_seconds
        );
        let (phase, reason) = (TakeoverPhase::Failed, reasons::DEADLINE_EXCEEDED);
        return Plan::new(Step::Rest, phase, reason, message);
    }
    plan
}

fn until_rerouted(situation: &Situation<'_>) -> Plan {
    let Situation {
        status, own, view, ..
    } = *situation;
    let formed = status.result.as_ref().and_then(|it| it.generation);
    let serves = view.status_of(own.replica).filter(|it| {
        let generation = it.group.as_ref().map(|group| group.generation);
        it.serving && generation.is_some() && generation >= formed
    });
    let Some(serves) = serves else {
        let message = format!("waiting until the replica of {} serves", own.name);
        return Plan::running(Step::Rest, message);
    };
    let served = format!(
        "{} serves generation {} in epoch {}",
        own.name,
        formed.unwrap_or_default(),
        serves.epoch
    );
    if !has(status, steps::SERVED) {
        return Plan::running(Step::Say, served).done(steps::SERVED);
    }
    if !situation.is_rerouted {
        let message = format!("{served}; waiting until the entry leads there");
        return Plan::running(Step::Rest, message);
    }
    let (phase, reason) = (TakeoverPhase::Succeeded, reasons::TAKEN_OVER);
    Plan::new(Step::Rest, phase, reason, served).done(steps::REROUTED)
}

fn until_joined(situation: &Situation<'_>) -> Plan {
    let Situation { own, view, .. } = *situation;
    let group = view.leader_status().and_then(|it| it.group.as_ref());
    let Some(group) = group else {
        return Plan::running(Step::Rest, "no leader can be asked to take the replica in");
    };
    let member = group.members.iter().find(|it| it.replica == own.replica);
    match member.map(protocol::admin::Member::role) {
        None => {
            let message = format!("asking the leader to take in the replica of {}", own.name);
            Plan::running(Step::AddLearner, message)
        }
        Some(MemberRole::Voter) => {
            let message = format!("the replica of {} follows and votes", own.name);
            let (phase, reason) = (TakeoverPhase::Succeeded, reasons::REJOINED);
            Plan::new(Step::Rest, phase, reason, message).done(steps::JOINED)
        }
        Some(_) => match view.lag_entries(own.replica) {
            Some(lag) if lag <= crate::view::LAG_ENTRIES_MAX => {
                let message = format!("{} entries behind: asking the leader for its vote", lag);
                Plan::running(Step::Promote, message)
            }
            lag => {
                let lag =
                    lag.map_or_else(|| "an unknown number of".to_owned(), |it| it.to_string());
                Plan::running(Step::Rest, format!("{lag} entries behind the leader"))
            }
        },
    }
}

/// The answer of `takeover form`.
#[derive(Deserialize)]
struct FormAnswer {
    generation: u64,
    epoch: u64,
    formed_at_index: u64,
    uncommitted_entries_kept: Option<u64>,
}

/// The answer of `takeover come-back`.
#[derive(Deserialize)]
struct ComeBackAnswer {
    listed_in: String,
    requests: u64,
    answered: u64,
}

fn read(action: TakeoverAction, said: &str) -> Option<DiskResult> {
    match action {
        TakeoverAction::Form => {
            let answer: FormAnswer = serde_json::from_str(said).ok()?;
            Some(DiskResult {
                generation: Some(answer.generation),
                epoch: Some(answer.epoch),
                formed_at_index: Some(answer.formed_at_index),
                uncommitted_entries_kept: answer.uncommitted_entries_kept,
                ..DiskResult::default()
            })
        }
        TakeoverAction::Rejoin => {
            let answer: ComeBackAnswer = serde_json::from_str(said).ok()?;
            Some(DiskResult {
                kept_in: Some(answer.listed_in),
                requests_salvaged: Some(answer.requests),
                requests_answered: Some(answer.answered),
                ..DiskResult::default()
            })
        }
    }
}

#[cfg(test)]
mod tests;
