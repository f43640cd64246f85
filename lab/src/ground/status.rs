//! What of the lab runs and what is broken: one look, and its table.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use serde::Serialize;

use super::address_plan::{Center, Link};
use super::cgroup::{Group, Hierarchies};
use super::cluster::{Cluster, node_is_ready};
use super::control::{self, Request};
use super::links::{DirectionStatus, LinkControl};
use super::state::{Folder, LabState, Phase, ProcessIdentity};
use super::supervisor::ComponentStatus;

/// An API server that takes longer is as good as gone.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// A picture of the lab.
#[derive(Debug, Clone, Serialize)]
pub struct LabStatus {
    /// How far the lab is.
    pub phase: Phase,
    /// When its building began, as RFC 3339.
    pub since: String,
    /// Memory in use by all of it, without page cache.
    pub memory_mib: u64,
    /// The centers.
    pub centers: Vec<CenterStatus>,
    /// The links.
    pub links: Vec<LinkStatus>,
}

/// A picture of a center.
#[derive(Debug, Clone, Serialize)]
pub struct CenterStatus {
    /// Its name.
    pub name: Center,
    /// Whether it has power.
    pub is_on: bool,
    /// Whether its API server answers and says that its node is Ready.
    pub node_is_ready: bool,
    /// Memory in use, without page cache.
    pub memory_mib: u64,
    /// Its components; empty while it is off.
    pub components: Vec<ComponentStatus>,
}

/// A picture of a link.
#[derive(Debug, Clone, Serialize)]
pub struct LinkStatus {
    /// Its name.
    pub name: String,
    /// Whether its Toxiproxy answers.
    pub is_running: bool,
    /// Both directions; empty while it does not run.
    pub directions: Vec<DirectionStatus>,
}

impl LabStatus {
    /// Whether everything runs and nothing is cut.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.phase == Phase::Up
            && self.centers.iter().all(CenterStatus::is_whole)
            && self.links.iter().all(LinkStatus::is_whole)
    }

    /// The picture as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!(
            "lab {} since {}, memory {} MiB\n\n{:<8} {:<6} {:<6} {:>7}  COMPONENTS\n",
            match self.phase {
                Phase::Building => "is not complete (`lab up` builds it anew)",
                Phase::Up if self.is_whole() => "is up",
                Phase::Up => "is up, but not whole",
                Phase::Removing => "is half removed (`lab down` goes on)",
            },
            self.since,
            self.memory_mib,
            "CENTER",
            "POWER",
            "NODE",
            "MEMORY"
        );
        for center in &self.centers {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:<8} {:<6} {:<6} {:>3} MiB  {}",
                center.name,
                if center.is_on { "on" } else { "off" },
                if center.node_is_ready { "Ready" } else { "-" },
                center.memory_mib,
                center.components_text()
            );
        }
        let _ = writeln!(out, "\n{:<12} {:<8} DIRECTIONS", "LINK", "PROXY");
        for link in &self.links {
            let _ = writeln!(out, "{}", link.text());
        }
        out
    }
}

impl CenterStatus {
    fn is_whole(&self) -> bool {
        self.is_on && self.node_is_ready && self.components.iter().all(|it| it.state.serves())
    }

    fn components_text(&self) -> String {
        if self.components.is_empty() {
            return "-".to_owned();
        }
        let broken: Vec<String> = self
            .components
            .iter()
            .filter(|it| !it.state.serves())
            .map(|it| format!("{} {:?}", it.component, it.state))
            .collect();
        let restarts: u32 = self.components.iter().map(|it| it.restarts).sum();
        match broken.is_empty() {
            true => format!("all {} serve, {restarts} restarts", self.components.len()),
            false => format!("NOT SERVING: {}", broken.join(", ")),
        }
    }
}

