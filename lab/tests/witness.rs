//! The load over a real core on loopback: leaders are killed while orders flow, and what clients saw
//! is held against the log. Needs no root.

#![allow(clippy::unwrap_used, clippy::panic)]

use client::admin::AdminConnection;
use history::{Log, check, read_history};
use protocol::admin::{ReplicaStatus, log_chunk};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use types::{Control, Epoch, LogIndex};

const PATIENCE: Duration = Duration::from_secs(120);
const SILENCE_MS_MAX: u64 = 10_000;

/// Cargo builds the core for the tests of its own package only.
fn trading_core() -> PathBuf {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            // As the whole workspace is built for its tests, so that nothing is compiled twice.
            "--workspace",
            "--bin",
            "trading-core",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    lab_parts::leave_package(&mut cargo);
    let built = cargo.status().unwrap();
    assert!(built.success(), "failed to build trading-core");
    Path::new(env!("CARGO_BIN_EXE_lab")).with_file_name("trading-core")
}

/// Three replicas and two gateways.
struct Core {
    program: PathBuf,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    replicas: Vec<Option<Child>>,
    gateways: Vec<Child>,
}

impl Core {
    fn start(program: PathBuf) -> Self {
        // All ports are held until all are known, so that no two are the same.
        let held: Vec<_> = (0..13)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = held
            .iter()
            .map(|it| it.local_addr().unwrap().port())
            .collect();
        drop(held);
        let mut core = Self {
            program,
            folder: tempfile::tempdir().unwrap(),
            ports,
            replicas: Vec::new(),
            gateways: Vec::new(),
        };
        core.replicas = (0..3)
            .map(|place| Some(core.start_replica(place)))
            .collect();
        core.gateways = (0..2).map(|place| core.start_gateway(place)).collect();
        core
    }

    /// Replicas have three ports each, gateways two.
    fn address(&self, port: usize) -> String {
        format!("127.0.0.1:{}", self.ports[port])
    }

    fn orders(&self) -> Vec<String> {
        (0..3).map(|place| self.address(place * 3 + 1)).collect()
    }

    fn entries(&self) -> Vec<String> {
        (0..2).map(|place| self.address(9 + place * 2)).collect()
    }

    fn start_replica(&self, place: usize) -> Child {
        let members: Vec<Value> = (0..3)
            .map(|other| {
                json!({
                    "replica": other + 1, "center": "a1", "site": "A", "priority": 3 - other,
                    "replication": self.address(other * 3), "orders": self.address(other * 3 + 1),
                })
            })
            .collect();
        let config = json!({
            "cluster": "test", "shard": 0, "replica": place + 1, "center": "a1", "site": "A",
            "data_directory": self.folder.path().join(format!("data-{place}")),
            "listen": {
                "replication": self.address(place * 3),
                "orders": self.address(place * 3 + 1),
                "http": self.address(place * 3 + 2),
            },
            "members": members,
        });
        self.spawn("replica", place, &config)
    }

    fn start_gateway(&self, place: usize) -> Child {
        let replicas: Vec<Value> = self
            .orders()
            .into_iter()
            .enumerate()
            .map(|(other, orders)| json!({"replica": other + 1, "center": "a1", "orders": orders}))
            .collect();
        let config = json!({
            "cluster": "test", "shard": 0, "center": "a1", "replicas": replicas,
            "listen": {
                "grpc": self.address(9 + place * 2),
                "http": self.address(10 + place * 2),
            },
        });
        self.spawn("gateway", place, &config)
    }

    fn spawn(&self, kind: &str, place: usize, config: &Value) -> Child {
        let path = self.folder.path().join(format!("{kind}-{place}.json"));
        std::fs::write(&path, config.to_string()).unwrap();
        let log = self.folder.path().join(format!("{kind}-{place}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        Command::new(&self.program)
            .args([kind, "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn leader(&self) -> Option<(usize, ReplicaStatus)> {
        for (place, address) in self.orders().iter().enumerate() {
            if self.replicas[place].is_some()
                && let Ok(connection) = AdminConnection::connect(address).await
                && let Ok(status) = connection.status().await
                && status.serving
            {
                return Some((place, status));
            }
        }
        None
    }

    /// Waits until all three confirm entries, and kills the one that leads.
    async fn kill_leader(&mut self) -> usize {
        let place = loop {
            match self.leader().await {
                Some((place, status)) if status.all_voters_in_step => break place,
                _ => sleep(Duration::from_millis(20)).await,
            }
        };
        self.replicas[place].take().unwrap().kill().await.unwrap();
        place
    }
}

/// A client process, as the lab runs them.
struct Load {
    child: Child,
    lines: Lines<tokio::io::BufReader<ChildStdout>>,
    history: PathBuf,
}

impl Load {
    fn start(core: &Core, number: u64) -> Self {
        let history = core.folder.path().join(format!("history-{number}"));
        let mut entries = core.entries();
        entries.rotate_left(number as usize % 2);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(["load", "client", "--rate", "150", "--sessions", "3"]);
        for entry in entries {
            command.args(["--entry", &entry]);
        }
        for (name, value) in [
            ("--session", 1 + number * 10),
            ("--account", 1 + number * 10),
            ("--seed", number),
        ] {
            command.args([name, &value.to_string()]);
        }
        let mut child = command
            .arg("--history")
            .arg(&history)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            history,
        }
    }

    /// Reads on until a line shows what is wanted; `None` when there are no more.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut last = None;
        while let Some(line) = self.lines.next_line().await.unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return Some(line);
            }
            last = Some(line);
        }
        panic!("the load ended before what was waited for; last: {last:?}");
    }

