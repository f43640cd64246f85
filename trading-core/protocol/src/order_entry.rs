//! Order entry: what a client may say, and how what happened is told.
//!
//! ```text
//!   ClientMessage ──► Logon | Request | Heartbeat         (or BadField ──► BadRequest)
//!   Event ──────────► LogonAck | LogonReject | Report | SequenceGap
//! ```

use crate::bad_field::{BadField, from_one, up_to};
use crate::order;
use crate::order::client_message::Body as Asked;
use crate::order::report::Body as Told;
use crate::order::server_message::Body as Answered;
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, Event, MarketStyle, NewOrder, OrderKind,
    OrderState, OrderView, OutSeq, Outbound, Price, Quantity, Report, Request, SelfTradePrevention,
    SessionId, ShardId, Side, SymbolId, TimeInForce, TraderId, UnixMicros,
};

pub use types::Logon;

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Opens the session or takes it up again.
    Logon(Logon),
    /// Asks for something.
    Request {
        /// The session's number for it.
        client_seq: ClientSeq,
        /// What it asks for.
        request: Request,
    },
    /// Only says that it is there.
    Heartbeat {
        /// The client's clock.
        sent_at: UnixMicros,
    },
}

/// Reads what a client said.
///
/// # Errors
/// [`BadField`], to be told by [`bad_request`].
pub fn read(message: &order::ClientMessage) -> Result<Inbound, BadField> {
    let body = message.body.as_ref().ok_or_else(|| {
        BadField::missing(
            "body",
            "use logon, new_order, cancel, replace, mass_cancel, order_status or heartbeat",
        )
    })?;
    match body {
        Asked::Logon(logon) => {
            no_client_seq(message.client_seq)?;
            Ok(Inbound::Logon(Logon {
                session: SessionId(from_one("logon.session", logon.session)?),
                account: AccountId(from_one("logon.account", logon.account)?),
                trader: TraderId(logon.trader),
                last_out_seq_seen: OutSeq(logon.last_out_seq_seen),
                cancel_on_disconnect_ms: logon.cancel_on_disconnect_ms,
            }))
        }
        Asked::Heartbeat(heartbeat) => {
            no_client_seq(message.client_seq)?;
            Ok(Inbound::Heartbeat {
                sent_at: UnixMicros(heartbeat.sent_at_us),
            })
        }
        asked => Ok(Inbound::Request {
            request: read_request(asked)?,
            client_seq: ClientSeq(from_one("client_seq", message.client_seq)?),
        }),
    }
}

fn no_client_seq(client_seq: u64) -> Result<(), BadField> {
    if client_seq == 0 {
        return Ok(());
    }
    Err(BadField::new(
        "client_seq",
        format!("{client_seq} is not accepted: a logon or heartbeat carries 0"),
    ))
}

fn read_request(asked: &Asked) -> Result<Request, BadField> {
    match asked {
        Asked::NewOrder(new) => Ok(Request::New(read_new_order(new)?)),
        Asked::Cancel(cancel) => Ok(Request::Cancel {
            original: id("cancel.original_cl_ord_id", &cancel.original_cl_ord_id)?,
        }),
        Asked::Replace(replace) => Ok(Request::Replace {
            original: id("replace.original_cl_ord_id", &replace.original_cl_ord_id)?,
            replacement: id("replace.cl_ord_id", &replace.cl_ord_id)?,
            price: Price(replace.price),
            quantity: Quantity(replace.quantity),
        }),
        Asked::MassCancel(mass) => Ok(Request::MassCancel {
            symbol: mass.symbol.map(SymbolId),
        }),
        Asked::OrderStatus(status) => Ok(Request::Status {
            original: id(
                "order_status.original_cl_ord_id",
                &status.original_cl_ord_id,
            )?,
        }),
        Asked::Logon(_) | Asked::Heartbeat(_) => Err(BadField::new(
            "body",
            "a logon or heartbeat is no request: send it by itself",
        )),
    }
}

