//! Three real processes on loopback, real sockets, real disks; killed with SIGKILL.

#![allow(clippy::unwrap_used, clippy::panic)]

use protocol::admin::DefineSymbol;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{
    ControlRequest, OpenAccount, Position, ReadLogRequest, ReplicaStatus, StatusRequest,
    TransferLeaderRequest, control_request, log_chunk,
};
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::server_message::Body as Answered;
use protocol::order::{
    ClientMessage, Logon, NewOrder, ServerMessage, Side, client_message, report,
};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

const PATIENCE: Duration = Duration::from_secs(20);

struct Group {
    folder: tempfile::TempDir,
    ports: Vec<[u16; 3]>,
    children: Vec<Option<Child>>,
}

impl Group {
    fn start() -> Self {
        // All ports are held until all are known, so that no two are the same.
        let held: Vec<[TcpListener; 3]> = (0..3)
            .map(|_| [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let ports = held
            .iter()
            .map(|three| [0, 1, 2].map(|n| three[n].local_addr().unwrap().port()))
            .collect();
        drop(held);
        let mut group = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            children: (0..3).map(|_| None).collect(),
        };
        (1..=3).for_each(|replica| group.start_replica(replica));
        group
    }

    fn start_replica(&mut self, replica: usize) {
        let centers = [("a1", "A"), ("a2", "A"), ("b1", "B")];
        let members: Vec<serde_json::Value> = (1..=3)
            .map(|id: usize| {
                let (center, site) = centers[id - 1];
                let [replication, orders, _] = self.ports[id - 1];
                serde_json::json!({
                    "replica": id, "center": center, "site": site,
                    "replication": format!("127.0.0.1:{replication}"),
                    "orders": format!("127.0.0.1:{orders}"), "priority": 4 - id,
                })
            })
            .collect();
        let (center, site) = centers[replica - 1];
        let [replication, orders, http] = self.ports[replica - 1];
        let config = serde_json::json!({
            "cluster": "test", "shard": 0, "replica": replica, "center": center, "site": site,
            "data_directory": self.folder.path().join(format!("data-{replica}")),
            "listen": {"replication": format!("127.0.0.1:{replication}"),
                       "orders": format!("127.0.0.1:{orders}"),
                       "http": format!("127.0.0.1:{http}")},
            "members": members,
            "journal": {"segment_bytes": 1 << 20, "snapshot_every_entries": 100,
                        "retain_entries": 50},
        });
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

    fn kill(&mut self, replica: usize) {
        let mut child = self.children[replica - 1].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, as Kubernetes does, and waits.
    fn terminate(&mut self, replica: usize) -> std::process::ExitStatus {
        let mut child = self.children[replica - 1].take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    async fn channel(&self, replica: usize) -> Option<Channel> {
        let address = format!("http://127.0.0.1:{}", self.ports[replica - 1][1]);
        Channel::from_shared(address).unwrap().connect().await.ok()
    }

    async fn status(&self, replica: usize) -> Option<ReplicaStatus> {
        let mut admin = AdminClient::new(self.channel(replica).await?);
        let answer = timeout(Duration::from_secs(1), admin.status(StatusRequest {})).await;
        Some(answer.ok()?.ok()?.into_inner())
    }

    async fn wait_for<T>(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            if Instant::now() > until {
                let logs: String = (1..=3)
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

    async fn leader(&self) -> usize {
        self.wait_for("a serving leader", async |group| {
            for replica in 1..=3 {
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

    async fn control(&self, leader: usize, body: control_request::Body) {
        let mut admin = AdminClient::new(self.channel(leader).await.unwrap());
        let request = ControlRequest { body: Some(body) };
        let answer = admin.control(request).await.unwrap().into_inner();
        assert!(answer.done, "{answer:?}");
    }

    /// All running replicas have applied the same and hold the same state.
    async fn wait_for_equal_states(&self) {
        self.wait_for("equal states", async |group| {
            let mut seen = Vec::new();
            for replica in 1..=3 {
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

struct Session {
    sender: mpsc::Sender<ClientMessage>,
    answers: Streaming<ServerMessage>,
    next_client_seq: u64,
}

impl Session {
    async fn log_on(group: &Group, leader: usize, account: u64) -> Self {
        let mut client = OrderEntryClient::new(group.channel(leader).await.unwrap());
        let (sender, receiver) = mpsc::channel(1_024);
        let logon = client_message::Body::Logon(Logon {
            session: account,
            account,
            last_out_seq_seen: 0,
        });
        let message = ClientMessage {
            client_seq: 0,
            body: Some(logon),
        };
        sender.send(message).await.unwrap();
        let answers = client.trade(ReceiverStream::new(receiver)).await.unwrap();
        let mut session = Self {
            sender,
            answers: answers.into_inner(),
            next_client_seq: 0,
        };
        match session.next().await {
            Answered::LogonAck(ack) => session.next_client_seq = ack.next_client_seq,
            other => panic!("not logged on: {other:?}"),
        }
        session
    }

    async fn next(&mut self) -> Answered {
        loop {
            let message = timeout(PATIENCE, self.answers.message()).await.unwrap();
            match message.unwrap().unwrap().body.unwrap() {
                Answered::Heartbeat(_) => {}
                body => return body,
            }
        }
    }

    async fn send(&mut self, client_seq: u64, cl_ord_id: &str, price: i64) {
        let order = client_message::Body::NewOrder(NewOrder {
            cl_ord_id: cl_ord_id.into(),
            symbol: 600_000,
            side: Side::Buy.into(),
            quantity: 100,
            price: Some(price),
            ..NewOrder::default()
        });
        let message = ClientMessage {
            client_seq,
            body: Some(order),
        };
        self.sender.send(message).await.unwrap();
    }

    /// Sends an order and gives back its number in the shard.
    async fn order(&mut self, cl_ord_id: &str) -> u64 {
        let client_seq = self.next_client_seq;
        self.next_client_seq += 1;
        self.send(client_seq, cl_ord_id, 100_000).await;
        self.accepted().await
    }

    async fn accepted(&mut self) -> u64 {
        match self.next().await {
            Answered::Report(report) => match report.body.unwrap() {
                report::Body::Accepted(accepted) => accepted.order_id,
                other => panic!("not accepted: {other:?}"),
            },
            other => panic!("no report: {other:?}"),
        }
    }
}

async fn prepared() -> (Group, usize) {
    let group = Group::start();
    let leader = group.leader().await;
    let symbol = control_request::Body::DefineSymbol(DefineSymbol {
        symbol: 600_000,
        tick: 100,
        lot: 100,
        limit_down: 90_000,
        limit_up: 110_000,
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

#[tokio::test]
async fn a_killed_leader_loses_no_answered_order_and_doubles_none() {
    let (mut group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    let mut numbers = Vec::new();
    for n in 0..150 {
        numbers.push(session.order(&format!("A{n}")).await);
    }
    let unanswered = session.next_client_seq;
    session.send(unanswered, "LAST", 100_000).await;
    let epoch = group.status(old).await.unwrap().epoch;
    group.kill(old);

    let new = group.leader().await;
    assert_ne!(new, old);
    let status = group.status(new).await.unwrap();
    assert!(status.epoch > epoch);
    assert_eq!(status.elections[0].previous_leader, old as u64);
    let mut session = Session::log_on(&group, new, 7).await;
    // Whether the last one got through or not: sent again with its number it takes effect once.
    session.send(unanswered, "LAST", 100_000).await;
    let first = session.accepted().await;
    session.send(unanswered, "LAST", 100_000).await;
    assert_eq!(session.accepted().await, first);

    let mut admin = AdminClient::new(group.channel(new).await.unwrap());
    let request = ReadLogRequest { from_index: 1 };
    let mut log = admin.read_log(request).await.unwrap().into_inner();
    let mut ended = false;
    while let Some(chunk) = log.message().await.unwrap() {
        ended = matches!(chunk.body, Some(log_chunk::Body::End(_)));
    }
    assert!(ended, "the log breaks off");

    // The old leader comes back as a follower, from its own disk, and catches up.
    group.start_replica(old);
    group.wait_for_equal_states().await;
    assert!(group.status(new).await.unwrap().serving);
    let counters = group.status(old).await.unwrap().counters.unwrap();
    assert_eq!(counters.orders_accepted, numbers.len() as u64 + 1);
}

#[tokio::test]
async fn a_leader_asked_to_stop_hands_over_first() {
    let (mut group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    session.order("BEFORE").await;
    let asked = Instant::now();
    assert!(group.terminate(old).success());
    let ended = asked.elapsed();
    let new = group.leader().await;
    let election = group.status(new).await.unwrap().elections[0];
    assert!(election.planned, "{election:?}");
    assert!(ended < Duration::from_secs(5), "{ended:?}");
    let mut session = Session::log_on(&group, new, 7).await;
    session.order("AFTER").await;
}

#[tokio::test]
async fn leadership_moves_when_asked_and_streams_end() {
    let (group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    session.order("BEFORE").await;
    let to = if old == 3 { 1 } else { 3 };
    let mut admin = AdminClient::new(group.channel(old).await.unwrap());
    let request = TransferLeaderRequest {
        to: to as u64,
        timeout_ms: 0,
    };
    let moved = admin.transfer_leader(request).await.unwrap().into_inner();
    assert_eq!(moved.leader, to as u64);
    // Heartbeats may still be on their way; then the stream ends with the reason.
    let ended = timeout(PATIENCE, async {
        loop {
            match session.answers.message().await {
                Ok(Some(_)) => {}
                other => return other.unwrap_err(),
            }
        }
    });
    assert_eq!(ended.await.unwrap().code(), tonic::Code::Unavailable);
    let refused = admin.transfer_leader(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test]
async fn a_follower_with_an_empty_disk_is_rebuilt_from_a_snapshot() {
    let (mut group, leader) = prepared().await;
    let away = (1..=3).find(|replica| *replica != leader).unwrap();
    group.kill(away);
    std::fs::remove_dir_all(group.folder.path().join(format!("data-{away}"))).unwrap();
    let mut session = Session::log_on(&group, leader, 7).await;
    for n in 0..400 {
        session.order(&format!("A{n}")).await;
    }
    group.start_replica(away);
    group.wait_for_equal_states().await;
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let (group, _) = prepared().await;
    let config = group.folder.path().join("replica-1.json");
    let mut second: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    for door in ["replication", "orders", "http"] {
        second["listen"][door] = "127.0.0.1:0".into();
    }
    let path = group.folder.path().join("second.json");
    std::fs::write(&path, second.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trading-core"))
        .args(["replica", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("another process runs on this data directory"),
        "{said}"
    );
}
