//! The counterparty's side of a desk.

use super::{Core, Desk};
use crate::dictionary::{Field, Kind};
use crate::effect::{Counted, Effect};
use crate::message::Message;
use crate::orders::Entered;
use crate::record::Record;
use crate::report;
use crate::request::{self, Cause, Refusal};
use crate::session::{Now, Verdict};
use crate::write::Body;

impl Desk {
    /// The counterparty has connected.
    pub fn connected(&mut self, now: Now) {
        self.session.connected(now);
    }

    /// Its connection is gone. What the core tells meanwhile is numbered and kept.
    pub fn disconnected(&mut self) {
        self.session.disconnected();
    }

    /// What came was no message.
    pub fn garbled(&mut self, effects: &mut Vec<Effect>) {
        self.session.garbled(effects);
    }

    /// Ends the counterparty's session for now.
    pub fn log_out(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        self.session.log_out(text, now, effects);
    }

    /// A whole message came.
    pub fn receive(&mut self, bytes: &[u8], now: Now, effects: &mut Vec<Effect>) {
        let Ok(message) = Message::read(bytes) else {
            return self.garbled(effects);
        };
        let first = effects.len();
        let verdict = self.session.receive(&message, now, effects);
        let is_anew = |effect: &Effect| matches!(effect, Effect::Keep(Record::Numbers { .. }));
        if effects[first..].iter().any(is_anew) {
            self.numbers_set_anew();
        }
        if let Verdict::Deliver {
            msg_seq_num,
            is_doubtful,
        } = verdict
        {
            self.deliver(&message, msg_seq_num, is_doubtful, now, effects);
        }
    }

    fn deliver(
        &mut self,
        message: &Message<'_>,
        msg_seq_num: u64,
        is_doubtful: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match request::read(message, self.options.account) {
            Ok(Some(entered)) => self.enter(entered, msg_seq_num, is_doubtful, now, effects),
            Ok(None) => {
                let msg_type = message.text(Field::MsgType).unwrap_or_default();
                let text = format!("MsgType (35) {msg_type:?} is not supported");
                let body = business_reject(msg_seq_num, msg_type, None, (3, &text));
                self.send_business_reject(body, now, effects);
            }
            Err(refusal) => self.refuse(message, msg_seq_num, &refusal, now, effects),
        }
    }

    fn enter(
        &mut self,
        entered: Entered,
        msg_seq_num: u64,
        is_doubtful: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(why) = self.why_not(now) {
            return self.turn_away(&entered, msg_seq_num, &why, now, effects);
        }
        let entered = match entered {
            Entered::New(_) | Entered::Replace { .. } if is_doubtful => {
                effects.push(Effect::Count(Counted::DoubtfulLookedUp));
                Entered::LookUp(Box::new(entered))
            }
            // Taken twice it would cancel what was entered in between, and nothing tells.
            Entered::MassCancel { id, symbol } if is_doubtful => {
                let request_type = if symbol.is_some() { b'1' } else { b'7' };
                let text = "it may have taken effect before: send a new one";
                let outcome = Err((99, text));
                let id = id.to_string();
                let body = report::mass_cancel_report(&id, request_type, outcome, now.wall);
                return self
                    .session
                    .send(Kind::OrderMassCancelReport, body, now, effects);
            }
            // An order is cancelled once, however often it is asked for.
            entered => entered,
        };
        self.submit(msg_seq_num, entered, now, effects);
    }

    /// Why no request can be taken now.
    fn why_not(&self, now: Now) -> Option<String> {
        let max = self.options.in_flight_max;
        match self.core {
            Core::Never => Some("no leader has been reached yet".to_owned()),
            Core::Ended => Some("the core ended the session".to_owned()),
            Core::Down { since_ms } if now.ms >= since_ms + self.options.refuse_after_ms => {
                let ms = self.options.refuse_after_ms;
                Some(format!("no leader has been reached for {ms} ms"))
            }
            Core::Up | Core::Down { .. } if self.open.len() >= max => {
                Some(format!("{max} requests have no answer yet, as many as may"))
            }
            Core::Up | Core::Down { .. } => None,
        }
    }

