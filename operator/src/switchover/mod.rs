//! The controller of `Switchover`: one planned move, on one screen: see [`round`].
//!
//! ```text
//!   Switchover ─┐
//!   TradingCore ┼► observe ─► validate ─► plan ─► perform ─► status
//!   replicas ───┘     ▲                     one step, at most STEPS_A_ROUND times
//!                     └───────────────────────────┘
//! ```
//! The core's log holds the lease and the steps, so any center's operator may run this at any time.

pub mod check;
pub mod plan;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::{Controller, watcher};
use kube::{Client, Resource, ResourceExt};
use sha2::{Digest, Sha256};

use crds::{Switchover, SwitchoverPhase, SwitchoverSpec, SwitchoverStatus, TradingCore};
use types::{OperationKind, OperationRecord};

use crate::announce::announce;
use crate::core::{Core, CoreError};
use crate::metrics::Metrics;
use crate::observe::ask;
use crate::plan::holder;
use crate::reconcile::{RoundError, api, scoped};
use crate::switchover::plan::{LEASE_MS, Plan, Situation, Step, operation, plan};
use crate::validate::{Placement, validate};
use crate::view::View;

/// The field manager of this controller.
pub const FIELD_MANAGER: &str = "tricenter-switchover";
/// Keeps an object that is deleted while its move runs until the move has ended: what stands in the
/// core's log must not be left without anybody who ends it.
pub const FINALIZER: &str = "tricenter.dev/move-under-way";
/// How long a deleted object is kept beyond its deadline when the move's end cannot be learned, in
/// seconds: a lease that was just renewed, twice.
const KEPT_BEYOND_DEADLINE_SECONDS: i64 = 2 * (LEASE_MS as i64) / 1_000;
/// How often a move that waits is looked at.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Pause after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(2);
/// Steps that one round may take: a whole move has six.
const STEPS_A_ROUND: usize = 8;
/// How often the replicas are asked for a status that knows what was just done.
const LOOKS_MAX: usize = 40;
/// Pause between two of those looks: a replica publishes its status each 100 ms.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(25);

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
}

/// One round: *observe → validate → plan → perform*, as long as there is a step to take, then
/// *status*.
///
/// # Errors
/// When the API server cannot be read or the status not be written.
pub async fn round(switchover: &Switchover, context: &Context) -> Result<Action, RoundError> {
    let mut status = switchover.status.clone().unwrap_or_default();
    let is_final = status.phase.is_some_and(SwitchoverPhase::is_final);
    let mut is_kept = is_kept(switchover);
    let deleted_seconds = seconds_since(switchover.metadata.deletion_timestamp.as_ref());
    if is_final || (deleted_seconds.is_some() && !is_kept) {
        return release(switchover, context, is_kept).await;
    }
    let kept_seconds_max =
        i64::from(switchover.spec.deadline_seconds) + KEPT_BEYOND_DEADLINE_SECONDS;
    if deleted_seconds.is_some_and(|seconds| seconds > kept_seconds_max) {
        tracing::warn!(
            switchover = switchover.name_any(),
            "deleted while its move ran, and nobody could be asked how that ended: look at who leads"
        );
        return release(switchover, context, is_kept).await;
    }
    let namespace = switchover.namespace().unwrap_or_default();
    let cores: Api<TradingCore> = Api::namespaced(context.client.clone(), &namespace);
    let core = cores
        .get_opt(&switchover.spec.core)
        .await
        .map_err(api("read the TradingCore"))?;
    let Some(core) = core else {
        let refused = refused(format!(
            "spec.core: there is no TradingCore {} in namespace {namespace}",
            switchover.spec.core
        ));
        return report(switchover, context, &mut status, &refused, None).await;
    };
    let placed = match placed(&core, switchover, &context.center) {
        Ok(placed) => placed,
        Err(why) => return report(switchover, context, &mut status, &refused(why), None).await,
    };
    let name = format!("{namespace}/{}", switchover.name_any());
    let mine = holder(&context.center);
    let mut seen = Seen::default();
    for _ in 0..STEPS_A_ROUND {
        let view = ask_behind(context.core.as_ref(), &placed, seen).await;
        let Some(target) = center(&core, &switchover.spec.to) else {
            break;
        };
        let mut decided = plan(&Situation {
            spec: &switchover.spec,
            status: &status,
            operation: &name,
            holder: &mine,
            core: &core.spec,
            target,
            view: &view,
            age_seconds: age_seconds(switchover),
        });
        if decided.step == Step::Begin && operation(&view, &name).is_none() {
            if !is_wanted(switchover, context).await? {
                return release(switchover, context, is_kept).await;
            }
            keep(switchover, context).await?;
            is_kept = true;
        }
        let performed = perform(context, &placed, &view, &name, &switchover.spec, &decided).await;
        if let Ok(now) = performed {
            seen = Seen {
                epoch: seen.epoch.max(now.epoch),
                index: seen.index.max(now.index),
            };
        }
        if let Err(error) = &performed {
            tracing::warn!(operation = name, %error, "a step of a move was not done");
            decided.message = format!("{}; {error}", decided.message);
            if decided.step == Step::Begin {
                // Nothing has begun: another operation was quicker, or the leader fell.
                decided.phase = SwitchoverPhase::Pending;
            }
        }
        let known = operation(&view, &name);
        let rests = decided.step == Step::Rest || performed.is_err();
        // What was just written into the log is told with the next look at it.
        if rests || status.phase != Some(decided.phase) {
            report(switchover, context, &mut status, &decided, known).await?;
        }
        if rests {
            break;
        }
    }
    if status.phase.is_some_and(SwitchoverPhase::is_final) {
        return release(switchover, context, is_kept).await;
    }
    Ok(Action::requeue(ROUND_EVERY))
}

