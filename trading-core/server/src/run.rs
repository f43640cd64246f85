//! Starting and stopping a replica.

use crate::admin::{Administration, Identity};
use crate::clock::now;
use crate::config::ReplicaConfig;
use crate::core::{Core, INPUTS_MAX, Input, Published, Receivers, SUBMISSIONS_MAX};
use crate::door;
use crate::market_data::{self, FeedMeters};
use crate::metrics;
use crate::orders::Orders;
use crate::owner;
use crate::takeover;
use crate::transport::{self, LinkMeters};
use anyhow::{Context, Result, anyhow, bail};
use probes::Probes;
use protocol::admin::admin_server::AdminServer;
use protocol::order::order_entry_server::OrderEntryServer;
use replica::DriverError;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use types::ShardId;

/// Handing leadership over may take this long before the process ends anyway.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);
/// Ending open streams may take this long.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The core publishes every 100 ms; silent for so long it hangs.
const CORE_SILENCE_US_MAX: u64 = 10_000_000;
/// Largest log chunk or message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Runs a replica until `stop` is asked for; then leadership is handed over first.
///
/// # Errors
/// What keeps it from starting, or why it had to end.
pub async fn replica(config: ReplicaConfig, digest: String, stop: CancellationToken) -> Result<()> {
    takeover::refuse_superseded(&config.data_directory)?;
    owner::check(&config)?;
    let ending = CancellationToken::new();
    // Nothing of this process outlives this function, whichever way it ends.
    let _end_all = ending.clone().drop_guard();
    let (inputs, input_receiver) = mpsc::channel(INPUTS_MAX);
    let (submissions, submission_receiver) = mpsc::channel(SUBMISSIONS_MAX);
    let (publisher, published) = watch::channel(Published::default());
    let (transport, links) = transport::start(&config, inputs.clone(), &ending)
        .await
        .with_context(|| {
            format!(
                "failed to listen for replication on {}",
                config.listen.replication
            )
        })?;
    let (batches, batch_receiver) = mpsc::channel(door::BATCHES_MAX);
    let wiring = door::Wiring {
        batches,
        inputs: inputs.clone(),
        published: published.clone(),
        stop: ending.clone(),
    };
    let (outbox, mut door) = open_door(&config, wiring)?;
    let core = Core::open(&config, transport, outbox, inputs.downgrade(), publisher)?;
    let tick = Duration::from_millis(config.timing.tick_ms.into());
    let receivers = Receivers {
        inputs: input_receiver,
        submissions: submission_receiver,
        batches: batch_receiver,
    };
    let applied = core.applied();
    let feed = market_data::Wiring {
        published: published.clone(),
        applied: applied.clone(),
        stop: ending.clone(),
    };
    let feed = market_data::start(&config, feed)?;
    let mut core = spawn_core(core, tick, receivers)?;

    let replica_probes = Arc::new(ReplicaProbes {
        published: published.clone(),
        links: links.clone(),
        feed,
    });
    probes::serve(config.listen.http, replica_probes)
        .await
        .with_context(|| format!("failed to listen for HTTP on {}", config.listen.http))?;
    let orders = Orders::new(
        submissions.clone(),
        inputs.clone(),
        published.clone(),
        ShardId(config.shard),
    );
    let address = config.listen.orders;
    let replica = config.replica;
    let administration = Administration::new(
        Identity::new(config, digest),
        submissions,
        inputs.clone(),
        published.clone(),
        links,
        applied,
    );
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen for orders on {address}"))?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_service(OrderEntryServer::new(orders))
        .add_service(AdminServer::new(administration).max_encoding_message_size(MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(incoming, ending.clone().cancelled_owned());
    let mut server = tokio::spawn(server);
    tracing::info!(replica, %address, "replica started");

    tokio::select! {
        // Its end ends the others; only it knows why.
        biased;
        ended = &mut core => return core_ended(ended),
        ended = door_ended(&mut door) => return Err(ended),
        ended = &mut server => {
            ended.context("the order server ended")??;
            bail!("the order server ended by itself");
        }
        () = stop.cancelled() => {}
    }
    hand_over(replica, &inputs, published).await;
    ending.cancel();
    // Streams that clients keep open must not keep the process.
    let _ = timeout(CLOSE_TIMEOUT, server).await;
    Ok(())
}

type DoorEnd = oneshot::Receiver<io::Result<()>>;

/// Opens the binary door, in a thread of its own, where the configuration has one.
fn open_door(
    config: &ReplicaConfig,
    wiring: door::Wiring,
) -> Result<(Option<door::Outbox>, Option<DoorEnd>)> {
    let Some(address) = config.listen.binary else {
        return Ok((None, None));
    };
    let (outbox, address, run) = door::bind(address, wiring)
        .with_context(|| format!("failed to listen for binary orders on {address}"))?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("door".into())
        .spawn(move || {
            // Without a receiver the process is ending already.
            let _ = sender.send(run());
        })
        .context("failed to start the binary door's thread")?;
    tracing::info!(%address, "binary door open");
    Ok((Some(outbox), Some(receiver)))
}

/// Why the door ended; never, where there is none.
async fn door_ended(door: &mut Option<DoorEnd>) -> anyhow::Error {
    let Some(door) = door else {
        return std::future::pending().await;
    };
    match door.await {
        Ok(Ok(())) => anyhow!("the binary door ended by itself"),
        Ok(Err(error)) => anyhow!(error).context("the binary door ended"),
        Err(_) => anyhow!("the binary door's thread panicked: its message stands above"),
    }
}

type CoreEnd = oneshot::Receiver<Result<(), DriverError>>;

/// The core has a thread and a runtime of its own, so that a sync of the disk stalls nobody else.
fn spawn_core(core: Core, tick: Duration, receivers: Receivers) -> Result<CoreEnd> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("failed to make the core's runtime")?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("core".into())
        .spawn(move || {
            let ended = runtime.block_on(core.run(tick, receivers));
            // Without a receiver the process is ending already.
            let _ = sender.send(ended);
        })
        .context("failed to start the core's thread")?;
    Ok(receiver)
}

fn core_ended(ended: Result<Result<(), DriverError>, oneshot::error::RecvError>) -> Result<()> {
    match ended {
        Ok(Ok(())) => bail!("the core ended by itself"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("the core's thread panicked: its message stands above"),
    }
}

/// Gives leadership to the best follower, so that clients wait milliseconds and not for a timeout.
async fn hand_over(
    own: u64,
    inputs: &mpsc::Sender<Input>,
    mut published: watch::Receiver<Published>,
) {
    if published.borrow().status.leader.0 != own {
        return;
    }
    let (reply, begun) = oneshot::channel();
    if inputs
        .send(Input::Transfer { to: None, reply })
        .await
        .is_err()
    {
        return;
    }
    match begun.await {
        Ok(Ok(to)) => {
            tracing::info!(%to, "handing leadership over before stopping");
            let handed = published.wait_for(|shown| {
                let leader = shown.status.leader.0;
                leader != own && leader != 0
            });
            if timeout(HANDOVER_TIMEOUT, handed).await.is_err() {
                tracing::warn!("leadership was not taken over in time: stopping all the same");
            }
        }
        Ok(Err(refused)) => tracing::warn!(%refused, "leadership cannot be handed over"),
        Err(_) => {}
    }
}

struct ReplicaProbes {
    published: watch::Receiver<Published>,
    links: Arc<BTreeMap<u64, LinkMeters>>,
    feed: Option<Arc<FeedMeters>>,
}

impl Probes for ReplicaProbes {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        let shown = self.published.borrow().clone();
        let mut text = metrics::render(&shown, &self.links).map_err(|error| error.to_string())?;
        if let Some(feed) = &self.feed {
            text.extend(feed.render().map_err(|error| error.to_string())?);
        }
        Ok(text)
    }

    fn healthy(&self) -> Result<(), String> {
        let silent_us = now().0.saturating_sub(self.published.borrow().status.now.0);
        if silent_us > CORE_SILENCE_US_MAX {
            return Err(format!("the core has been silent for {silent_us} µs"));
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        let shown = self.published.borrow();
        if shown.ready {
            return Ok(());
        }
        Err(match shown.status.leader.0 {
            0 => "no leader is known".into(),
            _ => format!(
                "entries are still being applied: {} of {}",
                shown.status.applied_index, shown.status.commit_index
            ),
        })
    }
}
