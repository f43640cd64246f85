//! Decides what a center's first process does next. Pure: events and the time come in, effects
//! go out, and [`super::init`] performs them.
//!
//! ```text
//!   Waiting ──after all are ready──▶ Starting ──probe──▶ Ready
//!      ▲                                │ ended            │ ended
//!      └────────── BackOff ◀────────────┴──────────────────┘
//!   stop ─▶ Stopped (until start)      too often in a row ─▶ Failed (until start)
//! ```

use serde::{Deserialize, Serialize};

use super::components::{Component, ComponentSpec, Probe};

/// The first pause before a component that ended is started again; it doubles each time.
const BACK_OFF_FIRST_MS: u64 = 100;
/// The longest such pause.
const BACK_OFF_MAX_MS: u64 = 5_000;
/// After so many ends in a row a component is given up until somebody starts it.
const RESTARTS_IN_A_ROW_MAX: u32 = 60;
/// After so long without an end, the row begins anew.
const SETTLED_AFTER_MS: u64 = 30_000;
/// How long a component may take to end in an orderly shutdown.
const ORDERLY_STOP_MS: u64 = 5_000;

/// The order of an orderly shutdown. The pods end where the kubelet is no longer there to start
/// them again.
const SHUTDOWN_ORDER: [Component; 8] = [
    Component::Scheduler,
    Component::ControllerManager,
    Component::Images,
    Component::Kubelet,
    Component::KubeProxy,
    Component::Containerd,
    Component::Apiserver,
    Component::Etcd,
];

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A component was started as asked.
    Spawned(Component, i32),
    /// A component could not be started.
    SpawnFailed(Component),
    /// A process ended; it may be none of ours.
    Ended {
        /// Which.
        pid: i32,
        /// Whether it said that it succeeded.
        success: bool,
    },
    /// A component's probe succeeded.
    Answered(Component, i32),
    /// Somebody wants it to run.
    Start(Component),
    /// Somebody wants it gone at once, as in a crash, and not to come back by itself.
    Stop(Component),
    /// An orderly shutdown was asked for.
    Shutdown,
    /// All processes but the components have ended.
    PodsEnded,
    /// Nothing; only time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start this component and tell with [`Event::Spawned`].
    Spawn(Component),
    /// Ask a process to end.
    Terminate(i32),
    /// End a process.
    Kill(i32),
    /// Ask all processes that are no components to end, and tell with [`Event::PodsEnded`].
    TerminatePods,
    /// Leave; whatever still runs ends with the first process.
    Exit,
}

/// Where a component stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// For others to be ready.
    Waiting,
    /// It runs and does not serve yet.
    Starting {
        /// Its process, as the center numbers it.
        pid: i32,
    },
    /// It serves.
    Ready {
        /// Its process, as the center numbers it.
        pid: i32,
    },
    /// It ended with success, as it should.
    Done,
    /// It ended and will be started again.
    BackOff {
        /// When.
        until_ms: u64,
    },
    /// Somebody stopped it.
    Stopped,
    /// It ended too often.
    Failed,
}

impl State {
    /// The process, if there is one.
    #[must_use]
    pub const fn pid(self) -> Option<i32> {
        match self {
            Self::Starting { pid } | Self::Ready { pid } => Some(pid),
            _ => None,
        }
    }

    /// Whether others may rely on it.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Done)
    }
}

/// A component's state and history in this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Which.
    pub component: Component,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// How often it ended unasked.
    pub restarts: u32,
    /// From the center's start to its first readiness, if it came to that.
    pub ready_after_ms: Option<u64>,
}

#[derive(Debug)]
struct Unit {
    spec: ComponentSpec,
    state: State,
    since_ms: u64,
    restarts: u32,
    restarts_in_a_row: u32,
    ready_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    Not,
    /// This many of [`SHUTDOWN_ORDER`] are done with.
    Component {
        done: usize,
        kill_at_ms: u64,
    },
    Pods {
        done: usize,
        kill_at_ms: u64,
    },
}

/// The state of all components of a center.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    shutdown: Shutdown,
}

impl Supervisor {
    /// Nothing has been started yet.
    #[must_use]
    pub fn new(specs: Vec<ComponentSpec>) -> Self {
        let unit = |spec| Unit {
            spec,
            state: State::Waiting,
            since_ms: 0,
            restarts: 0,
            restarts_in_a_row: 0,
            ready_after_ms: None,
        };
        Self {
            units: specs.into_iter().map(unit).collect(),
            shutdown: Shutdown::Not,
        }
    }

    /// How a component is run.
    #[must_use]
    pub fn spec(&self, component: Component) -> Option<&ComponentSpec> {
        self.units
            .iter()
            .map(|unit| &unit.spec)
            .find(|spec| spec.component == component)
    }

