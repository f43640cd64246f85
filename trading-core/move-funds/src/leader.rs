//! One shard, by whichever of its replicas leads.

use client::admin::{AdminConnection, AdminError};
use protocol::admin::{ControlResponse, LookUpTransfersRequest, LookUpTransfersResponse};
use types::{Control, ShardId};

/// Why a shard did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The replica asked cannot: the next one may.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// It belongs to something else.
    #[error(
        "{address} is a replica of shard {shard} of {cluster:?}: check the addresses of shard \
         {expected}"
    )]
    Stranger {
        address: String,
        shard: u32,
        cluster: String,
        expected: ShardId,
    },
}

/// A shard's replicas; the one that answered last is asked first.
pub(crate) struct Leader<'a> {
    cluster: &'a str,
    shard: ShardId,
    replicas: &'a [String],
    place: usize,
    connection: Option<AdminConnection>,
}

impl<'a> Leader<'a> {
    pub(crate) fn new(cluster: &'a str, shard: ShardId, replicas: &'a [String]) -> Self {
        Self {
            cluster,
            shard,
            replicas,
            place: 0,
            connection: None,
        }
    }

    /// The connection in use, or one to the next replica, of which is known that it is of this shard.
    async fn connection(&mut self) -> Result<AdminConnection, NoAnswer> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let address = &self.replicas[self.place];
        let connection = AdminConnection::connect(address).await?;
        let status = connection.status().await?;
        if status.cluster != self.cluster || status.shard != u32::from(self.shard.0) {
            return Err(NoAnswer::Stranger {
                address: address.clone(),
                shard: status.shard,
                cluster: status.cluster,
                expected: self.shard,
            });
        }
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Asks the next replica from now on.
    fn turn(&mut self) {
        self.connection = None;
        self.place = (self.place + 1) % self.replicas.len();
    }

    pub(crate) async fn look_up(
        &mut self,
        asked: LookUpTransfersRequest,
    ) -> Result<LookUpTransfersResponse, NoAnswer> {
        let answer = match self.connection().await {
            Ok(connection) => connection
                .look_up_transfers(asked)
                .await
                .map_err(NoAnswer::from),
            Err(error) => Err(error),
        };
        answer.inspect_err(|_| self.turn())
    }

    pub(crate) async fn put(&mut self, control: &Control) -> Result<ControlResponse, NoAnswer> {
        let answer = match self.connection().await {
            Ok(connection) => connection.control(control).await.map_err(NoAnswer::from),
            Err(error) => Err(error),
        };
        answer.inspect_err(|_| self.turn())
    }
}
