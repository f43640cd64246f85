//! The centers as a run sees them: where each is reached, and what each replica says of itself.

use crate::ground::address_plan::Center;
use crate::ground::cluster::{Cluster, conditions};
use crate::ground::state::Folder;
use crate::progress::Detail;
use anyhow::{Context as _, Result, bail};
use client::admin::AdminConnection;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use protocol::admin::{ElectionRecord, ReplicaStatus};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How often replicas tell their status.
const WATCH_INTERVAL_MS: u32 = 50;
/// A status older than this is no status.
const FRESH: Duration = Duration::from_millis(1_000);
const RETRY: Duration = Duration::from_millis(100);
/// Between two looks at conditions.
const CONDITIONS_INTERVAL: Duration = Duration::from_millis(500);

/// One center.
#[derive(Clone, Debug)]
pub struct Access {
    /// Its name.
    pub name: String,
    /// Where its replica's administration is reached, `host:port`.
    pub administration: String,
    /// Where clients reach its entry, `host:port`.
    pub entry: String,
    /// How to reach its cluster.
    pub kubeconfig: PathBuf,
}

/// All centers, and the trading core in them.
#[derive(Clone, Debug)]
pub struct Centers {
    /// The centers.
    pub all: Vec<Access>,
    /// Namespace of the `TradingCore`.
    pub namespace: String,
    /// Its name.
    pub core: String,
}

impl Centers {
    /// The lab's own.
    #[must_use]
    pub fn of_lab(folder: &Folder) -> Self {
        let all = Center::ALL.map(|center| Access {
            name: center.name().to_owned(),
            administration: format!("{}:30702", center.node_address()),
            entry: center.entry_address().to_string(),
            kubeconfig: folder.kubeconfig(center),
        });
        Self {
            all: all.to_vec(),
            namespace: "trading".into(),
            core: "core".into(),
        }
    }

    /// Clusters that exist already: addresses come from their `TradingCore`.
    ///
    /// # Errors
    /// Naming the center that cannot be asked, or what its object lacks.
    pub async fn of_clusters(
        kubeconfigs: &BTreeMap<String, PathBuf>,
        entries: &BTreeMap<String, String>,
        namespace: &str,
        core: &str,
    ) -> Result<Self> {
        let mut all = Vec::new();
        for (name, kubeconfig) in kubeconfigs {
            let object = trading_core(kubeconfig, namespace, core)
                .await
                .with_context(|| {
                    format!("failed to read TradingCore {namespace}/{core} in {name}")
                })?;
            let centers = object
                .data
                .pointer("/spec/centers")
                .and_then(|c| c.as_array());
            let own = centers
                .into_iter()
                .flatten()
                .find(|center| center["name"] == name.as_str());
            let own = own.with_context(|| {
                format!("failed to find center {name} in spec.centers: the name before '=' in --kubeconfig must be one of them")
            })?;
            let administration = own["addresses"]["orders"].as_str().with_context(|| {
                format!("failed to find addresses.orders of center {name} in spec.centers")
            })?;
            let entry = entries.get(name).with_context(|| {
                format!("--entry {name}=HOST:PORT is missing: where do clients reach its entry?")
            })?;
            all.push(Access {
                name: name.clone(),
                administration: administration.to_owned(),
                entry: entry.clone(),
                kubeconfig: kubeconfig.clone(),
            });
        }
        Ok(Self {
            all,
            namespace: namespace.to_owned(),
            core: core.to_owned(),
        })
    }

    /// One center by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<&Access> {
        let found = self.all.iter().find(|center| center.name == name);
        found.with_context(|| format!("failed to find center {name}"))
    }

    /// Begins to watch all replicas.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let (sender, receiver) = watch::channel(Seen::default());
        let mut tasks = JoinSet::new();
        for center in &self.all {
            tasks.spawn(follow(center.administration.clone(), sender.clone()));
        }
        Watch {
            receiver,
            _tasks: tasks,
        }
    }

    /// Waits until every center's `TradingCore` has all its conditions True.
    ///
    /// # Errors
    /// What is not, after `limit`.
    pub async fn wait_until_all_true(&self, limit: Duration, detail: &Detail) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            let mut open = Vec::new();
            for center in &self.all {
                let object = trading_core(&center.kubeconfig, &self.namespace, &self.core);
                match timeout(Duration::from_secs(5), object).await {
                    Ok(Ok(object)) => open.extend(not_true(&center.name, &object)),
                    Ok(Err(error)) => open.push(format!("{}: {error:#}", center.name)),
                    Err(_) => open.push(format!("{}: its API server does not answer", center.name)),
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            let open = open.join("; ");
            if Instant::now() > until {
                bail!(
                    "not all conditions were True within {} s: {open}",
                    limit.as_secs()
                );
            }
            detail.set(open);
            sleep(CONDITIONS_INTERVAL).await;
        }
    }
}

