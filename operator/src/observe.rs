//! Looks at the cluster and asks the replicas. Reads only; a replica that cannot be asked is an
//! answer, a cluster that cannot be read is an error.

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::build::{Kind, Offers};
use crate::core::Core;
use crate::names::{self, Component};
use crate::takeover::hold::held_by;
use crate::validate::Placement;
use crate::view::{Answer, View};

/// What is known of a StatefulSet or a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadFacts {
    /// The generation that was asked for last.
    pub generation: i64,
    /// Whether its controller has seen that generation.
    pub is_current: bool,
    /// Pods that are ready and, for a Deployment, up to date.
    pub ready: i32,
    /// Which takeover holds it, by name and uid.
    pub held_by: Option<(String, String)>,
}

/// What is known of the replica's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its uid: a new pod of the same name has another.
    pub uid: String,
    /// Whether it was made from an older template than the StatefulSet has now.
    pub outdated: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// What is known of the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryFacts {
    /// The cluster has no Gateway API.
    ApiMissing,
    /// The Gateway or its route do not exist yet, or nobody has judged them.
    Pending(String),
    /// The Gateway is programmed and its route accepted.
    Programmed,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The replica's StatefulSet; none when it does not exist.
    pub replica: Option<WorkloadFacts>,
    /// The replica's pod; none when it does not exist.
    pub pod: Option<PodFacts>,
    /// The gateways' Deployment; none when it does not exist.
    pub gateway: Option<WorkloadFacts>,
    /// The entry.
    pub entry: EntryFacts,
    /// What the replicas said.
    pub view: View,
}

/// Looks and asks.
///
/// # Errors
/// When the API server cannot be read.
pub async fn observe(
    client: &Client,
    core: &dyn Core,
    placed: &Placement<'_>,
    offers: Offers,
) -> Result<Observed, kube::Error> {
    let name = placed.core.name_any();
    let namespace = placed.namespace;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let replica_name = names::component_name(&name, Component::Replica);
    let gateway_name = names::component_name(&name, Component::Gateway);
    let pod_name = names::replica_pod_name(&name);
    let (set, pod, deployment, entry, view) = tokio::join!(
        sets.get_opt(&replica_name),
        pods.get_opt(&pod_name),
        deployments.get_opt(&gateway_name),
        entry(client, namespace, &name, offers),
        ask(core, placed),
    );
    let (set, pod, deployment, entry) = (set?, pod?, deployment?, entry?);
    Ok(Observed {
        replica: set.as_ref().map(stateful_set_facts),
        pod: pod.as_ref().map(|pod| pod_facts(pod, set.as_ref())),
        gateway: deployment.as_ref().map(deployment_facts),
        entry,
        view,
    })
}

/// Asks all replicas at once.
pub(crate) async fn ask(core: &dyn Core, placed: &Placement<'_>) -> View {
    let questions = placed.spec().centers.iter().map(|center| async move {
        let address = placed.addresses(center).orders;
        let status = match core.status(&address).await {
            // A wrong route must not make one replica speak for another.
            Ok(status) if status.replica != center.replica => Err(format!(
                "replica {} answered at {address}, where replica {} should",
                status.replica, center.replica
            )),
            Ok(status) => Ok(status),
            Err(error) => Err(error.to_string()),
        };
        Answer {
            replica: center.replica,
            center: center.name.clone(),
            status,
        }
    });
    View::of(join_all(questions).await)
}

fn stateful_set_facts(set: &StatefulSet) -> WorkloadFacts {
    let generation = set.metadata.generation.unwrap_or_default();
    let status = set.status.as_ref();
    WorkloadFacts {
        generation,
        is_current: status.and_then(|status| status.observed_generation) == Some(generation),
        ready: status
            .and_then(|status| status.ready_replicas)
            .unwrap_or_default(),
        held_by: held_by(set),
    }
}

fn deployment_facts(deployment: &Deployment) -> WorkloadFacts {
    let generation = deployment.metadata.generation.unwrap_or_default();
    let status = deployment.status.as_ref();
    let count = |of: Option<i32>| of.unwrap_or_default();
    WorkloadFacts {
        generation,
        is_current: status.and_then(|status| status.observed_generation) == Some(generation),
        // A pod may be ready and old, or new and not ready.
        ready: status.map_or(0, |status| {
            count(status.ready_replicas).min(count(status.updated_replicas))
        }),
        held_by: None,
    }
}

