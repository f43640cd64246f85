//! Why a request does not take effect. Each reason has a code that never changes meaning and a text
//! that names the field, the value and what would be accepted.

use crate::{AccountId, ClOrdId, Money, OutSeq, Price, Quantity, SessionId, SymbolId};
use serde::{Deserialize, Serialize};

/// A reason. New reasons are added at the end, so that old logs keep their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RejectReason {
    /// The session has not logged on.
    #[error("session {session} is not open: send a logon first")]
    UnknownSession {
        /// The session.
        session: SessionId,
    },
    /// The session belongs to another account.
    #[error("session {session} trades for account {owner}: account {account} is not accepted")]
    SessionOfAnotherAccount {
        /// The session.
        session: SessionId,
        /// Whose it is.
        owner: AccountId,
        /// The account that was given.
        account: AccountId,
    },
    /// No such account.
    #[error("account {account} is not open: ask the back office to open it")]
    UnknownAccount {
        /// The account.
        account: AccountId,
    },
    /// No such symbol.
    #[error("symbol {symbol} is not listed on this shard")]
    UnknownSymbol {
        /// The symbol.
        symbol: SymbolId,
    },
    /// The client order id took effect before.
    #[error("cl_ord_id {cl_ord_id} was used before on this account: each order needs its own")]
    DuplicateClOrdId {
        /// The id.
        cl_ord_id: ClOrdId,
    },
    /// No order of the account has that id.
    #[error("no order with cl_ord_id {cl_ord_id} on this account")]
    UnknownOrder {
        /// The id.
        cl_ord_id: ClOrdId,
    },
    /// The order is no longer open.
    #[error("order {cl_ord_id} is no longer open: it cannot be cancelled or replaced")]
    OrderNotOpen {
        /// The id.
        cl_ord_id: ClOrdId,
    },
    /// The quantity is zero.
    #[error("quantity {quantity} is not accepted: use at least 1 share")]
    QuantityZero {
        /// The quantity.
        quantity: Quantity,
    },
    /// The quantity is no multiple of the lot.
    #[error("quantity {quantity} is not accepted: buys are multiples of {lot} shares")]
    QuantityOffLot {
        /// The quantity.
        quantity: Quantity,
        /// The lot.
        lot: Quantity,
    },
    /// The quantity is above the most that one order may have.
    #[error("quantity {quantity} is not accepted: one order may have at most {max} shares")]
    QuantityAboveMax {
        /// The quantity.
        quantity: Quantity,
        /// The most.
        max: Quantity,
    },
    /// A replacement asks for no more than has been filled.
    #[error(
        "quantity {quantity} is not accepted: {filled} shares are filled already, ask for more"
    )]
    QuantityNotAboveFilled {
        /// The quantity.
        quantity: Quantity,
        /// What has been filled.
        filled: Quantity,
    },
    /// The price is not on a tick.
    #[error("price {price} is not accepted: prices are multiples of {tick} yuan")]
    PriceOffTick {
        /// The price.
        price: Price,
        /// The tick.
        tick: Price,
    },
    /// The price is outside the day's limits.
    #[error("price {price} is not accepted: today's limits are {limit_down} to {limit_up} yuan")]
    PriceOutsideLimits {
        /// The price.
        price: Price,
        /// Lowest.
        limit_down: Price,
        /// Highest.
        limit_up: Price,
    },
    /// Not enough cash.
    #[error("cash is short: {needed} yuan needed, {available} available")]
    InsufficientCash {
        /// What the order would freeze.
        needed: Money,
        /// What is free.
        available: Money,
    },
    /// Not enough shares.
    #[error("position is short: {needed} shares of {symbol} needed, {available} available")]
    InsufficientPosition {
        /// The symbol.
        symbol: SymbolId,
        /// What the order would freeze.
        needed: Quantity,
        /// What is free.
        available: Quantity,
    },
    /// The account has as many orders as a day may hold.
    #[error("account {account} has reached {max} orders for the day")]
    TooManyOrders {
        /// The account.
        account: AccountId,
        /// The most.
        max: u64,
    },
    /// A symbol's rules contradict each other.
    #[error(
        "symbol {symbol} is not accepted: tick, lot and limit_down must be above 0, limit_down at \
         most limit_up, both multiples of the tick, and the largest order at limit_up must be \
         countable"
    )]
    SymbolRules {
        /// The symbol.
        symbol: SymbolId,
    },
    /// A bound of the engine is reached.
    #[error("{what} is full: at most {max}")]
    Full {
        /// What is full.
        what: String,
        /// Its bound.
        max: u64,
    },
    /// Cash or positions of a new account cannot be.
    #[error(
        "account {account} is not accepted: cash must be 0 or more, symbols listed and each named \
         once, and all accounts together within the range of money and shares"
    )]
    AccountRules {
        /// The account.
        account: AccountId,
    },
    /// A logon claims a message that the log never sent: the client has seen another history.
    #[error(
        "last_out_seq_seen {seen} is not accepted for session {session}: this log's last message \
         to it is {last}; what came after is not in it: compare, then log on with at most {last}"
    )]
    OutSeqAhead {
        /// The session.
        session: SessionId,
        /// What the client says it has.
        seen: OutSeq,
        /// The last message there is.
        last: OutSeq,
    },
    /// A maintenance lease is asked for in a way that cannot be.
    #[error(
        "maintenance for {holder:?} over {ttl_ms} ms is not accepted: name a holder of 1 to \
         {holder_length_max} bytes and a ttl_ms of 1 to {ttl_ms_max}"
    )]
    MaintenanceRules {
        /// Who asked; cut to the longest accepted length.
        holder: String,
        /// For how long.
        ttl_ms: u32,
        /// Longest accepted name.
        holder_length_max: u32,
        /// Longest accepted time.
        ttl_ms_max: u32,
    },
}

impl RejectReason {
    /// The stable code: what programs compare. Grouped as the checks are: 1xx session, 2xx order id,
    /// 3xx format, 4xx price, 5xx cash and position, 6xx bounds, 9xx control.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownSession { .. } => 101,
            Self::SessionOfAnotherAccount { .. } => 102,
            Self::UnknownAccount { .. } => 103,
            Self::OutSeqAhead { .. } => 104,
            Self::DuplicateClOrdId { .. } => 201,
            Self::UnknownOrder { .. } => 202,
            Self::OrderNotOpen { .. } => 203,
            Self::UnknownSymbol { .. } => 301,
            Self::QuantityZero { .. } => 302,
            Self::QuantityOffLot { .. } => 303,
            Self::QuantityAboveMax { .. } => 304,
            Self::QuantityNotAboveFilled { .. } => 305,
            Self::PriceOffTick { .. } => 401,
            Self::PriceOutsideLimits { .. } => 402,
            Self::InsufficientCash { .. } => 501,
            Self::InsufficientPosition { .. } => 502,
            Self::TooManyOrders { .. } => 601,
            Self::Full { .. } => 602,
            Self::SymbolRules { .. } => 901,
            Self::AccountRules { .. } => 902,
            Self::MaintenanceRules { .. } => 903,
        }
    }
}
