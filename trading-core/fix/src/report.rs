//! From the core to FIX: what is told of an order. The table is in the crate's README.

use crate::dictionary::Field;
use crate::orders::{Entered, Order, Stage};
use crate::told::{Happened, Told};
use crate::write::Body;
use types::{AccountId, CancelCause, ClOrdId, OrderKind, Price, Quantity, Side, TimeInForce};
use types::{SessionId, UnixMicros};

/// `OrderID` (37) of what has none.
pub const NO_ORDER: &str = "NONE";

/// What an `ExecutionReport` says beside the order itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// `ExecID` (17).
    pub exec_id: String,
    /// `ExecType` (150).
    pub exec_type: u8,
    /// `OrdStatus` (39) when the order's stage does not say it.
    pub ord_status: Option<u8>,
    /// `ClOrdID` (11) and `OrigClOrdID` (41) when a request of its own changed the order.
    pub ids: Option<(ClOrdId, ClOrdId)>,
    /// `LastQty` (32) and `LastPx` (31).
    pub last: Option<(Quantity, Price)>,
    /// `OrdRejReason` (103).
    pub reject_reason: Option<u64>,
    /// `ExecRestatementReason` (378).
    pub restatement_reason: Option<u64>,
    /// `OrdStatusReqID` (790).
    pub status_request: Option<String>,
    /// `Text` (58).
    pub text: Option<String>,
}

impl Execution {
    /// One that says no more than what the order says.
    #[must_use]
    pub fn new(exec_id: String, exec_type: u8) -> Self {
        Self {
            exec_id,
            exec_type,
            ord_status: None,
            ids: None,
            last: None,
            reject_reason: None,
            restatement_reason: None,
            status_request: None,
            text: None,
        }
    }
}

/// The `ExecID` of a message of the core: the same wherever and whenever it is told, so that a
/// counterparty that gets it twice knows.
#[must_use]
pub fn exec_id(session: SessionId, told: &Told) -> String {
    format!("{session}.{}", told.out_seq)
}

fn ord_status(order: &Order) -> u8 {
    match order.stage {
        Stage::Pending => b'A',
        Stage::Open if order.filled.0 > 0 => b'1',
        Stage::Open => b'0',
        Stage::Filled => b'2',
        Stage::Cancelled => b'4',
        Stage::Expired => b'C',
        Stage::Rejected => b'8',
    }
}

fn side_code(side: Side) -> u8 {
    match side {
        Side::Buy => b'1',
        Side::Sell => b'2',
    }
}

/// An `ExecutionReport`.
#[must_use]
pub fn execution_report(
    order: &Order,
    account: AccountId,
    execution: Execution,
    now: UnixMicros,
) -> Body {
    let (cl_ord_id, orig) = match execution.ids {
        Some((own, original)) => (own, Some(original)),
        None => (order.cl_ord_id, None),
    };
    let body = Body::new().text(Field::OrderID, &order_id(order));
    let body = body
        .text(Field::ClOrdID, &cl_ord_id.to_string())
        .when(orig, |body, id| {
            body.text(Field::OrigClOrdID, &id.to_string())
        })
        .text(Field::ExecID, &execution.exec_id)
        .when(execution.status_request, |body, id| {
            body.text(Field::OrdStatusReqID, &id)
        })
        .character(Field::ExecType, execution.exec_type)
        .character(
            Field::OrdStatus,
            execution.ord_status.unwrap_or_else(|| ord_status(order)),
        )
        .when(execution.reject_reason, |body, reason| {
            body.count(Field::OrdRejReason, reason)
        })
        .when(execution.restatement_reason, |body, reason| {
            body.count(Field::ExecRestatementReason, reason)
        })
        .text(Field::Account, &account.to_string())
        .text(Field::Symbol, &order.symbol.to_string())
        .character(Field::Side, side_code(order.side))
        .quantity(Field::OrderQty, order.quantity);
    let body = match order.kind {
        Some(kind) => terms(body, kind, order.time_in_force),
        None => body,
    };
    body.when(execution.last, |body, (quantity, price)| {
        body.quantity(Field::LastQty, quantity)
            .price(Field::LastPx, price)
    })
    .quantity(Field::LeavesQty, order.leaves())
    .quantity(Field::CumQty, order.filled)
    .price(Field::AvgPx, order.average_price())
    .time(Field::TransactTime, now)
    .when(execution.text, |body, text| body.text(Field::Text, &text))
}

fn order_id(order: &Order) -> String {
    order
        .order_id
        .map_or_else(|| NO_ORDER.to_owned(), |id| id.to_string())
}

fn terms(body: Body, kind: OrderKind, time_in_force: TimeInForce) -> Body {
    let (ord_type, price, stop) = match kind {
        OrderKind::Market { protection, .. } => (b'1', protection, None),
        OrderKind::Limit { price } => (b'2', Some(price), None),
        OrderKind::Stop { trigger } => (b'3', None, Some(trigger)),
        OrderKind::StopLimit { trigger, price } => (b'4', Some(price), Some(trigger)),
    };
    let time_in_force = match time_in_force {
        TimeInForce::Day => b'0',
        TimeInForce::GoodTillCancel => b'1',
        TimeInForce::ImmediateOrCancel => b'3',
        TimeInForce::FillOrKill => b'4',
    };
    body.character(Field::OrdType, ord_type)
        .when(price, |body, price| body.price(Field::Price, price))
        .when(stop, |body, price| body.price(Field::StopPx, price))
        .character(Field::TimeInForce, time_in_force)
}

