//! The red button, and how it finds the engine.
//!
//! A running engine writes its identity into the lab's folder. Whoever presses the button asks it to
//! stop, takes back every lease itself, and says what it could not confirm within the time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chaos_faults::{Ground, Leases, Swept};
use lab::ground::state::ProcessIdentity;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// Who runs what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The engine.
    pub engine: ProcessIdentity,
    /// The scenario.
    pub scenario: String,
}

fn path(ground: &Ground) -> PathBuf {
    ground.folder().path().join("chaos").join("engine.json")
}

/// Tells others what runs here, until dropped.
#[derive(Debug)]
pub struct Announcement(PathBuf);

impl Announcement {
    /// Writes it down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(ground: &Ground, scenario: &str) -> Result<Self> {
        let path = path(ground);
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let engine = ProcessIdentity::of(own).context("failed to see this process")?;
        let running = Running {
            engine,
            scenario: scenario.to_owned(),
        };
        fs::create_dir_all(path.parent().context("failed to find the chaos folder")?)?;
        fs::write(&path, serde_json::to_string_pretty(&running)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // One that stays names a process that is no more, which readers check.
        let _ = fs::remove_file(&self.0);
    }
}

/// What runs now.
#[must_use]
pub fn running(ground: &Ground) -> Option<Running> {
    let text = fs::read_to_string(path(ground)).ok()?;
    let running: Running = serde_json::from_str(&text).ok()?;
    running.engine.is_alive().then_some(running)
}

/// What pressing the button did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pressed {
    /// The scenario that was asked to stop.
    pub stopped: Option<String>,
    /// Every lease that was found, and what became of it.
    pub leases: Vec<Swept>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Ends everything: asks the engine to stop, and takes back every lease.
///
/// # Errors
/// When the leases cannot be listed.
pub async fn stop_all(ground: &Ground, limit: Duration) -> Result<Pressed> {
    let began = std::time::Instant::now();
    let running = running(ground);
    if let Some(running) = &running
        && let Some(pid) = Pid::from_raw(running.engine.pid)
    {
        // It may have ended since it was looked at.
        let _ = kill_process(pid, Signal::TERM);
    }
    let leases = Leases::open(&ground.leases_folder())?
        .sweep(ground, limit)
        .await?;
    Ok(Pressed {
        stopped: running.map(|it| it.scenario),
        leases,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
