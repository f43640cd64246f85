//! What is written down of one run: all that its verdict rests on.

use std::path::Path;

use anyhow::{Context as _, Result};
use chaos_scenario::{Experiment, Plan, Scenario, Verdict};
use lab::run::legs::{Legs, Moments};
use lab::run::report::Machine;
use serde::{Deserialize, Serialize};

/// Version of the form; a reader refuses another.
pub const EVIDENCE_FORMAT: u32 = 1;

/// One run of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// [`EVIDENCE_FORMAT`].
    pub format: u32,
    /// The scenario as it was read.
    pub scenario: Scenario,
    /// Its victims.
    pub plan: Plan,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How it came out.
    pub verdict: Verdict,
    /// The experiment with its faults, probes and readings.
    pub experiment: Experiment,
    /// The leader before and after.
    pub leaders: Leaders,
    /// The longest time in which no client saw an order accepted, from the injection on, in
    /// milliseconds; absent when there was nothing to measure by.
    pub longest_silence_ms: Option<u64>,
    /// The failover taken apart, where another replica leads afterwards and every moment was seen.
    pub legs: Option<Legs>,
    /// Its moments.
    pub moments: Option<Moments>,
    /// Orders over the run.
    pub orders: Orders,
    /// What was seen twice a second.
    pub timeline: Vec<Look>,
    /// What happened when, in milliseconds after the beginning.
    pub log: Vec<(u64, String)>,
    /// The machine that the figures are of.
    pub machine: Machine,
}

/// Who led.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaders {
    /// The center before the injection.
    pub before: String,
    /// Its epoch.
    pub epoch_before: u64,
    /// The center at the end.
    pub after: String,
    /// Its epoch.
    pub epoch_after: u64,
}

/// Orders as clients and the log tell them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// Offered a second.
    pub offered_per_second: u64,
    /// Requests sent.
    pub sent: u64,
    /// Answered.
    pub acknowledged: u64,
    /// Of these, refused with a reason.
    pub rejected: u64,
    /// Whose answer no client saw.
    pub unknown: u64,
    /// Acknowledged and not in the log.
    pub lost: u64,
    /// In effect more than once.
    pub doubled: u64,
    /// Told otherwise than the log says.
    pub contradictions: u64,
}

/// One look at the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Milliseconds after the injection began.
    pub at_ms: u64,
    /// Acknowledged a second, over the last second.
    pub per_second: u64,
    /// Waiting for their answer.
    pub in_flight: u64,
    /// 99th percentile of the last seconds, in microseconds.
    pub p99_us: u64,
}

/// Writes evidence so that a reader sees all of it or none.
///
/// # Errors
/// When the file cannot be written.
pub fn write(evidence: &Evidence, path: &Path) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let draft = path.with_extension("draft");
    std::fs::write(&draft, serde_json::to_string_pretty(evidence)? + "\n").with_context(failed)?;
    std::fs::rename(&draft, path).with_context(failed)
}

/// Reads one.
///
/// # Errors
/// When it is none, or of another form.
pub fn read(path: &Path) -> Result<Evidence> {
    let failed = || format!("failed to read {}", path.display());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let evidence: Evidence = serde_json::from_str(&text).with_context(failed)?;
    anyhow::ensure!(
        evidence.format == EVIDENCE_FORMAT,
        "failed to read {}: format {} is not accepted: use {EVIDENCE_FORMAT}",
        path.display(),
        evidence.format
    );
    Ok(evidence)
}
