//! Faults through a center's Kubernetes API.
//!
//! Whatever is taken away is read before and kept whole in the lease, so that it can be made again by
//! somebody who never saw it. What a controller has put back meanwhile is left as it is.

use std::time::Duration;

use chaos_scenario::{KubernetesAction, ProcessKind};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, ResourceQuota, Service};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{
    Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::{Client, ResourceExt as _};
use lab::ground::address_plan::Center;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ground::{Ground, Place, look_until, place, process_name};

const FIELD_MANAGER: &str = "tricenter-chaos";
const TAINT: &str = "tricenter.dev/chaos";
/// A name that no registry and no store has.
const MISSING_IMAGE: &str = "docker.io/tricenter/there-is-no-such-image:chaos";
/// The namespace that a quota is put on.
const TRADING: &str = "trading";
/// How long a controller may take to put back what was deleted, before we do.
const GRACE: Duration = Duration::from_secs(10);

/// Something done through one center's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// The center.
    pub center: Center,
    /// What.
    pub action: KubernetesAction,
    /// Names what it makes.
    pub id: String,
}

/// What was there before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// Names of the objects struck.
    pub names: Vec<String>,
    /// Their uids.
    pub uids: Vec<String>,
    /// The objects whole, where they are taken away.
    pub objects: Vec<Value>,
    /// The figure or text that is changed.
    pub before: Option<Value>,
    /// The generation before, where it tells of a change that was put back at once.
    pub generation: i64,
}

type Outcome<T> = Result<T, String>;

fn said<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

impl Strike {
    pub(crate) fn target(&self) -> String {
        let of = |process: ProcessKind| process_name(process);
        let what = match &self.action {
            KubernetesAction::DeletePod { process, .. }
            | KubernetesAction::EvictPod { process } => {
                format!("pod of {}", of(*process))
            }
            KubernetesAction::Cordon {}
            | KubernetesAction::Drain {}
            | KubernetesAction::Taint { .. } => "node".to_owned(),
            KubernetesAction::Scale { process, .. }
            | KubernetesAction::MissingImage { process } => {
                format!("deployment of {}", of(*process))
            }
            KubernetesAction::Quota {} => "quota".to_owned(),
            KubernetesAction::RevokeRole { process } => format!("role of {}", of(*process)),
            KubernetesAction::DeleteService { process } => format!("service of {}", of(*process)),
            KubernetesAction::DeleteConfiguration { process } => {
                format!("configuration of {}", of(*process))
            }
        };
        format!("kubernetes {} {what}", self.center)
    }

