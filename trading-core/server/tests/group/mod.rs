//! Three real processes on loopback, real sockets, real disks.

mod places;

use protocol::admin::admin_client::AdminClient;
use protocol::admin::{
    ControlRequest, DefineSymbol, OpenAccount, Position, ReplicaStatus, StatusRequest,
    control_request,
};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Group {
    pub folder: tempfile::TempDir,
    /// Replication, orders, HTTP, binary.
    pub ports: Vec<[u16; 4]>,
    children: Vec<Option<Child>>,
    snapshot_every_entries: u64,
    /// Fields beside those that every replica has.
    extra: serde_json::Value,
}

impl Group {
    pub fn start(snapshot_every_entries: u64) -> Self {
        Self::start_with(snapshot_every_entries, serde_json::json!({}))
    }

    pub fn start_with(snapshot_every_entries: u64, extra: serde_json::Value) -> Self {
        // All ports are held until all are known, so that no two are the same.
        let held: Vec<[TcpListener; 4]> = (0..3)
            .map(|_| [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let ports = held
            .iter()
            .map(|four| [0, 1, 2, 3].map(|n| four[n].local_addr().unwrap().port()))
            .collect();
        drop(held);
        let mut group = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            children: (0..3).map(|_| None).collect(),
            snapshot_every_entries,
            extra,
        };
        (1..=3).for_each(|replica| group.start_replica(replica));
        group
    }

    pub fn start_replica(&mut self, replica: usize) {
        // A fourth joins the three that founded the group.
        let centers = [("a1", "A"), ("a2", "A"), ("b1", "B"), ("b1", "B")];
        let members: Vec<serde_json::Value> = (1..=self.ports.len())
            .map(|id: usize| {
                let (center, site) = centers[id - 1];
                let [replication, orders, ..] = self.ports[id - 1];
                serde_json::json!({
                    "replica": id, "center": center, "site": site,
                    "replication": format!("127.0.0.1:{replication}"),
                    "orders": format!("127.0.0.1:{orders}"), "priority": 5 - id,
                })
            })
            .collect();
        let (center, site) = centers[replica - 1];
        let [replication, orders, http, binary] = self.ports[replica - 1];
        let mut config = serde_json::json!({
            "cluster": "test", "shard": 0, "replica": replica, "center": center, "site": site,
            "data_directory": self.folder.path().join(format!("data-{replica}")),
            "listen": {"replication": format!("127.0.0.1:{replication}"),
                       "orders": format!("127.0.0.1:{orders}"),
                       "http": format!("127.0.0.1:{http}"),
                       "binary": format!("127.0.0.1:{binary}")},
            "members": members, "join": replica > 3,
            "journal": {"segment_bytes": 1 << 20,
                        "snapshot_every_entries": self.snapshot_every_entries,
                        "retain_entries": 50},
        });
        for (field, value) in self.extra.as_object().unwrap() {
            config[field] = value.clone();
        }
        let path: PathBuf = self.folder.path().join(format!("replica-{replica}.json"));
        std::fs::write(&path, config.to_string()).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("log-{replica}")))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_trading-core"))
            .args(["replica", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children[replica - 1] = Some(child);
    }

    pub fn kill(&mut self, replica: usize) {
        let mut child = self.children[replica - 1].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[allow(dead_code, reason = "not every test asks")]
    /// Asks it to end, as Kubernetes does, and waits.
    pub fn terminate(&mut self, replica: usize) -> std::process::ExitStatus {
        let mut child = self.children[replica - 1].take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    pub async fn channel(&self, replica: usize) -> Option<Channel> {
        let address = format!("http://127.0.0.1:{}", self.ports[replica - 1][1]);
        Channel::from_shared(address).unwrap().connect().await.ok()
    }

    pub async fn status(&self, replica: usize) -> Option<ReplicaStatus> {
        let mut admin = AdminClient::new(self.channel(replica).await?);
        let answer = timeout(Duration::from_secs(1), admin.status(StatusRequest {})).await;
        Some(answer.ok()?.ok()?.into_inner())
    }

    pub async fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            if Instant::now() > until {
                let logs: String = (1..=self.ports.len())
                    .map(|n| {
                        let path = self.folder.path().join(format!("log-{n}"));
                        let text = std::fs::read_to_string(path).unwrap_or_default();
                        format!("--- replica {n}\n{text}\n")
                    })
                    .collect();
                panic!("waited in vain for {what}\n{logs}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn leader(&self) -> usize {
        self.wait_for("a serving leader", async |group| {
            for replica in 1..=group.ports.len() {
                if group.children[replica - 1].is_some()
                    && group.status(replica).await.is_some_and(|s| s.serving)
                {
                    return Some(replica);
                }
            }
            None
        })
        .await
    }

    pub async fn control(&self, leader: usize, body: control_request::Body) {
        let mut admin = AdminClient::new(self.channel(leader).await.unwrap());
        let request = ControlRequest { body: Some(body) };
        let answer = admin.control(request).await.unwrap().into_inner();
        assert!(answer.done, "{answer:?}");
    }

    #[allow(dead_code, reason = "not every test compares")]
    /// All running replicas have applied the same and hold the same state.
    pub async fn wait_for_equal_states(&self) {
        self.wait_for("equal states", async |group| {
            let mut seen = Vec::new();
            for replica in 1..=group.ports.len() {
                if group.children[replica - 1].is_some() {
                    let status = group.status(replica).await?;
                    seen.push((status.applied_index, status.history_hash));
                }
            }
            seen.windows(2).all(|two| two[0] == two[1]).then_some(())
        })
        .await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[allow(dead_code, reason = "not every test is content with snapshots")]
pub async fn prepared() -> (Group, usize) {
    prepare(Group::start(100)).await
}

#[allow(dead_code, reason = "not every test reads the log")]
/// The same, with a log that keeps all its entries.
pub async fn prepared_keeping_all() -> (Group, usize) {
    prepare(Group::start(1_000_000)).await
}

pub async fn prepare(group: Group) -> (Group, usize) {
    let leader = group.leader().await;
    let symbol = control_request::Body::DefineSymbol(DefineSymbol {
        symbol: 600_000,
        tick: 100,
        lot: 100,
        limit_down: 90_000,
        limit_up: 110_000,
        ..DefineSymbol::default()
    });
    group.control(leader, symbol).await;
    let account = control_request::Body::OpenAccount(OpenAccount {
        account: 7,
        cash: 1_000_000_000_000,
        positions: vec![Position {
            symbol: 600_000,
            quantity: 1_000_000,
        }],
    });
    group.control(leader, account).await;
    (group, leader)
}

/// A gateway in front of the group, on loopback.
#[allow(dead_code, reason = "not every test has one")]
pub struct Gateway {
    child: Child,
    pub address: String,
}

#[allow(dead_code, reason = "not every test has one")]
impl Gateway {
    pub fn start(group: &Group) -> Self {
        Self::in_front_of(&[(0, group)])
    }

    /// In front of several shards; its files lie with the first one's.
    pub fn in_front_of(shards: &[(u16, &Group)]) -> Self {
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [grpc, http] = [0, 1].map(|n: usize| held[n].local_addr().unwrap());
        drop(held);
        let replicas = |group: &Group| -> Vec<serde_json::Value> {
            let each = (1..).zip(&group.ports);
            each.map(|(id, ports)| {
                let orders = format!("127.0.0.1:{}", ports[1]);
                serde_json::json!({"replica": id, "center": "a1", "orders": orders})
            })
            .collect()
        };
        let ((shard, group), others) = shards.split_first().unwrap();
        let others: Vec<serde_json::Value> = others
            .iter()
            .map(|(shard, group)| serde_json::json!({"shard": shard, "replicas": replicas(group)}))
            .collect();
        let config = serde_json::json!({
            "cluster": "test", "shard": shard, "center": "a1",
            "listen": {"grpc": grpc.to_string(), "http": http.to_string()},
            "replicas": replicas(group), "other_shards": others,
        });
        let path = group.folder.path().join("gateway.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let log = std::fs::File::create(group.folder.path().join("log-gateway")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_trading-core"))
            .args(["gateway", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            address: grpc.to_string(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
