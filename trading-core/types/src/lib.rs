//! The words of the trading core: ids, integer money, commands and what they cause.
//!
//! Everything here is plain data. A [`Batch`] of [`Command`]s is one entry of a shard's replicated
//! log; applying a command yields [`Event`]s. No type in this crate reads a clock, allocates behind
//! the caller's back or contains a float, so that replicas that apply the same log agree.
//!
//! ```text
//!   client ──► Request ──► Command ─┐
//!   operator ─► Control ──► Command ─┼─► Batch ──(replicated log)──► apply ──► Event
//!                                    ┘
//! ```
//!
//! The serialised form (postcard) of [`Batch`] is what the journal keeps; see [`LOG_FORMAT`].

mod codec;
mod command;
mod event;
mod ids;
mod money;
mod reject;

pub use codec::{CodecError, decode_batch, encode_batch};
pub use command::{
    Batch, ClientCommand, Command, Control, NewOrder, OrderKind, Request, SelfTradePrevention,
    Side, TimeInForce,
};
pub use event::{
    CancelCause, ControlOutcome, Event, MaintenanceLease, OrderState, OrderView, Outbound, Report,
};
pub use ids::{
    AccountId, CenterName, ClOrdId, ClientSeq, Epoch, IdError, LogIndex, LogSeq, OrderId, OutSeq,
    ReplicaId, SessionId, ShardId, SymbolId, TradeId, UnixMicros,
};
pub use money::{Money, Price, Quantity};
pub use reject::RejectReason;

/// Version of the serialised form of [`Batch`]. A reader refuses a version it does not know.
pub const LOG_FORMAT: u8 = 1;
