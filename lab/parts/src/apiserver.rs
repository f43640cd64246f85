//! A real etcd and API server for tests: on loopback, without root, gone when dropped.
//!
//! ```no_run
//! let server = lab_parts::apiserver::ApiServer::start()?;
//! println!("KUBECONFIG={}", server.kubeconfig_path().display());
//! # Ok::<(), lab_parts::apiserver::ApiServerError>(())
//! ```
//!
//! There is the API and nothing behind it: no controller manager (so no garbage collection, no
//! service accounts' tokens, a deleted namespace stays terminating), no scheduler and no kubelet
//! (so pods stay pending). RBAC is on. Several may run at once, in one process or in many.
//!
//! To share one among the tests of a binary, keep it in a static `OnceLock`. Statics are never
//! dropped, but the kernel kills the two processes with ours, and the next start anywhere removes
//! the folder that was left.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::cache::CacheDir;
use crate::certificates::{Authority, CertificateError, Identity, kubeconfig};
use crate::part::Part;
use crate::parts::{Built, Parts, PartsError};
use crate::process::{Stop, spawn_tied, tail, tied_command};
use crate::progress::Lines;
use crate::readiness::{self, Probe};

/// How long the API server may take until it is ready; it takes about 4 s on an idle machine.
const READY_WAIT: Duration = Duration::from_secs(90);
/// Pause between two looks at whether it is ready.
const READY_POLL: Duration = Duration::from_millis(50);
/// Starts with other ports when one was taken between our choice and its use.
const START_TRIES: u32 = 3;
/// The folders of all fixtures begin so.
const FOLDER_PREFIX: &str = "tricenter-apiserver-";

/// Why there is no API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiServerError {
    /// The binaries are not there and could not be built.
    #[error(transparent)]
    Parts(#[from] Box<PartsError>),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file, a port or a process failed.
    #[error("failed to {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process ended while we waited.
    #[error("failed to start {name}: it ended by itself; its last lines:\n{tail}")]
    Ended {
        /// Which.
        name: &'static str,
        /// The end of its log.
        tail: String,
    },
    /// Not ready in time.
    #[error(
        "failed to start kube-apiserver: not ready after {} s ({last}); its last lines:\n{tail}",
        READY_WAIT.as_secs()
    )]
    NotReady {
        /// What the last look said.
        last: String,
        /// The end of its log.
        tail: String,
    },
}

impl From<PartsError> for ApiServerError {
    fn from(error: PartsError) -> Self {
        Self::Parts(Box::new(error))
    }
}

fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> ApiServerError {
    let action = action.into();
    move |source| ApiServerError::System { action, source }
}

/// A running etcd with its API server.
#[derive(Debug)]
pub struct ApiServer {
    // Dropped in this order: the reader before the store, both before their folder.
    apiserver: Process,
    etcd: Process,
    authority: Authority,
    server: String,
    kubeconfig: String,
    folder: Folder,
}

impl ApiServer {
    /// Starts both from the cache, building them first if they are not there. Blocks for about
    /// 4 s; from async code call it on a blocking thread.
    pub fn start() -> Result<Self, ApiServerError> {
        let cache = CacheDir::from_environment().map_err(PartsError::from)?;
        let built = Parts::open(cache)?.build(
            &[Part::Etcd, Part::KubeApiserver],
            &Lines::new(),
            &Stop::default(),
        )?;
        Self::start_from(&built)
    }

