//! The controller of `Takeover`: a group formed anew out of one replica, on one screen: see [`round`].
//!
//! ```text
//!   Takeover ──┐
//!   Approvals ─┤
//!   TradingCore┼► observe ─► validate ─► plan ─► perform ─► status
//!   replicas ──┤     ▲                    one step, at most STEPS_A_ROUND times
//!   Job, pod ──┘     └───────────────────────────┘
//! ```
//! Nothing here needs a leader, since there is none. The steps are remembered in the object's status and
//! show in the cluster, so an operator that was started anew goes on from where the last one died.

pub mod approve;
pub mod check;
pub mod command;
pub mod hold;
pub mod known;
pub mod plan;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::{Controller, watcher};
use kube::{Client, Resource, ResourceExt};
use protocol::admin::Member;
use protocol::admin::change_membership_request::Change;

use crds::conditions::reasons;
use crds::{
    Approval, ApprovalVerdict, JudgedApproval, Takeover, TakeoverPhase, TakeoverStatus, TradingCore,
};

use crate::announce::announce;
use crate::build::priority;
use crate::core::{Core, CoreError};
use crate::metrics::Metrics;
use crate::observe::ask;
use crate::plan::holder;
use crate::reconcile::{RoundError, api, scoped};
use crate::takeover::approve::{Request, judge};
use crate::takeover::plan::{Facts, Plan, Situation, Step, is_rerouted, plan};
use crate::validate::{Placement, validate};
use crate::view::View;

/// The field manager of this controller.
pub const FIELD_MANAGER: &str = "tricenter-takeover";
/// How often a takeover that waits is looked at.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Pause after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(2);
/// Steps that one round may take.
const STEPS_A_ROUND: usize = 4;

/// What all rounds share.
pub struct Context {
    client: Client,
    center: String,
    core: Arc<dyn Core>,
    metrics: Metrics,
    recorder: Recorder,
}

impl Context {
    /// A context for the operator of `center`.
    #[must_use]
    pub fn new(client: Client, center: String, core: Arc<dyn Core>, metrics: Metrics) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(format!("{FIELD_MANAGER}-{center}")),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            center,
            core,
            metrics,
        }
    }

    fn takeovers(&self, namespace: &str) -> Api<Takeover> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Why a step was not done. The next round decides anew.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The API server did not do it.
    #[error("failed to {action}: {source}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Box<kube::Error>,
    },
    /// The core did not do it.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The leader was known when the step was planned and is not any more.
    #[error("failed to reach the leader: none is known; the next round looks again")]
    NoLeader,
}

fn step_failed(action: &'static str) -> impl FnOnce(kube::Error) -> StepError {
    move |source| StepError::Api {
        action,
        source: Box::new(source),
    }
}

/// One round: *observe → validate → plan → perform*, as long as there is a step to take, each followed
/// by *status*.
///
/// # Errors
/// When the API server cannot be read or the status not be written.
pub async fn round(takeover: &Takeover, context: &Context) -> Result<Action, RoundError> {
    let namespace = takeover.namespace().unwrap_or_default();
    let (takeovers, name) = (context.takeovers(&namespace), takeover.name_any());
    for _ in 0..STEPS_A_ROUND {
        // What a watch showed may be old; nothing is done for a request that has ended or gone.
        let now = takeovers.get_opt(&name).await;
        let now = now.map_err(api("read the Takeover"))?;
        let Some(takeover) = now.filter(|now| now.uid() == takeover.uid() && is_open(now)) else {
            return Ok(Action::await_change());
        };
        if step(&takeover, &namespace, context).await? == Round::Rests {
            break;
        }
    }
    Ok(Action::requeue(ROUND_EVERY))
}

fn is_open(takeover: &Takeover) -> bool {
    let phase = takeover.status.as_ref().and_then(|status| status.phase);
    takeover.metadata.deletion_timestamp.is_none() && !phase.is_some_and(TakeoverPhase::is_final)
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    GoesOn,
    Rests,
}

