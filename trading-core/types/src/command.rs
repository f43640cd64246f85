//! What goes into the log.

use crate::{
    AccountId, ClOrdId, ClientSeq, Money, Price, Quantity, ReplicaId, SessionId, SymbolId,
    UnixMicros,
};
use serde::{Deserialize, Serialize};

/// One entry of the shard's log: the commands that were ready when the last sync returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's wall clock when it formed the batch; the only time that `apply` knows.
    pub leader_time: UnixMicros,
    /// The commands, in the order in which they take effect.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Opens a session or takes it up again; answered by [`crate::Event::LoggedOn`].
    Logon {
        /// The session that logs on.
        session: SessionId,
        /// The account it trades for; fixed by its first logon.
        account: AccountId,
        /// The last message that the client has; later ones are sent again.
        last_out_seq_seen: crate::OutSeq,
    },
    /// A client's request.
    Client(ClientCommand),
    /// A control record.
    Control(Control),
}

/// A request as a session numbered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCommand {
    /// The session that sent it.
    pub session: SessionId,
    /// The session's number for it. A number seen before gets the original reply.
    pub client_seq: ClientSeq,
    /// What it asks for.
    pub request: Request,
}

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new order.
    New(NewOrder),
    /// Cancel what is left of an order.
    Cancel {
        /// The order's id as the client gave it.
        original: ClOrdId,
    },
    /// Change price or quantity; keeps priority only when the price stays and the quantity shrinks.
    Replace {
        /// The order to change.
        original: ClOrdId,
        /// The order's new id, unique like any other.
        replacement: ClOrdId,
        /// The new limit price.
        price: Price,
        /// The new total quantity, what has been filled included.
        quantity: Quantity,
    },
    /// Cancel all open orders of the session's account, or those in one symbol.
    MassCancel {
        /// Only this symbol, or all.
        symbol: Option<SymbolId>,
    },
    /// Ask what became of an order.
    Status {
        /// The order's id as the client gave it.
        original: ClOrdId,
    },
}

/// A new order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// The client's id for the order.
    pub cl_ord_id: ClOrdId,
    /// What to trade.
    pub symbol: SymbolId,
    /// Buy or sell.
    pub side: Side,
    /// How many shares.
    pub quantity: Quantity,
    /// Limit or market.
    pub kind: OrderKind,
    /// How long it stands.
    pub time_in_force: TimeInForce,
    /// What happens when it would trade with the same account.
    pub self_trade_prevention: SelfTradePrevention,
}

/// Which side of the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// What price an order takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OrderKind {
    /// At this price or better.
    Limit {
        /// The worst price accepted.
        price: Price,
    },
    /// At any price inside the day's limits; what cannot trade at once is cancelled.
    Market,
}

/// How long an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Rests until filled or cancelled.
    Day,
    /// Trades at once what it can; the rest is cancelled.
    ImmediateOrCancel,
}

/// Which order gives way when an account would trade with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SelfTradePrevention {
    /// The rest of the incoming order is cancelled.
    CancelNewest,
    /// The resting order is cancelled and matching goes on.
    CancelOldest,
    /// Both are cancelled.
    CancelBoth,
}

/// Control records: reference data and the coordination of those who look after the core.
///
/// All are idempotent, so that a repeated one does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Lists a symbol, or changes its rules for orders that come later.
    DefineSymbol {
        /// The symbol.
        symbol: SymbolId,
        /// Prices are multiples of it.
        tick: Price,
        /// Buy quantities are multiples of it.
        lot: Quantity,
        /// Lowest accepted price of the day.
        limit_down: Price,
        /// Highest accepted price of the day.
        limit_up: Price,
    },
    /// Opens an account with what it holds; nothing happens when it is open already.
    OpenAccount {
        /// The account.
        account: AccountId,
        /// Its cash.
        cash: Money,
        /// Its shares.
        positions: Vec<(SymbolId, Quantity)>,
    },
    /// Asks for the right to take one replica out of service. One holder at a time.
    AcquireMaintenance {
        /// The replica that will be away.
        replica: ReplicaId,
        /// Who asks, such as `operator/a1`.
        holder: String,
        /// The right ends by itself this long after the batch's time.
        ttl_ms: u32,
    },
    /// Gives that right back. Nothing happens when someone else holds it.
    ReleaseMaintenance {
        /// Who held it.
        holder: String,
    },
}
