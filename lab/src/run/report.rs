//! The result of a run: what is printed, and the same as JSON.

use super::legs::{Legs, Moments};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Version of the JSON form; a reader refuses another.
pub const REPORT_FORMAT: u32 = 1;

/// One verdict over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Every check held.
    Passed,
    /// A check did not hold.
    Failed,
    /// There was not enough to judge by.
    Inconclusive,
}

/// How the leader's center was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The lab cut the center's link and then its power.
    CenterPowerOff,
    /// Every API server and etcd was killed before; then the leader's process was, by SIGKILL.
    LeaderProcessWithoutControlPlanes,
    /// On clusters that are not the lab's: the center's trading pods were deleted by force.
    TradingPodsDeleted,
    /// Nothing was destroyed: a `Switchover` moved the leader.
    PlannedMove,
    /// The lab took the power of both centers of the leader's site; a `Takeover` moved trading.
    SitePowerOff,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: u32,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What did not hold or could not be judged, in words.
    pub findings: Vec<String>,
    /// The machine, as far as it matters for the figures.
    pub machine: Machine,
    /// What was destroyed, and how.
    pub fault: FaultReport,
    /// The moments of the failover.
    pub moments: Moments,
    /// The legs; absent when a moment was not observed.
    pub legs: Option<Legs>,
    /// Fault to 90 % of the offered rate acknowledged again.
    pub full_load_us: Option<u64>,
    /// The longest time, from the fault on, in which no client saw an order accepted: what all
    /// clients together felt of it. Absent when none was accepted after it.
    #[serde(default)]
    pub longest_silence_us: Option<u64>,
    /// Orders, as clients and the promoted log tell them.
    pub orders: Orders,
    /// The center's way back.
    pub recovery: Option<Recovery>,
    /// How long each step of the run took, in order.
    pub steps: Vec<Step>,
}

/// The machine that a figure was measured on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Logical processors.
    pub processors: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
}

/// What was destroyed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultReport {
    /// How.
    pub kind: Fault,
    /// The center.
    pub center: String,
    /// The replica that led, and its epoch.
    pub old_leader: u64,
    /// Epoch before.
    pub old_epoch: u64,
    /// The replica that leads now.
    pub new_leader: u64,
    /// Its center.
    pub new_center: String,
    /// Epoch after.
    pub new_epoch: u64,
}

/// Orders over the whole run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Offered rate over all clients.
    pub offered_per_second: u64,
    /// Client processes and sessions.
    pub client_processes: usize,
    /// Sessions over all of them.
    pub sessions: usize,
    /// Requests sent.
    pub sent: u64,
    /// Requests that clients saw answered.
    pub acknowledged: u64,
    /// Of those, refused with a reason.
    pub rejected: u64,
    /// Requests whose outcome the client does not know.
    pub unknown: u64,
    /// Acknowledged, and not so in the promoted log. The RPO in orders.
    pub lost: u64,
    /// In effect more than once.
    pub doubled: u64,
    /// Median, 99th percentile and largest latency before the fault, from the intended send time.
    pub latency_before_us: Option<Percentiles>,
}

/// Latencies.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// The destroyed center's way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// Power on to its replica being a follower in step with an equal state hash.
    pub caught_up_ms: u64,
    /// Power on to all conditions of its TradingCore True.
    pub conditions_true_ms: u64,
    /// Index at which the hashes were found equal.
    pub hashes_equal_at_index: u64,
}

/// One step of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What it did.
    pub name: String,
    /// How long it took.
    pub took_ms: u64,
}

fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}

impl Report {
    /// The table that `lab run` ends with.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:<28}{value:>16}");
        };
        match self.legs {
            Some(legs) => {
                for (name, us) in legs.named() {
                    row(name, &milliseconds(us));
                }
                row("RTO (first order accepted)", &milliseconds(legs.rto_us));
            }
            None => row("legs", "not observed"),
        }
        let full_load = self
            .full_load_us
            .map_or_else(|| "not reached".to_owned(), milliseconds);
        row("full load again", &full_load);
        let silence = self
            .longest_silence_us
            .map_or_else(|| "not observed".to_owned(), milliseconds);
        row("longest silence for clients", &silence);
        row("RPO (orders lost)", &self.orders.lost.to_string());
        row("orders sent", &self.orders.sent.to_string());
        row("  acknowledged", &self.orders.acknowledged.to_string());
        row("  of these rejected", &self.orders.rejected.to_string());
        row("  unknown", &self.orders.unknown.to_string());
        row("  lost", &self.orders.lost.to_string());
        row("  doubled", &self.orders.doubled.to_string());
        if let Some(recovery) = &self.recovery {
            row(
                "center back, caught up",
                &milliseconds(recovery.caught_up_ms * 1_000),
            );
            row(
                "center back, all True",
                &milliseconds(recovery.conditions_true_ms * 1_000),
            );
        }
        let fault = &self.fault;
        let how = match fault.kind {
            Fault::CenterPowerOff => "lost its link and its power",
            Fault::LeaderProcessWithoutControlPlanes => {
                "lost its leader's process, after every control plane"
            }
            Fault::TradingPodsDeleted => "lost its trading pods",
            Fault::PlannedMove => "handed over as planned",
            Fault::SitePowerOff => {
                "lost its power with its whole site, and the other site took over"
            }
        };
        let mut head = format!(
            "\n  {} {how}; leader {} (epoch {}) -> {} in {} (epoch {})\n\n",
            fault.center,
            fault.old_leader,
            fault.old_epoch,
            fault.new_leader,
            fault.new_center,
            fault.new_epoch
        );
        head.push_str(&out);
        let _ = writeln!(head, "\n  {:?}", self.verdict);
        for finding in &self.findings {
            let _ = writeln!(head, "  - {finding}");
        }
        head
    }
}
