//! An order session without sockets and clock: inputs in, effects out.
//!
//! ```text
//!           Connect             Connected           LogonAck
//!  Waiting ────────► Connecting ────────► LoggingOn ────────► LoggedOn
//!     ▲                  │                    │                   │
//!     └── backoff ───────┴─── broken, silent, too slow, a gap ────┘        Ended: refused for good
//! ```
//!
//! # Guarantees
//! - Requests carry the numbers 1, 2, 3 … that the core expects; one that was not answered is sent
//!   again after each logon, in order, with its number and content.
//! - No message of an older epoch than one seen is taken, and such messages do not keep an entry
//!   alive.
//! - Messages are told in the order of their numbers; one that is missing makes the session log on
//!   again, so that it is replayed.
//! - At most `in_flight_max` requests are open; one more is refused and counted.

use protocol::order::server_message::Body;
use protocol::order::{ClientMessage, LogonAck, Report, ServerMessage};
use protocol::order_entry::{Logon, logon_for, request_message};
use std::collections::BTreeMap;
use types::{AccountId, ClientSeq, Epoch, OutSeq, Request, SessionId, ShardId};

/// Who trades, and the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The session.
    pub session: SessionId,
    /// The account that it trades for.
    pub account: AccountId,
    /// How many requests may be open.
    pub in_flight_max: usize,
    /// Where the jitter of the backoff begins.
    pub seed: u64,
    /// Times.
    pub timing: Timing,
}

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An entry that said nothing for this long is dead; the core speaks each 200 ms.
    pub silence_ms_max: u64,
    /// A logon must be answered within this time, whatever else is heard.
    pub logon_ms_max: u64,
    /// So must a request.
    pub answer_ms_max: u64,
    /// First pause before another entry is tried.
    pub backoff_ms_min: u64,
    /// Longest pause.
    pub backoff_ms_max: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            silence_ms_max: 700,
            logon_ms_max: 1_500,
            answer_ms_max: 3_000,
            backoff_ms_min: 20,
            backoff_ms_max: 500,
        }
    }
}

/// What happens to the session.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The entry took the connection; the logon is under way.
    Connected,
    /// The connection could not be made, or ended.
    Broken {
        /// As the connection says.
        reason: String,
    },
    /// The core said something.
    Received(ServerMessage),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Connect to this entry and send the logon first.
    Connect {
        /// Place in the list of entries.
        entry: usize,
        /// The first message.
        logon: ClientMessage,
    },
    /// Drop the connection.
    Disconnect,
    /// Send on the connection.
    Send(ClientMessage),
    /// Tell the owner.
    Tell(Event),
}

/// What the session's owner is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session is open; replayed messages and what is sent again follow.
    LoggedOn {
        /// Place in the list of entries.
        entry: usize,
        /// The epoch of the leader that answered.
        epoch: Epoch,
        /// The last message that the session had said it has.
        last_out_seq_seen: OutSeq,
        /// The number that the core expects next.
        next_client_seq: ClientSeq,
        /// The number of the next message.
        next_out_seq: OutSeq,
        /// Messages that were missed and are no longer kept.
        replay_missing: u64,
    },
    /// A message.
    Report {
        /// The epoch of the leader that sent it.
        epoch: Epoch,
        /// The message.
        report: Report,
        /// It is the answer to a request that was open until now.
        answers: Option<ClientSeq>,
    },
    /// A request is sent again.
    SentAgain {
        /// Its number.
        client_seq: ClientSeq,
        /// The request.
        request: Request,
    },
    /// The entry is given up; another is tried.
    EntryLost {
        /// Place in the list of entries.
        entry: usize,
        /// Why.
        reason: String,
    },
    /// The core refused for good; nothing more will come.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// Why a session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The core does not let the session in.
    #[error("session {session} was refused: {code}: {text}")]
    LogonRefused {
        /// The session.
        session: SessionId,
        /// The reason's code.
        code: u32,
        /// The reason.
        text: String,
    },
    /// The core could not read a request.
    #[error("request {client_seq} could not be read: {field}: {text}")]
    Unreadable {
        /// The request's number, which stays free.
        client_seq: ClientSeq,
        /// The field.
        field: String,
        /// What is accepted.
        text: String,
    },
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The first logon has not been answered.
    #[error("failed to send: session {session} has not logged on yet: wait for LoggedOn")]
    NotLoggedOn {
        /// The session.
        session: SessionId,
    },
    /// Too many requests are open.
    #[error("failed to send: session {session} has {max} requests open, as many as it may")]
    Full {
        /// The session.
        session: SessionId,
        /// The bound.
        max: usize,
    },
    /// The session has ended.
    #[error("failed to send: {0}")]
    Ended(EndReason),
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Logons answered.
    pub logons: u64,
    /// Entries given up.
    pub entries_lost: u64,
    /// Requests sent again.
    pub sent_again: u64,
    /// Messages of an older epoch, dropped.
    pub stale_messages: u64,
    /// Requests refused because too many were open.
    pub refused_full: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    Waiting { until_ms: u64 },
    Connecting { since_ms: u64 },
    LoggingOn { since_ms: u64, heard_ms: u64 },
    LoggedOn { heard_ms: u64 },
    Ended { reason: EndReason },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    request: Request,
    /// When it was last sent; `None` while it waits for a logon.
    sent_ms: Option<u64>,
}

