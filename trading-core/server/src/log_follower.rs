//! The committed log as it grows, for readers outside the process.
//!
//! ```text
//!   journal on disk ─► Tail ─► chunks (bounded) ─► gRPC stream
//!                                └─ a reader that is slow slows only its own tail
//! ```
//!
//! Any replica will do, for committed entries are the same on all. One that knows no leader ends the
//! stream: it may be cut off, and would go on to say that nothing happens.

use crate::admin::{chunk, unreadable};
use crate::clock::now;
use crate::core::Published;
use journal::{LogEntry, Tail, TailFrom};
use protocol::admin::{self as wire, LogChunk, log_chunk};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use types::LogIndex;

/// Followers at once: each looks at the disk a hundred times a second while there is something new.
const FOLLOWERS_MAX: usize = 16;
/// Chunks that wait for a follower.
const CHUNKS_AHEAD: usize = 64;
const ENTRIES_AT_ONCE: usize = 64;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How often a follower hears that there is nothing new.
const SAY_INTERVAL: Duration = Duration::from_secs(1);

/// The core publishes every 100 ms; when it has not for so long, it is stuck.
const STATUS_AGE_US_MAX: u64 = 2_000_000;

type Chunks = ReceiverStream<Result<LogChunk, Status>>;

/// What followers need of the process.
#[derive(Clone)]
pub(crate) struct LogFollowers {
    folder: PathBuf,
    published: watch::Receiver<Published>,
    applied: Arc<AtomicU64>,
    places: Arc<Semaphore>,
}

impl LogFollowers {
    pub(crate) fn new(
        folder: PathBuf,
        published: watch::Receiver<Published>,
        applied: Arc<AtomicU64>,
    ) -> Self {
        Self {
            folder,
            published,
            applied,
            places: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }

    /// Begins to follow.
    pub(crate) fn follow(&self, from: LogIndex) -> Result<Chunks, Status> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{FOLLOWERS_MAX} follow the log already: try again"))
        })?;
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let followers = self.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                // Whoever has gone needs no reason.
                () = sender.closed() => {}
                ended = followers.send_log(from, &sender) => {
                    let _ = sender.send(Err(ended)).await;
                }
            }
        });
        Ok(ReceiverStream::new(receiver))
    }

    /// Sends what is committed for as long as this replica knows it; gives why it ends.
    async fn send_log(
        &self,
        from: LogIndex,
        sender: &mpsc::Sender<Result<LogChunk, Status>>,
    ) -> Status {
        let gone = |_| Status::cancelled("the reader has gone");
        let folder = self.folder.clone();
        let opened =
            tokio::task::spawn_blocking(move || Tail::open(&folder, TailFrom::Entry(from))).await;
        let (mut tail, snapshot) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return unreadable(&error),
            Err(error) => return Status::internal(error.to_string()),
        };
        if let Some(snapshot) = snapshot {
            let body = log_chunk::Body::Snapshot(wire::Snapshot {
                index: snapshot.index.0,
                epoch: snapshot.epoch.0,
                state: snapshot.state,
            });
            if let Err(gone) = sender.send(Ok(chunk(body))).await.map_err(gone) {
                return gone;
            }
        }
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said: Option<Instant> = None;
        loop {
            looks.tick().await;
            let applied = LogIndex(self.applied.load(Ordering::Acquire));
            if tail.next_index() > applied {
                let is_due = said.is_none_or(|at| at.elapsed() >= SAY_INTERVAL);
                if is_due {
                    if let Err(ended) = self.say(applied, sender).await {
                        return ended;
                    }
                    said = Some(Instant::now());
                }
                continue;
            }
            while tail.next_index() <= applied {
                // What was written lately is in the page cache.
                let mut entries = Vec::new();
                let taken = tokio::task::block_in_place(|| {
                    tail.take(applied, ENTRIES_AT_ONCE, &mut entries)
                });
                match taken {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return unreadable(&error),
                }
                for entry in entries {
                    if let Err(gone) = sender.send(Ok(entry_chunk(entry))).await.map_err(gone) {
                        return gone;
                    }
                }
            }
        }
    }

    /// Says how far the log is, while somebody leads who says so.
    async fn say(
        &self,
        applied: LogIndex,
        sender: &mpsc::Sender<Result<LogChunk, Status>>,
    ) -> Result<(), Status> {
        let (leader, epoch, age_us) = {
            let status = &self.published.borrow().status;
            let age_us = now().0.saturating_sub(status.now.0);
            (status.leader, status.epoch, age_us)
        };
        if leader.0 == 0 || age_us > STATUS_AGE_US_MAX {
            return Err(Status::unavailable(
                "this replica knows no leader, and so not what is committed: ask another",
            ));
        }
        let end = wire::End {
            commit_index: applied.0,
            epoch: epoch.0,
            history_hash: Vec::new(),
        };
        let sent = sender.send(Ok(chunk(log_chunk::Body::End(end)))).await;
        sent.map_err(|_| Status::cancelled("the reader has gone"))
    }
}

fn entry_chunk(entry: LogEntry) -> LogChunk {
    chunk(log_chunk::Body::Entry(wire::Entry {
        index: entry.index.0,
        epoch: entry.epoch.0,
        batch: entry.data,
    }))
}
