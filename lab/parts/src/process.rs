//! Children that cannot outlive us, and a way to end them early.
//!
//! ```text
//!  any thread ──request──► the spawning thread ──fork──► setpriv --pdeathsig KILL ──exec──► program
//! ```
//!
//! The kernel sends the death signal when the *thread* that forked ends, not the process; so all
//! children are forked by one thread that ends only with the process. `setpriv` sets the signal,
//! because doing so between fork and exec takes unsafe code.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Requests to the spawning thread that may wait; a caller waits for its turn beyond that.
const SPAWN_QUEUE: usize = 16;
/// Lines of a log that are shown when a command fails.
const TAIL_LINES: usize = 20;
/// Bytes of a log that are read for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be started.
    #[error("failed to start {program}: {source}; is it installed and on PATH?")]
    Start {
        /// What was to be started.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The log could not be written or read.
    #[error("failed to use the log {}: {source}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program ran and failed.
    #[error("failed to run {program}: {status}; its last lines:\n{tail}\nall of it: {}", log.display())]
    Failed {
        /// What ran.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        tail: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// Somebody asked to stop.
    #[error("stopped before the end; run again to go on from here")]
    Stopped,
}

/// Ends work early: kills what runs at the moment, and lets nothing start any more.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<StopState>>);

#[derive(Debug, Default)]
struct StopState {
    stopped: bool,
    group: Option<Pid>,
}

impl Stop {
    /// Stops: the running command's whole process group is killed.
    pub fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        if let Some(group) = state.group {
            // An error means that it has ended by itself, which is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Whether [`Stop::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stopped
    }

    /// Waits for a child that leads its own process group, killing the group if asked to stop.
    fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.group = group;
            if let (true, Some(group)) = (state.stopped, group) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
        // First wait without reaping: until we have forgotten the group, its id must stay taken,
        // or a late stop would hit whoever got the id next.
        if let Some(group) = group {
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(group), ended) {}
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).group = None;
        child.wait()
    }
}

type SpawnReply = SyncSender<io::Result<Child>>;

/// A command whose process is killed by the kernel when ours is gone.
pub(crate) fn tied_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts `command` on the spawning thread; make it by [`tied_command`].
pub(crate) fn spawn_tied(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Option<SyncSender<(Command, SpawnReply)>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER
        .get_or_init(|| {
            let (sender, requests) = sync_channel::<(Command, SpawnReply)>(SPAWN_QUEUE);
            thread::Builder::new()
                .name("spawner".to_owned())
                .spawn(move || {
                    while let Ok((mut command, reply)) = requests.recv() {
                        if let Err(unheard) = reply.send(command.spawn()) {
                            // The caller is gone, so nobody will ever wait for this child.
                            if let Ok(mut child) = unheard.0 {
                                let _ = child.kill();
                                let _ = child.wait();
                            }
                        }
                    }
                })
                .ok()
                .map(|_| sender)
        })
        .as_ref()
        .ok_or_else(gone)?;
    let (reply, answer) = sync_channel(1);
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Runs `command` to its end with its output in `log`; [`Stop`] kills it and all it started.
pub(crate) fn run_logged(
    program: &str,
    command: Command,
    log: &Path,
    stop: &Stop,
) -> Result<(), RunError> {
    run_captured(program, command, None, log, stop)
}

/// Like [`run_logged`], but what the command prints goes to `output` and only its errors to `log`.
pub(crate) fn run_captured(
    program: &str,
    mut command: Command,
    output: Option<&Path>,
    log: &Path,
    stop: &Stop,
) -> Result<(), RunError> {
    if stop.is_stopped() {
        return Err(RunError::Stopped);
    }
    let log_error = |source| RunError::Log {
        path: log.to_owned(),
        source,
    };
    let errors = File::create(log).map_err(log_error)?;
    let printed = match output {
        Some(path) => File::create(path).map_err(|source| RunError::Log {
            path: path.to_owned(),
            source,
        })?,
        None => errors.try_clone().map_err(log_error)?,
    };
    command
        .stdin(Stdio::null())
        .stdout(printed)
        .stderr(errors)
        .process_group(0);
    let start_error = |source| RunError::Start {
        program: program.to_owned(),
        source,
    };
    let mut child = spawn_tied(command).map_err(start_error)?;
    let status = stop.wait(&mut child).map_err(start_error)?;
    if stop.is_stopped() {
        return Err(RunError::Stopped);
    }
    if status.success() {
        return Ok(());
    }
    Err(RunError::Failed {
        program: program.to_owned(),
        status,
        tail: tail(log).map_err(log_error)?,
        log: log.to_owned(),
    })
}

/// The last lines of a file.
pub(crate) fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::time::Duration;

    fn shell(script: &str) -> Command {
        let mut command = tied_command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_shows_the_last_lines_and_where_the_rest_is() {
        let folder = tempfile::tempdir().expect("temp dir");
        let log = folder.path().join("run.log");
        let error = run_logged("sh", shell("seq 100; exit 3"), &log, &Stop::default())
            .expect_err("exit 3 is a failure");
        let text = error.to_string();
        assert!(
            text.contains("\n100\n") && !text.contains("\n80\n"),
            "{text}"
        );
        assert!(text.contains("run.log"), "{text}");
    }

    #[test]
    fn a_stop_kills_what_the_command_itself_started() {
        let folder = tempfile::tempdir().expect("temp dir");
        let fifo = folder.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .expect("mkfifo")
                .success()
        );
        let log = folder.path().join("run.log");
        let stop = Stop::default();
        let script = format!("(echo up; exec tail -f /dev/null) > {}", fifo.display());
        let runner = thread::spawn({
            let stop = stop.clone();
            move || run_logged("sh", shell(&format!("({script}) & wait")), &log, &stop)
        });
        // The grandchild holds the writing end: the end of file comes only when it is dead.
        let mut reader = BufReader::new(File::open(&fifo).expect("fifo"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("first line");
        assert_eq!(line, "up\n");
        stop.stop();
        assert_eq!(reader.read_line(&mut line).expect("end of file"), 0);
        assert!(matches!(
            runner.join().expect("no panic"),
            Err(RunError::Stopped)
        ));
        let refused = run_logged(
            "true",
            tied_command("true"),
            &folder.path().join("log"),
            &stop,
        );
        assert!(matches!(refused, Err(RunError::Stopped)));
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = thread::spawn(|| {
            let mut command = tied_command("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            spawn_tied(command).expect("cat starts")
        })
        .join()
        .expect("no panic");
        let (sender, ended) = sync_channel(1);
        let input = child.stdin.take();
        thread::spawn(move || sender.send(child.wait().map(|status| status.code())));
        let early = ended.recv_timeout(Duration::from_millis(200));
        assert!(early.is_err(), "the child ended with the thread: {early:?}");
        drop(input);
        let code = ended
            .recv_timeout(Duration::from_secs(10))
            .expect("ends on end of file");
        assert_eq!(code.expect("waited"), Some(0));
    }
}