    /// Waits for so many answers in an epoch above this one, and gives the epoch.
    async fn answered_after(&mut self, epoch: u64, more: u64) -> u64 {
        let is_new = |line: &Value| {
            line["epoch"].as_u64().unwrap() > epoch && line["epoch_first_ack_us"] != json!(0)
        };
        let first = self.until(is_new).await.unwrap();
        let wanted = first["acknowledged"].as_u64().unwrap() + more;
        let enough = |line: &Value| line["acknowledged"].as_u64().unwrap() >= wanted;
        self.until(enough).await.unwrap()["epoch"].as_u64().unwrap()
    }

    /// Asks it to end, and gives its last line.
    async fn stop(mut self) -> (Value, PathBuf) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut last = Value::Null;
        while let Some(line) = self.lines.next_line().await.unwrap() {
            last = serde_json::from_str(&line).unwrap();
        }
        assert!(self.child.wait().await.unwrap().success());
        (last, self.history)
    }
}

/// Puts a mark in the log behind all that was answered, and reads up to it: a replica reads its log
/// to you as far as it last published, which may be a little behind.
async fn read_log(address: &str) -> Log {
    let connection = AdminConnection::connect(address).await.unwrap();
    let mark = Control::ReleaseMaintenance {
        holder: "witness".to_owned(),
    };
    let mark = connection.control(&mark).await.unwrap().log_index;
    while connection.status().await.unwrap().applied_index < mark {
        sleep(Duration::from_millis(20)).await;
    }
    let mut reader = connection.read_log(LogIndex(1)).await.unwrap();
    let mut log = Log::new();
    let mut ended = false;
    while let Some(chunk) = reader.next(SILENCE_MS_MAX).await.unwrap() {
        match chunk.body.unwrap() {
            log_chunk::Body::Entry(entry) => log
                .entry(LogIndex(entry.index), Epoch(entry.epoch), &entry.batch)
                .unwrap(),
            log_chunk::Body::End(end) => {
                log.compare(&end.history_hash).unwrap();
                ended = true;
            }
            log_chunk::Body::Snapshot(snapshot) => {
                panic!("the log begins after entry {}", snapshot.index)
            }
        }
    }
    assert!(ended, "the log breaks off");
    log
}

async fn witness(program: PathBuf) {
    let mut core = Core::start(program);
    lab::load::prepare(&core.orders(), 1, 30).await.unwrap();
    let mut loads: Vec<Load> = (0..2).map(|number| Load::start(&core, number)).collect();
    let mut epoch = loads[0].answered_after(0, 150).await;
    for _ in 0..2 {
        let killed = core.kill_leader().await;
        epoch = loads[0].answered_after(epoch, 100).await;
        core.replicas[killed] = Some(core.start_replica(killed));
    }
    let (mut sent, mut histories) = (0, Vec::new());
    for load in loads {
        let (last, path) = load.stop().await;
        assert_eq!(last["in_flight"], json!(0), "{last}");
        sent += last["sent"].as_u64().unwrap();
        histories.push(read_history(BufReader::new(File::open(path).unwrap())).unwrap());
    }
    let (leader, _) = core.leader().await.unwrap();
    let log = read_log(&core.orders()[leader]).await;
    let verdict = check(&log, &histories);
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!((verdict.sent, verdict.unknown), (sent, 0), "{verdict:#?}");
    assert!(verdict.acknowledged > 500, "{verdict:#?}");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_doubled_when_leaders_are_killed() {
    // Compiling takes as long as it takes.
    let program = trading_core();
    let witness = timeout(PATIENCE, witness(program));
    witness.await.expect("it ends in time");
}
