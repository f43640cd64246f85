//! Real server processes on loopback, on a real disk, in a folder of their own.
//!
//! They end with this value; a signal that ends the benchmark ends them, too, for they share its
//! process group and its `Drop` runs when the run is interrupted.

use anyhow::{Context, Result, bail, ensure};
use client::admin::AdminConnection;
use protocol::admin::ReplicaStatus;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use types::Control;

/// How long a group may take to serve.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The doors of one replica.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    replication: SocketAddr,
    /// gRPC.
    pub orders: SocketAddr,
    /// The binary protocol.
    pub binary: SocketAddr,
    http: SocketAddr,
}

/// Timers of the group.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Resolution.
    pub tick_ms: u32,
    /// How often a silent leader speaks.
    pub heartbeat_ms: u32,
    /// The preferred follower's shortest patience.
    pub election_ms_min: u32,
    /// The least preferred follower's longest patience.
    pub election_ms_max: u32,
}

/// Some replicas of one shard.
pub struct Servers {
    /// Where each is reached, by its place.
    pub doors: Vec<Doors>,
    children: Vec<Option<Child>>,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Servers {
    /// Starts so many replicas.
    ///
    /// # Errors
    /// When the program is not there or does not start.
    pub fn start(replicas: usize, timers: Timers) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("trading-core");
        ensure!(
            program.exists(),
            "failed to find {}: build it first, with the same profile: cargo build --release -p \
             server",
            program.display()
        );
        // All ports are held until all are known, so that no two are the same.
        let mut held = Vec::new();
        let mut free = || -> Result<SocketAddr> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            held.push(listener);
            Ok(address)
        };
        let doors = (0..replicas)
            .map(|_| {
                Ok(Doors {
                    replication: free()?,
                    orders: free()?,
                    binary: free()?,
                    http: free()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        drop(held);
        let mut servers = Self {
            children: doors.iter().map(|_| None).collect(),
            doors,
            program,
            folder: tempfile::tempdir().context("failed to make a folder for the journals")?,
        };
        for place in 0..replicas {
            servers.write_configuration(place, timers)?;
            servers.run(place)?;
        }
        Ok(servers)
    }

    fn write_configuration(&self, place: usize, timers: Timers) -> Result<()> {
        const CENTERS: [(&str, &str); 3] = [("a1", "A"), ("a2", "A"), ("b1", "B")];
        let members: Vec<_> = self
            .doors
            .iter()
            .zip(CENTERS)
            .enumerate()
            .map(|(at, (doors, (center, site)))| {
                serde_json::json!({
                    "replica": at + 1, "center": center, "site": site,
                    "replication": doors.replication.to_string(),
                    "orders": doors.orders.to_string(), "priority": 9 - at,
                })
            })
            .collect();
        let (doors, (center, site)) = (self.doors[place], CENTERS[place]);
        let configuration = serde_json::json!({
            "cluster": "bench", "shard": 0, "replica": place + 1, "center": center, "site": site,
            "data_directory": self.folder.path().join(format!("data-{}", place + 1)),
            "listen": {
                "replication": doors.replication.to_string(), "orders": doors.orders.to_string(),
                "binary": doors.binary.to_string(), "http": doors.http.to_string(),
            },
            "members": members, "touch_tables": true,
            "timing": {
                "tick_ms": timers.tick_ms, "heartbeat_ms": timers.heartbeat_ms,
                "election_timeout_ms_min": timers.election_ms_min,
                "election_timeout_ms_max": timers.election_ms_max,
            },
        });
        std::fs::write(self.configuration(place), configuration.to_string())?;
        Ok(())
    }

    fn configuration(&self, place: usize) -> PathBuf {
        self.folder
            .path()
            .join(format!("replica-{}.json", place + 1))
    }

    /// Starts one that does not run.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&mut self, place: usize) -> Result<()> {
        let log = self.folder.path().join(format!("log-{}", place + 1));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        let child = Command::new(&self.program)
            .arg("replica")
            .arg("--config")
            .arg(self.configuration(place))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        self.children[place] = Some(child);
        Ok(())
    }

    /// Kills one at once, as a power cut would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        let mut child = self.children[place].take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops one from running without ending it, or lets it go on: its connections stay open and
    /// silent, as behind a partition.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self, place: usize, frozen: bool) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        let child = self.children[place].as_ref().context("it does not run")?;
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(child), signal)?;
        Ok(())
    }

    /// Waits for a replica that serves, and says which.
    ///
    /// # Errors
    /// When none does in time; the text holds the replicas' last words.
    pub async fn leader(&self) -> Result<usize> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for (place, child) in self.children.iter().enumerate() {
                if child.is_some() && self.serves(place).await {
                    return Ok(place);
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        bail!("no replica serves within 20 s\n{}", self.last_words())
    }

    /// Waits until a replica other than `old` serves and all three are in step; says which serves.
    ///
    /// # Errors
    /// As [`Servers::leader`].
    pub async fn settled(&self, old: usize) -> Result<usize> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let leader = self.leader().await?;
            let status = self.admin(leader).await?.status().await?;
            if leader != old && status.serving && self.all_follow(&status).await {
                return Ok(leader);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        bail!(
            "the replicas are not in step within 20 s\n{}",
            self.last_words()
        )
    }

    /// Whether each replica says by itself that it follows in this epoch and has all. What the
    /// leader says of them is some hundred milliseconds old: one that was killed and is only
    /// starting counts as in step, and a crash of the leader would then leave no majority.
    async fn all_follow(&self, leader: &ReplicaStatus) -> bool {
        for place in 0..self.doors.len() {
            let Ok(admin) = self.admin(place).await else {
                return false;
            };
            let follows = admin.status().await.is_ok_and(|status| {
                (status.epoch, status.leader) == (leader.epoch, leader.leader)
                    && status.applied_index >= leader.commit_index
            });
            if !follows {
                return false;
            }
        }
        leader.all_voters_in_step
    }

    async fn serves(&self, place: usize) -> bool {
        let Ok(admin) = self.admin(place).await else {
            return false;
        };
        admin.status().await.is_ok_and(|status| status.serving)
    }

    /// Administration of one replica.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin(&self, place: usize) -> Result<AdminConnection> {
        let address = self.doors[place].orders.to_string();
        Ok(AdminConnection::connect(&address).await?)
    }

    /// Commits control records.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn control(&self, leader: usize, controls: &[Control]) -> Result<()> {
        let admin = self.admin(leader).await?;
        for control in controls {
            let answer = admin.control(control).await?;
            ensure!(answer.done, "{control:?} was refused: {}", answer.text);
        }
        Ok(())
    }

    /// How large a running replica's memory is, in MiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory_mib(&self, place: usize) -> Result<u64> {
        let child = self.children[place].as_ref().context("it does not run")?;
        let path = format!("/proc/{}/statm", child.id());
        let text = std::fs::read_to_string(path)?;
        let pages: u64 = text
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .context("failed to read statm")?;
        Ok(pages * 4 / 1_024)
    }

    fn last_words(&self) -> String {
        (1..=self.doors.len())
            .map(|replica| {
                let path = self.folder.path().join(format!("log-{replica}"));
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                format!("replica {replica}:\n{}\n", tail.join("\n"))
            })
            .collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
