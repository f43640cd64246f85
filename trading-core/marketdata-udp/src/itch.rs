//! ITCH over MoldUDP64 from two multicast lines, and what is missing from a retransmission server.
//!
//! ```text
//!   multicast A, B ──────────────────► ReferenceFeed ─► reference prices, metrics
//!   retransmission server ◄─ Request ─┘    ▲
//!            └── the same packets, to the one who asked
//! ```

use crate::clock::Clock;
use crate::multicast::{Interface, receiver};
use crate::receive::ReceiveEnd;
use marketdata::itch::{FeedCounts, FeedEffect, FeedSettings, ReferenceFeed, Stock, Wholeness};
use marketdata::mold::FrameError;
use marketdata::{Monotonic, ReferencePrice};
use probes::Probes;
use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use types::SymbolId;

/// How often time passes for the feed: what is missing is asked for as finely.
const ROUND: Duration = Duration::from_millis(5);
/// Packets taken from one socket before the others are looked at.
const PACKETS_IN_A_ROW_MAX: usize = 64;
/// The longest datagram there is.
const BUFFER_BYTES: usize = 65_536;

/// How to receive.
#[derive(Clone, Debug)]
pub struct ItchOptions {
    /// Lines A and B.
    pub lines: [SocketAddrV4; 2],
    /// Who sends again what is missing.
    pub retransmission: SocketAddr,
    /// The interface to listen on.
    pub interface: Interface,
    /// The exchange's names of the symbols that are followed.
    pub listing: BTreeMap<Stock, SymbolId>,
    /// The feed's own settings.
    pub settings: FeedSettings,
}

/// What the receiving process saw.
#[derive(Clone, Copy, Debug)]
pub enum ItchObserved {
    /// The books became whole, or no longer are.
    Became(Wholeness),
    /// A record for the core.
    Reference(ReferencePrice),
    /// A packet that could not be read.
    Unreadable(FrameError),
}

struct Process<F> {
    clock: Clock,
    feed: ReferenceFeed,
    metrics: Arc<ItchMetrics>,
    /// Connected to the retransmission server.
    server: UdpSocket,
    effects: Vec<FeedEffect>,
    records: Vec<ReferencePrice>,
    observe: F,
}

impl<F: FnMut(ItchObserved)> Process<F> {
    fn packet(&mut self, bytes: &[u8]) {
        let now = self.clock.now();
        if let Err(error) = self.feed.receive(bytes, now, &mut self.effects) {
            (self.observe)(ItchObserved::Unreadable(error));
        }
        self.perform();
    }

    fn round(&mut self) {
        let now = self.clock.now();
        self.feed.tick(now, &mut self.effects);
        self.perform();
        self.feed.take_records(now, &mut self.records);
        for record in self.records.drain(..) {
            (self.observe)(ItchObserved::Reference(record));
        }
        self.metrics.show(&self.feed, now);
    }