    pub(crate) async fn prepare(&self, ground: &Ground) -> Outcome<Inverse> {
        let client = ground.cluster(self.center).await?;
        let mut inverse = Inverse {
            names: Vec::new(),
            uids: Vec::new(),
            objects: Vec::new(),
            before: None,
            generation: 0,
        };
        match &self.action {
            KubernetesAction::DeletePod { process, .. }
            | KubernetesAction::EvictPod { process } => {
                for pod in pods(&client, place(*process)).await? {
                    inverse.names.push(pod.name_any());
                    inverse.uids.push(pod.uid().unwrap_or_default());
                }
            }
            KubernetesAction::Cordon {} | KubernetesAction::Taint { .. } => {
                inverse.names.push(self.ready_node(&client).await?);
            }
            KubernetesAction::Drain {} => {
                inverse.names.push(self.ready_node(&client).await?);
                for pod in trading_pods(&client).await? {
                    inverse.names.push(pod.name_any());
                    inverse.uids.push(pod.uid().unwrap_or_default());
                }
            }
            KubernetesAction::Scale { process, .. }
            | KubernetesAction::MissingImage { process } => {
                let deployment = deployment(&client, place(*process)).await?;
                inverse.names.push(deployment.name_any());
                inverse.generation = deployment.metadata.generation.unwrap_or(0);
                inverse.before = Some(match self.action {
                    KubernetesAction::Scale { .. } => {
                        json!(deployment.spec.as_ref().and_then(|spec| spec.replicas))
                    }
                    _ => json!(image(&deployment, place(*process).container)?),
                });
            }
            KubernetesAction::Quota {} => inverse.names.push(format!("chaos-{}", self.id)),
            KubernetesAction::RevokeRole { process } => {
                let account = account(&client, place(*process)).await?;
                let all: Api<ClusterRoleBinding> = Api::all(client.clone());
                for binding in all.list(&ListParams::default()).await.map_err(said)? {
                    let is_of = binding.subjects.iter().flatten().any(|subject| {
                        subject.kind == "ServiceAccount"
                            && subject.name == account
                            && subject.namespace.as_deref() == Some(place(*process).namespace)
                    });
                    if is_of {
                        inverse.names.push(binding.name_any());
                        inverse.uids.push(binding.uid().unwrap_or_default());
                        inverse.objects.push(bare(&binding)?);
                    }
                }
                inverse.before = Some(json!(account));
            }
            KubernetesAction::DeleteService { process } => {
                keep::<Service>(&client, place(*process), &mut inverse).await?;
            }
            KubernetesAction::DeleteConfiguration { process } => {
                keep::<ConfigMap>(&client, place(*process), &mut inverse).await?;
            }
        }
        if inverse.names.is_empty() {
            return Err("there is no such object".to_owned());
        }
        Ok(inverse)
    }

    async fn ready_node(&self, client: &Client) -> Outcome<String> {
        let name = self.center.node_name();
        let node = Api::<Node>::all(client.clone())
            .get(&name)
            .await
            .map_err(said)?;
        match node.spec.and_then(|spec| spec.unschedulable) {
            Some(true) => Err(format!("node {name} takes no pods already")),
            _ => Ok(name),
        }
    }

    pub(crate) async fn apply(&self, inverse: &Inverse, ground: &Ground) -> Outcome<()> {
        let client = ground.cluster(self.center).await?;
        match &self.action {
            KubernetesAction::DeletePod {
                process,
                grace_seconds,
            } => {
                let api: Api<Pod> = Api::namespaced(client, place(*process).namespace);
                for (name, uid) in inverse.names.iter().zip(&inverse.uids) {
                    let how = DeleteParams::default()
                        .grace_period(*grace_seconds)
                        .preconditions(Preconditions {
                            uid: Some(uid.clone()),
                            resource_version: None,
                        });
                    api.delete(name, &how).await.map_err(said)?;
                }
                Ok(())
            }
            KubernetesAction::EvictPod { process } => {
                let api: Api<Pod> = Api::namespaced(client, place(*process).namespace);
                for name in &inverse.names {
                    evict(&api, name).await?;
                }
                Ok(())
            }
            KubernetesAction::Cordon {} => self.set_unschedulable(&client, true).await,
            KubernetesAction::Drain {} => {
                self.set_unschedulable(&client, true).await?;
                let api: Api<Pod> = Api::namespaced(client, TRADING);
                for name in inverse.names.iter().skip(1) {
                    evict(&api, name).await?;
                }
                Ok(())
            }
            KubernetesAction::Taint { evicts } => {
                let effect = if *evicts { "NoExecute" } else { "NoSchedule" };
                let mut taints = self.taints(&client).await?;
                taints.push(json!({"key": TAINT, "value": self.id, "effect": effect}));
                self.set_taints(&client, taints).await
            }
            KubernetesAction::Scale { process, replicas } => {
                let patch = json!({"spec": {"replicas": replicas}});
                patch_deployment(&client, place(*process), &inverse.names, &patch).await
            }
            KubernetesAction::MissingImage { process } => {
                let patch = image_patch(place(*process).container, MISSING_IMAGE);
                patch_deployment(&client, place(*process), &inverse.names, &patch).await
            }
            KubernetesAction::Quota {} => {
                let api: Api<ResourceQuota> = Api::namespaced(client, TRADING);
                let quota = serde_json::from_value(json!({
                    "metadata": {"name": format!("chaos-{}", self.id)},
                    "spec": {"hard": {"pods": "0"}},
                }));
                api.create(&PostParams::default(), &quota.map_err(said)?)
                    .await
                    .map(drop)
                    .map_err(said)
            }
            KubernetesAction::RevokeRole { .. } => {
                let api: Api<ClusterRoleBinding> = Api::all(client);
                for name in &inverse.names {
                    api.delete(name, &DeleteParams::default())
                        .await
                        .map_err(said)?;
                }
                Ok(())
            }
            KubernetesAction::DeleteService { process } => {
                delete_all::<Service>(&client, place(*process), inverse).await
            }
            KubernetesAction::DeleteConfiguration { process } => {
                delete_all::<ConfigMap>(&client, place(*process), inverse).await
            }
        }
    }

