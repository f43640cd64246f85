//! The core's messages as they come over the wire, read.

use fix::{Happened, Told};
use protocol::order::report::Body;
use protocol::order::{self, Report};
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, LogSeq, OrderId, OrderState, OrderView,
    OutSeq, Price, Quantity, Side, SymbolId, TradeId,
};

/// Reads a message; `None` when it is one that this version does not know.
pub(crate) fn read(report: &Report) -> Option<Told> {
    Some(Told {
        out_seq: OutSeq(report.out_seq),
        in_reply_to: (report.in_reply_to > 0).then_some(ClientSeq(report.in_reply_to)),
        log_seq: LogSeq(report.log_seq),
        epoch: Epoch(report.epoch),
        happened: happened(report.body.as_ref()?)?,
    })
}

fn happened(body: &Body) -> Option<Happened> {
    let id = |text: &str| ClOrdId::new(text).ok();
    Some(match body {
        Body::Accepted(told) => Happened::Accepted {
            cl_ord_id: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
        },
        Body::Rejected(told) => Happened::Rejected {
            cl_ord_id: id(&told.cl_ord_id),
            code: told.code,
            text: told.text.clone(),
        },
        Body::Filled(told) => Happened::Filled {
            cl_ord_id: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
            trade_id: TradeId(told.trade_id),
            price: Price(told.price),
            quantity: Quantity(told.quantity),
            remaining: Quantity(told.remaining),
        },
        Body::Cancelled(told) => Happened::Cancelled {
            cl_ord_id: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
            quantity: Quantity(told.quantity),
            cause: cause(told.cause)?,
        },
        Body::Replaced(told) => Happened::Replaced {
            original: id(&told.original_cl_ord_id)?,
            replacement: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
            remaining: Quantity(told.remaining),
        },
        Body::MassCancelled(told) => Happened::MassCancelled {
            orders: told.orders,
        },
        Body::Status(told) => Happened::Status(view(told)?),
        Body::Triggered(told) => Happened::Triggered {
            cl_ord_id: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
        },
        Body::Restated(told) => Happened::Restated {
            cl_ord_id: id(&told.cl_ord_id)?,
            order_id: OrderId(told.order_id),
            price: Price(told.price),
            remaining: Quantity(told.remaining),
        },
        Body::AnswerExpired(_) => Happened::AnswerExpired,
    })
}

fn cause(number: i32) -> Option<CancelCause> {
    Some(match order::CancelCause::try_from(number).ok()? {
        order::CancelCause::Requested => CancelCause::Requested,
        order::CancelCause::MassCancel => CancelCause::MassCancel,
        order::CancelCause::SelfTrade => CancelCause::SelfTrade,
        order::CancelCause::Unfilled => CancelCause::Unfilled,
        order::CancelCause::NotAtOnce => CancelCause::NotAtOnce,
        order::CancelCause::PostOnly => CancelCause::PostOnly,
        order::CancelCause::Disconnected => CancelCause::Disconnected,
        order::CancelCause::EndOfDay => CancelCause::EndOfDay,
        order::CancelCause::OutsideLimits => CancelCause::OutsideLimits,
        order::CancelCause::KillSwitch => CancelCause::KillSwitch,
        order::CancelCause::Halted => CancelCause::Halted,
    })
}

fn view(told: &order::StatusView) -> Option<OrderView> {
    Some(OrderView {
        cl_ord_id: ClOrdId::new(&told.cl_ord_id).ok()?,
        order_id: OrderId(told.order_id),
        account: AccountId(told.account),
        symbol: SymbolId(told.symbol),
        side: match order::Side::try_from(told.side).ok()? {
            order::Side::Buy => Side::Buy,
            order::Side::Sell => Side::Sell,
            order::Side::Unspecified => return None,
        },
        state: match order::OrderState::try_from(told.state).ok()? {
            order::OrderState::Open => OrderState::Open,
            order::OrderState::Filled => OrderState::Filled,
            order::OrderState::Cancelled => OrderState::Cancelled,
            order::OrderState::Rejected => OrderState::Rejected,
        },
        quantity: Quantity(told.quantity),
        filled: Quantity(told.filled),
        remaining: Quantity(told.remaining),
    })
}
