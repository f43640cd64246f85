//! Taking the leader's center away, and giving it back; or moving the leader as planned.

use super::centers::Centers;
use super::planned_move::PlannedMove;
use super::report::Fault;
use super::site_loss::SiteLoss;
use crate::ground::address_plan::Center;
use crate::ground::cluster::Cluster;
use crate::ground::power::{self, now_us};
use crate::ground::state::Folder;
use crate::progress::Detail;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use std::time::Duration;

/// How the leader is taken away here.
pub enum Destroyer {
    /// The lab's centers: link first, then power.
    CenterPower(Folder),
    /// The lab's control planes, all of them; then the leader's process.
    LeaderProcess(Folder),
    /// Clusters of somebody else: only the trading pods, by force and without grace.
    Clusters,
    /// Nothing is destroyed: a `Switchover` moves the leader.
    PlannedMove(PlannedMove),
    /// Both centers of the leader's site; the other site takes over by a `Takeover`.
    SiteLoss(SiteLoss),
}

impl Destroyer {
    /// What it does.
    #[must_use]
    pub fn kind(&self) -> Fault {
        match self {
            Self::CenterPower(_) => Fault::CenterPowerOff,
            Self::LeaderProcess(_) => Fault::LeaderProcessWithoutControlPlanes,
            Self::Clusters => Fault::TradingPodsDeleted,
            Self::PlannedMove(_) => Fault::PlannedMove,
            Self::SiteLoss(_) => Fault::SitePowerOff,
        }
    }

    /// What goes before the fault and must not touch trading: told in words, if there was anything.
    ///
    /// # Errors
    /// When it could not be done.
    pub async fn prepare(&self, centers: &Centers, center: &str) -> Result<Option<&'static str>> {
        match self {
            Self::LeaderProcess(folder) => {
                for center in Center::ALL {
                    power::stop_control_plane(folder, center).await?;
                }
                Ok(Some("every control plane is dead; orders go on"))
            }
            Self::SiteLoss(loss) => {
                loss.ask_by_mistake(centers, center).await?;
                Ok(Some("a takeover by mistake was refused; orders go on"))
            }
            Self::CenterPower(_) | Self::Clusters | Self::PlannedMove(_) => Ok(None),
        }
    }

    /// A new leader that takes longer has not come.
    #[must_use]
    pub fn failover_limit(&self) -> Duration {
        match self {
            // People and a Job are part of it.
            Self::SiteLoss(_) => Duration::from_secs(150),
            _ => Duration::from_secs(30),
        }
    }

    /// Destroys. Gives back when, in microseconds since 1970.
    ///
    /// # Errors
    /// When it could not be done; a center may be half gone then.
    pub async fn destroy(&self, centers: &Centers, center: &str) -> Result<u64> {
        match self {
            Self::CenterPower(folder) => power::center_off(folder, known(center)?).await,
            Self::LeaderProcess(folder) => {
                let pod = format!("{}-replica-0", centers.core);
                power::kill_container(folder, known(center)?, &centers.namespace, &pod).await
            }
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
            Self::PlannedMove(planned) => planned.begin(centers, center).await,
            Self::SiteLoss(loss) => loss.begin(centers, center).await,
        }
    }

    /// Gives back what was taken away, or waits for the end of what was asked for.
    ///
    /// # Errors
    /// When it does not come up, or a planned move did not succeed.
    pub async fn restore(&self, centers: &Centers, center: &str, detail: &Detail) -> Result<()> {
        match self {
            Self::CenterPower(folder) => power::center_on(folder, known(center)?, detail).await,
            Self::LeaderProcess(folder) => {
                for center in Center::ALL {
                    power::start_control_plane(folder, center, detail).await?;
                }
                Ok(())
            }
            // Their controllers make the pods again by themselves.
            Self::Clusters => Ok(()),
            Self::PlannedMove(planned) => planned.ended(centers, center, detail).await,
            Self::SiteLoss(loss) => loss.restore(centers, center, detail).await,
        }
    }
}

fn known(center: &str) -> Result<Center> {
    center
        .parse()
        .with_context(|| format!("failed to find {center} among the lab's centers"))
}
