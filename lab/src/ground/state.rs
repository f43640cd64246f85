//! What the lab keeps on disk: its folder, the file that tells others about it, and its locks.
//!
//! ```text
//!   /var/lib/tricenter-lab/          or TRICENTER_LAB_STATE
//!     .tricenter-lab                 marks the folder as ours to remove
//!     lab.json                       what runs where; read by the terminal UI and others
//!     lab.lock                       held by whoever builds, removes or runs the lab
//!     a1/  admin.conf                the kubeconfig
//!          init.json                 what the center's first process is told
//!          disk/                     the center's /var: etcd, containerd, kubelet, logs, volumes
//!     links/                         logs of the Toxiproxy servers
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::address_plan::{Center, Link, Site};

/// The environment variable that names another folder.
pub const FOLDER_VARIABLE: &str = "TRICENTER_LAB_STATE";
const FOLDER_DEFAULT: &str = "/var/lib/tricenter-lab";
const MARKER: &str = ".tricenter-lab";
const STATE_FILE: &str = "lab.json";
const LOCK_FILE: &str = "lab.lock";
const STATE_LOCK_FILE: &str = "state.lock";
/// Of the file's form; raised when a reader of the old form would misread the new one.
const FORM: u32 = 1;

/// Why the state could not be read, written or locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be used.
    #[error("failed to {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The state file is torn or of another version.
    #[error("failed to understand {path}: {source}; `lab down` removes what is there")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Somebody else works on the lab.
    #[error(
        "failed to lock the lab: `{holder}` works on it; wait for it, or end it with Ctrl-C, then \
         try again"
    )]
    Locked {
        /// Process and command of the holder.
        holder: String,
    },
    /// The folder holds something else.
    #[error(
        "failed to use {path} as the lab's folder: it holds other files; set {FOLDER_VARIABLE} to \
         an empty folder or one that does not exist"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder of the lab's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder named by the environment, or the default one.
    #[must_use]
    pub fn from_environment() -> Self {
        let named = std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty());
        Self(named.map_or_else(|| PathBuf::from(FOLDER_DEFAULT), PathBuf::from))
    }

    /// This folder.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A center's part of it.
    #[must_use]
    pub fn center(&self, center: Center) -> PathBuf {
        self.0.join(center.name())
    }

    /// A center's disk, which it has as its `/var`.
    #[must_use]
    pub fn disk(&self, center: Center) -> PathBuf {
        self.center(center).join("disk")
    }

    /// The administrators' kubeconfig of a center.
    #[must_use]
    pub fn kubeconfig(&self, center: Center) -> PathBuf {
        self.center(center).join("admin.conf")
    }

    /// The socket of a center's first process.
    #[must_use]
    pub fn control_socket(&self, center: Center) -> PathBuf {
        self.disk(center).join(super::control::SOCKET)
    }

    /// The log of a link's Toxiproxy.
    #[must_use]
    pub fn link_log(&self, link: Link) -> PathBuf {
        self.0.join("links").join(format!("{link}.log"))
    }

    /// Makes the folder, or takes one that is empty or ours.
    pub fn create(&self) -> Result<(), Error> {
        let marker = self.0.join(MARKER);
        if !marker.exists()
            && fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(Error::Foreign {
                path: self.0.clone(),
            });
        }
        fs::create_dir_all(self.0.join("links")).map_err(file("create", &self.0))?;
        // It holds keys.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.0, private).map_err(file("protect", &self.0))?;
        fs::write(&marker, "").map_err(file("write", &marker))
    }

    /// Removes the folder if it is ours; one that is gone is fine. With `keep_volumes` the
    /// replicas' volumes stay.
    pub fn remove(&self, keep_volumes: bool) -> Result<(), Error> {
        if !self.0.exists() {
            return Ok(());
        }
        if !self.0.join(MARKER).exists() {
            return Err(Error::Foreign {
                path: self.0.clone(),
            });
        }
        if !keep_volumes {
            return fs::remove_dir_all(&self.0).map_err(file("remove", &self.0));
        }
        for center in Center::ALL {
            remove_all_but(&self.center(center), "disk")?;
            remove_all_but(&self.disk(center), super::volumes::FOLDER)?;
        }
        for name in [STATE_FILE, "links", LOCK_FILE, STATE_LOCK_FILE] {
            remove_any(&self.0.join(name))?;
        }
        Ok(())
    }

    /// Reads what is known of the lab; `None` when there is none.
    pub fn read(&self) -> Result<Option<LabState>, Error> {
        let path = self.0.join(STATE_FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(file("read", &path))?,
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| Error::Unreadable { path, source })
    }

    /// Writes the state file so that a reader sees the old one or the new one, never half.
    pub fn write(&self, state: &LabState) -> Result<(), Error> {
        let path = self.0.join(STATE_FILE);
        let text = serde_json::to_string_pretty(state).map_err(|source| Error::Unreadable {
            path: path.clone(),
            source,
        })?;
        let draft = self.0.join(format!(".{STATE_FILE}.draft"));
        fs::write(&draft, text + "\n").map_err(file("write", &draft))?;
        fs::rename(&draft, &path).map_err(file("replace", &path))
    }

    /// Reads, changes and writes the state file while nobody else does. Waits for others, who hold
    /// it only for as long.
    pub fn update(&self, change: impl FnOnce(&mut LabState)) -> Result<(), Error> {
        let path = self.0.join(STATE_LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(file("open", &path))?;
        lock.lock().map_err(file("lock", &path))?;
        let Some(mut state) = self.read()? else {
            return Ok(()); // Removed meanwhile.
        };
        change(&mut state);
        self.write(&state)
    }

    /// Takes the lock of the whole lab for a command, or tells who has it.
    pub fn lock(&self, command: &str) -> Result<Lock, Error> {
        Lock::take(&self.0.join(LOCK_FILE), command)
    }

    /// Takes the lock of one center's power switch.
    pub fn lock_center(&self, center: Center, command: &str) -> Result<Lock, Error> {
        Lock::take(&self.0.join(format!("{center}.lock")), command)
    }
}

fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File {
        action,
        path: path.to_owned(),
        source,
    }
}

fn remove_any(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_all_but(folder: &Path, kept: &str) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name() != kept)
        .try_for_each(|entry| remove_any(&entry.path()))
}

/// A lock held until dropped; the kernel frees it when its holder dies, however that happens.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    fn take(path: &Path, command: &str) -> Result<Self, Error> {
        let mut file_ = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(file("open", path))?;
        match file_.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Its name is a courtesy; that it is held is what matters.
                let _ = file_.read_to_string(&mut holder);
                return Err(Error::Locked {
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(file("lock", path)(source)),
        }
        let written = file_
            .set_len(0)
            .and_then(|()| file_.rewind())
            .and_then(|()| write!(file_, "{command} (process {})", std::process::id()));
        written.map_err(file("write", path))?;
        Ok(Self { _file: file_ })
    }
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number on the host.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub started_ticks: u64,
}

impl ProcessIdentity {
    /// The process that has this number now, if there is one.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold spaces; the 22nd field is the 20th after it.
        let (_, after_name) = text.rsplit_once(") ")?;
        // One that has ended and whose parent has not asked for its exit code is no more.
        if after_name.starts_with(['Z', 'X']) {
            return None;
        }
        let started_ticks = after_name.split(' ').nth(19)?.parse().ok()?;
        Some(Self { pid, started_ticks })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Everything that other programs may want to know of a running lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabState {
    /// The form of this file.
    pub form: u32,
    /// How far the lab's building has come.
    pub phase: Phase,
    /// When its building began, as RFC 3339.
    pub since: String,
    /// What of the machine was otherwise before, to be put back.
    #[serde(default)]
    pub machine_before: MachineBefore,
    /// The centers.
    pub centers: Vec<CenterState>,
    /// The links.
    pub links: Vec<LinkState>,
}

/// How far the lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Being built, or its building was interrupted.
    Building,
    /// Complete.
    Up,
    /// Being removed, or its removal was interrupted.
    Removing,
}

/// What the lab changes on the machine itself, as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MachineBefore {
    /// Whether `/run/netns` was a mount; `ip netns` makes it one.
    pub namespaces_were_mounted: bool,
    /// Kernel settings that a kubelet changes, by their path below `/proc/sys`.
    pub kernel_settings: Vec<(String, String)>,
}

/// A center, as others may use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CenterState {
    /// Its name.
    pub name: Center,
    /// Its city.
    pub site: Site,
    /// Its Kubernetes node.
    pub node: String,
    /// The node's address on the bridge.
    pub node_address: std::net::Ipv4Addr,
    /// The administrators' kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where the host reaches its replica's admin service, past the links.
    pub admin_address: SocketAddrV4,
    /// Where clients dial its entry, through their link.
    pub entry_address: SocketAddrV4,
    /// Its network namespace below `/run/netns`.
    pub network_namespace: String,
    /// Its control group, below every hierarchy.
    pub control_group: String,
    /// The socket of its first process.
    pub control_socket: PathBuf,
    /// Its first process; `None` while it is powered off.
    pub process: Option<ProcessIdentity>,
}

