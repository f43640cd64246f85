//! Tighter limits: control groups of a container, and limits of the process itself.
//!
//! The old values are read before and written back after. A container that died of its limit has taken
//! its control group with it, and there is nothing left to be given back.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chaos_scenario::{Limit, ProcessKind};
use lab::ground::address_plan::Center;
use lab::ground::power::processes_in;
use lab::ground::state::ProcessIdentity;
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, look_until, process_name};

/// The period that the kernel shares out processor time by, in microseconds.
const PERIOD_US: u32 = 100_000;

/// A limit that a process has by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Files,
    FileSize,
}

impl Resource {
    /// As `/proc` calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Files => "Max open files",
            Self::FileSize => "Max file size",
        }
    }
}

/// A tighter limit for one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// Its center.
    pub center: Center,
    /// Which.
    pub process: ProcessKind,
    /// The limit.
    pub limit: Limit,
}

/// The old limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// Files of control groups with what was in them and what is written.
    pub files: Vec<LimitFile>,
    /// The processes, with the limit of theirs that is changed.
    pub processes: Vec<LimitedProcess>,
    /// Where the kernel counts what the limit did, and the count before.
    pub counter: Option<(PathBuf, u64)>,
}

/// A limit of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitFile {
    /// The file.
    pub path: PathBuf,
    /// What was in it.
    pub before: String,
    /// What is written.
    pub during: String,
}

/// A limit of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitedProcess {
    /// Which.
    pub identity: ProcessIdentity,
    /// The soft limit before; none when there was none.
    pub before: Option<u64>,
    /// The soft limit during.
    pub during: u64,
}

impl Strike {
    pub(crate) fn target(&self) -> String {
        format!("limit {} {}", self.center, process_name(self.process))
    }

    fn resource(&self) -> Option<Resource> {
        match self.limit {
            Limit::OpenFilesHeadroom { .. } => Some(Resource::Files),
            Limit::FileSize { .. } => Some(Resource::FileSize),
            _ => None,
        }
    }

    pub(crate) async fn prepare(&self, ground: &Ground) -> Result<Inverse, String> {
        let groups = ground.groups(self.center, self.process).await?;
        let processes: Vec<ProcessIdentity> = processes_in(&groups)
            .into_iter()
            .filter_map(ProcessIdentity::of)
            .collect();
        if processes.is_empty() {
            return Err("no such process runs".to_owned());
        }
        let mut inverse = Inverse {
            files: Vec::new(),
            processes: Vec::new(),
            counter: None,
        };
        match self.limit {
            Limit::OpenFilesHeadroom { count } => {
                for identity in processes {
                    let open = fs::read_dir(format!("/proc/{}/fd", identity.pid))
                        .map_err(|error| error.to_string())?
                        .count() as u64;
                    inverse.processes.push(LimitedProcess {
                        identity,
                        before: soft(identity, Resource::Files)?,
                        during: open + u64::from(count),
                    });
                }
            }
            Limit::FileSize { bytes } => {
                for identity in processes {
                    inverse.processes.push(LimitedProcess {
                        identity,
                        before: soft(identity, Resource::FileSize)?,
                        during: bytes,
                    });
                }
            }
            Limit::Processor { .. }
            | Limit::MemoryHeadroom { .. }
            | Limit::ProcessHeadroom { .. } => {
                let (file, counter) = self.group_files(&groups)?;
                inverse.counter = counter.and_then(|path| {
                    let before = count(&path)?;
                    Some((path, before))
                });
                inverse.files.push(file);
            }
        }
        Ok(inverse)
    }

