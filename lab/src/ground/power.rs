//! A center's power switch, its control plane's, and the death of a single container.
//!
//! ```text
//!   off:  leg down (silence) ─▶ SIGKILL process 1 ─▶ the kernel ends all its processes at once
//!   on:   a fresh leg and namespace ─▶ the same disk booted again
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rustix::process::{Pid, Signal};

use super::address_plan::Center;
use super::certificates;
use super::cgroup::{Group, Hierarchies};
use super::components::{self, CONTAINERD_SOCKET, Component, IMAGE_LIST};
use super::control::{self, Request};
use super::images::Image;
use super::init::InitSpec;
use super::invocation::Invocation;
use super::machine;
use super::materials::Materials;
use super::state::{Folder, Phase, ProcessIdentity};
use super::supervisor::{ComponentStatus, State};
use super::{network, volumes};
use crate::progress::Detail;

/// A center's processes die within this, or something is very wrong.
const DEATH_LIMIT: Duration = Duration::from_secs(10);
/// From launch to all components ready, on a machine that does other things too.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// The components that make a center's control plane.
pub const CONTROL_PLANE: [Component; 4] = [
    Component::Scheduler,
    Component::ControllerManager,
    Component::Apiserver,
    Component::Etcd,
];

/// Microseconds since 1970 UTC, as the load's records count them.
#[must_use]
pub fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
}

