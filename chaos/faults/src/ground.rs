//! What the drivers work on: the lab, its centers and its clusters.

use std::path::PathBuf;
use std::time::Duration;

use chaos_scenario::ProcessKind;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::ground::address_plan::Center;
use lab::ground::power;
use lab::ground::state::{Folder, ProcessIdentity};

/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Reaching an API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// One answer of it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The lab, as drivers use it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ground {
    folder: Folder,
}

/// Where a process of the trading system runs in a center.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The namespace.
    pub namespace: &'static str,
    /// The container's name in its pod.
    pub container: &'static str,
    /// The label by which its pods are found.
    pub label: &'static str,
}

/// Where a process runs.
#[must_use]
pub const fn place(process: ProcessKind) -> Place {
    match process {
        ProcessKind::Replica => Place {
            namespace: "trading",
            container: "replica",
            label: "app.kubernetes.io/component=replica",
        },
        ProcessKind::Gateway => Place {
            namespace: "trading",
            container: "gateway",
            label: "app.kubernetes.io/component=gateway",
        },
        ProcessKind::Entry => Place {
            namespace: "envoy-gateway-system",
            container: "envoy",
            label: "app.kubernetes.io/component=proxy",
        },
        ProcessKind::Operator => Place {
            namespace: "tricenter-system",
            container: "operator",
            label: "app.kubernetes.io/name=tricenter-operator",
        },
        ProcessKind::EntryController => Place {
            namespace: "envoy-gateway-system",
            container: "envoy-gateway",
            label: "control-plane=envoy-gateway",
        },
        ProcessKind::ClusterDns => Place {
            namespace: "kube-system",
            container: "coredns",
            label: "app=coredns",
        },
    }
}

/// A process' name in messages and locks.
#[must_use]
pub const fn process_name(process: ProcessKind) -> &'static str {
    match process {
        ProcessKind::Replica => "replica",
        ProcessKind::Gateway => "gateway",
        ProcessKind::Entry => "entry",
        ProcessKind::Operator => "operator",
        ProcessKind::EntryController => "entry controller",
        ProcessKind::ClusterDns => "cluster DNS",
    }
}

impl Ground {
    /// The lab whose state is in this folder.
    #[must_use]
    pub const fn new(folder: Folder) -> Self {
        Self { folder }
    }

    /// The lab's folder.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where leases are kept.
    #[must_use]
    pub fn leases_folder(&self) -> PathBuf {
        self.folder.path().join("chaos").join("leases")
    }

    /// A center's cluster.
    ///
    /// # Errors
    /// In words, when its kubeconfig leads nowhere.
    pub async fn cluster(&self, center: Center) -> Result<kube::Client, String> {
        let read = Kubeconfig::read_from(self.folder.kubeconfig(center));
        let read = read.map_err(|error| error.to_string())?;
        let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .map_err(|error| error.to_string())?;
        // A refusal (a disruption budget's, for one) is an answer; asked again by itself for minutes,
        // it would hold up the red button.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.read_timeout = Some(ANSWER_LIMIT);
        kube::Client::try_from(config).map_err(|error| error.to_string())
    }

    /// The control groups of a process' container in a center, in every hierarchy.
    pub(crate) async fn groups(
        &self,
        center: Center,
        process: ProcessKind,
    ) -> Result<Vec<PathBuf>, String> {
        let place = place(process);
        power::groups_of_container(&self.folder, center, place.namespace, place.container)
            .await
            .map_err(|error| format!("{error:#}"))
    }

    /// The processes of a process' container in a center, found from its control group.
    ///
    /// # Errors
    /// In words, when the center is off or does not answer.
    pub async fn processes(
        &self,
        center: Center,
        process: ProcessKind,
    ) -> Result<Vec<ProcessIdentity>, String> {
        let groups = self.groups(center, process).await?;
        Ok(power::processes_in(&groups)
            .into_iter()
            .filter_map(ProcessIdentity::of)
            .collect())
    }
}

/// Looks until something is seen, or the time is over; then what was seen last.
pub(crate) async fn look_until<T, F>(
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let until = tokio::time::Instant::now() + limit;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(not_seen) if tokio::time::Instant::now() >= until => {
                return Err(format!("{not_seen} (looked for {} ms)", limit.as_millis()));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}
