//! One counterparty: the shell around its desk. It owns the line to the counterparty and the session
//! with the core, and does what the desk says.
//!
//! ```text
//!   Line: arrival, bytes, time ─┐
//!                               ├─► fix::Desk ─► Line: records, then the rest, in order
//!   core's events ──────────────┘                  └─► requests to the core
//! ```

use crate::acceptor::Arrival;
use crate::connection::{Connection, Moved};
use crate::line::{Line, until};
use crate::metrics::Metrics;
use crate::store::{Opened, StoreError};
use crate::told;
use client::OrderSession;
use client::session::Event;
use fix::session::Now;
use fix::{Counted, Desk, DeskOptions, Effect};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One counterparty's task.
pub(crate) struct Counterparty {
    line: Line<Desk>,
    core: OrderSession,
    is_core_up: bool,
    /// What the gauges were last told: the core's session is open, requests in flight.
    shown: [i64; 2],
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
        let desk = |records| Desk::new(options, records);
        let line = Line::new(name, opened, desk, store_bytes_max, metrics)?;
        Ok(Self {
            core: core(line.desk.last_out_seq()),
            line,
            is_core_up: false,
            shown: [0; 2],
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.line.name
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
            let now = self.line.now();
            let mut effects = Vec::new();
            match input {
                Input::Arrived(Some(arrival)) => self.line.arrived(arrival, now, &mut effects),
                Input::Moved(moved) => self.line.moved(moved, now, &mut effects),
                Input::Core(event) => self.core_event(event, now, &mut effects),
                Input::Due => self.line.desk.tick(now, &mut effects),
                Input::Arrived(None) | Input::Stop => {
                    stopping = true;
                    let text = "this gateway stops: connect again";
                    self.line.desk.log_out(text, now, &mut effects);
                }
            }
            self.perform(effects)?;
            self.show();
            if stopping && self.line.connection.is_none() {
                self.add_to_gauges([0; 2]);
                return self.line.close();
            }
        }
    }

    async fn next_input(
        &mut self,
        arrivals: &mut mpsc::Receiver<Arrival>,
        stop: &CancellationToken,
        stopping: bool,
    ) -> Input {
        let due = self.line.due();
        tokio::select! {
            () = stop.cancelled(), if !stopping => Input::Stop,
            arrival = arrivals.recv(), if !stopping => Input::Arrived(arrival),
            event = self.core.next() => Input::Core(event),
            moved = Connection::moved(&mut self.line.connection) => Input::Moved(moved),
            () = until(due) => Input::Due,
        }
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
                tracing::info!(counterparty = %self.line.name, %epoch, "the core's session is open");
                self.is_core_up = true;
                self.line.desk.core_logged_on(
                    next_client_seq,
                    next_out_seq,
                    replay_missing,
                    now,
                    effects,
                );
            }
            Event::Report { report, .. } => match told::read(&report) {
                Some(told) => self.line.desk.told(told, now, effects),
                None => effects.push(Effect::Count(Counted::Untold)),
            },
            Event::SentAgain { .. } => {}
            Event::EntryLost { reason, .. } => {
                tracing::debug!(counterparty = %self.line.name, %reason, "entry lost");
                self.is_core_up = false;
                self.line.metrics.core_entries_lost.inc();
                self.line.desk.core_lost(now);
            }
            Event::Ended { reason } => {
                tracing::error!(counterparty = %self.line.name, %reason, "the core's session ended");
                self.is_core_up = false;
                self.line.desk.core_ended(&reason.to_string(), now, effects);
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let core = &mut self.core;
        let mut untaken = 0;
        self.line.perform(effects, |name, client_seq, request| {
            let submitted = core.submit(request);
            if submitted.as_ref().ok() != Some(&client_seq) {
                // The core says at its next logon which number it expects; until then the request is
                // without an answer, and the counterparty is told so.
                tracing::error!(counterparty = %name, ?submitted, %client_seq,
                    "a request was not taken under its number");
                untaken += 1;
            }
        })?;
        (0..untaken).for_each(|_| self.line.metrics.count(Counted::Untold));
        Ok(())
    }

    /// Adds to the gauges what changed here.
    fn show(&mut self) {
        let in_flight = i64::try_from(self.line.desk.in_flight()).unwrap_or(i64::MAX);
        self.add_to_gauges([i64::from(self.is_core_up), in_flight]);
    }

    fn add_to_gauges(&mut self, shows: [i64; 2]) {
        let metrics = &self.line.metrics;
        let gauges = [&metrics.core_sessions, &metrics.in_flight];
        for ((gauge, now), before) in gauges.into_iter().zip(shows).zip(self.shown) {
            gauge.add(now - before);
        }
        self.shown = shows;
    }
}