/// What an `ExecutionReport` says of what happened to an order; `None` when it is told otherwise.
/// `answered` is the request that it answers.
#[must_use]
pub fn execution(session: SessionId, told: &Told, answered: Option<&Entered>) -> Option<Execution> {
    let of = |exec_type| Execution::new(exec_id(session, told), exec_type);
    Some(match &told.happened {
        Happened::Accepted { .. } => of(b'0'),
        Happened::Rejected { code, text, .. } => Execution {
            reject_reason: Some(order_reject_reason(*code)),
            text: Some(format!("{code}: {text}")),
            ..of(b'8')
        },
        Happened::Filled {
            quantity, price, ..
        } => Execution {
            last: Some((*quantity, *price)),
            ..of(b'F')
        },
        Happened::Cancelled { cause, .. } => Execution {
            ids: match answered {
                Some(Entered::Cancel { id, original }) => Some((*id, *original)),
                _ => None,
            },
            text: Some(cancel_text(*cause).to_owned()),
            ..of(if *cause == CancelCause::EndOfDay {
                b'C'
            } else {
                b'4'
            })
        },
        Happened::Replaced {
            original,
            replacement,
            ..
        } => Execution {
            ids: Some((*replacement, *original)),
            ..of(b'5')
        },
        Happened::Triggered { .. } => of(b'L'),
        Happened::Restated { .. } => Execution {
            // Repricing of the order.
            restatement_reason: Some(3),
            ..of(b'D')
        },
        Happened::MassCancelled { .. } | Happened::Status(_) | Happened::AnswerExpired => {
            return None;
        }
    })
}

fn cancel_text(cause: CancelCause) -> &'static str {
    match cause {
        CancelCause::Requested => "cancelled by its owner",
        CancelCause::MassCancel => "cancelled by a mass cancel",
        CancelCause::SelfTrade => "it would have traded with its own account",
        CancelCause::Unfilled => "nothing was left to trade with",
        CancelCause::NotAtOnce => "it could not trade all at once",
        CancelCause::PostOnly => "it would have traded at once",
        CancelCause::Disconnected => "its session stayed disconnected",
        CancelCause::EndOfDay => "its day is over",
        CancelCause::OutsideLimits => "its price is outside the new day's limits",
        CancelCause::KillSwitch => "a kill switch was turned",
        CancelCause::Halted => "trading was halted for good",
    }
}

/// `OrdRejReason` (103) of a reject's code: see `types::RejectReason::code`.
#[must_use]
pub fn order_reject_reason(code: u32) -> u64 {
    match code {
        103 => 15,
        201 => 6,
        202 => 5,
        301 => 1,
        302..=305 => 13,
        500..=599 => 3,
        _ => 99,
    }
}

/// `CxlRejReason` (102) of a reject's code.
#[must_use]
pub fn cancel_reject_reason(code: u32) -> u64 {
    match code {
        201 => 6,
        202 => 1,
        203 => 0,
        _ => 99,
    }
}

/// An `OrderCancelReject`, to a cancel (`'1'`) or a replace (`'2'`) request.
#[must_use]
pub fn cancel_reject(
    order: Option<&Order>,
    (own, original): (&str, &str),
    response_to: u8,
    (reason, text): (u64, &str),
    now: UnixMicros,
) -> Body {
    Body::new()
        .text(
            Field::OrderID,
            &order.map_or_else(|| NO_ORDER.to_owned(), order_id),
        )
        .text(Field::ClOrdID, own)
        .text(Field::OrigClOrdID, original)
        .character(Field::OrdStatus, order.map_or(b'8', ord_status))
        .character(Field::CxlRejResponseTo, response_to)
        .count(Field::CxlRejReason, reason)
        .time(Field::TransactTime, now)
        .text(Field::Text, text)
}

/// An `OrderMassCancelReport`: how many orders went, or why none did.
#[must_use]
pub fn mass_cancel_report(
    id: &str,
    request_type: u8,
    outcome: Result<u32, (u64, &str)>,
    now: UnixMicros,
) -> Body {
    let body = Body::new()
        .text(Field::ClOrdID, id)
        .text(Field::OrderID, id)
        .character(Field::MassCancelRequestType, request_type);
    match outcome {
        Ok(orders) => body
            .character(Field::MassCancelResponse, request_type)
            .count(Field::TotalAffectedOrders, orders.into())
            .time(Field::TransactTime, now),
        Err((reason, text)) => body
            .character(Field::MassCancelResponse, b'0')
            .count(Field::MassCancelRejectReason, reason)
            .time(Field::TransactTime, now)
            .text(Field::Text, text),
    }
}
