//! Administration of one replica.

use crate::connection::{AddressError, endpoint};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::change_membership_request::Change;
use protocol::admin::{
    ChangeMembershipRequest, ChangeMembershipResponse, ControlResponse, LogChunk,
    LookUpTransfersRequest, LookUpTransfersResponse, ReadLogRequest, ReplicaStatus, StatusRequest,
    TransferLeaderRequest, TransferLeaderResponse, WatchStatusRequest,
};
use protocol::administration::control_request;
use std::future::Future;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use types::{Control, LogIndex, ReplicaId};

/// Longest time for a short call, such as a status, in milliseconds.
pub const CALL_MS_MAX: u64 = 2_000;

/// Longest time for a control record to be committed, in milliseconds.
pub const CONTROL_MS_MAX: u64 = 5_000;

/// Largest message: a snapshot of the whole state comes as one.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Why administration failed. Each text names the replica's address.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody answers there.
    #[error("failed to reach the replica at {address}: {detail}: is it running and the link up?")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the connection met.
        detail: String,
    },
    /// The replica did not do it.
    #[error("failed to {call} at {address}: {}: {}", status.code(), status.message())]
    Refused {
        /// `host:port`.
        address: String,
        /// What was asked.
        call: &'static str,
        /// What it answered.
        status: Box<Status>,
    },
    /// No answer in time.
    #[error("failed to {call} at {address}: no answer within {after_ms} ms")]
    Silent {
        /// `host:port`.
        address: String,
        /// What was asked.
        call: &'static str,
        /// How long was waited.
        after_ms: u64,
    },
}

impl AdminError {
    /// The replica is there and cannot do it as things stand: it does not lead, or a precondition
    /// does not hold. Ask the leader, or later.
    #[must_use]
    pub fn is_precondition(&self) -> bool {
        matches!(self, Self::Refused { status, .. }
            if matches!(status.code(), Code::FailedPrecondition | Code::Unavailable))
    }
}

/// A connection to one replica. Clones share it.
#[derive(Clone, Debug)]
pub struct AdminConnection {
    address: String,
    channel: Channel,
    client: AdminClient<Channel>,
}

impl AdminConnection {
    /// Connects to `host:port` within [`crate::CONNECT_MS_MAX`].
    ///
    /// # Errors
    /// [`AdminError::Address`] and [`AdminError::Unreachable`].
    pub async fn connect(address: &str) -> Result<Self, AdminError> {
        let unreachable = |detail: String| AdminError::Unreachable {
            address: address.to_owned(),
            detail,
        };
        let limit = Duration::from_millis(crate::CONNECT_MS_MAX);
        let channel = tokio::time::timeout(limit, endpoint(address)?.connect())
            .await
            .map_err(|_| unreachable(format!("no answer within {} ms", crate::CONNECT_MS_MAX)))?
            .map_err(|error| unreachable(with_causes(&error)))?;
        Ok(Self {
            address: address.to_owned(),
            client: AdminClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            channel,
        })
    }

    /// Where it is connected to, `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The connection itself, to carry other streams to the same replica.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What the replica knows of itself and its group.
    ///
    /// # Errors
    /// [`AdminError`], within [`CALL_MS_MAX`].
    pub async fn status(&self) -> Result<ReplicaStatus, AdminError> {
        let mut client = self.client.clone();
        let call = client.status(StatusRequest {});
        Ok(self
            .within("ask the status", CALL_MS_MAX, call)
            .await?
            .into_inner())
    }

    /// Its status now, on every change of role, epoch or leader, and at least every `interval_ms`
    /// (50 to 10,000; 0 means 200).
    ///
    /// # Errors
    /// [`AdminError`] when the first answer does not begin within [`CALL_MS_MAX`].
    pub async fn watch_status(&self, interval_ms: u32) -> Result<StatusWatch, AdminError> {
        let mut client = self.client.clone();
        let call = client.watch_status(WatchStatusRequest { interval_ms });
        let stream = self.within("watch the status", CALL_MS_MAX, call).await?;
        Ok(StatusWatch {
            address: self.address.clone(),
            stream: stream.into_inner(),
        })
    }

    /// Hands leadership to a replica that has caught up. `timeout_ms` is 100 to 60,000; 0 means
    /// 5,000.
    ///
    /// # Errors
    /// [`AdminError`]; [`AdminError::is_precondition`] when it does not lead or `to` lags.
    pub async fn transfer_leader(
        &self,
        to: ReplicaId,
        timeout_ms: u32,
    ) -> Result<TransferLeaderResponse, AdminError> {
        let mut client = self.client.clone();
        let asked_ms = if timeout_ms == 0 {
            5_000
        } else {
            u64::from(timeout_ms)
        };
        let call = client.transfer_leader(TransferLeaderRequest {
            to: to.0,
            timeout_ms,
        });
        let call = self.within("transfer leadership", asked_ms + CALL_MS_MAX, call);
        Ok(call.await?.into_inner())
    }