fn pod_facts(pod: &Pod, set: Option<&StatefulSet>) -> PodFacts {
    // Only a controller that has seen the newest template can say what is out of date.
    let wanted = set
        .filter(|set| stateful_set_facts(set).is_current)
        .and_then(|set| set.status.as_ref()?.update_revision.as_deref());
    let has = pod
        .labels()
        .get("controller-revision-hash")
        .map(String::as_str);
    let is_ready = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
    PodFacts {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        outdated: wanted.is_some() && has != wanted,
        ready: is_ready,
        deleting: pod.metadata.deletion_timestamp.is_some(),
    }
}

async fn entry(
    client: &Client,
    namespace: &str,
    name: &str,
    offers: Offers,
) -> Result<EntryFacts, kube::Error> {
    if !offers.gateway_api {
        return Ok(EntryFacts::ApiMissing);
    }
    let of = |kind: Kind| -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &kind.api_resource())
    };
    let (gateways, routes) = (of(Kind::Gateway), of(Kind::GrpcRoute));
    let (gateway, route) = tokio::join!(gateways.get_opt(name), routes.get_opt(name));
    Ok(entry_facts(
        gateway?.as_ref().map(|gateway| &gateway.data),
        route?.as_ref().map(|route| &route.data),
    ))
}

/// Reads the conditions of the Gateway and of its route. Pure.
fn entry_facts(gateway: Option<&Value>, route: Option<&Value>) -> EntryFacts {
    let programmed = gateway
        .and_then(|data| data.pointer("/status/conditions"))
        .and_then(|conditions| condition(conditions, "Programmed"));
    let accepted = route
        .and_then(|data| data.pointer("/status/parents/0/conditions"))
        .and_then(|conditions| condition(conditions, "Accepted"));
    for (what, found) in [
        ("the Gateway is not programmed", programmed),
        ("the GRPCRoute is not accepted", accepted),
    ] {
        match found {
            Some((true, _)) => {}
            Some((false, message)) => return EntryFacts::Pending(format!("{what}: {message}")),
            None => {
                return EntryFacts::Pending(format!(
                    "{what}: no controller has judged it; is there one for its GatewayClass?"
                ));
            }
        }
    }
    EntryFacts::Programmed
}

fn condition(conditions: &Value, type_: &str) -> Option<(bool, String)> {
    let found = conditions
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == type_)?;
    // Before a controller comes, the API server's default says Unknown.
    (found["status"] != "Unknown").then(|| {
        (
            found["status"] == "True",
            found["message"].as_str().unwrap_or_default().to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_programmed_only_when_both_parts_say_so() {
        let gateway = |status: &str| json!({"status": {"conditions": [{"type": "Programmed", "status": status, "message": "no address"}]}});
        let route = |status: &str| json!({"status": {"parents": [{"conditions": [{"type": "Accepted", "status": status, "message": "x"}]}]}});
        let facts = |one: &str, other: &str| entry_facts(Some(&gateway(one)), Some(&route(other)));
        assert_eq!(facts("True", "True"), EntryFacts::Programmed);
        assert!(matches!(facts("True", "False"), EntryFacts::Pending(_)));
        assert_eq!(
            facts("False", "True"),
            EntryFacts::Pending("the Gateway is not programmed: no address".to_owned())
        );
        assert!(matches!(facts("Unknown", "True"), EntryFacts::Pending(_)));
        assert!(matches!(
            entry_facts(Some(&gateway("True")), None),
            EntryFacts::Pending(_)
        ));
    }

    #[test]
    fn a_pod_is_outdated_only_when_the_controller_knows_the_newest_template() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"controller-revision-hash": "old"}},
        }))
        .unwrap();
        let set = |observed: i64| -> StatefulSet {
            serde_json::from_value(json!({
                "metadata": {"generation": 2},
                "status": {"observedGeneration": observed, "updateRevision": "new", "replicas": 1},
            }))
            .unwrap()
        };
        assert!(pod_facts(&pod, Some(&set(2))).outdated);
        assert!(!pod_facts(&pod, Some(&set(1))).outdated);
        assert!(!pod_facts(&pod, None).outdated);
    }
}
