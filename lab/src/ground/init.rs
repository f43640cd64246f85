//! The first process of a center: makes it a machine of its own, then runs its components.
//!
//! ```text
//!   lab center-launch      enters the center's control group and a session of its own
//!     └ nsenter --net      into the center's network
//!         └ unshare        new process, mount, host name and IPC namespaces
//!             └ lab center-init    process 1: mounts, packet filter, components
//! ```
//!
//! The namespaces are made by util-linux, since the calls behind them are unsafe in Rust. Killing
//! process 1 is a power cut: the kernel kills all others and drops all mounts with it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::address_plan::Center;
use super::cgroup::{Group, Hierarchies};
use super::components::{Component, ComponentSpec};
use super::control::{self, Answer, Request};
use super::supervisor::{Effect, Event, Supervisor};
use super::{network, probe};

/// How often back-offs, probes and shutdowns are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Requests and probe results that wait for the loop; more are made to wait.
const QUEUE_LENGTH: usize = 64;
/// A log that grew beyond this is begun anew when its component starts.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// A request must come within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything that the first process must know; written by the lab before it starts one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitSpec {
    /// Which center.
    pub center: Center,
    /// The center's disk on the host; becomes its `/var`.
    pub disk: PathBuf,
    /// The host's folder of built parts.
    pub parts_folder: PathBuf,
    /// What to run.
    pub components: Vec<ComponentSpec>,
}

/// The arguments after the network namespace: a fresh set of the others around `command`.
fn unshare_arguments() -> [&'static str; 6] {
    [
        "--pid",
        "--mount",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child=SIGKILL",
    ]
}

/// `lab center-launch`: becomes, by way of util-linux, the center's first process.
pub fn launch(center: Center, spec_path: &Path) -> anyhow::Result<()> {
    Hierarchies::observe()?.enter(&Group::system(center))?;
    // Only fails for a session leader, which is what we want to be.
    let _ = rustix::process::setsid();
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let namespace = Path::new("/run/netns").join(center.network_namespace());
    let error = Command::new("nsenter")
        .arg(format!("--net={}", namespace.display()))
        .arg("unshare")
        .args(unshare_arguments())
        .arg(program)
        .arg("center-init")
        .arg(spec_path)
        .exec();
    Err(error).context("failed to run nsenter; install util-linux")
}

/// `lab in-group`: runs a program in one of the lab's control groups and a session of its own.
pub fn enter_and_exec(group: &Group, program: &Path, arguments: &[String]) -> anyhow::Result<()> {
    Hierarchies::observe()?.enter(group)?;
    let _ = rustix::process::setsid();
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("failed to run {}", program.display()))
}

/// `lab center-init`: the center's first process, until it is shut down or killed.
pub fn run(spec_path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        std::process::id() == 1,
        "failed to start as a center: this is not the first process of a process namespace; \
         use `lab center on`, which makes one"
    );
    let text = fs::read_to_string(spec_path)
        .with_context(|| format!("failed to read {}", spec_path.display()))?;
    let spec: InitSpec = serde_json::from_str(&text)
        .with_context(|| format!("failed to understand {}", spec_path.display()))?;
    become_machine(&spec).context("failed to set up the center's own file systems")?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise(spec))
}

/// Mounts what makes the center a machine of its own.
fn become_machine(spec: &InitSpec) -> anyhow::Result<()> {
    rustix::system::sethostname(spec.center.node_name().as_bytes())?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?;
    forget_other_namespaces()?;
    let run = spec.disk.join("memory");
    fs::create_dir_all(&run)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", &run, "tmpfs", flags, c"mode=0755")?;
    let parts = run.join("tricenter/parts");
    fs::create_dir_all(&parts)?;
    fs::create_dir_all(run.join("lock"))?;
    rustix::mount::mount_bind_recursive(&spec.parts_folder, &parts)?;
    rustix::mount::mount_move(&run, "/run")?;
    for folder in ["lib", "log", "tmp"] {
        fs::create_dir_all(spec.disk.join(folder))?;
    }
    for (link, target) in [("run", "/run"), ("lock", "/run/lock")] {
        match symlink(target, spec.disk.join(link)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    rustix::mount::mount_bind(&spec.disk, "/var")?;
    rustix::mount::mount("proc", "/proc", "proc", flags | MountFlags::NOEXEC, None)?;
    // The kubelet hands mounts to containers that expect to see later ones.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::SHARED,
    )?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("failed to turn on forwarding")?;
    // Refusals are not rationed: a resolver that asks before cluster DNS is back is told so each
    // time, where after the sixth it would wait in silence for many seconds.
    fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0")
        .context("failed to lift the rate limit of refusals")?;
    load_packet_filter(spec.center)
}

/// Lets go of the network namespaces bound in the host's `/run/netns`: as long as we had them
/// mounted too, deleting one on the host would not end it.
fn forget_other_namespaces() -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let bound = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|path| path.starts_with("/run/netns") || path.starts_with("/var/run/netns"));
    for path in bound.collect::<Vec<_>>().into_iter().rev() {
        rustix::mount::unmount(path, UnmountFlags::DETACH)?;
    }
    Ok(())
}

fn load_packet_filter(center: Center) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("failed to run nft; install nftables")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(network::packet_filter(center).as_bytes())?;
    }
    let status = child.wait()?;
    anyhow::ensure!(
        status.success(),
        "failed to load the center's packet filter: nft {status}"
    );
    Ok(())
}

/// A request of the lab with where its answer goes.
type Asked = (Request, oneshot::Sender<Answer>);

