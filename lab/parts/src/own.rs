//! Our own binaries, linked statically so that an image needs nothing else.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cache::{CacheDir, CacheError, file_error};
use crate::process::{RunError, Stop, run_captured, tied_command};

/// The static C library; musl's target is not part of every Rust installation, glibc's is.
const STATIC: &str = "-C target-feature=+crt-static";

/// Why our binaries are not there.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// rustc did not say what machine this is.
    #[error("failed to ask rustc for this machine's target: {0}; is Rust installed and on PATH?")]
    Target(String),
    /// cargo failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// cargo built, but not all that was asked for.
    #[error(
        "failed to find the binary {missing:?} among those that cargo built ({built}); name \
         binaries of the packages given"
    )]
    NotBuilt {
        /// The one that is missing.
        missing: String,
        /// Those that came out.
        built: String,
    },
    /// The cache, which keeps cargo's output, failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Our binaries by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBinaries(BTreeMap<String, PathBuf>);

impl OwnBinaries {
    /// The binary of that name, which was asked for.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.0.get(name).map(PathBuf::as_path)
    }
}

/// Builds `binaries` of `packages` in release mode, static, into the workspace's target folder.
/// Cargo itself knows what is up to date; a warm call takes well under a second.
pub fn build_own(
    cache: &CacheDir,
    workspace: &Path,
    packages: &[&str],
    binaries: &[&str],
    stop: &Stop,
) -> Result<OwnBinaries, OwnError> {
    let logs = cache.path().join("logs");
    fs::create_dir_all(&logs).map_err(file_error("create", &logs))?;
    let triple = host_triple(workspace)?;
    let mut command = tied_command(program("CARGO", "cargo"));
    command
        .current_dir(workspace)
        .args(["build", "--release", "--locked", "--target", &triple])
        .arg("--message-format=json-render-diagnostics")
        .envs(static_flags(&triple));
    leave_package(&mut command);
    for package in packages {
        command.args(["--package", package]);
    }
    for binary in binaries {
        command.args(["--bin", binary]);
    }
    // Each its own: two programs may build at once, and cargo makes one wait for the other.
    let messages = logs.join(format!("cargo-build-{}.json", std::process::id()));
    run_captured(
        "cargo build",
        command,
        Some(&messages),
        &logs.join("cargo-build.log"),
        stop,
    )?;
    let text = fs::read_to_string(&messages).map_err(file_error("read", &messages))?;
    fs::remove_file(&messages).map_err(file_error("remove", &messages))?;
    select(executables(&text), binaries)
}

/// Takes away what cargo says about a package to the tests and programs that it runs. A cargo inside
/// them would hand it on to build scripts that ask for it (that of `ring` does), and compile them and
/// all that stands on them again, although nothing has changed.
pub fn leave_package(command: &mut Command) {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| is_of_a_package(name)) {
        command.env_remove(name);
    }
}

fn is_of_a_package(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 3] = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The flags for the target alone: build scripts and macros are for the host and stay as they
/// are. Flags that the environment gives already are kept; the general variable would win over
/// the target's, so it is where it is.
fn static_flags(triple: &str) -> Vec<(String, String)> {
    let target = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        triple.to_uppercase().replace('-', "_")
    );
    let name = if env::var_os("RUSTFLAGS").is_some() {
        "RUSTFLAGS".to_owned()
    } else {
        target
    };
    let flags = env::var(&name).map_or_else(|_| STATIC.to_owned(), |had| format!("{had} {STATIC}"));
    vec![(name, flags)]
}

/// A tool as cargo names it to what it runs, else by its name.
fn program(variable: &str, name: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from)
}

fn host_triple(workspace: &Path) -> Result<String, OwnError> {
    let output = Command::new(program("RUSTC", "rustc"))
        .arg("-vV")
        .current_dir(workspace)
        .output()
        .map_err(|error| OwnError::Target(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| OwnError::Target(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The executables in cargo's messages, by target name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        executable: PathBuf,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    // Messages of other kinds, and artifacts that are no executables, do not have these fields.
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .map(|message| (message.target.name, message.executable))
        .collect()
}

fn select(
    mut built: BTreeMap<String, PathBuf>,
    binaries: &[&str],
) -> Result<OwnBinaries, OwnError> {
    let absent = binaries.iter().find(|name| !built.contains_key(**name));
    if let Some(missing) = absent {
        let built = built.into_keys().collect::<Vec<_>>().join(", ");
        return Err(OwnError::NotBuilt {
            missing: (*missing).to_owned(),
            built,
        });
    }
    built.retain(|name, _| binaries.contains(&name.as_str()));
    Ok(OwnBinaries(built))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = concat!(
        r#"{"reason":"compiler-artifact","target":{"name":"types"},"executable":null}"#,
        "\n",
        r#"{"reason":"compiler-artifact","target":{"name":"trading-core"},"executable":"/t/release/trading-core"}"#,
        "\n",
        r#"{"reason":"build-finished","success":true}"#,
        "\n"
    );

    #[test]
    fn executables_are_taken_from_cargos_messages() {
        let binaries = select(executables(MESSAGES), &["trading-core"]).expect("built");
        assert_eq!(
            binaries.path("trading-core"),
            Some(Path::new("/t/release/trading-core"))
        );
    }

    #[test]
    fn a_cargo_inside_a_test_does_not_hear_of_the_tests_package() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some(), "cargo says it");
        let mut command = Command::new("env");
        leave_package(&mut command);
        let output = command.output().expect("env runs");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(!told.contains("CARGO_PKG_"), "{told}");
        assert!(!told.contains("CARGO_MANIFEST_"), "{told}");
        assert!(told.contains("PATH="), "{told}");
        // Where cargo keeps its things is for the inner one too.
        assert!(!is_of_a_package("CARGO_HOME") && !is_of_a_package("CARGO_TARGET_DIR"));
    }

    #[test]
    fn a_binary_that_did_not_come_out_is_named() {
        let error = select(executables(MESSAGES), &["operator"]).expect_err("not built");
        assert!(error.to_string().contains("\"operator\""), "{error}");
    }
}
