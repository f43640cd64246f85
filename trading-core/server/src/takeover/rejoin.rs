//! Emptying a directory so that its replica joins the group that is there; nothing is thrown away.

use super::{JOINING, write_note};
use anyhow::{Context, Result};
use journal::Journal;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Debug, Serialize)]
pub struct Rejoined {
    /// Where the old files are.
    pub kept_in: PathBuf,
    /// How many.
    pub files: usize,
    /// The last entry in them.
    pub last_index: u64,
}

/// Moves all files of a data directory into a folder of its own inside it and marks the directory as
/// joining. The replica founds nothing then, and has no vote before it is added again.
///
/// # Errors
/// When its process runs, or files cannot be moved; what was moved stays where it went.
pub fn rejoin(folder: &Path, options: journal::Options, now_us: u64) -> Result<Rejoined> {
    let last_index = {
        // Only to see that nobody else has it, and that what is kept can be read.
        let (journal, _) = Journal::open(folder, options)?;
        journal.last_index().0
    };
    let kept_in = folder.join(format!("kept-{now_us}"));
    fs::create_dir(&kept_in).with_context(|| format!("failed to make {}", kept_in.display()))?;
    // The mark first: a half emptied directory must found nothing either.
    write_note(folder, JOINING, "emptied to join the group that is there\n")?;
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && name != JOINING && name != "lock" {
            fs::rename(entry.path(), kept_in.join(&name))
                .with_context(|| format!("failed to move {}", entry.path().display()))?;
            files += 1;
        }
    }
    fs::File::open(folder)?.sync_all()?;
    Ok(Rejoined {
        kept_in,
        files,
        last_index,
    })
}
