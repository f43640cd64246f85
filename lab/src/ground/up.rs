//! Builds the ground: checks, parts, network, links, and three centers booted side by side.
//!
//! ```text
//!   machine ─▶ parts ─▶ our images ─▶ network ─▶ links ─┬▶ a1: boot ─▶ API ─▶ objects ─▶ ready
//!                                                       ├▶ a2: …
//!                                                       └▶ b1: …
//! ```

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::{try_join_all, try_join3};
use kube::core::GroupVersionKind;
use lab_parts::Stop;

use super::address_plan::{Center, Link};
use super::cgroup::{Group, Hierarchies};
use super::cluster::Cluster;
use super::components::Component;
use super::control::{self, Request};
use super::images::Image;
use super::materials::{Materials, OwnImages};
use super::state::{Folder, LabState, LinkState, Phase, ProcessIdentity};
use super::{
    deploy, down, image_store, links, machine, manifests, materials, network, power, volumes,
};
use crate::progress::{Detail, Progress};

/// Steps of a whole `up`.
pub const STEPS: usize = 9;
/// From a ready API server to all objects taken.
const APPLY_LIMIT: Duration = Duration::from_secs(120);
/// From all objects taken to all pods ready.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// What `up` is to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Three empty clusters and the links.
    Ground,
    /// These, the operators and the trading core.
    Whole,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was built.
    Built,
    /// Centers that were off or links that had died run again.
    Mended,
    /// All of it stood already.
    WasUp,
}

/// Builds the lab, or what is missing of it; a half-built one from before is removed first.
pub async fn up(
    folder: &Folder,
    extent: Extent,
    progress: &Progress,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    let check_room = standing(folder).await? == Standing::Broken;
    let step = progress.begin("machine");
    let installed = blocking(step.detail(), move |detail| {
        materials::check_machine(check_room, detail)
    })
    .await?;
    step.finish(&match installed.len() {
        0 => "nothing is missing".to_owned(),
        _ => format!("installed {}", installed.join(" ")),
    });
    let (materials, own) = gather(extent, progress, stop).await?;
    folder.create()?;
    let _lock = folder.lock("lab up")?;
    // Looked at only now: somebody else may have built or removed it while parts were built here.
    let outcome = match standing(folder).await? {
        Standing::Whole => Outcome::WasUp,
        Standing::Mendable => {
            mend(folder, &materials, progress).await?;
            Outcome::Mended
        }
        Standing::Broken => {
            build(folder, &materials, own.as_ref(), progress).await?;
            Outcome::Built
        }
    };
    match &own {
        Some(own) => deploy::deploy(folder, &materials, own, progress).await?,
        None => settle_all(folder, progress).await?,
    }
    folder.update(|state| state.phase = Phase::Up)?;
    Ok(outcome)
}

/// Runs blocking work of a step.
async fn blocking<T: Send + 'static>(
    detail: Detail,
    work: impl FnOnce(&Detail) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(move || work(&detail))
        .await
        .context("failed to finish a step: it panicked")?
}

async fn gather(
    extent: Extent,
    progress: &Progress,
    stop: &Stop,
) -> anyhow::Result<(Materials, Option<OwnImages>)> {
    let step = progress.begin("parts");
    let stop_parts = stop.clone();
    let materials = blocking(step.detail(), move |detail| {
        materials::gather(detail, &stop_parts)
    })
    .await?;
    step.finish("Kubernetes, etcd, CoreDNS, Envoy, Toxiproxy");
    if extent == Extent::Ground {
        return Ok((materials, None));
    }
    let step = progress.begin("our images");
    let (stop, clone) = (stop.clone(), materials.clone());
    let own = blocking(step.detail(), move |detail| clone.own_images(detail, &stop)).await?;
    step.finish("trading-core, operator");
    Ok((materials, Some(own)))
}

/// What is there of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// All of it runs.
    Whole,
    /// It was completed and its network is there; something does not run.
    Mendable,
    /// It was never completed, or the machine has started anew since.
    Broken,
}

