//! The operator's process: arguments, logs, the HTTP server, and a graceful stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use operator::core::GrpcCore;
use operator::http::{self, Shown};
use operator::metrics::Metrics;
use operator::reconcile::{Context, run};
use operator::{switchover, takeover};

/// Makes one center's part of every TradingCore, and reports what it sees.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The center in which this cluster is, as TradingCore objects name it.
    #[arg(long, env = "TRICENTER_CENTER")]
    center: String,
    /// The only namespace whose objects are handled; without it all are.
    #[arg(long)]
    namespace: Option<String>,
    /// Where metrics and health are served.
    #[arg(long, default_value = "0.0.0.0:9102")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    anyhow::ensure!(
        rustls::crypto::ring::default_provider()
            .install_default()
            .is_ok(),
        "failed to install the TLS provider: another one is installed already"
    );
    let client = kube::Client::try_default()
        .await
        .context("failed to find the API server: run in a pod, or set KUBECONFIG")?;
    let metrics = Metrics::new().context("failed to register the metrics")?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    let core = Arc::new(GrpcCore::new());
    let switchovers = Arc::new(switchover::Context::new(
        client.clone(),
        arguments.center.clone(),
        core.clone(),
        metrics.clone(),
    ));
    let takeovers = Arc::new(takeover::Context::new(
        client.clone(),
        arguments.center.clone(),
        core.clone(),
        metrics.clone(),
    ));
    let context = Arc::new(Context::new(
        client,
        arguments.center.clone(),
        core,
        metrics.clone(),
    ));
    let shown = Shown {
        metrics,
        is_ready: context.readiness(),
    };
    let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: rounds under way are ended");
    }
    .shared();
    tracing::info!(
        center = arguments.center,
        namespace = arguments.namespace.as_deref().unwrap_or("all"),
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );
    let server = tokio::spawn(http::serve(listener, shown));
    let namespace = arguments.namespace.as_deref();
    tokio::join!(
        run(context, namespace, stop.clone()),
        switchover::run(switchovers, namespace, stop.clone()),
        takeover::run(takeovers, namespace, stop),
    );
    server.abort();
    tracing::info!("stopped");
    Ok(())
}
