//! `marketdata`: publishes and receives level 2, reads, makes and replays files of ITCH.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use marketdata::TrackerSettings;
use marketdata::level2::{ChannelId, PublisherSettings, ReceiverSettings};
use marketdata::mold::Session;
use marketdata_udp::{
    FeedProbes, Groups, Interface, Metrics, Observed, PublishOptions, ReceiveOptions,
    SyntheticMarket, check_multicast, decode_file, generate_file, publish, receive, replay_file,
};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use types::Epoch;

/// Market data over UDP multicast, and files of NASDAQ ITCH 5.0
#[derive(Parser)]
#[command(version, name = "marketdata")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publishes a market made from a seed as level 2
    Publish {
        #[command(flatten)]
        feed: Feed,
        /// The market's seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Symbols, from 600000 on
        #[arg(long, default_value_t = 10)]
        symbols: u32,
        /// Epoch that packets carry
        #[arg(long, default_value_t = 1)]
        epoch: u64,
        /// Events each 10 ms
        #[arg(long, default_value_t = 100)]
        events: usize,
    },
    /// Receives level 2 and tells gaps, recoveries and reference prices, a line each
    Receive {
        #[command(flatten)]
        feed: Feed,
        /// Where metrics and health are served, HTTP
        #[arg(long)]
        http: Option<SocketAddr>,
    },
    /// Sends a file of ITCH over MoldUDP64 multicast
    Replay {
        /// The file, in the BinaryFILE form
        file: PathBuf,
        /// The group
        #[arg(long, default_value = "239.192.77.9:31009")]
        group: SocketAddrV4,
        #[command(flatten)]
        place: Place,
        /// Packets a second at most
        #[arg(long, default_value_t = 1_000)]
        packets_per_second: u32,
    },
    /// Reads a file of ITCH and tells what is in it; fails when a message cannot be read
    Decode {
        /// The file, in the BinaryFILE form
        file: PathBuf,
        /// Print each message
        #[arg(long)]
        print: bool,
    },
    /// Makes a file of ITCH from a seed
    Generate {
        /// The file to write
        file: PathBuf,
        /// The seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Stocks
        #[arg(long, default_value_t = 100)]
        stocks: u16,
        /// Messages
        #[arg(long, default_value_t = 1_000_000)]
        messages: usize,
    },
    /// Tells whether multicast works on an interface, by trying
    Check {
        /// The group
        #[arg(long, default_value = "239.192.77.8:31008")]
        group: SocketAddrV4,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
struct Place {
    /// Address of the interface
    #[arg(long, default_value = "127.0.0.1")]
    interface: Ipv4Addr,
    /// Time to live: 0 stays on this host, 1 on this network
    #[arg(long, default_value_t = 0)]
    ttl: u32,
}

impl Place {
    fn interface(&self) -> Interface {
        Interface {
            address: self.interface,
            ttl: self.ttl,
        }
    }
}

#[derive(Args)]
struct Feed {
    #[command(flatten)]
    place: Place,
    /// The channel
    #[arg(long, default_value_t = 1)]
    channel: u16,
    /// Incremental packets, line A
    #[arg(long, default_value = "239.192.77.1:31001")]
    incremental_a: SocketAddrV4,
    /// Incremental packets, line B
    #[arg(long, default_value = "239.192.77.2:31002")]
    incremental_b: SocketAddrV4,
    /// Snapshots, line A
    #[arg(long, default_value = "239.192.77.3:31003")]
    snapshot_a: SocketAddrV4,
    /// Snapshots, line B
    #[arg(long, default_value = "239.192.77.4:31004")]
    snapshot_b: SocketAddrV4,
    /// End by itself after so many seconds
    #[arg(long)]
    for_seconds: Option<u64>,
}

impl Feed {
    fn groups(&self) -> Groups {
        Groups {
            incremental: [self.incremental_a, self.incremental_b],
            snapshot: [self.snapshot_a, self.snapshot_b],
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("marketdata: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Publish {
            feed,
            seed,
            symbols,
            epoch,
            events,
        } => {
            let options = PublishOptions {
                groups: feed.groups(),
                interface: feed.place.interface(),
                settings: PublisherSettings {
                    channel: ChannelId(feed.channel),
                    ..PublisherSettings::default()
                },
                poll_interval: Duration::from_millis(10),
                events_per_poll_max: events,
            };
            let source = SyntheticMarket::new(seed, symbols, Epoch(epoch));
            block_on(feed.for_seconds, |stop| async move {
                let (counts, unsent) = publish(options, source, stop).await?;
                println!("{counts:?}, {unsent} packets not sent");
                Ok(())
            })
        }
        Command::Receive { feed, http } => receive_feed(&feed, http),
        Command::Replay {
            file,
            group,
            place,
            packets_per_second,
        } => block_on(None, |_| async move {
            let session = Session(*b"REPLAY    ");
            let interface = place.interface();
            let sent = replay_file(&file, group, interface, session, packets_per_second).await?;
            println!("{sent} messages sent to {group}");
            Ok(())
        }),
        Command::Decode { file, print } => decode_and_tell(&file, print),
        Command::Generate {
            file,
            seed,
            stocks,
            messages,
        } => {
            generate_file(&file, seed, stocks, messages)?;
            println!("{messages} messages in {}", file.display());
            Ok(())
        }
        Command::Check { group, place } => block_on(None, |_| async move {
            check_multicast(group, place.interface()).await?;
            println!("multicast works on {}", place.interface);
            Ok(())
        }),
    }
}

fn decode_and_tell(file: &std::path::Path, print: bool) -> Result<()> {
    let summary = decode_file(file, |message| {
        if print {
            println!("{message:?}");
        }
    })?;
    for (message_type, count) in &summary.messages {
        println!("{} {count}", char::from(*message_type));
    }
    let total = summary.total();
    println!("{total} messages, {} unreadable", summary.unreadable);
    if !print && total > 0 {
        let each_ns = summary.decoding.as_nanos() / u128::from(total);
        println!("{each_ns} ns a message, framing included");
    }
    match summary.first_error {
        None => Ok(()),
        Some(error) => Err(error).context(format!(
            "{} messages cannot be read, the first",
            summary.unreadable
        )),
    }
}

fn receive_feed(feed: &Feed, http: Option<SocketAddr>) -> Result<()> {
    let options = ReceiveOptions {
        groups: feed.groups(),
        interface: feed.place.interface(),
        settings: ReceiverSettings {
            channel: ChannelId(feed.channel),
            ..ReceiverSettings::default()
        },
        tracker: TrackerSettings::default(),
    };
    block_on(feed.for_seconds, |stop| async move {
        let metrics = Arc::new(Metrics::new()?);
        if let Some(address) = http {
            let bound = probes::serve(address, Arc::new(FeedProbes(metrics.clone())))
                .await
                .with_context(|| format!("failed to listen on {address}"))?;
            println!("metrics and health at http://{bound}");
        }
        let counts = receive(options, metrics, stop, |_, observed| tell(&observed)).await?;
        println!("{counts:?}");
        Ok(())
    })
}

/// A line for what someone who watches wants to know; changes of books are too many.
fn tell(observed: &Observed<'_>) {
    use marketdata::level2::Effect;
    match observed {
        Observed::Effect(
            Effect::BookChanged(_) | Effect::Traded(_) | Effect::PreviousClose(..),
        ) => {}
        Observed::Effect(effect) => println!("{effect:?}"),
        Observed::Reference(record) => println!(
            "reference price {} {} {:?}",
            record.symbol, record.price, record.basis
        ),
        Observed::Unreadable(error) => eprintln!("{error}"),
    }
}

fn block_on<F: Future<Output = Result<()>>>(
    seconds: Option<u64>,
    start: impl FnOnce(CancellationToken) -> F,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to make the runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = stop.clone();
        tokio::spawn(async move {
            let end = async {
                match seconds {
                    Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = end => {}
            }
            asked.cancel();
        });
        start(stop).await
    })
}
