//! Building a part from its Go module.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cache::{CacheError, EntryPath, Key, file_error};
use crate::process::{RunError, Stop, run_logged, tail, tied_command};
use crate::recipe::{Recipe, Target, linker_flags};

/// The oldest Go that can build every recipe: the highest `go` line among them.
pub(crate) const GO_MIN: GoVersion = GoVersion {
    major: 1,
    minor: 26,
    patch: 7,
};
/// Where Go is when it is not on PATH, which `sudo` shortens.
const USUAL_PLACES: &[&str] = &[
    "/usr/local/go/bin/go",
    "/usr/lib/go/bin/go",
    "/usr/lib/go-1.26/bin/go",
    "/snap/bin/go",
];
/// Builds are tried this often when the network fails them.
const NETWORK_TRIES: u32 = 3;
/// What Go's output says when the network, not the code, is at fault.
const NETWORK_FAULTS: &[&str] = &[
    "dial tcp",
    "i/o timeout",
    "connection reset",
    "connection refused",
    "TLS handshake timeout",
    "unexpected EOF",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "429 Too Many Requests",
];

/// Why Go cannot be used or did not build.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// There is no Go.
    #[error(
        "failed to find Go on PATH or in {}; install Go {GO_MIN} or newer and put it on PATH",
        USUAL_PLACES.join(", ")
    )]
    NotFound,
    /// Go is too old and may not fetch a newer one itself.
    #[error("failed to use Go {found}: {GO_MIN} or newer is needed; install it and put it on PATH")]
    TooOld {
        /// The version found.
        found: GoVersion,
    },
    /// Go's own settings could not be read.
    #[error("failed to read the settings of {}: {text}", program.display())]
    Settings {
        /// The Go found.
        program: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// The build failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A version of Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl std::fmt::Display for GoVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl GoVersion {
    /// The first Go that fetches a newer one by itself.
    const FETCHES_NEWER: Self = Self {
        major: 1,
        minor: 21,
        patch: 0,
    };

    /// Reads `go1.26.8`, `go1.27rc1`, `go1.26.8-X:something`.
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        let mut numbers = text.strip_prefix("go")?.split('.');
        Some(Self {
            major: number(numbers.next()?)?,
            minor: number(numbers.next()?)?,
            patch: numbers.next().map_or(Some(0), number)?,
        })
    }
}

/// The Go that builds, with its settings as the environment gives them.
#[derive(Debug, Clone)]
pub struct Go {
    program: PathBuf,
    settings: Settings,
}

#[derive(Debug, Clone, Deserialize)]
struct Settings {
    #[serde(rename = "GOVERSION")]
    version: String,
    #[serde(rename = "GOARCH")]
    architecture: String,
    #[serde(rename = "GOTOOLCHAIN")]
    toolchain: String,
    #[serde(rename = "GOCACHE")]
    build_cache: PathBuf,
    #[serde(rename = "GOMODCACHE")]
    module_cache: PathBuf,
}

