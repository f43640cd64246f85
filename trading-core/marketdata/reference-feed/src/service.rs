//! The reference feed as a whole: its receiver, its writer, its end.

use crate::config::Config;
use crate::metrics::{Metrics, Probe};
use crate::writer::{Shared, Writer};
use configuration::{BadValue, Checked};
use marketdata::level2::{Effect, Freshness, Receiver};
use marketdata_udp::{FeedProbes, Observed, ReceiveEnd, receive};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

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
    let (metrics, heard) = (
        Arc::new(Metrics::new()?),
        Arc::new(marketdata_udp::Metrics::new()?),
    );
    let probe = Arc::new(Probe {
        feed: FeedProbes(heard.clone()),
        metrics: metrics.clone(),
    });
    let address = config.http;
    probes::serve(address, probe)
        .await
        .map_err(|source| FeedError::Listen { address, source })?;
    let shared = Arc::new(Shared::default());
    let record_interval = Duration::from_micros(config.record_interval_us());
    let writer = Writer::new(
        config.replicas.clone(),
        record_interval,
        shared.clone(),
        metrics,
    );
    let writing = writer.run();
    let observe = move |receiver: &Receiver, observed: Observed<'_>| {
        note(&shared, receiver, &observed);
    };
    let receiving = receive(config.receive(), heard, stop, observe);
    tokio::select! {
        () = writing => Ok(()),
        ended = receiving => {
            ended?;
            Ok(())
        }
    }
}

/// Puts on the board what the receiver saw.
fn note(shared: &Shared, receiver: &Receiver, observed: &Observed<'_>) {
    match observed {
        Observed::Reference(price) => {
            let price = *price;
            shared.with(|board| board.put(price));
            shared.news.notify_one();
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