fn read_new_order(new: &order::NewOrder) -> Result<NewOrder, BadField> {
    Ok(NewOrder {
        cl_ord_id: id("new_order.cl_ord_id", &new.cl_ord_id)?,
        symbol: SymbolId(new.symbol),
        side: side("new_order.side", new.side)?,
        quantity: Quantity(new.quantity),
        kind: read_kind(new)?,
        time_in_force: match order::TimeInForce::try_from(new.time_in_force) {
            Ok(order::TimeInForce::Day) => TimeInForce::Day,
            Ok(order::TimeInForce::ImmediateOrCancel) => TimeInForce::ImmediateOrCancel,
            Ok(order::TimeInForce::GoodTillCancel) => TimeInForce::GoodTillCancel,
            Ok(order::TimeInForce::FillOrKill) => TimeInForce::FillOrKill,
            Err(_) => {
                return Err(BadField::new(
                    "new_order.time_in_force",
                    format!(
                        "{} is not accepted: use TIME_IN_FORCE_DAY (0), \
                         TIME_IN_FORCE_IMMEDIATE_OR_CANCEL (1), TIME_IN_FORCE_GOOD_TILL_CANCEL (2) \
                         or TIME_IN_FORCE_FILL_OR_KILL (3)",
                        new.time_in_force
                    ),
                ));
            }
        },
        post_only: new.post_only,
        display: new.display.map(Quantity),
        self_trade_prevention: match order::SelfTradePrevention::try_from(new.self_trade_prevention)
        {
            Ok(order::SelfTradePrevention::CancelNewest) => SelfTradePrevention::CancelNewest,
            Ok(order::SelfTradePrevention::CancelOldest) => SelfTradePrevention::CancelOldest,
            Ok(order::SelfTradePrevention::CancelBoth) => SelfTradePrevention::CancelBoth,
            Err(_) => {
                return Err(BadField::new(
                    "new_order.self_trade_prevention",
                    format!(
                        "{} is not accepted: use CANCEL_NEWEST (0), CANCEL_OLDEST (1) or \
                         CANCEL_BOTH (2)",
                        new.self_trade_prevention
                    ),
                ));
            }
        },
    })
}

fn read_kind(new: &order::NewOrder) -> Result<OrderKind, BadField> {
    let style = read_style(new.market_style)?;
    let price = new.price.map(Price);
    Ok(match (new.trigger.map(Price), style, price) {
        (Some(_), Some(_), _) => {
            return Err(BadField::new(
                "new_order.market_style",
                "it does not go with a trigger: leave one of them out",
            ));
        }
        (Some(trigger), None, Some(price)) => OrderKind::StopLimit { trigger, price },
        (Some(trigger), None, None) => OrderKind::Stop { trigger },
        (None, Some(style), protection) => OrderKind::Market { style, protection },
        (None, None, Some(price)) => OrderKind::Limit { price },
        (None, None, None) => OrderKind::Market {
            style: MarketStyle::ImmediateOrCancel,
            protection: None,
        },
    })
}

fn read_style(value: i32) -> Result<Option<MarketStyle>, BadField> {
    use order::MarketStyle as Told;
    Ok(Some(match Told::try_from(value) {
        Ok(Told::Unspecified) => return Ok(None),
        Ok(Told::ImmediateOrCancel) => MarketStyle::ImmediateOrCancel,
        Ok(Told::BestFiveOrCancel) => MarketStyle::BestFiveOrCancel,
        Ok(Told::BestFiveThenLimit) => MarketStyle::BestFiveThenLimit,
        Ok(Told::CounterpartyBest) => MarketStyle::CounterpartyBest,
        Ok(Told::OwnBest) => MarketStyle::OwnBest,
        Ok(Told::FillOrKill) => MarketStyle::FillOrKill,
        Err(_) => {
            return Err(BadField::new(
                "new_order.market_style",
                format!("{value} is not accepted: use 0 to 6"),
            ));
        }
    }))
}

/// Price, trigger and market style as they go over the wire.
fn kind_fields(kind: OrderKind) -> (Option<i64>, Option<i64>, order::MarketStyle) {
    use order::MarketStyle as Told;
    let unspecified = Told::Unspecified;
    match kind {
        OrderKind::Limit { price } => (Some(price.0), None, unspecified),
        OrderKind::Stop { trigger } => (None, Some(trigger.0), unspecified),
        OrderKind::StopLimit { trigger, price } => (Some(price.0), Some(trigger.0), unspecified),
        OrderKind::Market { style, protection } => {
            let style = match style {
                MarketStyle::ImmediateOrCancel => Told::ImmediateOrCancel,
                MarketStyle::BestFiveOrCancel => Told::BestFiveOrCancel,
                MarketStyle::BestFiveThenLimit => Told::BestFiveThenLimit,
                MarketStyle::CounterpartyBest => Told::CounterpartyBest,
                MarketStyle::OwnBest => Told::OwnBest,
                MarketStyle::FillOrKill => Told::FillOrKill,
            };
            (protection.map(|price| price.0), None, style)
        }
    }
}