    /// Puts a control record in the log; the answer says whether it took effect, and why not.
    ///
    /// # Errors
    /// [`AdminError`]; [`AdminError::is_precondition`] when the replica does not lead.
    pub async fn control(&self, control: &Control) -> Result<ControlResponse, AdminError> {
        let mut client = self.client.clone();
        let call = client.control(control_request(control));
        let answer = self.within("put a control record in the log", CONTROL_MS_MAX, call);
        Ok(answer.await?.into_inner())
    }

    /// What the leader knows of funds between shards: what is under way from here, and whether
    /// `asked` has come.
    ///
    /// # Errors
    /// [`AdminError`], within [`CALL_MS_MAX`]; [`AdminError::is_precondition`] when the replica does not
    /// lead.
    pub async fn look_up_transfers(
        &self,
        asked: LookUpTransfersRequest,
    ) -> Result<LookUpTransfersResponse, AdminError> {
        let mut client = self.client.clone();
        let call = client.look_up_transfers(asked);
        let answer = self.within("look up transfers", CALL_MS_MAX, call);
        Ok(answer.await?.into_inner())
    }

    /// Changes who belongs to the group, one replica at a time; ends when the leader has applied it.
    ///
    /// # Errors
    /// [`AdminError`]; [`AdminError::is_precondition`] when the replica does not lead or something is
    /// missing, which the text names.
    pub async fn change_membership(
        &self,
        change: Change,
    ) -> Result<ChangeMembershipResponse, AdminError> {
        let mut client = self.client.clone();
        let call = client.change_membership(ChangeMembershipRequest {
            change: Some(change),
        });
        let answer = self.within("change the membership", CONTROL_MS_MAX + CALL_MS_MAX, call);
        Ok(answer.await?.into_inner())
    }

    /// Its committed log from `from` on, up to the commit index of this moment; begins with a
    /// snapshot when older entries are no longer kept.
    ///
    /// # Errors
    /// [`AdminError`] when the first answer does not begin within [`CALL_MS_MAX`].
    pub async fn read_log(&self, from: LogIndex) -> Result<LogReader, AdminError> {
        self.log(from, false).await
    }

    /// Its committed log from `from` on, without an end: entries come as they are committed, and every
    /// second a chunk `End` tells how far it is. The replica ends it when it knows no leader, for then
    /// it does not know what is committed.
    ///
    /// # Errors
    /// As [`AdminConnection::read_log`].
    pub async fn follow_log(&self, from: LogIndex) -> Result<LogReader, AdminError> {
        self.log(from, true).await
    }

    async fn log(&self, from: LogIndex, follow: bool) -> Result<LogReader, AdminError> {
        let mut client = self.client.clone();
        let from_index = from.0;
        let call = client.read_log(ReadLogRequest { from_index, follow });
        let stream = self.within("read the log", CALL_MS_MAX, call).await?;
        Ok(LogReader {
            address: self.address.clone(),
            stream: stream.into_inner(),
        })
    }

    async fn within<T>(
        &self,
        call: &'static str,
        ms_max: u64,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, AdminError> {
        within(&self.address, call, ms_max, answer).await
    }
}

/// A replica's status as it changes.
#[derive(Debug)]
pub struct StatusWatch {
    address: String,
    stream: Streaming<ReplicaStatus>,
}

impl StatusWatch {
    /// The next status; waits at most `silence_ms_max`. `None` when the replica ended the watch.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`AdminError`] when the replica is lost or silent.
    pub async fn next(&mut self, silence_ms_max: u64) -> Result<Option<ReplicaStatus>, AdminError> {
        let message = self.stream.message();
        within(&self.address, "watch the status", silence_ms_max, message).await
    }
}

/// A committed log as it comes.
#[derive(Debug)]
pub struct LogReader {
    address: String,
    stream: Streaming<LogChunk>,
}

impl LogReader {
    /// The next chunk; waits at most `silence_ms_max`. `None` at the end, which comes after the
    /// chunk `End`: an end without that chunk is a log cut short.
    ///
    /// # Errors
    /// [`AdminError`] when the replica is lost or silent.
    pub async fn next(&mut self, silence_ms_max: u64) -> Result<Option<LogChunk>, AdminError> {
        let message = self.stream.message();
        within(&self.address, "read the log", silence_ms_max, message).await
    }
}

async fn within<T>(
    address: &str,
    call: &'static str,
    ms_max: u64,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, AdminError> {
    match tokio::time::timeout(Duration::from_millis(ms_max), answer).await {
        Err(_) => Err(AdminError::Silent {
            address: address.to_owned(),
            call,
            after_ms: ms_max,
        }),
        Ok(Err(status)) => Err(AdminError::Refused {
            address: address.to_owned(),
            call,
            status: Box::new(status),
        }),
        Ok(Ok(answer)) => Ok(answer),
    }
}

/// An error with what caused it: tonic's own text is only "transport error".
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_at_an_address_is_said_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = AdminConnection::connect(&address).await.unwrap_err();
        assert!(matches!(error, AdminError::Unreachable { .. }));
        assert!(error.to_string().contains(&address), "{error}");
    }

    #[tokio::test]
    async fn a_replica_that_does_not_answer_is_given_up() {
        let silent = std::future::pending::<Result<(), Status>>();
        let error = within("h:1", "ask the status", 5, silent)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(
            text,
            "failed to ask the status at h:1: no answer within 5 ms"
        );
    }
}
