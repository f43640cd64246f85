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
//! What is asked for again and no longer kept is read in the log again: it comes under its number, with
//! its first body. Only what the log itself does not give any more, because a snapshot has taken its
//! place, is gap-filled, and the counterparty is told so by a text.
//!
//! A desk without any record of what it told, such as on the disk of another center, cannot know what
//! the counterparty has: it tells everything the log still holds, marked `PossResend`, and the
//! `ExecID`s, the core's own numbers, say which the counterparty has already.

use crate::places::Places;
use crate::recall::{RECALL_MS_MAX, Recall};
use crate::{Copy, Position};
use fix::dictionary::{Field, Kind};
use fix::message::Message;
use fix::session::{Now, Profile, Session, Verdict};
use fix::write::Body;
use fix::{Counted, Effect, Kept, Record};
use std::collections::BTreeSet;
use types::{AccountId, LogIndex};

/// `BusinessRejectReason` of a kind of message that is not for this session.
const UNSUPPORTED: u64 = 3;
/// `BusinessRejectReason` of what its text says.
const OTHER: u64 = 0;

/// Who listens, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskOptions {
    /// The FIX session.
    pub profile: Profile,
    /// The accounts that it may hear of.
    pub accounts: BTreeSet<AccountId>,
    /// Copies whose places in the log are known, so that they can be given again long after their
    /// bodies are forgotten.
    pub recall_messages_max: usize,
}

/// One counterparty's drop copy.
#[derive(Clone, Debug)]
pub struct Desk {
    options: DeskOptions,
    session: Session,
    told: Position,
    /// What is old may have been told under other numbers.
    is_doubtful: bool,
    places: Places,
    recall: Option<Recall>,
    recalls: u64,
}

impl Desk {
    /// A desk from what was kept of it, oldest first.
    #[must_use]
    pub fn new(options: DeskOptions, records: impl IntoIterator<Item = Record>) -> Self {
        let mut desk = Self {
            session: Session::new(options.profile.clone()).deferring(),
            places: Places::new(options.recall_messages_max),
            options,
            told: Position::default(),
            is_doubtful: false,
            recall: None,
            recalls: 0,
        };
        for record in records {
            desk.session.fold(&record);
            desk.places.note(&record);
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
        records.extend(self.places.records());
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
        self.recall = None;
        self.session.disconnected();
    }

    /// Takes a message of the counterparty.
    pub fn receive(&mut self, bytes: &[u8], now: Now, effects: &mut Vec<Effect>) {
        let Ok(message) = Message::read(bytes) else {
            return self.session.garbled(effects);
        };
        let before = effects.len();
        let verdict = self.session.receive(&message, now, effects);
        self.note(&effects[before..]);
        self.begin_recall(now, effects);
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
        let before = effects.len();
        self.told = copy.position;
        self.is_doubtful &= is_old;
        effects.push(Effect::Keep(copied(copy.position)));
        effects.push(Effect::Count(Counted::Reported));
        let (kind, doubtful) = (Kind::ExecutionReport, self.is_doubtful);
        self.session
            .send_marked(kind, copy.report, doubtful, now, effects);
        self.note(&effects[before..]);
    }

    fn note(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Keep(record) = effect {
                self.places.note(record);
            }
        }
    }

    /// What the log is to be read for again: the number of the recall, and behind which position.
    /// While there is one, no new copies are told.
    #[must_use]
    pub fn recalls(&self) -> Option<(u64, Position)> {
        let recall = self.recall.as_ref()?;
        Some((recall.number, recall.after))
    }

    /// Takes up a request for what is no longer kept.
    fn begin_recall(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some((first, last)) = self.session.take_deferred() else {
            return;
        };
        let end = self.session.first_kept().min(last + 1);
        let (wanted, too_old) = self.places.between(first, end);
        self.recalls += 1;
        let asked = (first, last);
        let recall = Recall::new(self.recalls, asked, wanted, too_old.min(last), now);
        self.recall = Some(recall);
        self.end_recall(now, effects);
    }

    /// Takes a copy that was read again, in the log's order from where [`Desk::recalls`] says.
    pub fn recalled(&mut self, copy: Copy, now: Now, effects: &mut Vec<Effect>) {
        let Some(recall) = &mut self.recall else {
            return;
        };
        if let Some(place) = recall.take(&copy, now) {
            let kept = Kept {
                kind: Kind::ExecutionReport,
                body: copy.report.into_bytes(),
                sending_time: place.sending_time,
                poss_resend: place.poss_resend,
            };
            let next = std::mem::replace(&mut recall.next, place.msg_seq_num + 1);
            let number = place.msg_seq_num;
            self.session
                .resend_recalled(next, number, &kept, now, effects);
        }
        self.end_recall(now, effects);
    }

    /// The log was read again up to and with this entry.
    pub fn recalled_until(&mut self, index: LogIndex, now: Now, effects: &mut Vec<Effect>) {
        if let Some(recall) = &mut self.recall {
            recall.read_until(index, now);
            self.end_recall(now, effects);
        }
    }

    /// Gives the rest as it is kept, when nothing more is to come out of the log, and says what could
    /// not be given.
    fn end_recall(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(recall) = self.recall.take_if(|recall| recall.is_over()) else {
            return;
        };
        self.session
            .resend_kept(recall.next, recall.last, now, effects);
        if recall.missing == 0 {
            return;
        }
        effects.push(Effect::Count(Counted::RecallIncomplete));
        let text = format!(
            "of the messages asked for up to {}, {} are no longer in the log and were gap-filled: \
             compare with the trading sessions' own reports",
            recall.last, recall.missing
        );
        let body = Body::new()
            .text(Field::RefMsgType, Kind::ResendRequest.msg_type())
            .count(Field::BusinessRejectReason, OTHER)
            .text(Field::Text, &text);
        self.session
            .send(Kind::BusinessMessageReject, body, now, effects);
    }

    /// Ends the session for now, with a reason.
    pub fn log_out(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        self.session.log_out(text, now, effects);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_stuck = |recall: &Recall| now.ms >= recall.progress_ms + RECALL_MS_MAX;
        if self.recall.take_if(|recall| is_stuck(recall)).is_some() {
            let text = "the log cannot be read now: connect again and ask again";
            return self.session.log_out(text, now, effects);
        }
        self.session.tick(now, effects);
    }

    /// When [`Desk::tick`] is due next.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let recall = self.recall.as_ref();
        let recall = recall.map(|recall| recall.progress_ms + RECALL_MS_MAX);
        let session = self.session.deadline_ms();
        [session, recall].into_iter().flatten().min()
    }
}

fn copied(position: Position) -> Record {
    Record::Copied {
        index: position.index,
        message: position.message,
    }
}
