//! The words of the trading core: ids, integer money, commands and what they cause.
//!
//! Everything here is plain data. A [`Batch`] of [`Command`]s is one entry of a shard's replicated
//! log; applying a command yields [`Event`]s. No type in this crate reads a clock, allocates behind
//! the caller's back or contains a float, so that replicas that apply the same log agree.
//!
//! ```text
//!   client ───► Request ───────────► Command ─┐
//!   operator ─► Control ───────────► Command ─┼─► Batch ──(replicated log)──► apply ──► Event
//!   leader ───► Disconnect, Tick ──► Command ─┘
//! ```
//!
//! The serialised form (postcard) of [`Batch`] is what the journal keeps; see [`LOG_FORMAT`].

mod codec;
mod command;
mod event;
mod group;
mod ids;
mod market;
mod money;
pub mod mutants;
mod operation;
mod reject;
mod safety;
mod sharding;

pub use codec::{CodecError, decode_batch, encode_batch};
pub use command::{
    AccountLimits, AccountTerms, Batch, ClientCommand, Command, Control, Logon, MarketStyle,
    NewOrder, OrderKind, Request, SelfTradePrevention, Side, SymbolDefinition, TimeInForce,
};
pub use event::{
    CancelCause, ControlOutcome, Event, MaintenanceLease, OrderState, OrderView, Outbound, Report,
    Trade, TradeSide,
};
pub use group::{
    CommitPolicy, GroupChange, Member, MemberAddress, MemberDuty, MemberRole, MembershipStep,
};
pub use ids::{
    AccountId, CenterName, ClOrdId, ClientSeq, Epoch, IdError, LogIndex, LogSeq, OrderId, OutSeq,
    OwnerId, ReplicaId, SessionId, ShardId, SymbolId, TradeId, TraderId, TradingDay, TransferId,
    UnixMicros,
};
pub use market::{Board, Boards, Exchange, Phase, PhaseScope, ReferencePrice, Security};
pub use money::{Money, Price, Quantity};
pub use operation::{
    Operation, OperationBounds, OperationKind, OperationOutcome, OperationRecord, OperationRefusal,
    OperationStep, PreferredLeader,
};
pub use reject::{RejectReason, Table, Term, Unexecuted};
pub use safety::{Alert, AlertKind, KillMode, KillScope};
pub use sharding::shard_of;

/// Version of the serialised form of [`Batch`]. A reader refuses a version it does not know.
pub const LOG_FORMAT: u8 = 3;
