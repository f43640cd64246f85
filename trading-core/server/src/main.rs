//! `trading-core`: a replica, a gateway, a FIX gateway or a reference feed, by subcommand.

mod commands;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use server::config::ReplicaConfig;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The trading core: one image, a replica of a shard or a gateway in front of it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a replica. SIGTERM hands leadership over, then ends it
    Replica {
        /// Its configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs a gateway: the stateless front door
    Gateway {
        /// Its configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs a FIX gateway: the front door for counterparties that speak FIX 4.4
    FixGateway {
        /// Its configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs a reference feed: prices of a level-2 feed or of ITCH become records of the core's log
    ReferenceFeed {
        /// Its configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
    /// Moves an account's funds from one shard to another, exactly once; may be killed and run again
    MoveFunds(commands::MoveFunds),
    /// Lists the movements of funds that have left a shard and are not over
    ListTransfers(commands::ListTransfers),
    /// Forms the group anew out of what survived, when no quorum is left
    Takeover {
        #[command(subcommand)]
        step: commands::Takeover,
    },
    /// Checks a replica's configuration and says what is wrong with it
    CheckConfig {
        /// The configuration, JSON
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, each said once: many say their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Replica { config } => {
            let (config, digest) = ReplicaConfig::read(&config)?;
            block_on(|stop| server::run::replica(config, digest, stop))
        }
        Command::Gateway { config } => {
            let config: gateway::Config = configuration::read(&config)?;
            block_on(|stop| async move { Ok(gateway::run(config, stop).await?) })
        }
        Command::FixGateway { config } => {
            let config: fix_gateway::Config = configuration::read(&config)?;
            block_on(|stop| async move { Ok(fix_gateway::run(config, stop).await?) })
        }
        Command::ReferenceFeed { config } => {
            let config: reference_feed::Config = configuration::read(&config)?;
            block_on(|stop| async move { Ok(reference_feed::run(config, stop).await?) })
        }
        Command::MoveFunds(wanted) => commands::move_funds(&wanted),
        Command::ListTransfers(asked) => commands::list_transfers(&asked),
        Command::Takeover { step } => commands::takeover(step),
        Command::CheckConfig { config } => {
            let (_, digest) = ReplicaConfig::read(&config)?;
            println!("{} is accepted; digest {digest}", config.display());
            Ok(())
        }
    }
}

fn block_on<F: Future<Output = Result<()>>>(
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
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            asked.cancel();
        });
        start(stop).await
    })
}
