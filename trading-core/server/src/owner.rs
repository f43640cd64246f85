//! Whose log a data directory holds: written at the first start, held against the configuration at
//! each later one.
//!
//! ```text
//!   owner.json: {"cluster":"prod","shard":2,"replica":1}  ── another's? ─► refused, nothing is opened
//! ```
//!
//! With several shards on one node a folder is easily named twice. A log that is taken for another
//! shard's would be replayed without a complaint, and gone on with.

use crate::config::ReplicaConfig;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "owner.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    cluster: String,
    shard: u16,
    replica: u64,
}

/// Why a data directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// It is another replica's.
    #[error(
        "failed to use {folder}: it holds the log of replica {replica} of shard {shard} of \
         {cluster:?}: name a folder of its own in data_directory"
    )]
    Another {
        /// The folder.
        folder: PathBuf,
        /// Its cluster.
        cluster: String,
        /// Its shard.
        shard: u16,
        /// Its replica.
        replica: u64,
    },
    /// The file cannot be read or written.
    #[error("failed to read or write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Sees that the data directory is this replica's, or makes it so when it is nobody's yet.
///
/// # Errors
/// [`OwnerError`]; nothing was changed.
pub fn check(config: &ReplicaConfig) -> Result<(), OwnerError> {
    let folder = &config.data_directory;
    let path = folder.join(FILE);
    let failed = |source| OwnerError::File {
        path: path.clone(),
        source,
    };
    let own = Owner {
        cluster: config.cluster.clone(),
        shard: config.shard,
        replica: config.replica,
    };
    let found: Owner = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write(folder, &path, &own).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    };
    if found == own {
        return Ok(());
    }
    Err(OwnerError::Another {
        folder: folder.clone(),
        cluster: found.cluster,
        shard: found.shard,
        replica: found.replica,
    })
}

/// Whole or not at all: a power loss must not leave a file that says nothing.
fn write(folder: &Path, path: &Path, own: &Owner) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(own)?)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(folder: &Path, shard: u16) -> ReplicaConfig {
        let member = json!({
            "replica": 1, "center": "a1", "site": "A", "replication": "127.0.0.1:7001",
            "orders": "127.0.0.1:7002", "priority": 1,
        });
        serde_json::from_value(json!({
            "cluster": "test", "shard": shard, "replica": 1, "center": "a1", "site": "A",
            "data_directory": folder,
            "listen": {"replication": "127.0.0.1:7001", "orders": "127.0.0.1:7002",
                       "http": "127.0.0.1:9100"},
            "members": [member],
        }))
        .unwrap()
    }

    #[test]
    fn a_folder_belongs_to_who_used_it_first() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        check(&config(&folder, 1)).unwrap();
        check(&config(&folder, 1)).unwrap();
        let error = check(&config(&folder, 2)).unwrap_err().to_string();
        assert!(
            error.contains("replica 1 of shard 1 of \"test\""),
            "{error}"
        );
        check(&config(&folder, 1)).unwrap();
    }

    #[test]
    fn a_file_that_says_nothing_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"").unwrap();
        let error = check(&config(folder.path(), 1)).unwrap_err();
        assert!(matches!(error, OwnerError::File { .. }), "{error}");
    }
}