impl Go {
    /// Finds Go and reads its settings; refuses one that is too old.
    pub fn find() -> Result<Self, GoError> {
        let program = find_program("go")
            .or_else(|| {
                USUAL_PLACES
                    .iter()
                    .map(PathBuf::from)
                    .find(|path| path.is_file())
            })
            .ok_or(GoError::NotFound)?;
        let settings_error = |text: String| GoError::Settings {
            program: program.clone(),
            text,
        };
        let output = Command::new(&program)
            .args([
                "env",
                "-json",
                "GOVERSION",
                "GOARCH",
                "GOTOOLCHAIN",
                "GOCACHE",
                "GOMODCACHE",
            ])
            // The folder we happen to be in must not choose the toolchain.
            .current_dir("/")
            .env("GOWORK", "off")
            .output()
            .map_err(|error| settings_error(error.to_string()))?;
        if !output.status.success() {
            return Err(settings_error(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        let settings: Settings = serde_json::from_slice(&output.stdout)
            .map_err(|error| settings_error(error.to_string()))?;
        check_version(&settings).map_err(|found| match found {
            Some(found) => GoError::TooOld { found },
            None => settings_error(format!("no version in {:?}", settings.version)),
        })?;
        Ok(Self { program, settings })
    }

    /// The version, as Go says it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.settings.version
    }

    /// Where Go keeps what it compiled.
    #[must_use]
    pub fn build_cache(&self) -> &Path {
        &self.settings.build_cache
    }

    /// Where Go keeps the modules it fetched.
    #[must_use]
    pub fn module_cache(&self) -> &Path {
        &self.settings.module_cache
    }

    /// The digest of all that decides what comes out of a build.
    pub(crate) fn key(&self, recipe: &Recipe, target: &Target) -> String {
        let start = Key::default()
            .field("go build 1")
            .field(self.version())
            .field(&self.settings.architecture)
            .field(target.package)
            .field(linker_flags(target));
        recipe
            .files
            .iter()
            .fold(start, |key, (name, text)| key.field(name).field(text))
            .finish()
    }

    /// Builds one binary into the entry's staging folder.
    pub(crate) fn build(
        &self,
        recipe: &Recipe,
        target: &Target,
        entry: &EntryPath,
        stop: &Stop,
    ) -> Result<(), GoError> {
        let sources = write_sources(recipe, &entry.staging)?;
        let binary = entry.staging.join(target.part.name());
        let mut tries = 1;
        loop {
            let mut command = self.command(&sources);
            command
                .args([
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    "-buildvcs=false",
                    "-ldflags",
                ])
                .arg(linker_flags(target))
                .arg("-o")
                .args([binary.as_os_str(), target.package.as_ref()]);
            match run_logged("go build", command, &entry.log, stop) {
                Err(RunError::Failed { .. }) if tries < NETWORK_TRIES && network_fault(entry) => {
                    tries += 1;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        fs::remove_dir_all(&sources).map_err(file_error("remove", &sources))?;
        Ok(())
    }

    /// A Go command in `folder`, tied to our life.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = tied_command(&self.program);
        command.current_dir(folder).envs([
            ("CGO_ENABLED", "0"),
            ("GOOS", "linux"),
            ("GOWORK", "off"),
        ]);
        command
    }
}

/// Writes a recipe's files into a folder of their own.
pub(crate) fn write_sources(recipe: &Recipe, staging: &Path) -> Result<PathBuf, CacheError> {
    let sources = staging.join("sources");
    fs::create_dir(&sources).map_err(file_error("create", &sources))?;
    for (name, text) in recipe.files {
        let path = sources.join(name);
        fs::write(&path, text).map_err(file_error("write", &path))?;
    }
    Ok(sources)
}

/// Whether the last build failed for want of the network.
fn network_fault(entry: &EntryPath) -> bool {
    tail(&entry.log).is_ok_and(|text| NETWORK_FAULTS.iter().any(|fault| text.contains(fault)))
}

/// Accepts a Go that is new enough or may fetch a newer one; else the version, if there is one.
fn check_version(settings: &Settings) -> Result<(), Option<GoVersion>> {
    let found = GoVersion::parse(&settings.version).ok_or(None)?;
    let fetches = found >= GoVersion::FETCHES_NEWER && settings.toolchain != "local";
    if found >= GO_MIN || fetches {
        Ok(())
    } else {
        Err(Some(found))
    }
}

/// The first executable of that name on PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = env::var_os("PATH")?;
    // Administrators' tools are not on everybody's PATH.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(name))
        .find(|program| {
            program
                .metadata()
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Part;
    use crate::recipe::{RECIPES, Source, source_of};

    fn settings(version: &str, toolchain: &str) -> Settings {
        Settings {
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            toolchain: toolchain.to_owned(),
            build_cache: PathBuf::new(),
            module_cache: PathBuf::new(),
        }
    }

    fn go(version: &str) -> Go {
        Go {
            program: "go".into(),
            settings: settings(version, "local"),
        }
    }

    #[test]
    fn versions_are_read_in_all_their_forms() {
        let read = |text| GoVersion::parse(text).map(|version| version.to_string());
        assert_eq!(read("go1.26.8").as_deref(), Some("1.26.8"));
        assert_eq!(read("go1.27rc1").as_deref(), Some("1.27.0"));
        assert_eq!(read("go1.26.8-X:nodwarf5").as_deref(), Some("1.26.8"));
        assert_eq!(read("devel +abc"), None);
    }

    #[test]
    fn an_old_go_is_refused_unless_it_fetches_a_newer_one() {
        assert!(check_version(&settings("go1.26.7", "local")).is_ok());
        assert!(check_version(&settings("go1.24.0", "local")).is_err());
        assert!(check_version(&settings("go1.24.0", "auto")).is_ok());
        assert!(check_version(&settings("go1.19.8", "auto")).is_err());
    }

    #[test]
    fn the_oldest_go_is_what_the_recipes_ask_for() {
        let asked = RECIPES
            .iter()
            .flat_map(|recipe| recipe.files)
            .flat_map(|(_, text)| text.lines())
            .filter_map(|line| line.strip_prefix("go 1."))
            .filter_map(|rest| GoVersion::parse(&format!("go1.{rest}")))
            .max();
        assert_eq!(asked, Some(GO_MIN));
    }

    #[test]
    fn a_key_changes_with_the_toolchain_and_the_target_and_with_nothing_else() {
        let Source::Go(recipe, target) = source_of(Part::Etcd) else {
            panic!("built from Go")
        };
        let Source::Go(_, other) = source_of(Part::Etcdctl) else {
            panic!("built from Go")
        };
        let key = go("go1.26.8").key(recipe, target);
        assert_eq!(key, go("go1.26.8").key(recipe, target));
        assert_ne!(key, go("go1.26.9").key(recipe, target));
        assert_ne!(key, go("go1.26.8").key(recipe, other));
    }
}