/// One session's state. Times are milliseconds of any clock that never goes back.
#[derive(Clone, Debug)]
pub struct State {
    options: SessionOptions,
    shard: Option<ShardId>,
    entries: usize,
    entry: usize,
    link: Link,
    open: BTreeMap<ClientSeq, Open>,
    next_client_seq: Option<ClientSeq>,
    last_out_seq: OutSeq,
    epoch: Epoch,
    failures: u32,
    jitter: u64,
    counters: Counters,
}

impl State {
    /// A session that connects at its first [`Input::Tick`]; `entries` is how many there are, at
    /// least one, and `first` the one to begin with.
    #[must_use]
    pub fn new(options: SessionOptions, entries: usize, first: usize) -> Self {
        let entries = entries.max(1);
        Self {
            jitter: options.seed,
            options,
            shard: None,
            entries,
            entry: first % entries,
            link: Link::Waiting { until_ms: 0 },
            open: BTreeMap::new(),
            next_client_seq: None,
            last_out_seq: OutSeq(0),
            epoch: Epoch(0),
            failures: 0,
            counters: Counters::default(),
        }
    }

    /// Says in each logon which shard the session is of, for entries in front of several.
    #[must_use]
    pub fn of_shard(mut self, shard: ShardId) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Goes on after a message that an earlier process took: only later ones are replayed.
    #[must_use]
    pub fn resume_after(mut self, last_out_seq: OutSeq) -> Self {
        self.last_out_seq = last_out_seq;
        self
    }

    /// The number that the next [`State::submit`] takes.
    ///
    /// # Errors
    /// As [`State::submit`] would.
    pub fn next_client_seq(&self) -> Result<ClientSeq, SubmitError> {
        let session = self.options.session;
        if let Link::Ended { reason } = &self.link {
            return Err(SubmitError::Ended(reason.clone()));
        }
        let next = self
            .next_client_seq
            .ok_or(SubmitError::NotLoggedOn { session })?;
        let max = self.options.in_flight_max;
        if self.open.len() >= max {
            return Err(SubmitError::Full { session, max });
        }
        Ok(next)
    }

    /// Numbers a request and sends it, now or after the next logon.
    ///
    /// # Errors
    /// [`SubmitError`]: nothing was numbered or sent.
    pub fn submit(
        &mut self,
        request: Request,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<ClientSeq, SubmitError> {
        let client_seq = self.next_client_seq().inspect_err(|error| {
            if matches!(error, SubmitError::Full { .. }) {
                self.counters.refused_full += 1;
            }
        })?;
        let sent_ms = matches!(self.link, Link::LoggedOn { .. }).then(|| {
            effects.push(Effect::Send(request_message(client_seq, &request)));
            now_ms
        });
        self.open.insert(client_seq, Open { request, sent_ms });
        self.next_client_seq = Some(ClientSeq(client_seq.0 + 1));
        Ok(client_seq)
    }

    /// Takes in what happened and appends what to do.
    pub fn update(&mut self, input: Input, now_ms: u64, effects: &mut Vec<Effect>) {
        if matches!(self.link, Link::Ended { .. }) {
            return;
        }
        match input {
            Input::Tick => self.tick(now_ms, effects),
            Input::Connected => {
                if let Link::Connecting { since_ms } = self.link {
                    self.link = Link::LoggingOn {
                        since_ms,
                        heard_ms: now_ms,
                    };
                }
            }
            Input::Broken { reason } => {
                if !matches!(self.link, Link::Waiting { .. }) {
                    self.leave_entry(reason, now_ms, effects);
                }
            }
            Input::Received(message) => self.received(message, now_ms, effects),
        }
    }

    /// When [`Input::Tick`] is due next; `None` when the session has ended.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let timing = &self.options.timing;
        Some(match &self.link {
            Link::Waiting { until_ms } => *until_ms,
            Link::Connecting { since_ms } => since_ms + timing.silence_ms_max,
            Link::LoggingOn { since_ms, heard_ms } => {
                (since_ms + timing.logon_ms_max).min(heard_ms + timing.silence_ms_max)
            }
            Link::LoggedOn { heard_ms } => {
                let silence = heard_ms + timing.silence_ms_max;
                let oldest = self.open.values().next().and_then(|open| open.sent_ms);
                oldest.map_or(silence, |sent| silence.min(sent + timing.answer_ms_max))
            }
            Link::Ended { .. } => return None,
        })
    }

    fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.deadline_ms().is_none_or(|deadline| now_ms < deadline) {
            return;
        }
        let timing = self.options.timing;
        let reason = match &self.link {
            Link::Ended { .. } => return,
            Link::Waiting { .. } => {
                self.link = Link::Connecting { since_ms: now_ms };
                effects.push(Effect::Connect {
                    entry: self.entry,
                    logon: logon_for(
                        Logon::new(
                            self.options.session,
                            self.options.account,
                            self.last_out_seq,
                        ),
                        self.shard,
                    ),
                });
                return;
            }
            Link::Connecting { .. } => {
                format!("no connection within {} ms", timing.silence_ms_max)
            }
            Link::LoggingOn { heard_ms, .. } | Link::LoggedOn { heard_ms }
                if now_ms >= heard_ms + timing.silence_ms_max =>
            {
                format!("nothing heard for {} ms", timing.silence_ms_max)
            }
            Link::LoggingOn { .. } => {
                format!(
                    "the logon was not answered within {} ms",
                    timing.logon_ms_max
                )
            }
            Link::LoggedOn { .. } => {
                format!(
                    "a request was not answered within {} ms",
                    timing.answer_ms_max
                )
            }
        };
        self.leave_entry(reason, now_ms, effects);
    }

    fn leave_entry(&mut self, reason: String, now_ms: u64, effects: &mut Vec<Effect>) {
        effects.push(Effect::Disconnect);
        effects.push(Effect::Tell(Event::EntryLost {
            entry: self.entry,
            reason,
        }));
        self.counters.entries_lost += 1;
        for open in self.open.values_mut() {
            open.sent_ms = None;
        }
        let until_ms = now_ms + self.next_pause_ms();
        self.entry = (self.entry + 1) % self.entries;
        self.link = Link::Waiting { until_ms };
    }

    /// Doubles from the least to the longest pause, and takes between half and all of it.
    fn next_pause_ms(&mut self) -> u64 {
        let timing = &self.options.timing;
        let doubled = timing.backoff_ms_min << self.failures.min(16);
        let pause = doubled.min(timing.backoff_ms_max);
        self.failures = self.failures.saturating_add(1);
        // SplitMix64.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.jitter;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        pause / 2 + mixed % (pause / 2 + 1)
    }

    fn received(&mut self, message: ServerMessage, now_ms: u64, effects: &mut Vec<Effect>) {
        let epoch = Epoch(message.epoch);
        if epoch < self.epoch {
            self.counters.stale_messages += 1;
            return;
        }
        match &mut self.link {
            Link::LoggingOn { heard_ms, .. } | Link::LoggedOn { heard_ms } => *heard_ms = now_ms,
            // Said before the connection was dropped.
            Link::Waiting { .. } | Link::Connecting { .. } | Link::Ended { .. } => return,
        }
        self.epoch = epoch;
        match message.body {
            None | Some(Body::Heartbeat(_)) => {}
            Some(Body::LogonAck(ack)) => self.logged_on(epoch, ack, now_ms, effects),
            Some(Body::LogonReject(reject)) => self.end(
                EndReason::LogonRefused {
                    session: self.options.session,
                    code: reject.code,
                    text: reject.text,
                },
                effects,
            ),
            Some(Body::BadRequest(bad)) => self.end(
                EndReason::Unreadable {
                    client_seq: ClientSeq(bad.client_seq),
                    field: bad.field,
                    text: bad.text,
                },
                effects,
            ),
            Some(Body::Report(report)) => {
                if report.out_seq > self.last_out_seq.0 + 1 {
                    let reason = format!(
                        "message {} came after {}",
                        report.out_seq, self.last_out_seq
                    );
                    self.leave_entry(reason, now_ms, effects);
                } else {
                    self.take(epoch, report, effects);
                }
            }
            Some(Body::SequenceGap(gap)) => {
                let reason = format!(
                    "request {} came where {} was expected",
                    gap.received, gap.expected
                );
                self.leave_entry(reason, now_ms, effects);
            }
        }
    }

    fn logged_on(&mut self, epoch: Epoch, ack: LogonAck, now_ms: u64, effects: &mut Vec<Effect>) {
        if !matches!(self.link, Link::LoggingOn { .. }) {
            return;
        }
        self.link = Link::LoggedOn { heard_ms: now_ms };
        self.failures = 0;
        self.counters.logons += 1;
        effects.push(Effect::Tell(Event::LoggedOn {
            entry: self.entry,
            epoch,
            last_out_seq_seen: self.last_out_seq,
            next_client_seq: ClientSeq(ack.next_client_seq),
            next_out_seq: OutSeq(ack.next_out_seq),
            replay_missing: ack.replay_missing,
        }));
        for report in ack.replay {
            self.take(epoch, report, effects);
        }
        let last = OutSeq(ack.next_out_seq.saturating_sub(1));
        self.last_out_seq = self.last_out_seq.max(last);
        self.next_client_seq
            .get_or_insert(ClientSeq(ack.next_client_seq));
        for (client_seq, open) in &mut self.open {
            open.sent_ms = Some(now_ms);
            self.counters.sent_again += 1;
            effects.push(Effect::Tell(Event::SentAgain {
                client_seq: *client_seq,
                request: open.request,
            }));
            effects.push(Effect::Send(request_message(*client_seq, &open.request)));
        }
    }

    fn take(&mut self, epoch: Epoch, report: Report, effects: &mut Vec<Effect>) {
        self.last_out_seq.0 = self.last_out_seq.0.max(report.out_seq);
        let request = ClientSeq(report.in_reply_to);
        let answers = self.open.remove(&request).map(|_| request);
        effects.push(Effect::Tell(Event::Report {
            epoch,
            report,
            answers,
        }));
    }

    fn end(&mut self, reason: EndReason, effects: &mut Vec<Effect>) {
        self.link = Link::Ended {
            reason: reason.clone(),
        };
        effects.push(Effect::Disconnect);
        effects.push(Effect::Tell(Event::Ended { reason }));
    }

    /// Requests without an answer, oldest first.
    pub fn open_requests(&self) -> impl Iterator<Item = ClientSeq> + '_ {
        self.open.keys().copied()
    }

    /// How many requests have no answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// The highest epoch heard.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The entry in use or tried, as its place in the list.
    #[must_use]
    pub fn entry(&self) -> usize {
        self.entry
    }

    /// Whether the session is open at this moment.
    #[must_use]
    pub fn is_logged_on(&self) -> bool {
        matches!(self.link, Link::LoggedOn { .. })
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::{Heartbeat, LogonReject, SequenceGap};
    use types::ClOrdId;

    fn state() -> State {
        State::new(
            SessionOptions {
                session: SessionId(7),
                account: AccountId(9),
                in_flight_max: 3,
                seed: 1,
                timing: Timing::default(),
            },
            3,
            0,
        )
    }

    fn message(epoch: u64, body: Body) -> Input {
        Input::Received(ServerMessage {
            epoch,
            body: Some(body),
        })
    }

    fn heartbeat(epoch: u64) -> Input {
        message(epoch, Body::Heartbeat(Heartbeat { sent_at_us: 1 }))
    }

    fn ack(epoch: u64, next_client_seq: u64, next_out_seq: u64, replay: Vec<Report>) -> Input {
        let ack = LogonAck {
            session: 7,
            next_client_seq,
            next_out_seq,
            replay,
            replay_missing: 0,
        };
        message(epoch, Body::LogonAck(ack))
    }

    fn report(out_seq: u64, in_reply_to: u64) -> Report {
        Report {
            out_seq,
            in_reply_to,
            log_seq: 1,
            epoch: 1,
            possible_duplicate: false,
            body: None,
        }
    }

    fn status(id: &str) -> Request {
        Request::Status {
            original: ClOrdId::new(id).unwrap(),
        }
    }

    fn run(state: &mut State, input: Input, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        state.update(input, now_ms, &mut effects);
        effects
    }

    /// Logged on at 0 ms in epoch 1 with next numbers 1.
    fn logged_on() -> State {
        let mut state = state();
        let connect = run(&mut state, Input::Tick, 0);
        assert!(matches!(connect[..], [Effect::Connect { entry: 0, .. }]));
        run(&mut state, Input::Connected, 0);
        run(&mut state, ack(1, 1, 1, Vec::new()), 0);
        assert!(state.is_logged_on());
        state
    }

    fn submit(state: &mut State, id: &str, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        state.submit(status(id), now_ms, &mut effects).unwrap();
        effects
    }

    fn sent(effects: &[Effect]) -> Vec<u64> {
        let sent = effects.iter().filter_map(|effect| match effect {
            Effect::Send(message) => Some(message.client_seq),
            _ => None,
        });
        sent.collect()
    }

    fn is_lost(effects: &[Effect]) -> bool {
        let lost = |effect: &Effect| matches!(effect, Effect::Tell(Event::EntryLost { .. }));
        effects.contains(&Effect::Disconnect) && effects.iter().any(lost)
    }

    /// Brings a session whose entry was lost to the next one's open connection.
    fn reconnect(state: &mut State) -> u64 {
        let due = state.deadline_ms().unwrap();
        let connect = run(state, Input::Tick, due);
        assert!(
            matches!(connect[..], [Effect::Connect { .. }]),
            "{connect:?}"
        );
        run(state, Input::Connected, due);
        due
    }

    fn broken() -> Input {
        Input::Broken {
            reason: "gone".to_owned(),
        }
    }

    #[test]
    fn nothing_is_sent_before_the_first_logon_is_answered() {
        let mut state = state();
        let refused = state.submit(status("A"), 0, &mut Vec::new()).unwrap_err();
        assert!(matches!(refused, SubmitError::NotLoggedOn { .. }));
    }

    #[test]
    fn an_entry_is_dead_after_700_ms_of_silence_and_the_next_is_tried() {
        let mut state = logged_on();
        run(&mut state, heartbeat(1), 500);
        assert!(run(&mut state, Input::Tick, 1_199).is_empty());
        assert!(is_lost(&run(&mut state, Input::Tick, 1_200)));
        let due = state.deadline_ms().unwrap();
        assert!((1_210..=1_220).contains(&due), "{due}");
        let connect = run(&mut state, Input::Tick, due);
        assert!(matches!(connect[..], [Effect::Connect { entry: 1, .. }]));
    }

    #[test]
    fn what_was_not_answered_is_sent_again_in_order_after_the_next_logon() {
        let mut state = logged_on();
        assert_eq!(sent(&submit(&mut state, "A", 1)), [1]);
        assert_eq!(sent(&submit(&mut state, "B", 2)), [2]);
        run(&mut state, message(1, Body::Report(report(1, 1))), 3);
        run(&mut state, broken(), 4);
        assert!(sent(&submit(&mut state, "C", 5)).is_empty());
        let now = reconnect(&mut state);
        let effects = run(&mut state, ack(2, 2, 2, Vec::new()), now);
        assert_eq!(sent(&effects), [2, 3]);
        assert_eq!(state.counters().sent_again, 2);
    }

    #[test]
    fn what_the_replay_answers_is_not_sent_again() {
        let mut state = logged_on();
        submit(&mut state, "A", 1);
        submit(&mut state, "B", 1);
        run(&mut state, broken(), 4);
        let now = reconnect(&mut state);
        let effects = run(&mut state, ack(2, 2, 2, vec![report(1, 1)]), now);
        assert_eq!(sent(&effects), [2]);
        let told = effects.iter().any(|effect| {
            matches!(effect, Effect::Tell(Event::Report { answers, .. })
                if *answers == Some(ClientSeq(1)))
        });
        assert!(told, "{effects:?}");
    }

    #[test]
    fn the_logon_says_what_was_seen() {
        let mut state = logged_on();
        run(&mut state, message(1, Body::Report(report(1, 0))), 3);
        run(&mut state, broken(), 4);
        let effects = run(&mut state, Input::Tick, 1_000);
        let logon = logon_for(Logon::new(SessionId(7), AccountId(9), OutSeq(1)), None);
        assert_eq!(effects, [Effect::Connect { entry: 1, logon }]);
    }

    #[test]
    fn a_session_that_goes_on_after_a_message_asks_for_later_ones_only() {
        let effects = run(&mut state().resume_after(OutSeq(41)), Input::Tick, 0);
        let [Effect::Connect { logon, .. }] = &effects[..] else {
            panic!("{effects:?}");
        };
        let Some(protocol::order::client_message::Body::Logon(logon)) = &logon.body else {
            panic!("{logon:?}");
        };
        assert_eq!(logon.last_out_seq_seen, 41);
    }

    #[test]
    fn an_older_epoch_is_dropped_and_keeps_no_entry_alive() {
        let mut state = logged_on();
        submit(&mut state, "A", 1);
        run(&mut state, heartbeat(3), 10);
        assert!(run(&mut state, message(2, Body::Report(report(1, 1))), 600).is_empty());
        assert_eq!((state.in_flight(), state.counters().stale_messages), (1, 1));
        assert!(is_lost(&run(&mut state, Input::Tick, 710)));
    }

    #[test]
    fn a_missing_message_or_request_makes_the_session_log_on_again() {
        let gap = Body::SequenceGap(SequenceGap {
            received: 3,
            expected: 2,
        });
        for body in [Body::Report(report(2, 0)), gap] {
            let mut state = logged_on();
            assert!(is_lost(&run(&mut state, message(1, body), 1)));
        }
    }

    #[test]
    fn a_full_session_refuses_and_counts() {
        let mut state = logged_on();
        for id in ["A", "B", "C"] {
            submit(&mut state, id, 1);
        }
        let refused = state.submit(status("D"), 1, &mut Vec::new()).unwrap_err();
        assert!(matches!(refused, SubmitError::Full { max: 3, .. }));
        assert_eq!((state.in_flight(), state.counters().refused_full), (3, 1));
        run(&mut state, message(1, Body::Report(report(1, 1))), 2);
        assert_eq!(sent(&submit(&mut state, "D", 3)), [4]);
    }

    #[test]
    fn a_request_without_an_answer_for_3_s_gives_the_entry_up_though_it_speaks() {
        let mut state = logged_on();
        submit(&mut state, "A", 100);
        for now in (200..3_100).step_by(200) {
            run(&mut state, heartbeat(1), now);
            assert!(run(&mut state, Input::Tick, now).is_empty(), "{now}");
        }
        assert!(is_lost(&run(&mut state, Input::Tick, 3_100)));
    }

    #[test]
    fn a_logon_that_is_not_answered_gives_the_entry_up_though_it_speaks() {
        let mut state = state();
        run(&mut state, Input::Tick, 0);
        run(&mut state, Input::Connected, 10);
        for now in (200..1_500).step_by(200) {
            run(&mut state, heartbeat(1), now);
            assert!(run(&mut state, Input::Tick, now).is_empty(), "{now}");
        }
        assert!(is_lost(&run(&mut state, Input::Tick, 1_500)));
    }

    #[test]
    fn a_refused_logon_ends_the_session() {
        let mut state = state();
        run(&mut state, Input::Tick, 0);
        run(&mut state, Input::Connected, 1);
        let reject = LogonReject {
            code: 104,
            text: "ahead".to_owned(),
        };
        let effects = run(&mut state, message(1, Body::LogonReject(reject)), 2);
        assert!(matches!(
            effects[..],
            [
                Effect::Disconnect,
                Effect::Tell(Event::Ended {
                    reason: EndReason::LogonRefused { code: 104, .. }
                })
            ]
        ));
        assert_eq!(state.deadline_ms(), None);
        let refused = state.submit(status("A"), 3, &mut Vec::new()).unwrap_err();
        assert!(matches!(refused, SubmitError::Ended(_)));
    }

    #[test]
    fn pauses_grow_to_half_a_second_go_round_all_entries_and_begin_again_after_a_logon() {
        let mut state = logged_on();
        let mut now = 0;
        for (round, longest) in [20, 40, 80, 160, 320, 500, 500].into_iter().enumerate() {
            run(&mut state, broken(), now);
            let due = state.deadline_ms().unwrap();
            assert!((longest / 2..=longest).contains(&(due - now)), "{round}");
            now = due;
            let connect = run(&mut state, Input::Tick, now);
            let next = (round + 1) % 3;
            assert!(
                matches!(connect[..], [Effect::Connect { entry, .. }] if entry == next),
                "{connect:?}"
            );
        }
        run(&mut state, Input::Connected, now);
        run(&mut state, ack(1, 1, 1, Vec::new()), now);
        run(&mut state, broken(), now);
        assert!(state.deadline_ms().unwrap() - now <= 20);
    }
}
