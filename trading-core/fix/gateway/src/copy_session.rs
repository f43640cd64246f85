//! One drop copy: the shell around its desk. It owns the line to the counterparty and what reads the
//! log.
//!
//! ```text
//!   Line: arrival, bytes, time ─┐
//!                               ├─► drop_copy::Desk ─► Line: records, then the rest, in order
//!   LogReader ─ copies ─────────┤    only while the counterparty is logged on and reads
//!   LogReader, once more ───────┘    while messages are asked for that are no longer kept
//! ```

use crate::acceptor::Arrival;
use crate::connection::{Connection, Moved};
use crate::line::{Line, until};
use crate::log_reader::{COPIES_MAX, Copied, LogReader, Read};
use crate::metrics::Metrics;
use crate::store::{Opened, StoreError};
use drop_copy::{Desk, DeskOptions, Position};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// While so much waits to be read by the counterparty, no copy is taken: what was sent and may be lost
/// with the connection stays within what can be sent again.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// One drop copy's task.
pub(crate) struct CopySession {
    line: Line<Desk>,
    replicas: Vec<String>,
    /// What is read in the log again, with the recall's number.
    again: Option<(u64, mpsc::Receiver<Read>)>,
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
        let desk = |records| Desk::new(options, records);
        Ok(Self {
            line: Line::new(name, opened, desk, store_bytes_max, metrics)?,
            replicas,
            again: None,
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
        let mut copies = self.start_reader(self.line.desk.told(), false);
        let mut stopping = false;
        loop {
            let input = self.next_input(&mut arrivals, &mut copies, &stop, stopping);
            let input = input.await;
            let now = self.line.now();
            let mut effects = Vec::new();
            let desk = &mut self.line.desk;
            match input {
                Input::Arrived(Some(arrival)) => self.line.arrived(arrival, now, &mut effects),
                Input::Moved(moved) => self.line.moved(moved, now, &mut effects),
                Input::Read(Some(Read::Copied(Copied { copy, is_old }))) => {
                    desk.copy(copy, is_old, now, &mut effects);
                }
                Input::Recalled(Some(Read::Copied(Copied { copy, .. }))) => {
                    desk.recalled(copy, now, &mut effects);
                }
                Input::Recalled(Some(Read::Until(index))) => {
                    desk.recalled_until(index, now, &mut effects);
                }
                // Who reads ends only when it is not wanted any more.
                Input::Read(Some(Read::Until(_))) | Input::Recalled(None) => {}
                Input::Due => desk.tick(now, &mut effects),
                Input::Arrived(None) | Input::Read(None) | Input::Stop => {
                    stopping = true;
                    let text = "this gateway stops: connect again";
                    desk.log_out(text, now, &mut effects);
                }
            }
            // A desk that only listens asks nothing of the core.
            self.line.perform(effects, |_, _, _| {})?;
            self.read_again();
            if stopping && self.line.connection.is_none() {
                return self.line.close();
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
        let due = self.line.due();
        let connection = &mut self.line.connection;
        let waiting = connection.as_ref().map(Connection::waiting_bytes);
        let is_read = waiting.is_some_and(|bytes| bytes < WAITING_BYTES_MAX);
        let takes = !stopping && is_read && self.line.desk.session().is_up();
        let takes_copies = takes && self.again.is_none();
        let again = self.again.as_mut().map(|(_, again)| again);
        tokio::select! {
            () = stop.cancelled(), if !stopping => Input::Stop,
            arrival = arrivals.recv(), if !stopping => Input::Arrived(arrival),
            moved = Connection::moved(connection) => Input::Moved(moved),
            read = copies.recv(), if takes_copies => Input::Read(read),
            read = async {
                match again {
                    Some(again) => again.recv().await,
                    None => std::future::pending().await,
                }
            }, if takes => Input::Recalled(read),
            () = until(due) => Input::Due,
        }
    }

    /// Begins and ends to read the log again, as the desk wants it.
    fn read_again(&mut self) {
        let wanted = self.line.desk.recalls();
        let reads = self.again.as_ref().map(|(number, _)| *number);
        if reads == wanted.map(|(number, _)| number) {
            return;
        }
        self.again = wanted.map(|(number, after)| {
            let name = self.name();
            tracing::info!(counterparty = %name, ?after, "messages are read in the log again");
            (number, self.start_reader(after, true))
        });
    }

    /// A reader behind a position. It ends when its receiver is gone.
    fn start_reader(&self, after: Position, is_again: bool) -> mpsc::Receiver<Read> {
        let (sender, receiver) = mpsc::channel(COPIES_MAX);
        let (replicas, metrics) = (self.replicas.clone(), self.line.metrics.clone());
        let accounts = self.line.desk.accounts();
        let reader = LogReader::new(replicas, accounts, after, sender, metrics);
        tokio::spawn(if is_again { reader.again() } else { reader }.run());
        receiver
    }
}
