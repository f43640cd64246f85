//! The tasks that ask and listen, and put what they learn in one bounded queue.
//!
//! ```text
//!   replica: connect ─► watch status ─► Seen … Seen ─► Lost ─► wait 0.1 … 2 s ─┐
//!               ▲───────────────────────────────────────────────────────────────┘
//!   API server, Toxiproxy, lab's folder: ask ─► Seen or Lost ─► wait 1 or 2 s ─► ask …
//! ```
//!
//! A full queue drops the message and counts it: what comes next tells the same and is newer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use client::admin::{AdminConnection, AdminError};
use crds::{ConditionStatus, TradingCore};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use toxiproxy_client::{Proxy, ToxicKind, Toxiproxy};

use crate::model::{ConditionView, LinkFacts, ObjectView, ReplicaAddress};
use crate::report::RunReport;
use crate::sources::{LabFile, Sources};
use crate::update::Message;

/// How often a replica speaks.
const STATUS_INTERVAL_MS: u32 = 200;
/// A replica that is silent for longer is lost.
const STATUS_SILENCE_MS_MAX: u64 = 2_000;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
const CLUSTER_INTERVAL: Duration = Duration::from_secs(2);
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(2);
const LINK_INTERVAL: Duration = Duration::from_secs(1);
const FOLDER_INTERVAL: Duration = Duration::from_secs(1);
/// Far more than all watchers say between two frames.
const QUEUE_MESSAGES_MAX: usize = 256;

/// The time now, in microseconds since 1970.
#[must_use]
pub fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
}

/// Where watchers put what they learn.
#[derive(Debug, Clone)]
struct Queue {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    fn put(&self, message: Message) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(message) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The running watchers; they end when this is dropped.
#[derive(Debug)]
pub struct Watchers {
    tasks: JoinSet<()>,
    queue: Queue,
    messages: mpsc::Receiver<Message>,
}

impl Watchers {
    /// Begins to watch all sources. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(sources: &Sources) -> Self {
        let (sender, messages) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let queue = Queue {
            sender,
            dropped: Arc::default(),
        };
        let mut watchers = Self {
            tasks: JoinSet::new(),
            queue: queue.clone(),
            messages,
        };
        for (place, center) in sources.centers.iter().enumerate() {
            if let Some(address) = &center.address {
                watchers.watch_replica(place, address.clone());
            }
            let path = center.kubeconfig.clone();
            watchers
                .tasks
                .spawn(watch_cluster(place, path, queue.clone()));
        }
        for (place, link) in sources.links.iter().enumerate() {
            let address = link.api_address.clone();
            watchers
                .tasks
                .spawn(watch_link(place, address, queue.clone()));
        }
        if let Some(folder) = &sources.folder {
            watchers
                .tasks
                .spawn(watch_folder(folder.clone(), queue.clone()));
        }
        watchers
    }

    /// Begins to watch a replica at `host:port`.
    pub fn watch_replica(&mut self, center: usize, address: String) {
        self.tasks
            .spawn(watch_replica(center, address, self.queue.clone()));
    }

    /// The next message. Cancel-safe. `None` never comes while the watchers live.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// A message that is there already.
    pub fn take(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()
    }

