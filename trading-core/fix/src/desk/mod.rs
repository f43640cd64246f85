//! One counterparty's desk: its FIX session on one side, its session with the core on the other.
//!
//! ```text
//!   FIX messages ─► Session ─► request ─► Submit ─► core: client_seq, exactly once
//!                      │                                        │
//!   FIX messages ◄─ number ◄── report ◄── Orders ◄──────────── Told: out_seq, in order
//! ```
//!
//! # How the numbers hang together
//! `MsgSeqNum` counts all messages of a FIX session, `client_seq` only requests and `out_seq` only
//! what the core tells. The records tie them: [`Record::Entered`] a `MsgSeqNum` to its `client_seq`,
//! before the request goes to the core; [`Record::Told`] an `out_seq` to the [`Record::Out`] that
//! follows it, before the message goes to the counterparty.
//!
//! After a restart the core says which `client_seq` it expects. Requests below it took effect, and
//! what they caused is replayed after the last `out_seq` of the records. Requests from it on did not:
//! the counterparty's numbers go back to the first of them, so that it sends them again, or gap-fills
//! what it no longer wants. A request that comes as a possible duplicate is looked up by its
//! `ClOrdID` before it is entered; the core knows each id that took effect.

mod inbound;
mod outbound;
#[cfg(test)]
mod tests;

use crate::effect::{Counted, Effect};
use crate::orders::{Entered, Orders};
use crate::record::Record;
use crate::report::Execution;
use crate::request::to_core;
use crate::session::{Now, Profile, Session};
use crate::told::{Happened, Told};
use std::collections::{BTreeMap, VecDeque};
use types::{AccountId, ClientSeq, OutSeq, SessionId};

/// Who trades, and the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskOptions {
    /// The FIX session.
    pub profile: Profile,
    /// The core's session.
    pub session: SessionId,
    /// The account that it trades for.
    pub account: AccountId,
    /// How many requests may be without an answer; one more is turned away.
    pub in_flight_max: usize,
    /// A request without an answer for so long is told to be pending, in milliseconds.
    pub pending_after_ms: u64,
    /// With no leader for so long requests are turned away, in milliseconds.
    pub refuse_after_ms: u64,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    entered: Entered,
    /// The counterparty's message; 0 when its numbers were set anew since, or it is our own.
    msg_seq_num: u64,
    since_ms: u64,
    is_told_pending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    /// No leader has answered since the process began.
    Never,
    Up,
    Down {
        since_ms: u64,
    },
    /// It will not go on with this session.
    Ended,
}

/// One counterparty's desk.
#[derive(Clone, Debug)]
pub struct Desk {
    options: DeskOptions,
    session: Session,
    orders: Orders,
    open: BTreeMap<ClientSeq, Open>,
    core: Core,
    next_client_seq: ClientSeq,
    last_out_seq: OutSeq,
    held: VecDeque<Told>,
    /// Records may be missing: what the core replays may have been told under other numbers.
    replay_is_doubtful: bool,
    /// Messages of the core below this one may have been told before.
    doubtful_below: OutSeq,
}

impl Desk {
    /// A desk from what was kept of it, oldest first.
    #[must_use]
    pub fn new(options: DeskOptions, records: impl IntoIterator<Item = Record>) -> Self {
        let mut desk = Self {
            session: Session::new(options.profile.clone()),
            options,
            orders: Orders::default(),
            open: BTreeMap::new(),
            core: Core::Never,
            next_client_seq: ClientSeq(0),
            last_out_seq: OutSeq(0),
            held: VecDeque::new(),
            replay_is_doubtful: false,
            doubtful_below: OutSeq(0),
        };
        for record in records {
            desk.fold(&record);
        }
        desk
    }

    fn fold(&mut self, record: &Record) {
        self.session.fold(record);
        match record {
            Record::Entered {
                msg_seq_num,
                client_seq,
                entered,
            } => self.remember(*client_seq, *msg_seq_num, entered.clone(), 0),
            Record::Told(told) => {
                self.last_out_seq = self.last_out_seq.max(told.out_seq);
                let answered = told
                    .in_reply_to
                    .and_then(|number| self.open.remove(&number));
                let answered = answered.as_ref().map(|open| &open.entered);
                match (&told.happened, answered) {
                    (Happened::Status(view), _) => self.orders.learn(view),
                    (happened, answered) => {
                        self.orders.happened(happened, answered);
                    }
                }
            }
            Record::Seen { out_seq } => self.last_out_seq = self.last_out_seq.max(*out_seq),
            Record::Orders(orders) => self.orders.set(orders),
            Record::Numbers { .. } => self.numbers_set_anew(),
            Record::In { .. }
            | Record::Out { .. }
            | Record::Unconfirmed { .. }
            | Record::Copied { .. }
            | Record::Placed { .. } => {}
        }
    }

    fn numbers_set_anew(&mut self) {
        for open in self.open.values_mut() {
            open.msg_seq_num = 0;
        }
    }

    fn remember(
        &mut self,
        client_seq: ClientSeq,
        msg_seq_num: u64,
        entered: Entered,
        since_ms: u64,
    ) {
        self.orders.entered(&entered);
        let open = Open {
            entered,
            msg_seq_num,
            since_ms,
            is_told_pending: false,
        };
        self.open.insert(client_seq, open);
    }