    async fn set_unschedulable(&self, client: &Client, value: bool) -> Outcome<()> {
        let patch = json!({"spec": {"unschedulable": value}});
        Api::<Node>::all(client.clone())
            .patch(
                &self.center.node_name(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await
            .map(drop)
            .map_err(said)
    }

    async fn taints(&self, client: &Client) -> Outcome<Vec<Value>> {
        let node = Api::<Node>::all(client.clone())
            .get(&self.center.node_name())
            .await
            .map_err(said)?;
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        taints
            .into_iter()
            .filter(|taint| taint.key != TAINT)
            .map(|taint| serde_json::to_value(taint).map_err(said))
            .collect()
    }

    async fn set_taints(&self, client: &Client, taints: Vec<Value>) -> Outcome<()> {
        let patch = json!({"spec": {"taints": taints}});
        Api::<Node>::all(client.clone())
            .patch(
                &self.center.node_name(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await
            .map(drop)
            .map_err(said)
    }

    pub(crate) async fn observe(
        &self,
        inverse: &Inverse,
        ground: &Ground,
        limit: Duration,
    ) -> Outcome<String> {
        let client = ground.cluster(self.center).await?;
        look_until(limit, || self.look(inverse, &client)).await
    }

    async fn look(&self, inverse: &Inverse, client: &Client) -> Outcome<String> {
        match &self.action {
            KubernetesAction::DeletePod { process, .. }
            | KubernetesAction::EvictPod { process } => {
                struck_pods_are_gone(
                    client,
                    place(*process).namespace,
                    &inverse.names,
                    &inverse.uids,
                )
                .await
            }
            KubernetesAction::Cordon {} => self.is_cordoned(client).await,
            KubernetesAction::Drain {} => {
                let cordoned = self.is_cordoned(client).await?;
                let mut gone = 0;
                let api: Api<Pod> = Api::namespaced(client.clone(), TRADING);
                for (name, uid) in inverse.names.iter().skip(1).zip(&inverse.uids) {
                    let there = api.get_opt(name).await.map_err(said)?;
                    gone += usize::from(there.is_none_or(|pod| pod.uid().as_ref() != Some(uid)));
                }
                Ok(format!(
                    "{cordoned}; {gone} of {} pods left",
                    inverse.uids.len()
                ))
            }
            KubernetesAction::Taint { .. } => {
                let node = Api::<Node>::all(client.clone())
                    .get(&self.center.node_name())
                    .await
                    .map_err(said)?;
                let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
                match taints.iter().find(|taint| taint.key == TAINT) {
                    Some(taint) => Ok(format!(
                        "the node has the taint {}={}",
                        taint.key, taint.effect
                    )),
                    None => Err("the node has no taint of ours".to_owned()),
                }
            }
            KubernetesAction::Scale { process, replicas } => {
                let now = deployment(client, place(*process)).await?;
                let generation = now.metadata.generation.unwrap_or(0);
                let wanted = now.spec.as_ref().and_then(|spec| spec.replicas);
                match generation > inverse.generation {
                    true => Ok(format!(
                        "it was set to {replicas} in generation {}; generation {generation} wants {}",
                        inverse.generation + 1,
                        wanted.unwrap_or_default()
                    )),
                    false => Err("its generation has not changed".to_owned()),
                }
            }
            KubernetesAction::MissingImage { process } => {
                let waiting = pods(client, place(*process))
                    .await?
                    .iter()
                    .find_map(image_trouble);
                if let Some(reason) = waiting {
                    return Ok(format!("a pod waits: {reason}"));
                }
                let now = deployment(client, place(*process)).await?;
                let generation = now.metadata.generation.unwrap_or(0);
                match generation > inverse.generation + 1 {
                    true => Ok(format!(
                        "a controller has put it back in generation {generation}"
                    )),
                    false => Err("no pod waits for an image".to_owned()),
                }
            }
            KubernetesAction::Quota {} => {
                let api: Api<Pod> = Api::namespaced(client.clone(), TRADING);
                let pod = serde_json::from_value(probe_pod()).map_err(said)?;
                let dry = PostParams {
                    dry_run: true,
                    ..PostParams::default()
                };
                match api.create(&dry, &pod).await {
                    Err(kube::Error::Api(status)) if status.message.contains("exceeded quota") => {
                        Ok("a pod more is refused: exceeded quota".to_owned())
                    }
                    Err(error) => Err(said(error)),
                    Ok(_) => Err("a pod more is still taken".to_owned()),
                }
            }
            KubernetesAction::RevokeRole { process } => {
                let user = format!(
                    "system:serviceaccount:{}:{}",
                    place(*process).namespace,
                    inverse
                        .before
                        .as_ref()
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                );
                let review = serde_json::from_value(json!({"spec": {
                    "user": user,
                    "resourceAttributes": {"verb": "list", "resource": "services"},
                }}));
                let api: Api<SubjectAccessReview> = Api::all(client.clone());
                let answer: SubjectAccessReview = api
                    .create(&PostParams::default(), &review.map_err(said)?)
                    .await
                    .map_err(said)?;
                match answer.status.map(|status| status.allowed) {
                    Some(false) => Ok(format!("{user} may not list services any more")),
                    _ => Err(format!("{user} may still list services")),
                }
            }
            KubernetesAction::DeleteService { process } => {
                deleted::<Service>(client, place(*process), inverse).await
            }
            KubernetesAction::DeleteConfiguration { process } => {
                deleted::<ConfigMap>(client, place(*process), inverse).await
            }
        }
    }

    async fn is_cordoned(&self, client: &Client) -> Outcome<String> {
        let name = self.center.node_name();
        let node = Api::<Node>::all(client.clone())
            .get(&name)
            .await
            .map_err(said)?;
        match node.spec.and_then(|spec| spec.unschedulable) {
            Some(true) => Ok(format!("node {name} takes no new pods")),
            _ => Err(format!("node {name} takes new pods")),
        }
    }

    pub(crate) async fn recover(&self, inverse: &Inverse, ground: &Ground) -> Outcome<()> {
        let client = ground.cluster(self.center).await?;
        match &self.action {
            KubernetesAction::DeletePod { .. } | KubernetesAction::EvictPod { .. } => Ok(()),
            KubernetesAction::Cordon {} | KubernetesAction::Drain {} => {
                self.set_unschedulable(&client, false).await
            }
            KubernetesAction::Taint { .. } => {
                let taints = self.taints(&client).await?;
                self.set_taints(&client, taints).await
            }
            KubernetesAction::Scale { process, .. } => {
                let patch = json!({"spec": {"replicas": inverse.before}});
                patch_deployment(&client, place(*process), &inverse.names, &patch).await
            }
            KubernetesAction::MissingImage { process } => {
                let before = inverse
                    .before
                    .as_ref()
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let patch = image_patch(place(*process).container, before);
                patch_deployment(&client, place(*process), &inverse.names, &patch).await
            }
            KubernetesAction::Quota {} => {
                let api: Api<ResourceQuota> = Api::namespaced(client, TRADING);
                for name in &inverse.names {
                    gone_is_fine(api.delete(name, &DeleteParams::default()).await)?;
                }
                Ok(())
            }
            KubernetesAction::RevokeRole { .. } => {
                let api: Api<ClusterRoleBinding> = Api::all(client);
                make_again(&api, inverse, Duration::ZERO).await
            }
            KubernetesAction::DeleteService { process } => {
                let api: Api<Service> = Api::namespaced(client, place(*process).namespace);
                make_again(&api, inverse, GRACE).await
            }
            KubernetesAction::DeleteConfiguration { process } => {
                let api: Api<ConfigMap> = Api::namespaced(client, place(*process).namespace);
                make_again(&api, inverse, GRACE).await
            }
        }
    }

    pub(crate) async fn prove(
        &self,
        inverse: &Inverse,
        ground: &Ground,
        limit: Duration,
    ) -> Outcome<String> {
        let client = ground.cluster(self.center).await?;
        look_until(limit, || self.is_gone(inverse, &client)).await
    }

    async fn is_gone(&self, inverse: &Inverse, client: &Client) -> Outcome<String> {
        match &self.action {
            KubernetesAction::DeletePod { process, .. }
            | KubernetesAction::EvictPod { process }
            | KubernetesAction::MissingImage { process }
            | KubernetesAction::Scale { process, .. } => {
                if let KubernetesAction::MissingImage { .. } = self.action {
                    let now = image(
                        &deployment(client, place(*process)).await?,
                        place(*process).container,
                    )?;
                    if Some(&json!(now)) != inverse.before.as_ref() {
                        return Err(format!("its image is {now}"));
                    }
                }
                if let KubernetesAction::Scale { .. } = self.action {
                    let now = deployment(client, place(*process))
                        .await?
                        .spec
                        .and_then(|it| it.replicas);
                    if Some(&json!(now)) != inverse.before.as_ref() {
                        return Err(format!("it wants {} pods", now.unwrap_or_default()));
                    }
                }
                all_ready(&pods(client, place(*process)).await?)
            }
            KubernetesAction::Cordon {} | KubernetesAction::Drain {} => {
                if let Ok(cordoned) = self.is_cordoned(client).await {
                    return Err(cordoned);
                }
                all_ready(&trading_pods(client).await?)
            }
            KubernetesAction::Taint { .. } => {
                let node = Api::<Node>::all(client.clone())
                    .get(&self.center.node_name())
                    .await
                    .map_err(said)?;
                let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
                if taints.iter().any(|taint| taint.key == TAINT) {
                    return Err("the node still has our taint".to_owned());
                }
                all_ready(&trading_pods(client).await?)
            }
            KubernetesAction::Quota {} => {
                let api: Api<ResourceQuota> = Api::namespaced(client.clone(), TRADING);
                for name in &inverse.names {
                    if api.get_opt(name).await.map_err(said)?.is_some() {
                        return Err(format!("quota {name} is still there"));
                    }
                }
                all_ready(&trading_pods(client).await?)
            }
            KubernetesAction::RevokeRole { .. } => {
                let api: Api<ClusterRoleBinding> = Api::all(client.clone());
                all_there(&api, &inverse.names).await
            }
            KubernetesAction::DeleteService { process } => {
                let api: Api<Service> = Api::namespaced(client.clone(), place(*process).namespace);
                all_there(&api, &inverse.names).await
            }
            KubernetesAction::DeleteConfiguration { process } => {
                let api: Api<ConfigMap> =
                    Api::namespaced(client.clone(), place(*process).namespace);
                all_there(&api, &inverse.names).await
            }
        }
    }
}

async fn pods(client: &Client, place: Place) -> Outcome<Vec<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), place.namespace);
    let list = api.list(&ListParams::default().labels(place.label)).await;
    list.map(|list| list.items).map_err(said)
}

async fn trading_pods(client: &Client) -> Outcome<Vec<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), TRADING);
    let list = api.list(&ListParams::default()).await;
    list.map(|list| list.items).map_err(said)
}

