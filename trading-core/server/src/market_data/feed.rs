//! The feed's thread: reads the log, and publishes while its replica serves.

use super::meters::FeedMeters;
use crate::clock::now;
use crate::core::Published;
use journal::{JournalError, LogEntry, Tail, TailFrom};
use marketdata::MarketEvent;
use marketdata::level2::{PublishError, Publisher, PublisherSettings, Stream};
use marketdata_from_log::{CoreMarket, ReadError};
use marketdata_udp::{Clock, Lines};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use types::{Epoch, LogIndex};

/// How often the log is looked at and packets go out.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Entries read before packets go out again.
const ENTRIES_AT_ONCE: usize = 256;
/// The core publishes every 100 ms; when it has not for so long, it is stuck, and a packet in its name
/// would say that what it shows still stands.
const STATUS_AGE_US_MAX: u64 = 500_000;
/// A log that cannot be read is tried again after so many polls.
const POLLS_BETWEEN_TRIES: u32 = 100;

/// Whether this replica may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    /// It serves in this epoch.
    In(Epoch),
    /// It does not.
    No,
    /// The core has not said so for too long: nothing is sent until it does.
    Unknown,
}

/// Why the log was not read on.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

pub(super) struct Feed {
    folder: PathBuf,
    settings: PublisherSettings,
    lines: Lines,
    published: watch::Receiver<Published>,
    applied: Arc<AtomicU64>,
    meters: Arc<FeedMeters>,
    clock: Clock,
    following: Option<(Tail, CoreMarket)>,
    polls_to_wait: u32,
    publisher: Option<Publisher>,
    /// What the publisher did not take yet; no entry is read before it has.
    waiting: VecDeque<MarketEvent>,
    entries: Vec<LogEntry>,
}

impl Feed {
    pub(super) fn new(
        folder: PathBuf,
        settings: PublisherSettings,
        lines: Lines,
        published: watch::Receiver<Published>,
        applied: Arc<AtomicU64>,
        meters: Arc<FeedMeters>,
    ) -> Self {
        Self {
            folder,
            settings,
            lines,
            published,
            applied,
            meters,
            clock: Clock::start(),
            following: None,
            polls_to_wait: 0,
            publisher: None,
            waiting: VecDeque::new(),
            entries: Vec::new(),
        }
    }

    /// Runs until stopped. What goes wrong is told, counted and tried again: nobody's order depends on
    /// it.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut polls = interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = polls.tick() => {}
            }
            // First who serves, then how far: its opening entry, and all before it, is among what is
            // read before a stream begins.
            let serves = self.serves();
            let applied = LogIndex(self.applied.load(Ordering::Acquire));
            if self.polls_to_wait > 0 {
                self.polls_to_wait -= 1;
            } else if let Err(error) = self.follow(applied) {
                self.failed(&error);
            }
            if serves != Serves::Unknown {
                self.lead(serves, applied);
                self.publish().await;
            }
            self.show(applied);
        }
    }

    fn serves(&self) -> Serves {
        let shown = self.published.borrow();
        let status = &shown.status;
        if now().0.saturating_sub(status.now.0) > STATUS_AGE_US_MAX {
            return Serves::Unknown;
        }
        match status.serving {
            true => Serves::In(status.epoch),
            false => Serves::No,
        }
    }

    fn failed(&mut self, error: &FollowError) {
        self.meters.restarts.fetch_add(1, Ordering::Relaxed);
        // A peer's snapshot in place of the log is in order: reading begins at it.
        if !matches!(error, FollowError::Journal(JournalError::NotKept { .. })) {
            tracing::error!(%error, "market data: the log cannot be read on: reading it anew");
            self.polls_to_wait = POLLS_BETWEEN_TRIES;
        }
        self.following = None;
        self.publisher = None;
        self.waiting.clear();
    }

    /// Reads what was applied since, up to a bound.
    fn follow(&mut self, applied: LogIndex) -> Result<(), FollowError> {
        if applied == LogIndex(0) || !self.waiting.is_empty() {
            return Ok(());
        }
        let (tail, market) = match &mut self.following {
            Some(following) => following,
            None => {
                let (tail, snapshot) = Tail::open(&self.folder, TailFrom::NewestSnapshot)?;
                let depth = self.settings.depth;
                let market = match snapshot {
                    Some(it) => CoreMarket::from_snapshot(depth, it.index, &it.state)?,
                    None => CoreMarket::new(depth),
                };
                self.following.insert((tail, market))
            }
        };
        // A publisher is given a bounded piece at a time, so that packets go out meanwhile; whoever
        // only listens catches up in one go.
        loop {
            self.entries.clear();
            let taken = tail.take(applied, ENTRIES_AT_ONCE, &mut self.entries)?;
            for entry in &self.entries {
                market.entry(entry.index, entry.epoch, &entry.data)?;
            }
            if taken < ENTRIES_AT_ONCE || self.publisher.is_some() {
                return Ok(());
            }
            market.discard();
        }
    }

    /// Begins or ends to publish.
    fn lead(&mut self, serves: Serves, applied: LogIndex) {
        let Some((_, market)) = &mut self.following else {
            return;
        };
        let Serves::In(epoch) = serves else {
            self.publisher = None;
            self.waiting.clear();
            market.discard();
            return;
        };
        if (self.publisher.as_ref()).is_some_and(|it| it.stream().epoch == epoch) {
            let mut events = Vec::new();
            market.take(&mut events);
            self.waiting.extend(events);
            return;
        }
        if market.last_index() < applied {
            // What it would show as whole would be old.
            market.discard();
            return;
        }
        let stream = Stream {
            epoch,
            started: now(),
        };
        match Publisher::new(self.settings, stream) {
            Ok(publisher) => {
                let mut events = Vec::new();
                market.whole(&mut events);
                self.waiting = events.into();
                self.publisher = Some(publisher);
                self.meters.streams.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%epoch, index = market.last_index().0, "market data: stream begun");
            }
            // The configuration was checked against the same bounds.
            Err(error) => tracing::error!(%error, "market data cannot be published"),
        }
    }

    async fn publish(&mut self) {
        let Some(publisher) = &mut self.publisher else {
            return;
        };
        let before = publisher.counts();
        while let Some(event) = self.waiting.front() {
            match publisher.offer(event, self.clock.now()) {
                Err(PublishError::TradesFull { .. }) => break,
                // A symbol beyond the bound is counted by the publisher and not published.
                Ok(()) | Err(_) => self.waiting.pop_front(),
            };
        }
        let mut datagrams = Vec::new();
        publisher.poll(self.clock.now(), now(), &mut datagrams);
        self.meters.count(before, publisher.counts());
        for datagram in &datagrams {
            self.lines.send(datagram).await;
        }
    }

    fn show(&self, applied: LogIndex) {
        let read = self.following.as_ref().map_or(0, |it| it.1.last_index().0);
        let epoch = self.publisher.as_ref().map_or(0, |it| it.stream().epoch.0);
        let meters = &self.meters;
        for (meter, value) in [
            (&meters.epoch, epoch),
            (&meters.lag_entries, applied.0.saturating_sub(read)),
            (&meters.waiting, self.waiting.len() as u64),
            (&meters.unsent, self.lines.unsent()),
        ] {
            meter.store(value, Ordering::Relaxed);
        }
    }
}
