//! `tricenter-decoder`: hands on a feed's messages from a card or from software, each once, as frames
//! to standard output or as a line for each change.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use card_health::Verdict;
use card_takeover::{Effect, Event, Settings, Takeover};
use clap::Parser;
use marketdata::mold::ReceiverSettings;
use marketdata::{Decode, DecodeEvent, Monotonic, SoftwareDecoder};
use tokio::io::AsyncReadExt;
use tokio::net::{UdpSocket, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

/// How often the verdict is looked at and time passes.
const ROUND: Duration = Duration::from_millis(20);
/// Packets taken before anything else is looked at.
const PACKETS_IN_A_ROW_MAX: usize = 256;
const PACKET_BYTES_MAX: usize = 65_536;
/// Bytes of the ring that wait to become whole frames.
const RING_BYTES_MAX: usize = 1 << 20;
/// Bytes before a frame's message: its length and its number.
const FRAME_HEAD_BYTES: usize = 10;

/// Hands on a feed's messages from a card or from software, each once and in order
#[derive(Debug, Parser)]
#[command(version, name = "tricenter-decoder")]
struct Arguments {
    /// Where the feed's MoldUDP64 packets come in for the software decoder
    #[arg(long, default_value = "127.0.0.1:0")]
    feed: SocketAddr,
    /// The card's ring
    #[arg(long)]
    ring: PathBuf,
    /// The agent's verdict of the card
    #[arg(long)]
    verdict: PathBuf,
    /// Without a new verdict for so long nobody vouches for the card, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    verdict_age_ms_max: u64,
    /// The card has stopped when software is ahead of it for so long, in milliseconds
    #[arg(long, default_value_t = 100)]
    silence_ms: u64,
    /// How long a card is compared before it is used, in milliseconds
    #[arg(long, default_value_t = 30_000)]
    soak_ms: u64,
    /// And over how many messages
    #[arg(long, default_value_t = 10_000)]
    soak_messages: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let settings = Settings {
        silence_ms: arguments.silence_ms,
        soak_ms: arguments.soak_ms,
        soak_messages: arguments.soak_messages,
        ..Settings::default()
    };
    settings.check()?;
    let socket = UdpSocket::bind(arguments.feed)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.feed))?;
    println!("decoder feed {}", socket.local_addr()?);
    Shell::new(arguments, settings).run(socket).await
}

/// Sockets, files and clock around the takeover.
struct Shell {
    arguments: Arguments,
    began: Instant,
    takeover: Takeover,
    software: SoftwareDecoder,
    effects: Vec<Effect>,
    ring: Option<UnixStream>,
    ring_bytes: Vec<u8>,
    verdict: Option<Verdict>,
    verdict_at_ms: u64,
    last: u64,
    out_of_order: u64,
}