fn id(field: &'static str, text: &str) -> Result<ClOrdId, BadField> {
    ClOrdId::new(text).map_err(|error| BadField::new(field, error.to_string()))
}

fn side(field: &'static str, value: i32) -> Result<Side, BadField> {
    match order::Side::try_from(value) {
        Ok(order::Side::Buy) => Ok(Side::Buy),
        Ok(order::Side::Sell) => Ok(Side::Sell),
        Ok(order::Side::Unspecified) | Err(_) => Err(BadField::new(
            field,
            format!("{value} is not accepted: use SIDE_BUY (1) or SIDE_SELL (2)"),
        )),
    }
}

/// The shard that a stream is for, by its first message; `None` when it does not say.
///
/// # Errors
/// [`BadField`] for a number that no shard has.
pub fn shard_asked_for(first: &order::ClientMessage) -> Result<Option<ShardId>, BadField> {
    match &first.body {
        Some(Asked::Logon(order::Logon {
            shard: Some(shard), ..
        })) => Ok(Some(ShardId(up_to("logon.shard", *shard)?))),
        _ => Ok(None),
    }
}

/// The code of a [`wrong_shard`] refusal: of the session's group, and no reason of the engine's.
pub const WRONG_SHARD_CODE: u32 = 150;

/// Refuses a logon for a shard that is not served here.
#[must_use]
pub fn wrong_shard(epoch: Epoch, text: String) -> order::ServerMessage {
    server_message(
        epoch,
        Answered::LogonReject(order::LogonReject {
            code: WRONG_SHARD_CODE,
            text,
        }),
    )
}

/// A logon as a client sends it.
#[must_use]
pub fn logon_message(logon: Logon) -> order::ClientMessage {
    logon_for(logon, None)
}

/// A logon that says which shard its stream is for.
#[must_use]
pub fn logon_for(logon: Logon, shard: Option<ShardId>) -> order::ClientMessage {
    order::ClientMessage {
        client_seq: 0,
        body: Some(Asked::Logon(order::Logon {
            session: logon.session.0,
            account: logon.account.0,
            last_out_seq_seen: logon.last_out_seq_seen.0,
            trader: logon.trader.0,
            cancel_on_disconnect_ms: logon.cancel_on_disconnect_ms,
            shard: shard.map(|shard| shard.0.into()),
        })),
    }
}

/// A heartbeat as a client sends it.
#[must_use]
pub fn client_heartbeat(now: UnixMicros) -> order::ClientMessage {
    order::ClientMessage {
        client_seq: 0,
        body: Some(Asked::Heartbeat(order::Heartbeat { sent_at_us: now.0 })),
    }
}

/// A request as a client sends it.
#[must_use]
pub fn request_message(client_seq: ClientSeq, request: &Request) -> order::ClientMessage {
    let body = match request {
        Request::New(new) => Asked::NewOrder(new_order_message(new)),
        Request::Cancel { original } => Asked::Cancel(order::Cancel {
            original_cl_ord_id: original.to_string(),
        }),
        Request::Replace {
            original,
            replacement,
            price,
            quantity,
        } => Asked::Replace(order::Replace {
            original_cl_ord_id: original.to_string(),
            cl_ord_id: replacement.to_string(),
            price: price.0,
            quantity: quantity.0,
        }),
        Request::MassCancel { symbol } => Asked::MassCancel(order::MassCancel {
            symbol: symbol.map(|symbol| symbol.0),
        }),
        Request::Status { original } => Asked::OrderStatus(order::OrderStatus {
            original_cl_ord_id: original.to_string(),
        }),
    };
    order::ClientMessage {
        client_seq: client_seq.0,
        body: Some(body),
    }
}

