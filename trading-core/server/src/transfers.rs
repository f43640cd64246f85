//! What this shard knows of funds between shards, for whoever moves them.

use engine::{Arrival, State, UnderWay};
use protocol::BadField;
use protocol::admin::{LookUpTransfersRequest, LookUpTransfersResponse, TransferIn, TransferOut};
use types::{AccountId, Epoch, LogIndex, ShardId, TransferId};

/// What is asked; nothing, of what is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferQuestion {
    transfer: Option<(ShardId, TransferId)>,
    account: Option<AccountId>,
}

/// What is known, as applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferAnswer {
    epoch: Epoch,
    applied: LogIndex,
    under_way: Vec<UnderWay>,
    last_begun: Option<TransferId>,
    transfer: Option<(ShardId, TransferId)>,
    arrival: Arrival,
    is_account_open: bool,
}

impl TransferQuestion {
    pub(crate) fn read(asked: &LookUpTransfersRequest) -> Result<Self, BadField> {
        let from = u16::try_from(asked.from_shard).map_err(|_| BadField {
            field: "from_shard",
            text: format!("{} is not accepted: use 0 to 65535", asked.from_shard),
        })?;
        Ok(Self {
            transfer: (asked.transfer > 0).then_some((ShardId(from), TransferId(asked.transfer))),
            account: (asked.account > 0).then_some(AccountId(asked.account)),
        })
    }

    pub(crate) fn answer(&self, epoch: Epoch, state: &State) -> TransferAnswer {
        let arrival = |(from, transfer)| state.transfer_from(from, transfer);
        TransferAnswer {
            epoch,
            applied: state.last_entry().index,
            under_way: state.transfers_under_way().collect(),
            last_begun: state.last_transfer_begun(),
            transfer: self.transfer,
            arrival: self.transfer.map_or(Arrival::Unknown, arrival),
            is_account_open: self.account.is_some_and(|it| state.account(it).is_some()),
        }
    }
}

impl TransferAnswer {
    pub(crate) fn write(&self) -> LookUpTransfersResponse {
        let out = |it: &UnderWay| TransferOut {
            transfer: it.transfer.0,
            account: it.account.0,
            amount: it.amount.0,
            to_shard: it.to.0.into(),
        };
        let arrived = match (self.transfer, self.arrival) {
            (Some((from, transfer)), Arrival::Arrived { account, amount }) => Some(TransferIn {
                transfer: transfer.0,
                account: account.0,
                amount: amount.0,
                from_shard: from.0.into(),
            }),
            _ => None,
        };
        LookUpTransfersResponse {
            epoch: self.epoch.0,
            applied_index: self.applied.0,
            under_way: self.under_way.iter().map(out).collect(),
            last_begun: self.last_begun.map_or(0, |it| it.0),
            arrived,
            is_forgotten: self.arrival == Arrival::Forgotten,
            is_account_open: self.is_account_open,
        }
    }
}