    /// How many messages were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

async fn watch_replica(center: usize, address: String, queue: Queue) {
    let mut wait = RETRY_FIRST;
    loop {
        let reason = match follow_replica(center, &address, &queue, &mut wait).await {
            Ok(()) => "the replica ended its status stream".to_owned(),
            Err(error) => error.to_string(),
        };
        queue.put(Message::ReplicaLost {
            center,
            at_us: now_us(),
            reason,
        });
        // Nothing tells when a replica is back, so it is asked again, ever less often.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn follow_replica(
    center: usize,
    address: &str,
    queue: &Queue,
    wait: &mut Duration,
) -> Result<(), AdminError> {
    let connection = AdminConnection::connect(address).await?;
    let mut statuses = connection.watch_status(STATUS_INTERVAL_MS).await?;
    while let Some(status) = statuses.next(STATUS_SILENCE_MS_MAX).await? {
        *wait = RETRY_FIRST;
        queue.put(Message::ReplicaSeen {
            center,
            at_us: now_us(),
            status: Box::new(status),
        });
    }
    Ok(())
}

async fn watch_cluster(center: usize, path: PathBuf, queue: Queue) {
    let mut connection = None;
    loop {
        let answer = tokio::time::timeout(CLUSTER_TIMEOUT, ask_cluster(&path, &mut connection));
        let at_us = now_us();
        let message = match answer.await {
            Ok(Ok(object)) => Message::ClusterSeen {
                center,
                at_us: now_us(),
                object: object.map(Box::new),
            },
            Ok(Err(reason)) => Message::ClusterLost {
                center,
                at_us,
                reason,
            },
            Err(_) => Message::ClusterLost {
                center,
                at_us,
                reason: format!("no answer within {} s", CLUSTER_TIMEOUT.as_secs()),
            },
        };
        if matches!(message, Message::ClusterLost { .. }) {
            // The lab may have been made anew, with new certificates in the same file.
            connection = None;
        }
        queue.put(message);
        tokio::time::sleep(CLUSTER_INTERVAL).await;
    }
}

async fn ask_cluster(
    path: &Path,
    connection: &mut Option<kube::Client>,
) -> Result<Option<ObjectView>, String> {
    let client = match connection {
        Some(client) => client.clone(),
        None => connect_cluster(path).await?,
    };
    *connection = Some(client.clone());
    let all = kube::Api::<TradingCore>::all(client);
    // One core is watched; a few more only tell that there are more.
    match all.list(&ListParams::default().limit(8)).await {
        Ok(list) => Ok(list.items.first().map(read_object)),
        // The kind is not installed: the cluster answers and has no core.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(whole(&error)),
    }
}

/// A client of the cluster whose kubeconfig this is. Nobody has answered yet.
///
/// # Errors
/// In words, what did not work.
pub async fn connect_cluster(path: &Path) -> Result<kube::Client, String> {
    let told = |what: &str, error: &dyn std::error::Error| {
        format!("failed to {what} {}: {}", path.display(), whole(error))
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| told("read", &error))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| told("understand", &error))?;
    kube::Client::try_from(config).map_err(|error| told("use", &error))
}

/// An error with all its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

fn read_object(object: &TradingCore) -> ObjectView {
    let meta = &object.metadata;
    let status = object.status.clone().unwrap_or_default();
    let conditions = status.conditions.into_iter().map(|it| ConditionView {
        name: it.type_,
        holds: match it.status {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        },
        reason: it.reason,
        message: it.message,
    });
    let replicas = object.spec.centers.iter().map(|center| ReplicaAddress {
        center: center.name.clone(),
        site: center.site.clone(),
        replica: center.replica,
        address: center.addresses.orders.clone(),
    });
    ObjectView {
        name: format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default()
        ),
        replicas: replicas.collect(),
        conditions: conditions.collect(),
        is_observed: status.observed_generation == meta.generation,
    }
}

async fn watch_link(link: usize, address: String, queue: Queue) {
    let server = match Toxiproxy::new(&address) {
        Ok(server) => server,
        Err(error) => {
            queue.put(Message::LinkLost {
                link,
                at_us: now_us(),
                reason: error.to_string(),
            });
            return;
        }
    };
    loop {
        let message = match server.proxies().await {
            Ok(proxies) => Message::LinkSeen {
                link,
                at_us: now_us(),
                facts: read_link(proxies.values()),
            },
            Err(error) => Message::LinkLost {
                link,
                at_us: now_us(),
                reason: error.to_string(),
            },
        };
        queue.put(message);
        tokio::time::sleep(LINK_INTERVAL).await;
    }
}

