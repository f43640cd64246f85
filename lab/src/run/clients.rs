//! The order load: client processes of their own, started, watched and stopped.

use super::centers::Centers;
use super::report::Percentiles;
use crate::ground::cgroup::{self, Group};
use crate::ground::power::now_us;
use crate::load::Sample;
use crate::progress::Detail;
use anyhow::{Context as _, Result, bail};
use history::{History, read_history};
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader as AsyncBufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// First account of the load; each process has the next thousand.
const FIRST: u64 = 1_000;
const NUMBERS_PER_PROCESS: u64 = 1_000;
/// A process drains for up to 5 s after it was asked to stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Over which time a rate is measured.
const RATE_WINDOW: Duration = Duration::from_millis(1_000);
/// Samples kept of each process; they come every 200 ms.
const SAMPLES_KEPT: usize = 64;
const LOOK: Duration = Duration::from_millis(50);

/// What the clients offer, all together.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Client processes.
    pub processes: usize,
    /// Sessions in each.
    pub sessions_per_process: usize,
    /// Orders a second, over all of them.
    pub per_second: u64,
    /// Seed; the same seed sends the same orders.
    pub seed: u64,
}

type Samples = Arc<Mutex<VecDeque<Sample>>>;

struct Process {
    number: usize,
    child: Child,
    samples: Samples,
    history: PathBuf,
    log: PathBuf,
}

/// The running client processes. Dropping them kills them.
pub struct Clients(Vec<Process>);

/// Opens the accounts that the offer trades with, and lists what they trade.
///
/// # Errors
/// When the core refuses.
pub async fn prepare(centers: &Centers, offer: &Offer) -> Result<()> {
    let addresses: Vec<String> = centers
        .all
        .iter()
        .map(|c| c.administration.clone())
        .collect();
    for process in 0..offer.processes {
        let first = FIRST + process as u64 * NUMBERS_PER_PROCESS;
        crate::load::prepare(&addresses, first, offer.sessions_per_process as u64).await?;
    }
    Ok(())
}

