//! The core's side of a desk: what it tells, told on in FIX.
//!
//! ```text
//!   Told ─► of an order that is known ────────────────► report
//!      └──► of another: held, and asked for by status ──► learned ─► report, in order
//! ```

use super::{Desk, Open};
use crate::dictionary::{Field, Kind};
use crate::effect::{Counted, Effect};
use crate::orders::{Entered, Order};
use crate::record::Record;
use crate::report::{self, Execution};
use crate::session::Now;
use crate::told::{Happened, Told};
use crate::write::Body;

/// The code of `types::RejectReason::UnknownOrder`.
const UNKNOWN_ORDER: u32 = 202;

/// What the core tells of orders that are not known here waits for what is learned of them.
const HELD_MAX: usize = 4_096;

impl Desk {
    /// The core told something.
    pub fn told(&mut self, told: Told, now: Now, effects: &mut Vec<Effect>) {
        let is_numbered = told.out_seq.0 > 0;
        if is_numbered && told.out_seq <= self.last_out_seq {
            return;
        }
        self.last_out_seq = self.last_out_seq.max(told.out_seq);
        if let Some(learn) = self.take_learn(&told) {
            if answers(&told.happened, &learn.entered) {
                return self.learned(&told, now, effects);
            }
            self.ask_again(&learn, now, effects);
            let in_reply_to = None;
            self.hold(
                Told {
                    in_reply_to,
                    ..told
                },
                effects,
            );
        } else if !self.held.is_empty() {
            self.hold(told, effects);
        } else {
            self.tell_or_learn(told, now, effects);
        }
    }

    /// What was asked to learn of an order, when this has its number.
    fn take_learn(&mut self, told: &Told) -> Option<Open> {
        let number = told.in_reply_to?;
        let is_learn = matches!(self.open.get(&number)?.entered, Entered::Learn { .. });
        if is_learn {
            return self.open.remove(&number);
        }
        None
    }

    fn hold(&mut self, told: Told, effects: &mut Vec<Effect>) {
        if self.held.len() < HELD_MAX {
            self.held.push_back(told);
        } else {
            effects.push(Effect::Count(Counted::Untold));
        }
    }

    fn learned(&mut self, told: &Told, now: Now, effects: &mut Vec<Effect>) {
        match &told.happened {
            Happened::Status(view) => self.orders.learn(view),
            _ => {
                // The core tells of an order that it does not know: nothing can be said of it.
                effects.push(Effect::Count(Counted::Untold));
                self.held.pop_front();
            }
        }
        while let Some(next) = self.held.pop_front() {
            if let Some(order) = self.unknown_order(&next) {
                self.held.push_front(next);
                return self.submit(0, Entered::Learn { order }, now, effects);
            }
            self.tell(next, now, effects);
        }
        effects.push(Effect::Keep(Record::Seen {
            out_seq: self.last_out_seq,
        }));
    }

    fn tell_or_learn(&mut self, told: Told, now: Now, effects: &mut Vec<Effect>) {
        match self.unknown_order(&told) {
            Some(order) => {
                self.held.push_back(told);
                self.submit(0, Entered::Learn { order }, now, effects);
            }
            None => self.tell(told, now, effects),
        }
    }

    /// The order that a message tells of, when nothing is known of it.
    fn unknown_order(&self, told: &Told) -> Option<types::ClOrdId> {
        let (id, after) = match &told.happened {
            Happened::Accepted { cl_ord_id, .. }
            | Happened::Filled { cl_ord_id, .. }
            | Happened::Cancelled { cl_ord_id, .. }
            | Happened::Triggered { cl_ord_id, .. }
            | Happened::Restated { cl_ord_id, .. } => (cl_ord_id, cl_ord_id),
            Happened::Replaced {
                original,
                replacement,
                ..
            } => (original, replacement),
            Happened::Rejected { .. }
            | Happened::MassCancelled { .. }
            | Happened::Status(_)
            | Happened::AnswerExpired => return None,
        };
        let is_known = self
            .orders
            .get(id)
            .or_else(|| self.orders.get(after))
            .is_some();
        (!is_known).then_some(*after)
    }

