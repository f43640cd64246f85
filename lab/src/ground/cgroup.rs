//! The lab's control groups, on cgroup v1, v2 and the hybrid of both.
//!
//! ```text
//!   tricenter-lab/
//!     a1/  system     etcd, API server, containerd, kubelet …
//!          kubepods   made by the kubelet
//!     a2/  b1/        the same
//!     links           the Toxiproxy servers
//!     clients         the load generators
//! ```
//!
//! All that the lab starts is in here from its first instruction, so the groups are also the
//! register of our processes: whoever is listed is ours, whatever it calls itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::address_plan::Center;

const MOUNT: &str = "/sys/fs/cgroup";
/// The group that all others are in.
const ROOT: &str = "tricenter-lab";
/// Processes that keep forking are outrun in a few rounds or never.
const KILL_ROUNDS_MAX: u32 = 200;

/// Why a group could not be made, entered, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of a group could not be used.
    #[error("failed to {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No cgroup file system was found.
    #[error(
        "failed to find control groups below {MOUNT}: mount cgroup2 there, or the cgroup v1 \
         controllers in folders below it"
    )]
    NotMounted,
    /// Processes outlived being killed.
    #[error("failed to empty control group {group}: processes {pids:?} outlived SIGKILL")]
    Undying {
        /// The group.
        group: String,
        /// Who is left.
        pids: Vec<i32>,
    },
}

/// A group of the lab, by its path below every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(String);

impl Group {
    /// All of the lab.
    #[must_use]
    pub fn lab() -> Self {
        Self(ROOT.to_owned())
    }

    /// A center with its pods.
    #[must_use]
    pub fn center(center: Center) -> Self {
        Self(format!("{ROOT}/{center}"))
    }

    /// A center's own components.
    #[must_use]
    pub fn system(center: Center) -> Self {
        Self(format!("{ROOT}/{center}/system"))
    }

    /// The Toxiproxy servers.
    #[must_use]
    pub fn links() -> Self {
        Self(format!("{ROOT}/links"))
    }

    /// The load generators.
    #[must_use]
    pub fn clients() -> Self {
        Self(format!("{ROOT}/clients"))
    }

    /// The containerd that fills the image store.
    #[must_use]
    pub fn image_store() -> Self {
        Self(format!("{ROOT}/image-store"))
    }

    /// The path as the kubelet's `cgroupRoot` wants it.
    #[must_use]
    pub fn absolute(&self) -> String {
        format!("/{}", self.0)
    }
}

