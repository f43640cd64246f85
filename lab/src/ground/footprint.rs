//! What is on the machine that a lab could leave behind, as lines to compare before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cgroup::{Group, Hierarchies};
use super::invocation::Invocation;
use super::{machine, network};

/// Takes the machine's inventory: interfaces, routes, network namespaces, mounts and packet filter
/// tables in total; control groups and processes as far as they are the lab's; the kernel settings
/// that the lab puts back. Lines tell what kind they are.
pub async fn footprint() -> anyhow::Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for interface in network::interfaces().await? {
        lines.insert(format!("interface {}", interface.ifname));
    }
    let routes = Invocation::new("ip", ["route", "show", "table", "all"])
        .perform()
        .await?;
    lines.extend(routes.lines().map(|it| format!("route {}", it.trim())));
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        lines.insert(format!("netns {}", entry.file_name().display()));
    }
    let mounts = machine::mount_points();
    lines.extend(mounts.iter().map(|it| format!("mount {it}")));
    let tables = Invocation::new("nft", ["list", "tables"]).perform().await?;
    lines.extend(tables.lines().map(|it| format!("rules {it}")));
    let hierarchies = Hierarchies::observe()?;
    let groups = hierarchies.folders(&Group::lab());
    lines.extend(groups.iter().map(|it| format!("cgroup {}", it.display())));
    for pid in hierarchies.processes(&Group::lab()) {
        lines.insert(format!("process {pid}"));
    }
    lines.extend(programs_of_the_lab());
    for (name, value) in machine::observe_before().kernel_settings {
        lines.insert(format!("setting {name} = {value}"));
    }
    Ok(lines)
}

/// Processes by what they run, in whatever group they are. Programs that tests run outside of a
/// lab too are not among them.
fn programs_of_the_lab() -> BTreeSet<String> {
    const NAMES: [&str; 8] = [
        "containerd",
        "containerd-shim-runc-v2",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "toxiproxy-server",
        "envoy",
    ];
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(program) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        let name = Path::new(&program).file_name().unwrap_or_default();
        if NAMES.iter().any(|it| name == *it) {
            found.insert(format!("process {pid} {}", program.display()));
        }
    }
    found
}
