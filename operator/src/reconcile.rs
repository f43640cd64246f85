//! One round for one object, on one screen: see [`round`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::{Controller, watcher};
use kube::{Client, Resource, ResourceExt};

use crds::conditions::reasons;
use crds::{TradingCore, TradingCoreStatus};

use crate::announce::announce;
use crate::apply::{Applied, ApplyError, Memory, apply};
use crate::build::{Kind, Offers, build, hold};
use crate::core::Core;
use crate::metrics::Metrics;
use crate::names::{self, FIELD_MANAGER};
use crate::observe::{Observed, observe};
use crate::perform::perform;
use crate::plan::{Plan, Restart, Situation, Step, plan};
use crate::status::{self, Notice, Outcome, Report};
use crate::takeover::hold::is_held;
use crate::validate::{Placement, Refusal, validate};

/// How often the replicas are asked.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Pause after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(2);
/// Pause after a step that failed, so that the core is not asked for it every second.
const AFTER_FAILED_STEP: Duration = Duration::from_secs(10);
/// How often a status is written that differs only in figures.
const FIGURES_EVERY: Duration = Duration::from_secs(5);
/// How often the cluster is asked what it offers.
const OFFERS_EVERY: Duration = Duration::from_secs(30);
/// Objects of which the times below are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// Why a round ended early. What can be told in the object's status is no error.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The API server could not be asked.
    #[error("failed to {action}: {source}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: Box<kube::Error>,
    },
}

pub(crate) fn api(action: &'static str) -> impl FnOnce(kube::Error) -> RoundError {
    move |source| RoundError::Api {
        action,
        source: Box::new(source),
    }
}

/// Times that make rounds cheaper; losing them costs nothing but that.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    written_at: Option<Instant>,
    step_failed_at: Option<Instant>,
}

/// What all rounds share.
pub struct Context {
    client: Client,
    center: String,
    core: Arc<dyn Core>,
    metrics: Metrics,
    recorder: Recorder,
    memory: Memory,
    times: Mutex<BTreeMap<(String, String), Times>>,
    offers: tokio::sync::Mutex<Option<(Instant, Offers)>>,
    is_ready: Arc<AtomicBool>,
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
            memory: Memory::default(),
            times: Mutex::default(),
            offers: tokio::sync::Mutex::default(),
            is_ready: Arc::default(),
        }
    }

    /// Becomes true after the first round, or once there is nothing to do.
    #[must_use]
    pub fn readiness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ready)
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<(String, String), Times>> {
        // Whoever panicked left a map of whole entries.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times_of(&self, key: &(String, String)) -> Times {
        self.times().get(key).copied().unwrap_or_default()
    }

    fn remember(&self, key: &(String, String), change: impl FnOnce(&mut Times)) {
        let mut times = self.times();
        if times.len() >= REMEMBERED_MAX && !times.contains_key(key) {
            times.clear();
        }
        change(times.entry(key.clone()).or_default());
    }
}

/// One round: *observe → validate → build → apply → plan → perform → status*.
///
/// # Errors
/// When the API server cannot be read or the status not be written.
pub async fn round(core: &TradingCore, context: &Context) -> Result<Action, RoundError> {
    let now = Timestamp::now();
    let offers = offers(context).await?;
    let (status, notices, result) = match validate(core, &context.center) {
        Err(refusal) => {
            let reason = match refusal {
                Refusal::CenterNotListed { .. } => reasons::CENTER_NOT_LISTED,
                _ => reasons::INVALID,
            };
            let status = status::refused(core, reason, &refusal.to_string(), now);
            (status, Vec::new(), "refused")
        }
        Ok(placed) => {
            let observed = observe(&context.client, context.core.as_ref(), &placed, offers)
                .await
                .map_err(api("read the objects of this center"))?;
            count_silent(context, &observed);
            let outcome = if core.spec.paused {
                Outcome::Paused
            } else {
                let mut objects = build(&placed, offers);
                let held_by = observed.replica.as_ref().and_then(|it| it.held_by.as_ref());
                let is_held = is_held(&context.client, placed.namespace, held_by).await;
                if is_held.map_err(api("read the Takeover that holds the replica"))? {
                    hold(&mut objects);
                }
                outcome(
                    apply(&context.client, &context.memory, placed.namespace, &objects).await,
                    &observed,
                )
            };
            let decided = plan(&Situation {
                placed: &placed,
                view: &observed.view,
                pod: observed.pod.as_ref(),
                hand_back_ready_since: remembered_since(core),
                now,
            });
            let (plan, notices) =
                perform_step(context, &placed, &observed, &outcome, decided).await;
            let status = status::update(
                core,
                &Report {
                    observed: &observed,
                    outcome: &outcome,
                    restart: &plan.restart,
                    hand_back_ready_since: plan.hand_back_ready_since,
                    now,
                },
            );
            let result = match outcome {
                Outcome::Failed(_) => "apply_failed",
                _ => "ok",
            };
            (status, notices, result)
        }
    };
    report(core, context, &status, notices).await?;
    context
        .metrics
        .reconciled(result, Timestamp::now().duration_since(now).as_secs_f64());
    context.is_ready.store(true, Ordering::Relaxed);
    Ok(Action::requeue(ROUND_EVERY))
}