async fn step(
    takeover: &Takeover,
    namespace: &str,
    context: &Context,
) -> Result<Round, RoundError> {
    let request = Request::of(takeover);
    let now = Timestamp::now();
    let cores: Api<TradingCore> = Api::namespaced(context.client.clone(), namespace);
    let core = cores.get_opt(&takeover.spec.core).await;
    let core = core.map_err(api("read the TradingCore"))?;
    let placed = match placed(core.as_ref(), takeover, &context.center) {
        Ok(placed) => placed,
        Err(refused) => {
            let Some(refused) = refused_now(takeover, refused) else {
                return Ok(Round::Rests);
            };
            report(takeover, context, &request, &[], &refused, now).await?;
            return Ok(Round::Rests);
        }
    };
    let seen = observe(takeover, &placed, &request, context, now).await?;
    let status = takeover.status.clone().unwrap_or_default();
    let mut decided = plan(&Situation {
        spec: &takeover.spec,
        status: &status,
        core: &placed.core.spec,
        own: placed.own,
        view: &seen.view,
        facts: &seen.facts,
        approvals: &seen.approvals,
        other_running: seen.other_running.as_deref(),
        is_rerouted: is_rerouted(placed.core),
        age_seconds: age_seconds(takeover, now),
        now,
    });
    // What is written down before it is done can be gone on with.
    let is_written_first = decided.done.is_some() || decided.step == Step::Say;
    if is_written_first && decided.step != Step::UseApprovals {
        report(takeover, context, &request, &seen.approvals, &decided, now).await?;
    }
    let performed = perform(takeover, &placed, &seen, context, &decided.step).await;
    if let Err(error) = &performed {
        tracing::warn!(takeover = request.name, %error, "a step of a takeover was not done");
        decided.message = format!("{}; {error}", decided.message);
        if decided.step == Step::UseApprovals {
            (decided.phase, decided.done) = (TakeoverPhase::AwaitingApproval, None);
        }
    }
    if !is_written_first || decided.step == Step::UseApprovals || performed.is_err() {
        report(takeover, context, &request, &seen.approvals, &decided, now).await?;
    }
    let rests = decided.step == Step::Rest || performed.is_err();
    Ok(if rests { Round::Rests } else { Round::GoesOn })
}

/// What one look brought.
struct Seen {
    view: View,
    facts: Facts,
    approvals: Vec<JudgedApproval>,
    other_running: Option<String>,
}

async fn observe(
    takeover: &Takeover,
    placed: &Placement<'_>,
    request: &Request,
    context: &Context,
    now: Timestamp,
) -> Result<Seen, RoundError> {
    let approvals: Api<Approval> = Api::namespaced(context.client.clone(), placed.namespace);
    let (takeovers, all) = (context.takeovers(placed.namespace), ListParams::default());
    let (view, held, command, approvals, others) = tokio::join!(
        ask(context.core.as_ref(), placed),
        hold::observe(&context.client, placed, &request.uid),
        command::observe(&context.client, takeover),
        approvals.list(&all),
        takeovers.list(&all),
    );
    let held = held.map_err(api("read the replica's StatefulSet and pod"))?;
    let approvals = approvals.map_err(api("list the approvals"))?;
    let others = others.map_err(api("list the takeovers"))?;
    let running = others.items.into_iter().find(|other| {
        let phase = other.status.as_ref().and_then(|status| status.phase);
        other.spec.core == takeover.spec.core
            && other.uid() != takeover.uid()
            && phase == Some(TakeoverPhase::Running)
    });
    Ok(Seen {
        view,
        facts: Facts {
            is_held: held.is_held,
            runs: held.runs,
            command: command.map_err(api("read the command's Job"))?,
        },
        approvals: judge(&approvals.items, request, now),
        other_running: running.map(|other| other.name_any()),
    })
}

fn refused(reason: &'static str, message: String) -> Box<Plan> {
    let (step, phase) = (Step::Rest, TakeoverPhase::Refused);
    Box::new(Plan::new(step, phase, reason, message))
}

