//! Market data out: the leader publishes level 2 from the log that all replicas share.
//!
//! ```text
//!   core thread ─► applied index (one number) ─┐
//!                                              ▼
//!   journal on disk ─► Tail ─► CoreMarket ─► Publisher (100 ms a symbol) ─► multicast A, B
//!                      every replica           only while it serves; stream = its epoch
//! ```
//!
//! Each replica whose configuration has `market_data` follows its own committed log in a thread of its
//! own, behind the core and never in its way: what the core does for it is to store one number a turn.
//! Whoever serves publishes. A failover is another stream, of a higher epoch: receivers refuse what a
//! deposed leader may still send, hold all books stale until the new stream has shown them whole, and
//! get the last trades again, which they know by their numbers.
//!
//! What waits is bounded: events of one entry in memory, everything else in the log itself, where it
//! is counted as lag.

mod config;
mod feed;
mod meters;

pub use config::MarketDataConfig;
pub use meters::FeedMeters;

use crate::config::ReplicaConfig;
use crate::core::Published;
use anyhow::{Context, Result};
use feed::Feed;
use marketdata_udp::Lines;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a feed is told by the rest of the process.
pub struct Wiring {
    /// The core's view of itself.
    pub published: watch::Receiver<Published>,
    /// The last entry that the core has applied.
    pub applied: Arc<AtomicU64>,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Starts the feed's thread, where the configuration has one; gives its meters.
///
/// # Errors
/// When a group cannot be sent to, or the thread not be started. Once it runs, nothing that goes wrong
/// with it ends the process: trading does not need it.
pub fn start(config: &ReplicaConfig, wiring: Wiring) -> Result<Option<Arc<FeedMeters>>> {
    let Some(market_data) = config.market_data else {
        return Ok(None);
    };
    let meters = Arc::new(FeedMeters::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to make the market data's runtime")?;
    let lines = {
        let _inside = runtime.enter();
        Lines::open(market_data.groups(), market_data.interface())
            .context("failed to open market_data")?
    };
    let feed = Feed::new(
        config.data_directory.clone(),
        market_data.publisher(),
        lines,
        wiring.published,
        wiring.applied,
        meters.clone(),
    );
    let stop = wiring.stop;
    std::thread::Builder::new()
        .name("market-data".into())
        .spawn(move || runtime.block_on(feed.run(stop)))
        .context("failed to start the market data's thread")?;
    Ok(Some(meters))
}