/// What the cluster offers, asked anew from time to time, so that a Gateway API that is installed
/// later is used without a restart.
async fn offers(context: &Context) -> Result<Offers, RoundError> {
    let mut known = context.offers.lock().await;
    if let Some((at, offers)) = *known
        && at.elapsed() < OFFERS_EVERY
    {
        return Ok(offers);
    }
    let offers = Offers {
        gateway_api: has(&context.client, &[Kind::Gateway, Kind::GrpcRoute]).await?,
        envoy_gateway: has(
            &context.client,
            &[Kind::BackendTrafficPolicy, Kind::ClientTrafficPolicy],
        )
        .await?,
    };
    *known = Some((Instant::now(), offers));
    Ok(offers)
}

/// Whether the cluster has all of these kinds, which are of one group and version.
async fn has(client: &Client, kinds: &[Kind]) -> Result<bool, RoundError> {
    let Some(first) = kinds.first() else {
        return Ok(true);
    };
    let (group, version, _, _) = first.parts();
    let listed = client
        .list_api_group_resources(&format!("{group}/{version}"))
        .await;
    match listed {
        Ok(list) => Ok(kinds
            .iter()
            .all(|kind| list.resources.iter().any(|it| it.name == kind.parts().3))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(api("ask the API server for its kinds")(error)),
    }
}

fn count_silent(context: &Context, observed: &Observed) {
    for answer in observed.view.answers() {
        if let Err(why) = &answer.status {
            context.metrics.unanswered(&answer.center);
            tracing::debug!(center = answer.center, why, "a replica could not be asked");
        }
    }
}

/// Whether applying asked the workloads for something that was not asked for when they were
/// observed.
fn outcome(applied: Result<Vec<Applied>, ApplyError>, observed: &Observed) -> Outcome {
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            tracing::warn!(%error, "an object was not applied");
            return Outcome::Failed(error.to_string());
        }
    };
    let is_same = applied.iter().all(|object| {
        let seen = match object.kind {
            Kind::StatefulSet => &observed.replica,
            Kind::Deployment => &observed.gateway,
            _ => return true,
        };
        seen.as_ref().map(|facts| facts.generation) == Some(object.generation)
    });
    if is_same {
        Outcome::Applied
    } else {
        Outcome::Changed
    }
}

fn remembered_since(core: &TradingCore) -> Option<Timestamp> {
    core.status
        .as_ref()?
        .hand_back_ready_since
        .as_ref()?
        .parse()
        .ok()
}

