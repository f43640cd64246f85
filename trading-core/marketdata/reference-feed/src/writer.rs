//! Brings prices to whoever leads, one at a time.

use crate::board::Board;
use crate::metrics::{Became, Metrics};
use client::admin::{AdminConnection, AdminError};
use marketdata::ReferencePrice;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// Between a replica that does not lead and the next one.
const PAUSE: Duration = Duration::from_millis(100);

/// The board that the receiver fills and the writer empties.
#[derive(Default)]
pub(crate) struct Shared {
    board: Mutex<Board>,
    pub news: Notify,
}

impl Shared {
    pub(crate) fn with<T>(&self, see: impl FnOnce(&mut Board) -> T) -> T {
        // Nothing on the board is ever half done, so one who panicked left it whole.
        see(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Writer {
    replicas: Vec<String>,
    /// The replica that is asked.
    place: usize,
    connection: Option<AdminConnection>,
    shared: Arc<Shared>,
    record_interval: Duration,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(crate) fn new(
        replicas: Vec<String>,
        record_interval: Duration,
        shared: Arc<Shared>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            replicas,
            place: 0,
            connection: None,
            shared,
            record_interval,
            metrics,
        }
    }

    /// Brings prices until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut pace = interval(self.record_interval);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.shared.with(Board::next);
            self.show();
            let Some(price) = next else {
                self.shared.news.notified().await;
                continue;
            };
            pace.tick().await;
            match self.bring(price).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::info!(%error, "the price waits: the next replica is asked");
                    self.metrics.count(Became::Unled);
                    self.connection = None;
                    self.place = (self.place + 1) % self.replicas.len();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One record; an answer settles it, whatever it says.
    async fn bring(&mut self, price: ReferencePrice) -> Result<(), AdminError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => AdminConnection::connect(&self.replicas[self.place]).await?,
        };
        let answer = connection.control(&price.control()).await?;
        self.connection = Some(connection);
        self.shared.with(|board| board.settled(price));
        if answer.done {
            self.metrics.count(Became::Done);
            let epoch = i64::try_from(answer.epoch).unwrap_or(i64::MAX);
            self.metrics.epoch.set(epoch);
        } else {
            self.metrics.count(Became::Refused);
            tracing::warn!(symbol = %price.symbol, code = answer.code, text = answer.text,
                "the core refused a reference price");
        }
        Ok(())
    }

    fn show(&self) {
        let (waiting, replaced) = self.shared.with(|it| (it.len(), it.replaced()));
        self.metrics
            .waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let counted = &self.metrics.replaced;
        counted.inc_by(replaced.saturating_sub(counted.get()));
    }
}