fn new_order_message(new: &NewOrder) -> order::NewOrder {
    let (price, trigger, market_style) = kind_fields(new.kind);
    order::NewOrder {
        cl_ord_id: new.cl_ord_id.to_string(),
        symbol: new.symbol.0,
        side: side_number(new.side),
        quantity: new.quantity.0,
        price,
        time_in_force: match new.time_in_force {
            TimeInForce::Day => order::TimeInForce::Day,
            TimeInForce::ImmediateOrCancel => order::TimeInForce::ImmediateOrCancel,
            TimeInForce::GoodTillCancel => order::TimeInForce::GoodTillCancel,
            TimeInForce::FillOrKill => order::TimeInForce::FillOrKill,
        }
        .into(),
        self_trade_prevention: match new.self_trade_prevention {
            SelfTradePrevention::CancelNewest => order::SelfTradePrevention::CancelNewest,
            SelfTradePrevention::CancelOldest => order::SelfTradePrevention::CancelOldest,
            SelfTradePrevention::CancelBoth => order::SelfTradePrevention::CancelBoth,
        }
        .into(),
        market_style: market_style.into(),
        trigger,
        post_only: new.post_only,
        display: new.display.map(|shares| shares.0),
    }
}

fn side_number(side: Side) -> i32 {
    match side {
        Side::Buy => order::Side::Buy,
        Side::Sell => order::Side::Sell,
    }
    .into()
}

/// To whom an event is told, and how. `None` for what no session is told: answers to control
/// records, trades (both sides have their own reports) and alerts.
///
/// `epoch` is the epoch of the leader that speaks, not the one that caused the event.
#[must_use]
pub fn answer(epoch: Epoch, event: &Event) -> Option<(SessionId, order::ServerMessage)> {
    let (session, body) = match event {
        Event::LoggedOn {
            session,
            next_client_seq,
            next_out_seq,
            replay,
            replay_missing,
        } => (
            session,
            Answered::LogonAck(order::LogonAck {
                session: session.0,
                next_client_seq: next_client_seq.0,
                next_out_seq: next_out_seq.0,
                replay: replay.iter().map(|told| report(told, true)).collect(),
                replay_missing: *replay_missing,
            }),
        ),
        Event::LogonRefused { session, reason } => (
            session,
            Answered::LogonReject(order::LogonReject {
                code: reason.code().into(),
                text: reason.to_string(),
            }),
        ),
        Event::ToSession(outbound) => {
            (&outbound.session, Answered::Report(report(outbound, false)))
        }
        Event::SequenceGap {
            session,
            received,
            expected,
        } => (
            session,
            Answered::SequenceGap(order::SequenceGap {
                received: received.0,
                expected: expected.0,
            }),
        ),
        Event::Duplicate {
            session,
            client_seq,
            original,
        } => {
            let again = original.as_ref().map(|original| report(original, true));
            let again = again.unwrap_or_else(|| answer_expired(*client_seq));
            (session, Answered::Report(again))
        }
        Event::Control(_) | Event::Trade(_) | Event::Alert(_) => return None,
    };
    Some((*session, server_message(epoch, body)))
}

/// A message of the leader of `epoch`.
#[must_use]
pub fn server_message(epoch: Epoch, body: Answered) -> order::ServerMessage {
    order::ServerMessage {
        epoch: epoch.0,
        body: Some(body),
    }
}

/// The leader's or gateway's sign of life.
#[must_use]
pub fn heartbeat(epoch: Epoch, now: UnixMicros) -> order::ServerMessage {
    let heartbeat = order::Heartbeat { sent_at_us: now.0 };
    server_message(epoch, Answered::Heartbeat(heartbeat))
}

/// The answer to a message that cannot be read.
#[must_use]
pub fn bad_request(epoch: Epoch, client_seq: u64, error: &BadField) -> order::ServerMessage {
    let bad = order::BadRequest {
        client_seq,
        field: error.field.to_owned(),
        text: error.text.clone(),
    };
    server_message(epoch, Answered::BadRequest(bad))
}

fn answer_expired(client_seq: ClientSeq) -> order::Report {
    order::Report {
        out_seq: 0,
        in_reply_to: client_seq.0,
        log_seq: 0,
        epoch: 0,
        possible_duplicate: true,
        body: Some(Told::AnswerExpired(order::AnswerExpired {})),
    }
}