fn lives(process: Option<ProcessIdentity>) -> bool {
    process.is_some_and(ProcessIdentity::is_alive)
}

async fn standing(folder: &Folder) -> anyhow::Result<Standing> {
    let Some(state) = folder.read().unwrap_or_default() else {
        return Ok(Standing::Broken);
    };
    let has_bridge = network::interfaces()
        .await?
        .iter()
        .any(|it| it.ifname == super::address_plan::BRIDGE && it.is_ours());
    if state.phase != Phase::Up || !has_bridge {
        return Ok(Standing::Broken);
    }
    if !state.centers.iter().all(|center| lives(center.process))
        || !state.links.iter().all(|link| lives(link.process))
    {
        return Ok(Standing::Mendable);
    }
    for center in Center::ALL {
        let reply = control::ask(&folder.control_socket(center), &Request::Status).await;
        let all_serve = reply.is_ok_and(|reply| {
            let mut components = reply.answer.components.iter();
            components.all(|it| it.state.serves())
        });
        if !all_serve {
            return Ok(Standing::Mendable);
        }
    }
    Ok(Standing::Whole)
}

/// Starts links that have died, components that were stopped, and centers that are off.
async fn mend(folder: &Folder, materials: &Materials, progress: &Progress) -> anyhow::Result<()> {
    let step = progress.begin("mending");
    let state = folder.read()?.context("failed to read the lab's state")?;
    for link in Link::ALL {
        let name = link.to_string();
        let is_dead = |it: &LinkState| it.name == name && !lives(it.process);
        if state.links.iter().any(is_dead) {
            let process = links::start(link, folder, &materials.toxiproxy).await?;
            folder.update(|state| state.set_link_process(link, process))?;
        }
    }
    try_join_all(Center::ALL.map(|center| {
        let detail = step.detail_of(center.name());
        async move {
            if let Ok(reply) = control::ask(&folder.control_socket(center), &Request::Status).await
            {
                for status in reply.answer.components {
                    if !status.state.serves() {
                        power::start_component(folder, center, status.component).await?;
                    }
                }
            }
            power::center_on(folder, center, &detail).await?;
            let cluster = Cluster::connect(&folder.kubeconfig(center)).await?;
            cluster
                .wait_for_node(&center.node_name(), READY_LIMIT)
                .await?;
            anyhow::Ok(())
        }
    }))
    .await?;
    step.finish("centers and links run");
    Ok(())
}

async fn build(
    folder: &Folder,
    materials: &Materials,
    own: Option<&OwnImages>,
    progress: &Progress,
) -> anyhow::Result<()> {
    if something_is_left(folder).await? {
        progress.expect_more(3);
        progress.say("a lab from before is not whole: it is removed first");
        down::remove(folder, false, &progress.clone()).await?;
        folder.create()?;
    }
    let step = progress.begin("network");
    let conflicts = network::observe_conflicts().await?;
    let texts: Vec<String> = conflicts.iter().map(|it| format!("  {it}")).collect();
    anyhow::ensure!(
        texts.is_empty(),
        "failed to make the lab's network; in the way:\n{}",
        texts.join("\n")
    );
    let mut state = LabState::planned(folder, jiff::Timestamp::now().to_string());
    state.machine_before = machine::observe_before();
    folder.write(&state)?;
    network::raise_bridge().await?;
    let hierarchies = Hierarchies::observe()?;
    for group in [Group::links(), Group::clients(), Group::image_store()] {
        hierarchies.create(&group)?;
    }
    step.finish(super::address_plan::BRIDGE);

    let step = progress.begin("links");
    try_join_all(Link::ALL.map(|link| async move {
        let process = links::start(link, folder, &materials.toxiproxy).await?;
        folder.update(|state| state.set_link_process(link, process))?;
        anyhow::Ok(())
    }))
    .await?;
    step.finish("6 Toxiproxies: a1-a2 1 ms, a1-b1 and a2-b1 30 ms round trip");

    let images: Vec<Image> = materials
        .images
        .iter()
        .cloned()
        .chain(own.into_iter().flat_map(OwnImages::all))
        .collect();
    let step = progress.begin("image store");
    let store =
        image_store::prepare(&materials.programs, &materials.images, &step.detail()).await?;
    step.finish("");

    let step = progress.begin("centers");
    try_join_all(Center::ALL.map(|center| {
        let detail = step.detail_of(center.name());
        let (images, store) = (&images, &store);
        async move {
            let containerd = folder.disk(center).join("lib/containerd");
            fs::create_dir_all(folder.disk(center).join("lib"))?;
            image_store::furnish(store, &containerd)?;
            raise(folder, center, materials, images, &detail)
                .await
                .with_context(|| format!("failed to raise center {center}"))
        }
    }))
    .await?;
    step.finish("a1, a2, b1: all components serve");
    Ok(())
}