/// The Deployment whose pods these are.
async fn deployment(client: &Client, place: Place) -> Outcome<Deployment> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), place.namespace);
    let all = api.list(&ListParams::default()).await.map_err(said)?;
    all.items
        .into_iter()
        .find(|deployment| image(deployment, place.container).is_ok())
        .ok_or_else(|| format!("no Deployment has a container {}", place.container))
}

fn image(deployment: &Deployment, container: &str) -> Outcome<String> {
    let pod = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    pod.and_then(|pod| pod.containers.iter().find(|it| it.name == container))
        .and_then(|it| it.image.clone())
        .ok_or_else(|| format!("it has no container {container}"))
}

fn image_patch(container: &str, image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}})
}

async fn patch_deployment(
    client: &Client,
    place: Place,
    names: &[String],
    patch: &Value,
) -> Outcome<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), place.namespace);
    let how = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for name in names {
        api.patch(name, &how, &Patch::Strategic(patch))
            .await
            .map_err(said)?;
    }
    Ok(())
}

async fn account(client: &Client, place: Place) -> Outcome<String> {
    let pod = pods(client, place).await?.into_iter().next();
    pod.and_then(|pod| pod.spec)
        .and_then(|spec| spec.service_account_name)
        .ok_or_else(|| "it has no service account".to_owned())
}

