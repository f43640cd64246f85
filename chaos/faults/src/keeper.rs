//! The dead-man timer: a process of its own for each lease, which takes the fault back when its time
//! is over, whoever ordered it being dead.
//!
//! ```text
//!   engine ── starts ──► keeper ── "armed" ──► engine applies
//!                          │ looks whether the lease is still there
//!                          ▼ at the deadline
//!                        recover, prove, remove the lease; again until it is gone or given up
//! ```

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaos_scenario::Proof;
use tokio::io::AsyncBufReadExt as _;
use tokio::process::Command;

use crate::error::Error;
use crate::ground::Ground;
use crate::lease::{end, now_unix_ms, read};

/// What a keeper says when it watches.
pub const ARMED: &str = "armed";
/// The subcommand that makes a program a keeper; the lease's file follows.
pub const SUBCOMMAND: &str = "keeper";
const ARM_LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// One try at taking a fault back.
const TRY_LIMIT: Duration = Duration::from_secs(120);
/// After so many tries the lease stays, for the next sweep and for people.
const TRIES_MAX: u32 = 5;

/// Starts a keeper for a lease, in a process group of its own so that no Ctrl-C reaches it, and waits
/// until it says that it watches.
///
/// # Errors
/// [`Error::Keeper`]; nothing may be applied then.
pub async fn arm(program: &Path, lease: &Path) -> Result<(), Error> {
    let failed = |reason: String| Error::Keeper {
        path: lease.to_owned(),
        reason,
    };
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .arg(lease)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("{}: {error}", program.display())))?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| failed("its output cannot be read".to_owned()))?;
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(output);
    let reading = tokio::time::timeout(ARM_LIMIT, reader.read_line(&mut line));
    match reading.await {
        Ok(Ok(_)) if line.trim() == ARMED => {
            // It is waited for only so that it is no zombie; it may outlive us.
            tokio::spawn(async move {
                let _ = child.wait().await;
            });
            Ok(())
        }
        Ok(Ok(_)) => Err(failed(format!("it said {:?}", line.trim()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!(
            "it said nothing for {} s",
            ARM_LIMIT.as_secs()
        ))),
    }
}

/// Watches a lease until it is gone. This is the whole life of a keeper.
///
/// # Errors
/// When the lease cannot be read, or its fault could not be taken back in the end.
pub async fn keep(path: PathBuf, ground: &Ground, say: impl FnOnce(&str)) -> Result<(), Error> {
    let lease = read(&path)?;
    say(ARMED);
    while path.exists() && now_unix_ms() < lease.deadline_unix_ms {
        tokio::time::sleep(LOOK).await;
    }
    let mut last = String::new();
    for _ in 0..TRIES_MAX {
        if !path.exists() {
            return Ok(());
        }
        // The target may be another lease's by now.
        if read(&path).is_ok_and(|now| now != lease) {
            return Ok(());
        }
        match end(&path, &lease, ground, TRY_LIMIT).await {
            Proof::Gone(_) => return Ok(()),
            Proof::Unproven(why) => last = why,
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Error::Keeper { path, reason: last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Leases, tests::lease};

    #[tokio::test]
    async fn a_keeper_ends_when_its_lease_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = Leases::open(folder.path()).unwrap().take(&lease()).unwrap();
        let ground = Ground::new(lab::ground::state::Folder::at(folder.path()));
        let watched = path.clone();
        let (armed, is_armed) = tokio::sync::oneshot::channel();
        let say = move |said: &str| {
            assert_eq!(said, ARMED);
            armed.send(()).unwrap();
        };
        let keeping = tokio::spawn(async move { keep(watched, &ground, say).await });
        is_armed.await.unwrap();
        std::fs::remove_file(path).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
        ended.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_program_that_is_no_keeper_arms_nothing() {
        let error = arm(Path::new("true"), Path::new("lease.json"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("nothing was applied"), "{error}");
    }
}
