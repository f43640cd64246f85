//! Reads the committed log of any replica for one drop copy, and goes on at another when one is lost.
//!
//! ```text
//!   replica ─ log, as it is committed ─► drop_copy::Reader ─► Copied ─► (bounded) ─► the session
//!      └─ lost, silent or behind: the next one, from the next entry on
//! ```
//!
//! What does not fit waits at the replica: the session takes copies only while its counterparty reads.

use crate::metrics::Metrics;
use client::admin::AdminConnection;
use drop_copy::{Copy, Position, Reader};
use protocol::admin::log_chunk::Body;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use types::{AccountId, Epoch, LogIndex};

/// Copies that may wait for the session.
pub(crate) const COPIES_MAX: usize = 256;
/// A replica that follows says every second how far it is.
const SILENCE_MS_MAX: u64 = 3_000;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A copy for the session.
#[derive(Debug)]
pub(crate) struct Copied {
    pub copy: Copy,
    /// It was in the log when this process began to read it.
    pub is_old: bool,
}

/// What is read.
#[derive(Debug)]
pub(crate) enum Read {
    /// A copy.
    Copied(Copied),
    /// All up to and with this entry has been read; only said to who asked for it.
    Until(LogIndex),
}

pub(crate) struct LogReader {
    replicas: Vec<String>,
    reader: Reader,
    /// The log's end as this process met it first; none before.
    old_until: Option<LogIndex>,
    untold: u64,
    copies: mpsc::Sender<Read>,
    metrics: Arc<Metrics>,
    /// It reads for a second time, says how far it is, and counts nothing again.
    is_again: bool,
}

/// The session wants no more.
struct Gone;

impl LogReader {
    pub(crate) fn new(
        replicas: Vec<String>,
        accounts: &BTreeSet<AccountId>,
        after: Position,
        copies: mpsc::Sender<Read>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            replicas,
            reader: Reader::new(accounts.iter().copied(), after),
            old_until: None,
            untold: 0,
            copies,
            metrics,
            is_again: false,
        }
    }

    /// One that reads what was read before, and says how far it is.
    pub(crate) fn again(mut self) -> Self {
        self.is_again = true;
        self
    }

    /// Reads until the session is gone.
    pub(crate) async fn run(mut self) {
        let mut place = 0;
        loop {
            let address = self.replicas[place % self.replicas.len()].clone();
            place += 1;
            match self.read_at(&address).await {
                Ok(reason) => {
                    tracing::info!(%address, %reason, "drop copy: the log is read at another replica");
                    self.metrics.log_replicas_lost.inc();
                }
                Err(Gone) => return,
            }
            tokio::select! {
                () = self.copies.closed() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Reads one replica's log for as long as it comes; gives why it does not any more.
    async fn read_at(&mut self, address: &str) -> Result<String, Gone> {
        let connection = match AdminConnection::connect(address).await {
            Ok(connection) => connection,
            Err(error) => return Ok(error.to_string()),
        };
        let from = LogIndex(self.reader.last_index().0 + 1);
        let mut log = match connection.follow_log(from).await {
            Ok(log) => log,
            Err(error) => return Ok(error.to_string()),
        };
        loop {
            let next = tokio::select! {
                () = self.copies.closed() => return Err(Gone),
                next = log.next(SILENCE_MS_MAX) => next,
            };
            let body = match next {
                Ok(Some(chunk)) => chunk.body,
                Ok(None) => return Ok("the replica ended it".to_owned()),
                Err(error) => return Ok(error.to_string()),
            };
            let mut copies = Vec::new();
            match body {
                Some(Body::Snapshot(snapshot)) => {
                    let index = LogIndex(snapshot.index);
                    match self.reader.snapshot(index, &snapshot.state) {
                        Ok(0) => {}
                        Ok(_) if self.is_again => {}
                        Ok(hidden) => {
                            self.metrics.copies_hidden.inc_by(hidden);
                            tracing::error!(hidden, %index, "drop copy: entries are in a snapshot: \
                                their reports cannot be told");
                        }
                        Err(error) => return Ok(error.to_string()),
                    }
                    self.say_read(index).await?;
                }
                Some(Body::Entry(entry)) => {
                    let (index, epoch) = (LogIndex(entry.index), Epoch(entry.epoch));
                    let read = self.reader.entry(index, epoch, &entry.batch, &mut copies);
                    if let Err(error) = read {
                        return Ok(error.to_string());
                    }
                }
                Some(Body::End(end)) => {
                    let index = LogIndex(end.commit_index);
                    self.old_until.get_or_insert(index);
                    self.say_read(index).await?;
                }
                None => {}
            }
            let untold =
                self.reader.untold() - std::mem::replace(&mut self.untold, self.reader.untold());
            if !self.is_again {
                self.metrics.copies_untold.inc_by(untold);
            }
            for copy in copies {
                let is_old = self.old_until.is_none_or(|end| copy.position.index <= end);
                self.send(Read::Copied(Copied { copy, is_old })).await?;
            }
        }
    }

    async fn say_read(&self, until: LogIndex) -> Result<(), Gone> {
        if self.is_again {
            self.send(Read::Until(until)).await?;
        }
        Ok(())
    }

    async fn send(&self, read: Read) -> Result<(), Gone> {
        self.copies.send(read).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn it_ends_with_its_session_though_no_replica_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let (sender, receiver) = mpsc::channel(COPIES_MAX);
        let metrics = Arc::new(Metrics::new().unwrap());
        let accounts = BTreeSet::from([AccountId(7)]);
        let after = Position::default();
        let reader = LogReader::new(vec![address], &accounts, after, sender, metrics.clone());
        let running = tokio::spawn(reader.run());
        while metrics.log_replicas_lost.get() < 2 {
            tokio::task::yield_now().await;
        }
        drop(receiver);
        let ended = timeout(Duration::from_secs(20), running).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()));
    }
}