    /// Starts both from parts that are there.
    pub fn start_from(built: &Built) -> Result<Self, ApiServerError> {
        let mut tries = 1;
        loop {
            match Self::start_once(built) {
                Err(ApiServerError::Ended { tail, .. })
                    if tries < START_TRIES && tail.contains("address already in use") =>
                {
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    fn start_once(built: &Built) -> Result<Self, ApiServerError> {
        let folder = Folder::new()?;
        let authority = Authority::new("tricenter-test-authority")?;
        write_credentials(&authority, folder.path())?;
        let ports = Ports::choose()?;
        let etcd = start_etcd(built.path(Part::Etcd)?, folder.path(), &ports)?;
        let apiserver = start_apiserver(built.path(Part::KubeApiserver)?, folder.path(), &ports)?;

        let server = format!("https://127.0.0.1:{}", ports.api);
        let admin = authority.client("admin", Some("system:masters"))?;
        let kubeconfig = kubeconfig(&server, &authority.certificate(), &admin);
        let path = folder.path().join("kubeconfig");
        write_private(&path, &kubeconfig)?;
        let mut started = Self {
            apiserver,
            etcd,
            authority,
            server,
            kubeconfig,
            folder,
        };
        started.wait_until_ready(ports.api)?;
        Ok(started)
    }

    fn wait_until_ready(&mut self, port: u16) -> Result<(), ApiServerError> {
        let trusted = self.authority.certificate();
        let start = Instant::now();
        loop {
            self.etcd.check()?;
            self.apiserver.check()?;
            let last = match readiness::probe(port, &trusted) {
                Probe::Ready => return Ok(()),
                Probe::NotYet(why) => why,
            };
            if start.elapsed() > READY_WAIT {
                return Err(ApiServerError::NotReady {
                    last,
                    tail: self.apiserver.tail(),
                });
            }
            thread::sleep(READY_POLL);
        }
    }

    /// The administrator's kubeconfig as text.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// The administrator's kubeconfig as a file, which lives as long as this.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A kubeconfig of somebody else, who may do only what RBAC objects allow.
    pub fn kubeconfig_of(&self, user: &str, group: Option<&str>) -> Result<String, ApiServerError> {
        let identity = self.authority.client(user, group)?;
        Ok(kubeconfig(
            &self.server,
            &self.authority.certificate(),
            &identity,
        ))
    }

    /// The address, `https://127.0.0.1:…`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What the API server logged last, for a test that fails.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.apiserver.tail()
    }
}

/// A child that is killed and reaped when dropped.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
    ) -> Result<Self, ApiServerError> {
        let log = folder.join(format!("{name}.log"));
        let failed = || format!("start {name}");
        let output = File::create(&log).map_err(system(failed()))?;
        let errors = output.try_clone().map_err(system(failed()))?;
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = spawn_tied(command).map_err(system(failed()))?;
        Ok(Self { name, child, log })
    }

    fn check(&mut self) -> Result<(), ApiServerError> {
        match self
            .child
            .try_wait()
            .map_err(system(format!("watch {}", self.name)))?
        {
            None => Ok(()),
            Some(_) => Err(ApiServerError::Ended {
                name: self.name,
                tail: self.tail(),
            }),
        }
    }

    fn tail(&self) -> String {
        tail(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing in the folder is kept, so there is nothing that a gentle end would save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of one fixture, locked for as long as its process lives.
#[derive(Debug)]
struct Folder {
    _lock: File,
    folder: TempDir,
}

impl Folder {
    fn new() -> Result<Self, ApiServerError> {
        remove_abandoned(&std::env::temp_dir());
        let failed = "make a temporary folder";
        let folder = tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            .tempdir()
            .map_err(system(failed))?;
        let lock = File::create(folder.path().join("lock")).map_err(system(failed))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| system(failed)(error.into()))?;
        Ok(Self {
            _lock: lock,
            folder,
        })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of fixtures whose process is gone: nobody holds their lock. One that has
/// no lock yet is just being made.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(FOLDER_PREFIX));
        if !ours {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join("lock")) else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Another user's folder, or one that another start is removing: leave it to them.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Three free ports of loopback.
struct Ports {
    client: u16,
    peer: u16,
    api: u16,
}

impl Ports {
    fn choose() -> Result<Self, ApiServerError> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let choose = || -> io::Result<Self> {
            // All are held until all are chosen, so that they differ.
            let held = [bind()?, bind()?, bind()?];
            let [client, peer, api] = [
                held[0].local_addr()?,
                held[1].local_addr()?,
                held[2].local_addr()?,
            ];
            Ok(Self {
                client: client.port(),
                peer: peer.port(),
                api: api.port(),
            })
        };
        choose().map_err(system("find free ports on 127.0.0.1"))
    }
}

fn start_etcd(program: &Path, folder: &Path, ports: &Ports) -> Result<Process, ApiServerError> {
    let client = format!("http://127.0.0.1:{}", ports.client);
    let peer = format!("http://127.0.0.1:{}", ports.peer);
    let mut command = tied_command(program);
    command
        .args([
            "--data-dir",
            "etcd",
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
        ])
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("default={peer}")]);
    Process::start("etcd", command, folder)
}

fn start_apiserver(
    program: &Path,
    folder: &Path,
    ports: &Ports,
) -> Result<Process, ApiServerError> {
    let mut command = tied_command(program);
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.client))
        .arg(format!("--secure-port={}", ports.api))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        // There are no endpoints to keep, and loopback would not be accepted as one.
        .args([
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
        ])
        .args([
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
        ])
        .args(["--client-ca-file=authority.crt", "--cert-dir=."])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .args(["--service-account-key-file=accounts.crt"])
        .args(["--service-account-signing-key-file=accounts.key"])
        .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
        // Without a controller manager no namespace gets its account, and every pod needs one.
        .args(["--disable-admission-plugins=ServiceAccount"]);
    Process::start("kube-apiserver", command, folder)
}

fn write_credentials(authority: &Authority, folder: &Path) -> Result<(), ApiServerError> {
    let server = authority.server(
        "kube-apiserver",
        &[
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default.svc",
        ],
    )?;
    let accounts = authority.client("service-accounts", None)?;
    write_private(&folder.join("authority.crt"), &authority.certificate())?;
    for (name, Identity { certificate, key }) in [("server", server), ("accounts", accounts)] {
        write_private(&folder.join(format!("{name}.crt")), &certificate)?;
        write_private(&folder.join(format!("{name}.key")), &key)?;
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<(), ApiServerError> {
    // The folder itself is readable only by its owner.
    fs::write(path, text).map_err(system(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_removed_and_those_of_the_living_kept() {
        let parent = tempfile::tempdir().expect("temp dir");
        let make = |name: &str| {
            let folder = parent.path().join(format!("{FOLDER_PREFIX}{name}"));
            fs::create_dir(&folder).expect("folder");
            folder
        };
        let (dead, alive, new) = (make("dead"), make("alive"), make("new"));
        let other = parent.path().join("other");
        fs::create_dir(&other).expect("folder");
        for folder in [&dead, &alive, &other] {
            File::create(folder.join("lock")).expect("lock");
        }
        let held = File::open(alive.join("lock")).expect("lock");
        flock(&held, FlockOperation::NonBlockingLockExclusive).expect("free");
        remove_abandoned(parent.path());
        assert_eq!(
            [dead, alive, new, other].map(|folder| folder.exists()),
            [false, true, true, true]
        );
    }

    #[test]
    fn ports_differ() {
        let Ports { client, peer, api } = Ports::choose().expect("free ports");
        assert!(client != peer && peer != api && client != api);
    }
}