    /// The records that give this state back, in place of all before.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.session.records().collect();
        records.push(Record::In {
            next_in: self.session.next_in(),
        });
        records.push(Record::Orders(self.orders.open()));
        records.push(Record::Seen {
            out_seq: self.last_out_seq,
        });
        records.extend(self.open.iter().map(|(client_seq, open)| Record::Entered {
            msg_seq_num: open.msg_seq_num,
            client_seq: *client_seq,
            entered: open.entered.clone(),
        }));
        records
    }

    /// The session's state, for metrics and for the shell's questions.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Requests without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// The last message of the core that has been taken.
    #[must_use]
    pub fn last_out_seq(&self) -> OutSeq {
        self.last_out_seq
    }

    /// The latest records may be missing, such as after a loss of power: our numbers go on after
    /// those that may have been used, and what the core replays is marked as told before.
    pub fn records_may_be_missing(&mut self, next_out: u64, effects: &mut Vec<Effect>) {
        self.session.skip_to(next_out, effects);
        self.replay_is_doubtful = true;
    }

    /// A leader answered the logon, and what it replays comes next. The first time since the process
    /// began, requests that did not reach the log are wanted again.
    pub fn core_logged_on(
        &mut self,
        next_client_seq: ClientSeq,
        next_out_seq: OutSeq,
        replay_missing: u64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if replay_missing > 0 {
            effects.push(Effect::Count(Counted::Untold));
        }
        if self.core == Core::Never {
            // Without any record of what was told, such as on the disk of another center, all that is
            // replayed may have been.
            if self.replay_is_doubtful || self.last_out_seq == OutSeq(0) {
                self.doubtful_below = next_out_seq;
            }
            self.next_client_seq = next_client_seq;
            let without_effect = self.open.split_off(&next_client_seq);
            let numbers = without_effect.values().map(|open| open.msg_seq_num);
            if let Some(first) = numbers.filter(|number| *number > 0).min() {
                self.session.take_again_from(first, effects);
            }
            for open in without_effect.values() {
                self.orders.forget(&open.entered.id());
                // Nobody will send it again under a number.
                let is_asked = !matches!(open.entered, Entered::Learn { .. });
                if open.msg_seq_num == 0 && is_asked {
                    self.turn_away(&open.entered, 0, "it did not take effect", now, effects);
                }
            }
        }
        self.core = Core::Up;
    }

    /// There is no leader for now; what is open waits.
    pub fn core_lost(&mut self, now: Now) {
        if self.core == Core::Up {
            self.core = Core::Down { since_ms: now.ms };
        }
    }

    /// The core will not go on with this session.
    pub fn core_ended(&mut self, reason: &str, now: Now, effects: &mut Vec<Effect>) {
        self.core = Core::Ended;
        let text = match self.open.len() {
            0 => format!("the core ended the session: {reason}"),
            open => format!(
                "the core ended the session: {reason}; the outcome of {open} requests is unknown: \
                 ask by OrderStatusRequest"
            ),
        };
        self.session.log_out(&text, now, effects);
    }

    /// Sends a request to the core.
    fn submit(&mut self, msg_seq_num: u64, entered: Entered, now: Now, effects: &mut Vec<Effect>) {
        let client_seq = self.next_client_seq;
        self.next_client_seq.0 += 1;
        effects.push(Effect::Keep(Record::Entered {
            msg_seq_num,
            client_seq,
            entered: entered.clone(),
        }));
        effects.push(Effect::Submit {
            client_seq,
            request: to_core(&entered),
        });
        self.remember(client_seq, msg_seq_num, entered, now.ms);
    }

    /// Turns a request away: it has had no effect.
    fn turn_away(
        &mut self,
        entered: &Entered,
        msg_seq_num: u64,
        why: &str,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Count(Counted::TurnedAway));
        let text = format!("{why}: nothing has happened, send it again later");
        self.business_reject(msg_seq_num, Some(entered), (4, &text), now, effects);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.session.tick(now, effects);
        let after = self.options.pending_after_ms;
        let mut pending = Vec::new();
        for (client_seq, open) in &mut self.open {
            if !open.is_told_pending && now.ms >= open.since_ms + after {
                open.is_told_pending = true;
                pending.push((*client_seq, open.entered.clone()));
            }
        }
        for (client_seq, entered) in pending {
            self.tell_pending(client_seq, &entered, now, effects);
        }
    }

    /// When [`Desk::tick`] is due next.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let untold = self.open.values().filter(|open| !open.is_told_pending);
        let pending = untold.map(|open| open.since_ms).min();
        let pending = pending.map(|since| since + self.options.pending_after_ms);
        [self.session.deadline_ms(), pending]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says that a request is on its way and its outcome is not known yet.
    fn tell_pending(
        &mut self,
        client_seq: ClientSeq,
        entered: &Entered,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (order, code, ids) = match entered {
            Entered::New(new) => (self.orders.get(&new.cl_ord_id), b'A', None),
            Entered::Cancel { id, original } => {
                (self.orders.get(original), b'6', Some((*id, *original)))
            }
            Entered::Replace {
                original,
                replacement,
                ..
            } => (
                self.orders.get(original),
                b'E',
                Some((*replacement, *original)),
            ),
            _ => return,
        };
        let Some(order) = order.cloned() else {
            return;
        };
        effects.push(Effect::Count(Counted::ToldPending));
        let exec_id = format!("{}.pending.{client_seq}", self.options.session);
        let execution = Execution {
            ord_status: Some(code),
            ids,
            text: Some("no answer yet: its outcome is unknown and will follow".to_owned()),
            ..Execution::new(exec_id, code)
        };
        self.report(&order, execution, false, now, effects);
    }
}
