//! Leases: what was done and what undoes it, on the disk before it is done.
//!
//! ```text
//!   leases/process-a1-replica.json      written aside, synced, linked under its target's name;
//!                                       a name that is there already is a lock that somebody holds
//! ```
//!
//! # Guarantees
//! - A fault is applied only after its lease is on the disk and its keeper has said that it is armed.
//! - One target has one lease.
//! - A lease is removed only after its fault is proved gone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos_scenario::Proof;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ground::Ground;
use crate::strike::{Inverse, Strike};

/// A fault in force, or about to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The scenario.
    pub scenario: String,
    /// The fault's name in it.
    pub fault: String,
    /// What is held.
    pub target: String,
    /// What is done.
    pub strike: Strike,
    /// What undoes it.
    pub inverse: Inverse,
    /// When the keeper takes it back, in milliseconds since 1970.
    pub deadline_unix_ms: u64,
    /// The process that ordered it.
    pub engine_pid: u32,
}

/// A lease's file, and the lease where it can be read.
pub type Found = (PathBuf, Result<Lease, Error>);

/// The folder of the leases.
#[derive(Debug, Clone)]
pub struct Leases {
    folder: PathBuf,
}

/// What became of a lease that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// The scenario.
    pub scenario: String,
    /// The target.
    pub target: String,
    /// Whether it is gone.
    pub proof: Proof,
}

/// Milliseconds since 1970 UTC.
#[must_use]
pub fn now_unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

impl Leases {
    /// The leases of this folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(failed("open", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, target: &str) -> PathBuf {
        let name: String = target
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .collect();
        self.folder.join(format!("{name}.json"))
    }

    /// Writes a lease, synced, file and folder.
    ///
    /// # Errors
    /// [`Error::Locked`] when the target is held; [`Error::Lease`] when the disk says no.
    pub fn take(&self, lease: &Lease) -> Result<PathBuf, Error> {
        let path = self.path(&lease.target);
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let text = serde_json::to_string_pretty(lease).map_err(|source| Error::Unreadable {
            path: path.clone(),
            source,
        })?;
        let written = File::create(&draft).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(failed("write", &draft))?;
        // A link is made whole or not at all, and never over another.
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(failed("tidy", &draft))?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let holder = read(&path).map_or_else(|_| "somebody".to_owned(), |it| it.scenario);
                return Err(Error::Locked {
                    target: lease.target.clone(),
                    holder,
                });
            }
            other => other.map_err(failed("write", &path))?,
        }
        self.sync()?;
        Ok(path)
    }

    fn sync(&self) -> Result<(), Error> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("sync", &self.folder))
    }

    /// All leases, each with its file. One that cannot be read is an error of its own.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> Result<Vec<Found>, Error> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.folder)
            .map_err(failed("list", &self.folder))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .collect();
        files.sort();
        Ok(files
            .into_iter()
            .map(|path| {
                let lease = read(&path);
                (path, lease)
            })
            .collect())
    }

    /// Takes back every lease that is found, all at once, whoever's it is.
    ///
    /// # Errors
    /// When the folder cannot be read. What could not be taken back is said in the list.
    pub async fn sweep(&self, ground: &Ground, limit: Duration) -> Result<Vec<Swept>, Error> {
        let mut swept = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for (path, lease) in self.all()? {
            match lease {
                Ok(lease) => {
                    let ground = ground.clone();
                    tasks.spawn(async move {
                        let proof = end(&path, &lease, &ground, limit).await;
                        Swept {
                            scenario: lease.scenario,
                            target: lease.target,
                            proof,
                        }
                    });
                }
                Err(error) => swept.push(Swept {
                    scenario: "unknown".to_owned(),
                    target: path.display().to_string(),
                    proof: Proof::Unproven(error.to_string()),
                }),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(one) => swept.push(one),
                Err(error) => swept.push(Swept {
                    scenario: "unknown".to_owned(),
                    target: "unknown".to_owned(),
                    proof: Proof::Unproven(error.to_string()),
                }),
            }
        }
        Ok(swept)
    }
}

/// Takes a fault back, proves that it is gone, and only then removes its lease. May be called by
/// several at once.
pub async fn end(path: &Path, lease: &Lease, ground: &Ground, limit: Duration) -> Proof {
    let recovering = tokio::time::timeout(limit, lease.strike.recover(&lease.inverse, ground));
    let recovered = match recovering.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("not taken back within {} ms", limit.as_millis())),
    };
    let proof = lease.strike.prove(&lease.inverse, ground, limit).await;
    match (&proof, recovered) {
        (Proof::Gone(_), _) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Proof::Unproven(format!("{}: {error}", path.display()))
            }
            _ => proof,
        },
        (Proof::Unproven(why), Some(error)) => Proof::Unproven(format!("{error}; {why}")),
        (Proof::Unproven(_), None) => proof,
    }
}

/// Reads one lease.
///
/// # Errors
/// [`Error::Lease`] and [`Error::Unreadable`].
pub fn read(path: &Path) -> Result<Lease, Error> {
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    serde_json::from_str(&text).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Lease {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::process;
    use chaos_scenario::{ProcessAction, ProcessKind};
    use lab::ground::address_plan::Center;

    pub(crate) fn lease() -> Lease {
        let strike = process::Strike {
            center: Center::A1,
            process: ProcessKind::Replica,
            action: ProcessAction::Pause {},
        };
        Lease {
            scenario: "PROC-001".into(),
            fault: "pause".into(),
            target: strike.target(),
            strike: Strike::Process(strike),
            inverse: Inverse::Process(process::Inverse {
                processes: Vec::new(),
            }),
            deadline_unix_ms: now_unix_ms() + 60_000,
            engine_pid: std::process::id(),
        }
    }

    #[test]
    fn one_target_has_one_lease_and_the_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let leases = Leases::open(folder.path()).unwrap();
        let path = leases.take(&lease()).unwrap();
        let error = leases.take(&lease()).unwrap_err().to_string();
        assert!(
            error.contains("process a1 replica") && error.contains("PROC-001"),
            "{error}"
        );
        fs::remove_file(path).unwrap();
        leases.take(&lease()).unwrap();
    }

    #[test]
    fn a_lease_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let leases = Leases::open(folder.path()).unwrap();
        let written = lease();
        let path = leases.take(&written).unwrap();
        assert_eq!(read(&path).unwrap(), written);
        assert_eq!(leases.all().unwrap().len(), 1, "no draft is left");
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_read_is_said_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let leases = Leases::open(folder.path()).unwrap();
        fs::write(folder.path().join("torn.json"), "{\"scen").unwrap();
        let ground = Ground::new(lab::ground::state::Folder::at(folder.path()));
        let swept = leases
            .sweep(&ground, Duration::from_millis(100))
            .await
            .unwrap();
        assert!(matches!(&swept[0].proof, Proof::Unproven(why) if why.contains("torn.json")));
        assert!(folder.path().join("torn.json").exists());
    }

    #[tokio::test]
    async fn a_lease_whose_fault_cannot_be_proved_gone_stays() {
        let folder = tempfile::tempdir().unwrap();
        let leases = Leases::open(folder.path()).unwrap();
        leases.take(&lease()).unwrap();
        // There is no lab in this folder, so nobody can tell.
        let ground = Ground::new(lab::ground::state::Folder::at(folder.path()));
        let swept = leases
            .sweep(&ground, Duration::from_millis(100))
            .await
            .unwrap();
        assert!(matches!(swept[0].proof, Proof::Unproven(_)), "{swept:?}");
        assert_eq!(leases.all().unwrap().len(), 1);
    }
}
