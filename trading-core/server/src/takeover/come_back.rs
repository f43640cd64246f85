//! A returned replica on its own: what only it has is listed in a file on its volume, its log is kept
//! aside, and it joins the group that its leader tells of. For whoever runs this without a person at the
//! disk; may be run again and killed at any time.
//!
//! ```text
//!   leader ─► its generation, where it was formed, its epochs ─┐
//!   own log ───────────────────────────────────────────────────┴► list of requests ─► file ─► rejoin
//! ```

use super::{rejoin, salvage, survey};
use crate::config::ReplicaConfig;
use anyhow::{Context, Result, bail};
use journal::inspect;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The list, in a folder of its own beside the journal, which [`rejoin::rejoin`] leaves where it is.
const LIST: &str = "requests.json";

/// What was done.
#[derive(Debug, Serialize)]
pub struct CameBack {
    /// The folder with the list of requests.
    pub listed_in: PathBuf,
    /// Where the old log is; not known when an earlier run put it there.
    pub kept_in: Option<PathBuf>,
    /// Requests that only this replica had.
    pub requests: usize,
    /// Those whose clients were told, for certain.
    pub answered: usize,
    /// It was done by an earlier run.
    pub already: bool,
}

/// What is read of an earlier run's list.
#[derive(serde::Deserialize)]
struct Listed {
    requests: Vec<ListedRequest>,
}

#[derive(serde::Deserialize)]
struct ListedRequest {
    answered: bool,
}

/// Lists, keeps aside, and marks the directory as joining.
///
/// # Errors
/// When the leader cannot be asked or its group is not a later one; nothing was changed then.
pub async fn come_back(config: &ReplicaConfig, leader: &str, now_us: u64) -> Result<CameBack> {
    let folder = &config.data_directory;
    let group = survey::group_of(leader).await?;
    let listed_in = folder.join(format!("salvage-before-generation-{}", group.generation));
    let list = listed_in.join(LIST);
    let found =
        inspect(folder).with_context(|| format!("failed to look into {}", folder.display()))?;
    // A directory that was emptied is joining, whether it has received anything yet or not.
    let is_emptied = super::joins(folder) && found.entries.is_empty() && found.snapshot.is_none();
    if is_emptied && list.exists() {
        return counted(listed_in, None, true);
    }
    if !list.exists() {
        let own = survey::replay(&found)?.state.group().generation;
        if own == 0 || own >= group.generation {
            bail!(
                "{leader} is of generation {}, and this log of {own}: there is nothing to come back \
                 from",
                group.generation
            );
        }
        let from = found.entries.first().map_or(1, |entry| entry.index.0);
        let survivor = survey::log_of_process(leader, from).await?;
        let found = salvage::of(&found, &survivor, Some(group.formed_at))?;
        write_list(&listed_in, &found)?;
    }
    let done = rejoin::rejoin(folder, config.journal_options(), now_us)?;
    counted(listed_in, Some(done.kept_in), false)
}

fn write_list(listed_in: &Path, found: &salvage::Salvage) -> Result<()> {
    fs::create_dir_all(listed_in)
        .with_context(|| format!("failed to make {}", listed_in.display()))?;
    let (draft, list) = (listed_in.join("draft"), listed_in.join(LIST));
    let mut file = fs::File::create(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(found)?)?;
    file.sync_all()?;
    // Whole or not at all: a later run trusts it.
    fs::rename(&draft, &list).with_context(|| format!("failed to write {}", list.display()))?;
    fs::File::open(listed_in)?.sync_all()?;
    Ok(())
}

fn counted(listed_in: PathBuf, kept_in: Option<PathBuf>, already: bool) -> Result<CameBack> {
    let list = listed_in.join(LIST);
    let text = fs::read(&list).with_context(|| format!("failed to read {}", list.display()))?;
    let listed: Listed = serde_json::from_slice(&text)?;
    Ok(CameBack {
        requests: listed.requests.len(),
        answered: listed.requests.iter().filter(|it| it.answered).count(),
        listed_in,
        kept_in,
        already,
    })
}