    /// Answers a message that keeps the rules and cannot be asked of the core.
    fn refuse(
        &mut self,
        message: &Message<'_>,
        msg_seq_num: u64,
        refusal: &Refusal,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let text = refusal.text.as_str();
        let reason = match refusal.cause {
            Cause::Missing(_) => Some(5),
            Cause::Symbol => Some(2),
            Cause::Account => Some(6),
            Cause::Id(_) => Some(0),
            Cause::Unsupported(_) => None,
        };
        let value = |field| message.text(field).unwrap_or_default();
        let (kind, body) = match (message.kind(), reason) {
            (Some(Kind::NewOrderSingle), None) => (
                Kind::ExecutionReport,
                refused_order(message, self.options.session.0, msg_seq_num)
                    .time(Field::TransactTime, now.wall)
                    .text(Field::Text, text),
            ),
            (Some(kind @ (Kind::OrderCancelRequest | Kind::OrderCancelReplaceRequest)), None) => {
                let response_to = if kind == Kind::OrderCancelRequest {
                    b'1'
                } else {
                    b'2'
                };
                let original = types::ClOrdId::new(value(Field::OrigClOrdID)).ok();
                let order = original.and_then(|id| self.orders.get(&id));
                let ids = (value(Field::ClOrdID), value(Field::OrigClOrdID));
                let body = report::cancel_reject(order, ids, response_to, (99, text), now.wall);
                (Kind::OrderCancelReject, body)
            }
            (Some(Kind::OrderMassCancelRequest), None) => {
                let request_type = message
                    .character(Field::MassCancelRequestType)
                    .unwrap_or(b'7');
                let id = value(Field::ClOrdID);
                let outcome = Err((0, text));
                let body = report::mass_cancel_report(id, request_type, outcome, now.wall);
                (Kind::OrderMassCancelReport, body)
            }
            (_, reason) => {
                let id = message.text(Field::ClOrdID);
                let reason = (reason.unwrap_or(0), text);
                let body = business_reject(msg_seq_num, value(Field::MsgType), id, reason);
                return self.send_business_reject(body, now, effects);
            }
        };
        effects.push(Effect::Count(Counted::TurnedAway));
        self.session.send(kind, body, now, effects);
    }

    pub(super) fn business_reject(
        &mut self,
        msg_seq_num: u64,
        entered: Option<&Entered>,
        reason: (u64, &str),
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let msg_type = entered.map_or("D", msg_type_of);
        let id = entered.map(|entered| entered.id().to_string());
        let body = business_reject(msg_seq_num, msg_type, id.as_deref(), reason);
        self.send_business_reject(body, now, effects);
    }

    fn send_business_reject(&mut self, body: Body, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Count(Counted::BusinessRejected));
        self.session
            .send(Kind::BusinessMessageReject, body, now, effects);
    }
}

fn msg_type_of(entered: &Entered) -> &'static str {
    match entered {
        Entered::New(_) => Kind::NewOrderSingle.msg_type(),
        Entered::Cancel { .. } => Kind::OrderCancelRequest.msg_type(),
        Entered::Replace { .. } => Kind::OrderCancelReplaceRequest.msg_type(),
        Entered::MassCancel { .. } => Kind::OrderMassCancelRequest.msg_type(),
        Entered::Status { .. } | Entered::Learn { .. } => Kind::OrderStatusRequest.msg_type(),
        Entered::LookUp(entered) => msg_type_of(entered),
    }
}

fn business_reject(
    msg_seq_num: u64,
    msg_type: &str,
    id: Option<&str>,
    (reason, text): (u64, &str),
) -> Body {
    let number = (msg_seq_num > 0).then_some(msg_seq_num);
    Body::new()
        .when(number, |body, number| body.count(Field::RefSeqNum, number))
        .text(Field::RefMsgType, msg_type)
        .when(id, |body, id| body.text(Field::BusinessRejectRefID, id))
        .count(Field::BusinessRejectReason, reason)
        .text(Field::Text, text)
}

/// The report of an order that has something the core has not; it says the order back as it came.
fn refused_order(message: &Message<'_>, session: u64, msg_seq_num: u64) -> Body {
    let exec_id = format!("{session}.refused.{msg_seq_num}");
    let again =
        |body: Body, field| body.when(message.text(field), |body, value| body.text(field, value));
    let body = Body::new().text(Field::OrderID, report::NO_ORDER);
    let body = again(body, Field::ClOrdID)
        .text(Field::ExecID, &exec_id)
        .character(Field::ExecType, b'8')
        .character(Field::OrdStatus, b'8')
        // Unsupported order characteristic.
        .count(Field::OrdRejReason, 11);
    let fields = [Field::Symbol, Field::Side, Field::OrderQty];
    let body = fields.into_iter().fold(body, again);
    body.count(Field::LeavesQty, 0)
        .count(Field::CumQty, 0)
        .count(Field::AvgPx, 0)
}
