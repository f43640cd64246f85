//! Puts the operators and the trading core onto the ground, as a user would onto clusters of their
//! own: our chart rendered by Helm, then one `TradingCore`, the same for all three centers.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::future::try_join_all;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::address_plan::Center;
use super::cluster::{Cluster, conditions};
use super::images::Image;
use super::invocation::Invocation;
use super::materials::{Materials, OwnImages, workspace};
use super::state::Folder;
use super::{manifests, power};
use crate::progress::{Detail, Progress};

/// Where the operator runs.
const OPERATOR_NAMESPACE: &str = "tricenter-system";
/// The chart, below the workspace.
const CHART: &str = "deploy/helm/tricenter";
/// The trading core of the lab, below the workspace.
const TRADING_CORE: &str = "lab/trading-core.yaml";
const APPLY_LIMIT: Duration = Duration::from_secs(60);
/// From the objects applied to all conditions True.
const READY_LIMIT: Duration = Duration::from_secs(180);

/// Imports our images, applies the chart and the trading core everywhere and waits until all
/// conditions are True. Safe to run again: with new images it rolls them out.
pub async fn deploy(
    folder: &Folder,
    materials: &Materials,
    own: &OwnImages,
    progress: &Progress,
) -> anyhow::Result<()> {
    let images: Vec<Image> = materials.images.iter().cloned().chain(own.all()).collect();
    let step = progress.begin("operators");
    let core = trading_core(&own.trading_core.reference)?;
    let clusters = try_join_all(Center::ALL.map(|center| {
        let detail = step.detail_of(center.name());
        let (images, core) = (&images, &core);
        async move {
            detail.set("images");
            power::import_images(folder, center, images).await?;
            detail.set("chart");
            let chart = render(&materials.helm, center, &own.operator.reference).await?;
            let cluster = Cluster::connect(&folder.kubeconfig(center)).await?;
            cluster.apply(&chart, APPLY_LIMIT).await?;
            detail.set("TradingCore");
            cluster.apply(core, APPLY_LIMIT).await?;
            anyhow::Ok((center, cluster))
        }
    }))
    .await?;
    step.finish("applied");

    let step = progress.begin("trading core");
    let target = Target::of(&core)?;
    let (work, wanted) = (&step, &target);
    let waits = clusters.iter().map(|(center, cluster)| async move {
        let detail = work.detail_of(center.name());
        // First what the core stands on: where that is missing, its conditions only say so darkly.
        super::up::settle(*center, cluster, &detail).await?;
        wait_until_ready(*center, cluster, wanted, detail).await
    });
    try_join_all(waits).await?;
    step.finish("all conditions True in all centers");
    Ok(())
}

/// The chart's objects for one center.
async fn render(helm: &Path, center: Center, image: &str) -> anyhow::Result<Vec<Value>> {
    let chart = workspace().join(CHART);
    anyhow::ensure!(
        chart.join("Chart.yaml").exists(),
        "failed to find the chart in {}; run this from a whole clone",
        chart.display()
    );
    let printed = Invocation::new(
        helm.display().to_string(),
        [
            "template".to_owned(),
            "tricenter".to_owned(),
            chart.display().to_string(),
            "--include-crds".to_owned(),
            "--namespace".to_owned(),
            OPERATOR_NAMESPACE.to_owned(),
            "--set".to_owned(),
            format!("image={image}"),
            "--set".to_owned(),
            format!("center={center}"),
            "--set".to_owned(),
            "createNamespace=true".to_owned(),
        ],
    )
    .perform()
    .await?;
    Ok(manifests::read(CHART, &printed)?)
}

/// The lab's trading core with this image.
fn trading_core(image: &str) -> anyhow::Result<Vec<Value>> {
    let path = workspace().join(TRADING_CORE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let mut objects = manifests::read(TRADING_CORE, &text)?;
    for object in objects.iter_mut().filter(|it| it["kind"] == "TradingCore") {
        object["spec"]["image"] = json!(image);
    }
    Ok(objects)
}

/// Which object is waited for.
struct Target {
    resource: ApiResource,
    namespace: String,
    name: String,
}

impl Target {
    fn of(objects: &[Value]) -> anyhow::Result<Self> {
        let object = objects
            .iter()
            .find(|it| it["kind"] == "TradingCore")
            .with_context(|| format!("failed to find a TradingCore in {TRADING_CORE}"))?;
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
                .with_context(|| format!("failed to find {pointer} in {TRADING_CORE}"))
        };
        let version = text("/apiVersion")?;
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let kind = GroupVersionKind::gvk(group, version, "TradingCore");
        Ok(Self {
            resource: ApiResource::from_gvk(&kind),
            namespace: text("/metadata/namespace")?,
            name: text("/metadata/name")?,
        })
    }
}

async fn wait_until_ready(
    center: Center,
    cluster: &Cluster,
    target: &Target,
    detail: Detail,
) -> anyhow::Result<()> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client(), &target.namespace, &target.resource);
    let mut last = "nothing is known of it yet".to_owned();
    let watch = async {
        let mut events = std::pin::pin!(kube::runtime::watcher::watch_object(api, &target.name));
        while let Some(event) = events.next().await {
            // A broken watch is begun anew by itself.
            let Ok(Some(object)) = event else { continue };
            match what_is_open(&object) {
                None => return true,
                Some(open) => last = open,
            }
            detail.set(&last);
        }
        false
    };
    let is_ready = tokio::time::timeout(READY_LIMIT, watch)
        .await
        .unwrap_or(false);
    anyhow::ensure!(
        is_ready,
        "failed to see TradingCore {}/{} ready in {center} within {} s: {last}; \
         `lab kubectl {center} -- describe tradingcore -n {}` shows more",
        target.namespace,
        target.name,
        READY_LIMIT.as_secs(),
        target.namespace
    );
    detail.set("ready");
    Ok(())
}

/// What keeps an object from being ready; none when all its conditions are True for its newest
/// form. Pure.
fn what_is_open(object: &DynamicObject) -> Option<String> {
    let generation = object.metadata.generation.unwrap_or_default();
    let observed = object.data.pointer("/status/observedGeneration");
    if observed.and_then(Value::as_i64) != Some(generation) {
        return Some("its operator has not looked at it yet".to_owned());
    }
    let all = conditions(&object.data);
    if all.is_empty() {
        return Some("no conditions yet".to_owned());
    }
    let open: Vec<String> = all
        .iter()
        .filter(|condition| !condition.is_true)
        .map(|condition| match condition.message.as_str() {
            "" => format!("{} ({})", condition.kind, condition.reason),
            message => format!("{} ({message})", condition.kind),
        })
        .collect();
    (!open.is_empty()).then(|| open.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(generation: i64, observed: i64, status: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "TradingCore",
            "metadata": {"name": "core", "generation": generation},
            "status": {"observedGeneration": observed, "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "LeaderElected", "status": status, "reason": "NoQuorum",
                 "message": "one of three replicas answers"},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn only_an_object_all_of_whose_conditions_are_true_is_ready() {
        assert_eq!(what_is_open(&core(2, 2, "True")), None);
        assert_eq!(
            what_is_open(&core(2, 2, "False")).unwrap(),
            "LeaderElected (one of three replicas answers)"
        );
    }

    #[test]
    fn conditions_of_an_older_form_do_not_count() {
        assert!(what_is_open(&core(2, 1, "True")).is_some());
    }
}
