//! Movements of funds between shards: two steps and an end, each exactly once.
//!
//! ```text
//!   shard 1                                     shard 2
//!   TransferOut  ── funds leave the account ──►
//!                   and are under way
//!                                               TransferIn  ── funds come to the account
//!   TransferDone ── the movement is over
//! ```
//!
//! Whoever drives the movements keeps nothing: after a crash it reads what is under way at the first
//! shard and repeats the steps. Each may come any number of times, late ones too:
//! - `TransferOut`: a number under way is known; any other must be greater than all before it, so that
//!   one that is over cannot begin again.
//! - `TransferIn`: the receiver remembers the latest [`REMEMBERED`] numbers of each shard. What is
//!   older is refused, never credited.
//! - `TransferDone`: of a number that is not under way it does nothing.
//!
//! A sender begins no movement that is [`REMEMBERED`] or more after its oldest under way, so no number
//! that may still come is ever too old for the receiver.

use crate::Shard;
use crate::listing::MarketBook;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{AccountId, ControlOutcome, Money, RejectReason, ShardId, Table, TransferId};

/// Numbers of one shard that a receiver remembers; also the window of a sender.
pub const REMEMBERED: u64 = 4_096;

/// A movement that has left its account and has not been reported as arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The movement.
    pub transfer: TransferId,
    /// Whose funds.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Where they go.
    pub to: ShardId,
}

/// What a shard knows of a movement that may come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It has not come.
    Unknown,
    /// It came.
    Arrived {
        /// To which account.
        account: AccountId,
        /// How much.
        amount: Money,
    },
    /// Its number is too old to be remembered; it is refused, if it comes.
    Forgotten,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfers {
    /// With the place of each in the order of all that began.
    under_way: BTreeMap<TransferId, (u64, UnderWay)>,
    begun: u64,
    last_begun: Option<TransferId>,
    received: BTreeMap<ShardId, Received>,
}

/// What came from one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Received {
    latest: BTreeMap<TransferId, (AccountId, Money)>,
    /// The greatest number that is no longer remembered.
    forgotten: Option<TransferId>,
}

impl Transfers {
    /// What has left its accounts here and counts as held until it is over.
    pub(crate) fn in_transit(&self) -> Money {
        Money(self.under_way.values().map(|(_, it)| it.amount.0).sum())
    }
}

impl<B: MarketBook> Shard<B> {
    /// The movements that whoever drives them has to bring to their end, by number.
    pub fn transfers_under_way(&self) -> impl Iterator<Item = UnderWay> + '_ {
        self.facts.transfers.under_way.values().map(|(_, it)| *it)
    }

    /// The greatest number that has begun here.
    #[must_use]
    pub fn last_transfer_begun(&self) -> Option<TransferId> {
        self.facts.transfers.last_begun
    }

    /// What is known here of a number of another shard's.
    #[must_use]
    pub fn transfer_from(&self, from: ShardId, transfer: TransferId) -> Arrival {
        let Some(received) = self.facts.transfers.received.get(&from) else {
            return Arrival::Unknown;
        };
        match received.latest.get(&transfer) {
            Some((account, amount)) => Arrival::Arrived {
                account: *account,
                amount: *amount,
            },
            None if received.forgotten >= Some(transfer) => Arrival::Forgotten,
            None => Arrival::Unknown,
        }
    }

    pub(crate) fn transfer_out(
        &mut self,
        wanted: UnderWay,
    ) -> Result<ControlOutcome, RejectReason> {
        let UnderWay {
            transfer,
            account,
            amount,
            ..
        } = wanted;
        let refused = RejectReason::TransferRules { transfer };
        if let Some((_, known)) = self.facts.transfers.under_way.get(&transfer) {
            return if *known == wanted {
                Ok(ControlOutcome::Done)
            } else {
                Err(refused)
            };
        }
        if amount.0 <= 0 || self.facts.transfers.last_begun >= Some(transfer) {
            return Err(refused);
        }
        let oldest = self
            .facts
            .transfers
            .under_way
            .values()
            .map(|(place, _)| *place);
        let oldest = oldest.min().unwrap_or(self.facts.transfers.begun);
        if self.facts.transfers.begun - oldest >= REMEMBERED {
            return Err(RejectReason::Full {
                table: Table::Transfers,
                max: REMEMBERED,
            });
        }
        let row = self.accounts.row_of(account).ok_or(refused)?;
        let sender = self.accounts.at_mut(row);
        let available = sender.cash_free();
        if amount > available {
            return Err(RejectReason::InsufficientCash {
                needed: amount,
                available,
            });
        }
        sender.cash.0 -= amount.0;
        sender.settled_cash.0 -= amount.0;
        let place = self.facts.transfers.begun;
        self.facts.transfers.begun += 1;
        self.facts.transfers.last_begun = Some(transfer);
        self.facts
            .transfers
            .under_way
            .insert(transfer, (place, wanted));
        Ok(ControlOutcome::Done)
    }

    pub(crate) fn transfer_in(
        &mut self,
        transfer: TransferId,
        account: AccountId,
        amount: Money,
        from: ShardId,
    ) -> Result<ControlOutcome, RejectReason> {
        let refused = RejectReason::TransferRules { transfer };
        let received = self.facts.transfers.received.get(&from);
        if let Some(known) = received.and_then(|it| it.latest.get(&transfer)) {
            return if *known == (account, amount) {
                Ok(ControlOutcome::Done)
            } else {
                Err(refused)
            };
        }
        let forgotten = received.and_then(|it| it.forgotten);
        let total = self.facts.totals.cash.checked_add(amount);
        let (Some(row), Some(total)) = (self.accounts.row_of(account), total) else {
            return Err(refused);
        };
        if amount.0 <= 0 || forgotten >= Some(transfer) {
            return Err(refused);
        }
        let receiver = self.accounts.at_mut(row);
        receiver.cash.0 += amount.0;
        receiver.settled_cash.0 += amount.0;
        self.facts.totals.cash = total;
        let received = self.facts.transfers.received.entry(from).or_default();
        received.latest.insert(transfer, (account, amount));
        if received.latest.len() as u64 > REMEMBERED {
            received.forgotten = received.latest.pop_first().map(|(oldest, _)| oldest);
        }
        Ok(ControlOutcome::Done)
    }

    pub(crate) fn transfer_done(&mut self, transfer: TransferId) -> ControlOutcome {
        if let Some((_, it)) = self.facts.transfers.under_way.remove(&transfer) {
            self.facts.totals.cash.0 -= it.amount.0;
        }
        ControlOutcome::Done
    }
}