fn not_true(center: &str, object: &DynamicObject) -> Option<String> {
    let all = conditions(&object.data);
    if all.is_empty() {
        return Some(format!("{center}: no conditions yet"));
    }
    let open: Vec<String> = all
        .iter()
        .filter(|condition| !condition.is_true)
        .map(|condition| format!("{} ({})", condition.kind, condition.reason))
        .collect();
    (!open.is_empty()).then(|| format!("{center}: {}", open.join(", ")))
}

async fn trading_core(
    kubeconfig: &std::path::Path,
    namespace: &str,
    core: &str,
) -> Result<DynamicObject> {
    let kind = GroupVersionKind::gvk("tricenter.dev", "v1alpha1", "TradingCore");
    let cluster = Cluster::connect(kubeconfig).await?;
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), namespace, &resource);
    Ok(api.get(core).await?)
}

async fn follow(address: String, sender: watch::Sender<Seen>) {
    loop {
        if let Ok(connection) = AdminConnection::connect(&address).await
            && let Ok(mut statuses) = connection.watch_status(WATCH_INTERVAL_MS).await
        {
            while let Ok(Some(status)) = statuses.next(FRESH.as_millis() as u64).await {
                sender.send_modify(|seen| seen.put(status));
            }
        }
        if sender.is_closed() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// What the replicas said last.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    statuses: BTreeMap<u64, (Instant0, ReplicaStatus)>,
    elections: BTreeMap<u64, ElectionRecord>,
}

/// When something was seen; an `Instant` has no default.
type Instant0 = std::time::Instant;

impl Seen {
    /// Takes in a status. Elections are kept even when their replica is gone later.
    pub fn put(&mut self, status: ReplicaStatus) {
        for election in status.elections.iter().filter(|e| e.serving_at_us > 0) {
            self.elections.insert(election.epoch, *election);
        }
        let now = std::time::Instant::now();
        self.statuses.insert(status.replica, (now, status));
    }

    /// A replica's status, unless it is old.
    #[must_use]
    pub fn fresh(&self, replica: u64) -> Option<&ReplicaStatus> {
        let (at, status) = self.statuses.get(&replica)?;
        (at.elapsed() < FRESH).then_some(status)
    }

    /// The leader that serves, of the highest epoch.
    #[must_use]
    pub fn leader(&self) -> Option<&ReplicaStatus> {
        let fresh = self
            .statuses
            .keys()
            .filter_map(|replica| self.fresh(*replica));
        fresh
            .filter(|status| status.serving)
            .max_by_key(|status| status.epoch)
    }

    /// The replicas that say, freshly, that they serve the highest epoch that any serves.
    #[must_use]
    pub fn leaders(&self) -> Vec<u64> {
        let fresh: Vec<&ReplicaStatus> = self
            .statuses
            .keys()
            .filter_map(|replica| self.fresh(*replica))
            .filter(|status| status.serving)
            .collect();
        let highest = fresh.iter().map(|status| status.epoch).max();
        fresh
            .iter()
            .filter(|status| Some(status.epoch) == highest)
            .map(|status| status.replica)
            .collect()
    }

    /// How many leaders began to serve in an epoch above this one without being asked to, as the
    /// winners told.
    #[must_use]
    pub fn unplanned_elections_above(&self, epoch: u64) -> u64 {
        let later = self.elections.range(epoch + 1..);
        later.filter(|(_, election)| !election.planned).count() as u64
    }

    /// Whether the winner of an epoch told of its election.
    #[must_use]
    pub fn knows_election(&self, epoch: u64) -> bool {
        self.elections.contains_key(&epoch)
    }

    /// How many replicas are heard.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.statuses
            .keys()
            .filter(|replica| self.fresh(**replica).is_some())
            .count()
    }

    /// The entry at which all replicas have applied the same and hold the same state. One that is not
    /// heard makes it unknown.
    #[must_use]
    pub fn equal_at(&self, replicas: usize) -> Option<u64> {
        let fresh: Vec<&ReplicaStatus> = self
            .statuses
            .keys()
            .filter_map(|r| self.fresh(*r))
            .collect();
        let first = fresh.first()?;
        let equal = fresh.iter().all(|status| {
            status.applied_index == first.applied_index && status.history_hash == first.history_hash
        });
        (equal && fresh.len() == replicas).then_some(first.applied_index)
    }
}

