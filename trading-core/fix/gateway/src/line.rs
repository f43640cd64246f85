//! What every session's task has, whatever its desk does: the socket, the store and the clock.
//!
//! ```text
//!   arrival, bytes, time ─► Line ─► desk ─► effects ─► records to the store, then bytes to the socket
//!                                              └─► requests to who owns the session with the core
//! ```

use crate::acceptor::Arrival;
use crate::connection::{Came, Connection, Ending, Moved};
use crate::metrics::{Metrics, Refused};
use crate::store::{Opened, Store, StoreError};
use fix::session::{Now, Session};
use fix::{Effect, Record};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use types::{ClientSeq, Request, UnixMicros};

/// A desk, as its line sees it.
pub(crate) trait Side {
    fn session(&self) -> &Session;
    fn records(&self) -> Vec<Record>;
    fn records_may_be_missing(&mut self, next_out: u64, effects: &mut Vec<Effect>);
    fn connected(&mut self, now: Now);
    fn disconnected(&mut self);
    fn receive(&mut self, bytes: &[u8], now: Now, effects: &mut Vec<Effect>);
    fn garbled(&mut self, effects: &mut Vec<Effect>);
    fn deadline_ms(&self) -> Option<u64>;
}

macro_rules! side {
    ($desk:ty) => {
        impl Side for $desk {
            fn session(&self) -> &Session {
                self.session()
            }
            fn records(&self) -> Vec<Record> {
                self.records()
            }
            fn records_may_be_missing(&mut self, next_out: u64, effects: &mut Vec<Effect>) {
                self.records_may_be_missing(next_out, effects);
            }
            fn connected(&mut self, now: Now) {
                self.connected(now);
            }
            fn disconnected(&mut self) {
                self.disconnected();
            }
            fn receive(&mut self, bytes: &[u8], now: Now, effects: &mut Vec<Effect>) {
                self.receive(bytes, now, effects);
            }
            fn garbled(&mut self, effects: &mut Vec<Effect>) {
                self.garbled(effects);
            }
            fn deadline_ms(&self) -> Option<u64> {
                self.deadline_ms()
            }
        }
    };
}

side!(fix::Desk);
side!(drop_copy::Desk);

/// A desk with its counterparty's connection and its store.
pub(crate) struct Line<D> {
    pub name: String,
    pub desk: D,
    pub metrics: Arc<Metrics>,
    pub connection: Option<Connection>,
    store: Store,
    store_bytes_max: u64,
    started: Instant,
    /// What the gauges were last told: connected, logged on, bytes in the store.
    shown: [i64; 3],
}

impl<D: Side> Line<D> {
    /// Takes up a session where its store says that it was. `desk` was made of the records.
    ///
    /// # Errors
    /// [`StoreError`] when what is found cannot be kept in order.
    pub(crate) fn new(
        name: String,
        opened: Opened,
        desk: impl FnOnce(Vec<Record>) -> D,
        store_bytes_max: u64,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let mut desk = desk(opened.records);
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
            metrics,
            connection: None,
            store,
            store_bytes_max,
            started: Instant::now(),
            shown: [0; 3],
        })
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = wall.map_or(0, |passed| passed.as_micros());
        Now {
            wall: UnixMicros(u64::try_from(wall).unwrap_or(u64::MAX)),
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// When time has to pass for the desk or the connection.
    pub(crate) fn due(&self) -> Option<Instant> {
        let desk = self.desk.deadline_ms();
        let desk = desk.map(|ms| self.started + Duration::from_millis(ms));
        let connection = self.connection.as_ref().and_then(Connection::ends);
        [desk, connection].into_iter().flatten().min()
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival, now: Now, effects: &mut Vec<Effect>) {
        if self.connection.is_some() {
            return self.metrics.refuse(Refused::Connected);
        }
        tracing::info!(counterparty = %self.name, "connected");
        self.connection = Some(Connection::new(arrival));
        self.desk.connected(now);
        self.take_frames(now, effects);
    }

    pub(crate) fn moved(&mut self, moved: Moved, now: Now, effects: &mut Vec<Effect>) {
        if (self.connection.as_mut()).is_some_and(|it| it.note(moved)) {
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

    /// Does what the desk says: first all is kept, then the rest goes out. `submit` gets what the core
    /// is asked for, with the counterparty's name.
    ///
    /// # Errors
    /// [`StoreError`]; nothing went out.
    pub(crate) fn perform(
        &mut self,
        effects: Vec<Effect>,
        mut submit: impl FnMut(&str, ClientSeq, Request),
    ) -> Result<(), StoreError> {
        self.store.keep(records_of(&effects))?;
        for effect in effects {
            match effect {
                Effect::Keep(_) => {}
                Effect::Count(counted) => self.metrics.count(counted),
                Effect::Submit {
                    client_seq,
                    request,
                } => submit(&self.name, client_seq, request),
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
        self.end_connection();
        self.show();
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

    fn show(&mut self) {
        let bytes = i64::try_from(self.store.bytes()).unwrap_or(i64::MAX);
        self.add_to_gauges([
            i64::from(self.connection.is_some()),
            i64::from(self.desk.session().is_up()),
            bytes,
        ]);
    }

    fn add_to_gauges(&mut self, shows: [i64; 3]) {
        let gauges = [
            &self.metrics.connected,
            &self.metrics.logged_on,
            &self.metrics.store_bytes,
        ];
        for ((gauge, now), before) in gauges.into_iter().zip(shows).zip(self.shown) {
            gauge.add(now - before);
        }
        self.shown = shows;
    }

    /// Ends; what is in the store is safe from a loss of power.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.add_to_gauges([0; 3]);
        self.store.close()
    }
}

/// Waits for an instant; for ever, where there is none.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn records_of(effects: &[Effect]) -> impl Iterator<Item = &Record> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Keep(record) => Some(record),
        _ => None,
    })
}
