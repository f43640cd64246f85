//! `tricenter-card-agent`: arguments, logs, and the agent's parts beside each other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use card_agent::configuration::Configuration;
use card_agent::device_plugin::{self, Nodes};
use card_agent::metrics::Shown;
use card_agent::publish::{self, Publisher};
use card_agent::verdicts;
use card_agent::watch::watch_cards;

/// Watches the FPGA cards of this node
#[derive(Debug, Parser)]
#[command(version, name = "tricenter-card-agent")]
struct Arguments {
    /// The node, as Kubernetes calls it
    #[arg(long, env = "TRICENTER_NODE")]
    node: String,
    /// The configuration, YAML; without it all is as by default
    #[arg(long)]
    configuration: Option<PathBuf>,
    /// Where sys/ and dev/ of the node are
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Where the same root is for the kubelet
    #[arg(long, default_value = "/")]
    host_root: PathBuf,
    /// The folder of verdicts for the decoder on this node; without it none are told
    #[arg(long)]
    verdicts: Option<PathBuf>,
    /// The kubelet's folder of device plugins; without it the kubelet is told nothing
    #[arg(long)]
    device_plugins: Option<PathBuf>,
    /// Publish FpgaCard objects and events
    #[arg(long)]
    publish: bool,
    /// Where metrics and health are served, HTTP
    #[arg(long, default_value = "0.0.0.0:9103")]
    listen: SocketAddr,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .init();
    anyhow::ensure!(
        rustls::crypto::ring::default_provider()
            .install_default()
            .is_ok(),
        "failed to install the TLS provider: another one is installed already"
    );
    let configuration = match &arguments.configuration {
        Some(path) => Configuration::read(path)?,
        None => Configuration::default(),
    };
    let (sender, cards) = watch::channel(Default::default());
    let shown = Arc::new(Shown {
        cards: cards.clone(),
        node: arguments.node.clone(),
    });
    let listening = probes::serve(arguments.listen, shown)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    let mut parts = tokio::task::JoinSet::new();
    let mut known = Vec::new();
    if arguments.publish {
        let client = kube::Client::try_default()
            .await
            .context("failed to find the API server: run in a pod, or set KUBECONFIG")?;
        match publish::known(client.clone(), &arguments.node).await {
            Ok(addresses) => known = addresses,
            // Cards are watched without a cluster too.
            Err(error) => {
                tracing::warn!("failed to learn which cards the cluster knows: {error:#}")
            }
        }
        parts.spawn(Publisher::new(client, arguments.node.clone()).run(cards.clone()));
    }
    if let Some(folder) = arguments.verdicts {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
        let cards = cards.clone();
        parts.spawn(async move { verdicts::tell(&folder, cards).await });
    }
    if let Some(folder) = arguments.device_plugins {
        let nodes = Nodes {
            root: arguments.root.clone(),
            host_root: arguments.host_root,
        };
        parts.spawn(device_plugin::run(folder, cards, nodes));
    }
    tracing::info!(node = arguments.node, %listening, version = env!("CARGO_PKG_VERSION"), "started");
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = watch_cards(arguments.root, configuration, known, sender) => {}
        Some(ended) = parts.join_next() => ended.context("a part of the agent broke")?,
    }
    tracing::info!("stopped");
    Ok(())
}
