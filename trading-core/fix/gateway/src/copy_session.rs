//! One drop copy: the shell around its desk. It owns the socket, the store, the clock and what reads
//! the log.
//!
//! ```text
//!   arrival, bytes, time ─┐
//!                         ├─► drop_copy::Desk ─► records ─► store, then the rest, in order
//!   LogReader ─ copies ───┤    only while the counterparty is logged on and reads
//!   LogReader, once more ─┘    while messages are asked for that are no longer kept
//! ```

use crate::acceptor::Arrival;
use crate::connection::{Came, Connection, Ending, Moved};
use crate::counterparty::records_of;
use crate::log_reader::{COPIES_MAX, Copied, LogReader, Read};
use crate::metrics::{Metrics, Refused};
use crate::store::{Opened, Store, StoreError};
use drop_copy::{Desk, DeskOptions, Position};
use fix::Effect;
use fix::session::Now;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::UnixMicros;

/// While so much waits to be read by the counterparty, no copy is taken: what was sent and may be lost
/// with the connection stays within what can be sent again.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// One drop copy's task.
pub(crate) struct CopySession {
    pub name: String,
    desk: Desk,
    store: Store,
    store_bytes_max: u64,
    replicas: Vec<String>,
    metrics: Arc<Metrics>,
    started: Instant,
    connection: Option<Connection>,
    /// What is read in the log again, with the recall's number.
    again: Option<(u64, mpsc::Receiver<Read>)>,
    /// What the gauges were last told: connected, logged on.
    shown: [i64; 2],
}

enum Input {
    Arrived(Option<Arrival>),
    Moved(Moved),
    Read(Option<Read>),
    Recalled(Option<Read>),
    Due,
    Stop,
}

impl CopySession {
    /// Takes up a session where its store says that it was.
    ///
    /// # Errors
    /// [`StoreError`] when what is found cannot be kept in order.
    pub(crate) fn new(
        options: DeskOptions,
        opened: Opened,
        replicas: Vec<String>,
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
            desk,
            store,
            store_bytes_max,
            replicas,
            metrics,
            started: Instant::now(),
            connection: None,
            again: None,
            shown: [0; 2],
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
        let mut copies = self.start_reader(self.desk.told(), false);
        let mut stopping = false;
        loop {
            let input = self.next_input(&mut arrivals, &mut copies, &stop, stopping);
            let input = input.await;
            let now = self.now();
            let mut effects = Vec::new();
            match input {
                Input::Arrived(Some(arrival)) => self.arrived(arrival, now, &mut effects),
                Input::Moved(moved) => {
                    if (self.connection.as_mut()).is_some_and(|it| it.note(moved)) {
                        self.take_frames(now, &mut effects);
                    }
                }
                Input::Read(Some(Read::Copied(Copied { copy, is_old }))) => {
                    self.desk.copy(copy, is_old, now, &mut effects);
                }
                Input::Recalled(Some(Read::Copied(Copied { copy, .. }))) => {
                    self.desk.recalled(copy, now, &mut effects);
                }
                Input::Recalled(Some(Read::Until(index))) => {
                    self.desk.recalled_until(index, now, &mut effects);
                }
                // Who reads ends only when it is not wanted any more.
                Input::Read(Some(Read::Until(_))) | Input::Recalled(None) => {}
                Input::Due => self.desk.tick(now, &mut effects),
                Input::Arrived(None) | Input::Read(None) | Input::Stop => {
                    stopping = true;
                    let text = "this gateway stops: connect again";
                    self.desk.log_out(text, now, &mut effects);
                }
            }
            self.perform(effects)?;
            self.end_connection();
            self.read_again();
            self.show();
            if stopping && self.connection.is_none() {
                return self.store.close();
            }
        }
    }

    async fn next_input(
        &mut self,
        arrivals: &mut mpsc::Receiver<Arrival>,
        copies: &mut mpsc::Receiver<Read>,
        stop: &CancellationToken,
        stopping: bool,
    ) -> Input {
        let desk_due = self.desk.deadline_ms();
        let desk_due = desk_due.map(|ms| self.started + Duration::from_millis(ms));
        let ends = self.connection.as_ref().and_then(Connection::ends);
        let due = [desk_due, ends].into_iter().flatten().min();
        let waiting = self.connection.as_ref().map(Connection::waiting_bytes);
        let is_read = waiting.is_some_and(|bytes| bytes < WAITING_BYTES_MAX);
        let takes = !stopping && is_read && self.desk.session().is_up();
        let takes_copies = takes && self.again.is_none();
        let again = self.again.as_mut().map(|(_, again)| again);
        tokio::select! {
            () = stop.cancelled(), if !stopping => Input::Stop,
            arrival = arrivals.recv(), if !stopping => Input::Arrived(arrival),
            moved = Connection::moved(&mut self.connection) => Input::Moved(moved),
            read = copies.recv(), if takes_copies => Input::Read(read),
            read = async {
                match again {
                    Some(again) => again.recv().await,
                    None => std::future::pending().await,
                }
            }, if takes => Input::Recalled(read),
            () = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            } => Input::Due,
        }
    }

    /// Begins and ends to read the log again, as the desk wants it.
    fn read_again(&mut self) {
        let wanted = self.desk.recalls();
        let reads = self.again.as_ref().map(|(number, _)| *number);
        if reads == wanted.map(|(number, _)| number) {
            return;
        }
        self.again = wanted.map(|(number, after)| {
            tracing::info!(counterparty = %self.name, ?after, "messages are read in the log again");
            (number, self.start_reader(after, true))
        });
    }

    /// A reader behind a position. It ends when its receiver is gone.
    fn start_reader(&self, after: Position, is_again: bool) -> mpsc::Receiver<Read> {
        let (sender, receiver) = mpsc::channel(COPIES_MAX);
        let (replicas, metrics) = (self.replicas.clone(), self.metrics.clone());
        let reader = LogReader::new(replicas, self.desk.accounts(), after, sender, metrics);
        tokio::spawn(if is_again { reader.again() } else { reader }.run());
        receiver
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
        tracing::info!(counterparty = %self.name, "drop copy connected");
        self.connection = Some(Connection::new(arrival));
        self.desk.connected(now);
        self.take_frames(now, effects);
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

    /// Does what the desk says: first all is kept, then the rest goes out.
    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        self.store.keep(records_of(&effects))?;
        for effect in effects {
            match effect {
                Effect::Keep(_) => {}
                Effect::Count(counted) => self.metrics.count(counted),
                // A desk that only listens asks nothing of the core.
                Effect::Submit { .. } => {}
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
            tracing::info!(counterparty = %self.name, "drop copy disconnected");
            self.desk.disconnected();
            self.connection = None;
        }
    }

    fn show(&mut self) {
        let shows = [
            i64::from(self.connection.is_some()),
            i64::from(self.desk.session().is_up()),
        ];
        let gauges = [&self.metrics.connected, &self.metrics.logged_on];
        for ((gauge, now), before) in gauges.into_iter().zip(shows).zip(self.shown) {
            gauge.add(now - before);
        }
        self.shown = shows;
    }
}