/// Whether anything of an earlier lab is there.
async fn something_is_left(folder: &Folder) -> anyhow::Result<bool> {
    let files = !matches!(folder.read(), Ok(None));
    let interfaces = network::interfaces().await?.iter().any(|it| it.is_ours());
    let groups = !Hierarchies::observe()?.folders(&Group::lab()).is_empty();
    Ok(files || interfaces || groups)
}

async fn settle_all(folder: &Folder, progress: &Progress) -> anyhow::Result<()> {
    let step = progress.begin("pods");
    try_join_all(Center::ALL.map(|center| {
        let detail = step.detail_of(center.name());
        async move {
            let cluster = Cluster::connect(&folder.kubeconfig(center)).await?;
            settle(center, &cluster, &detail).await
        }
    }))
    .await?;
    step.finish("DNS and gateway controllers serve");
    Ok(())
}

/// One center from nothing to a Kubernetes that has all objects of the ground; its pods may still be
/// starting.
async fn raise(
    folder: &Folder,
    center: Center,
    materials: &Materials,
    images: &[Image],
    detail: &Detail,
) -> anyhow::Result<()> {
    detail.set("booting");
    power::furnish(folder, center, materials, images)?;
    power::boot(folder, center).await?;
    power::wait_for(folder, center, &[Component::Apiserver], detail).await?;
    detail.set("objects");
    let cluster = Cluster::connect(&folder.kubeconfig(center)).await?;
    let objects = objects(center, materials)?;
    cluster.apply(&objects, APPLY_LIMIT).await?;
    power::wait_for(folder, center, &Component::ALL, detail).await?;
    Ok(())
}

/// Waits until a center's node is Ready and its DNS and gateway controller serve.
pub(super) async fn settle(
    center: Center,
    cluster: &Cluster,
    detail: &Detail,
) -> anyhow::Result<()> {
    detail.set("node, DNS, gateway");
    let node_name = center.node_name();
    let class = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    try_join3(
        cluster.wait_for_node(&node_name, READY_LIMIT),
        cluster.wait_for_deployment("kube-system", "coredns", READY_LIMIT),
        cluster.wait_for_condition(
            &class,
            None,
            manifests::GATEWAY_CLASS,
            "Accepted",
            READY_LIMIT,
        ),
    )
    .await
    .with_context(|| format!("failed to see center {center} settle"))?;
    Ok(())
}

/// Everything that the ground has in a center's Kubernetes.
fn objects(center: Center, materials: &Materials) -> anyhow::Result<Vec<serde_json::Value>> {
    let mut all = manifests::cluster_dns(center);
    all.extend(volumes::manifests(center));
    for path in [&materials.gateway.crds, &materials.gateway.gateway] {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let objects = manifests::read(&path.display().to_string(), &text)?;
        all.extend(manifests::with_eager_probes(objects));
    }
    all.extend(manifests::gateway_class(materials.gateway.namespace));
    Ok(all)
}
