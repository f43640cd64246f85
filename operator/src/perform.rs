//! Performs the one step that was planned, and says what came of it.

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};

use crate::core::{Core, CoreError};
use crate::plan::{LEASE_MS, Move, Step, holder};
use crate::status::Notice;
use crate::validate::Placement;
use crate::view::View;

/// Why a step was not done. The next round decides anew.
#[derive(Debug, thiserror::Error)]
pub enum PerformError {
    /// The core did not do it.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The API server did not do it.
    #[error("failed to delete pod {name}: {source}")]
    Pod {
        /// The pod.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The leader was known when the step was planned and is not any more.
    #[error("failed to reach the leader: none is known; the next round looks again")]
    NoLeader,
}

/// Performs a step. Returns what people should hear of it.
///
/// # Errors
/// What kept the step from being done.
pub async fn perform(
    client: &Client,
    core: &dyn Core,
    placed: &Placement<'_>,
    view: &View,
    step: &Step,
    pod_name: &str,
) -> Result<Option<Notice>, PerformError> {
    let own = &placed.own.name;
    let leader_address = || {
        let leader = view.leader_replica().ok_or(PerformError::NoLeader)?;
        placed
            .spec()
            .centers
            .iter()
            .find(|center| center.replica == leader)
            .map(|center| placed.addresses(center).orders)
            .ok_or(PerformError::NoLeader)
    };
    match step {
        Step::Rest => Ok(None),
        Step::Transfer { to, why } => {
            let epoch = core.transfer_leader(&leader_address()?, *to).await?;
            let center = view.center_of(*to).unwrap_or("an unknown center");
            let (reason, text) = match why {
                Move::HandBack => ("HandedBack", "handed leadership back to the primary center"),
                Move::BeforeRestart => ("MovedAway", "moved leadership away before a restart"),
            };
            Ok(Some(Notice::normal(
                reason,
                format!("TransferLeader epoch {epoch}"),
                format!("{text}: {center} leads since epoch {epoch}"),
            )))
        }
        Step::AcquireLease => {
            core.acquire_maintenance(
                &leader_address()?,
                placed.own.replica,
                &holder(own),
                LEASE_MS,
            )
            .await?;
            Ok(None)
        }
        Step::DeletePod { uid } => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), placed.namespace);
            let parameters = DeleteParams {
                // The pod that was judged, not one that has taken its name since.
                preconditions: Some(Preconditions {
                    uid: Some(uid.clone()),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            pods.delete(pod_name, &parameters)
                .await
                .map_err(|source| PerformError::Pod {
                    name: pod_name.to_owned(),
                    source,
                })?;
            Ok(Some(Notice::normal(
                "ReplicaRestarting",
                "DeletePod",
                format!("restarting the replica of {own} under the maintenance lease"),
            )))
        }
        Step::ReleaseLease => {
            core.release_maintenance(&leader_address()?, &holder(own))
                .await?;
            Ok(Some(Notice::normal(
                "ReplicaRestarted",
                "ReleaseMaintenance",
                format!("the replica of {own} has caught up; the maintenance lease is given back"),
            )))
        }
    }
}
