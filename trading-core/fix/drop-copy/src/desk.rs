//! A drop copy as a FIX session: copies out of the log on one side, the counterparty on the other.
//!
//! ```text
//!   Copy (position, report) ─► position kept, then numbered and kept ─► ExecutionReport
//!   FIX messages ─► Session: logon, heartbeats, resends; requests are refused
//! ```
//!
//! The log is what waits, not the session: copies are taken only while the counterparty is logged on
//! and reads, so a counterparty that is away for a day costs nothing and loses nothing. Each position
//! is kept before its message is sent; after a restart reading goes on behind the last one.
//!
//! A desk without any record of what it told, such as on the disk of another center, cannot know what
//! the counterparty has: it tells everything the log still holds, marked `PossResend`, and the
//! `ExecID`s, the core's own numbers, say which the counterparty has already.

use crate::{Copy, Position};
use fix::dictionary::{Field, Kind};
use fix::message::Message;
use fix::session::{Now, Profile, Session, Verdict};
use fix::write::Body;
use fix::{Counted, Effect, Record};
use std::collections::BTreeSet;
use types::AccountId;

/// `BusinessRejectReason` of a kind of message that is not for this session.
const UNSUPPORTED: u64 = 3;

/// Who listens, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskOptions {
    /// The FIX session.
    pub profile: Profile,
    /// The accounts that it may hear of.
    pub accounts: BTreeSet<AccountId>,
}

/// One counterparty's drop copy.
#[derive(Clone, Debug)]
pub struct Desk {
    options: DeskOptions,
    session: Session,
    told: Position,
    /// What is old may have been told under other numbers.
    is_doubtful: bool,
}

impl Desk {
    /// A desk from what was kept of it, oldest first.
    #[must_use]
    pub fn new(options: DeskOptions, records: impl IntoIterator<Item = Record>) -> Self {
        let mut desk = Self {
            session: Session::new(options.profile.clone()),
            options,
            told: Position::default(),
            is_doubtful: false,
        };
        for record in records {
            desk.session.fold(&record);
            if let Record::Copied { index, message } = record {
                desk.told = Position { index, message };
            }
        }
        desk.is_doubtful = desk.told == Position::default();
        desk
    }

    /// The records that give this state back, in place of all before.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.session.records().collect();
        records.push(Record::In {
            next_in: self.session.next_in(),
        });
        if self.told > Position::default() {
            records.push(copied(self.told));
        }
        records
    }

    /// The latest records may be missing, such as after a loss of power: our numbers go on after
    /// those that may have been used, and what is old is marked as told before.
    pub fn records_may_be_missing(&mut self, next_out: u64, effects: &mut Vec<Effect>) {
        self.session.skip_to(next_out, effects);
        self.is_doubtful = true;
    }

    /// The session's state.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The last copy told: the log is read on behind it.
    #[must_use]
    pub fn told(&self) -> Position {
        self.told
    }

    /// The accounts that it may hear of.
    #[must_use]
    pub fn accounts(&self) -> &BTreeSet<AccountId> {
        &self.options.accounts
    }

    /// The counterparty has connected.
    pub fn connected(&mut self, now: Now) {
        self.session.connected(now);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.session.disconnected();
    }

    /// Takes a message of the counterparty.
    pub fn receive(&mut self, bytes: &[u8], now: Now, effects: &mut Vec<Effect>) {
        let Ok(message) = Message::read(bytes) else {
            return self.session.garbled(effects);
        };
        let verdict = self.session.receive(&message, now, effects);
        let Verdict::Deliver { msg_seq_num, .. } = verdict else {
            return;
        };
        effects.push(Effect::Count(Counted::BusinessRejected));
        let kind = message.text(Field::MsgType).unwrap_or_default();
        let body = Body::new()
            .count(Field::RefSeqNum, msg_seq_num)
            .text(Field::RefMsgType, kind)
            .count(Field::BusinessRejectReason, UNSUPPORTED)
            .text(
                Field::Text,
                "a drop copy session only listens: use a trading session",
            );
        self.session
            .send(Kind::BusinessMessageReject, body, now, effects);
    }

    /// What came was no message.
    pub fn garbled(&mut self, effects: &mut Vec<Effect>) {
        self.session.garbled(effects);
    }

    /// Tells a copy; `is_old` says that it was in the log before this process read it for the first
    /// time. One that has been told, or is of an account that the counterparty may not hear of, is
    /// dropped.
    pub fn copy(&mut self, copy: Copy, is_old: bool, now: Now, effects: &mut Vec<Effect>) {
        if copy.position <= self.told || !self.options.accounts.contains(&copy.account) {
            return;
        }
        self.told = copy.position;
        self.is_doubtful &= is_old;
        effects.push(Effect::Keep(copied(copy.position)));
        effects.push(Effect::Count(Counted::Reported));
        let (kind, doubtful) = (Kind::ExecutionReport, self.is_doubtful);
        self.session
            .send_marked(kind, copy.report, doubtful, now, effects);
    }

    /// Ends the session for now, with a reason.
    pub fn log_out(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        self.session.log_out(text, now, effects);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.session.tick(now, effects);
    }

    /// When [`Desk::tick`] is due next.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        self.session.deadline_ms()
    }
}

fn copied(position: Position) -> Record {
    Record::Copied {
        index: position.index,
        message: position.message,
    }
}