    fn tell(&mut self, told: Told, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Keep(Record::Told(told.clone())));
        let answered = told
            .in_reply_to
            .and_then(|number| self.open.remove(&number));
        let answered = answered.filter(|open| {
            let is_its_answer = answers(&told.happened, &open.entered);
            if !is_its_answer {
                self.ask_again(open, now, effects);
            }
            is_its_answer
        });
        let entered = answered.as_ref().map(|open| &open.entered);
        if let (Some(Entered::LookUp(wanted)), Some(open)) = (entered, &answered) {
            return self.looked_up(&told, wanted, open.msg_seq_num, now, effects);
        }
        let order = self.orders.happened(&told.happened, entered);
        match (
            order,
            report::execution(self.options.session, &told, entered),
        ) {
            (Some(order), Some(execution)) => {
                let is_doubtful = told.out_seq < self.doubtful_below;
                self.report(&order, execution, is_doubtful, now, effects);
            }
            _ => self.tell_otherwise(&told, entered, now, effects),
        }
    }

    /// A request's number had been taken by a request of the process before this one, which reached
    /// the log late. This one has had no effect yet, or its id is known.
    fn ask_again(&mut self, open: &Open, now: Now, effects: &mut Vec<Effect>) {
        let again = match &open.entered {
            new @ (Entered::New(_) | Entered::Replace { .. }) => {
                Entered::LookUp(Box::new(new.clone()))
            }
            other => other.clone(),
        };
        self.submit(open.msg_seq_num, again, now, effects);
    }

    pub(super) fn report(
        &mut self,
        order: &Order,
        execution: Execution,
        poss_resend: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Count(Counted::Reported));
        let body = report::execution_report(order, self.options.account, execution, now.wall);
        let kind = Kind::ExecutionReport;
        self.session
            .send_marked(kind, body, poss_resend, now, effects);
    }

    /// What is no `ExecutionReport` of what happened.
    fn tell_otherwise(
        &mut self,
        told: &Told,
        entered: Option<&Entered>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match (&told.happened, entered) {
            (Happened::Rejected { code, text, .. }, Some(entered)) => {
                let reason = (*code, format!("{code}: {text}"));
                self.rejected(told, entered, &reason, now, effects);
            }
            (Happened::MassCancelled { orders }, Some(Entered::MassCancel { id, symbol })) => {
                let request_type = if symbol.is_some() { b'1' } else { b'7' };
                let body = report::mass_cancel_report(
                    &id.to_string(),
                    request_type,
                    Ok(*orders),
                    now.wall,
                );
                self.session
                    .send(Kind::OrderMassCancelReport, body, now, effects);
            }
            (Happened::Status(view), entered) => {
                let status_request = match entered {
                    Some(Entered::Status { request_id, .. }) => request_id.clone(),
                    _ => None,
                };
                self.orders.learn(view);
                let order = self.orders.get(&view.cl_ord_id).cloned();
                let order = order.unwrap_or_else(|| Order::seen(view));
                let exec_id = report::exec_id(self.options.session, told);
                let execution = Execution {
                    status_request,
                    ..Execution::new(exec_id, b'I')
                };
                self.report(&order, execution, false, now, effects);
            }
            (Happened::AnswerExpired, Some(entered)) => {
                effects.push(Effect::Count(Counted::Untold));
                let text = "its outcome is no longer kept: ask by OrderStatusRequest";
                self.business_reject(0, Some(entered), (0, text), now, effects);
            }
            // Answers to requests that nobody knows of any more.
            _ => effects.push(Effect::Count(Counted::Untold)),
        }
    }

    fn rejected(
        &mut self,
        told: &Told,
        entered: &Entered,
        (code, text): &(u32, String),
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let cancel = |own: String, original: &types::ClOrdId, response_to| {
            let order = self.orders.get(original);
            let reason = (report::cancel_reject_reason(*code), text.as_str());
            let original = original.to_string();
            report::cancel_reject(order, (&own, &original), response_to, reason, now.wall)
        };
        let (kind, body) = match entered {
            Entered::Cancel { id, original } => (
                Kind::OrderCancelReject,
                cancel(id.to_string(), original, b'1'),
            ),
            Entered::Replace {
                original,
                replacement,
                ..
            } => (
                Kind::OrderCancelReject,
                cancel(replacement.to_string(), original, b'2'),
            ),
            Entered::MassCancel { id, symbol } => {
                let request_type = if symbol.is_some() { b'1' } else { b'7' };
                let reason = if *code == 301 { 1 } else { 99 };
                let outcome = Err((reason, text.as_str()));
                let id = id.to_string();
                let body = report::mass_cancel_report(&id, request_type, outcome, now.wall);
                (Kind::OrderMassCancelReport, body)
            }
            Entered::Status {
                original,
                request_id,
            } => {
                let exec_id = report::exec_id(self.options.session, told);
                let body = unknown_order(&exec_id, &original.to_string(), request_id.as_deref())
                    .time(Field::TransactTime, now.wall)
                    .text(Field::Text, text);
                (Kind::ExecutionReport, body)
            }
            // Told with its order, or never asked for by the counterparty.
            Entered::New(_) | Entered::LookUp(_) | Entered::Learn { .. } => return,
        };
        effects.push(Effect::Count(Counted::Reported));
        self.session.send(kind, body, now, effects);
    }

    /// A request that may have taken effect before was looked up.
    fn looked_up(
        &mut self,
        told: &Told,
        wanted: &Entered,
        msg_seq_num: u64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if matches!(told.happened, Happened::Status(_)) {
            self.tell_otherwise(told, None, now, effects);
        } else {
            self.submit(msg_seq_num, wanted.clone(), now, effects);
        }
    }
}

