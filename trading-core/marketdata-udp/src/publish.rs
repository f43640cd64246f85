//! The publishing process: a source in, multicast out.

use crate::clock::Clock;
use crate::multicast::{Groups, Interface, MulticastError, sender};
use marketdata::level2::{
    Datagram, Group, PublishError, Publisher, PublisherCounts, PublisherSettings, Stream,
};
use marketdata::{MarketEvent, MarketSource};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// How to publish.
#[derive(Clone, Copy, Debug)]
pub struct PublishOptions {
    /// The groups.
    pub groups: Groups,
    /// Through which interface.
    pub interface: Interface,
    /// The publisher's own settings.
    pub settings: PublisherSettings,
    /// How often the source is asked, and how much it may yield each time.
    pub poll_interval: Duration,
    /// Events taken from the source at a time.
    pub events_per_poll_max: usize,
}

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
pub enum PublishEnd {
    /// A group cannot be sent to.
    #[error(transparent)]
    Multicast(#[from] MulticastError),
    /// The publisher refused its settings or a stream.
    #[error("failed to publish: {0}")]
    Publisher(#[from] PublishError),
}

/// The sockets of one channel: each group on two lines.
#[derive(Debug)]
pub struct Lines {
    incremental: [UdpSocket; 2],
    snapshot: [UdpSocket; 2],
    unsent: u64,
}

impl Lines {
    /// Opens them.
    ///
    /// # Errors
    /// [`MulticastError`] with the group.
    pub fn open(groups: Groups, interface: Interface) -> Result<Self, MulticastError> {
        let open = |group| sender(group, interface);
        let [incremental_a, incremental_b] = groups.incremental;
        let [snapshot_a, snapshot_b] = groups.snapshot;
        Ok(Self {
            incremental: [open(incremental_a)?, open(incremental_b)?],
            snapshot: [open(snapshot_a)?, open(snapshot_b)?],
            unsent: 0,
        })
    }

    /// Sends a packet on both lines of its group.
    pub async fn send(&mut self, datagram: &Datagram) {
        let lines = match datagram.group {
            Group::Incremental => &self.incremental,
            Group::Snapshot => &self.snapshot,
        };
        for line in lines {
            // A packet that cannot be sent is lost like any other: receivers recover. It is counted.
            self.unsent += u64::from(line.send(&datagram.bytes).await.is_err());
        }
    }

    /// Packets that the system did not take, each line's for itself.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.unsent
    }
}

/// Publishes until `stop`; gives what was counted, and how many packets the system did not take.
///
/// # Errors
/// [`PublishEnd`] when it cannot begin.
pub async fn publish(
    options: PublishOptions,
    mut source: impl MarketSource,
    stop: CancellationToken,
) -> Result<(PublisherCounts, u64), PublishEnd> {
    let clock = Clock::start();
    let mut lines = Lines::open(options.groups, options.interface)?;
    let stream = |epoch| Stream {
        epoch,
        started: Clock::wall(),
    };
    let mut publisher = Publisher::new(options.settings, stream(source.epoch()))?;
    let mut polls = tokio::time::interval(options.poll_interval);
    polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut events, mut datagrams) = (Vec::<MarketEvent>::new(), Vec::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok((publisher.counts(), lines.unsent())),
            _ = polls.tick() => {}
        }
        if source.epoch() != publisher.stream().epoch {
            publisher.begin(stream(source.epoch()), clock.now())?;
        }
        // What the publisher does not take now waits here, in order, and the source with it.
        if events.is_empty() {
            source.take(options.events_per_poll_max, &mut events);
        }
        let mut taken = 0;
        while let Some(event) = events.get(taken) {
            match publisher.offer(event, clock.now()) {
                Err(PublishError::TradesFull { .. }) => break,
                // A symbol beyond the bound is counted by the publisher and not published.
                Ok(()) | Err(_) => taken += 1,
            }
        }
        events.drain(..taken);
        publisher.poll(clock.now(), Clock::wall(), &mut datagrams);
        for datagram in datagrams.drain(..) {
            lines.send(&datagram).await;
        }
    }
}