async fn evict(api: &Api<Pod>, name: &str) -> Outcome<()> {
    match api.evict(name, &EvictParams::default()).await {
        // A disruption budget that says no is an answer, not a failure.
        Err(kube::Error::Api(status)) if status.code == 429 => Ok(()),
        other => other.map(drop).map_err(said),
    }
}

async fn struck_pods_are_gone(
    client: &Client,
    namespace: &str,
    names: &[String],
    uids: &[String],
) -> Outcome<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for (name, uid) in names.iter().zip(uids) {
        let there = api.get_opt(name).await.map_err(said)?;
        if let Some(pod) = there
            && pod.uid().as_ref() == Some(uid)
            && pod.metadata.deletion_timestamp.is_none()
        {
            return Err(format!("pod {name} is still the same and not ending"));
        }
    }
    Ok(format!("{} ended or are ending", names.join(", ")))
}

fn image_trouble(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let reasons = statuses
        .iter()
        .filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    reasons.into_iter().find(|reason| reason.contains("Image"))
}

fn all_ready(pods: &[Pod]) -> Outcome<String> {
    if pods.is_empty() {
        return Err("there is no pod".to_owned());
    }
    for pod in pods {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone());
        let is_ready = conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        if !is_ready || pod.metadata.deletion_timestamp.is_some() {
            return Err(format!("pod {} is not ready", pod.name_any()));
        }
    }
    Ok(format!("{} pods are ready", pods.len()))
}

