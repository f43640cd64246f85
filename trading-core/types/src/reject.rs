//! Why a request does not take effect. Each reason has a code that never changes meaning and a text
//! that names the field, the value and what would be accepted.

use crate::{
    AccountId, Board, ClOrdId, KillScope, MarketStyle, Money, OutSeq, Phase, Price, Quantity,
    SessionId, Side, SymbolId, TradingDay, TransferId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A table of the engine that has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Table {
    /// Sessions, ever.
    Sessions,
    /// Accounts.
    Accounts,
    /// Listed symbols.
    Symbols,
    /// Open orders of all accounts.
    Orders,
    /// Open orders of one account.
    OpenOrdersOfAccount,
    /// Client order ids of all accounts that took effect on this trading day.
    ClientOrderIds,
    /// Pairs of an account and a symbol that it holds or has held.
    Positions,
    /// Movements of funds that are not over.
    Transfers,
    /// Kill switches that are on.
    KillSwitches,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "session table",
            Self::Accounts => "account table",
            Self::Symbols => "symbol table",
            Self::Orders => "table of open orders",
            Self::OpenOrdersOfAccount => "account's set of open orders",
            Self::ClientOrderIds => "table of the day's client order ids",
            Self::Positions => "table of positions",
            Self::Transfers => "table of transfers under way",
            Self::KillSwitches => "table of kill switches",
        })
    }
}

/// A term of an order that does not go with its others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Term {
    /// [`crate::NewOrder::post_only`]: only with a limit that may rest.
    PostOnly,
    /// [`crate::NewOrder::display`]: only with a limit that may rest.
    Display,
    /// [`crate::NewOrder::time_in_force`]: a market order whose rest stands, and a stop order, take
    /// `Day` or `GoodTillCancel`.
    TimeInForce,
    /// Replacing: only limit orders are replaced, stop orders are cancelled and entered anew.
    Replace,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostOnly => {
                "post_only does not go with this order: use it with a limit order for the day or \
                 good till cancel"
            }
            Self::Display => {
                "display does not go with this order: use it with a limit order for the day or \
                 good till cancel"
            }
            Self::TimeInForce => {
                "time_in_force does not go with this order: use day or good till cancel"
            }
            Self::Replace => "a stop order is not replaced: cancel it and enter another",
        })
    }
}