struct Shell {
    supervisor: Supervisor,
    started: Instant,
    probing: BTreeSet<Component>,
    answered: mpsc::Sender<(Component, i32, bool)>,
    terminating_pods: bool,
    leave: bool,
}

async fn supervise(spec: InitSpec) -> anyhow::Result<()> {
    let mut child_ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (asked_sender, mut asked) = mpsc::channel::<Asked>(QUEUE_LENGTH);
    let (answered_sender, mut answered) = mpsc::channel(QUEUE_LENGTH);
    listen(Path::new("/var").join(control::SOCKET), asked_sender)?;
    let mut shell = Shell {
        supervisor: Supervisor::new(spec.components),
        started: Instant::now(),
        probing: BTreeSet::new(),
        answered: answered_sender,
        terminating_pods: false,
        leave: false,
    };
    let mut ticks = tokio::time::interval(TICK);
    while !shell.leave {
        tokio::select! {
            _ = child_ended.recv() => shell.reap(),
            _ = terminate.recv() => shell.handle(&Event::Shutdown),
            Some((request, reply)) = asked.recv() => shell.answer(&request, reply),
            Some((component, pid, serves)) = answered.recv() => {
                shell.probing.remove(&component);
                if serves {
                    shell.handle(&Event::Answered(component, pid));
                }
            }
            _ = ticks.tick() => shell.tick(),
        }
    }
    Ok(())
}

impl Shell {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes an event to the supervisor and performs what it says, to the end.
    fn handle(&mut self, event: &Event) {
        let mut effects = self.supervisor.update(self.now_ms(), event);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                if let Some(event) = self.perform(&effect) {
                    next.extend(self.supervisor.update(self.now_ms(), &event));
                }
            }
            effects = next;
        }
    }

    fn perform(&mut self, effect: &Effect) -> Option<Event> {
        match *effect {
            Effect::Spawn(component) => {
                let started = self.supervisor.spec(component).map(spawn);
                return Some(match started {
                    Some(Ok(pid)) => Event::Spawned(component, pid),
                    Some(Err(error)) => {
                        eprintln!("failed to start {component}: {error:#}");
                        Event::SpawnFailed(component)
                    }
                    None => Event::SpawnFailed(component),
                });
            }
            Effect::Terminate(pid) => send(pid, Signal::TERM),
            Effect::Kill(pid) => send(pid, Signal::KILL),
            Effect::TerminatePods => {
                self.terminating_pods = true;
                self.other_processes()
                    .into_iter()
                    .for_each(|pid| send(pid, Signal::TERM));
            }
            Effect::Exit => self.leave = true,
        }
        None
    }

    /// Takes leave of every process that ended: components, and orphans, whose parent we became.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            let success = status.exit_status() == Some(0);
            self.handle(&Event::Ended { pid, success });
        }
    }

    fn tick(&mut self) {
        let due: Vec<_> = self
            .supervisor
            .unproven()
            .filter(|(spec, _)| !self.probing.contains(&spec.component))
            .map(|(spec, pid)| (spec.component, pid, spec.probe.clone()))
            .collect();
        for (component, pid, look_at) in due {
            self.probing.insert(component);
            let answered = self.answered.clone();
            tokio::spawn(async move {
                let serves = probe::look(&look_at).await;
                // Without the loop there is nobody left to tell.
                let _ = answered.send((component, pid, serves)).await;
            });
        }
        let ended = self.terminating_pods && self.other_processes().is_empty();
        self.handle(if ended {
            &Event::PodsEnded
        } else {
            &Event::Tick
        });
    }

    /// Processes of this namespace that are neither we nor components: the pods and their shims.
    fn other_processes(&self) -> Vec<i32> {
        let own: BTreeSet<i32> = self.supervisor.pids().into_iter().chain([1]).collect();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| !own.contains(pid))
            .collect()
    }

    fn answer(&mut self, request: &Request, reply: oneshot::Sender<Answer>) {
        match *request {
            Request::Status => {}
            Request::Start(component) => self.handle(&Event::Start(component)),
            Request::Stop(component) => self.handle(&Event::Stop(component)),
        }
        // Whoever asked may have gone.
        let _ = reply.send(Answer {
            components: self.supervisor.status(),
        });
    }
}

fn send(pid: i32, what: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, what);
    }
}

fn spawn(spec: &ComponentSpec) -> anyhow::Result<i32> {
    let log = open_log(spec.component)?;
    let child = Command::new(&spec.program)
        .args(&spec.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| spec.program.display().to_string())?;
    // Ends are taken in by `reap`, for components and orphans alike.
    Ok(i32::try_from(child.id())?)
}

fn open_log(component: Component) -> anyhow::Result<File> {
    let path = Path::new("/var/log").join(format!("{component}.log"));
    let is_long = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX);
    let mut options = OpenOptions::new();
    options.create(true);
    if is_long {
        options.write(true).truncate(true);
    } else {
        options.append(true);
    }
    options
        .open(&path)
        .with_context(|| format!("failed to open {}", path.display()))
}

/// Takes requests on the socket and hands them to the loop.
fn listen(path: PathBuf, asked: mpsc::Sender<Asked>) -> anyhow::Result<()> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("failed to listen on {}", path.display()))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, asked).await {
                    eprintln!("failed to serve a request: {error:#}");
                }
            });
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> anyhow::Result<()> {
    let line = tokio::time::timeout(REQUEST_TIMEOUT, control::read_line(&mut stream)).await??;
    let request = serde_json::from_str(&line)?;
    let (reply, answer) = oneshot::channel();
    asked.send((request, reply)).await?;
    let mut line = serde_json::to_string(&answer.await?)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    Ok(())
}