impl Clients {
    /// Starts them.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub async fn start(centers: &Centers, offer: &Offer, folder: &Path) -> Result<Self> {
        let histories = folder.join("histories");
        // Those of an earlier run must not be judged with this one's.
        if histories.exists() {
            std::fs::remove_dir_all(&histories)
                .with_context(|| format!("failed to remove {}", histories.display()))?;
        }
        std::fs::create_dir_all(&histories)
            .with_context(|| format!("failed to create {}", histories.display()))?;
        let program = crate::own_program().context("failed to find the lab's program")?;
        let mut processes = Vec::new();
        // Sessions live as long as the log: each run has its own.
        let run = now_us() / 1_000_000 * NUMBERS_PER_PROCESS * offer.processes as u64;
        for number in 0..offer.processes {
            let first = FIRST + number as u64 * NUMBERS_PER_PROCESS;
            let history = histories.join(format!("client-{number}.jsonl"));
            let log = histories.join(format!("client-{number}.log"));
            let share = offer.per_second as f64 / offer.processes as f64;
            let mut command = Command::new(&program);
            if cgroup::is_there(&Group::clients()) {
                // Whatever becomes of us, `lab down` finds them there.
                command.args(["in-group", "clients", "--"]).arg(&program);
            }
            command.args(["load", "client"]);
            // Each begins with another entry, so that all are used.
            for offset in 0..centers.all.len() {
                let center = &centers.all[(number + offset) % centers.all.len()];
                command.args(["--entry", &center.entry]);
            }
            command
                .args(["--session", &(run + first).to_string()])
                .args(["--sessions", &offer.sessions_per_process.to_string()])
                .args(["--account", &first.to_string()])
                .args(["--rate", &share.to_string()])
                .args(["--seed", &(offer.seed + number as u64).to_string()])
                .arg("--history")
                .arg(&history)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(
                    File::create(&log)
                        .with_context(|| format!("failed to create {}", log.display()))?,
                )
                .kill_on_drop(true);
            let mut child = command
                .spawn()
                .context("failed to start a client process")?;
            let output = child
                .stdout
                .take()
                .context("failed to read a client process")?;
            let samples = Samples::default();
            let sink = samples.clone();
            // Ends with the process, whose output it reads.
            tokio::spawn(async move {
                let mut lines = AsyncBufReader::new(output).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Ok(sample) = serde_json::from_str::<Sample>(&line) {
                        let mut samples = sink.lock().unwrap_or_else(PoisonError::into_inner);
                        samples.push_back(sample);
                        if samples.len() > SAMPLES_KEPT {
                            samples.pop_front();
                        }
                    }
                }
            });
            processes.push(Process {
                number,
                child,
                samples,
                history,
                log,
            });
        }
        Ok(Self(processes))
    }

    /// Waits until so many orders a second are acknowledged.
    ///
    /// # Errors
    /// When they are not within `limit`, or a client process ended.
    pub async fn wait_for_rate(
        &mut self,
        per_second: u64,
        limit: Duration,
        detail: &Detail,
    ) -> Result<()> {
        self.wait(limit, detail, |rate, _| rate >= per_second)
            .await
            .with_context(|| format!("{per_second} acknowledged orders a second were waited for"))
    }

    /// Waits until every process had an order accepted in an epoch.
    ///
    /// # Errors
    /// When one has not within `limit`, or ended.
    pub async fn wait_for_epoch(
        &mut self,
        epoch: u64,
        limit: Duration,
        detail: &Detail,
    ) -> Result<()> {
        self.wait(limit, detail, |_, newest| {
            newest
                .iter()
                .all(|sample| sample.epoch >= epoch && sample.epoch_first_ack_us > 0)
        })
        .await
        .with_context(|| format!("orders accepted in epoch {epoch} were waited for"))
    }

    /// Lets the load go on for a while.
    ///
    /// # Errors
    /// When a client process ended.
    pub async fn watch_for(&mut self, time: Duration, detail: &Detail) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now()).as_secs();
            detail.set(format!("{}; {left} s left", self.summary()));
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn wait(
        &mut self,
        limit: Duration,
        detail: &Detail,
        reached: impl Fn(u64, &[Sample]) -> bool,
    ) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            self.check()?;
            let newest = self.newest();
            if newest.len() == self.0.len() && reached(self.rate(), &newest) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "it did not happen within {} s: {}",
                    limit.as_secs(),
                    self.summary()
                );
            }
            detail.set(self.summary());
            sleep(LOOK).await;
        }
    }

    fn check(&mut self) -> Result<()> {
        for process in &mut self.0 {
            if let Ok(Some(status)) = process.child.try_wait() {
                let log = std::fs::read_to_string(&process.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                bail!(
                    "client process {} ended ({status}): {}",
                    process.number,
                    last.join(" / ")
                );
            }
        }
        Ok(())
    }

    fn newest(&self) -> Vec<Sample> {
        let newest = self.0.iter().filter_map(|process| {
            let samples = process
                .samples
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            samples.back().cloned()
        });
        newest.collect()
    }

    /// Orders acknowledged a second, over the last second; 0 until a second of each process is known.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let rates = self.0.iter().map(|process| {
            let samples = process
                .samples
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            rate_of(samples.iter())
        });
        rates.sum()
    }

    /// Sent, acknowledged and in flight, over all processes that have told anything.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        self.newest().iter().fold((0, 0, 0), |sums, sample| {
            (
                sums.0 + sample.sent,
                sums.1 + sample.acknowledged,
                sums.2 + sample.in_flight,
            )
        })
    }

    /// The load in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let newest = self.newest();
        let latency = self.latency().unwrap_or_default();
        format!(
            "{} acknowledged/s, {} in flight, p99 {:.1} ms",
            self.rate(),
            newest.iter().map(|sample| sample.in_flight).sum::<u64>(),
            latency.p99_us as f64 / 1e3
        )
    }

    /// The slowest process' latencies; percentiles of several cannot be added up.
    #[must_use]
    pub fn latency(&self) -> Option<Percentiles> {
        let slowest = self
            .newest()
            .into_iter()
            .max_by_key(|sample| sample.p99_us)?;
        Some(Percentiles {
            p50_us: slowest.p50_us,
            p99_us: slowest.p99_us,
            max_us: slowest.max_us,
        })
    }

    /// Stops all and reads what they wrote down.
    ///
    /// # Errors
    /// When one does not stop, or its history cannot be read.
    pub async fn stop(mut self, detail: &Detail) -> Result<Vec<History>> {
        for process in &self.0 {
            if let Some(pid) = process.child.id()
                && let Some(pid) = rustix::process::Pid::from_raw(pid as i32)
            {
                // One that has ended is found below.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        detail.set("clients finish what is open");
        let mut histories = Vec::new();
        for process in &mut self.0 {
            let number = process.number;
            let status = timeout(STOP_LIMIT, process.child.wait())
                .await
                .with_context(|| format!("client process {number} did not stop"))??;
            if !status.success() {
                bail!(
                    "client process {number} failed: {status}; see {}",
                    process.log.display()
                );
            }
            let file = File::open(&process.history)
                .with_context(|| format!("failed to open {}", process.history.display()))?;
            let read = read_history(BufReader::new(file))
                .with_context(|| format!("failed to read {}", process.history.display()))?;
            histories.push(read);
        }
        Ok(histories)
    }
}

fn rate_of<'a>(samples: impl DoubleEndedIterator<Item = &'a Sample> + Clone) -> u64 {
    let Some(newest) = samples.clone().next_back() else {
        return 0;
    };
    let Some(since) = newest.at_us.checked_sub(RATE_WINDOW.as_micros() as u64) else {
        return 0;
    };
    let mut older = samples.rev().skip_while(|sample| sample.at_us > since);
    let Some(older) = older.next() else { return 0 };
    let span_us = newest.at_us.saturating_sub(older.at_us).max(1);
    newest.acknowledged.saturating_sub(older.acknowledged) * 1_000_000 / span_us
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, acknowledged: u64) -> Sample {
        Sample {
            at_us: at_ms * 1_000,
            acknowledged,
            ..Sample::default()
        }
    }

    #[test]
    fn a_rate_needs_a_whole_second() {
        let samples: Vec<Sample> = (0..4).map(|n| sample(n * 200, n * 20)).collect();
        assert_eq!(rate_of(samples.iter()), 0);
        let samples: Vec<Sample> = (0..8).map(|n| sample(n * 200, n * 20)).collect();
        assert_eq!(rate_of(samples.iter()), 100);
    }
}