/// A link is as slow as its slowest proxy, and cut when any of its proxies stops data.
fn read_link<'a>(proxies: impl Iterator<Item = &'a Proxy>) -> LinkFacts {
    let mut facts = LinkFacts::default();
    for proxy in proxies {
        facts.is_cut |= !proxy.enabled;
        let (mut latency, mut jitter) = (0, 0);
        for toxic in &proxy.toxics {
            match toxic.kind {
                ToxicKind::Latency {
                    latency_ms,
                    jitter_ms,
                } => {
                    latency += latency_ms;
                    jitter += jitter_ms;
                }
                ToxicKind::Timeout { .. } => facts.is_cut = true,
                ToxicKind::Bandwidth { .. }
                | ToxicKind::SlowClose { .. }
                | ToxicKind::ResetPeer { .. }
                | ToxicKind::Slicer { .. }
                | ToxicKind::LimitData { .. } => {
                    if !facts.others.contains(&toxic.name) {
                        facts.others.push(toxic.name.clone());
                    }
                }
            }
        }
        facts.round_trip_ms = facts.round_trip_ms.max(latency);
        facts.jitter_ms = facts.jitter_ms.max(jitter);
    }
    facts
}

/// The lab's power switches and its last report, both small files that change rarely.
async fn watch_folder(folder: PathBuf, queue: Queue) {
    let mut report_text = None;
    loop {
        if let Ok(file) = LabFile::read(&folder) {
            let off = file.powered_off();
            queue.put(Message::PowerSeen { off });
        }
        if let Ok(text) = tokio::fs::read_to_string(folder.join("report.json")).await
            && report_text.as_ref() != Some(&text)
        {
            let at_us = now_us();
            queue.put(match RunReport::read(&text) {
                Ok(report) => Message::ReportRead {
                    at_us,
                    report: Box::new(report),
                },
                Err(error) => Message::ReportUnreadable {
                    at_us,
                    reason: error.to_string(),
                },
            });
            report_text = Some(text);
        }
        tokio::time::sleep(FOLDER_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiproxy_client::{Stream, Toxic};

    fn proxy(enabled: bool, toxics: Vec<Toxic>) -> Proxy {
        Proxy {
            name: "a1>b1.replication".into(),
            listen: "10.99.0.1:17131".into(),
            upstream: "10.99.0.13:30701".into(),
            enabled,
            toxics,
        }
    }

    fn delay(stream: Stream, latency_ms: u64) -> Toxic {
        Toxic::new(
            "delay",
            stream,
            ToxicKind::Latency {
                latency_ms,
                jitter_ms: 1,
            },
        )
    }

    #[test]
    fn a_links_round_trip_is_both_ways_together() {
        let proxies = [
            proxy(
                true,
                vec![delay(Stream::Upstream, 15), delay(Stream::Downstream, 15)],
            ),
            proxy(true, vec![delay(Stream::Upstream, 4)]),
        ];
        let facts = read_link(proxies.iter());
        assert_eq!((facts.round_trip_ms, facts.jitter_ms), (30, 2));
        assert!(!facts.is_cut);
    }

    #[test]
    fn a_link_is_cut_when_any_proxy_stops_data() {
        let swallow = Toxic::new(
            "cut",
            Stream::Upstream,
            ToxicKind::Timeout { timeout_ms: 0 },
        );
        assert!(read_link([proxy(true, vec![swallow]), proxy(true, vec![])].iter()).is_cut);
        assert!(read_link([proxy(false, vec![])].iter()).is_cut);
    }

    #[tokio::test]
    async fn a_replica_that_is_not_there_is_told_lost_with_its_address() {
        // A port that was free a moment ago and that nobody serves.
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut watchers = Watchers::start(&Sources {
            centers: Vec::new(),
            links: Vec::new(),
            folder: None,
        });
        watchers.watch_replica(0, format!("127.0.0.1:{port}"));
        let Some(Message::ReplicaLost { reason, .. }) = watchers.next().await else {
            panic!("a lost replica was expected");
        };
        assert!(reason.contains(&port.to_string()), "{reason}");
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (sender, mut messages) = mpsc::channel(1);
        let queue = Queue {
            sender,
            dropped: Arc::default(),
        };
        for _ in 0..3 {
            queue.put(Message::PowerSeen { off: Vec::new() });
        }
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 2);
        assert!(messages.recv().await.is_some());
    }
}
