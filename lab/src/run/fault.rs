//! Taking the leader's center away, and giving it back.

use super::centers::Centers;
use super::report::Fault;
use crate::ground::address_plan::Center;
use crate::ground::cluster::Cluster;
use crate::ground::power::{self, now_us};
use crate::ground::state::Folder;
use crate::progress::Detail;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};

/// How centers are destroyed here.
pub enum Destroyer {
    /// The lab's centers: link first, then power.
    Lab(Folder),
    /// Clusters of somebody else: only the trading pods, by force and without grace.
    Clusters,
}

impl Destroyer {
    /// What it does.
    #[must_use]
    pub fn kind(&self) -> Fault {
        match self {
            Self::Lab(_) => Fault::CenterPowerOff,
            Self::Clusters => Fault::TradingPodsDeleted,
        }
    }

    /// Destroys a center. Gives back when, in microseconds since 1970.
    ///
    /// # Errors
    /// When it could not be done; the center may be half gone then.
    pub async fn destroy(&self, centers: &Centers, center: &str) -> Result<u64> {
        match self {
            Self::Lab(folder) => power::center_off(folder, known(center)?).await,
            Self::Clusters => {
                let access = centers.get(center)?;
                let cluster = Cluster::connect(&access.kubeconfig).await?;
                let api: Api<Pod> = Api::namespaced(cluster.client(), &centers.namespace);
                let at_us = now_us();
                let now = DeleteParams::default().grace_period(0);
                let label = format!("app.kubernetes.io/instance={}", centers.core);
                api.delete_collection(&now, &ListParams::default().labels(&label))
                    .await
                    .with_context(|| format!("failed to delete the trading pods in {center}"))?;
                Ok(at_us)
            }
        }
    }

    /// Gives a center back.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restore(&self, _centers: &Centers, center: &str, detail: &Detail) -> Result<()> {
        match self {
            Self::Lab(folder) => power::center_on(folder, known(center)?, detail).await,
            // Its controllers make the pods again by themselves.
            Self::Clusters => Ok(()),
        }
    }
}

fn known(center: &str) -> Result<Center> {
    center
        .parse()
        .with_context(|| format!("failed to find {center} among the lab's centers"))
}
