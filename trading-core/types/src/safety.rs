//! The words of control over trading: kill switches and alerts.

use crate::{AccountId, SessionId, Side, SymbolId, TraderId};
use serde::{Deserialize, Serialize};

/// What a kill switch stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KillScope {
    /// Everyone and everything on the shard.
    Firm,
    /// One account.
    Account(AccountId),
    /// One trader, on whatever sessions.
    Trader(TraderId),
    /// One symbol, for everyone.
    Symbol(SymbolId),
    /// One side, for everyone: buys off leaves sell-only.
    Side(Side),
}

/// What a kill switch does to what it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KillMode {
    /// Nothing: the switch is off again.
    Off,
    /// New orders and replacements are rejected; what rests stays, and may be cancelled.
    RejectNew,
    /// The same, and what rests is cancelled at once.
    CancelAndReject,
    /// Only sells are accepted: they close what is held. What rests stays.
    CloseOnly,
}

/// What surveillance noticed. An alert stops nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertKind {
    /// Orders and cancels come too fast (瞬时申报速率异常).
    OrderRate,
    /// Too many orders and cancels in one day (日内申报笔数异常).
    DailyMessages,
    /// Too much is cancelled shortly after it came (频繁瞬时撤单).
    FrequentCancels,
    /// The price is pushed up or down again and again (频繁拉抬打压).
    PriceDriving,
    /// Large trades within a short time (短时间大额成交).
    LargeInShortTime,
    /// Cancels stand in no relation to trades.
    CancelRatio,
    /// One position is too large a part of its owner's wealth or of the float.
    Concentration,
    /// Accounts of one owner, or accounts that act alike, trade with each other or together.
    LinkedAccounts,
    /// An account met itself.
    SelfTrade,
}

/// One finding of surveillance, on the same command that completed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alert {
    /// What was noticed.
    pub kind: AlertKind,
    /// The account that is looked at.
    pub account: AccountId,
    /// Another account that takes part.
    pub related: Option<AccountId>,
    /// The session that completed it, where one did.
    pub session: Option<SessionId>,
    /// The symbol, where the finding is about one.
    pub symbol: Option<SymbolId>,
    /// What was counted or measured, in the unit of the rule.
    pub observed: u64,
    /// What the rule allows, in the same unit.
    pub allowed: u64,
}