fn is_kept(switchover: &Switchover) -> bool {
    switchover.finalizers().iter().any(|it| it == FINALIZER)
}

/// Keeps the object from now on, should it be deleted.
async fn keep(switchover: &Switchover, context: &Context) -> Result<(), RoundError> {
    finalizers(switchover, context, &[FINALIZER])
        .await
        .map_err(api("keep the Switchover until its move has ended"))
}

/// Lets the object go if it is deleted, now or later.
async fn release(
    switchover: &Switchover,
    context: &Context,
    is_kept: bool,
) -> Result<Action, RoundError> {
    if is_kept {
        match finalizers(switchover, context, &[]).await {
            // It has gone already, or another of its name has come.
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => {}
            other => other.map_err(api("let the Switchover go"))?,
        }
    }
    Ok(Action::await_change())
}

/// Applies the object's own list of finalizers. The uid keeps this from making an object anew.
async fn finalizers(
    switchover: &Switchover,
    context: &Context,
    list: &[&str],
) -> Result<(), kube::Error> {
    let name = switchover.name_any();
    let namespace = switchover.namespace().unwrap_or_default();
    let switchovers: Api<Switchover> = Api::namespaced(context.client.clone(), &namespace);
    let patch = serde_json::json!({
        "apiVersion": Switchover::api_version(&()),
        "kind": Switchover::kind(&()),
        "metadata": {"name": name, "uid": switchover.uid(), "finalizers": list},
    });
    switchovers
        .patch_metadata(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await
        .map(|_| ())
}

/// What this round has caused: the epoch, and the place in the log. Replicas publish their status some
/// times a second, so one that was asked at once may not know of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    epoch: u64,
    index: u64,
}

/// Asks all replicas until the leader's answer is not older than what this round has caused, at most
/// [`LOOKS_MAX`] times.
async fn ask_behind(core: &dyn Core, placed: &Placement<'_>, seen: Seen) -> View {
    let mut view = ask(core, placed).await;
    for _ in 1..LOOKS_MAX {
        let is_new = view
            .leader_status()
            .is_some_and(|status| status.epoch >= seen.epoch && status.applied_index >= seen.index);
        if is_new || seen == Seen::default() {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        view = ask(core, placed).await;
    }
    view
}

/// Whether the object still asks for the move. What the watch showed may be old, and a move that was
/// refused, or whose object has gone, must not begin by it.
async fn is_wanted(switchover: &Switchover, context: &Context) -> Result<bool, RoundError> {
    let namespace = switchover.namespace().unwrap_or_default();
    let switchovers: Api<Switchover> = Api::namespaced(context.client.clone(), &namespace);
    let now = switchovers
        .get_opt(&switchover.name_any())
        .await
        .map_err(api("read the Switchover again"))?;
    Ok(now.is_some_and(|now| {
        let phase = now.status.as_ref().and_then(|status| status.phase);
        now.uid() == switchover.uid()
            && now.metadata.deletion_timestamp.is_none()
            && !phase.is_some_and(SwitchoverPhase::is_final)
    }))
}

fn refused(why: String) -> Plan {
    Plan {
        step: Step::Rest,
        phase: SwitchoverPhase::Refused,
        message: why,
        checks: None,
    }
}

fn center<'a>(core: &'a TradingCore, name: &str) -> Option<&'a crds::Center> {
    core.spec.centers.iter().find(|center| center.name == name)
}