impl LinkStatus {
    /// One line for people.
    #[must_use]
    pub fn text(&self) -> String {
        let directions: Vec<String> = self.directions.iter().map(direction_text).collect();
        format!(
            "{:<12} {:<8} {}",
            self.name,
            if self.is_running { "runs" } else { "DEAD" },
            directions.join("  ")
        )
    }

    fn is_whole(&self) -> bool {
        self.is_running && self.directions.iter().all(|it| !it.is_cut)
    }
}

fn direction_text(direction: &DirectionStatus) -> String {
    let DirectionStatus {
        direction: name,
        delay_ms,
        jitter_ms,
        is_cut,
    } = direction;
    match (is_cut, jitter_ms) {
        (true, _) => format!("{name} CUT"),
        (false, 0) => format!("{name} {delay_ms} ms"),
        (false, _) => format!("{name} {delay_ms}±{jitter_ms} ms"),
    }
}

/// Looks at the lab; none if there is none.
pub async fn observe(folder: &Folder) -> anyhow::Result<Option<LabStatus>> {
    let Some(state) = folder.read()? else {
        return Ok(None);
    };
    let memory_mib = |group: &Group| {
        let hierarchies = Hierarchies::observe().ok();
        let bytes = hierarchies.and_then(|it| it.memory_bytes(group));
        bytes.unwrap_or_default() >> 20
    };
    let centers = join_all(Center::ALL.map(|center| {
        let memory_mib = memory_mib(&Group::center(center));
        let state = &state;
        async move { observe_center(folder, state, center, memory_mib).await }
    }))
    .await;
    let links = join_all(Link::ALL.map(observe_link)).await;
    Ok(Some(LabStatus {
        phase: state.phase,
        since: state.since.clone(),
        memory_mib: memory_mib(&Group::lab()),
        centers,
        links,
    }))
}

async fn observe_center(
    folder: &Folder,
    state: &LabState,
    center: Center,
    memory_mib: u64,
) -> CenterStatus {
    let is_on = state
        .centers
        .iter()
        .any(|it| it.name == center && it.process.is_some_and(ProcessIdentity::is_alive));
    let mut status = CenterStatus {
        name: center,
        is_on,
        node_is_ready: false,
        memory_mib,
        components: Vec::new(),
    };
    if !is_on {
        return status;
    }
    if let Ok(reply) = control::ask(&folder.control_socket(center), &Request::Status).await {
        status.components = reply.answer.components;
    }
    let ready = async {
        let cluster = Cluster::connect(&folder.kubeconfig(center)).await.ok()?;
        let api: Api<Node> = Api::all(cluster.client());
        Some(node_is_ready(&api.get(&center.node_name()).await.ok()?))
    };
    status.node_is_ready = tokio::time::timeout(LOOK_LIMIT, ready)
        .await
        .ok()
        .flatten()
        .unwrap_or(false);
    status
}

async fn observe_link(link: Link) -> LinkStatus {
    let directions = match LinkControl::new(link) {
        Ok(control) => control.status().await.ok(),
        Err(_) => None,
    };
    LinkStatus {
        name: link.to_string(),
        is_running: directions.is_some(),
        directions: directions.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_link_and_a_dark_center_are_seen_at_a_glance() {
        let status = LabStatus {
            phase: Phase::Up,
            since: "2026-11-24T00:00:00Z".into(),
            memory_mib: 1,
            centers: vec![CenterStatus {
                name: Center::B1,
                is_on: false,
                node_is_ready: false,
                memory_mib: 0,
                components: Vec::new(),
            }],
            links: vec![LinkStatus {
                name: "a1-b1".into(),
                is_running: true,
                directions: vec![DirectionStatus {
                    direction: "a1>b1".into(),
                    delay_ms: 15,
                    jitter_ms: 0,
                    is_cut: true,
                }],
            }],
        };
        assert!(!status.is_whole());
        let table = status.table();
        assert!(table.contains("not whole"), "{table}");
        assert!(table.contains("b1       off"), "{table}");
        assert!(table.contains("a1>b1 CUT"), "{table}");
    }
}