/// Performs the planned step, unless applying failed (what runs is then not what was asked for) or
/// the last step failed a moment ago.
async fn perform_step(
    context: &Context,
    placed: &Placement<'_>,
    observed: &Observed,
    outcome: &Outcome,
    mut plan: Plan,
) -> (Plan, Vec<Notice>) {
    let name = placed.core.name_any();
    let key = (placed.namespace.to_owned(), name.clone());
    let is_too_soon = context
        .times_of(&key)
        .step_failed_at
        .is_some_and(|at| at.elapsed() < AFTER_FAILED_STEP);
    if plan.step == Step::Rest || is_too_soon || *outcome != Outcome::Applied {
        return (plan, Vec::new());
    }
    let word = match plan.step {
        Step::Rest => "rest",
        Step::Transfer { .. } => "transfer",
        Step::AcquireLease => "acquire_lease",
        Step::DeletePod { .. } => "delete_pod",
        Step::ReleaseLease => "release_lease",
    };
    let done = perform(
        &context.client,
        context.core.as_ref(),
        placed,
        &observed.view,
        &plan.step,
        &names::replica_pod_name(&name),
    )
    .await;
    context.metrics.stepped(word, done.is_ok());
    match done {
        Ok(notice) => {
            tracing::info!(core = name, step = word, "step performed");
            context.remember(&key, |times| times.step_failed_at = None);
            // Having been handed back, leadership has not been waiting for it.
            plan.hand_back_ready_since = None;
            (plan, notice.into_iter().collect())
        }
        Err(error) => {
            tracing::warn!(core = name, step = word, %error, "step failed");
            context.remember(&key, |times| times.step_failed_at = Some(Instant::now()));
            if let Restart::Waiting(why) = &mut plan.restart {
                *why = error.to_string();
            }
            (plan, Vec::new())
        }
    }
}

/// Writes the status if it says something new, and tells what people should hear.
async fn report(
    core: &TradingCore,
    context: &Context,
    status: &TradingCoreStatus,
    mut notices: Vec<Notice>,
) -> Result<(), RoundError> {
    let (name, namespace) = (core.name_any(), core.namespace().unwrap_or_default());
    context.metrics.show(&namespace, &name, status);
    notices.extend(status::notices(core.status.as_ref(), status));
    let key = (namespace.clone(), name.clone());
    let is_due = match &core.status {
        None => true,
        Some(before) if before == status => false,
        Some(before) => {
            status::differs_in_substance(before, status)
                || context
                    .times_of(&key)
                    .written_at
                    .is_none_or(|at| at.elapsed() >= FIGURES_EVERY)
        }
    };
    if is_due {
        let cores: Api<TradingCore> = Api::namespaced(context.client.clone(), &namespace);
        let patch = serde_json::json!({
            "apiVersion": TradingCore::api_version(&()),
            "kind": TradingCore::kind(&()),
            "metadata": {"name": name},
            "status": status,
        });
        cores
            .patch_status(
                &name,
                &PatchParams::apply(FIELD_MANAGER).force(),
                &Patch::Apply(&patch),
            )
            .await
            .map_err(api("write the status"))?;
        context.remember(&key, |times| times.written_at = Some(Instant::now()));
    }
    announce(&context.recorder, &core.object_ref(&()), notices).await;
    Ok(())
}

/// Runs rounds for every object in the namespace, or in all of them, until `stop` completes and the
/// rounds under way have ended.
pub async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = context.client.clone();
    let cores: Api<TradingCore> = scoped(client.clone(), namespace);
    let sets: Api<StatefulSet> = scoped(client.clone(), namespace);
    let deployments: Api<Deployment> = scoped(client, namespace);
    let ours =
        watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={FIELD_MANAGER}"));
    let controller = Controller::new(cores, watcher::Config::default());
    let store = controller.store();
    let is_ready = context.readiness();
    let readiness = async move {
        // Without objects there is no first round to wait for.
        if store.wait_until_ready().await.is_ok() {
            is_ready.store(true, Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    };
    let rounds = controller
        .owns(sets, ours.clone())
        .owns(deployments, ours)
        .graceful_shutdown_on(stop)
        .run(
            |core, context| async move { round(&core, &context).await },
            |core, error, context| {
                tracing::warn!(core = core.name_any(), %error, "round failed");
                context.metrics.reconciled("error", 0.0);
                Action::requeue(AFTER_ERROR)
            },
            context,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller");
            }
        });
    tokio::select! {
        () = rounds => {}
        () = readiness => {}
    }
}

pub(crate) fn scoped<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}
