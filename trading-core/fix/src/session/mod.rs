//! The FIX session of one counterparty, without socket and clock: messages and time in, effects out.
//!
//! ```text
//!            connect             Logon               Logout, or ours answered
//!   Down ─────────────► Awaiting ──────► Up ──────────────────────────────────► Down
//!     ▲                    │             │ ours sent        ▲
//!     └── no logon, refused┘             └─► LoggingOut ────┘ answered or too late
//! ```
//!
//! # Guarantees
//! - A message of the counterparty is taken once, in the order of the numbers. One that is missing is
//!   asked for; what comes meanwhile is dropped, for it comes again.
//! - Each message of ours has a number of its own, kept ([`Effect::Keep`]) before it is sent.
//! - What is asked for again comes with its first body, `PossDupFlag` and `OrigSendingTime`;
//!   administrative messages and those no longer kept are gap-filled.
//! - When the numbers are set anew, what may not have arrived is sent again under new numbers with
//!   `PossResend`, so that a reset loses no report.

mod inbound;
mod logon;
mod outbox;

use crate::dictionary::Kind;
use crate::effect::{Counted, Effect};
use crate::message::{Fault, Message};
use crate::record::{Kept, Record};
use crate::write::{self, Body, Header};
use outbox::Outbox;
use types::UnixMicros;

pub use logon::password_digest;

/// Time, as the shell reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, for `SendingTime`.
    pub wall: UnixMicros,
    /// Milliseconds of any clock that never goes back, for timers.
    pub ms: u64,
}

/// Who speaks, and the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Our `CompID`.
    pub comp_id: String,
    /// The counterparty's.
    pub counterparty: String,
    /// SHA-256 of the `Password` (554) that its logon must carry.
    pub password_sha256: Option<[u8; 32]>,
    /// Shortest `HeartBtInt` accepted, in seconds, at least 1.
    pub heartbeat_s_min: u64,
    /// Longest.
    pub heartbeat_s_max: u64,
    /// How far `SendingTime` may be from our clock, in seconds.
    pub sending_time_s_max: u64,
    /// How many messages are kept to be sent again.
    pub resend_messages_max: usize,
}