/// A message to a session as it goes over the wire.
#[must_use]
pub fn report(outbound: &Outbound, possible_duplicate: bool) -> order::Report {
    order::Report {
        out_seq: outbound.out_seq.0,
        in_reply_to: outbound.in_reply_to.map_or(0, |request| request.0),
        log_seq: outbound.log_seq.0,
        epoch: outbound.epoch.0,
        possible_duplicate,
        body: Some(told(&outbound.report)),
    }
}

fn told(report: &Report) -> Told {
    match report {
        Report::Accepted {
            cl_ord_id,
            order_id,
        } => Told::Accepted(order::Accepted {
            cl_ord_id: cl_ord_id.to_string(),
            order_id: order_id.0,
        }),
        Report::Rejected { cl_ord_id, reason } => Told::Rejected(order::Rejected {
            cl_ord_id: cl_ord_id.map_or_else(String::new, |id| id.to_string()),
            code: reason.code().into(),
            text: reason.to_string(),
        }),
        Report::Filled {
            cl_ord_id,
            order_id,
            trade_id,
            price,
            quantity,
            remaining,
        } => Told::Filled(order::Filled {
            cl_ord_id: cl_ord_id.to_string(),
            order_id: order_id.0,
            trade_id: trade_id.0,
            price: price.0,
            quantity: quantity.0,
            remaining: remaining.0,
        }),
        Report::Cancelled {
            cl_ord_id,
            order_id,
            quantity,
            cause,
        } => Told::Cancelled(order::Cancelled {
            cl_ord_id: cl_ord_id.to_string(),
            order_id: order_id.0,
            quantity: quantity.0,
            cause: cause_number(*cause),
        }),
        Report::Replaced {
            original,
            replacement,
            order_id,
            remaining,
            kept_priority,
        } => Told::Replaced(order::Replaced {
            original_cl_ord_id: original.to_string(),
            cl_ord_id: replacement.to_string(),
            order_id: order_id.0,
            remaining: remaining.0,
            kept_priority: *kept_priority,
        }),
        Report::MassCancelled { orders } => {
            Told::MassCancelled(order::MassCancelled { orders: *orders })
        }
        Report::Status(view) => Told::Status(status_view(view)),
        Report::Triggered {
            cl_ord_id,
            order_id,
            last,
        } => Told::Triggered(order::Triggered {
            cl_ord_id: cl_ord_id.to_string(),
            order_id: order_id.0,
            last: last.0,
        }),
        Report::Restated {
            cl_ord_id,
            order_id,
            price,
            remaining,
        } => Told::Restated(order::Restated {
            cl_ord_id: cl_ord_id.to_string(),
            order_id: order_id.0,
            price: price.0,
            remaining: remaining.0,
        }),
    }
}

fn cause_number(cause: CancelCause) -> i32 {
    match cause {
        CancelCause::Requested => order::CancelCause::Requested,
        CancelCause::MassCancel => order::CancelCause::MassCancel,
        CancelCause::SelfTrade => order::CancelCause::SelfTrade,
        CancelCause::Unfilled => order::CancelCause::Unfilled,
        CancelCause::NotAtOnce => order::CancelCause::NotAtOnce,
        CancelCause::PostOnly => order::CancelCause::PostOnly,
        CancelCause::Disconnected => order::CancelCause::Disconnected,
        CancelCause::EndOfDay => order::CancelCause::EndOfDay,
        CancelCause::OutsideLimits => order::CancelCause::OutsideLimits,
        CancelCause::KillSwitch => order::CancelCause::KillSwitch,
        CancelCause::Halted => order::CancelCause::Halted,
    }
    .into()
}

fn status_view(view: &OrderView) -> order::StatusView {
    order::StatusView {
        cl_ord_id: view.cl_ord_id.to_string(),
        order_id: view.order_id.0,
        account: view.account.0,
        symbol: view.symbol.0,
        side: side_number(view.side),
        state: match view.state {
            OrderState::Open => order::OrderState::Open,
            OrderState::Filled => order::OrderState::Filled,
            OrderState::Cancelled => order::OrderState::Cancelled,
            OrderState::Rejected => order::OrderState::Rejected,
        }
        .into(),
        quantity: view.quantity.0,
        filled: view.filled.0,
        remaining: view.remaining.0,
    }
}

