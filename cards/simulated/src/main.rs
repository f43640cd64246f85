//! `tricenter-simulated-card`: runs a card that is not there, and gives it faults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use card_health::CardAddress;
use card_simulated::{
    Engine, Fault, LatencyProfile, Shown, Tree, read_faults, socket_path, write_faults,
};
use clap::{Parser, Subcommand};
use marketdata::Monotonic;
use tokio::io::AsyncWriteExt;
use tokio::net::{UdpSocket, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;

/// How often the files are brought up to date and faults are looked for.
const STEP: Duration = Duration::from_millis(100);
/// Batches of messages that wait for a slow reader; what is older is lost to it.
const BATCHES_MAX: usize = 8_192;
/// Packets taken before anything else is looked at.
const PACKETS_IN_A_ROW_MAX: usize = 256;
const PACKET_BYTES_MAX: usize = 65_536;

/// A card that is not there: the kernel's files of one, and real decoding
#[derive(Debug, Parser)]
#[command(version, name = "tricenter-simulated-card")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps the card alive until the process ends
    Run {
        /// Under which sys/ and dev/ are made
        #[arg(long)]
        root: PathBuf,
        /// Where the card sits
        #[arg(long, default_value = "0000:81:00.0")]
        address: CardAddress,
        /// Where the feed's MoldUDP64 packets come in
        #[arg(long, default_value = "127.0.0.1:0")]
        feed: SocketAddr,
        /// The card's own file of faults
        #[arg(long)]
        faults: PathBuf,
        /// p50,p90,p99,max of the decode latency that the card tells of, in nanoseconds
        #[arg(long, default_value = "1500,1900,2600,4200")]
        latency: LatencyProfile,
        /// Of the drawn latencies
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Adds a fault
    Fault {
        /// The card's own file of faults
        #[arg(long)]
        faults: PathBuf,
        /// Which
        fault: Fault,
    },
    /// Takes a fault back, or all
    Clear {
        /// The card's own file of faults
        #[arg(long)]
        faults: PathBuf,
        /// Which; without it all
        fault: Option<Fault>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run {
            root,
            address,
            feed,
            faults,
            latency,
            seed,
        } => {
            let engine = Engine::new(latency, seed);
            run(root, address, feed, faults, engine).await
        }
        Command::Fault {
            faults: path,
            fault,
        } => {
            let mut faults = read_faults(&path)?;
            faults.insert(fault);
            Ok(write_faults(&path, &faults)?)
        }
        Command::Clear {
            faults: path,
            fault,
        } => {
            let mut faults = read_faults(&path)?;
            faults.retain(|it| fault.is_some_and(|cleared| cleared != *it));
            Ok(write_faults(&path, &faults)?)
        }
    }
}

async fn run(
    root: PathBuf,
    address: CardAddress,
    feed: SocketAddr,
    faults_path: PathBuf,
    mut engine: Engine,
) -> Result<()> {
    let mut tree = Tree::new(&root, &address)
        .with_context(|| format!("failed to make the card's files under {}", root.display()))?;
    let socket = UdpSocket::bind(feed)
        .await
        .with_context(|| format!("failed to listen on {feed}"))?;
    let (batches, _) = broadcast::channel(BATCHES_MAX);
    let ring = socket_path(&root, &address);
    let _ = std::fs::remove_file(&ring);
    let listener = UnixListener::bind(&ring)
        .with_context(|| format!("failed to listen on {}", ring.display()))?;
    tokio::spawn(hand_on(listener, batches.clone()));
    println!("card {address} feed {}", socket.local_addr()?);
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let (began, mut faults) = (Instant::now(), read_faults(&faults_path)?);
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            ready = socket.readable() => ready.context("failed to hear the feed")?,
            _ = steps.tick() => {
                match read_faults(&faults_path) {
                    Ok(read) => faults = read,
                    // The faults stay as they were: half a fault is none.
                    Err(error) => eprintln!("{error}"),
                }
                engine.tick(&faults);
                let statistics = engine.statistics();
                let shown = Shown { statistics: &statistics, samples: engine.samples().iter().collect() };
                tree.step(&faults, &shown).context("failed to show the card")?;
            }
        }
        let mut batch = Vec::new();
        for _ in 0..PACKETS_IN_A_ROW_MAX {
            let Ok(length) = socket.try_recv(&mut buffer) else {
                break;
            };
            let now =
                Monotonic::from_us(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            // A card that is gone hears nothing.
            if !faults.contains(&Fault::Missing) {
                engine.packet(&buffer[..length], now, &faults, &mut batch);
            }
        }
        if !batch.is_empty() {
            // Without readers nobody misses it.
            let _ = batches.send(batch);
        }
    }
}

/// Gives every reader what is decoded from when it came; one that is too slow misses batches, as with
/// a ring that is overwritten.
async fn hand_on(listener: UnixListener, batches: broadcast::Sender<Vec<u8>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut batches = batches.subscribe();
        tokio::spawn(async move {
            loop {
                match batches.recv().await {
                    Ok(batch) => {
                        if stream.write_all(&batch).await.is_err() {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }
}
