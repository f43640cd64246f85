//! Following the replicas: one task each, that keeps the view up to date.

use crate::config::ReplicaAddress;
use crate::leader::{Heard, View};
use client::admin::{AdminConnection, AdminError};
use protocol::admin::ReplicaStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use types::{Epoch, ReplicaId, ShardId};

/// How often a replica is asked to speak.
const INTERVAL_MS: u32 = 100;
/// A replica that said nothing for so long is lost.
pub(crate) const SILENCE_MS_MAX: u64 = 700;
const PAUSE_MS_MIN: u64 = 50;
const PAUSE_MS_MAX: u64 = 500;

/// Whom to follow.
pub(crate) struct Follower {
    pub cluster: String,
    pub shard: ShardId,
    pub replica: ReplicaAddress,
    pub view: Arc<watch::Sender<View<Channel>>>,
}

impl Follower {
    /// Follows the replica until stopped, through as many connections as it takes.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause_ms = PAUSE_MS_MIN;
        for connection in 1_u64.. {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow(connection, &mut pause_ms) => ended,
            };
            let id = ReplicaId(self.replica.replica);
            self.view.send_if_modified(|view| view.lose(id));
            tracing::debug!(shard = self.shard.0, replica = %id, reason = %ended, "replica lost");
            // Reconnecting is timed, not awaited: nothing tells when a replica is back.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(Duration::from_millis(pause_ms)) => {}
            }
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
    }

    async fn follow(&self, connection: u64, pause_ms: &mut u64) -> String {
        match self.watch(connection, pause_ms).await {
            Ok(reason) => reason,
            Err(error) => error.to_string(),
        }
    }

    async fn watch(&self, connection: u64, pause_ms: &mut u64) -> Result<String, AdminError> {
        let admin = AdminConnection::connect(&self.replica.orders).await?;
        let mut statuses = admin.watch_status(INTERVAL_MS).await?;
        while let Some(status) = statuses.next(SILENCE_MS_MAX).await? {
            if let Some(stranger) = self.stranger(&status) {
                tracing::warn!("{stranger}");
                return Ok(stranger);
            }
            *pause_ms = PAUSE_MS_MIN;
            let heard = Heard {
                epoch: Epoch(status.epoch),
                serving: status.serving,
                connection,
                channel: admin.channel(),
            };
            let id = ReplicaId(self.replica.replica);
            if self.view.send_if_modified(|view| view.hear(id, heard)) {
                let serving = status.serving;
                let shard = self.shard.0;
                tracing::info!(shard, replica = %id, epoch = status.epoch, serving, "leader changed");
            }
        }
        Ok("the replica ended the watch".to_owned())
    }

    fn stranger(&self, status: &ReplicaStatus) -> Option<String> {
        let ours = (&self.cluster, u32::from(self.shard.0), self.replica.replica);
        let theirs = (&status.cluster, status.shard, status.replica);
        (ours != theirs).then(|| {
            format!(
                "failed to follow {}: it is replica {} of shard {} of {:?}, expected replica {} of \
                 shard {} of {:?}: check the addresses",
                self.replica.orders, theirs.2, theirs.1, theirs.0, ours.2, ours.1, ours.0
            )
        })
    }
}
