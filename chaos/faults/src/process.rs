//! Signals to a container's processes, found from its control group and never by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaos_scenario::{ProcessAction, ProcessKind, Signal};
use lab::ground::address_plan::Center;
use lab::ground::state::ProcessIdentity;
use rustix::process::{Pid, Signal as Posix, kill_process};
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, look_until, process_name};
use crate::strike::Background;

/// Signals to one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// Its center.
    pub center: Center,
    /// Which.
    pub process: ProcessKind,
    /// What is done.
    pub action: ProcessAction,
}

/// The processes that ran before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// Their identities, so that a later process with the same number is left alone.
    pub processes: Vec<ProcessIdentity>,
}

impl Strike {
    pub(crate) fn target(&self) -> String {
        format!("process {} {}", self.center, process_name(self.process))
    }

    pub(crate) async fn prepare(&self, ground: &Ground) -> Result<Inverse, String> {
        let processes = ground.processes(self.center, self.process).await?;
        if processes.is_empty() {
            return Err("no such process runs".to_owned());
        }
        Ok(Inverse { processes })
    }

    pub(crate) async fn apply(
        &self,
        inverse: &Inverse,
        ground: &Ground,
    ) -> Result<Background, String> {
        match self.action {
            ProcessAction::End { signal } => {
                send_all(&inverse.processes, posix(signal));
                Ok(Background::default())
            }
            ProcessAction::Pause {} => {
                send_all(&inverse.processes, Posix::STOP);
                Ok(Background::default())
            }
            ProcessAction::Flap {
                paused_ms,
                running_ms,
            } => Ok(flap(inverse.processes.clone(), paused_ms, running_ms)),
            ProcessAction::CrashLoop { every_ms } => {
                Ok(crash_loop(self.clone(), ground.clone(), every_ms))
            }
        }
    }

    pub(crate) async fn observe(
        &self,
        inverse: &Inverse,
        background: &Background,
        limit: Duration,
    ) -> Result<String, String> {
        look_until(limit, || async {
            let all = &inverse.processes;
            let dead = all.iter().filter(|it| !it.is_alive()).count();
            let stopped = all.iter().filter(|it| is_stopped(**it)).count();
            let strikes = background.strikes.load(Ordering::Relaxed);
            match self.action {
                ProcessAction::End { .. } if dead == all.len() => {
                    Ok(format!("{dead} of {} processes are dead", all.len()))
                }
                ProcessAction::Pause {} if stopped == all.len() => {
                    Ok(format!("{stopped} of {} processes are stopped", all.len()))
                }
                ProcessAction::Flap { .. } if strikes >= 2 && dead == 0 => {
                    Ok(format!("stopped {strikes} times so far"))
                }
                ProcessAction::CrashLoop { .. } if strikes >= 2 => {
                    Ok(format!("killed {strikes} times so far"))
                }
                _ => Err(format!(
                    "of {} processes {dead} are dead, {stopped} stopped, struck {strikes} times",
                    all.len()
                )),
            }
        })
        .await
    }

    /// Gone when nothing of the container is stopped, and one of its processes runs.
    pub(crate) async fn prove(
        &self,
        inverse: &Inverse,
        ground: &Ground,
        limit: Duration,
    ) -> Result<String, String> {
        look_until(limit, || async {
            if let Some(stopped) = inverse.processes.iter().find(|it| is_stopped(**it)) {
                return Err(format!("process {} is still stopped", stopped.pid));
            }
            let now = ground.processes(self.center, self.process).await?;
            if let Some(stopped) = now.iter().find(|it| is_stopped(**it)) {
                return Err(format!("process {} is stopped", stopped.pid));
            }
            match now.len() {
                0 => Err("it does not run again yet".to_owned()),
                count => Ok(format!("{count} processes run, none is stopped")),
            }
        })
        .await
    }
}

impl Inverse {
    /// Lets all go on that still are the same processes.
    pub(crate) fn recover(&self) {
        send_all(&self.processes, Posix::CONT);
    }
}

const fn posix(signal: Signal) -> Posix {
    match signal {
        Signal::Kill => Posix::KILL,
        Signal::Terminate => Posix::TERM,
        Signal::Abort => Posix::ABORT,
        Signal::SegmentationFault => Posix::SEGV,
    }
}

/// Signals every process that still is the one that was seen.
pub(crate) fn send_all(processes: &[ProcessIdentity], signal: Posix) {
    for process in processes.iter().filter(|process| process.is_alive()) {
        if let Some(pid) = Pid::from_raw(process.pid) {
            // It may have ended since it was looked at.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Whether a process is stopped by a signal.
pub(crate) fn is_stopped(process: ProcessIdentity) -> bool {
    if !process.is_alive() {
        return false;
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    // The name, in brackets, may hold spaces.
    stat.rsplit_once(") ")
        .is_some_and(|(_, after)| after.starts_with('T'))
}

fn flap(processes: Vec<ProcessIdentity>, paused_ms: u64, running_ms: u64) -> Background {
    let strikes = Arc::new(AtomicU64::new(0));
    let counter = strikes.clone();
    let task = tokio::spawn(async move {
        while processes.iter().any(|process| process.is_alive()) {
            send_all(&processes, Posix::STOP);
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(paused_ms)).await;
            send_all(&processes, Posix::CONT);
            tokio::time::sleep(Duration::from_millis(running_ms)).await;
        }
    });
    Background::of(strikes, task)
}

fn crash_loop(strike: Strike, ground: Ground, every_ms: u64) -> Background {
    let strikes = Arc::new(AtomicU64::new(0));
    let counter = strikes.clone();
    // Ends when the fault is taken back.
    let task = tokio::spawn(async move {
        loop {
            if let Ok(running) = ground.processes(strike.center, strike.process).await
                && !running.is_empty()
            {
                send_all(&running, Posix::KILL);
                counter.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(every_ms.max(50))).await;
        }
    });
    Background::of(strikes, task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn sleeper() -> (Ended, ProcessIdentity) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = ProcessIdentity::of(i32::try_from(child.id()).unwrap()).unwrap();
        (Ended(child), identity)
    }

    async fn until(what: impl Fn() -> bool) {
        look_until(Duration::from_secs(5), || async {
            what().then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_paused_process_is_seen_stopped_and_goes_on() {
        let (_child, identity) = sleeper();
        let inverse = Inverse {
            processes: vec![identity],
        };
        send_all(&inverse.processes, Posix::STOP);
        until(|| is_stopped(identity)).await;
        inverse.recover();
        until(|| !is_stopped(identity)).await;
        assert!(identity.is_alive());
    }

    #[test]
    fn a_later_process_with_the_same_number_is_left_alone() {
        let (_child, identity) = sleeper();
        let earlier = ProcessIdentity {
            started_ticks: identity.started_ticks - 1,
            ..identity
        };
        send_all(&[earlier], Posix::KILL);
        assert!(identity.is_alive());
    }

    #[tokio::test]
    async fn flapping_stops_again_and_again_and_ends_with_its_handle() {
        let (_child, identity) = sleeper();
        let background = flap(vec![identity], 20, 20);
        until(|| background.strikes.load(Ordering::Relaxed) >= 3).await;
        drop(background);
        send_all(&[identity], Posix::CONT);
        until(|| !is_stopped(identity)).await;
    }
}
