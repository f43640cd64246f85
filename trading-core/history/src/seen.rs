//! A message off the wire as the history keeps it.

use crate::{SeenMessage, SeenReport};
use protocol::BadField;
use protocol::order::{self, report::Body};
use protocol::order_entry::{cancel_cause, order_view};
use types::{
    ClOrdId, ClientSeq, Epoch, IdError, LogSeq, OrderId, OutSeq, Price, Quantity, TradeId,
};

/// Why a message cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing is in it.
    #[error("failed to read report {out_seq}: it is empty")]
    Empty {
        /// Its number.
        out_seq: u64,
    },
    /// An id is none.
    #[error("failed to read a report: {0}")]
    Id(#[from] IdError),
    /// A field is none.
    #[error("failed to read a report: {0}")]
    Field(#[from] BadField),
}

/// Reads a message of the order protocol.
///
/// # Errors
/// [`Unreadable`] naming what is none.
pub fn seen(report: &order::Report) -> Result<SeenMessage, Unreadable> {
    Ok(SeenMessage {
        out_seq: OutSeq(report.out_seq),
        in_reply_to: (report.in_reply_to > 0).then_some(ClientSeq(report.in_reply_to)),
        log_seq: LogSeq(report.log_seq),
        epoch: Epoch(report.epoch),
        report: body(report)?,
    })
}

fn body(report: &order::Report) -> Result<SeenReport, Unreadable> {
    let body = report.body.as_ref().ok_or(Unreadable::Empty {
        out_seq: report.out_seq,
    })?;
    Ok(match body {
        Body::Accepted(it) => SeenReport::Accepted {
            cl_ord_id: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
        },
        Body::Rejected(it) => SeenReport::Rejected {
            cl_ord_id: match it.cl_ord_id.as_str() {
                "" => None,
                id => Some(ClOrdId::new(id)?),
            },
            code: u16::try_from(it.code).unwrap_or(u16::MAX),
        },
        Body::Filled(it) => SeenReport::Filled {
            cl_ord_id: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
            trade_id: TradeId(it.trade_id),
            price: Price(it.price),
            quantity: Quantity(it.quantity),
            remaining: Quantity(it.remaining),
        },
        Body::Cancelled(it) => SeenReport::Cancelled {
            cl_ord_id: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
            quantity: Quantity(it.quantity),
            cause: cancel_cause(it.cause)?,
        },
        Body::Replaced(it) => SeenReport::Replaced {
            original: ClOrdId::new(&it.original_cl_ord_id)?,
            replacement: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
            remaining: Quantity(it.remaining),
            kept_priority: it.kept_priority,
        },
        Body::MassCancelled(it) => SeenReport::MassCancelled { orders: it.orders },
        Body::Status(view) => SeenReport::Status(order_view(view)?),
        Body::Triggered(it) => SeenReport::Triggered {
            cl_ord_id: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
            last: Price(it.last),
        },
        Body::Restated(it) => SeenReport::Restated {
            cl_ord_id: ClOrdId::new(&it.cl_ord_id)?,
            order_id: OrderId(it.order_id),
            price: Price(it.price),
            remaining: Quantity(it.remaining),
        },
        Body::AnswerExpired(_) => SeenReport::AnswerExpired,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order_entry::report;
    use types::{Outbound, Report, SessionId};

    #[test]
    fn what_the_core_said_is_what_the_history_keeps() {
        let outbound = Outbound {
            session: SessionId(1),
            out_seq: OutSeq(2),
            in_reply_to: Some(ClientSeq(3)),
            log_seq: LogSeq(4),
            epoch: Epoch(5),
            report: Report::Filled {
                cl_ord_id: ClOrdId::new("A").unwrap(),
                order_id: OrderId(6),
                trade_id: TradeId(7),
                price: Price(8),
                quantity: Quantity(9),
                remaining: Quantity(10),
            },
        };
        let kept = seen(&report(&outbound, false)).unwrap();
        assert_eq!(kept, SeenMessage::from(&outbound));
    }

    #[test]
    fn an_empty_report_is_refused() {
        assert!(seen(&order::Report::default()).is_err());
    }
}