/// A reason. New reasons are added at the end, so that old logs keep their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
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
    #[error("{table} is full: at most {max}")]
    Full {
        /// What is full.
        table: Table,
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
        "maintenance for a holder of {holder_length} bytes over {ttl_ms} ms is not accepted: name \
         a holder of 1 to {holder_length_max} bytes and a ttl_ms of 1 to {ttl_ms_max}"
    )]
    MaintenanceRules {
        /// Length of the name of who asked.
        holder_length: u32,
        /// For how long.
        ttl_ms: u32,
        /// Longest accepted name.
        holder_length_max: u32,
        /// Longest accepted time.
        ttl_ms_max: u32,
    },
    /// The account may not enter orders.
    #[error("account {account} is not active: ask the back office")]
    AccountInactive {
        /// The account.
        account: AccountId,
    },
    /// The account may not trade on the board.
    #[error("account {account} has no permission for {board:?}: ask the back office")]
    BoardNotPermitted {
        /// The account.
        account: AccountId,
        /// The symbol's board.
        board: Board,
    },
    /// A term of the order does not go with the others.
    #[error("{term}")]
    TermsContradict {
        /// Which.
        term: Term,
    },
    /// The shown part of an iceberg cannot be.
    #[error(
        "display {display} is not accepted: use a multiple of {lot} shares, above 0 and below the \
         quantity"
    )]
    DisplayQuantity {
        /// What was asked for.
        display: Quantity,
        /// The lot.
        lot: Quantity,
    },
    /// The trigger is reached already.
    #[error("trigger {trigger} is not accepted: the last price {last} has reached it already")]
    TriggerReached {
        /// The trigger.
        trigger: Price,
        /// The last price.
        last: Price,
    },
    /// The symbol's phase takes no such order.
    #[error("{symbol} takes no such order while it is in phase {phase:?}")]
    PhaseRefusesOrder {
        /// The symbol.
        symbol: SymbolId,
        /// Its phase.
        phase: Phase,
    },
    /// The symbol's phase allows no cancelling and no replacing.
    #[error("{symbol} allows no cancelling or replacing while it is in phase {phase:?}")]
    PhaseRefusesCancel {
        /// The symbol.
        symbol: SymbolId,
        /// Its phase.
        phase: Phase,
    },
    /// A kill switch is on.
    #[error("a kill switch stops new orders ({scope:?}): ask who turned it")]
    KillSwitchOn {
        /// Which.
        scope: KillScope,
    },
    /// The price is too far from the market's.
    #[error("price {price} is not accepted: a {side:?} reaches at most {bound} now")]
    PriceOutsideCage {
        /// The side.
        side: Side,
        /// The price.
        price: Price,
        /// The last accepted price.
        bound: Price,
    },
    /// A movement of funds cannot be.
    #[error(
        "transfer {transfer} is not accepted: its amount must be above 0, its account open, and \
         its number not used for another movement"
    )]
    TransferRules {
        /// The movement.
        transfer: TransferId,
    },
    /// Rules of the boards cannot be read.
    #[error(
        "rules of {length} bytes are not accepted: write them with this version's rules reader"
    )]
    RulesUnreadable {
        /// How many bytes came.
        length: u64,
    },
    /// A day cannot be settled.
    #[error("trading_day {day} is not accepted: the last settled day is {last}, use a later date")]
    SettleDayRules {
        /// The day.
        day: TradingDay,
        /// The last settled day.
        last: TradingDay,
    },
    /// A symbol's phase cannot be set that way.
    #[error("phase {phase:?} is not accepted for this scope: halt one symbol at a time")]
    PhaseRules {
        /// The phase.
        phase: Phase,
    },
    /// A word of the log that this engine does not execute yet.
    #[error("this version does not execute that yet: {what}")]
    NotExecuted {
        /// What.
        what: Unexecuted,
    },
    /// The board takes no such market order.
    #[error("a market order {style:?} is not accepted on {board:?}: use a style of the board")]
    MarketStyleNotAccepted {
        /// The style.
        style: MarketStyle,
        /// The board.
        board: Board,
    },
    /// The board wants the worst price of a market order.
    #[error("a market order {style:?} needs a protection price on this board")]
    ProtectionNeeded {
        /// The style.
        style: MarketStyle,
    },
    /// The quantity does not follow the board's lot rule.
    #[error(
        "quantity {quantity} is not accepted: use at least {minimum} shares in steps of {step}; \
         what is left over of a position is sold in one order"
    )]
    QuantityOffRule {
        /// The quantity.
        quantity: Quantity,
        /// Fewest shares.
        minimum: Quantity,
        /// The step from there on.
        step: Quantity,
    },
    /// Price times quantity is above the account's limit.
    #[error("{amount} yuan are not accepted: one order of this account may reach {max} yuan")]
    AmountAboveMax {
        /// Price times quantity.
        amount: Money,
        /// The most.
        max: Money,
    },
    /// It would trade with an order of the same account in a call auction.
    #[error("account {account} has an order in {symbol} that this one would trade with: cancel it")]
    WouldTradeWithItself {
        /// The account.
        account: AccountId,
        /// The symbol.
        symbol: SymbolId,
    },
    /// The account asks too fast.
    #[error(
        "account {account} orders too fast: accepted are {per_second} a second and {burst} at once"
    )]
    RateExceeded {
        /// The account.
        account: AccountId,
        /// Sustained.
        per_second: u32,
        /// At once.
        burst: u32,
    },
    /// The same order came too often in a row.
    #[error(
        "the same order came more than {repeats_max} times again within {window_ms} ms each: is it \
         meant?"
    )]
    RepeatedOrder {
        /// Repetitions that are accepted.
        repeats_max: u32,
        /// Within this time.
        window_ms: u32,
    },
    /// The account cancels too much.
    #[error("account {account} has cancelled {cancels} of {orders} orders today: none are taken")]
    CancelRatioReached {
        /// The account.
        account: AccountId,
        /// Cancelled.
        cancels: u32,
        /// Of so many.
        orders: u32,
    },
    /// The account would hold too much of a symbol.
    #[error("{would_hold} of {float} shares of {symbol} would be too many in one hand")]
    ConcentrationReached {
        /// The symbol.
        symbol: SymbolId,
        /// What the account would hold.
        would_hold: Quantity,
        /// Shares that float.
        float: Quantity,
    },
    /// Too much would be open at the same time.
    #[error("{open} yuan of open buys are not accepted: this account may have {max} yuan")]
    ExposureAboveMax {
        /// What would be open.
        open: Money,
        /// The most.
        max: Money,
    },
    /// The symbol is on a list that may not be traded.
    #[error("{symbol} is restricted: ask compliance")]
    SymbolRestricted {
        /// The symbol.
        symbol: SymbolId,
    },
    /// Balances are not what the day's trades make of the balances before.
    #[error(
        "trading_day {day} is not settled: account {account} does not hold what its trades make of \
         what it held before; stop trading and compare"
    )]
    DayUnreconciled {
        /// The day.
        day: TradingDay,
        /// The first account that differs.
        account: AccountId,
    },
}