/// What cannot be done any more is refused before it began, and has failed afterwards. A core that is
/// paused meanwhile only waits.
fn refused_now(takeover: &Takeover, mut refused: Box<Plan>) -> Option<Box<Plan>> {
    let phase = takeover.status.as_ref().and_then(|status| status.phase);
    if phase == Some(TakeoverPhase::Running) {
        refused.phase = TakeoverPhase::Failed;
        return (refused.reason != reasons::PAUSED).then_some(refused);
    }
    Some(refused)
}

/// This center's place in the core, once the object names what is there.
fn placed<'a>(
    core: Option<&'a TradingCore>,
    takeover: &Takeover,
    own: &str,
) -> Result<Placement<'a>, Box<Plan>> {
    let spec = &takeover.spec;
    let invalid = |message: String| refused(reasons::INVALID, message);
    let core = core.ok_or_else(|| {
        let namespace = takeover.namespace().unwrap_or_default();
        invalid(format!(
            "spec.core: there is no TradingCore {} in namespace {namespace}",
            spec.core
        ))
    })?;
    let placed = validate(core, own).map_err(|refusal| invalid(refusal.to_string()))?;
    if spec.center != own {
        let message = format!(
            "spec.center: this is the cluster of {own}, and only the operator of {} reaches the disk of \
             its replica: apply the object there",
            spec.center
        );
        return Err(refused(reasons::OTHER_CENTER, message));
    }
    if core.spec.paused {
        let message = format!(
            "TradingCore {} is paused: set spec.paused to false first",
            spec.core
        );
        return Err(refused(reasons::PAUSED, message));
    }
    Ok(placed)
}

fn age_seconds(takeover: &Takeover, now: Timestamp) -> i64 {
    let created = takeover.metadata.creation_timestamp.as_ref();
    created.map_or(0, |created| {
        (now.as_second() - created.0.as_second()).max(0)
    })
}

/// Performs the one step that was planned.
async fn perform(
    takeover: &Takeover,
    placed: &Placement<'_>,
    seen: &Seen,
    context: &Context,
    step: &Step,
) -> Result<(), StepError> {
    let leader = || {
        let leader = seen.view.leader_replica().ok_or(StepError::NoLeader)?;
        let center = placed.spec().centers.iter().find(|it| it.replica == leader);
        let center = center.ok_or(StepError::NoLeader)?;
        Ok::<_, StepError>(placed.addresses(center).orders)
    };
    let uid = takeover.uid().unwrap_or_default();
    let (word, done) = match step {
        Step::Rest | Step::Say => return Ok(()),
        Step::UseApprovals => (
            "takeover_use_approvals",
            use_approvals(takeover, placed.namespace, &seen.approvals, context).await,
        ),
        Step::Hold => (
            "takeover_hold",
            hold::set(&context.client, placed, Some((&takeover.name_any(), &uid)))
                .await
                .map_err(step_failed("stop the replica")),
        ),
        Step::Release => (
            "takeover_release",
            hold::set(&context.client, placed, None)
                .await
                .map_err(step_failed("let the replica run again")),
        ),
        Step::Form(order) => {
            let arguments = command::form_arguments(order);
            let job = command::job(takeover, placed, &arguments);
            ("takeover_form", start(context, placed, job).await)
        }
        Step::KeepAside => {
            let arguments = command::keep_aside_arguments(&leader()?);
            let job = command::job(takeover, placed, &arguments);
            ("takeover_keep_aside", start(context, placed, job).await)
        }
        Step::AddLearner => {
            let change = Change::AddLearner(member(placed));
            let done = context.core.change_membership(&leader()?, change).await;
            ("takeover_add_learner", done.map_err(StepError::from))
        }
        Step::Promote => {
            let change = Change::Promote(placed.own.replica);
            let done = context.core.change_membership(&leader()?, change).await;
            ("takeover_promote", done.map_err(StepError::from))
        }
    };
    context.metrics.stepped(word, done.is_ok());
    done
}

/// This center's replica, as others reach it.
fn member(placed: &Placement<'_>) -> Member {
    let own = placed.own;
    Member {
        replica: own.replica,
        center: own.name.clone(),
        site: own.site.clone(),
        priority: priority(placed, own),
        replication: own.addresses.replication.clone(),
        orders: own.addresses.orders.clone(),
        ..Member::default()
    }
}

