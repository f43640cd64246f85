//! A card with its feed, and snapshots made by hand.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use card_agent::watch::{Cards, Snapshot};
use card_health::{CardAddress, CrossCheckCounts, Judgement, Reading, Reason, State, Verdict};
use card_simulated::{BITSTREAM, Fault, Faults, write_faults};
use jiff::Timestamp;
use marketdata::itch::{Generator, Mix};
use marketdata::mold::{PacketBuilder, Session};

/// Far more than any change takes on a machine that does something else too.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub fn address() -> CardAddress {
    "0000:81:00.0".parse().unwrap()
}

pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never came: {what}");
        // A file's content cannot be waited for.
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The simulated card's program, which cargo does not build for another package's tests.
fn simulated_card() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // As the whole workspace is built for its tests, so that nothing is compiled twice.
        cargo.args(["build", "--quiet", "--locked", "--workspace"]);
        cargo.args(["--bin", "tricenter-simulated-card"]);
        lab_parts::leave_package(&mut cargo);
        assert!(cargo.status().unwrap().success());
        let agent = Path::new(env!("CARGO_BIN_EXE_tricenter-card-agent"));
        agent.with_file_name("tricenter-simulated-card")
    })
}

/// A process that ends with its owner.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulated card and an agent, each a process, and a feed.
pub struct World {
    pub metrics: SocketAddr,
    feeds: Arc<AtomicBool>,
    // Dropped in this order: both processes before the folder they write in.
    _card: Process,
    _agent: Process,
    folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.feeds.store(false, Ordering::Relaxed);
    }
}

impl World {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut card = Command::new(simulated_card())
            .args(["run", "--address", "0000:81:00.0"])
            .args([
                Path::new("--root"),
                &path("root"),
                Path::new("--faults"),
                &path("faults"),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(card.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let feed: SocketAddr = line.rsplit(' ').next().unwrap().trim().parse().unwrap();
        let configuration = format!(
            "health: {{approvedBitstreams: [{BITSTREAM}], recoverMs: 200, holdMs: 1000, \
             temperatureTrend: {{stuckMs: 1000}}}}"
        );
        std::fs::write(path("cards.yaml"), configuration).unwrap();
        let mut agent = Command::new(env!("CARGO_BIN_EXE_tricenter-card-agent"))
            .args(["--node", "n1", "--listen", "127.0.0.1:0"])
            .args([
                Path::new("--root"),
                &path("root"),
                Path::new("--verdicts"),
                &path("verdicts"),
            ])
            .args([Path::new("--configuration"), &path("cards.yaml")])
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let metrics = listening(&mut agent);
        let feeds = Arc::new(AtomicBool::new(true));
        send(feed, Arc::clone(&feeds));
        Self {
            folder,
            metrics,
            _card: Process(card),
            _agent: Process(agent),
            feeds,
        }
    }

    pub fn faults(&self, faults: &[Fault]) {
        let faults: Faults = faults.iter().copied().collect();
        write_faults(&self.folder.path().join("faults"), &faults).unwrap();
    }

    /// The verdict that stands.
    pub fn verdict(&self) -> Option<Verdict> {
        let path = self.folder.path().join("verdicts/0000-81-00-0.json");
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    pub fn until(&self, state: State, reason: Reason) -> Verdict {
        let mut last = None;
        until(&format!("{state} for {reason}"), || {
            let verdict = self.verdict()?;
            if last.as_ref() != Some(&(verdict.state.clone(), verdict.reason.clone())) {
                println!("{} {}", verdict.state, verdict.reason);
                last = Some((verdict.state.clone(), verdict.reason.clone()));
            }
            (verdict.state == state.as_str() && verdict.reason == reason.as_str())
                .then_some(verdict)
        })
    }
}

/// Where an agent listens, as it says itself when it has started: a port chosen for it beforehand
/// may be somebody else's by then. Its later lines are read away, so that it never waits for a
/// reader.
fn listening(agent: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            line["fields"]["listening"].as_str()?.parse().ok()
        })
        .expect("the agent ended before it listened; its error stands above");
    std::thread::spawn(move || lines.count());
    address
}

/// Sends a feed, 200 packets of a few messages a second, until told to stop.
fn send(feed: SocketAddr, feeds: Arc<AtomicBool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    std::thread::spawn(move || {
        let mut day = Generator::new(1, 4, Mix::default());
        let (mut next, mut bytes) = (1_u64, Vec::new());
        while feeds.load(Ordering::Relaxed) {
            let mut packet = PacketBuilder::new(Session(*b"0000000001"), next, 1_400);
            for message in day.by_ref().take(10) {
                bytes.clear();
                message.encode(&mut bytes);
                assert!(packet.push(&bytes));
                next += 1;
            }
            let _ = socket.send_to(&packet.finish(), feed);
            // The feed's pace.
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// One card in a state, as the agent would know it.
pub fn cards(state: State, reason: Reason) -> Cards {
    let snapshot = Snapshot {
        reading: Some(Reading {
            is_present: true,
            numa_node: Some(1),
            temperature_millidegrees: Some(61_000),
            ..Reading::default()
        }),
        judgement: Some(Judgement {
            state,
            reason,
            text: "as the test wants it".to_owned(),
            since_ms: 0,
            findings: Vec::new(),
        }),
        since: Timestamp::now(),
        read_at: Some(Timestamp::now()),
        compared: CrossCheckCounts::default(),
        beat: 1,
        unread: 0,
    };
    Cards::from([(address(), snapshot)])
}
