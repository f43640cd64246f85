//! Logging on, and setting the numbers anew.

use super::{Link, Live, Now, Session};
use crate::dictionary::{Field, Kind};
use crate::effect::{Counted, Effect};
use crate::message::Message;
use crate::record::{Kept, Record};
use crate::write::{BEGIN_STRING, Body};
use sha2::{Digest, Sha256};

/// SHA-256 of a password, as a [`super::Profile`] holds it.
#[must_use]
pub fn password_digest(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}

/// Where a logon leaves the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbering {
    is_reset: bool,
    number: u64,
    /// What the counterparty says is our next number.
    expected: Option<u64>,
}

impl Session {
    pub(super) fn logon(&mut self, message: &Message<'_>, now: Now, effects: &mut Vec<Effect>) {
        match self.acceptable_logon(message, now) {
            Ok(numbering) => self.log_on(message, numbering, now, effects),
            Err(text) => {
                effects.push(Effect::Count(Counted::LogonRefused));
                self.refuse(&text, now, effects);
            }
        }
    }

    fn acceptable_logon(&self, message: &Message<'_>, now: Now) -> Result<Numbering, String> {
        if message.text(Field::BeginString) != Some(BEGIN_STRING) {
            return Err(format!(
                "BeginString (8) {:?} is not accepted: use {BEGIN_STRING}",
                message.text(Field::BeginString).unwrap_or_default()
            ));
        }
        message.check().map_err(|fault| fault.text(message))?;
        if let Some(fault) = self.wrong_comp_id(message) {
            return Err(fault.text(message));
        }
        if let Some(expected) = &self.profile.password_sha256 {
            let found = password_digest(message.bytes_of(Field::Password).unwrap_or_default());
            // All bytes are compared, so that the time tells nothing.
            let difference = found
                .iter()
                .zip(expected)
                .fold(0, |all, (a, b)| all | (a ^ b));
            if difference != 0 {
                return Err("Password (554) is missing or not the one of this session".to_owned());
            }
        }
        if !self.is_timely(message, now) {
            return Err(format!(
                "SendingTime (52) {:?} is not within {} s of our clock",
                message.text(Field::SendingTime).unwrap_or_default(),
                self.profile.sending_time_s_max
            ));
        }
        if message.character(Field::EncryptMethod) != Some(b'0') {
            return Err("EncryptMethod (98) is not accepted: use 0".to_owned());
        }
        let (min, max) = (self.profile.heartbeat_s_min, self.profile.heartbeat_s_max);
        let heartbeat_s = message.count(Field::HeartBtInt).unwrap_or(0);
        if !(min..=max).contains(&heartbeat_s) {
            return Err(format!(
                "HeartBtInt (108) {heartbeat_s} is not accepted: use {min} to {max} seconds"
            ));
        }
        self.acceptable_numbers(message)
    }

    fn acceptable_numbers(&self, message: &Message<'_>) -> Result<Numbering, String> {
        let number = message.count(Field::MsgSeqNum).unwrap_or(0);
        let is_reset = message.flag(Field::ResetSeqNumFlag);
        if is_reset && number != 1 {
            return Err(format!(
                "MsgSeqNum (34) {number} is not accepted with ResetSeqNumFlag (141): use 1"
            ));
        }
        if !is_reset && number < self.next_in {
            return Err(format!(
                "MsgSeqNum (34) too low: expecting {}, received {number}",
                self.next_in
            ));
        }
        let expected = message.count(Field::NextExpectedMsgSeqNum);
        let expected = expected.filter(|_| !is_reset);
        if let Some(ahead) = expected.filter(|expected| !(1..=self.next_out).contains(expected)) {
            return Err(format!(
                "NextExpectedMsgSeqNum (789) {ahead} is not accepted: our next number is {}",
                self.next_out
            ));
        }
        Ok(Numbering {
            is_reset,
            number,
            expected,
        })
    }

    fn log_on(
        &mut self,
        message: &Message<'_>,
        numbering: Numbering,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let heartbeat_s = message.count(Field::HeartBtInt).unwrap_or(0);
        let again = numbering.is_reset.then(|| self.set_anew(effects));
        self.link = Link::Up(Live {
            heartbeat_ms: heartbeat_s * 1_000,
            heard_ms: now.ms,
            spoke_ms: now.ms,
            tested_ms: None,
            asked: None,
        });
        effects.push(Effect::Count(Counted::LoggedOn));
        if numbering.number == self.next_in {
            self.consume(effects);
        }
        let before = self.next_out;
        let mut body = Body::new()
            .character(Field::EncryptMethod, b'0')
            .count(Field::HeartBtInt, heartbeat_s);
        if numbering.is_reset {
            body = body.yes(Field::ResetSeqNumFlag);
        }
        if message.has(Field::NextExpectedMsgSeqNum) {
            body = body.count(Field::NextExpectedMsgSeqNum, self.next_in);
        }
        self.administrative(Kind::Logon, body, now, effects);
        if let Some(expected) = numbering.expected {
            self.resend(expected, before - 1, now, effects);
        }
        if numbering.number > self.next_in {
            self.ask_for_missing(numbering.number, now, effects);
        }
        match again {
            Some(again) => {
                effects.push(Effect::Count(Counted::SequenceReset));
                for kept in again {
                    self.send_kept(kept, now, effects);
                }
            }
            // From here on the numbers themselves show what is missing.
            None => self.confirmed(effects),
        }
    }

    /// Both numbers become 1; gives back what may not have arrived.
    fn set_anew(&mut self, effects: &mut Vec<Effect>) -> Vec<Kept> {
        let from = self.outbox.unconfirmed_from;
        let again = self.outbox.range(from, u64::MAX).map(|(_, kept)| Kept {
            poss_resend: true,
            ..kept.clone()
        });
        let again = again.collect();
        self.next_in = 1;
        self.next_out = 1;
        self.outbox.clear(1);
        effects.push(Effect::Keep(Record::Numbers {
            next_in: 1,
            next_out: 1,
        }));
        again
    }

    /// A logon from a counterparty that is logged on: only to set the numbers anew.
    pub(super) fn logon_again(
        &mut self,
        message: &Message<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if !message.flag(Field::ResetSeqNumFlag) {
            let text = "this session is logged on already: use ResetSeqNumFlag (141) to set the \
                        numbers anew";
            return self.refuse(text, now, effects);
        }
        // What was sent on this connection arrives on it.
        self.confirmed(effects);
        self.logon(message, now, effects);
    }
}
