//! What goes into the log.

use crate::{
    AccountId, Board, Boards, ClOrdId, ClientSeq, GroupChange, KillMode, KillScope, Money,
    OperationRecord, OutSeq, OwnerId, Phase, PhaseScope, Price, Quantity, ReferencePrice,
    ReplicaId, Security, SessionId, ShardId, SymbolId, TraderId, TradingDay, TransferId,
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
    Logon(Logon),
    /// A client's request.
    Client(ClientCommand),
    /// A control record.
    Control(Control),
    /// The leader saw the session's connection end, or took over from a leader that held it. Starts
    /// the grace of [`Logon::cancel_on_disconnect_ms`]; a logon within it ends it.
    Disconnect {
        /// The session.
        session: SessionId,
    },
    /// Only carries its batch's time, so that what waits for time comes to pass without traffic.
    Tick,
}

/// A logon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logon {
    /// The session that logs on.
    pub session: SessionId,
    /// The account it trades for; fixed by its first logon.
    pub account: AccountId,
    /// Who enters the orders; each logon tells it anew. Zero when it is not told apart.
    pub trader: TraderId,
    /// The last message that the client has; later ones are sent again.
    pub last_out_seq_seen: OutSeq,
    /// Asks for cancel on disconnect: the session's open orders are cancelled when it has been
    /// disconnected for this long. Absent: they stay.
    pub cancel_on_disconnect_ms: Option<u32>,
}

impl Logon {
    /// A logon whose orders stay when the connection ends.
    #[must_use]
    pub fn new(session: SessionId, account: AccountId, last_out_seq_seen: OutSeq) -> Self {
        Self {
            session,
            account,
            trader: TraderId(0),
            last_out_seq_seen,
            cancel_on_disconnect_ms: None,
        }
    }
}

/// A request as a session numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCommand {
    /// The session that sent it.
    pub session: SessionId,
    /// The session's number for it. A number seen before gets the original reply.
    pub client_seq: ClientSeq,
    /// What it asks for.
    pub request: Request,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// The client's id for the order.
    pub cl_ord_id: ClOrdId,
    /// What to trade.
    pub symbol: SymbolId,
    /// Buy or sell.
    pub side: Side,
    /// How many shares.
    pub quantity: Quantity,
    /// What price it takes, and from when on.
    pub kind: OrderKind,
    /// How long it stands.
    pub time_in_force: TimeInForce,
    /// Never takes: when it would trade at once it is cancelled instead.
    pub post_only: bool,
    /// An iceberg: no more than this is shown at a time. Each time the shown part has traded, the
    /// next one comes to the end of its price's queue.
    pub display: Option<Quantity>,
    /// What happens when it would trade with the same account.
    pub self_trade_prevention: SelfTradePrevention,
}

impl NewOrder {
    /// A limit order for the day, without further terms; gives way to its own account.
    #[must_use]
    pub fn limit(
        cl_ord_id: ClOrdId,
        symbol: SymbolId,
        side: Side,
        quantity: Quantity,
        price: Price,
    ) -> Self {
        Self {
            cl_ord_id,
            symbol,
            side,
            quantity,
            kind: OrderKind::Limit { price },
            time_in_force: TimeInForce::Day,
            post_only: false,
            display: None,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
        }
    }
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

/// What price an order takes, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OrderKind {
    /// At this price or better.
    Limit {
        /// The worst price accepted.
        price: Price,
    },
    /// At the prices that the market gives; only in continuous trading.
    Market {
        /// Which prices, and what becomes of the rest.
        style: MarketStyle,
        /// The worst price accepted; absent: the day's limit. The STAR Market demands one.
        protection: Option<Price>,
    },
    /// Waits outside the book. When the last trade is at the trigger or beyond it (at or above for a
    /// buy, at or below for a sell), it becomes [`MarketStyle::ImmediateOrCancel`].
    Stop {
        /// The price that sets it off.
        trigger: Price,
    },
    /// The same, and becomes a limit order.
    StopLimit {
        /// The price that sets it off.
        trigger: Price,
        /// The worst price accepted from then on.
        price: Price,
    },
}

/// How a market order takes prices: the exchanges' variants.
///
/// | here | Shanghai (SSE) | Shenzhen (SZSE) |
/// | --- | --- | --- |
/// | `ImmediateOrCancel` | | 即时成交剩余撤销 |
/// | `BestFiveOrCancel` | 最优五档即时成交剩余撤销 | 最优五档即时成交剩余撤销 |
/// | `BestFiveThenLimit` | 最优五档即时成交剩余转限价 | |
/// | `CounterpartyBest` | 对手方最优价格 | 对手方最优价格 |
/// | `OwnBest` | 本方最优价格 | 本方最优价格 |
/// | `FillOrKill` | | 全额成交或撤销 |
///
/// Which board accepts which is a rule of the board. The styles whose rest stands take their
/// [`TimeInForce`] from `Day` and `GoodTillCancel`; the others look at no time in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MarketStyle {
    /// Any price; the rest is cancelled.
    ImmediateOrCancel,
    /// The five best opposite prices as they stand when it comes; the rest is cancelled.
    BestFiveOrCancel,
    /// The same; the rest stands as a limit order at the last price it traded at. When nothing
    /// traded it stands at its own side's best price, and is cancelled when there is none.
    BestFiveThenLimit,
    /// A limit order at the best opposite price; cancelled when there is none.
    CounterpartyBest,
    /// A limit order at its own side's best price; cancelled when there is none.
    OwnBest,
    /// Any price, all shares at once or nothing.
    FillOrKill,
}

