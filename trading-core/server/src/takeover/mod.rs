//! Forced takeover: forming the group anew out of what survived, when no quorum is left.
//!
//! ```text
//!   plan ──► what survived, what may be lost, a digest to approve
//!   apply ─► one entry behind the survivor's log: other members, next generation, higher epoch
//!   (the survivor starts, serves alone, and takes in others as learners)
//!   lost site comes back ─► meets a later generation ─► fence on its disk, stops ─► never serves
//!   salvage ► orders that only the lost site had       rejoin ─► its files kept aside, empty, joins
//! ```
//!
//! `form` and `come-back` are `apply` and `rejoin` for an operator: they take what was approved, may be
//! run again at any time, and tell what came of it in a file too.
//!
//! The commands work on data directories; nothing else needs to be alive. What decides is a pure
//! function of what was found ([`plan::plan`]); each answer is one JSON object.
//!
//! No machine can tell a dead site from one that cannot be heard. A lost site that still has a quorum
//! of its own goes on serving whoever reaches it until it meets the new group: whoever applies a
//! takeover must have made sure that it is down or that no client reaches it.

pub mod apply;
pub mod come_back;
pub mod form;
pub mod plan;
pub mod rejoin;
pub mod salvage;
pub mod survey;

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Written by a replica that met a later generation of its group: it starts no more.
const SUPERSEDED: &str = "superseded";
/// Written by [`rejoin`]: the empty directory founds no group.
const JOINING: &str = "joining";

/// Notes for good that this directory's replica must not serve again.
///
/// # Errors
/// When the note cannot be written.
pub fn fence(folder: &Path, why: &dyn std::error::Error) -> io::Result<()> {
    write_note(folder, SUPERSEDED, &format!("{why}\n"))
}

/// Refuses a directory whose replica met a later generation.
///
/// # Errors
/// With what the note says.
pub fn refuse_superseded(folder: &Path) -> Result<()> {
    let path = folder.join(SUPERSEDED);
    match fs::read_to_string(&path) {
        Ok(why) => bail!("{}: {}", path.display(), why.trim_end()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

/// Whether this directory was emptied to join the group that is there.
#[must_use]
pub fn joins(folder: &Path) -> bool {
    folder.join(JOINING).exists()
}

fn write_note(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(folder.join(name))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::File::open(folder)?.sync_all()
}