/// Whether a message can be the answer to a request.
fn answers(happened: &Happened, entered: &Entered) -> bool {
    match (happened, entered) {
        (Happened::AnswerExpired, _) => true,
        (Happened::Accepted { cl_ord_id, .. }, Entered::New(new)) => *cl_ord_id == new.cl_ord_id,
        (
            Happened::Replaced {
                replacement: id, ..
            },
            Entered::Replace { replacement, .. },
        ) => id == replacement,
        (Happened::Cancelled { .. }, Entered::Cancel { .. })
        | (Happened::MassCancelled { .. }, Entered::MassCancel { .. })
        | (
            Happened::Status(_),
            Entered::Status { .. } | Entered::LookUp(_) | Entered::Learn { .. },
        ) => true,
        // Looked up and not known; any other reject is of something else.
        (Happened::Rejected { code, .. }, Entered::LookUp(_) | Entered::Learn { .. }) => {
            *code == UNKNOWN_ORDER
        }
        (Happened::Rejected { cl_ord_id, .. }, Entered::New(_) | Entered::Replace { .. }) => {
            *cl_ord_id == Some(entered.id())
        }
        (Happened::Rejected { .. }, _) => true,
        _ => false,
    }
}

/// The answer to a status request about an order that the core does not know.
fn unknown_order(exec_id: &str, cl_ord_id: &str, request_id: Option<&str>) -> Body {
    Body::new()
        .text(Field::OrderID, report::NO_ORDER)
        .text(Field::ClOrdID, cl_ord_id)
        .text(Field::ExecID, exec_id)
        .when(request_id, |body, id| body.text(Field::OrdStatusReqID, id))
        .character(Field::ExecType, b'I')
        .character(Field::OrdStatus, b'8')
        .count(Field::OrdRejReason, 5)
        .text(Field::Symbol, "[N/A]")
        .character(Field::Side, b'1')
        .count(Field::LeavesQty, 0)
        .count(Field::CumQty, 0)
        .count(Field::AvgPx, 0)
}
