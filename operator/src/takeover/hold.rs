//! Holding a replica: a takeover says on the replica's StatefulSet that it shall not run, and the
//! controller of `TradingCore`, which alone scales it, keeps it at no pods.
//!
//! ```text
//!  Takeover ─annotation─► StatefulSet ─seen by─► TradingCore's controller ─► replicas: 0
//! ```
//! A hold counts only while its takeover is there, runs, and has not done its work on the disk: nobody
//! needs to take it off for the replica to run again.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crds::{Takeover, TakeoverPhase};

use crate::names::{self, Component};
use crate::takeover::FIELD_MANAGER;
use crate::takeover::plan::{has, steps};
use crate::validate::Placement;

/// On the replica's StatefulSet: which takeover holds it, as `name/uid`.
pub const ANNOTATION: &str = "tricenter.dev/held-by";

/// What was seen of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldFacts {
    /// This takeover holds the replica.
    pub is_held: bool,
    /// The replica has a pod, or its StatefulSet asks for one or does not exist.
    pub runs: bool,
}

/// Looks.
///
/// # Errors
/// When the API server cannot be read.
pub async fn observe(
    client: &Client,
    placed: &Placement<'_>,
    uid: &str,
) -> Result<HoldFacts, kube::Error> {
    let core = placed.core.name_any();
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), placed.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), placed.namespace);
    let (set_name, pod_name) = (
        names::component_name(&core, Component::Replica),
        names::replica_pod_name(&core),
    );
    let (set, pod) = tokio::join!(sets.get_opt(&set_name), pods.get_opt(&pod_name));
    let (set, pod) = (set?, pod?);
    let held_by = set.as_ref().and_then(held_by);
    let replicas = set.and_then(|set| set.spec?.replicas);
    Ok(HoldFacts {
        is_held: held_by.is_some_and(|(_, holder)| holder == uid),
        runs: pod.is_some() || replicas != Some(0),
    })
}

/// Who holds a StatefulSet: name and uid.
#[must_use]
pub fn held_by(set: &StatefulSet) -> Option<(String, String)> {
    let (name, uid) = set.annotations().get(ANNOTATION)?.split_once('/')?;
    Some((name.to_owned(), uid.to_owned()))
}

/// Holds the replica for a takeover, or lets it go. Nothing but the annotation is touched.
///
/// # Errors
/// When the API server does not do it; one that has no such StatefulSet refuses to make it.
pub async fn set(
    client: &Client,
    placed: &Placement<'_>,
    holder: Option<(&str, &str)>,
) -> Result<(), kube::Error> {
    let name = names::component_name(&placed.core.name_any(), Component::Replica);
    let annotations = match holder {
        Some((name, uid)) => json!({ANNOTATION: format!("{name}/{uid}")}),
        None => json!({}),
    };
    let patch = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "annotations": annotations},
    });
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), placed.namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    sets.patch(&name, &parameters, &Patch::Apply(&patch))
        .await?;
    Ok(())
}

/// Whether a takeover still needs the replica stopped. Pure.
#[must_use]
pub fn counts(takeover: Option<&Takeover>, uid: &str) -> bool {
    takeover
        .filter(|it| it.uid().as_deref() == Some(uid) && it.metadata.deletion_timestamp.is_none())
        .and_then(|it| it.status.as_ref())
        .is_some_and(|status| {
            let is_done = has(status, steps::FORMED) || has(status, steps::KEPT_ASIDE);
            status.phase == Some(TakeoverPhase::Running) && !is_done
        })
}

/// Whether the replica of this core must not run now.
///
/// # Errors
/// When the API server cannot be read.
pub async fn is_held(
    client: &Client,
    namespace: &str,
    held_by: Option<&(String, String)>,
) -> Result<bool, kube::Error> {
    let Some((name, uid)) = held_by else {
        return Ok(false);
    };
    let takeovers: Api<Takeover> = Api::namespaced(client.clone(), namespace);
    Ok(counts(takeovers.get_opt(name).await?.as_ref(), uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takeover(phase: &str, steps: &[&str]) -> Takeover {
        let steps: Vec<_> = (steps.iter())
            .map(|name| json!({"name": name, "at": "2026-11-25T12:00:00Z"}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Takeover",
            "metadata": {"name": "b1-takes-over", "uid": "uid-1"},
            "spec": {
                "core": "core", "center": "b1", "lost": ["a1", "a2"], "requestedBy": "carl",
                "reason": "fire",
            },
            "status": {"phase": phase, "steps": steps},
        }))
        .unwrap()
    }

    #[test]
    fn a_hold_counts_until_the_work_on_the_disk_is_done() {
        let running = takeover("Running", &["Approved", "Fenced"]);
        assert!(counts(Some(&running), "uid-1"));
        let formed = takeover("Running", &["Approved", "Fenced", "Formed"]);
        assert!(!counts(Some(&formed), "uid-1"));
    }

    #[test]
    fn a_hold_that_was_left_behind_keeps_no_replica_down() {
        assert!(!counts(None, "uid-1"), "its takeover was deleted");
        let failed = takeover("Failed", &["Approved"]);
        assert!(!counts(Some(&failed), "uid-1"));
        let another = takeover("Running", &[]);
        assert!(!counts(Some(&another), "uid-0"), "of the same name");
    }
}
