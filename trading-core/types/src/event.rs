//! What applying a command causes.

use crate::{
    AccountId, Alert, ClOrdId, ClientSeq, Epoch, LogSeq, OperationRefusal, OrderId, OutSeq, Price,
    Quantity, RejectReason, ReplicaId, SessionId, Side, SymbolId, TradeId, UnixMicros,
};
use serde::{Deserialize, Serialize};

/// One effect of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The answer to [`crate::Command::Logon`].
    LoggedOn {
        /// The session.
        session: SessionId,
        /// The number that the session's next request must carry.
        next_client_seq: ClientSeq,
        /// The number that the next message to the session will carry.
        next_out_seq: OutSeq,
        /// Messages after the client's `last_out_seq_seen`, oldest first.
        replay: Vec<Outbound>,
        /// Messages that the client has not seen and that are no longer kept; ask by order status.
        replay_missing: u64,
    },
    /// A logon that cannot be, such as for an account that is not open.
    LogonRefused {
        /// The session.
        session: SessionId,
        /// Why.
        reason: RejectReason,
    },
    /// A message to a session. May belong to another session than the command's (a resting order).
    ToSession(Outbound),
    /// A request whose number is ahead of the session's next; it did not take effect.
    SequenceGap {
        /// The session.
        session: SessionId,
        /// The number that came.
        received: ClientSeq,
        /// The number that is accepted next.
        expected: ClientSeq,
    },
    /// A request seen before; the original reply again, when it is still kept.
    Duplicate {
        /// The session.
        session: SessionId,
        /// The request's number.
        client_seq: ClientSeq,
        /// The reply that it got the first time.
        original: Option<Outbound>,
    },
    /// The answer to a control record.
    Control(ControlOutcome),
    /// Shares changed hands: for market data and drop copy. Follows both sides' reports.
    Trade(Trade),
    /// Surveillance noticed something.
    Alert(Alert),
}

/// A trade, told once with both its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Its number; both sides' [`Report::Filled`] carry the same.
    pub trade_id: TradeId,
    /// Of what.
    pub symbol: SymbolId,
    /// At what price.
    pub price: Price,
    /// How many shares.
    pub quantity: Quantity,
    /// Who bought.
    pub buy: TradeSide,
    /// Who sold.
    pub sell: TradeSide,
    /// The side that came in and took; none in a call auction.
    pub taker: Option<Side>,
    /// When, by the leader's clock as it stands in the log.
    pub time: UnixMicros,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeSide {
    /// The order.
    pub order_id: OrderId,
    /// The client's id for it.
    pub cl_ord_id: ClOrdId,
    /// Whose.
    pub account: AccountId,
    /// The session that entered it.
    pub session: SessionId,
    /// Shares of it still open.
    pub remaining: Quantity,
}

/// A numbered message to a session; kept for replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    /// To whom.
    pub session: SessionId,
    /// The message's number.
    pub out_seq: OutSeq,
    /// The request that it answers; none for what happens to a resting order.
    pub in_reply_to: Option<ClientSeq>,
    /// The command that caused it.
    pub log_seq: LogSeq,
    /// The epoch that caused it.
    pub epoch: Epoch,
    /// What happened.
    pub report: Report,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The order is in the book, about to trade, or waits for its trigger.
    Accepted {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
    },
    /// The request did not take effect.
    Rejected {
        /// The client's id of the order asked for, where the request names one.
        cl_ord_id: Option<ClOrdId>,
        /// Why.
        reason: RejectReason,
    },
    /// Shares changed hands.
    Filled {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The trade; both sides' reports carry the same.
        trade_id: TradeId,
        /// At what price.
        price: Price,
        /// How many shares.
        quantity: Quantity,
        /// How many are left open.
        remaining: Quantity,
    },
    /// The rest of the order is gone.
    Cancelled {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// How many shares were still open.
        quantity: Quantity,
        /// Why.
        cause: CancelCause,
    },
    /// The order stands changed.
    Replaced {
        /// The id it had.
        original: ClOrdId,
        /// The id it has.
        replacement: ClOrdId,
        /// The shard's id, which stays.
        order_id: OrderId,
        /// How many shares are open now.
        remaining: Quantity,
        /// Whether it kept its place in the queue.
        kept_priority: bool,
    },
    /// All that was asked to go is gone; one [`Report::Cancelled`] each went before.
    MassCancelled {
        /// How many orders.
        orders: u32,
    },
    /// The answer to a status request.
    Status(OrderView),
    /// A stop order was set off and is now what it was to become.
    Triggered {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The last price, which set it off.
        last: Price,
    },
    /// A market order stands as a limit order now.
    Restated {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The limit it took.
        price: Price,
        /// How many shares are open.
        remaining: Quantity,
    },
}

/// Why the rest of an order went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelCause {
    /// Its owner asked.
    Requested,
    /// Its owner asked for all.
    MassCancel,
    /// It would have traded with its own account.
    SelfTrade,
    /// It may not rest and nothing was left to trade with.
    Unfilled,
    /// It could not trade all its shares at once, and was to trade all or none.
    NotAtOnce,
    /// It would have traded at once, and was never to take.
    PostOnly,
    /// Its session stayed disconnected for longer than the grace it had asked for.
    Disconnected,
    /// The day it stood for is over: it expired.
    EndOfDay,
    /// Its price is outside the limits of a new day.
    OutsideLimits,
    /// A kill switch.
    KillSwitch,
    /// Trading in the symbol was halted for good, such as by a delisting.
    Halted,
}

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderState {
    /// Stands in the book, or waits for its trigger.
    Open,
    /// All shares traded.
    Filled,
    /// The rest was cancelled.
    Cancelled,
    /// Never took effect.
    Rejected,
}

/// An order as a status request shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// The client's id.
    pub cl_ord_id: ClOrdId,
    /// The shard's id.
    pub order_id: OrderId,
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub symbol: SymbolId,
    /// Buy or sell.
    pub side: Side,
    /// Where it is in its life.
    pub state: OrderState,
    /// Shares asked for.
    pub quantity: Quantity,
    /// Shares traded.
    pub filled: Quantity,
    /// Shares still open.
    pub remaining: Quantity,
}

/// The answer to a control record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlOutcome {
    /// It took effect, or had already.
    Done,
    /// It cannot be.
    Refused(RejectReason),
    /// The right to take a replica out of service was given.
    MaintenanceGranted(MaintenanceLease),
    /// Someone else holds that right.
    MaintenanceHeld(MaintenanceLease),
    /// A record about an operation had no effect.
    OperationRefused(OperationRefusal),
}

/// Who may take which replica out of service, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceLease {
    /// The replica.
    pub replica: ReplicaId,
    /// The holder.
    pub holder: String,
    /// The end, by the leader's clock as it stands in the log.
    pub until: UnixMicros,
}