/// The replicas' statuses as they come. Dropping it ends the watching.
pub struct Watch {
    receiver: watch::Receiver<Seen>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// The leader now.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaStatus> {
        self.receiver.borrow().leader().cloned()
    }

    /// What the replicas said last.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.receiver.borrow().clone()
    }

    /// The election that the winner of an epoch told of.
    #[must_use]
    pub fn election(&self, epoch: u64) -> Option<ElectionRecord> {
        self.receiver.borrow().elections.get(&epoch).copied()
    }

    /// Waits until something is to be seen.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub async fn wait_for<T>(
        &self,
        limit: Duration,
        what: &str,
        look: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T> {
        let mut receiver = self.receiver.clone();
        let looking = async {
            loop {
                if let Some(found) = look(&receiver.borrow_and_update()) {
                    return Ok(found);
                }
                receiver
                    .changed()
                    .await
                    .context("nobody watches the replicas any more")?;
            }
        };
        match timeout(limit, looking).await {
            Ok(found) => found,
            Err(_) => {
                let seen = self.receiver.borrow().clone();
                let told: Vec<String> = seen
                    .statuses
                    .iter()
                    .map(|(replica, (at, status))| {
                        format!(
                            "replica {replica} in {}: epoch {}, leader {}, serving {}, applied {} \
                             ({} ms ago)",
                            status.center,
                            status.epoch,
                            status.leader,
                            status.serving,
                            status.applied_index,
                            at.elapsed().as_millis()
                        )
                    })
                    .collect();
                bail!(
                    "failed to see {what} within {} s; last seen: {}",
                    limit.as_secs(),
                    if told.is_empty() {
                        "nothing".to_owned()
                    } else {
                        told.join("; ")
                    }
                )
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::admin::PeerProgress;

    pub(crate) fn leader(replica: u64, epoch: u64, lags: &[(u64, u64)]) -> ReplicaStatus {
        ReplicaStatus {
            replica,
            epoch,
            leader: replica,
            serving: true,
            peers: lags
                .iter()
                .map(|(replica, lag_entries)| PeerProgress {
                    replica: *replica,
                    lag_entries: *lag_entries,
                    recently_active: true,
                    ..PeerProgress::default()
                })
                .collect(),
            ..ReplicaStatus::default()
        }
    }

    pub(crate) fn follower(replica: u64, epoch: u64, leader: u64) -> ReplicaStatus {
        ReplicaStatus {
            replica,
            epoch,
            leader,
            ..ReplicaStatus::default()
        }
    }

    #[test]
    fn the_leader_is_the_one_of_the_highest_epoch() {
        let mut seen = Seen::default();
        assert!(seen.leader().is_none());
        seen.put(leader(1, 3, &[]));
        seen.put(leader(2, 4, &[]));
        seen.put(follower(3, 4, 2));
        assert_eq!(seen.leader().unwrap().replica, 2);
    }

    #[test]
    fn states_are_equal_only_at_the_same_entry() {
        let mut seen = Seen::default();
        let at = |replica, applied_index, hash: u8| ReplicaStatus {
            replica,
            applied_index,
            history_hash: vec![hash],
            ..ReplicaStatus::default()
        };
        seen.put(at(1, 10, 7));
        assert_eq!(seen.equal_at(3), None, "one alone proves nothing");
        seen.put(at(2, 10, 7));
        assert_eq!(seen.equal_at(3), None, "the third is not heard");
        seen.put(at(3, 9, 7));
        assert_eq!(seen.equal_at(3), None);
        seen.put(at(3, 10, 8));
        assert_eq!(seen.equal_at(3), None);
        seen.put(at(3, 10, 7));
        assert_eq!(seen.equal_at(3), Some(10));
    }
}