    fn group_files(&self, groups: &[PathBuf]) -> Result<(LimitFile, Option<PathBuf>), String> {
        let find = |name: &str| {
            groups
                .iter()
                .map(|group| group.join(name))
                .find(|path| path.exists())
        };
        let (path, during, counter) = match self.limit {
            Limit::Processor { millicores } => {
                let quota_us = u64::from(millicores) * u64::from(PERIOD_US) / 1_000;
                let counter = find("cpu.stat");
                match (find("cpu.cfs_quota_us"), find("cpu.max")) {
                    (Some(path), _) => (path, quota_us.to_string(), counter),
                    (None, Some(path)) => (path, format!("{quota_us} {PERIOD_US}"), counter),
                    (None, None) => {
                        return Err("its control group has no processor limit".to_owned());
                    }
                }
            }
            Limit::MemoryHeadroom { kibibytes } => {
                let used = find("memory.usage_in_bytes").or_else(|| find("memory.current"));
                let used = used
                    .and_then(|path| count_whole(&path))
                    .ok_or("its memory in use cannot be read")?;
                let path = find("memory.limit_in_bytes")
                    .or_else(|| find("memory.max"))
                    .ok_or("its control group has no memory limit")?;
                let counter = find("memory.failcnt").or_else(|| find("memory.events"));
                (path, (used + kibibytes * 1_024).to_string(), counter)
            }
            Limit::ProcessHeadroom { count } => {
                let path = find("pids.max").ok_or("its control group has no limit of processes")?;
                let used = find("pids.current")
                    .and_then(|path| count_whole(&path))
                    .ok_or("its number of processes cannot be read")?;
                (
                    path,
                    (used + u64::from(count)).to_string(),
                    find("pids.events"),
                )
            }
            Limit::OpenFilesHeadroom { .. } | Limit::FileSize { .. } => {
                return Err("this limit is no control group's".to_owned());
            }
        };
        let before = fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?
            .trim()
            .to_owned();
        Ok((
            LimitFile {
                path,
                before,
                during,
            },
            counter,
        ))
    }

