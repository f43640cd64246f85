//! What the core tells a session, as the wire brings it: a reject comes as its code and text.

use serde::{Deserialize, Serialize};
use types::{
    CancelCause, ClOrdId, ClientSeq, Epoch, LogSeq, OrderId, OrderView, OutSeq, Outbound, Price,
    Quantity, Report, TradeId,
};

/// A message of the core to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its number; 0 with [`Happened::AnswerExpired`].
    pub out_seq: OutSeq,
    /// The request that it answers.
    pub in_reply_to: Option<ClientSeq>,
    /// The command that caused it.
    pub log_seq: LogSeq,
    /// The epoch that caused it.
    pub epoch: Epoch,
    /// What happened.
    pub happened: Happened,
}

/// [`Report`] as it comes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// [`Report::Accepted`].
    Accepted {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
    },
    /// [`Report::Rejected`].
    Rejected {
        /// The client's id, where the request names one.
        cl_ord_id: Option<ClOrdId>,
        /// The reason's stable code.
        code: u32,
        /// The reason.
        text: String,
    },
    /// [`Report::Filled`].
    Filled {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The trade.
        trade_id: TradeId,
        /// At what price.
        price: Price,
        /// How many shares.
        quantity: Quantity,
        /// How many are left open.
        remaining: Quantity,
    },
    /// [`Report::Cancelled`].
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
    /// [`Report::Replaced`].
    Replaced {
        /// The id it had.
        original: ClOrdId,
        /// The id it has.
        replacement: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// How many shares are open now.
        remaining: Quantity,
    },
    /// [`Report::MassCancelled`].
    MassCancelled {
        /// How many orders.
        orders: u32,
    },
    /// [`Report::Status`].
    Status(OrderView),
    /// [`Report::Triggered`].
    Triggered {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
    },
    /// [`Report::Restated`].
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
    /// The request was seen before, and its answer is no longer kept.
    AnswerExpired,
}

impl From<&Outbound> for Told {
    fn from(outbound: &Outbound) -> Self {
        Self {
            out_seq: outbound.out_seq,
            in_reply_to: outbound.in_reply_to,
            log_seq: outbound.log_seq,
            epoch: outbound.epoch,
            happened: (&outbound.report).into(),
        }
    }
}

impl From<&Report> for Happened {
    fn from(report: &Report) -> Self {
        match report {
            Report::Accepted {
                cl_ord_id,
                order_id,
            } => Self::Accepted {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
            },
            Report::Rejected { cl_ord_id, reason } => Self::Rejected {
                cl_ord_id: *cl_ord_id,
                code: reason.code().into(),
                text: reason.to_string(),
            },
            Report::Filled {
                cl_ord_id,
                order_id,
                trade_id,
                price,
                quantity,
                remaining,
            } => Self::Filled {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
                trade_id: *trade_id,
                price: *price,
                quantity: *quantity,
                remaining: *remaining,
            },
            Report::Cancelled {
                cl_ord_id,
                order_id,
                quantity,
                cause,
            } => Self::Cancelled {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
                quantity: *quantity,
                cause: *cause,
            },
            Report::Replaced {
                original,
                replacement,
                order_id,
                remaining,
                kept_priority: _,
            } => Self::Replaced {
                original: *original,
                replacement: *replacement,
                order_id: *order_id,
                remaining: *remaining,
            },
            Report::MassCancelled { orders } => Self::MassCancelled { orders: *orders },
            Report::Status(view) => Self::Status(*view),
            Report::Triggered {
                cl_ord_id,
                order_id,
                last: _,
            } => Self::Triggered {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
            },
            Report::Restated {
                cl_ord_id,
                order_id,
                price,
                remaining,
            } => Self::Restated {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
                price: *price,
                remaining: *remaining,
            },
        }
    }
}
