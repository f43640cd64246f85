//! The reference feed as a whole: its receiver, its writer, its end.

use crate::config::{Config, Receive};
use crate::metrics::{Metrics, Probe};
use crate::writer::{Shared, Writer};
use configuration::{BadValue, Checked};
use marketdata::ReferencePrice;
use marketdata::itch::Wholeness;
use marketdata::level2::{Effect, Freshness, Receiver};
use marketdata_udp::{
    FeedProbes, ItchMetrics, ItchObserved, ItchOptions, ItchProbes, Observed, ReceiveEnd,
    ReceiveOptions, receive, receive_itch,
};
use probes::Probes;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use types::SymbolId;

/// Why a reference feed cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The configuration cannot be used.
    #[error("failed to accept the configuration: {0}")]
    Config(#[from] BadValue),
    /// The address is in use or not ours.
    #[error("failed to listen for metrics and health on {address}: {source}: use a free address")]
    Listen {
        /// `http`.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A metric's definition is wrong.
    #[error("failed to define metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The feed cannot be heard.
    #[error(transparent)]
    Receive(#[from] ReceiveEnd),
}

/// Runs a reference feed until `stop` is asked for.
///
/// # Errors
/// [`FeedError`]: what keeps it from starting, or why it ended by itself.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), FeedError> {
    config.check()?;
    let metrics = Arc::new(Metrics::new()?);
    let shared = Arc::new(Shared::default());
    let (feed, receiving) = match config.receive() {
        Receive::Level2(options) => level2(options, shared.clone(), stop)?,
        Receive::Itch(options) => itch(options, shared.clone(), stop)?,
    };
    let probe = Arc::new(Probe {
        feed,
        metrics: metrics.clone(),
    });
    let address = config.http;
    probes::serve(address, probe)
        .await
        .map_err(|source| FeedError::Listen { address, source })?;
    let record_interval = Duration::from_micros(config.record_interval_us());
    let writer = Writer::new(config.replicas.clone(), record_interval, shared, metrics);
    tokio::select! {
        () = writer.run() => Ok(()),
        ended = receiving => Ok(ended?),
    }
}

/// A source: what it shows of itself, and its work until it is stopped.
type Feed = (
    Box<dyn Probes>,
    Pin<Box<dyn Future<Output = Result<(), ReceiveEnd>> + Send>>,
);

fn level2(
    options: ReceiveOptions,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<Feed, prometheus::Error> {
    let heard = Arc::new(marketdata_udp::Metrics::new()?);
    let observe = move |receiver: &Receiver, observed: Observed<'_>| {
        note(&shared, receiver, &observed);
    };
    let receiving = receive(options, heard.clone(), stop, observe);
    let receiving = async { receiving.await.map(|_| ()) };
    Ok((Box::new(FeedProbes(heard)), Box::pin(receiving)))
}

fn itch(
    options: ItchOptions,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Result<Feed, prometheus::Error> {
    let heard = Arc::new(ItchMetrics::new()?);
    let symbols: Vec<SymbolId> = options.listing.values().copied().collect();
    let observe = move |observed: ItchObserved| match observed {
        ItchObserved::Reference(price) => put(&shared, price),
        ItchObserved::Became(wholeness) => {
            tracing::info!(?wholeness, "the feed's books");
            let is_whole = wholeness == Wholeness::Whole;
            for symbol in &symbols {
                shared.with(|board| board.mark(*symbol, is_whole));
            }
            shared.news.notify_one();
        }
        ItchObserved::Unreadable(error) => tracing::debug!(%error, "a packet cannot be read"),
    };
    let receiving = receive_itch(options, heard.clone(), stop, observe);
    let receiving = async { receiving.await.map(|_| ()) };
    Ok((Box::new(ItchProbes(heard)), Box::pin(receiving)))
}

fn put(shared: &Shared, price: ReferencePrice) {
    shared.with(|board| board.put(price));
    shared.news.notify_one();
}

/// Puts on the board what the level-2 receiver saw.
fn note(shared: &Shared, receiver: &Receiver, observed: &Observed<'_>) {
    match observed {
        Observed::Reference(price) => {
            put(shared, *price);
        }
        Observed::Effect(Effect::StreamBegan(_) | Effect::FellSilent) => {
            shared.with(crate::board::Board::mark_all_stale);
        }
        Observed::Effect(Effect::BecameStale(symbol, _)) => {
            shared.with(|board| board.mark(*symbol, false));
        }
        Observed::Effect(Effect::BecameGood(symbol) | Effect::BookChanged(symbol)) => {
            shared.with(|board| board.mark(*symbol, true));
            shared.news.notify_one();
        }
        Observed::Effect(Effect::SpokeAgain) => {
            for symbol in receiver.symbols() {
                let view = receiver.view(symbol);
                let is_stale = view.is_none_or(|it| matches!(it.freshness, Freshness::Stale(_)));
                shared.with(|board| board.mark(symbol, !is_stale));
            }
            shared.news.notify_one();
        }
        Observed::Effect(_) => {}
        Observed::Unreadable(error) => tracing::debug!(%error, "a packet cannot be read"),
    }
}
