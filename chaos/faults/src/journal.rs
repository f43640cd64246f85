//! Damage to a replica's journal while the replica is down.
//!
//! ```text
//!   kubelet stopped ─► replica killed ─► files changed ─► kubelet started ─► the replica comes back
//! ```
//!
//! What is damaged stays damaged: that is the experiment. What is taken back is the stopped kubelet;
//! what proves the recovery is the replica itself, which must come back in step with an equal state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos_scenario::{JournalDamage, ProcessKind};
use lab::ground::address_plan::Center;
use lab::ground::components::Component;
use lab::ground::power;
use lab::ground::state::ProcessIdentity;
use lab::ground::volumes;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, look_until};
use crate::process::send_all;

const DEATH_LIMIT: Duration = Duration::from_secs(5);
/// Bytes overwritten at the end of what was written.
const TAIL_BYTES: usize = 512;

/// Damage in one center.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// The center.
    pub center: Center,
    /// How.
    pub damage: JournalDamage,
}

/// Where, and who used it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// The replica's folder.
    pub volume: PathBuf,
    /// The replica's processes.
    pub processes: Vec<ProcessIdentity>,
    /// Where what was done is written down.
    pub evidence: PathBuf,
}

impl Strike {
    pub(crate) async fn prepare(&self, ground: &Ground) -> Result<Inverse, String> {
        let volumes = ground.folder().disk(self.center).join(volumes::FOLDER);
        let used = fs::read_dir(&volumes)
            .map_err(|error| format!("{}: {error}", volumes.display()))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("lock").exists() && newest(path, "segment-").is_some());
        let volume = used.ok_or_else(|| format!("no journal is below {}", volumes.display()))?;
        if self.damage == JournalDamage::DamagedSnapshot && newest(&volume, "snapshot-").is_none() {
            return Err("there is no snapshot yet".to_owned());
        }
        let processes = ground.processes(self.center, ProcessKind::Replica).await?;
        if processes.is_empty() {
            return Err("no replica runs".to_owned());
        }
        let evidence = ground
            .folder()
            .path()
            .join("chaos")
            .join(format!("journal-{}.txt", self.center));
        // What an earlier experiment did must not speak for this one.
        match fs::remove_file(&evidence) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", evidence.display()));
            }
            _ => {}
        }
        Ok(Inverse {
            volume,
            processes,
            evidence,
        })
    }

    pub(crate) async fn apply(&self, inverse: &Inverse, ground: &Ground) -> Result<(), String> {
        power::stop_component(ground.folder(), self.center, Component::Kubelet)
            .await
            .map_err(|error| format!("{error:#}"))?;
        send_all(&inverse.processes, Signal::KILL);
        look_until(DEATH_LIMIT, || async {
            match inverse.processes.iter().all(|process| !process.is_alive()) {
                true => Ok(()),
                false => Err("the replica does not die".to_owned()),
            }
        })
        .await?;
        let done = damage(&inverse.volume, self.damage)?;
        fs::write(&inverse.evidence, &done)
            .map_err(|error| format!("{}: {error}", inverse.evidence.display()))?;
        self.recover(ground).await
    }

    pub(crate) async fn recover(&self, ground: &Ground) -> Result<(), String> {
        power::start_component(ground.folder(), self.center, Component::Kubelet)
            .await
            .map_err(|error| format!("{error:#}"))
    }

    pub(crate) async fn prove(&self, ground: &Ground, limit: Duration) -> Result<String, String> {
        look_until(limit, || async {
            let running = ground.processes(self.center, ProcessKind::Replica).await?;
            match running.is_empty() {
                true => Err("the replica does not run again yet".to_owned()),
                false => Ok("the kubelet is on and the replica runs again".to_owned()),
            }
        })
        .await
    }
}

impl Inverse {
    pub(crate) fn observe(&self) -> Result<String, String> {
        fs::read_to_string(&self.evidence).map_err(|_| "nothing was damaged".to_owned())
    }
}

/// The file of that kind with the highest number.
fn newest(volume: &Path, prefix: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(volume)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(prefix))
        })
        .collect();
    found.sort();
    found.pop()
}