impl Shell {
    fn new(arguments: Arguments, settings: Settings) -> Self {
        Self {
            arguments,
            began: Instant::now(),
            takeover: Takeover::new(settings),
            software: SoftwareDecoder::new(ReceiverSettings::default()),
            effects: Vec::new(),
            ring: None,
            ring_bytes: Vec::new(),
            verdict: None,
            verdict_at_ms: 0,
            last: 0,
            out_of_order: 0,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn run(mut self, socket: UdpSocket) -> Result<()> {
        let mut terminate =
            signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut packet, mut chunk) = (vec![0; PACKET_BYTES_MAX], vec![0; PACKET_BYTES_MAX]);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                ready = socket.readable() => {
                    ready.context("failed to hear the feed")?;
                    for _ in 0..PACKETS_IN_A_ROW_MAX {
                        let Ok(length) = socket.try_recv(&mut packet) else { break };
                        self.packet(&packet[..length]);
                    }
                }
                read = read_ring(&mut self.ring, &mut chunk) => self.ring_read(read, &chunk),
                _ = rounds.tick() => self.round().await,
            }
            self.tell();
        }
        let counts = self.takeover.counts();
        println!(
            "end delivered {} by_card {} compared {} takeovers {} out_of_order {}",
            counts.delivered, counts.by_card, counts.compared, counts.takeovers, self.out_of_order
        );
        Ok(())
    }

    fn take(&mut self, event: Event<'_>) {
        let now_ms = self.now_ms();
        self.takeover.take(now_ms, event, &mut self.effects);
    }

    fn packet(&mut self, bytes: &[u8]) {
        let now_ms = self.now_ms();
        let now = Monotonic::from_us(now_ms * 1_000);
        let (takeover, effects, mut message) = (&mut self.takeover, &mut self.effects, Vec::new());
        let mut sink = |event: DecodeEvent<'_>| match event {
            DecodeEvent::Message {
                sequence,
                message: it,
            } => {
                message.clear();
                it.fields().encode(&mut message);
                takeover.take(
                    now_ms,
                    Event::Software {
                        sequence,
                        message: &message,
                    },
                    effects,
                );
            }
            DecodeEvent::Lost { last, .. } => takeover.take(now_ms, Event::Lost { last }, effects),
            _ => {}
        };
        // A packet that cannot be read is counted by the decoder, and its messages become a hole.
        let _ = self.software.decode(bytes, now, &mut sink);
        self.software.tick(now, &mut sink);
    }

    fn ring_read(&mut self, read: std::io::Result<usize>, chunk: &[u8]) {
        let length = read.unwrap_or(0);
        if length == 0 || self.ring_bytes.len() + length > RING_BYTES_MAX {
            self.ring = None;
            self.ring_bytes.clear();
            return self.take(Event::Closed);
        }
        self.ring_bytes.extend_from_slice(&chunk[..length]);
        let bytes = std::mem::take(&mut self.ring_bytes);
        let mut rest = bytes.as_slice();
        while let Some((sequence, message, left)) = take_frame(rest) {
            self.take(Event::Card { sequence, message });
            rest = left;
        }
        self.ring_bytes = rest.to_vec();
    }

    /// Looks at the verdict and at the ring. Without a new verdict the card is not begun with, and is
    /// left: nobody vouches for it.
    async fn round(&mut self) {
        if self.ring.is_none() {
            self.ring = UnixStream::connect(&self.arguments.ring).await.ok();
        }
        let read = tokio::fs::read(&self.arguments.verdict).await.ok();
        let verdict: Option<Verdict> = read.and_then(|text| serde_json::from_slice(&text).ok());
        let now_ms = self.now_ms();
        if verdict.is_some() && verdict != self.verdict {
            (self.verdict, self.verdict_at_ms) = (verdict, now_ms);
        }
        let is_fresh = now_ms - self.verdict_at_ms <= self.arguments.verdict_age_ms_max;
        let is_usable = is_fresh && self.verdict.as_ref().is_some_and(|it| it.is_usable);
        self.take(Event::Verdict {
            is_usable: is_usable && self.ring.is_some(),
        });
    }

    fn tell(&mut self) {
        let now_ms = self.now_ms();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Deliver { sequence, .. } => {
                    self.out_of_order += u64::from(sequence != self.last + 1);
                    self.last = sequence;
                }
                Effect::Now { mode, why, from } => {
                    let why = why.map_or_else(|| "-".to_owned(), |it| format!("{it:?}"));
                    println!("now {mode:?} why {why} from {from} at_ms {now_ms}");
                }
                Effect::Distrust { from } => println!("distrust from {from} at_ms {now_ms}"),
            }
        }
    }
}

async fn read_ring(ring: &mut Option<UnixStream>, chunk: &mut [u8]) -> std::io::Result<usize> {
    match ring {
        Some(ring) => ring.read(chunk).await,
        None => std::future::pending().await,
    }
}

/// The first frame and what follows it: a length, the message's number, and the message.
fn take_frame(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let (length, sequence) = head.split_first_chunk()?;
    let sequence = sequence.first_chunk()?;
    let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u64::from_be_bytes(*sequence), message, rest))
}
