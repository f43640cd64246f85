//! The FIX gateway as a whole: its tasks, its end.

use crate::acceptor::Acceptor;
use crate::config::Config;
use crate::copy_session::CopySession;
use crate::counterparty::Counterparty;
use crate::metrics::Metrics;
use crate::store::{self, Store, StoreError};
use client::session::{SessionOptions, Timing};
use client::{AddressError, OrderSession};
use configuration::{BadValue, Checked};
use probes::Probes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{AccountId, SessionId, ShardId};

/// Requests beside the counterparty's own: those that learn of orders.
const OWN_REQUESTS_MAX: usize = 16;

/// Why a FIX gateway cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration cannot be used.
    #[error("failed to accept the configuration: {0}")]
    Config(#[from] BadValue),
    /// The address is in use or not ours.
    #[error("failed to listen for {purpose} on {address}: {source}: use an address that is free")]
    Listen {
        /// For whom.
        purpose: &'static str,
        /// `listen.fix` or `listen.http`.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A session's file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's folder cannot be made.
    #[error("failed to make the store's folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An entry is no address.
    #[error(transparent)]
    Entry(#[from] AddressError),
    /// A metric's definition is wrong.
    #[error("failed to define metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A task ended by a fault of its own.
    #[error("failed to go on: a counterparty's task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

struct Probe {
    metrics: Arc<Metrics>,
    has_been_ready: AtomicBool,
    /// Only drop copies: what they need is the log, and it may be read late.
    has_no_trader: bool,
}

impl Probes for Probe {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        self.metrics.render().map_err(|error| error.to_string())
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    /// Ready once a leader answered, and from then on: a failover must not take gateways out of
    /// their Service (ADR 0011).
    fn ready(&self) -> Result<(), String> {
        if self.metrics.core_sessions.get() > 0 || self.has_no_trader {
            self.has_been_ready.store(true, Ordering::Relaxed);
        }
        if self.has_been_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err("no leader has answered yet".to_owned())
    }
}

/// Runs a FIX gateway, with its metrics and health, until `stop` is asked for.
///
/// # Errors
/// [`GatewayError`]: what keeps it from starting, or why it ended by itself.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), GatewayError> {
    config.check()?;
    std::fs::create_dir_all(&config.store).map_err(|source| GatewayError::Folder {
        path: config.store.clone(),
        source,
    })?;
    let metrics = Arc::new(Metrics::new()?);
    let (mut tasks, mut desks) = (JoinSet::new(), BTreeMap::new());
    for counterparty in counterparties(&config, &metrics)? {
        let (sender, arrivals) = mpsc::channel(1);
        desks.insert(counterparty.name().to_owned(), sender);
        tasks.spawn(counterparty.run(arrivals, stop.clone()));
    }
    for session in drop_copies(&config, &metrics)? {
        let (sender, arrivals) = mpsc::channel(1);
        desks.insert(session.name().to_owned(), sender);
        tasks.spawn(session.run(arrivals, stop.clone()));
    }
    let listen = |purpose, address| {
        move |source| GatewayError::Listen {
            purpose,
            address,
            source,
        }
    };
    let http = config.listen.http;
    let probe = Arc::new(Probe {
        metrics: metrics.clone(),
        has_been_ready: AtomicBool::new(false),
        has_no_trader: config.sessions.is_empty(),
    });
    probes::serve(http, probe)
        .await
        .map_err(listen("metrics and health", http))?;
    let address = config.listen.fix;
    let listener = TcpListener::bind(address)
        .await
        .map_err(listen("counterparties", address))?;
    let acceptor = Acceptor {
        comp_id: config.comp_id.clone(),
        connections_max: config.limits.connections_max,
        desks,
        metrics,
    };
    let accepting = tokio::spawn(acceptor.run(listener, stop.clone()));
    let mut ended = Ok(());
    while let Some(task) = tasks.join_next().await {
        let result = task.map_err(GatewayError::from);
        let result = result.and_then(|result| result.map_err(GatewayError::from));
        if result.is_err() && ended.is_ok() {
            // What one session cannot keep is a fault of the disk that all share.
            stop.cancel();
            ended = result;
        }
    }
    accepting.abort();
    ended
}

fn drop_copies(config: &Config, metrics: &Arc<Metrics>) -> Result<Vec<CopySession>, GatewayError> {
    let boot = store::boot();
    let mut sessions = Vec::new();
    for copy in &config.drop_copies {
        let path = config.store.join(format!("drop-copy-{}.fix", copy.comp_id));
        sessions.push(CopySession::new(
            config.drop_copy(copy),
            Store::open(&path, &boot)?,
            config.log_replicas.clone(),
            config.limits.store_bytes_max,
            metrics.clone(),
        )?);
    }
    Ok(sessions)
}

fn counterparties(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<Vec<Counterparty>, GatewayError> {
    let boot = store::boot();
    let mut counterparties = Vec::new();
    for session in &config.sessions {
        let path = config
            .store
            .join(format!("session-{}.fix", session.session));
        let opened = Store::open(&path, &boot)?;
        let options = SessionOptions {
            session: SessionId(session.session),
            account: AccountId(session.account),
            in_flight_max: config.limits.in_flight_per_session_max + OWN_REQUESTS_MAX,
            seed: session.session,
            timing: Timing::default(),
        };
        let mut core = OrderSession::new(options, &config.entries, 0)?;
        if let Some(shard) = config.shard {
            core = core.of_shard(ShardId(shard));
        }
        counterparties.push(Counterparty::new(
            config.desk(session),
            opened,
            |last_out_seq| core.resume_after(last_out_seq),
            config.limits.store_bytes_max,
            metrics.clone(),
        )?);
    }
    Ok(counterparties)
}
