//! The gateway as a whole: its tasks, its service, its end.

use crate::config::Config;
use crate::leader::View;
use crate::metrics::Metrics;
use crate::session::{OUTBOUND_MAX, Session};
use crate::shards::Shards;
use crate::watch::Follower;
use configuration::{BadValue, Checked};
use probes::Probes;
use protocol::order::order_entry_server::{OrderEntry, OrderEntryServer};
use protocol::order::{ClientMessage, ServerMessage};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Ending open streams may take this long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a gateway cannot go on.
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
        /// `listen.grpc` or `listen.http`.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("failed to serve clients: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// A metric's definition is wrong.
    #[error("failed to define metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

fn listen_error(
    purpose: &'static str,
    address: SocketAddr,
) -> impl FnOnce(std::io::Error) -> GatewayError {
    move |source| GatewayError::Listen {
        purpose,
        address,
        source,
    }
}

/// Runs a gateway, with its metrics and health, until `stop` is asked for.
///
/// # Errors
/// [`GatewayError`]: what keeps it from starting, or why it ended by itself.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), GatewayError> {
    let http = config.listen.http;
    let gateway = Gateway::start(config).await?;
    probes::serve(http, Arc::new(gateway.probe()))
        .await
        .map_err(listen_error("metrics and health", http))?;
    gateway.serve(stop).await
}

/// A gateway that listens and follows its replicas. Dropped, it ends.
pub struct Gateway {
    listener: TcpListener,
    door: Door,
    follow: DropGuard,
}

/// What a process in which a gateway runs may ask of it. Clones share it.
#[derive(Clone)]
pub struct Probe {
    shards: Arc<Shards>,
    metrics: Arc<Metrics>,
    has_been_ready: Arc<AtomicBool>,
}

impl Probes for Probe {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        for (shard, view) in self.shards.views() {
            let view = view.borrow().clone();
            let leader = view.leader().map(|link| (link.replica, link.epoch));
            self.metrics.show_leader(shard, leader, view.heard());
        }
        self.metrics.render().map_err(|error| error.to_string())
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    /// Ready once a serving leader was known, and from then on. A failover must not take gateways
    /// out of their Service: putting them back would need the control plane, which may be dead. One
    /// shard's leader is enough: a shard that is down must not keep the others' clients out.
    fn ready(&self) -> Result<(), String> {
        if self.has_been_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut heard = 0;
        for (_, view) in self.shards.views() {
            let view = view.borrow();
            heard += view.heard();
            if view.leader().is_some() {
                self.has_been_ready.store(true, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(format!(
            "no leader is known: {heard} replicas are heard and none serves"
        ))
    }
}

impl Gateway {
    /// Listens, and begins to follow the replicas.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn start(config: Config) -> Result<Self, GatewayError> {
        config.check()?;
        let address = config.listen.grpc;
        let listener = TcpListener::bind(address)
            .await
            .map_err(listen_error("clients", address))?;
        let metrics = Arc::new(Metrics::new()?);
        let follow = CancellationToken::new();
        let mut views = BTreeMap::new();
        for (shard, replicas) in config.shards() {
            let (sender, view) = watch::channel(View::default());
            let sender = Arc::new(sender);
            views.insert(shard, view);
            for replica in replicas {
                let follower = Follower {
                    cluster: config.cluster.clone(),
                    shard,
                    replica: replica.clone(),
                    view: sender.clone(),
                };
                tokio::spawn(follower.run(follow.clone()));
            }
        }
        let places = Arc::new(Semaphore::new(config.limits.sessions_max));
        let door = Door {
            config,
            shards: Arc::new(Shards::new(views)),
            metrics,
            places,
            stop: CancellationToken::new(),
        };
        Ok(Self {
            listener,
            door,
            follow: follow.drop_guard(),
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let bound = self.listener.local_addr();
        bound.unwrap_or(self.door.config.listen.grpc)
    }

    /// What metrics and readiness are read from.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe {
            shards: self.door.shards.clone(),
            metrics: self.door.metrics.clone(),
            has_been_ready: Arc::default(),
        }
    }

    /// Serves clients until `stop`; then every stream ends with `UNAVAILABLE` within a second.
    ///
    /// # Errors
    /// [`GatewayError::Serve`] when the server ends by itself.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), GatewayError> {
        let address = self.address();
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let end_streams = self.door.stop.clone();
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .add_service(OrderEntryServer::new(self.door))
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tracing::info!(%address, "gateway started");
        tokio::pin!(server);
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = stop.cancelled() => end_streams.cancel(),
        }
        // Connections that clients keep open must not keep the process.
        if let Ok(ended) = timeout(CLOSE_TIMEOUT, server).await {
            ended?;
        }
        drop(self.follow);
        Ok(())
    }
}

struct Door {
    config: Config,
    shards: Arc<Shards>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl OrderEntry for Door {
    type TradeStream = ReceiverStream<Result<ServerMessage, Status>>;

    async fn trade(
        &self,
        call: Request<Streaming<ClientMessage>>,
    ) -> Result<Response<Self::TradeStream>, Status> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            self.metrics.sessions_refused.inc();
            let max = self.config.limits.sessions_max;
            Status::resource_exhausted(format!("{max} streams are open: try another entry"))
        })?;
        let (to_client, messages) = mpsc::channel(OUTBOUND_MAX);
        let session = Session {
            limits: self.config.limits,
            shards: self.shards.clone(),
            metrics: self.metrics.clone(),
            to_client,
            stop: self.stop.clone(),
            place,
        };
        tokio::spawn(session.run(call.into_inner()));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
