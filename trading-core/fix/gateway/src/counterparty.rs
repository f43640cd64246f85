//! One counterparty: the shell around its desk. It owns the socket, the session with the core, the
//! store and the clock, and does what the desk says.
//!
//! ```text
//!   arrival, bytes, time, core's events ─► Desk ─► records ─► store, then the rest, in order
//! ```

use crate::acceptor::Arrival;
use crate::connection::{Came, Connection, Ending, Moved};
use crate::metrics::{Metrics, Refused};
use crate::store::{Opened, Store, StoreError};
use crate::told;
use client::OrderSession;
use client::session::Event;
use fix::session::Now;
use fix::{Counted, Desk, DeskOptions, Effect, Record};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::UnixMicros;

/// One counterparty's task.
pub(crate) struct Counterparty {
    pub name: String,
    desk: Desk,
    core: OrderSession,
    store: Store,
    store_bytes_max: u64,
    /// What the gauges were last told for this counterparty: connected, logged on, core, in flight,
    /// bytes.
    shown: [i64; 5],
    is_core_up: bool,
    metrics: Arc<Metrics>,
    started: Instant,
    connection: Option<Connection>,
}

/// What a turn began with.
enum Input {
    Arrived(Option<Arrival>),
    Moved(Moved),
    Core(Event),
    Due,
    Stop,
}

impl Counterparty {
    /// Takes up a session where its store says that it was.
    ///
    /// # Errors
    /// [`StoreError`] when what is found cannot be kept in order.
    pub(crate) fn new(
        options: DeskOptions,
        opened: Opened,
        core: impl FnOnce(types::OutSeq) -> OrderSession,
        store_bytes_max: u64,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let name = options.profile.counterparty.clone();
        let mut desk = Desk::new(options, opened.records);
        let mut store = opened.store;
        if !opened.is_exact {
            let mut effects = Vec::new();
            tracing::warn!(counterparty = %name, "the latest records may be missing");
            desk.records_may_be_missing(opened.reserved, &mut effects);
            store.keep(records_of(&effects))?;
        }
        store.checkpoint(&desk.records())?;
        Ok(Self {
            name,
            core: core(desk.last_out_seq()),
            desk,
            store,
            store_bytes_max,
            shown: [0; 5],
            is_core_up: false,
            metrics,
            started: Instant::now(),
            connection: None,
        })
    }

