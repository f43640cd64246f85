//! The receiving process: four sockets in, books, reference prices and metrics out.

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::multicast::{Groups, Interface, MulticastError, receiver};
use marketdata::level2::{Effect, Line, Receiver, ReceiverCounts, ReceiverSettings, WireError};
use marketdata::{
    ReferencePrice, ReferencePriceTracker, TrackerSettings, observe_effects, take_records,
};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// How often metrics are brought up to date and records are looked for.
const ROUND: Duration = Duration::from_millis(20);
/// Packets taken from one socket before the others are looked at.
const PACKETS_IN_A_ROW_MAX: usize = 64;
/// One byte more than a packet has, so that a longer one is seen to be.
const BUFFER_BYTES: usize = marketdata::level2::wire::PACKET_BYTES_MAX + 1;

/// How to receive.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveOptions {
    /// The groups.
    pub groups: Groups,
    /// On which interface.
    pub interface: Interface,
    /// The receiver's own settings.
    pub settings: ReceiverSettings,
    /// When reference prices are told.
    pub tracker: TrackerSettings,
}

/// What the receiving process saw.
#[derive(Debug)]
pub enum Observed<'a> {
    /// What a packet or time caused; the receiver is as it stands behind it.
    Effect(&'a Effect),
    /// A record for the core.
    Reference(ReferencePrice),
    /// A packet that could not be read.
    Unreadable(WireError),
}

struct Process<F> {
    clock: Clock,
    receiver: Receiver,
    tracker: ReferencePriceTracker,
    metrics: Arc<Metrics>,
    effects: Vec<Effect>,
    records: Vec<ReferencePrice>,
    observe: F,
}

impl<F: FnMut(&Receiver, Observed<'_>)> Process<F> {
    fn packet(&mut self, line: Line, bytes: &[u8]) {
        let arrived = Instant::now();
        let now = self.clock.now();
        let result = self.receiver.receive(line, bytes, now, &mut self.effects);
        self.metrics.decoded(arrived.elapsed());
        if let Err(error) = result {
            (self.observe)(&self.receiver, Observed::Unreadable(error));
        }
        self.tell();
    }

    fn round(&mut self) {
        let now = self.clock.now();
        self.receiver.tick(now, &mut self.effects);
        self.tell();
        take_records(&mut self.tracker, &self.receiver, now, &mut self.records);
        for record in self.records.drain(..) {
            (self.observe)(&self.receiver, Observed::Reference(record));
        }
        let counts = self.tracker.counts();
        self.metrics.show(&self.receiver, counts, Clock::wall());
    }

    fn tell(&mut self) {
        let now = self.clock.now();
        observe_effects(&mut self.tracker, &self.receiver, &self.effects, now);
        for effect in self.effects.drain(..) {
            (self.observe)(&self.receiver, Observed::Effect(&effect));
        }
    }

    /// Takes what has come at one socket, up to a bound.
    fn drain(&mut self, socket: &UdpSocket, line: Line) -> io::Result<()> {
        let mut buffer = [0; BUFFER_BYTES];
        for _ in 0..PACKETS_IN_A_ROW_MAX {
            match socket.try_recv(&mut buffer) {
                Ok(length) => self.packet(line, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Why receiving ended.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveEnd {
    /// A group cannot be heard.
    #[error(transparent)]
    Multicast(#[from] MulticastError),
    /// A socket broke.
    #[error("failed to receive: {0}")]
    Socket(#[from] io::Error),
}

/// Receives until `stop`; gives what was counted.
///
/// # Errors
/// [`ReceiveEnd`].
pub async fn receive(
    options: ReceiveOptions,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    observe: impl FnMut(&Receiver, Observed<'_>),
) -> Result<ReceiverCounts, ReceiveEnd> {
    let open = |group| receiver(group, options.interface);
    let [incremental_a, incremental_b] = options.groups.incremental;
    let [snapshot_a, snapshot_b] = options.groups.snapshot;
    let (incremental_a, incremental_b) = (open(incremental_a)?, open(incremental_b)?);
    let (snapshot_a, snapshot_b) = (open(snapshot_a)?, open(snapshot_b)?);
    let mut process = Process {
        clock: Clock::start(),
        receiver: Receiver::new(options.settings),
        tracker: ReferencePriceTracker::new(options.tracker),
        metrics,
        effects: Vec::new(),
        records: Vec::new(),
        observe,
    };
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(process.receiver.counts()),
            ready = incremental_a.readable() => {
                ready?;
                process.drain(&incremental_a, Line::A)?;
            }
            ready = incremental_b.readable() => {
                ready?;
                process.drain(&incremental_b, Line::B)?;
            }
            ready = snapshot_a.readable() => {
                ready?;
                process.drain(&snapshot_a, Line::A)?;
            }
            ready = snapshot_b.readable() => {
                ready?;
                process.drain(&snapshot_b, Line::B)?;
            }
            _ = rounds.tick() => process.round(),
        }
    }
}
