//! Messages of a counterparty that is logged on.
//!
//! ```text
//!   version, number, CompIDs, SendingTime ─► reset? ─► number below │ next │ above the next
//!        └─ logout                                      duplicate   │ take │ ask for what is missing
//! ```

use super::{Asked, Link, Now, Session, Verdict};
use crate::dictionary::{Field, Kind};
use crate::effect::{Counted, Effect};
use crate::message::{Fault, Message, RejectReason};
use crate::record::Kept;
use crate::write::{BEGIN_STRING, Body};

impl Session {
    pub(super) fn inbound(
        &mut self,
        message: &Message<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(number) = self.acceptable_header(message, now, effects) else {
            return Verdict::Done;
        };
        match message.kind() {
            Some(Kind::Logon) => {
                self.logon_again(message, now, effects);
                return Verdict::Done;
            }
            // A reset counts whatever its number is.
            Some(Kind::SequenceReset) if !message.flag(Field::GapFillFlag) => {
                self.sequence_reset(message, now, effects);
                return Verdict::Done;
            }
            _ => {}
        }
        match number.cmp(&self.next_in) {
            std::cmp::Ordering::Less => self.too_low(message, number, now, effects),
            std::cmp::Ordering::Greater => self.too_high(message, number, now, effects),
            std::cmp::Ordering::Equal => return self.next_in_turn(message, number, now, effects),
        }
        Verdict::Done
    }

    /// The message's number, when its header lets the session go on.
    fn acceptable_header(
        &mut self,
        message: &Message<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Option<u64> {
        if message.text(Field::BeginString) != Some(BEGIN_STRING) {
            let text = format!(
                "BeginString (8) {:?} is not accepted: use {BEGIN_STRING}",
                message.text(Field::BeginString).unwrap_or_default()
            );
            self.refuse(&text, now, effects);
            return None;
        }
        let Some(number) = message.count(Field::MsgSeqNum).filter(|number| *number > 0) else {
            self.refuse(
                "MsgSeqNum (34) is missing or no number from 1",
                now,
                effects,
            );
            return None;
        };
        let fault = self.wrong_comp_id(message).or_else(|| {
            (!self.is_timely(message, now))
                .then(|| Fault::of(Field::SendingTime, RejectReason::SendingTimeAccuracy))
        });
        if let Some(fault) = fault {
            if number == self.next_in {
                self.consume(effects);
            }
            self.reject(message, fault, now, effects);
            self.refuse(&fault.text(message), now, effects);
            return None;
        }
        Some(number)
    }

    pub(super) fn wrong_comp_id(&self, message: &Message<'_>) -> Option<Fault> {
        let expected = [
            (Field::SenderCompID, &self.profile.counterparty),
            (Field::TargetCompID, &self.profile.comp_id),
        ];
        // An absent one is found by the dictionary.
        let wrong = expected.into_iter().find(|(field, expected)| {
            message
                .text(*field)
                .is_some_and(|found| found != expected.as_str())
        });
        wrong.map(|(field, _)| Fault::of(field, RejectReason::CompIdProblem))
    }

    /// Whether `SendingTime` is near our clock; one that cannot be read is found by the dictionary.
    pub(super) fn is_timely(&self, message: &Message<'_>, now: Now) -> bool {
        let Some(sent) = message.time(Field::SendingTime) else {
            return true;
        };
        let apart_us = sent.0.abs_diff(now.wall.0);
        apart_us <= self.profile.sending_time_s_max.saturating_mul(1_000_000)
    }

    fn too_low(&mut self, message: &Message<'_>, number: u64, now: Now, effects: &mut Vec<Effect>) {
        if !message.flag(Field::PossDupFlag) {
            let text = format!(
                "MsgSeqNum (34) too low: expecting {}, received {number}",
                self.next_in
            );
            effects.push(Effect::Count(Counted::SequenceTooLow));
            return self.refuse(&text, now, effects);
        }
        match duplicate_fault(message) {
            Some(fault) => self.reject(message, fault, now, effects),
            None => effects.push(Effect::Count(Counted::DuplicateIgnored)),
        }
    }

    fn too_high(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match message.kind() {
            // Both sides may miss messages: who waits for the other first would wait for ever.
            Some(Kind::ResendRequest) if message.check().is_ok() => {
                self.resend_asked(message, now, effects);
            }
            Some(Kind::Logout) => return self.logout(now, effects),
            _ => {}
        }
        self.ask_for_missing(number, now, effects);
    }

    /// Asks for all from the next number on, once until it comes or a heartbeat's time has passed.
    pub(super) fn ask_for_missing(&mut self, seen: u64, now: Now, effects: &mut Vec<Effect>) {
        let Link::Up(live) = &mut self.link else {
            return;
        };
        if let Some(asked) = &mut live.asked
            && now.ms < asked.at_ms + live.heartbeat_ms
        {
            asked.up_to = asked.up_to.max(seen);
            return;
        }
        live.asked = Some(Asked {
            up_to: seen,
            at_ms: now.ms,
        });
        effects.push(Effect::Count(Counted::ResendAsked));
        let body = Body::new()
            .count(Field::BeginSeqNo, self.next_in)
            .count(Field::EndSeqNo, 0);
        self.administrative(Kind::ResendRequest, body, now, effects);
    }

    fn next_in_turn(
        &mut self,
        message: &Message<'_>,
        number: u64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        // A gap fill moves the number itself.
        if message.kind() == Some(Kind::SequenceReset) && message.check().is_ok() {
            self.gap_fill(message, now, effects);
            return Verdict::Done;
        }
        self.consume(effects);
        let is_duplicate = message.flag(Field::PossDupFlag);
        let fault = message.check().err();
        let fault = fault.or_else(|| is_duplicate.then(|| duplicate_fault(message)).flatten());
        if let Some(fault) = fault {
            self.reject(message, fault, now, effects);
            return Verdict::Done;
        }
        match message.kind() {
            Some(Kind::Heartbeat | Kind::Reject) => {}
            Some(Kind::TestRequest) => {
                let id = message.text(Field::TestReqID).unwrap_or_default();
                let body = Body::new().text(Field::TestReqID, id);
                self.administrative(Kind::Heartbeat, body, now, effects);
            }
            Some(Kind::ResendRequest) => self.resend_asked(message, now, effects),
            Some(Kind::Logout) => self.logout(now, effects),
            _ => {
                return Verdict::Deliver {
                    msg_seq_num: number,
                    is_doubtful: is_duplicate || message.flag(Field::PossResend),
                };
            }
        }
        Verdict::Done
    }

    fn logout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.administrative(Kind::Logout, Body::new(), now, effects);
        self.confirmed(effects);
        self.hang_up(effects);
    }

