//! Why a fault could not be applied, observed or taken back.

use std::path::PathBuf;

/// A failed step of a driver.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The victim is not there, or not as it must be.
    #[error("failed to prepare {fault} on {target}: {reason}")]
    Prepare {
        /// The fault.
        fault: &'static str,
        /// Its victim.
        target: String,
        /// Why.
        reason: String,
    },
    /// The fault could not be made.
    #[error("failed to apply {fault} on {target}: {reason}")]
    Apply {
        /// The fault.
        fault: &'static str,
        /// Its victim.
        target: String,
        /// Why.
        reason: String,
    },
    /// The fault could not be taken back.
    #[error("failed to take back {fault} on {target}: {reason}")]
    Recover {
        /// The fault.
        fault: &'static str,
        /// Its victim.
        target: String,
        /// Why.
        reason: String,
    },
    /// Another fault holds the target.
    #[error(
        "failed to lock {target}: {holder} has a fault on it; end that first (`tricenter chaos stop --all`)"
    )]
    Locked {
        /// The target.
        target: String,
        /// Which scenario.
        holder: String,
    },
    /// A lease could not be written, read or removed.
    #[error("failed to {action} lease {}: {source}", path.display())]
    Lease {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A lease cannot be understood.
    #[error("failed to read lease {}: {source}; look at it, undo by hand what it says, and remove it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The keeper did not start.
    #[error("failed to arm the keeper of lease {}: {reason}; nothing was applied", path.display())]
    Keeper {
        /// The lease.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