/// Starts the command. One that is there already was started by an operator that died.
async fn start(
    context: &Context,
    placed: &Placement<'_>,
    job: serde_json::Value,
) -> Result<(), StepError> {
    let failed = step_failed("start the command on the disk");
    let job = match serde_json::from_value(job) {
        Ok(job) => job,
        Err(error) => return Err(failed(kube::Error::SerdeError(error))),
    };
    let jobs: Api<k8s_openapi::api::batch::v1::Job> =
        Api::namespaced(context.client.clone(), placed.namespace);
    match jobs.create(&PostParams::default(), &job).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        started => started.map(|_| ()).map_err(failed),
    }
}

/// Marks those that count, so that they count for nothing else.
async fn use_approvals(
    takeover: &Takeover,
    namespace: &str,
    judged: &[JudgedApproval],
    context: &Context,
) -> Result<(), StepError> {
    let approvals: Api<Approval> = Api::namespaced(context.client.clone(), namespace);
    let uid = takeover.uid().unwrap_or_default();
    for approval in judged
        .iter()
        .filter(|it| it.verdict == ApprovalVerdict::Counts)
    {
        let failed = || step_failed("use an approval");
        let there = approvals.get(&approval.name).await.map_err(failed())?;
        let used_by = there.status.as_ref().and_then(|it| it.used_by.clone());
        if used_by.as_deref() == Some(&uid) {
            continue;
        }
        let patch = serde_json::json!({
            "apiVersion": Approval::api_version(&()),
            "kind": Approval::kind(&()),
            // That one, as it was judged: one that was taken back and given anew is another.
            "metadata": {
                "name": approval.name, "uid": there.uid(),
                "resourceVersion": there.resource_version(),
            },
            "status": {"usedBy": uid, "usedAt": Timestamp::now().to_string()},
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        approvals
            .patch_status(&approval.name, &parameters, &Patch::Apply(&patch))
            .await
            .map_err(failed())?;
    }
    Ok(())
}

/// Writes the status if it says something new, and tells what people should hear.
async fn report(
    takeover: &Takeover,
    context: &Context,
    request: &Request,
    approvals: &[JudgedApproval],
    plan: &Plan,
    now: Timestamp,
) -> Result<(), RoundError> {
    let before: TakeoverStatus = takeover.status.clone().unwrap_or_default();
    let after = status::update(
        &before,
        &status::Report {
            spec: &takeover.spec,
            generation: takeover.metadata.generation.unwrap_or_default(),
            digest: &request.digest,
            plan,
            approvals,
            holder: &holder(&context.center),
            now,
        },
    );
    if after == before {
        return Ok(());
    }
    let patch = serde_json::json!({
        "apiVersion": Takeover::api_version(&()),
        "kind": Takeover::kind(&()),
        "metadata": {"name": request.name, "uid": request.uid},
        "status": after,
    });
    context
        .takeovers(&takeover.namespace().unwrap_or_default())
        .patch_status(
            &request.name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await
        .map_err(api("write the status"))?;
    tracing::info!(
        takeover = request.name,
        phase = plan.phase.as_str(),
        reason = plan.reason,
        message = plan.message,
        "a takeover"
    );
    let notices = status::notices(&before, &after);
    announce(&context.recorder, &takeover.object_ref(&()), notices).await;
    Ok(())
}

/// Runs rounds for every object in the namespace, or in all of them, until `stop` completes and the
/// rounds under way have ended.
pub async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let takeovers: Api<Takeover> = scoped(context.client.clone(), namespace);
    Controller::new(takeovers, watcher::Config::default())
        .graceful_shutdown_on(stop)
        .run(
            |takeover, context| async move { round(&takeover, &context).await },
            |takeover, error, context| {
                tracing::warn!(takeover = takeover.name_any(), %error, "round failed");
                context.metrics.reconciled("error", 0.0);
                Action::requeue(AFTER_ERROR)
            },
            context,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller");
            }
        })
        .await;
}
