//! The command on the stopped replica's disk, as a Job: `trading-core takeover form` or `come-back`, from
//! the core's own image, on the replica's own volume. Pure, but for reading what became of it.
//!
//! ```text
//!  ConfigMap core-replica ─► /etc/tricenter ┐
//!  volume data-core-replica-0 ─► /data ─────┴► command ─► termination message ─► status.result
//! ```
//! The journal's own lock keeps a replica and a command off each other, whatever a cluster does.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crds::Takeover;

use crate::names::{self, Component};
use crate::takeover::plan::{CommandFacts, FormOrder};
use crate::validate::Placement;

/// Retries of a command whose node or container failed: each run begins by looking whether it was done.
const RETRIES_MAX: u32 = 3;
/// How long it may take with all its retries, in seconds: it reads one log and writes one entry.
const SECONDS_MAX: u32 = 240;
/// Where it writes its answer, which the kubelet puts into the pod's status.
const ANSWER: &str = "/dev/termination-log";

/// The Job's name: the request's, for as long as there are requests.
#[must_use]
pub fn job_name(takeover: &Takeover) -> String {
    format!("takeover-{}", takeover.uid().unwrap_or_default())
}

/// The arguments that form the group.
#[must_use]
pub fn form_arguments(order: &FormOrder) -> Vec<String> {
    let mut arguments = vec![
        "form".to_owned(),
        format!("--generation={}", order.generation),
        format!("--last-index-min={}", order.last_index_min),
    ];
    arguments.extend(order.lost.iter().map(|lost| format!("--lost={lost}")));
    arguments.extend(order.not_after_us.map(|us| format!("--not-after-us={us}")));
    arguments
}

/// The arguments that keep the log aside.
#[must_use]
pub fn keep_aside_arguments(leader: &str) -> Vec<String> {
    vec!["come-back".to_owned(), format!("--leader={leader}")]
}

/// The Job.
#[must_use]
pub fn job(takeover: &Takeover, placed: &Placement<'_>, arguments: &[String]) -> Value {
    let core = placed.core.name_any();
    let replica = names::component_name(&core, Component::Replica);
    let mut labels = names::labels(&core, &placed.own.name);
    // Not the replica's: its Services and policies must not take this for one.
    labels.insert(
        "app.kubernetes.io/component".to_owned(),
        "takeover".to_owned(),
    );
    let mut all = vec!["takeover".to_owned()];
    all.extend(arguments.iter().cloned());
    all.push("--config=/etc/tricenter/replica.json".to_owned());
    all.push(format!("--result={ANSWER}"));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(takeover),
            "namespace": placed.namespace,
            "labels": labels,
            "ownerReferences": takeover.controller_owner_ref(&()).into_iter().collect::<Vec<_>>(),
        },
        "spec": {
            "backoffLimit": RETRIES_MAX,
            "activeDeadlineSeconds": SECONDS_MAX,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": replica,
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                        "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "takeover",
                        "image": placed.spec().image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/trading-core"],
                        "args": all,
                        "terminationMessagePath": ANSWER,
                        // Why it failed stands in the last lines of its log.
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [
                            {"name": "configuration", "mountPath": "/etc/tricenter", "readOnly": true},
                            {"name": "data", "mountPath": "/data"},
                        ],
                    }],
                    "volumes": [
                        {"name": "configuration", "configMap": {"name": replica}},
                        {"name": "data", "persistentVolumeClaim": {
                            "claimName": format!("data-{}", names::replica_pod_name(&core)),
                        }},
                    ],
                },
            },
        },
    })
}

/// What became of it.
///
/// # Errors
/// When the API server cannot be read.
pub async fn observe(client: &Client, takeover: &Takeover) -> Result<CommandFacts, kube::Error> {
    let namespace = takeover.namespace().unwrap_or_default();
    let name = job_name(takeover);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let Some(job) = jobs.get_opt(&name).await? else {
        return Ok(CommandFacts::Absent);
    };
    let status = job.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is_true = |type_: &str| {
        let found = conditions.iter().find(|it| it.type_ == type_);
        found.filter(|it| it.status == "True")
    };
    let (is_complete, failed) = (is_true("Complete").is_some(), is_true("Failed"));
    if !is_complete && failed.is_none() {
        return Ok(CommandFacts::Active);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let said = said(&pods.list(&of_job).await?.items, is_complete);
    Ok(match (is_complete, said) {
        (true, said) => CommandFacts::Succeeded(said.unwrap_or_default()),
        (false, Some(said)) => CommandFacts::Failed(said),
        (false, None) => {
            CommandFacts::Failed(failed.and_then(|it| it.message.clone()).unwrap_or_default())
        }
    })
}

/// The termination message of the newest pod that ended so.
fn said(pods: &[Pod], ended_well: bool) -> Option<String> {
    let ended = |pod: &Pod| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        let ended = statuses.first()?.state.as_ref()?.terminated.as_ref()?;
        ((ended.exit_code == 0) == ended_well).then(|| ended.message.clone())?
    };
    let mut said: Vec<_> = (pods.iter())
        .filter_map(|pod| Some((pod.metadata.creation_timestamp.clone(), ended(pod)?)))
        .collect();
    said.sort();
    said.pop().map(|(_, message)| message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_command_is_told_exactly_what_was_approved() {
        let order = FormOrder {
            generation: 2,
            lost: BTreeSet::from([1, 2]),
            last_index_min: 88,
            not_after_us: Some(5_500_000),
        };
        assert_eq!(
            form_arguments(&order),
            [
                "form",
                "--generation=2",
                "--last-index-min=88",
                "--lost=1",
                "--lost=2",
                "--not-after-us=5500000"
            ]
        );
    }

    #[test]
    fn the_last_word_of_a_pod_that_ended_so_is_heard() {
        let pod = |second: u8, code: i32, message: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "p", "creationTimestamp": format!("2026-11-25T12:00:{second:02}Z")},
                "status": {"containerStatuses": [{
                    "name": "takeover", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": code, "message": message}},
                }]},
            }))
            .unwrap()
        };
        let pods = [
            pod(9, 0, "done"),
            pod(5, 1, "no disk"),
            pod(7, 1, "no lock"),
        ];
        assert_eq!(said(&pods, true).as_deref(), Some("done"));
        assert_eq!(said(&pods, false).as_deref(), Some("no lock"));
        assert_eq!(said(&[], true), None);
    }
}
