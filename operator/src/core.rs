//! The trading core as the operator speaks to it: six calls of its administration.
//!
//! A silent replica is an answer ("could not be asked"), never a failure of the operator, and every
//! call has a short end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use client::admin::{AdminConnection, AdminError};
use protocol::admin::ReplicaStatus;
use protocol::admin::change_membership_request::Change;
use types::{Control, OperationRecord, ReplicaId};

/// How long a question may take, connecting included: it is what a round waits for at most.
const STATUS_WAIT: Duration = Duration::from_millis(800);
/// How long the core may try to hand leadership over, in milliseconds.
const TRANSFER_MS: u32 = 5_000;
/// Connections that are kept; a core has three replicas, and cores are few.
const CONNECTIONS_MAX: usize = 64;

/// Why the core did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// No answer, or a refusal.
    #[error(transparent)]
    Call(#[from] AdminError),
    /// No answer while a round may wait for one.
    #[error("failed to ask {address}: no answer within {} ms", STATUS_WAIT.as_millis())]
    Silent {
        /// Who was asked.
        address: String,
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
    /// Puts a record about an operation into the log. Returns its place there: a status that has not
    /// applied it yet does not know of it.
    async fn record_operation(
        &self,
        address: &str,
        record: OperationRecord,
    ) -> Result<u64, CoreError>;
    /// Asks the leader to change who belongs to the group, by one replica.
    async fn change_membership(&self, address: &str, change: Change) -> Result<(), CoreError>;
}

/// The real core, by gRPC.
#[derive(Debug, Default)]
pub struct GrpcCore {
    connections: Mutex<BTreeMap<String, AdminConnection>>,
}

impl GrpcCore {
    /// A core that no connection leads to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<String, AdminConnection>> {
        // Whoever panicked left a map of handles, which is whole at any time.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self, address: &str) -> Result<AdminConnection, AdminError> {
        if let Some(connection) = self.connections().get(address) {
            return Ok(connection.clone());
        }
        let connection = AdminConnection::connect(address).await?;
        let mut connections = self.connections();
        if connections.len() >= CONNECTIONS_MAX {
            // Addresses changed many times over; those in use come back at their next call.
            connections.clear();
        }
        connections.insert(address.to_owned(), connection.clone());
        Ok(connection)
    }

    /// A connection that did not answer is dropped: one that a partition swallowed would stay
    /// silent long after the partition is gone. A refusal has shown that it works.
    fn kept<T>(&self, address: &str, answer: Result<T, AdminError>) -> Result<T, CoreError> {
        answer.map_err(|error| {
            if !matches!(&error, AdminError::Refused { status, .. }
                if status.code() != tonic::Code::Unavailable)
            {
                self.connections().remove(address);
            }
            error.into()
        })
    }

    async fn control(
        &self,
        address: &str,
        action: &'static str,
        control: &Control,
    ) -> Result<u64, CoreError> {
        let answer = async { self.connection(address).await?.control(control).await }.await;
        let answer = self.kept(address, answer)?;
        if answer.done {
            Ok(answer.log_index)
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
        let question = async { self.connection(address).await?.status().await };
        match tokio::time::timeout(STATUS_WAIT, question).await {
            Ok(answer) => self.kept(address, answer),
            Err(_) => {
                self.connections().remove(address);
                Err(CoreError::Silent {
                    address: address.to_owned(),
                })
            }
        }
    }

    async fn transfer_leader(&self, address: &str, to: u64) -> Result<u64, CoreError> {
        let answer = async {
            let connection = self.connection(address).await?;
            connection.transfer_leader(ReplicaId(to), TRANSFER_MS).await
        }
        .await;
        Ok(self.kept(address, answer)?.epoch)
    }

    async fn acquire_maintenance(
        &self,
        address: &str,
        replica: u64,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<(), CoreError> {
        let control = Control::AcquireMaintenance {
            replica: ReplicaId(replica),
            holder: holder.to_owned(),
            ttl_ms,
        };
        self.control(address, "acquire the maintenance lease", &control)
            .await
            .map(|_| ())
    }

    async fn release_maintenance(&self, address: &str, holder: &str) -> Result<(), CoreError> {
        let control = Control::ReleaseMaintenance {
            holder: holder.to_owned(),
        };
        self.control(address, "release the maintenance lease", &control)
            .await
            .map(|_| ())
    }

    async fn record_operation(
        &self,
        address: &str,
        record: OperationRecord,
    ) -> Result<u64, CoreError> {
        let control = Control::Operation(record);
        self.control(address, "write down an operation", &control)
            .await
    }

    async fn change_membership(&self, address: &str, change: Change) -> Result<(), CoreError> {
        let answer = async {
            let connection = self.connection(address).await?;
            connection.change_membership(change).await
        }
        .await;
        self.kept(address, answer).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_silent_replica_costs_a_round_less_than_a_second_and_keeps_no_connection() {
        // It takes connections and never says a word, like a replica behind a partition.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let core = GrpcCore::new();
        let start = std::time::Instant::now();
        let error = core.status(&address).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(error.to_string().contains(&address), "{error}");
        assert!(core.connections().is_empty());
    }

    #[tokio::test]
    async fn a_replica_that_is_not_there_is_told_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = GrpcCore::new().status(&address).await.unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused() {
        let error = GrpcCore::new().status("no port").await.unwrap_err();
        assert!(error.to_string().contains("no port"), "{error}");
    }
}