/// Reads why the rest of an order went.
///
/// # Errors
/// [`BadField`] for a number that is none of [`order::CancelCause`].
pub fn cancel_cause(value: i32) -> Result<CancelCause, BadField> {
    match order::CancelCause::try_from(value) {
        Ok(order::CancelCause::Requested) => Ok(CancelCause::Requested),
        Ok(order::CancelCause::MassCancel) => Ok(CancelCause::MassCancel),
        Ok(order::CancelCause::SelfTrade) => Ok(CancelCause::SelfTrade),
        Ok(order::CancelCause::Unfilled) => Ok(CancelCause::Unfilled),
        Ok(order::CancelCause::NotAtOnce) => Ok(CancelCause::NotAtOnce),
        Ok(order::CancelCause::PostOnly) => Ok(CancelCause::PostOnly),
        Ok(order::CancelCause::Disconnected) => Ok(CancelCause::Disconnected),
        Ok(order::CancelCause::EndOfDay) => Ok(CancelCause::EndOfDay),
        Ok(order::CancelCause::OutsideLimits) => Ok(CancelCause::OutsideLimits),
        Ok(order::CancelCause::KillSwitch) => Ok(CancelCause::KillSwitch),
        Ok(order::CancelCause::Halted) => Ok(CancelCause::Halted),
        Err(_) => Err(BadField::new(
            "cancelled.cause",
            format!("{value} is not accepted: use 0 to 10"),
        )),
    }
}