/// Writes all that a center boots from. What is on its disk already stays.
pub fn furnish(
    folder: &Folder,
    center: Center,
    materials: &Materials,
    images: &[Image],
) -> anyhow::Result<()> {
    let disk = folder.disk(center);
    let kubernetes = disk.join("lib/kubernetes");
    for below in [
        "lib/kubernetes/pki",
        "lib/kubernetes/cni",
        "lib/etcd",
        "log",
    ] {
        let path = disk.join(below);
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
    }
    if !kubernetes.join("admin.conf").exists() {
        let keys = certificates::generate(center)?;
        for (name, text) in &keys.pki {
            certificates::write_private(&kubernetes.join("pki").join(name), text)?;
        }
        // The administrators' comes last: it marks the others as complete.
        for (name, text) in keys.kubeconfigs.iter().rev() {
            certificates::write_private(&kubernetes.join(format!("{name}.conf")), text)?;
        }
    }
    let admin = fs::read_to_string(kubernetes.join("admin.conf"))?;
    certificates::write_private(&folder.kubeconfig(center), &admin)?;
    for (path, text) in components::plan_files(center, &materials.programs, machine::observe()) {
        let path = disk.join(path);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    write_image_list(folder, center, images)?;
    volumes::create_folders(center, &disk)?;
    let spec = InitSpec {
        center,
        disk,
        parts_folder: materials.programs.parts_folder.clone(),
        components: components::plan(center, &materials.programs),
    };
    let path = spec_path(folder, center);
    fs::write(&path, serde_json::to_string_pretty(&spec)?)
        .with_context(|| format!("failed to write {}", path.display()))
}

fn spec_path(folder: &Folder, center: Center) -> std::path::PathBuf {
    folder.center(center).join("init.json")
}

/// Says which images a center must have.
fn write_image_list(folder: &Folder, center: Center, images: &[Image]) -> anyhow::Result<()> {
    let below = Path::new(IMAGE_LIST)
        .strip_prefix("/var")
        .unwrap_or(Path::new(IMAGE_LIST));
    let path = folder.disk(center).join(below);
    fs::write(&path, serde_json::to_string_pretty(images)?)
        .with_context(|| format!("failed to write {}", path.display()))
}

/// Has a running center import what it does not have of these images, and waits for it.
pub async fn import_images(
    folder: &Folder,
    center: Center,
    images: &[Image],
) -> anyhow::Result<()> {
    write_image_list(folder, center, images)?;
    let socket = folder.control_socket(center);
    control::ask(&socket, &Request::Start(Component::Images)).await?;
    wait_for(folder, center, &[Component::Images], &Detail::default()).await?;
    Ok(())
}

/// Raises a furnished center's leg and boots it. Returns once its first process answers.
pub async fn boot(folder: &Folder, center: Center) -> anyhow::Result<ProcessIdentity> {
    network::raise_leg(center).await?;
    let hierarchies = Hierarchies::observe()?;
    // The groups of an earlier life's containers: a kubelet tries each of them for seconds before
    // it starts its first pod.
    hierarchies.remove(&Group::center(center))?;
    hierarchies.create(&Group::system(center))?;
    let log_path = folder.center(center).join("init.log");
    let log = fs::File::create(&log_path)
        .with_context(|| format!("failed to create {}", log_path.display()))?;
    let program = crate::own_program().context("failed to find the lab's program")?;
    let mut child = tokio::process::Command::new(program)
        .args(["center-launch", center.name()])
        .arg(spec_path(folder, center))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("failed to launch the center")?;
    let socket = folder.control_socket(center);
    let deadline = Instant::now() + BOOT_LIMIT;
    loop {
        match control::ask(&socket, &Request::Status).await {
            Ok(reply) => {
                let identity = reply
                    .pid
                    .and_then(ProcessIdentity::of)
                    .with_context(|| format!("failed to see the first process of {center}"))?;
                folder.update(|state| state.set_center_process(center, Some(identity)))?;
                return Ok(identity);
            }
            Err(error) => {
                if let Some(status) = child.try_wait()? {
                    let said = fs::read_to_string(&log_path).unwrap_or_default();
                    anyhow::bail!("failed to boot {center} ({status}): {}", said.trim());
                }
                anyhow::ensure!(
                    Instant::now() < deadline,
                    "failed to boot {center}: {error}; its log is {}",
                    log_path.display()
                );
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until these components of a center serve.
pub async fn wait_for(
    folder: &Folder,
    center: Center,
    wanted: &[Component],
    detail: &Detail,
) -> anyhow::Result<Vec<ComponentStatus>> {
    let socket = folder.control_socket(center);
    let deadline = Instant::now() + BOOT_LIMIT;
    loop {
        let reply = control::ask(&socket, &Request::Status).await?;
        let open: Vec<&ComponentStatus> = reply
            .answer
            .components
            .iter()
            .filter(|status| wanted.contains(&status.component) && !status.state.serves())
            .collect();
        let Some(first) = open.first() else {
            return Ok(reply.answer.components);
        };
        detail.set(format!("waiting for {}", first.component));
        let log = folder
            .disk(center)
            .join("log")
            .join(format!("{}.log", first.component));
        let failed = open.iter().any(|status| status.state == State::Failed);
        anyhow::ensure!(
            !failed && Instant::now() < deadline,
            "failed to see {} of {center} serve ({} restarts): {}; its log is {}",
            first.component,
            first.restarts,
            last_line(&log),
            log.display()
        );
        tokio::time::sleep(POLL).await;
    }
}

fn last_line(path: &Path) -> String {
    fs::read_to_string(path)
        .ok()
        .and_then(|text| text.lines().next_back().map(ToOwned::to_owned))
        .unwrap_or_else(|| "nothing was said".to_owned())
}

/// Takes a center's power away: it falls silent, then everything in it ends at once. Its disk
/// stays. Returns the moment of the silence, in microseconds since 1970 UTC.
pub async fn center_off(folder: &Folder, center: Center) -> anyhow::Result<u64> {
    let state = folder
        .read()?
        .context("failed to power a center off: there is no lab; `lab up` makes one")?;
    let _lock = folder.lock_center(center, "lab center off")?;
    let process = state
        .centers
        .iter()
        .find(|it| it.name == center)
        .and_then(|it| it.process);
    let fault_at_us = now_us();
    network::silence_leg(center).await?;
    if let Some(process) = process.filter(|process| process.is_alive()) {
        kill(process.pid);
    }
    // The kernel has ended all by now but for what is in the middle of dying.
    Hierarchies::observe()?
        .kill(&Group::center(center), DEATH_LIMIT)
        .await?;
    folder.update(|state| state.set_center_process(center, None))?;
    Ok(fault_at_us)
}

/// Gives a center its power back, and waits until its components serve. One that is on is left
/// as it is.
pub async fn center_on(folder: &Folder, center: Center, detail: &Detail) -> anyhow::Result<()> {
    let state = folder
        .read()?
        .context("failed to power a center on: there is no lab; `lab up` makes one")?;
    anyhow::ensure!(
        state.phase == Phase::Up,
        "failed to power {center} on: the lab is not complete; `lab up` builds it anew"
    );
    let _lock = folder.lock_center(center, "lab center on")?;
    let is_on = state
        .centers
        .iter()
        .any(|it| it.name == center && it.process.is_some_and(ProcessIdentity::is_alive));
    if !is_on {
        // Whatever of an earlier life is left would meet the new one on its disk.
        Hierarchies::observe()?
            .kill(&Group::center(center), DEATH_LIMIT)
            .await?;
        detail.set("booting");
        boot(folder, center).await?;
    }
    wait_for(folder, center, &Component::ALL, detail).await?;
    Ok(())
}

/// Kills a component of a center and keeps it dead. Returns when it was killed, in microseconds
/// since 1970 UTC.
pub async fn stop_component(
    folder: &Folder,
    center: Center,
    component: Component,
) -> anyhow::Result<u64> {
    let at_us = now_us();
    control::ask(&folder.control_socket(center), &Request::Stop(component)).await?;
    Ok(at_us)
}

/// Starts a component of a center again; [`wait_for`] tells when it serves.
pub async fn start_component(
    folder: &Folder,
    center: Center,
    component: Component,
) -> anyhow::Result<()> {
    control::ask(&folder.control_socket(center), &Request::Start(component)).await?;
    Ok(())
}

/// Kills a center's whole control plane and keeps it dead; pods go on.
pub async fn stop_control_plane(folder: &Folder, center: Center) -> anyhow::Result<u64> {
    let at_us = now_us();
    for component in CONTROL_PLANE {
        stop_component(folder, center, component).await?;
    }
    Ok(at_us)
}

/// Starts a center's control plane again, and waits until it serves.
pub async fn start_control_plane(
    folder: &Folder,
    center: Center,
    detail: &Detail,
) -> anyhow::Result<()> {
    for component in CONTROL_PLANE.into_iter().rev() {
        start_component(folder, center, component).await?;
    }
    wait_for(folder, center, &CONTROL_PLANE, detail).await?;
    Ok(())
}

/// The processes of a pod's containers (without its sandbox), as the host numbers them. Asks
/// containerd, not the API server, which may be gone.
pub async fn container_processes(
    folder: &Folder,
    center: Center,
    namespace: &str,
    pod: &str,
) -> anyhow::Result<BTreeSet<i32>> {
    let filter = format!(
        "labels.\"io.kubernetes.pod.namespace\"==\"{namespace}\",\
         labels.\"io.kubernetes.pod.name\"==\"{pod}\",\
         labels.\"io.cri-containerd.kind\"==container"
    );
    let groups = container_groups(folder, center, &filter).await?;
    Ok(processes_in(&groups))
}

/// The control groups, in every hierarchy, of the running containers of that name in a namespace.
/// Asks containerd, not the API server.
///
/// # Errors
/// When the center is off or its containerd does not answer.
pub async fn groups_of_container(
    folder: &Folder,
    center: Center,
    namespace: &str,
    container: &str,
) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let filter = format!(
        "labels.\"io.kubernetes.pod.namespace\"==\"{namespace}\",\
         labels.\"io.kubernetes.container.name\"==\"{container}\",\
         labels.\"io.cri-containerd.kind\"==container"
    );
    container_groups(folder, center, &filter).await
}

/// The processes in these control groups, as the host numbers them.
#[must_use]
pub fn processes_in(groups: &[std::path::PathBuf]) -> BTreeSet<i32> {
    groups
        .iter()
        .flat_map(|path| {
            let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            listed
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect::<Vec<i32>>()
        })
        .filter(|pid| *pid > 0)
        .collect()
}

/// A component's process as the host numbers it, while it runs.
///
/// # Errors
/// When the center does not answer.
pub async fn component_process(
    folder: &Folder,
    center: Center,
    component: Component,
) -> anyhow::Result<Option<i32>> {
    let reply = control::ask(&folder.control_socket(center), &Request::Status).await?;
    let inside = reply
        .answer
        .components
        .iter()
        .find(|status| status.component == component)
        .and_then(|status| match status.state {
            State::Starting { pid } | State::Ready { pid } => Some(pid),
            _ => None,
        });
    let Some(inside) = inside else {
        return Ok(None);
    };
    let all = Hierarchies::observe()?.processes(&Group::system(center));
    Ok(all
        .into_iter()
        .find(|pid| number_inside(*pid) == Some(inside)))
}

/// The number of a process in the innermost namespace that it is in.
fn number_inside(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

async fn container_groups(
    folder: &Folder,
    center: Center,
    filter: &str,
) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let state = folder
        .read()?
        .context("failed to look into a center: there is no lab; `lab up` makes one")?;
    let process = state
        .centers
        .iter()
        .find(|it| it.name == center)
        .and_then(|it| it.process)
        .with_context(|| format!("failed to look into {center}: it is powered off"))?;
    let target = process.pid.to_string();
    let listed = Invocation::new(
        "nsenter",
        [
            "--target",
            &target,
            "--mount",
            "ctr",
            "--address",
            CONTAINERD_SOCKET,
            "--namespace",
            "k8s.io",
            "containers",
            "list",
            "--quiet",
            filter,
        ],
    )
    .perform()
    .await?;
    let containers: BTreeSet<&str> = listed.split_whitespace().collect();
    let hierarchies = Hierarchies::observe()?;
    // A container's control group is called like the container.
    Ok(hierarchies
        .folders(&Group::center(center))
        .into_iter()
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| containers.contains(name))
        })
        .collect())
}

/// Ends all processes of a pod's containers at once, as a crash does; the kubelet starts them
/// again. Returns the moment, in microseconds since 1970 UTC.
pub async fn kill_container(
    folder: &Folder,
    center: Center,
    namespace: &str,
    pod: &str,
) -> anyhow::Result<u64> {
    let processes = container_processes(folder, center, namespace, pod).await?;
    anyhow::ensure!(
        !processes.is_empty(),
        "failed to kill the containers of pod {namespace}/{pod} in {center}: none runs"
    );
    let at_us = now_us();
    processes.into_iter().for_each(kill);
    Ok(at_us)
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