    /// Components that run and whose probe has not succeeded yet, with their processes.
    pub fn unproven(&self) -> impl Iterator<Item = (&ComponentSpec, i32)> {
        self.units.iter().filter_map(|unit| match unit.state {
            State::Starting { pid } if unit.spec.probe != Probe::Ended => Some((&unit.spec, pid)),
            _ => None,
        })
    }

    /// The processes of all components.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.units
            .iter()
            .filter_map(|unit| unit.state.pid())
            .collect()
    }

    /// A picture of all components.
    #[must_use]
    pub fn status(&self) -> Vec<ComponentStatus> {
        self.units
            .iter()
            .map(|unit| ComponentStatus {
                component: unit.spec.component,
                state: unit.state,
                restarts: unit.restarts,
                ready_after_ms: unit.ready_after_ms,
            })
            .collect()
    }

    /// Takes in an event and says what is to be done.
    pub fn update(&mut self, now_ms: u64, event: &Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match *event {
            Event::Spawned(component, pid) => {
                self.set(component, now_ms, State::Starting { pid });
                if self.shutdown != Shutdown::Not {
                    effects.push(Effect::Kill(pid));
                }
            }
            Event::SpawnFailed(component) => self.ended(component, now_ms),
            Event::Ended { pid, success } => self.process_ended(pid, success, now_ms),
            Event::Answered(component, pid) => self.answered(component, pid, now_ms),
            Event::Start(component) => self.start(component, now_ms),
            Event::Stop(component) => effects.extend(self.stop(component, now_ms)),
            Event::Shutdown => {
                if self.shutdown == Shutdown::Not {
                    self.shutdown = Shutdown::Component {
                        done: 0,
                        kill_at_ms: 0,
                    };
                }
            }
            Event::PodsEnded => {
                if let Shutdown::Pods { done, .. } = self.shutdown {
                    self.shutdown = Shutdown::Component {
                        done,
                        kill_at_ms: 0,
                    };
                }
            }
            Event::Tick => {}
        }
        if self.shutdown == Shutdown::Not {
            effects.extend(self.start_what_may(now_ms));
        } else {
            effects.extend(self.go_on_shutting_down(now_ms));
        }
        effects
    }

    fn unit(&mut self, component: Component) -> Option<&mut Unit> {
        self.units
            .iter_mut()
            .find(|unit| unit.spec.component == component)
    }

    fn set(&mut self, component: Component, now_ms: u64, state: State) {
        if let Some(unit) = self.unit(component) {
            unit.state = state;
            unit.since_ms = now_ms;
        }
    }

    fn process_ended(&mut self, pid: i32, success: bool, now_ms: u64) {
        let Some(unit) = self
            .units
            .iter_mut()
            .find(|unit| unit.state.pid() == Some(pid))
        else {
            return; // An orphan, or one that was stopped and is accounted for already.
        };
        let component = unit.spec.component;
        if unit.spec.probe == Probe::Ended && success {
            unit.state = State::Done;
            unit.ready_after_ms.get_or_insert(now_ms);
        } else {
            self.ended(component, now_ms);
        }
    }

    fn ended(&mut self, component: Component, now_ms: u64) {
        let Some(unit) = self.unit(component) else {
            return;
        };
        if now_ms.saturating_sub(unit.since_ms) >= SETTLED_AFTER_MS {
            unit.restarts_in_a_row = 0;
        }
        let pause_ms = BACK_OFF_FIRST_MS << unit.restarts_in_a_row.min(10);
        unit.restarts += 1;
        unit.restarts_in_a_row += 1;
        unit.since_ms = now_ms;
        unit.state = if unit.restarts_in_a_row > RESTARTS_IN_A_ROW_MAX {
            State::Failed
        } else {
            State::BackOff {
                until_ms: now_ms + pause_ms.min(BACK_OFF_MAX_MS),
            }
        };
    }

    fn answered(&mut self, component: Component, pid: i32, now_ms: u64) {
        let Some(unit) = self.unit(component) else {
            return;
        };
        // The answer may be that of a process which has ended since.
        if unit.state == (State::Starting { pid }) {
            unit.state = State::Ready { pid };
            unit.since_ms = now_ms;
            unit.ready_after_ms.get_or_insert(now_ms);
        }
    }

    fn start(&mut self, component: Component, now_ms: u64) {
        let Some(unit) = self.unit(component) else {
            return;
        };
        if unit.state.pid().is_none() {
            unit.restarts_in_a_row = 0;
            unit.state = State::BackOff { until_ms: now_ms };
        }
    }

    fn stop(&mut self, component: Component, now_ms: u64) -> Option<Effect> {
        let pid = self.unit(component)?.state.pid();
        self.set(component, now_ms, State::Stopped);
        pid.map(Effect::Kill)
    }

    fn start_what_may(&mut self, now_ms: u64) -> Vec<Effect> {
        let ready_once = |component: &Component| {
            self.units
                .iter()
                .any(|unit| unit.spec.component == *component && unit.ready_after_ms.is_some())
        };
        let due: Vec<Component> = self
            .units
            .iter()
            .filter(|unit| match unit.state {
                State::Waiting => unit.spec.after.iter().all(ready_once),
                State::BackOff { until_ms } => until_ms <= now_ms,
                _ => false,
            })
            .map(|unit| unit.spec.component)
            .collect();
        // Until the shell tells its process, a component counts as started by nobody else.
        for component in &due {
            self.set(*component, now_ms, State::Starting { pid: 0 });
        }
        due.into_iter().map(Effect::Spawn).collect()
    }

    fn go_on_shutting_down(&mut self, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        loop {
            let (done, kill_at_ms) = match self.shutdown {
                Shutdown::Component { done, kill_at_ms } => (done, kill_at_ms),
                Shutdown::Pods { done, kill_at_ms } if now_ms >= kill_at_ms => (done, 0),
                _ => return effects,
            };
            let Some(component) = SHUTDOWN_ORDER.get(done).copied() else {
                effects.push(Effect::Exit);
                return effects;
            };
            let pid = self.unit(component).and_then(|unit| unit.state.pid());
            match pid.filter(|pid| *pid > 0) {
                Some(pid) if kill_at_ms == 0 => {
                    effects.push(Effect::Terminate(pid));
                    let kill_at_ms = now_ms + ORDERLY_STOP_MS;
                    self.shutdown = Shutdown::Component { done, kill_at_ms };
                    return effects;
                }
                Some(pid) if now_ms >= kill_at_ms => {
                    effects.push(Effect::Kill(pid));
                    self.set(component, now_ms, State::Stopped);
                }
                Some(_) => return effects,
                None => self.set(component, now_ms, State::Stopped),
            }
            let done = done + 1;
            if component == Component::Kubelet {
                effects.push(Effect::TerminatePods);
                let kill_at_ms = now_ms + ORDERLY_STOP_MS;
                self.shutdown = Shutdown::Pods { done, kill_at_ms };
                return effects;
            }
            self.shutdown = Shutdown::Component {
                done,
                kill_at_ms: 0,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(component: Component, after: &[Component], probe: Probe) -> ComponentSpec {
        ComponentSpec {
            component,
            program: "/bin/x".into(),
            arguments: Vec::new(),
            after: after.to_vec(),
            probe,
        }
    }

    /// etcd and containerd first; images is a job after containerd; the kubelet after all.
    fn small_center() -> Supervisor {
        let tcp = || Probe::Tcp { port: 1 };
        Supervisor::new(vec![
            spec(Component::Etcd, &[], tcp()),
            spec(Component::Containerd, &[], tcp()),
            spec(Component::Images, &[Component::Containerd], Probe::Ended),
            spec(
                Component::Kubelet,
                &[Component::Etcd, Component::Images],
                tcp(),
            ),
        ])
    }

    fn started() -> Supervisor {
        let mut center = small_center();
        center.update(0, &Event::Tick);
        center.update(1, &Event::Spawned(Component::Etcd, 11));
        center.update(1, &Event::Spawned(Component::Containerd, 12));
        center.update(2, &Event::Answered(Component::Etcd, 11));
        center.update(2, &Event::Answered(Component::Containerd, 12));
        center.update(3, &Event::Spawned(Component::Images, 13));
        center.update(
            4,
            &Event::Ended {
                pid: 13,
                success: true,
            },
        );
        center.update(5, &Event::Spawned(Component::Kubelet, 14));
        center.update(6, &Event::Answered(Component::Kubelet, 14));
        center
    }

    fn state(center: &Supervisor, component: Component) -> State {
        center
            .status()
            .into_iter()
            .find(|it| it.component == component)
            .unwrap()
            .state
    }

    #[test]
    fn components_start_when_what_they_need_is_ready() {
        let mut center = small_center();
        let spawn = Effect::Spawn;
        assert_eq!(
            center.update(0, &Event::Tick),
            [spawn(Component::Etcd), spawn(Component::Containerd)]
        );
        assert_eq!(
            center.update(0, &Event::Spawned(Component::Containerd, 12)),
            []
        );
        assert_eq!(
            center.update(1, &Event::Answered(Component::Containerd, 12)),
            [spawn(Component::Images)]
        );
        center.update(1, &Event::Spawned(Component::Images, 13));
        center.update(1, &Event::Spawned(Component::Etcd, 11));
        assert_eq!(
            center.update(
                2,
                &Event::Ended {
                    pid: 13,
                    success: true
                }
            ),
            []
        );
        assert_eq!(
            center.update(3, &Event::Answered(Component::Etcd, 11)),
            [spawn(Component::Kubelet)]
        );
    }

    #[test]
    fn one_that_ends_comes_back_after_a_pause_that_doubles() {
        let mut center = started();
        let mut pid = 14;
        let mut pauses = Vec::new();
        let mut now_ms = 100;
        for _ in 0..8 {
            center.update(
                now_ms,
                &Event::Ended {
                    pid,
                    success: false,
                },
            );
            let State::BackOff { until_ms } = state(&center, Component::Kubelet) else {
                panic!("no back-off")
            };
            pauses.push(until_ms - now_ms);
            assert_eq!(center.update(until_ms - 1, &Event::Tick), []);
            assert_eq!(
                center.update(until_ms, &Event::Tick),
                [Effect::Spawn(Component::Kubelet)]
            );
            pid += 1;
            now_ms = until_ms;
            center.update(now_ms, &Event::Spawned(Component::Kubelet, pid));
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn one_that_ends_for_ever_is_given_up_until_started() {
        let mut center = started();
        for _ in 0..=RESTARTS_IN_A_ROW_MAX {
            center.update(10, &Event::SpawnFailed(Component::Kubelet));
        }
        assert_eq!(state(&center, Component::Kubelet), State::Failed);
        let effects = center.update(20, &Event::Start(Component::Kubelet));
        assert_eq!(effects, [Effect::Spawn(Component::Kubelet)]);
    }

    #[test]
    fn a_stopped_component_stays_away_until_started() {
        let mut center = started();
        assert_eq!(
            center.update(9, &Event::Stop(Component::Etcd)),
            [Effect::Kill(11)]
        );
        assert_eq!(
            center.update(
                10,
                &Event::Ended {
                    pid: 11,
                    success: false
                }
            ),
            []
        );
        assert_eq!(center.update(99_999, &Event::Tick), []);
        assert_eq!(
            center.update(99_999, &Event::Start(Component::Etcd)),
            [Effect::Spawn(Component::Etcd)]
        );
    }

    #[test]
    fn stopping_what_others_need_leaves_the_others_running() {
        let mut center = started();
        center.update(9, &Event::Stop(Component::Etcd));
        assert_eq!(state(&center, Component::Kubelet), State::Ready { pid: 14 });
        // And it is restarted without waiting for what was ready once.
        center.update(
            10,
            &Event::Ended {
                pid: 14,
                success: false,
            },
        );
        assert_eq!(
            center.update(200, &Event::Tick),
            [Effect::Spawn(Component::Kubelet)]
        );
    }

    #[test]
    fn an_answer_of_a_process_that_is_gone_counts_for_nothing() {
        let mut center = small_center();
        center.update(0, &Event::Tick);
        center.update(0, &Event::Spawned(Component::Etcd, 11));
        center.update(
            1,
            &Event::Ended {
                pid: 11,
                success: false,
            },
        );
        center.update(2, &Event::Answered(Component::Etcd, 11));
        assert!(!state(&center, Component::Etcd).serves());
    }

    #[test]
    fn a_shutdown_goes_backwards_with_the_pods_after_the_kubelet() {
        let mut center = started();
        assert_eq!(center.update(10, &Event::Shutdown), [Effect::Terminate(14)]);
        assert_eq!(
            center.update(
                20,
                &Event::Ended {
                    pid: 14,
                    success: true
                }
            ),
            [Effect::TerminatePods]
        );
        assert_eq!(
            center.update(30, &Event::PodsEnded),
            [Effect::Terminate(12)]
        );
        assert_eq!(
            center.update(
                40,
                &Event::Ended {
                    pid: 12,
                    success: true
                }
            ),
            [Effect::Terminate(11)]
        );
        assert_eq!(
            center.update(
                50,
                &Event::Ended {
                    pid: 11,
                    success: true
                }
            ),
            [Effect::Exit]
        );
    }

    #[test]
    fn a_shutdown_does_not_wait_for_ever() {
        let mut center = started();
        center.update(0, &Event::Shutdown);
        let effects = center.update(ORDERLY_STOP_MS, &Event::Tick);
        assert_eq!(effects, [Effect::Kill(14), Effect::TerminatePods]);
        let effects = center.update(2 * ORDERLY_STOP_MS, &Event::Tick);
        assert_eq!(effects, [Effect::Terminate(12)]);
    }
}