    /// Runs until stopped.
    ///
    /// # Errors
    /// [`StoreError`]: without its store a session must not go on.
    pub(crate) async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let mut stopping = false;
        loop {
            let input = self.next_input(&mut arrivals, &stop, stopping).await;
            let now = self.now();
            let mut effects = Vec::new();
            match input {
                Input::Arrived(Some(arrival)) => self.arrived(arrival, now, &mut effects),
                Input::Moved(moved) => self.moved(moved, now, &mut effects),
                Input::Core(event) => self.core_event(event, now, &mut effects),
                Input::Due => self.desk.tick(now, &mut effects),
                Input::Arrived(None) | Input::Stop => {
                    stopping = true;
                    let text = "this gateway stops: connect again";
                    self.desk.log_out(text, now, &mut effects);
                }
            }
            self.perform(effects)?;
            self.end_connection();
            self.show();
            if stopping && self.connection.is_none() {
                self.shown_no_more();
                return self.store.close();
            }
        }
    }

    async fn next_input(
        &mut self,
        arrivals: &mut mpsc::Receiver<Arrival>,
        stop: &CancellationToken,
        stopping: bool,
    ) -> Input {
        let desk_due = self.desk.deadline_ms();
        let desk_due = desk_due.map(|ms| self.started + Duration::from_millis(ms));
        let ends = self.connection.as_ref().and_then(Connection::ends);
        let due = [desk_due, ends].into_iter().flatten().min();
        tokio::select! {
            () = stop.cancelled(), if !stopping => Input::Stop,
            arrival = arrivals.recv(), if !stopping => Input::Arrived(arrival),
            event = self.core.next() => Input::Core(event),
            moved = Connection::moved(&mut self.connection) => Input::Moved(moved),
            () = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            } => Input::Due,
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = wall.map_or(0, |passed| passed.as_micros());
        Now {
            wall: UnixMicros(u64::try_from(wall).unwrap_or(u64::MAX)),
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn arrived(&mut self, arrival: Arrival, now: Now, effects: &mut Vec<Effect>) {
        if self.connection.is_some() {
            return self.metrics.refuse(Refused::Connected);
        }
        tracing::info!(counterparty = %self.name, "connected");
        self.connection = Some(Connection::new(arrival));
        self.desk.connected(now);
        self.take_frames(now, effects);
    }

    fn moved(&mut self, moved: Moved, now: Now, effects: &mut Vec<Effect>) {
        let has_more = (self.connection.as_mut()).is_some_and(|it| it.note(moved));
        if has_more {
            self.take_frames(now, effects);
        }
    }

    fn take_frames(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if !self.desk.session().is_connected() {
            return;
        }
        let (desk, name) = (&mut self.desk, &self.name);
        connection.take_frames(|came| {
            match came {
                Came::Message(bytes) => desk.receive(bytes, now, effects),
                Came::Garbled(fault) => {
                    tracing::debug!(counterparty = %name, %fault, "garbled");
                    desk.garbled(effects);
                }
            }
            desk.session().is_connected()
        });
    }

    fn core_event(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        match event {
            Event::LoggedOn {
                next_client_seq,
                next_out_seq,
                replay_missing,
                epoch,
                ..
            } => {
                tracing::info!(counterparty = %self.name, %epoch, "the core's session is open");
                self.is_core_up = true;
                self.desk.core_logged_on(
                    next_client_seq,
                    next_out_seq,
                    replay_missing,
                    now,
                    effects,
                );
            }
            Event::Report { report, .. } => match told::read(&report) {
                Some(told) => self.desk.told(told, now, effects),
                None => effects.push(Effect::Count(Counted::Untold)),
            },
            Event::SentAgain { .. } => {}
            Event::EntryLost { reason, .. } => {
                tracing::debug!(counterparty = %self.name, %reason, "entry lost");
                self.is_core_up = false;
                self.metrics.core_entries_lost.inc();
                self.desk.core_lost(now);
            }
            Event::Ended { reason } => {
                tracing::error!(counterparty = %self.name, %reason, "the core's session ended");
                self.is_core_up = false;
                self.desk.core_ended(&reason.to_string(), now, effects);
            }
        }
    }

    /// Does what the desk says: first all is kept, then the rest goes out.
    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        self.store.keep(records_of(&effects))?;
        for effect in effects {
            match effect {
                Effect::Keep(_) => {}
                Effect::Count(counted) => self.metrics.count(counted),
                Effect::Submit {
                    client_seq,
                    request,
                } => {
                    let submitted = self.core.submit(request);
                    if submitted.as_ref().ok() != Some(&client_seq) {
                        // The core says at its next logon which number it expects; until then the
                        // request is without an answer, and the counterparty is told so.
                        tracing::error!(counterparty = %self.name, ?submitted, %client_seq,
                            "a request was not taken under its number");
                        self.metrics.count(Counted::Untold);
                    }
                }
                Effect::Transmit(bytes) => {
                    if let Some(connection) = &mut self.connection {
                        connection.transmit(&bytes);
                    }
                }
                Effect::Disconnect => {
                    if let Some(connection) = &mut self.connection {
                        connection.end();
                    }
                }
            }
        }
        if self.store.bytes() > self.store_bytes_max {
            self.store.checkpoint(&self.desk.records())?;
        }
        Ok(())
    }

    fn end_connection(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let ending = connection.ending();
        if ending == Ending::Slow {
            self.metrics.slow_counterparties.inc();
        }
        if ending != Ending::No {
            tracing::info!(counterparty = %self.name, "disconnected");
            self.desk.disconnected();
            self.connection = None;
        }
    }

    /// Adds to the gauges what changed here.
    fn show(&mut self) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let shows = [
            i64::from(self.connection.is_some()),
            i64::from(self.desk.session().is_up()),
            i64::from(self.is_core_up),
            number(self.desk.in_flight() as u64),
            number(self.store.bytes()),
        ];
        self.add_to_gauges(shows);
    }

    fn shown_no_more(&mut self) {
        self.add_to_gauges([0; 5]);
    }

    fn add_to_gauges(&mut self, shows: [i64; 5]) {
        let gauges = [
            &self.metrics.connected,
            &self.metrics.logged_on,
            &self.metrics.core_sessions,
            &self.metrics.in_flight,
            &self.metrics.store_bytes,
        ];
        for ((gauge, now), before) in gauges.into_iter().zip(shows).zip(self.shown) {
            gauge.add(now - before);
        }
        self.shown = shows;
    }
}

pub(crate) fn records_of(effects: &[Effect]) -> impl Iterator<Item = &Record> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Keep(record) => Some(record),
        _ => None,
    })
}