    fn perform(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                FeedEffect::Ask(request) => {
                    // A request that is not sent is made again: the feed counts and bounds them.
                    let _ = self.server.try_send(&request.encode());
                }
                FeedEffect::Became(wholeness) => (self.observe)(ItchObserved::Became(wholeness)),
            }
        }
    }

    /// Takes what has come at one socket, up to a bound.
    fn drain(&mut self, socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..PACKETS_IN_A_ROW_MAX {
            match socket.try_recv(buffer) {
                Ok(length) => self.packet(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn drain_server(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..PACKETS_IN_A_ROW_MAX {
            match self.server.try_recv(buffer) {
                Ok(length) => self.packet(&buffer[..length]),
                // Nobody listens there, says the network: asked again, somebody may.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Receives until `stop`; gives what was counted.
///
/// # Errors
/// [`ReceiveEnd`].
pub async fn receive_itch(
    options: ItchOptions,
    metrics: Arc<ItchMetrics>,
    stop: CancellationToken,
    observe: impl FnMut(ItchObserved),
) -> Result<FeedCounts, ReceiveEnd> {
    let [line_a, line_b] = options.lines;
    let line_a = receiver(line_a, options.interface)?;
    let line_b = receiver(line_b, options.interface)?;
    let server = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    server.connect(options.retransmission).await?;
    let mut process = Process {
        clock: Clock::start(),
        feed: ReferenceFeed::new(options.settings, options.listing),
        metrics,
        server,
        effects: Vec::new(),
        records: Vec::new(),
        observe,
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(process.feed.counts()),
            ready = line_a.readable() => {
                ready?;
                process.drain(&line_a, &mut buffer)?;
            }
            ready = line_b.readable() => {
                ready?;
                process.drain(&line_b, &mut buffer)?;
            }
            ready = process.server.readable() => {
                ready?;
                process.drain_server(&mut buffer)?;
            }
            _ = rounds.tick() => process.round(),
        }
    }
}

/// An ITCH receiver's metrics and their registry.
pub struct ItchMetrics {
    registry: Registry,
    counters: Vec<IntCounter>,
    whole: IntGauge,
    symbols: IntGauge,
}

/// Name, help and value of each counter.
fn counted(counts: &FeedCounts) -> [(&'static str, &'static str, u64); 11] {
    let FeedCounts {
        receiver,
        unreadable,
        restarts,
        tracker,
    } = *counts;
    [
        (
            "packets_total",
            "Packets, those sent again among them.",
            receiver.packets,
        ),
        (
            "messages_total",
            "Messages taken, in their order.",
            receiver.messages,
        ),
        (
            "duplicates_total",
            "Messages that had come before.",
            receiver.duplicates,
        ),
        (
            "malformed_total",
            "Packets that could not be read.",
            receiver.malformed,
        ),
        (
            "unreadable_total",
            "Messages that could not be read.",
            unreadable,
        ),
        ("gaps_total", "Holes that appeared.", receiver.gaps),
        (
            "requests_total",
            "Requests to send messages again.",
            receiver.requests,
        ),
        ("lost_total", "Messages lost for good.", receiver.lost),
        (
            "restarts_total",
            "Times that all was asked for from the session's first message.",
            restarts,
        ),
        (
            "reference_prices_total",
            "Reference prices told.",
            tracker.told,
        ),
        (
            "reference_withheld_total",
            "Reference prices withheld: the feed was not whole.",
            tracker.withheld,
        ),
    ]
}

impl ItchMetrics {
    /// Metrics that show nothing yet.
    ///
    /// # Errors
    /// When two have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let mut counters = Vec::new();
        for (name, help, _) in counted(&FeedCounts::default()) {
            let counter = IntCounter::new(format!("itch_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            counters.push(counter);
        }
        let whole = IntGauge::new("itch_whole", "1 while all messages known of have come.")?;
        let symbols = IntGauge::new("itch_symbols", "Symbols that are followed.")?;
        registry.register(Box::new(whole.clone()))?;
        registry.register(Box::new(symbols.clone()))?;
        Ok(Self {
            registry,
            counters,
            whole,
            symbols,
        })
    }

    fn show(&self, feed: &ReferenceFeed, now: Monotonic) {
        for (counter, (_, _, value)) in self.counters.iter().zip(counted(&feed.counts())) {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        let is_whole = feed.wholeness(now) == Wholeness::Whole;
        self.whole.set(i64::from(is_whole));
        let symbols = i64::try_from(feed.symbols().count()).unwrap_or(i64::MAX);
        self.symbols.set(symbols);
    }
}

/// Metrics and health of an ITCH receiver over HTTP. It is ready while its books are whole.
pub struct ItchProbes(pub Arc<ItchMetrics>);

impl Probes for ItchProbes {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.0.registry.gather(), &mut text);
        encoded.map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        match self.0.whole.get() {
            1 => Ok(()),
            _ => Err("messages are missing, or none has come".into()),
        }
    }
}