    fn gap_fill(&mut self, message: &Message<'_>, now: Now, effects: &mut Vec<Effect>) {
        let new = message.count(Field::NewSeqNo).unwrap_or(0);
        if new <= self.next_in {
            self.consume(effects);
            let fault = Fault::of(Field::NewSeqNo, RejectReason::ValueIsIncorrect);
            return self.reject(message, fault, now, effects);
        }
        self.next_in = new - 1;
        self.consume(effects);
    }

    fn sequence_reset(&mut self, message: &Message<'_>, now: Now, effects: &mut Vec<Effect>) {
        if let Err(fault) = message.check() {
            return self.reject(message, fault, now, effects);
        }
        let new = message.count(Field::NewSeqNo).unwrap_or(0);
        if new < self.next_in {
            let fault = Fault::of(Field::NewSeqNo, RejectReason::ValueIsIncorrect);
            return self.reject(message, fault, now, effects);
        }
        effects.push(Effect::Count(Counted::SequenceReset));
        if new > self.next_in {
            self.next_in = new - 1;
            self.consume(effects);
        }
    }

    fn resend_asked(&mut self, message: &Message<'_>, now: Now, effects: &mut Vec<Effect>) {
        let first = message.count(Field::BeginSeqNo).unwrap_or(0);
        let last = message.count(Field::EndSeqNo).unwrap_or(0);
        if first == 0 || (last != 0 && last < first) {
            let field = if first == 0 {
                Field::BeginSeqNo
            } else {
                Field::EndSeqNo
            };
            let fault = Fault::of(field, RejectReason::ValueIsIncorrect);
            return self.reject(message, fault, now, effects);
        }
        effects.push(Effect::Count(Counted::ResendServed));
        let newest = self.next_out - 1;
        let last = if last == 0 { newest } else { last.min(newest) };
        self.resend(first, last, now, effects);
    }

    /// Sends these numbers again; what is not kept is gap-filled, or left to the owner.
    pub(super) fn resend(&mut self, first: u64, last: u64, now: Now, effects: &mut Vec<Effect>) {
        if self.defers && first < self.first_kept() && first <= last {
            self.deferred = Some((first, last));
        } else {
            self.resend_kept(first, last, now, effects);
        }
    }

    /// Sends a message again that its owner has got back, after a gap fill from `next` to it.
    pub fn resend_recalled(
        &mut self,
        next: u64,
        number: u64,
        kept: &Kept,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.fill_gap(next, number, now, effects);
        effects.push(Effect::Count(Counted::Recalled));
        self.transmit(number, kept, Some(kept.sending_time), now, effects);
    }

    /// Sends these numbers again; what is not kept is gap-filled.
    pub fn resend_kept(&mut self, first: u64, last: u64, now: Now, effects: &mut Vec<Effect>) {
        let wanted: Vec<(u64, Kept)> = self.outbox.range(first, last).cloned().collect();
        let mut next = first;
        for (number, kept) in wanted {
            self.fill_gap(next, number, now, effects);
            let first_sent = Some(kept.sending_time);
            self.transmit(number, &kept, first_sent, now, effects);
            next = number + 1;
        }
        self.fill_gap(next, last + 1, now, effects);
    }

    fn fill_gap(&mut self, from: u64, to: u64, now: Now, effects: &mut Vec<Effect>) {
        if from >= to {
            return;
        }
        let body = Body::new()
            .yes(Field::GapFillFlag)
            .count(Field::NewSeqNo, to);
        let kept = Kept {
            kind: Kind::SequenceReset,
            body: body.into_bytes(),
            sending_time: now.wall,
            poss_resend: false,
        };
        self.transmit(from, &kept, Some(now.wall), now, effects);
    }
}

/// What is wrong with a message that says it may be a duplicate.
fn duplicate_fault(message: &Message<'_>) -> Option<Fault> {
    let Some(first) = message.time(Field::OrigSendingTime) else {
        let reason = if message.has(Field::OrigSendingTime) {
            RejectReason::IncorrectDataFormat
        } else {
            RejectReason::RequiredTagMissing
        };
        return Some(Fault::of(Field::OrigSendingTime, reason));
    };
    let sent = message.time(Field::SendingTime)?;
    (first > sent).then(|| Fault::of(Field::SendingTime, RejectReason::SendingTimeAccuracy))
}