/// Does the damage and says what it was. The replica must be down.
fn damage(volume: &Path, damage: JournalDamage) -> Result<String, String> {
    let segment = newest(volume, "segment-").ok_or("there is no segment")?;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    match damage {
        JournalDamage::BitRot => {
            let mut bytes = fs::read(&segment).map_err(failed(&segment))?;
            let end = written(&bytes);
            if end < 128 {
                return Err("too little is written to be damaged".to_owned());
            }
            let at = end / 2;
            for byte in &mut bytes[at..at + 8] {
                *byte ^= 0xff;
            }
            fs::write(&segment, bytes).map_err(failed(&segment))?;
            Ok(format!(
                "8 bytes turned over at {at} of {end} in {}",
                name(&segment)
            ))
        }
        JournalDamage::LostTail => {
            let mut bytes = fs::read(&segment).map_err(failed(&segment))?;
            let end = written(&bytes);
            let from = end.saturating_sub(TAIL_BYTES);
            if end == 0 {
                return Err("nothing is written".to_owned());
            }
            bytes[from..end].fill(0);
            fs::write(&segment, bytes).map_err(failed(&segment))?;
            Ok(format!(
                "the last {} bytes zeroed of {end} in {}",
                end - from,
                name(&segment)
            ))
        }
        JournalDamage::MissingSegment => {
            fs::remove_file(&segment).map_err(failed(&segment))?;
            Ok(format!("{} removed", name(&segment)))
        }
        JournalDamage::EmptyDisk => {
            let mut removed = 0;
            for entry in fs::read_dir(volume).map_err(failed(volume))?.flatten() {
                fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
                removed += 1;
            }
            Ok(format!("all {removed} files removed"))
        }
        JournalDamage::DamagedSnapshot => {
            let snapshot = newest(volume, "snapshot-").ok_or("there is no snapshot")?;
            let mut bytes = fs::read(&snapshot).map_err(failed(&snapshot))?;
            let at = bytes.len() / 2;
            for byte in bytes.iter_mut().skip(at).take(8) {
                *byte ^= 0xff;
            }
            fs::write(&snapshot, bytes).map_err(failed(&snapshot))?;
            Ok(format!(
                "8 bytes turned over at {at} in {}",
                name(&snapshot)
            ))
        }
    }
}

/// Where the last byte stands that is not zero; segments are written with zeros beforehand.
fn written(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = vec![7; 1_000];
        bytes.resize(4_096, 0);
        fs::write(folder.path().join("segment-00000000000000000001"), &bytes).unwrap();
        fs::write(folder.path().join("segment-00000000000000000900"), &bytes).unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        folder
    }

    fn newest_bytes(folder: &tempfile::TempDir) -> Vec<u8> {
        fs::read(folder.path().join("segment-00000000000000000900")).unwrap()
    }

    #[test]
    fn bits_rot_in_the_middle_of_what_was_written() {
        let folder = volume();
        let said = damage(folder.path(), JournalDamage::BitRot).unwrap();
        assert!(said.contains("at 500 of 1000"), "{said}");
        let bytes = newest_bytes(&folder);
        assert_eq!((bytes[499], bytes[500], bytes[508]), (7, 7 ^ 0xff, 7));
    }

    #[test]
    fn a_lost_tail_is_zeros_where_records_were() {
        let folder = volume();
        damage(folder.path(), JournalDamage::LostTail).unwrap();
        assert_eq!(written(&newest_bytes(&folder)), 1_000 - TAIL_BYTES);
    }

    #[test]
    fn the_newest_segment_goes_and_the_others_stay() {
        let folder = volume();
        damage(folder.path(), JournalDamage::MissingSegment).unwrap();
        assert!(
            newest(folder.path(), "segment-")
                .unwrap()
                .ends_with("segment-00000000000000000001")
        );
    }

    #[test]
    fn an_empty_disk_has_no_files() {
        let folder = volume();
        damage(folder.path(), JournalDamage::EmptyDisk).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_snapshot_that_is_not_there_cannot_be_damaged() {
        let error = damage(volume().path(), JournalDamage::DamagedSnapshot).unwrap_err();
        assert!(error.contains("no snapshot"), "{error}");
    }
}