    pub(crate) fn apply(&self, inverse: &Inverse) -> Result<(), String> {
        for file in &inverse.files {
            write(&file.path, &file.during)?;
        }
        if let Some(resource) = self.resource() {
            for process in &inverse.processes {
                set_soft(process.identity, resource, Some(process.during))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn observe(
        &self,
        inverse: &Inverse,
        limit: Duration,
    ) -> Result<String, String> {
        let address = self.center.admin_address();
        look_until(limit, || async {
            if let Some(ended) = inverse.processes.iter().find(|it| !it.identity.is_alive()) {
                return Ok(format!("process {} ended of it", ended.identity.pid));
            }
            if let Some((path, before)) = &inverse.counter {
                return match count(path) {
                    Some(now) if now > *before => {
                        Ok(format!("the kernel struck {} times so far", now - before))
                    }
                    Some(_) => Err("the kernel has not struck yet".to_owned()),
                    None => Ok("the container ended of it".to_owned()),
                };
            }
            if matches!(self.limit, Limit::OpenFilesHeadroom { .. }) {
                return files_run_out(inverse, address).await;
            }
            Err("the limit stands and the process has not met it".to_owned())
        })
        .await
    }
}

/// Dials until the process has as many files open as it may: then it cannot take one more.
async fn files_run_out(
    inverse: &Inverse,
    address: std::net::SocketAddrV4,
) -> Result<String, String> {
    const DIALS_MAX: usize = 64;
    let mut held = Vec::new();
    for _ in 0..DIALS_MAX {
        let dial = tokio::net::TcpStream::connect(address);
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(500), dial).await {
            held.push(stream);
        }
        for process in &inverse.processes {
            let open = fs::read_dir(format!("/proc/{}/fd", process.identity.pid))
                .map_or(0, |entries| entries.count() as u64);
            if open >= process.during {
                return Ok(format!(
                    "{open} files are open of {} allowed",
                    process.during
                ));
            }
        }
    }
    Err(format!(
        "{} connections did not use up its files",
        held.len()
    ))
}

impl Inverse {
    pub(crate) fn recover(&self) -> Result<(), String> {
        for file in &self.files {
            // Version 1 lists no limit as a number that it takes back only as -1.
            if file.path.exists() {
                write(&file.path, &file.before)?;
            }
        }
        for process in self.processes.iter().filter(|it| it.identity.is_alive()) {
            // Which of the two it was is known by what it reads now.
            for resource in [Resource::Files, Resource::FileSize] {
                if soft(process.identity, resource)? == Some(process.during) {
                    set_soft(process.identity, resource, process.before)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn prove(&self) -> Result<String, String> {
        let mut said = Vec::new();
        for file in &self.files {
            match fs::read_to_string(&file.path) {
                Err(_) => said.push("the control group is gone".to_owned()),
                Ok(now) if now.trim() == file.before => {
                    said.push(format!("the limit is {} again", file.before));
                }
                Ok(now) => return Err(format!("{} reads {}", file.path.display(), now.trim())),
            }
        }
        for process in &self.processes {
            if !process.identity.is_alive() {
                said.push(format!("process {} is gone", process.identity.pid));
                continue;
            }
            for resource in [Resource::Files, Resource::FileSize] {
                if soft(process.identity, resource)? == Some(process.during) {
                    return Err(format!(
                        "process {} still has its limit",
                        process.identity.pid
                    ));
                }
            }
            said.push(format!(
                "process {} has its old limit",
                process.identity.pid
            ));
        }
        Ok(said.join("; "))
    }
}

fn write(path: &Path, value: &str) -> Result<(), String> {
    fs::write(path, value)
        .map_err(|error| format!("writing {value} to {}: {error}", path.display()))
}

fn count_whole(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The figure that a limit makes grow: a file of one number, or the line `nr_throttled`, `max` or
/// `oom_kill` of a file of several.
fn count(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    if let Ok(number) = text.trim().parse() {
        return Some(number);
    }
    let named = ["nr_throttled ", "max "];
    let line = text
        .lines()
        .find_map(|line| named.iter().find_map(|name| line.strip_prefix(name)))?;
    line.trim().parse().ok()
}

fn soft(process: ProcessIdentity, resource: Resource) -> Result<Option<u64>, String> {
    let name = resource.name();
    let text = fs::read_to_string(format!("/proc/{}/limits", process.pid))
        .map_err(|error| format!("process {}: {error}", process.pid))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or_else(|| format!("process {} does not tell its limits", process.pid))?;
    Ok(line
        .split_whitespace()
        .next()
        .and_then(|value| value.parse().ok()))
}

fn hard(process: ProcessIdentity, resource: Resource) -> Option<u64> {
    let name = resource.name();
    let text = fs::read_to_string(format!("/proc/{}/limits", process.pid)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sets a process' soft limit through util-linux's `prlimit`, run as the process' own user: the kernel
/// lets nobody else, not even root, where `CAP_SYS_RESOURCE` is missing.
fn set_soft(
    process: ProcessIdentity,
    resource: Resource,
    current: Option<u64>,
) -> Result<(), String> {
    let text =
        |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |it| it.to_string());
    let option = match resource {
        Resource::Files => "nofile",
        Resource::FileSize => "fsize",
    };
    let (user, group) = owner(process)?;
    let output = Command::new("prlimit")
        .arg(format!("--pid={}", process.pid))
        .arg(format!(
            "--{option}={}:{}",
            text(current),
            text(hard(process, resource))
        ))
        .uid(user)
        .gid(group)
        .output()
        .map_err(|error| format!("prlimit (of util-linux) cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "process {}: {}",
            process.pid,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// The user and group that a process really runs as.
fn owner(process: ProcessIdentity) -> Result<(u32, u32), String> {
    let text = fs::read_to_string(format!("/proc/{}/status", process.pid))
        .map_err(|error| format!("process {}: {error}", process.pid))?;
    let first = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    match (first("Uid:"), first("Gid:")) {
        (Some(user), Some(group)) => Ok((user, group)),
        _ => Err(format!("process {} does not tell its user", process.pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_that_a_limit_makes_grow_is_found_in_each_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cpu.stat");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            count(&path)
        };
        assert_eq!(read("nr_periods 5\nnr_throttled 3\n"), Some(3));
        assert_eq!(read("max 7\n"), Some(7));
        assert_eq!(read("12\n"), Some(12));
        assert_eq!(read("nothing"), None);
    }

    #[test]
    fn a_limit_of_a_process_is_set_read_back_and_given_back() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identity = ProcessIdentity::of(i32::try_from(child.id()).unwrap()).unwrap();
        let before = soft(identity, Resource::Files).unwrap();
        let inverse = Inverse {
            files: Vec::new(),
            processes: vec![LimitedProcess {
                identity,
                before,
                during: 17,
            }],
            counter: None,
        };
        set_soft(identity, Resource::Files, Some(17)).unwrap();
        assert!(inverse.prove().is_err(), "it is still there");
        inverse.recover().unwrap();
        assert_eq!(soft(identity, Resource::Files).unwrap(), before);
        inverse.prove().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        inverse.recover().unwrap();
    }

    #[test]
    fn a_file_is_given_back_what_was_in_it_and_one_that_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pids.max");
        fs::write(&path, "40").unwrap();
        let inverse = Inverse {
            files: vec![LimitFile {
                path: path.clone(),
                before: "max".into(),
                during: "40".into(),
            }],
            processes: Vec::new(),
            counter: None,
        };
        assert!(inverse.prove().is_err());
        inverse.recover().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "max");
        fs::remove_file(&path).unwrap();
        inverse.recover().unwrap();
        assert!(inverse.prove().unwrap().contains("gone"));
    }
}