/// Kinds with a name in a namespace that are kept and made again.
trait Kept:
    kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
    + Clone
    + DeserializeOwned
    + Serialize
    + std::fmt::Debug
{
}

impl Kept for Service {}
impl Kept for ConfigMap {}

/// Keeps the objects that carry the process' component in their name's end.
async fn keep<K: Kept>(client: &Client, place: Place, inverse: &mut Inverse) -> Outcome<()> {
    let api: Api<K> = Api::namespaced(client.clone(), place.namespace);
    let wanted = match place.container {
        "replica" => "core-replica",
        "gateway" => "core-gateway",
        "envoy" => "envoy-trading-core",
        "coredns" => "coredns",
        other => other,
    };
    let is_wanted = |name: &str| match place.container {
        "envoy" => name.starts_with(wanted),
        "coredns" => name == wanted || name == "kube-dns",
        _ => name == wanted,
    };
    for object in api.list(&ListParams::default()).await.map_err(said)? {
        if is_wanted(&object.name_any()) {
            inverse.names.push(object.name_any());
            inverse.uids.push(object.uid().unwrap_or_default());
            inverse.objects.push(bare(&object)?);
        }
    }
    Ok(())
}

/// An object without what only the server may say.
fn bare<K: Serialize>(object: &K) -> Outcome<Value> {
    let mut value = serde_json::to_value(object).map_err(said)?;
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
            "selfLink",
        ] {
            metadata.remove(field);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    Ok(value)
}

