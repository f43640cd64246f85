//! The order load: one client process with its own sessions, as a broker's customers are.
//!
//! ```text
//!   generator (seeded) ─► due at its time, whatever the core does ─► OrderSession ─► entries
//!                                                                        │
//!   one JSON line each 200 ms ◄── meter ◄── answers ─────────────────────┤
//!   history file ◄── all that was sent and seen ─────────────────────────┘
//! ```
//!
//! Open loop: orders fall due at their own times, and latency counts from there, so a core that
//! stalls is charged for every order that had to wait.

mod generator;
mod meter;
mod prepare;
mod trader;

pub use generator::{Generator, SYMBOLS};
pub use meter::Sample;
pub use prepare::prepare;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use client::session::SessionOptions;
use history::Header;
use meter::Meter;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use trader::{Note, Trader};
use types::{AccountId, SessionId};

/// How often a line is printed and the history flushed.
const INTERVAL: Duration = Duration::from_millis(200);
/// Notes of the sessions that may wait to be written down.
const NOTES_MAX: usize = 65_536;
/// Requests that a session may have open.
const IN_FLIGHT_MAX: usize = 1_024;

/// One client process.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// An entry, HOST:PORT; repeat it for others. The first is tried first
    #[arg(long = "entry", required = true)]
    pub entries: Vec<String>,
    /// First session; the others follow
    #[arg(long)]
    pub session: u64,
    /// How many sessions
    #[arg(long, default_value_t = 1)]
    pub sessions: u64,
    /// First account; each session has its own
    #[arg(long)]
    pub account: u64,
    /// Orders a second, over all sessions
    #[arg(long)]
    pub rate: f64,
    /// Seed: the same one sends the same orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where to write down what was sent and seen
    #[arg(long)]
    pub history: PathBuf,
    /// End after so many seconds; else at SIGTERM, or when nobody reads what it prints
    #[arg(long)]
    pub duration_seconds: Option<u64>,
}

/// Runs the client until it is told to stop; then it waits a little for what is open.
///
/// # Errors
/// Bad arguments, by name; a history that cannot be written; a session that the core refuses.
pub async fn run(arguments: Arguments) -> Result<()> {
    ensure!(
        (1..=10_000).contains(&arguments.sessions),
        "--sessions {} is not accepted: use 1 to 10000",
        arguments.sessions
    );
    ensure!(
        arguments.rate > 0.0 && arguments.rate <= 1e6,
        "--rate {} is not accepted: use more than 0 and at most 1000000 orders a second",
        arguments.rate
    );
    let file = std::fs::File::create(&arguments.history)
        .with_context(|| format!("failed to create {}", arguments.history.display()))?;
    let mut history = BufWriter::new(file);
    let name = format!("session {}", arguments.session);
    history.write_all(Header::new(name).to_line()?.as_bytes())?;

    let stop = CancellationToken::new();
    let (sender, mut notes) = mpsc::channel(NOTES_MAX);
    let mut traders = spawn_traders(&arguments, &sender, &stop)?;
    drop(sender);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let end = arguments
        .duration_seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut meter = Meter::default();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(Note { record, latency_us, entry }) => {
                    if let Some(record) = record {
                        history.write_all(record.to_line()?.as_bytes())?;
                        meter.record(&record, latency_us);
                    }
                    if let Some(entry) = entry {
                        meter.entry = entry;
                    }
                }
                // All sessions have ended.
                None => break,
            },
            _ = ticks.tick() => {
                history.flush().context("failed to write the history")?;
                // Nobody reads any more: whoever began the load may have been killed.
                if !tell(&meter.sample())? {
                    stop.cancel();
                }
            }
            _ = terminate.recv() => stop.cancel(),
            _ = interrupt.recv() => stop.cancel(),
            () = at(end) => stop.cancel(),
        }
    }
    history.flush().context("failed to write the history")?;
    tell(&meter.sample())?;
    while let Some(ended) = traders.join_next().await {
        ended.context("a session panicked")??;
    }
    Ok(())
}

fn spawn_traders(
    arguments: &Arguments,
    notes: &mpsc::Sender<Note>,
    stop: &CancellationToken,
) -> Result<JoinSet<Result<()>>> {
    let mut traders = JoinSet::new();
    let each = arguments.rate / arguments.sessions as f64;
    for number in 0..arguments.sessions {
        let session = SessionId(arguments.session + number);
        let options = SessionOptions {
            session,
            account: AccountId(arguments.account + number),
            in_flight_max: IN_FLIGHT_MAX,
            seed: arguments.seed.wrapping_add(number),
            timing: client::session::Timing::default(),
        };
        let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(number);
        let generator = Generator::new(seed, session, each);
        let trader = Trader::new(options, &arguments.entries, generator, notes.clone())?;
        traders.spawn(trader.run(stop.clone()));
    }
    Ok(traders)
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) if Instant::now() < end => tokio::time::sleep_until(end).await,
        Some(_) => {
            // Told already; told again, it does no harm, but not at every turn.
            tokio::time::sleep(INTERVAL).await;
        }
        None => std::future::pending().await,
    }
}

/// Prints a sample; says whether anybody reads it.
fn tell(sample: &Sample) -> Result<bool> {
    let line = serde_json::to_string(sample)? + "\n";
    match std::io::stdout().write_all(line.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("failed to write to standard output"),
    }
}