/// Where groups are mounted on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    version: Version,
    roots: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Hierarchies {
    /// Looks below `/sys/fs/cgroup`.
    pub fn observe() -> Result<Self, Error> {
        Self::observe_below(Path::new(MOUNT))
    }

    fn observe_below(mount: &Path) -> Result<Self, Error> {
        if mount.join("cgroup.controllers").exists() {
            return Ok(Self {
                version: Version::V2,
                roots: vec![mount.to_owned()],
            });
        }
        let mut roots: Vec<PathBuf> = fs::read_dir(mount)
            .map_err(|_| Error::NotMounted)?
            .flatten()
            .map(|entry| entry.path())
            // Controllers mounted together are links to one folder; one name of it is enough.
            .filter(|path| !path.is_symlink() && path.join("cgroup.procs").exists())
            .collect();
        roots.sort();
        if roots.is_empty() {
            return Err(Error::NotMounted);
        }
        Ok(Self {
            version: Version::V1,
            roots,
        })
    }

    /// Makes a group and the ones above it, ready to take processes.
    pub fn create(&self, group: &Group) -> Result<(), Error> {
        for root in &self.roots {
            let mut path = root.clone();
            for part in group.0.split('/') {
                if self.version == Version::V2 {
                    hand_down_controllers(&path)?;
                }
                let above = path.clone();
                path.push(part);
                fs::create_dir_all(&path).map_err(file("create", &path))?;
                if self.version == Version::V1 {
                    inherit_cpuset(&above, &path)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the calling process into a group of every hierarchy.
    pub fn enter(&self, group: &Group) -> Result<(), Error> {
        for root in &self.roots {
            let path = root.join(&group.0).join("cgroup.procs");
            // 0 is the writer itself, in whatever process namespace it is.
            fs::write(&path, "0").map_err(file("enter", &path))?;
        }
        Ok(())
    }

    /// All processes in a group and the groups below it, as the caller's namespace numbers them.
    #[must_use]
    pub fn processes(&self, group: &Group) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for root in &self.roots {
            for folder in tree(&root.join(&group.0)) {
                let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
            }
        }
        found.remove(&0); // Processes of a namespace that we cannot see.
        found
    }

    /// Kills all processes in a group and the groups below it, and waits until they are gone.
    pub async fn kill(&self, group: &Group, time_limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + time_limit;
        for _ in 0..KILL_ROUNDS_MAX {
            let processes = self.processes(group);
            if processes.is_empty() {
                return Ok(());
            }
            for pid in processes.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // It may have ended since it was listed.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            if Instant::now() >= deadline {
                break;
            }
            // Groups of v1 tell nobody when they become empty, so look again.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pids: Vec<i32> = self.processes(group).into_iter().collect();
        if pids.is_empty() {
            Ok(())
        } else {
            Err(Error::Undying {
                group: group.0.clone(),
                pids,
            })
        }
    }

    /// Removes a group and those below it; they must be empty.
    pub fn remove(&self, group: &Group) -> Result<(), Error> {
        for root in &self.roots {
            for folder in tree(&root.join(&group.0)).into_iter().rev() {
                match fs::remove_dir(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(file("remove", &folder)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Memory in use by a group and those below it, without the page cache that could be dropped.
    #[must_use]
    pub fn memory_bytes(&self, group: &Group) -> Option<u64> {
        let folder = match self.version {
            Version::V2 => self.roots.first()?.join(&group.0),
            Version::V1 => self
                .roots
                .iter()
                .find(|root| root.ends_with("memory"))?
                .join(&group.0),
        };
        let statistics = fs::read_to_string(folder.join("memory.stat")).ok()?;
        let figure = |name: &str| {
            statistics.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(' ')?
                    .parse::<u64>()
                    .ok()
            })
        };
        match self.version {
            Version::V1 => figure("total_rss"),
            Version::V2 => Some(figure("anon")? + figure("kernel").unwrap_or_default()),
        }
    }

    /// The folders of all groups of the lab, for inventories.
    #[must_use]
    pub fn folders(&self, group: &Group) -> BTreeSet<PathBuf> {
        self.roots
            .iter()
            .flat_map(|root| tree(&root.join(&group.0)))
            .collect()
    }
}

/// Whether a group of the lab is there; on a machine without control groups none is.
#[must_use]
pub fn is_there(group: &Group) -> bool {
    Hierarchies::observe().is_ok_and(|hierarchies| !hierarchies.folders(group).is_empty())
}

fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A new group of v1's cpuset has no processors and takes no process until it is given some.
fn inherit_cpuset(above: &Path, group: &Path) -> Result<(), Error> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (above.join(name), group.join(name));
        if !to.exists() {
            continue;
        }
        let inherited = fs::read_to_string(&from).map_err(file("read", &from))?;
        fs::write(&to, inherited.trim()).map_err(file("write", &to))?;
    }
    Ok(())
}

/// Groups below a v2 group only have the controllers that it hands down.
fn hand_down_controllers(group: &Path) -> Result<(), Error> {
    let from = group.join("cgroup.controllers");
    let available = fs::read_to_string(&from).map_err(file("read", &from))?;
    let to = group.join("cgroup.subtree_control");
    for controller in available.split_whitespace() {
        // Some (cpu under real-time load, for one) cannot be handed down; those needed are missed
        // by the kubelet, which names them.
        let _ = fs::write(&to, format!("+{controller}"));
    }
    Ok(())
}

/// A folder and all below it, outermost first.
fn tree(folder: &Path) -> Vec<PathBuf> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(current) = found.get(next).cloned() {
        next += 1;
        let Ok(entries) = fs::read_dir(&current) else {
            continue;
        };
        found.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with v1 groups, as far as files can play one.
    fn version_1(controllers: &[&str]) -> (tempfile::TempDir, Hierarchies) {
        let mount = tempfile::tempdir().unwrap();
        for controller in controllers {
            let root = mount.path().join(controller);
            fs::create_dir(&root).unwrap();
            fs::write(root.join("cgroup.procs"), "").unwrap();
        }
        let hierarchies = Hierarchies::observe_below(mount.path()).unwrap();
        (mount, hierarchies)
    }

    #[test]
    fn every_hierarchy_of_version_1_gets_the_group() {
        let (mount, hierarchies) = version_1(&["cpu", "memory", "systemd"]);
        hierarchies.create(&Group::system(Center::B1)).unwrap();
        for controller in ["cpu", "memory", "systemd"] {
            assert!(
                mount
                    .path()
                    .join(controller)
                    .join("tricenter-lab/b1/system")
                    .is_dir()
            );
        }
    }

    #[test]
    fn a_machine_without_groups_is_told_so() {
        let mount = tempfile::tempdir().unwrap();
        assert!(matches!(
            Hierarchies::observe_below(mount.path()),
            Err(Error::NotMounted)
        ));
    }

    #[test]
    fn processes_of_groups_below_are_counted() {
        let (mount, hierarchies) = version_1(&["pids"]);
        hierarchies.create(&Group::system(Center::A1)).unwrap();
        hierarchies.create(&Group::links()).unwrap();
        let below = mount.path().join("pids/tricenter-lab");
        fs::write(below.join("a1/system/cgroup.procs"), "71\n72\n").unwrap();
        fs::write(below.join("links/cgroup.procs"), "9\n").unwrap();
        assert_eq!(
            hierarchies.processes(&Group::center(Center::A1)),
            [71, 72].into()
        );
        assert_eq!(hierarchies.processes(&Group::lab()), [9, 71, 72].into());
    }

    #[test]
    fn removing_a_group_that_is_gone_is_fine() {
        let (_mount, hierarchies) = version_1(&["pids"]);
        hierarchies.create(&Group::links()).unwrap();
        hierarchies.remove(&Group::lab()).unwrap();
        hierarchies.remove(&Group::lab()).unwrap();
        assert!(hierarchies.folders(&Group::lab()).is_empty());
    }
}