/// A word of the log that is understood and not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unexecuted {
    /// An order kind, or a term of one.
    OrderTerms,
    /// A control record.
    ControlRecord,
}

impl fmt::Display for Unexecuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OrderTerms => "this kind of order or one of its terms",
            Self::ControlRecord => "this control record",
        })
    }
}

impl RejectReason {
    /// The stable code: what programs compare. Grouped as the checks are: 1xx session, 2xx order id,
    /// 3xx format, 4xx price, 5xx cash and position, 6xx bounds, 7xx conduct, 8xx phase and kill
    /// switch, 9xx control (904 is a maintenance lease that someone else holds).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownSession { .. } => 101,
            Self::SessionOfAnotherAccount { .. } => 102,
            Self::UnknownAccount { .. } => 103,
            Self::OutSeqAhead { .. } => 104,
            Self::AccountInactive { .. } => 105,
            Self::BoardNotPermitted { .. } => 106,
            Self::DuplicateClOrdId { .. } => 201,
            Self::UnknownOrder { .. } => 202,
            Self::OrderNotOpen { .. } => 203,
            Self::UnknownSymbol { .. } => 301,
            Self::QuantityZero { .. } => 302,
            Self::QuantityOffLot { .. } => 303,
            Self::QuantityAboveMax { .. } => 304,
            Self::QuantityNotAboveFilled { .. } => 305,
            Self::TermsContradict { .. } => 306,
            Self::DisplayQuantity { .. } => 307,
            Self::NotExecuted { .. } => 309,
            Self::MarketStyleNotAccepted { .. } => 310,
            Self::ProtectionNeeded { .. } => 311,
            Self::QuantityOffRule { .. } => 312,
            Self::AmountAboveMax { .. } => 313,
            Self::PriceOffTick { .. } => 401,
            Self::PriceOutsideLimits { .. } => 402,
            Self::TriggerReached { .. } => 403,
            Self::PriceOutsideCage { .. } => 404,
            Self::InsufficientCash { .. } => 501,
            Self::InsufficientPosition { .. } => 502,
            Self::TooManyOrders { .. } => 601,
            Self::Full { .. } => 602,
            Self::WouldTradeWithItself { .. } => 701,
            Self::RateExceeded { .. } => 702,
            Self::RepeatedOrder { .. } => 703,
            Self::CancelRatioReached { .. } => 704,
            Self::ConcentrationReached { .. } => 705,
            Self::ExposureAboveMax { .. } => 706,
            Self::SymbolRestricted { .. } => 707,
            Self::PhaseRefusesOrder { .. } => 801,
            Self::PhaseRefusesCancel { .. } => 802,
            Self::KillSwitchOn { .. } => 803,
            Self::SymbolRules { .. } => 901,
            Self::AccountRules { .. } => 902,
            Self::MaintenanceRules { .. } => 903,
            Self::TransferRules { .. } => 905,
            Self::RulesUnreadable { .. } => 906,
            Self::SettleDayRules { .. } => 907,
            Self::PhaseRules { .. } => 908,
            Self::DayUnreconciled { .. } => 909,
        }
    }
}
