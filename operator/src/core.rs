//! The trading core as the operator speaks to it: four calls of its administration.
//!
//! A silent replica is an answer ("could not be asked"), never a failure of the operator, and every
//! call has a short end.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{
    AcquireMaintenance, ControlRequest, ReleaseMaintenance, ReplicaStatus, StatusRequest,
    TransferLeaderRequest, control_request,
};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// How long a question may take.
const STATUS_WAIT: Duration = Duration::from_millis(800);
/// How long a connection may take to stand.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// How long the core may try to hand leadership over, in milliseconds.
const TRANSFER_MS: u32 = 5_000;
/// How long a transfer or a control record may take in all.
const COMMAND_WAIT: Duration = Duration::from_secs(6);
/// Connections that are kept; a core has three replicas, and cores are few.
const CONNECTIONS_MAX: usize = 64;

/// Why the core did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// The address cannot be dialled.
    #[error("failed to read address {address:?}: accepted is host:port")]
    Address {
        /// What was given.
        address: String,
    },
    /// No answer, or a refusal.
    #[error("failed to ask {address}: {message}")]
    Call {
        /// Who was asked.
        address: String,
        /// What came back.
        message: String,
    },
    /// The control record was put in the log and refused there.
    #[error("failed to {action}: the core says: {message}")]
    Refused {
        /// What was asked for.
        action: &'static str,
        /// The core's text.
        message: String,
    },
}

/// What the operator asks of a core. `address` is `host:port` of a replica's orders and
/// administration.
#[async_trait]
pub trait Core: Send + Sync {
    /// What a replica knows of itself and its group.
    async fn status(&self, address: &str) -> Result<ReplicaStatus, CoreError>;
    /// Asks the leader to hand leadership to replica `to`. Returns the new epoch.
    async fn transfer_leader(&self, address: &str, to: u64) -> Result<u64, CoreError>;
    /// Asks the leader for the maintenance lease over `replica`, for `ttl_ms` milliseconds.
    async fn acquire_maintenance(
        &self,
        address: &str,
        replica: u64,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<(), CoreError>;
    /// Gives the lease back.
    async fn release_maintenance(&self, address: &str, holder: &str) -> Result<(), CoreError>;
}

/// The real core, by gRPC.
#[derive(Debug, Default)]
pub struct GrpcCore {
    connections: Mutex<BTreeMap<String, Channel>>,
}

impl GrpcCore {
    /// A core that no connection leads to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Channel>> {
        // Whoever panicked left a map of handles, which is whole at any time.
        self.connections
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn channel(&self, address: &str) -> Result<Channel, CoreError> {
        let mut connections = self.connections();
        if let Some(channel) = connections.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| CoreError::Address {
                address: address.to_owned(),
            })?
            .connect_timeout(CONNECT_WAIT)
            .tcp_nodelay(true);
        let channel = endpoint.connect_lazy();
        if connections.len() >= CONNECTIONS_MAX {
            // Addresses changed many times over; those in use come back at their next call.
            connections.clear();
        }
        connections.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// One call with its end. A connection that did not answer in time is dropped, for one that a
    /// partition swallowed would stay silent long after the partition is gone.
    async fn call<Answer, Fut>(
        &self,
        address: &str,
        wait: Duration,
        call: impl FnOnce(AdminClient<Channel>) -> Fut,
    ) -> Result<Answer, CoreError>
    where
        Fut: Future<Output = Result<tonic::Response<Answer>, tonic::Status>>,
    {
        let client = AdminClient::new(self.channel(address)?);
        let failed = |message: String| CoreError::Call {
            address: address.to_owned(),
            message,
        };
        match tokio::time::timeout(wait, call(client)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                if status.code() == tonic::Code::Unavailable {
                    self.connections().remove(address);
                }
                Err(failed(format!("{}: {}", status.code(), status.message())))
            }
            Err(_) => {
                self.connections().remove(address);
                Err(failed(format!("no answer within {} ms", wait.as_millis())))
            }
        }
    }

    async fn control(
        &self,
        address: &str,
        action: &'static str,
        body: control_request::Body,
    ) -> Result<(), CoreError> {
        let request = ControlRequest { body: Some(body) };
        let answer = self
            .call(address, COMMAND_WAIT, |mut client| async move {
                client.control(Request::new(request)).await
            })
            .await?;
        if answer.done {
            Ok(())
        } else {
            Err(CoreError::Refused {
                action,
                message: answer.text,
            })
        }
    }
}

#[async_trait]
impl Core for GrpcCore {
    async fn status(&self, address: &str) -> Result<ReplicaStatus, CoreError> {
        self.call(address, STATUS_WAIT, |mut client| async move {
            client.status(Request::new(StatusRequest {})).await
        })
        .await
    }

    async fn transfer_leader(&self, address: &str, to: u64) -> Result<u64, CoreError> {
        let request = TransferLeaderRequest {
            to,
            timeout_ms: TRANSFER_MS,
        };
        let answer = self
            .call(address, COMMAND_WAIT, |mut client| async move {
                client.transfer_leader(Request::new(request)).await
            })
            .await?;
        Ok(answer.epoch)
    }

    async fn acquire_maintenance(
        &self,
        address: &str,
        replica: u64,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<(), CoreError> {
        self.control(
            address,
            "acquire the maintenance lease",
            control_request::Body::AcquireMaintenance(AcquireMaintenance {
                replica,
                holder: holder.to_owned(),
                ttl_ms,
            }),
        )
        .await
    }

    async fn release_maintenance(&self, address: &str, holder: &str) -> Result<(), CoreError> {
        self.control(
            address,
            "release the maintenance lease",
            control_request::Body::ReleaseMaintenance(ReleaseMaintenance {
                holder: holder.to_owned(),
            }),
        )
        .await
    }
}
