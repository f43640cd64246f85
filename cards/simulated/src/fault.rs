//! What can be wrong with the card, and the file in which it is told so.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One fault. It lasts until it is taken back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The card heats up to 98 °C.
    OverTemperature,
    /// The temperature sensor gives the same value for ever.
    SensorStuck,
    /// The device is gone from the bus.
    Missing,
    /// The device is there, its driver is not.
    DriverUnbound,
    /// The clock does not follow its reference; packets are not decoded.
    ClockUnlocked,
    /// The time does not follow the grandmaster.
    PtpUnlocked,
    /// Memory errors, corrected.
    EccCorrected,
    /// One memory error that is not corrected.
    EccUncorrected,
    /// PCI Express errors, corrected.
    PcieCorrectable,
    /// One fatal PCI Express error.
    PcieFatal,
    /// The link is trained anew again and again, and comes up at x4 and 2.5 GT/s.
    LinkRetrain,
    /// Another bitstream is loaded.
    BitstreamMismatch,
    /// Nothing is written to memory any more; the card looks alive otherwise.
    DmaStall,
    /// Every third order's price is decoded wrongly.
    DecodeMismatch,
    /// Decoding takes ten times as long.
    Slow,
    /// One message in a hundred is dropped.
    Dropping,
}

/// The faults of one card.
pub type Faults = BTreeSet<Fault>;

/// The file of faults cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The system refused.
    #[error("failed to {action} {path}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a list of faults.
    #[error(
        "failed to read the faults in {path}: {source}; accepted is a list in JSON, such as \
         [\"over-temperature\", \"dma-stall\"]"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads the faults; a file that is not there means none.
///
/// # Errors
/// [`FaultError`].
pub fn read_faults(path: &Path) -> Result<Faults, FaultError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Faults::new()),
        Err(source) => {
            return Err(FaultError::System {
                action: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_str(&text).map_err(|source| FaultError::Content {
        path: path.to_owned(),
        source,
    })
}

/// Writes the faults; the file is replaced whole.
///
/// # Errors
/// [`FaultError`].
pub fn write_faults(path: &Path, faults: &Faults) -> Result<(), FaultError> {
    let text = serde_json::to_string(faults).map_err(|source| FaultError::Content {
        path: path.to_owned(),
        source,
    })?;
    crate::tree::replace(path, text.as_bytes()).map_err(|source| FaultError::System {
        action: "replace",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_back_as_they_were_written_and_a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.json");
        assert_eq!(read_faults(&path).unwrap(), Faults::new());
        let faults = Faults::from([Fault::DmaStall, Fault::Missing]);
        write_faults(&path, &faults).unwrap();
        assert_eq!(read_faults(&path).unwrap(), faults);
        fs::write(&path, "[\"on-fire\"]").unwrap();
        let error = read_faults(&path).unwrap_err().to_string();
        assert!(
            error.contains("on-fire") && error.contains("dma-stall"),
            "{error}"
        );
    }
}