async fn delete_all<K: Kept>(client: &Client, place: Place, inverse: &Inverse) -> Outcome<()> {
    let api: Api<K> = Api::namespaced(client.clone(), place.namespace);
    for name in &inverse.names {
        api.delete(name, &DeleteParams::default())
            .await
            .map_err(said)?;
    }
    Ok(())
}

async fn deleted<K: Kept>(client: &Client, place: Place, inverse: &Inverse) -> Outcome<String> {
    let api: Api<K> = Api::namespaced(client.clone(), place.namespace);
    for (name, uid) in inverse.names.iter().zip(&inverse.uids) {
        if let Some(object) = api.get_opt(name).await.map_err(said)?
            && object.uid().as_ref() == Some(uid)
        {
            return Err(format!("{name} is still the same"));
        }
    }
    Ok(format!("{} deleted", inverse.names.join(", ")))
}

/// Makes the objects again that nobody else has made within `grace`.
async fn make_again<K>(api: &Api<K>, inverse: &Inverse, grace: Duration) -> Outcome<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let back = look_until(grace, || all_there(api, &inverse.names)).await;
    if back.is_ok() {
        return Ok(());
    }
    for object in &inverse.objects {
        let object: K = serde_json::from_value(object.clone()).map_err(said)?;
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => other.map(drop).map_err(said)?,
        }
    }
    Ok(())
}

async fn all_there<K>(api: &Api<K>, names: &[String]) -> Outcome<String>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    for name in names {
        if api.get_opt(name).await.map_err(said)?.is_none() {
            return Err(format!("{name} is not there"));
        }
    }
    Ok(format!("{} there again", names.join(", ")))
}

fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Outcome<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(said),
    }
}

/// A pod that the namespace's policy would take.
fn probe_pod() -> Value {
    json!({
        "metadata": {"name": "chaos-probe"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65_532,
                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "probe", "image": MISSING_IMAGE, "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_nothing_that_only_the_server_may_say() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "core-replica", "uid": "1", "resourceVersion": "7",
                         "creationTimestamp": "2026-11-25T00:00:00Z", "labels": {"a": "b"}},
            "spec": {"clusterIP": "10.91.0.9", "ports": [{"port": 7001}]},
            "status": {"loadBalancer": {}},
        }))
        .unwrap();
        let kept = bare(&service).unwrap();
        assert_eq!(
            kept["metadata"],
            json!({"name": "core-replica", "labels": {"a": "b"}})
        );
        assert_eq!(kept["spec"]["clusterIP"], "10.91.0.9");
        assert!(kept.get("status").is_none());
    }

    #[test]
    fn two_faults_on_one_node_hold_the_same_target() {
        let strike = |action| Strike {
            center: Center::A1,
            action,
            id: "x".into(),
        };
        let cordon = strike(KubernetesAction::Cordon {}).target();
        assert_eq!(
            cordon,
            strike(KubernetesAction::Taint { evicts: true }).target()
        );
    }

    #[test]
    fn no_pod_at_all_is_not_ready() {
        assert!(all_ready(&[]).is_err());
    }
}