/// This center's place in the core, once the object names what is there.
fn placed<'a>(
    core: &'a TradingCore,
    switchover: &Switchover,
    own: &str,
) -> Result<Placement<'a>, String> {
    let placed = validate(core, own).map_err(|refusal| refusal.to_string())?;
    if center(core, &switchover.spec.to).is_none() {
        let known: Vec<&str> = core
            .spec
            .centers
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        return Err(format!(
            "spec.to: {} is no center of {}; accepted are {}",
            switchover.spec.to,
            switchover.spec.core,
            known.join(", ")
        ));
    }
    if core.spec.paused {
        return Err(format!(
            "TradingCore {} is paused: set spec.paused to false first",
            core.name_any()
        ));
    }
    Ok(placed)
}

fn age_seconds(switchover: &Switchover) -> i64 {
    seconds_since(switchover.metadata.creation_timestamp.as_ref()).unwrap_or(0)
}

fn seconds_since(time: Option<&Time>) -> Option<i64> {
    time.map(|time| (Timestamp::now().as_second() - time.0.as_second()).max(0))
}

/// SHA-256 of what is asked for: the same name with another digest is another request.
fn digest(spec: &SwitchoverSpec) -> [u8; 32] {
    // A spec always has a form in JSON, and its fields an order.
    let text = serde_json::to_vec(spec).unwrap_or_default();
    Sha256::digest(text).into()
}

/// Performs the one step that was planned.
async fn perform(
    context: &Context,
    placed: &Placement<'_>,
    view: &View,
    name: &str,
    spec: &SwitchoverSpec,
    plan: &Plan,
) -> Result<Seen, CoreError> {
    let leader = view.leader_replica();
    let leader = (placed.spec().centers.iter()).find(|center| Some(center.replica) == leader);
    let (Some(leader), Some(target)) = (leader, center(placed.core, &spec.to)) else {
        return Ok(Seen::default());
    };
    let address = placed.addresses(leader).orders;
    let holder = holder(&context.center);
    let name = name.to_owned();
    let (word, record) = match &plan.step {
        Step::Rest => return Ok(Seen::default()),
        Step::Transfer => {
            let done = context.core.transfer_leader(&address, target.replica).await;
            context.metrics.stepped("switchover_transfer", done.is_ok());
            return done.map(|epoch| Seen { epoch, index: 0 });
        }
        Step::Begin => (
            "switchover_begin",
            OperationRecord::Begin {
                name,
                kind: OperationKind::Switchover,
                digest: digest(spec),
                holder,
                ttl_ms: LEASE_MS,
            },
        ),
        Step::Note { step, detail } => (
            "switchover_note",
            OperationRecord::Step {
                name,
                holder,
                ttl_ms: LEASE_MS,
                step: (*step).to_owned(),
                detail: detail.clone(),
            },
        ),
        Step::End {
            outcome,
            detail,
            preferred,
        } => (
            "switchover_end",
            OperationRecord::End {
                name,
                holder,
                outcome: *outcome,
                detail: detail.clone(),
                preferred: preferred.clone(),
            },
        ),
    };
    let done = context.core.record_operation(&address, record).await;
    context.metrics.stepped(word, done.is_ok());
    done.map(|index| Seen { epoch: 0, index })
}

/// Writes the status if it says something new, and tells what people should hear.
async fn report(
    switchover: &Switchover,
    context: &Context,
    status: &mut SwitchoverStatus,
    plan: &Plan,
    operation: Option<&protocol::admin::Operation>,
) -> Result<Action, RoundError> {
    let generation = switchover.metadata.generation.unwrap_or_default();
    let after = status::update(
        status,
        &switchover.spec,
        generation,
        plan,
        operation,
        Timestamp::now(),
    );
    if after == *status {
        return Ok(Action::requeue(ROUND_EVERY));
    }
    let name = switchover.name_any();
    let switchovers: Api<Switchover> = Api::namespaced(
        context.client.clone(),
        &switchover.namespace().unwrap_or_default(),
    );
    let patch = serde_json::json!({
        "apiVersion": Switchover::api_version(&()),
        "kind": Switchover::kind(&()),
        "metadata": {"name": name, "uid": switchover.uid()},
        "status": after,
    });
    switchovers
        .patch_status(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await
        .map_err(api("write the status"))?;
    tracing::info!(
        switchover = name,
        phase = plan.phase.as_str(),
        message = plan.message,
        "a planned move"
    );
    let notice = status::notice(status, &after);
    announce(&context.recorder, &switchover.object_ref(&()), notice).await;
    *status = after;
    Ok(Action::requeue(ROUND_EVERY))
}

/// Runs rounds for every object in the namespace, or in all of them, until `stop` completes and the
/// rounds under way have ended.
pub async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let switchovers: Api<Switchover> = scoped(context.client.clone(), namespace);
    Controller::new(switchovers, watcher::Config::default())
        .graceful_shutdown_on(stop)
        .run(
            |switchover, context| async move { round(&switchover, &context).await },
            |switchover, error, context| {
                tracing::warn!(switchover = switchover.name_any(), %error, "round failed");
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