/// Reads an order as a status request showed it.
///
/// # Errors
/// [`BadField`] naming the field that cannot be read.
pub fn order_view(view: &order::StatusView) -> Result<OrderView, BadField> {
    Ok(OrderView {
        cl_ord_id: id("status.cl_ord_id", &view.cl_ord_id)?,
        order_id: types::OrderId(view.order_id),
        account: AccountId(view.account),
        symbol: SymbolId(view.symbol),
        side: side("status.side", view.side)?,
        state: match order::OrderState::try_from(view.state) {
            Ok(order::OrderState::Open) => OrderState::Open,
            Ok(order::OrderState::Filled) => OrderState::Filled,
            Ok(order::OrderState::Cancelled) => OrderState::Cancelled,
            Ok(order::OrderState::Rejected) => OrderState::Rejected,
            Err(_) => {
                let text = format!("{} is not accepted: use 0 to 3", view.state);
                return Err(BadField::new("status.state", text));
            }
        },
        quantity: Quantity(view.quantity),
        filled: Quantity(view.filled),
        remaining: Quantity(view.remaining),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::any_request;
    use proptest::prelude::*;
    use types::{LogSeq, OrderId, RejectReason};

    proptest! {
        #[test]
        fn a_request_reads_as_it_was_written(seq in 1_u64.., request in any_request()) {
            let message = request_message(ClientSeq(seq), &request);
            let client_seq = ClientSeq(seq);
            prop_assert_eq!(read(&message), Ok(Inbound::Request { client_seq, request }));
        }

        #[test]
        fn a_logon_reads_as_it_was_written(
            session in 1_u64..,
            account in 1_u64..,
            seen: u64,
            trader: u64,
            grace: Option<u32>,
        ) {
            let logon = Logon {
                trader: TraderId(trader),
                cancel_on_disconnect_ms: grace,
                ..Logon::new(SessionId(session), AccountId(account), OutSeq(seen))
            };
            prop_assert_eq!(read(&logon_message(logon)), Ok(Inbound::Logon(logon)));
        }
    }

    fn new_order() -> order::NewOrder {
        order::NewOrder {
            cl_ord_id: "A1".to_owned(),
            symbol: 600_000,
            side: 1,
            quantity: 100,
            price: Some(100_000),
            ..order::NewOrder::default()
        }
    }

    fn refused(client_seq: u64, body: Option<Asked>) -> BadField {
        read(&order::ClientMessage { client_seq, body }).unwrap_err()
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_field() {
        type Damage = fn(&mut order::NewOrder);
        let cases: [(&str, &str, Damage); 8] = [
            ("new_order.cl_ord_id", "\"\"", |new| new.cl_ord_id.clear()),
            ("new_order.cl_ord_id", "订单", |new| {
                new.cl_ord_id = "订单".to_owned();
            }),
            ("new_order.side", "0", |new| new.side = 0),
            ("new_order.side", "7", |new| new.side = 7),
            ("new_order.time_in_force", "9", |new| new.time_in_force = 9),
            ("new_order.market_style", "7", |new| new.market_style = 7),
            ("new_order.market_style", "trigger", |new| {
                new.market_style = 1;
                new.trigger = Some(1);
            }),
            ("new_order.self_trade_prevention", "-1", |new| {
                new.self_trade_prevention = -1;
            }),
        ];
        for (field, value, damage) in cases {
            let mut new = new_order();
            damage(&mut new);
            let error = refused(1, Some(Asked::NewOrder(new)));
            assert_eq!(error.field, field);
            assert!(error.text.contains(value), "{error}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        assert_eq!(refused(1, None).field, "body");
        let new = Asked::NewOrder(new_order());
        assert_eq!(refused(0, Some(new)).field, "client_seq");
        let logon = |session, account| {
            Asked::Logon(order::Logon {
                session,
                account,
                ..order::Logon::default()
            })
        };
        assert_eq!(refused(0, Some(logon(0, 1))).field, "logon.session");
        assert_eq!(refused(0, Some(logon(1, 0))).field, "logon.account");
        assert_eq!(refused(3, Some(logon(1, 1))).field, "client_seq");
    }

    fn outbound(report: Report) -> Outbound {
        Outbound {
            session: SessionId(7),
            out_seq: OutSeq(3),
            in_reply_to: Some(ClientSeq(2)),
            log_seq: LogSeq(9),
            epoch: Epoch(4),
            report,
        }
    }

    fn reports_of(message: &order::ServerMessage) -> Vec<order::Report> {
        match message.body.clone().unwrap() {
            Answered::Report(report) => vec![report],
            Answered::LogonAck(ack) => ack.replay,
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_reject_carries_its_code_and_text() {
        let reason = RejectReason::QuantityZero {
            quantity: Quantity(0),
        };
        let event = Event::ToSession(outbound(Report::Rejected {
            cl_ord_id: None,
            reason,
        }));
        let (session, message) = answer(Epoch(5), &event).unwrap();
        assert_eq!((session, message.epoch), (SessionId(7), 5));
        let report = &reports_of(&message)[0];
        assert_eq!((report.epoch, report.in_reply_to), (4, 2));
        assert!(!report.possible_duplicate);
        let Some(Told::Rejected(rejected)) = &report.body else {
            panic!("{report:?}")
        };
        assert_eq!((rejected.code, rejected.cl_ord_id.as_str()), (302, ""));
        assert_eq!(rejected.text, reason.to_string());
    }

    #[test]
    fn what_is_told_again_says_so() {
        let accepted = outbound(Report::Accepted {
            cl_ord_id: ClOrdId::new("A1").unwrap(),
            order_id: OrderId(1),
        });
        let again = |original| Event::Duplicate {
            session: SessionId(7),
            client_seq: ClientSeq(2),
            original,
        };
        let logged_on = Event::LoggedOn {
            session: SessionId(7),
            next_client_seq: ClientSeq(3),
            next_out_seq: OutSeq(4),
            replay: vec![accepted],
            replay_missing: 2,
        };
        for event in [again(Some(accepted)), logged_on] {
            let reports = reports_of(&answer(Epoch(5), &event).unwrap().1);
            assert!(reports[0].possible_duplicate);
            assert_eq!(reports[0].out_seq, 3);
        }
        let expired = reports_of(&answer(Epoch(5), &again(None)).unwrap().1);
        assert_eq!((expired[0].out_seq, expired[0].in_reply_to), (0, 2));
        assert!(matches!(expired[0].body, Some(Told::AnswerExpired(_))));
    }

    #[test]
    fn a_shown_order_reads_as_it_was_written() {
        let view = OrderView {
            cl_ord_id: ClOrdId::new("A1").unwrap(),
            order_id: OrderId(5),
            account: AccountId(6),
            symbol: SymbolId(600_000),
            side: Side::Sell,
            state: OrderState::Cancelled,
            quantity: Quantity(300),
            filled: Quantity(100),
            remaining: Quantity(0),
        };
        assert_eq!(order_view(&status_view(&view)), Ok(view));
        let mut damaged = status_view(&view);
        damaged.state = 4;
        assert_eq!(order_view(&damaged).unwrap_err().field, "status.state");
        assert_eq!(cancel_cause(11).unwrap_err().field, "cancelled.cause");
    }
}