/// How long an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Until it is filled or cancelled, or the day is settled.
    Day,
    /// Trades at once what it can; the rest is cancelled.
    ImmediateOrCancel,
    /// Until it is filled or cancelled, over days, as long as its price is within the day's limits.
    GoodTillCancel,
    /// Trades all shares at once or none.
    FillOrKill,
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
    DefineSymbol(SymbolDefinition),
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
    /// Moves the market of symbols from one phase to another.
    SetPhase {
        /// Whose.
        scope: PhaseScope,
        /// To which.
        phase: Phase,
    },
    /// Tells a price that rules reckon from.
    SetReferencePrice {
        /// Of what.
        symbol: SymbolId,
        /// Which price.
        reference: ReferencePrice,
        /// The price.
        price: Price,
    },
    /// Turns a kill switch; in force for the very next command.
    KillSwitch {
        /// What it stops.
        scope: KillScope,
        /// How.
        mode: KillMode,
    },
    /// Puts rules of the boards in force, in the versioned form that the `rules` crate reads and
    /// writes. They apply from this command on.
    LoadRules {
        /// The rules.
        document: Vec<u8>,
    },
    /// What an account may trade, and who stands behind it.
    SetAccountTerms {
        /// The account.
        account: AccountId,
        /// Its terms from now on.
        terms: AccountTerms,
    },
    /// Ends a trading day: day orders expire, the day's trades become settled holdings, client
    /// order ids and the day's counts begin anew. A day that is settled already stays as it is.
    SettleDay {
        /// The day that ends.
        trading_day: TradingDay,
    },
    /// First step of a movement of funds: takes them out of an account here.
    TransferOut {
        /// The movement.
        transfer: TransferId,
        /// Whose funds.
        account: AccountId,
        /// How much.
        amount: Money,
        /// Where they go.
        to: ShardId,
    },
    /// Second step, at the other shard: puts them into the account there.
    TransferIn {
        /// The movement.
        transfer: TransferId,
        /// Whose funds.
        account: AccountId,
        /// How much.
        amount: Money,
        /// Where they come from.
        from: ShardId,
    },
    /// Last step, at the first shard: the funds have arrived, the movement is over.
    TransferDone {
        /// The movement.
        transfer: TransferId,
    },
    /// Sets the house's limits of an account.
    SetAccountLimits {
        /// The account.
        account: AccountId,
        /// Its limits from now on.
        limits: AccountLimits,
    },
    /// Puts a symbol on a list that may not be traded, or takes it off.
    RestrictSymbol {
        /// The symbol.
        symbol: SymbolId,
        /// Whose list; none for everyone's.
        account: Option<AccountId>,
        /// On it, or off it.
        is_restricted: bool,
    },
    /// Changes the replicated group itself. Only the replication layer writes these.
    Group(GroupChange),
    /// Begins, goes on with or ends an operation that moves or changes the core.
    Operation(OperationRecord),
}

/// A symbol as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolDefinition {
    /// The symbol.
    pub symbol: SymbolId,
    /// The board whose rules it follows.
    pub board: Board,
    /// What it is.
    pub security: Security,
    /// Prices are multiples of it.
    pub tick: Price,
    /// Buy quantities are multiples of it.
    pub lot: Quantity,
    /// Lowest accepted price of the day.
    pub limit_down: Price,
    /// Highest accepted price of the day.
    pub limit_up: Price,
    /// Shares that can be traded at all, for rules on concentration; 0 when it is not known.
    pub float: Quantity,
}

impl SymbolDefinition {
    /// A share of the Shanghai main board, bought in lots of 100, priced in ticks of 0.01 yuan.
    #[must_use]
    pub fn share(symbol: SymbolId, limit_down: Price, limit_up: Price) -> Self {
        Self {
            symbol,
            board: Board::ShanghaiMain,
            security: Security::Share,
            tick: Price(100),
            lot: Quantity(100),
            limit_down,
            limit_up,
            float: Quantity(0),
        }
    }
}

/// The house's limits of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Largest price × quantity of one order.
    pub order_amount_max: Money,
    /// Largest sum of all open buys.
    pub open_amount_max: Money,
}

impl Default for AccountLimits {
    /// No limit.
    fn default() -> Self {
        Self {
            order_amount_max: Money(i64::MAX),
            open_amount_max: Money(i64::MAX),
        }
    }
}

/// What an account may trade, and who stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTerms {
    /// Whether it may enter orders at all.
    pub active: bool,
    /// Boards that it may enter orders on.
    pub boards: Boards,
    /// Who stands behind it.
    pub owner: OwnerId,
}

impl Default for AccountTerms {
    /// What an account begins with: active, on all boards, standing for itself.
    fn default() -> Self {
        Self {
            active: true,
            boards: Boards::ALL,
            owner: OwnerId(0),
        }
    }
}
