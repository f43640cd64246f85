//! A center's Kubernetes, as the lab speaks with it: server-side apply and waiting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::runtime::wait::await_condition;
use serde_json::Value;

use super::manifests::title;

/// The field manager of what the lab applies.
const FIELD_MANAGER: &str = "tricenter-lab";
/// Objects that are applied at the same time.
const APPLIES_AT_ONCE: usize = 4;
/// Between attempts at an object that the API server does not take yet.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Why a cluster did not do as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig leads nowhere.
    #[error("failed to use kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An object is none.
    #[error("failed to apply {object}: {reason}")]
    Malformed {
        /// Its kind and name.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The API server did not take an object in time.
    #[error("failed to apply {object}: {source}")]
    Apply {
        /// Its kind and name.
        object: String,
        /// What the API server said last.
        source: Box<kube::Error>,
    },
    /// A wait ended without what it was for.
    #[error("failed to see {what} within {} s; `lab status` and `lab kubectl` show more", limit.as_secs())]
    TimeLimit {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A watch broke for good.
    #[error("failed to wait for {what}: {source}")]
    Watch {
        /// What was waited for.
        what: String,
        /// Why.
        source: Box<kube::runtime::wait::Error>,
    },
}

/// A connection to one cluster.
pub struct Cluster {
    client: kube::Client,
    known: Mutex<BTreeMap<(String, String), (ApiResource, Scope)>>,
}

impl Cluster {
    /// Speaks with the cluster of this kubeconfig.
    pub async fn connect(kubeconfig: &Path) -> Result<Self, Error> {
        Self::connect_by(kubeconfig, None).await
    }

    /// Speaks with it as somebody whom the kubeconfig's user may speak for.
    pub async fn connect_as(kubeconfig: &Path, person: &str) -> Result<Self, Error> {
        Self::connect_by(kubeconfig, Some(person)).await
    }

    async fn connect_by(kubeconfig: &Path, person: Option<&str>) -> Result<Self, Error> {
        let failed = |reason: String| Error::Kubeconfig {
            path: kubeconfig.to_owned(),
            reason,
        };
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(error.to_string()))?;
        let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .map_err(|error| failed(error.to_string()))?;
        config.connect_timeout = Some(Duration::from_secs(2));
        if let Some(person) = person {
            config.auth_info.impersonate = Some(person.to_owned());
            config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        }
        let client = kube::Client::try_from(config).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            client,
            known: Mutex::default(),
        })
    }

    /// The client, for everything else.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Applies objects: namespaces and definitions first, jobs last, the others in between. What
    /// the API server does not know or take yet is tried again until `limit`.
    pub async fn apply(&self, objects: &[Value], limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
        let order = |object: &&Value| match kind(object).as_str() {
            "Namespace" => 0,
            "CustomResourceDefinition" => 1,
            "Job" => 3,
            _ => 2,
        };
        for group in 0..=3 {
            futures::stream::iter(objects.iter().filter(|object| order(object) == group))
                .map(|object| self.apply_one(object, deadline))
                .buffer_unordered(APPLIES_AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }

    async fn apply_one(&self, object: &Value, deadline: Instant) -> Result<(), Error> {
        loop {
            match self.try_apply(object).await {
                Err(Error::Apply { source, .. })
                    if may_pass(&source) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn try_apply(&self, object: &Value) -> Result<(), Error> {
        let failed = |source| Error::Apply {
            object: title(object),
            source: Box::new(source),
        };
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let (Some(version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            return Err(Error::Malformed {
                object: title(object),
                reason: "apiVersion, kind and metadata.name are needed".to_owned(),
            });
        };
        let (resource, scope) = self.resource(version, kind).await.map_err(failed)?;
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => {
                let namespace = text("/metadata/namespace").unwrap_or("default");
                Api::namespaced_with(self.client(), namespace, &resource)
            }
        };
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(name, &parameters, &Patch::Apply(object))
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn resource(
        &self,
        version: &str,
        kind: &str,
    ) -> Result<(ApiResource, Scope), kube::Error> {
        let key = (version.to_owned(), kind.to_owned());
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known.clone());
        }
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let (resource, capabilities) = kube::discovery::pinned_kind(&self.client, &kind).await?;
        let found = (resource, capabilities.scope);
        lock().insert(key, found.clone());
        Ok(found)
    }

    /// Waits until a node is Ready.
    pub async fn wait_for_node(&self, name: &str, limit: Duration) -> Result<(), Error> {
        let ready = |node: Option<&Node>| node.is_some_and(node_is_ready);
        let api: Api<Node> = Api::all(self.client());
        self.wait(api, name, ready, &format!("node {name} Ready"), limit)
            .await
    }

    /// Waits until a deployment has all its pods ready, of its newest form.
    pub async fn wait_for_deployment(
        &self,
        namespace: &str,
        name: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let ready = |deployment: Option<&Deployment>| {
            deployment.is_some_and(|deployment| {
                let status = deployment.status.clone().unwrap_or_default();
                let wanted = deployment
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.replicas)
                    .unwrap_or(1);
                status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas.unwrap_or(0) == wanted
                    && status.ready_replicas.unwrap_or(0) == wanted
            })
        };
        let api: Api<Deployment> = Api::namespaced(self.client(), namespace);
        let what = format!("deployment {namespace}/{name} ready");
        self.wait(api, name, ready, &what, limit).await
    }

    /// Waits until a condition of an object of any kind is True.
    pub async fn wait_for_condition(
        &self,
        kind: &GroupVersionKind,
        namespace: Option<&str>,
        name: &str,
        condition: &str,
        limit: Duration,
    ) -> Result<(), Error> {
        let what = format!("{} {name} {condition}", kind.kind);
        let (resource, _) = self
            .resource(&kind.api_version(), &kind.kind)
            .await
            .map_err(|source| Error::Apply {
                object: what.clone(),
                source: Box::new(source),
            })?;
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, &resource),
            None => Api::all_with(self.client(), &resource),
        };
        let is_true = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                conditions(&object.data)
                    .iter()
                    .any(|it| it.kind == condition && it.is_true)
            })
        };
        self.wait(api, name, is_true, &what, limit).await
    }

    async fn wait<K>(
        &self,
        api: Api<K>,
        name: &str,
        condition: impl Fn(Option<&K>) -> bool + Send,
        what: &str,
        limit: Duration,
    ) -> Result<(), Error>
    where
        K: Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + kube::Resource + 'static,
    {
        match tokio::time::timeout(limit, await_condition(api, name, condition)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(Error::Watch {
                what: what.to_owned(),
                source: Box::new(source),
            }),
            Err(_) => Err(Error::TimeLimit {
                what: what.to_owned(),
                limit,
            }),
        }
    }
}

/// One of an object's conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: String,
    /// Whether its status is True.
    pub is_true: bool,
    /// Why it is as it is.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// The conditions in an object's status, however many.
#[must_use]
pub fn conditions(object: &Value) -> Vec<Condition> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|condition| Condition {
            kind: text(condition, "type"),
            is_true: condition["status"] == "True",
            reason: text(condition, "reason"),
            message: text(condition, "message"),
        })
        .collect()
}

/// Whether a node's kubelet says that it is Ready.
#[must_use]
pub fn node_is_ready(node: &Node) -> bool {
    node.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether trying again may help: the API server is starting, or does not know a kind yet.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 403 | 404 | 409 | 429 | 500..=599),
        kube::Error::Discovery(_) | kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_read_with_their_reasons() {
        let object = json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "NoLeader", "message": "nobody leads"},
        ]}});
        let read = conditions(&object);
        assert_eq!(
            (
                read[0].kind.as_str(),
                read[0].is_true,
                read[0].reason.as_str()
            ),
            ("Ready", false, "NoLeader")
        );
        assert_eq!(conditions(&json!({})), []);
    }
}