/// A connection must log on within this time, in milliseconds.
pub const LOGON_MS_MAX: u64 = 10_000;
/// Our logout is waited for so long, in milliseconds.
pub const LOGOUT_MS_MAX: u64 = 2_000;
/// So many garbled messages in a row end the connection.
pub const GARBLED_IN_A_ROW_MAX: u32 = 16;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session has dealt with it.
    Done,
    /// It is for the application, and next in turn.
    Deliver {
        /// Its number.
        msg_seq_num: u64,
        /// It may have been taken before, under this number or another.
        is_doubtful: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Awaiting { since_ms: u64 },
    Up(Live),
    LoggingOut { until_ms: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Live {
    heartbeat_ms: u64,
    heard_ms: u64,
    spoke_ms: u64,
    /// When a test request was sent that nothing answered yet.
    tested_ms: Option<u64>,
    asked: Option<Asked>,
}

/// Messages that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// The highest number that was seen.
    up_to: u64,
    at_ms: u64,
}

impl Live {
    /// The counterparty may be late by a fifth before it is asked.
    fn patience_ms(&self) -> u64 {
        self.heartbeat_ms + self.heartbeat_ms / 5
    }
}

/// One counterparty's session.
#[derive(Clone, Debug)]
pub struct Session {
    profile: Profile,
    next_in: u64,
    next_out: u64,
    outbox: Outbox,
    link: Link,
    garbled_in_a_row: u32,
    /// What is no longer kept is not gap-filled by itself.
    defers: bool,
    deferred: Option<(u64, u64)>,
}

impl Session {
    /// A session before its first message.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            outbox: Outbox::new(profile.resend_messages_max),
            profile,
            next_in: 1,
            next_out: 1,
            link: Link::Down,
            garbled_in_a_row: 0,
            defers: false,
            deferred: None,
        }
    }

    /// A session whose owner can give again what is no longer kept: a request for such messages waits
    /// in [`Session::take_deferred`].
    #[must_use]
    pub fn deferring(mut self) -> Self {
        self.defers = true;
        self
    }

    /// The first and the last number of a request that begins before what is kept. Its owner answers
    /// it, by [`Session::resend_recalled`] and at last [`Session::resend_kept`].
    pub fn take_deferred(&mut self) -> Option<(u64, u64)> {
        self.deferred.take()
    }

    /// The first number that is kept; the next one, when none is.
    #[must_use]
    pub fn first_kept(&self) -> u64 {
        self.outbox.first_kept().unwrap_or(self.next_out)
    }

    /// Takes in a record from before the process began.
    pub fn fold(&mut self, record: &Record) {
        match record {
            Record::Numbers { next_in, next_out } => {
                self.next_in = *next_in;
                self.next_out = *next_out;
                self.outbox.clear(*next_out);
            }
            Record::In { next_in } => self.next_in = *next_in,
            Record::Out { msg_seq_num, kept } => {
                self.next_out = msg_seq_num + 1;
                if let Some(kept) = kept {
                    self.outbox.keep(*msg_seq_num, kept.clone());
                }
            }
            Record::Unconfirmed { from } => self.outbox.unconfirmed_from = *from,
            Record::Entered { .. }
            | Record::Told(_)
            | Record::Seen { .. }
            | Record::Orders(_)
            | Record::Copied { .. }
            | Record::Placed { .. } => {}
        }
    }

    /// The records that give this state back.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let numbers = Record::Numbers {
            next_in: self.next_in,
            next_out: self.outbox.first_kept().unwrap_or(self.next_out),
        };
        let kept = self.outbox.iter().map(|(number, kept)| Record::Out {
            msg_seq_num: *number,
            kept: Some(kept.clone()),
        });
        // The last number may be an administrative message's.
        let last = (self.next_out > 1).then(|| Record::Out {
            msg_seq_num: self.next_out - 1,
            kept: self.outbox.get(self.next_out - 1).cloned(),
        });
        let unconfirmed = Record::Unconfirmed {
            from: self.outbox.unconfirmed_from,
        };
        std::iter::once(numbers)
            .chain(kept)
            .chain(last)
            .chain(std::iter::once(unconfirmed))
    }

    /// Numbers below this one may have been used: what is kept does not tell. They are gap-filled
    /// when asked for.
    pub fn skip_to(&mut self, next_out: u64, effects: &mut Vec<Effect>) {
        if next_out > self.next_out {
            self.next_out = next_out;
            effects.push(Effect::Keep(Record::Out {
                msg_seq_num: next_out - 1,
                kept: None,
            }));
        }
    }

    /// The counterparty's messages from this number on are wanted again.
    pub fn take_again_from(&mut self, next_in: u64, effects: &mut Vec<Effect>) {
        if next_in < self.next_in {
            self.next_in = next_in;
            effects.push(Effect::Keep(Record::In { next_in }));
        }
    }

    /// The counterparty has connected.
    pub fn connected(&mut self, now: Now) {
        self.garbled_in_a_row = 0;
        self.deferred = None;
        self.link = Link::Awaiting { since_ms: now.ms };
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.link = Link::Down;
    }

    /// Whether the counterparty is logged on.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !matches!(self.link, Link::Down)
    }

    /// The number of the counterparty's next message.
    #[must_use]
    pub fn next_in(&self) -> u64 {
        self.next_in
    }

    /// The number of our next message.
    #[must_use]
    pub fn next_out(&self) -> u64 {
        self.next_out
    }

    /// What came was no message.
    pub fn garbled(&mut self, effects: &mut Vec<Effect>) {
        self.garbled_in_a_row += 1;
        effects.push(Effect::Count(Counted::Garbled));
        if self.garbled_in_a_row >= GARBLED_IN_A_ROW_MAX {
            self.hang_up(effects);
        }
    }

    /// Takes a message.
    pub fn receive(
        &mut self,
        message: &Message<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        self.garbled_in_a_row = 0;
        match &mut self.link {
            Link::Down => {}
            Link::Awaiting { .. } => {
                if message.kind() == Some(Kind::Logon) {
                    self.logon(message, now, effects);
                } else {
                    effects.push(Effect::Count(Counted::LogonRefused));
                    self.hang_up(effects);
                }
            }
            Link::LoggingOut { .. } => {
                if message.kind() == Some(Kind::Logout) {
                    self.logout_answered(message, effects);
                }
            }
            Link::Up(live) => {
                live.heard_ms = now.ms;
                live.tested_ms = None;
                return self.inbound(message, now, effects);
            }
        }
        Verdict::Done
    }

    fn logout_answered(&mut self, message: &Message<'_>, effects: &mut Vec<Effect>) {
        if message.count(crate::dictionary::Field::MsgSeqNum) == Some(self.next_in) {
            self.consume(effects);
        }
        self.confirmed(effects);
        self.hang_up(effects);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (test, beat) = match &mut self.link {
            Link::Down => return,
            Link::Awaiting { since_ms } if now.ms >= *since_ms + LOGON_MS_MAX => {
                effects.push(Effect::Count(Counted::LogonRefused));
                return self.hang_up(effects);
            }
            Link::LoggingOut { until_ms } if now.ms >= *until_ms => return self.hang_up(effects),
            Link::Awaiting { .. } | Link::LoggingOut { .. } => return,
            Link::Up(live) => {
                let patience = live.patience_ms();
                if let Some(tested_ms) = live.tested_ms
                    && now.ms >= tested_ms + patience
                {
                    effects.push(Effect::Count(Counted::Silent));
                    return self.hang_up(effects);
                }
                let test = live.tested_ms.is_none() && now.ms >= live.heard_ms + patience;
                if test {
                    live.tested_ms = Some(now.ms);
                }
                (test, now.ms >= live.spoke_ms + live.heartbeat_ms)
            }
        };
        if test {
            let id = format!("TEST-{}", self.next_out);
            let body = Body::new().text(crate::dictionary::Field::TestReqID, &id);
            effects.push(Effect::Count(Counted::TestRequested));
            self.administrative(Kind::TestRequest, body, now, effects);
        } else if beat {
            self.administrative(Kind::Heartbeat, Body::new(), now, effects);
        }
    }

    /// When [`Session::tick`] is due next.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        match &self.link {
            Link::Down => None,
            Link::Awaiting { since_ms } => Some(since_ms + LOGON_MS_MAX),
            Link::LoggingOut { until_ms } => Some(*until_ms),
            Link::Up(live) => {
                let silence = live.tested_ms.unwrap_or(live.heard_ms) + live.patience_ms();
                Some(silence.min(live.spoke_ms + live.heartbeat_ms))
            }
        }
    }

    /// Sends an application message, now or when it is asked for after the next logon.
    pub fn send(&mut self, kind: Kind, body: Body, now: Now, effects: &mut Vec<Effect>) {
        self.send_marked(kind, body, false, now, effects);
    }

    /// The same, marked `PossResend` when it may have been sent under another number.
    pub fn send_marked(
        &mut self,
        kind: Kind,
        body: Body,
        poss_resend: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let kept = Kept {
            kind,
            body: body.into_bytes(),
            sending_time: now.wall,
            poss_resend,
        };
        self.send_kept(kept, now, effects);
    }

    fn send_kept(&mut self, kept: Kept, now: Now, effects: &mut Vec<Effect>) {
        let msg_seq_num = self.next_out;
        self.next_out += 1;
        effects.push(Effect::Keep(Record::Out {
            msg_seq_num,
            kept: Some(kept.clone()),
        }));
        if self.is_up() {
            self.transmit(msg_seq_num, &kept, None, now, effects);
        }
        if self.outbox.keep(msg_seq_num, kept) {
            effects.push(Effect::Count(Counted::ResendForgotten));
        }
    }

    /// Ends the session for now: says why, and waits for the answer.
    pub fn log_out(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        if self.is_up() {
            self.say_logout(text, now, effects);
            self.link = Link::LoggingOut {
                until_ms: now.ms + LOGOUT_MS_MAX,
            };
        } else if self.is_connected() {
            self.hang_up(effects);
        }
    }

    fn say_logout(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        let body = Body::new().text(crate::dictionary::Field::Text, text);
        self.administrative(Kind::Logout, body, now, effects);
    }

    /// Ends the connection with a reason, for what cannot be gone on with.
    fn refuse(&mut self, text: &str, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Count(Counted::LoggedOutForFault));
        self.say_logout(text, now, effects);
        self.hang_up(effects);
    }

    fn hang_up(&mut self, effects: &mut Vec<Effect>) {
        self.link = Link::Down;
        effects.push(Effect::Disconnect);
    }

    /// Sends a message that is never sent again.
    fn administrative(&mut self, kind: Kind, body: Body, now: Now, effects: &mut Vec<Effect>) {
        let msg_seq_num = self.next_out;
        self.next_out += 1;
        effects.push(Effect::Keep(Record::Out {
            msg_seq_num,
            kept: None,
        }));
        let kept = Kept {
            kind,
            body: body.into_bytes(),
            sending_time: now.wall,
            poss_resend: false,
        };
        self.transmit(msg_seq_num, &kept, None, now, effects);
    }

    fn transmit(
        &mut self,
        msg_seq_num: u64,
        kept: &Kept,
        orig_sending_time: Option<UnixMicros>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let header = Header {
            kind: kept.kind,
            sender: &self.profile.comp_id,
            target: &self.profile.counterparty,
            msg_seq_num,
            sending_time: now.wall,
            orig_sending_time,
            poss_resend: kept.poss_resend,
        };
        let mut bytes = Vec::with_capacity(kept.body.len() + 160);
        write::message(&mut bytes, &header, &kept.body);
        effects.push(Effect::Transmit(bytes));
        if let Link::Up(live) = &mut self.link {
            live.spoke_ms = now.ms;
        }
    }

    fn consume(&mut self, effects: &mut Vec<Effect>) {
        self.next_in += 1;
        effects.push(Effect::Keep(Record::In {
            next_in: self.next_in,
        }));
        if let Link::Up(live) = &mut self.link
            && live.asked.is_some_and(|asked| asked.up_to < self.next_in)
        {
            live.asked = None;
        }
    }

    fn confirmed(&mut self, effects: &mut Vec<Effect>) {
        if self.outbox.unconfirmed_from != self.next_out {
            self.outbox.unconfirmed_from = self.next_out;
            effects.push(Effect::Keep(Record::Unconfirmed {
                from: self.next_out,
            }));
        }
    }

    fn reject(&mut self, message: &Message<'_>, fault: Fault, now: Now, effects: &mut Vec<Effect>) {
        use crate::dictionary::Field;
        effects.push(Effect::Count(Counted::Rejected));
        let number = message.count(Field::MsgSeqNum).unwrap_or(0);
        let mut body = Body::new().count(Field::RefSeqNum, number);
        if fault.tag != 0 {
            body = body.count(Field::RefTagID, fault.tag.into());
        }
        let body = body
            .when(message.text(Field::MsgType), |body, it| {
                body.text(Field::RefMsgType, it)
            })
            .count(Field::SessionRejectReason, fault.reason.code())
            .text(Field::Text, &fault.text(message));
        self.administrative(Kind::Reject, body, now, effects);
    }
}