/// A link, as others may use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkState {
    /// Such as `a1-b1`.
    pub name: String,
    /// The control API of its Toxiproxy.
    pub api_address: SocketAddrV4,
    /// Its proxies.
    pub proxies: Vec<ProxyState>,
    /// Its Toxiproxy.
    pub process: Option<ProcessIdentity>,
}

/// A proxy of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyState {
    /// Such as `a1>b1.replication`.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddrV4,
    /// Where it leads.
    pub upstream: SocketAddrV4,
}

impl LabState {
    /// A lab of which nothing runs yet.
    #[must_use]
    pub fn planned(folder: &Folder, since: String) -> Self {
        let center = |center: Center| CenterState {
            name: center,
            site: center.site(),
            node: center.node_name(),
            node_address: center.node_address(),
            kubeconfig: folder.kubeconfig(center),
            admin_address: center.admin_address(),
            entry_address: center.entry_address(),
            network_namespace: center.network_namespace(),
            control_group: super::cgroup::Group::center(center).absolute(),
            control_socket: folder.control_socket(center),
            process: None,
        };
        let link = |link: Link| LinkState {
            name: link.to_string(),
            api_address: link.api_address(),
            proxies: link
                .proxies()
                .into_iter()
                .map(|proxy| ProxyState {
                    name: proxy.name,
                    listen: proxy.listen,
                    upstream: proxy.upstream,
                })
                .collect(),
            process: None,
        };
        Self {
            form: FORM,
            phase: Phase::Building,
            since,
            machine_before: MachineBefore::default(),
            centers: Center::ALL.into_iter().map(center).collect(),
            links: Link::ALL.into_iter().map(link).collect(),
        }
    }

    /// Notes a center's first process.
    pub fn set_center_process(&mut self, center: Center, process: Option<ProcessIdentity>) {
        for state in self.centers.iter_mut().filter(|state| state.name == center) {
            state.process = process;
        }
    }

    /// Notes a link's Toxiproxy.
    pub fn set_link_process(&mut self, link: Link, process: Option<ProcessIdentity>) {
        let name = link.to_string();
        for state in self.links.iter_mut().filter(|state| state.name == name) {
            state.process = process;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_survives_writing_and_reading() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path().join("lab"));
        folder.create().unwrap();
        assert_eq!(folder.read().unwrap(), None);
        let mut state = LabState::planned(&folder, "2026-11-23T00:00:00Z".into());
        state.set_center_process(
            Center::B1,
            Some(ProcessIdentity {
                pid: 7,
                started_ticks: 9,
            }),
        );
        folder.write(&state).unwrap();
        assert_eq!(folder.read().unwrap(), Some(state));
    }

    #[test]
    fn a_torn_state_file_says_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path());
        fs::write(scratch.path().join("lab.json"), "{\"form\":1,\"ph").unwrap();
        let error = folder.read().unwrap_err().to_string();
        assert!(
            error.contains("lab.json") && error.contains("lab down"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_with_other_files_is_neither_used_nor_removed() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("thesis.tex"), "years of work").unwrap();
        let folder = Folder::at(scratch.path());
        assert!(matches!(folder.create(), Err(Error::Foreign { .. })));
        assert!(matches!(folder.remove(false), Err(Error::Foreign { .. })));
        assert!(scratch.path().join("thesis.tex").exists());
    }

    #[test]
    fn removing_with_volumes_kept_keeps_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path().join("lab"));
        folder.create().unwrap();
        let disk = folder.disk(Center::A1);
        fs::create_dir_all(disk.join("volumes/volume-1")).unwrap();
        fs::create_dir_all(disk.join("lib/etcd")).unwrap();
        fs::write(folder.kubeconfig(Center::A1), "").unwrap();
        folder.remove(true).unwrap();
        assert!(disk.join("volumes/volume-1").exists());
        assert!(!disk.join("lib").exists() && !folder.kubeconfig(Center::A1).exists());
        folder.create().unwrap();
        folder.remove(false).unwrap();
        assert!(!folder.path().exists());
    }

    #[test]
    fn a_second_holder_is_refused_and_told_of_the_first() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path());
        let held = folder.lock("lab up").unwrap();
        let error = folder.lock("lab down").unwrap_err().to_string();
        assert!(error.contains("`lab up (process "), "{error}");
        drop(held);
        folder.lock("lab down").unwrap();
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = ProcessIdentity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_alive());
        let other = ProcessIdentity {
            started_ticks: own.started_ticks + 1,
            ..own
        };
        assert!(!other.is_alive());
    }
}
