//! The witness check: what clients saw, held against the promoted log.
//!
//! ```text
//!   client histories ──┐        acknowledged and not so in the log ─► lost (the RPO, in orders)
//!                      ├─► check ─ in effect more than once ─────────► doubled
//!   replayed log ──────┘        told otherwise than the log says ───► contradictions
//! ```

use crate::log::Log;
use crate::{History, Record, SeenMessage, SeenReport};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{ClientSeq, Epoch, LogSeq, OutSeq, Request, SessionId, UnixMicros};

/// Findings kept in words; all are counted.
const FINDINGS_MAX: usize = 32;

/// What the check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Requests sent, each counted once however often it was sent again.
    pub sent: u64,
    /// Requests that a client saw answered.
    pub acknowledged: u64,
    /// Of these, refused with a reason.
    pub rejected: u64,
    /// Requests whose answer no client saw.
    pub unknown: u64,
    /// Of these, in the log all the same.
    pub unknown_in_log: u64,
    /// Acknowledged, and not so in the log.
    pub lost: u64,
    /// In effect more than once, by number or by client order id.
    pub doubled: u64,
    /// What clients were told otherwise than the log says, and rules of the protocol broken.
    pub contradictions: u64,
    /// Answers from before the log's beginning, which can only be believed.
    pub unverifiable: u64,
    /// The first of all these in words.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Nothing lost, doubled or contradicted, and there was something to judge by.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.acknowledged > 0
            && self.lost + self.doubled + self.contradictions + self.unverifiable == 0
    }

    fn find(&mut self, finding: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding());
        }
    }
}

/// One session over all that its client wrote down.
#[derive(Default)]
struct Session<'a> {
    sent: BTreeMap<ClientSeq, &'a Request>,
    answers: BTreeMap<ClientSeq, BTreeMap<OutSeq, &'a SeenReport>>,
    seen: BTreeMap<OutSeq, &'a SeenMessage>,
    missing: u64,
    epoch: Epoch,
}

/// Holds histories against the log.
#[must_use]
pub fn check(log: &Log, histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut sessions: BTreeMap<SessionId, Session<'_>> = BTreeMap::new();
    for history in histories {
        for record in &history.records {
            let session = sessions.entry(record.session()).or_default();
            session.take(record, &mut verdict);
        }
    }
    for (id, session) in &sessions {
        session.judge(*id, log, &mut verdict);
    }
    real_time_order(log, histories, &mut verdict);
    for ((session, number), effect) in &log.effects {
        if effect.times > 1 {
            verdict.doubled += 1;
            verdict.find(|| {
                let times = effect.times;
                format!("session {session}, request {number}: in effect {times} times")
            });
        }
    }
    for ((account, cl_ord_id), times) in &log.accepted {
        if *times > 1 {
            verdict.doubled += 1;
            verdict.find(|| format!("account {account}, {cl_ord_id}: accepted {times} times"));
        }
    }
    verdict
}

/// What had been told before a request was sent must stand before it in the log.
fn real_time_order(log: &Log, histories: &[History], verdict: &mut Verdict) {
    let mut first_sent = BTreeMap::new();
    let mut told = Vec::new();
    for record in histories.iter().flat_map(|history| &history.records) {
        match record {
            Record::Sent {
                at_us,
                session,
                client_seq,
                ..
            } => {
                first_sent.entry((*session, *client_seq)).or_insert(*at_us);
            }
            Record::Received { at_us, message, .. } => told.push((*at_us, message.log_seq)),
            _ => {}
        }
    }
    told.sort_unstable();
    let mut sent: Vec<_> = first_sent
        .into_iter()
        .filter_map(|(key, at_us)| {
            let answer = log.effects.get(&key)?.answer;
            let log_seq = log.messages.get(&(key.0, answer))?.log_seq;
            Some((at_us, log_seq, key))
        })
        .collect();
    sent.sort_unstable();
    let mut before = told.iter().peekable();
    let mut newest = LogSeq(0);
    for (at_us, log_seq, (session, number)) in sent {
        while let Some((_, told)) = before.next_if(|(told_at, _)| *told_at < at_us) {
            newest = newest.max(*told);
        }
        if newest >= log_seq {
            verdict.contradictions += 1;
            verdict.find(|| {
                format!(
                    "session {session}: request {number} was sent after command {newest} had been \
                     answered, and stands before it in the log, at {log_seq}"
                )
            });
        }
    }
}

impl<'a> Session<'a> {
    fn take(&mut self, record: &'a Record, verdict: &mut Verdict) {
        match record {
            Record::Sent {
                session,
                client_seq,
                request,
                ..
            } => {
                let first = self.sent.entry(*client_seq).or_insert(request);
                if *first != request {
                    verdict.contradictions += 1;
                    verdict.find(|| {
                        format!(
                            "session {session}: request {client_seq} was sent with two contents"
                        )
                    });
                }
            }
            Record::Received {
                session,
                leader_epoch,
                message,
                ..
            } => {
                self.speaks(*session, *leader_epoch, verdict);
                self.receive(*session, message, verdict);
            }
            Record::LoggedOn {
                session,
                leader_epoch,
                replay_missing,
                ..
            } => {
                self.speaks(*session, *leader_epoch, verdict);
                self.missing += replay_missing;
            }
            Record::Refused { client_seq, .. } => {
                self.sent.remove(client_seq);
            }
            Record::Unknown { .. } => {}
        }
    }

    fn speaks(&mut self, session: SessionId, epoch: Epoch, verdict: &mut Verdict) {
        if epoch < self.epoch {
            verdict.contradictions += 1;
            let newest = self.epoch;
            verdict.find(|| {
                format!("session {session}: a leader of epoch {epoch} spoke after one of {newest}")
            });
        }
        self.epoch = self.epoch.max(epoch);
    }

    fn receive(&mut self, session: SessionId, message: &'a SeenMessage, verdict: &mut Verdict) {
        if message.out_seq.0 > 0
            && let Some(first) = self.seen.insert(message.out_seq, message)
            && first != message
        {
            verdict.contradictions += 1;
            verdict.find(|| {
                format!(
                    "session {session}: message {} came with two contents",
                    message.out_seq
                )
            });
        }
        if let Some(number) = message.in_reply_to {
            let answers = self.answers.entry(number).or_default();
            answers.insert(message.out_seq, &message.report);
        }
    }

    fn judge(&self, id: SessionId, log: &Log, verdict: &mut Verdict) {
        verdict.sent += self.sent.len() as u64;
        for (number, request) in &self.sent {
            match self.answers.get(number) {
                Some(answers) => self.acknowledged(id, *number, request, answers, log, verdict),
                None => {
                    verdict.unknown += 1;
                    verdict.unknown_in_log += u64::from(log.effects.contains_key(&(id, *number)));
                }
            }
        }
        for number in self.answers.keys().filter(|n| !self.sent.contains_key(n)) {
            verdict.contradictions += 1;
            verdict
                .find(|| format!("session {id}: an answer came to request {number}, never sent"));
        }
        for (number, message) in &self.seen {
            self.told(id, *number, message, log, verdict);
        }
        let distinct = self.seen.len() as u64;
        let highest = self.seen.keys().next_back().map_or(0, |last| last.0);
        if distinct + self.missing < highest {
            verdict.contradictions += 1;
            let skipped = highest - distinct - self.missing;
            verdict.find(|| format!("session {id}: {skipped} messages below {highest} never came"));
        }
    }

    fn acknowledged(
        &self,
        id: SessionId,
        number: ClientSeq,
        request: &Request,
        answers: &BTreeMap<OutSeq, &SeenReport>,
        log: &Log,
        verdict: &mut Verdict,
    ) {
        verdict.acknowledged += 1;
        let rejected = answers
            .values()
            .any(|report| matches!(report, SeenReport::Rejected { .. }));
        verdict.rejected += u64::from(rejected);
        let hidden = answers
            .keys()
            .filter_map(|out_seq| self.seen.get(out_seq))
            .any(|message| message.log_seq <= log.hidden);
        match log.effects.get(&(id, number)) {
            Some(effect) if effect.request != *request => {
                verdict.lost += 1;
                verdict
                    .find(|| format!("session {id}: request {number} is another one in the log"));
            }
            Some(effect) => {
                // The first message that answers is the answer; later ones are fills and the like.
                let first = answers.keys().find(|out_seq| out_seq.0 > 0);
                if first.is_some_and(|first| *first < effect.answer) {
                    verdict.doubled += 1;
                    verdict.find(|| {
                        format!("session {id}: request {number} was answered before it took effect")
                    });
                }
            }
            None if hidden => verdict.unverifiable += 1,
            None => {
                verdict.lost += 1;
                verdict.find(|| {
                    format!("session {id}: request {number} was acknowledged and is not in the log")
                });
            }
        }
    }

    fn told(
        &self,
        id: SessionId,
        number: OutSeq,
        message: &SeenMessage,
        log: &Log,
        verdict: &mut Verdict,
    ) {
        let gone = |request: ClientSeq| !log.effects.contains_key(&(id, request));
        match log.messages.get(&(id, number)) {
            Some(logged) if logged == message => {}
            Some(logged) => {
                verdict.contradictions += 1;
                verdict.find(|| {
                    format!(
                        "session {id}: message {number} was {message:?}, the log says {logged:?}"
                    )
                });
            }
            None if message.log_seq <= log.hidden => {}
            // The whole request is gone: it is counted as lost already.
            None if message.in_reply_to.is_some_and(gone) => {}
            None => {
                verdict.contradictions += 1;
                verdict.find(|| format!("session {id}: message {number} is not in the log"));
            }
        }
    }
}

/// When clients first got through to the leader of an epoch or a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstContact {
    /// The first logon that was answered.
    pub logged_on_at: Option<UnixMicros>,
    /// The first order that was accepted, and not just told again.
    pub accepted_at: Option<UnixMicros>,
}

/// Looks for the first logon and the first accepted order of an epoch or a later one.
#[must_use]
pub fn first_contact(histories: &[History], epoch: Epoch) -> FirstContact {
    let mut first = FirstContact::default();
    let earlier = |slot: &mut Option<UnixMicros>, at: UnixMicros| {
        *slot = Some(slot.map_or(at, |had| had.min(at)));
    };
    for record in histories.iter().flat_map(|history| &history.records) {
        match record {
            Record::LoggedOn {
                at_us,
                leader_epoch,
                ..
            } if *leader_epoch >= epoch => earlier(&mut first.logged_on_at, *at_us),
            Record::Received { at_us, message, .. }
                if message.epoch >= epoch
                    && matches!(message.report, SeenReport::Accepted { .. }) =>
            {
                earlier(&mut first.accepted_at, *at_us);
            }
            _ => {}
        }
    }
    first
}

/// Sessions over all histories.
#[must_use]
pub fn sessions(histories: &[History]) -> usize {
    let records = histories.iter().flat_map(|history| &history.records);
    records.map(Record::session).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{
        AccountId, Batch, ClOrdId, ClientCommand, Command, Control, Event, LogIndex, Logon, Money,
        NewOrder, OrderId, Price, Quantity, Side, SymbolDefinition, SymbolId, TradeId,
        encode_batch,
    };

    const SESSION: SessionId = SessionId(7);

    fn new_order(id: &str) -> Request {
        Request::New(NewOrder::limit(
            ClOrdId::new(id).unwrap(),
            SymbolId(600_000),
            Side::Buy,
            Quantity(100),
            Price(100_000),
        ))
    }

    fn client(client_seq: u64, request: Request) -> Command {
        Command::Client(ClientCommand {
            session: SESSION,
            client_seq: ClientSeq(client_seq),
            request,
        })
    }

    fn opening() -> Vec<Command> {
        vec![
            Command::Control(Control::DefineSymbol(SymbolDefinition::share(
                SymbolId(600_000),
                Price(90_000),
                Price(110_000),
            ))),
            Command::Control(Control::OpenAccount {
                account: AccountId(1),
                cash: Money(1_000_000_000_000),
                positions: vec![],
            }),
            Command::Logon(Logon::new(SESSION, AccountId(1), OutSeq(0))),
        ]
    }

    fn batch(commands: Vec<Command>) -> Vec<u8> {
        let leader_time = UnixMicros(1);
        encode_batch(&Batch {
            leader_time,
            commands,
        })
        .unwrap()
    }

    /// A log of these requests, and the history of a client that saw all their answers.
    fn honest(requests: &[Request]) -> (Log, History) {
        let mut log = Log::new();
        log.entry(LogIndex(1), Epoch(1), &[]).unwrap();
        log.entry(LogIndex(2), Epoch(1), &batch(opening())).unwrap();
        let mut records = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let number = number as u64 + 1;
            let command = client(number, *request);
            let index = LogIndex(number + 2);
            log.entry(index, Epoch(1), &batch(vec![command])).unwrap();
            records.push(sent(number, *request));
        }
        let mut messages: Vec<&SeenMessage> = log.messages.values().collect();
        messages.sort_by_key(|message| message.out_seq);
        records.extend(messages.into_iter().cloned().map(received));
        (log, history(records))
    }

    fn history(records: Vec<Record>) -> History {
        History {
            client: "test".into(),
            records,
            torn_lines: 0,
        }
    }

    fn sent(number: u64, request: Request) -> Record {
        Record::Sent {
            at_us: UnixMicros(1),
            session: SESSION,
            client_seq: ClientSeq(number),
            request,
        }
    }

    fn received(message: SeenMessage) -> Record {
        Record::Received {
            at_us: UnixMicros(2),
            session: SESSION,
            leader_epoch: Epoch(1),
            possible_duplicate: false,
            message,
        }
    }

    #[test]
    fn a_truthful_history_is_clean() {
        let (log, history) = honest(&[new_order("A"), new_order("B"), new_order("A")]);
        let verdict = check(&log, &[history]);
        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!(
            (verdict.sent, verdict.acknowledged, verdict.rejected),
            (3, 3, 1)
        );
    }

    #[test]
    fn nothing_to_judge_by_is_not_clean() {
        let (log, _) = honest(&[]);
        assert!(!check(&log, &[]).is_clean());
    }

    #[test]
    fn an_acknowledged_order_that_the_log_lacks_is_lost() {
        let (_, history) = honest(&[new_order("A"), new_order("B")]);
        let (shorter, _) = honest(&[new_order("A")]);
        let verdict = check(&shorter, &[history]);
        assert_eq!((verdict.lost, verdict.acknowledged), (1, 2));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn another_order_under_the_same_number_is_lost() {
        let (_, history) = honest(&[new_order("A")]);
        let (other, _) = honest(&[new_order("B")]);
        assert_eq!(check(&other, &[history]).lost, 1);
    }

    #[test]
    fn an_unanswered_order_is_unknown_and_looked_for() {
        let (log, mut known) = honest(&[new_order("A"), new_order("B")]);
        known.records.retain(|record| {
            !matches!(record, Record::Received { message, .. }
                if message.in_reply_to == Some(ClientSeq(2)))
        });
        known.records.push(sent(3, new_order("C")));
        let verdict = check(&log, &[known]);
        assert_eq!((verdict.unknown, verdict.unknown_in_log), (2, 1));
        assert!(verdict.is_clean(), "{verdict:?}");
    }

    #[test]
    fn an_order_in_effect_twice_is_doubled() {
        let (mut log, history) = honest(&[new_order("A")]);
        log.effects.get_mut(&(SESSION, ClientSeq(1))).unwrap().times = 2;
        assert_eq!(check(&log, &[history]).doubled, 1);
    }

    #[test]
    fn a_client_order_id_accepted_twice_is_doubled() {
        let (mut log, history) = honest(&[new_order("A")]);
        let event = Event::ToSession(types::Outbound {
            session: SESSION,
            out_seq: OutSeq(2),
            in_reply_to: None,
            log_seq: types::LogSeq(9),
            epoch: Epoch(1),
            report: types::Report::Accepted {
                cl_ord_id: ClOrdId::new("A").unwrap(),
                order_id: OrderId(2),
            },
        });
        log.note_for_test(&event);
        assert_eq!(check(&log, &[history]).doubled, 1);
    }

    #[test]
    fn a_report_that_the_log_tells_otherwise_is_a_contradiction() {
        let (log, mut history) = honest(&[new_order("A")]);
        if let Some(Record::Received { message, .. }) = history.records.last_mut() {
            message.report = SeenReport::Accepted {
                cl_ord_id: ClOrdId::new("A").unwrap(),
                order_id: OrderId(99),
            };
        }
        let verdict = check(&log, &[history]);
        assert_eq!(verdict.contradictions, 1);
        assert!(verdict.findings[0].contains("the log says"), "{verdict:?}");
    }

    #[test]
    fn a_fill_that_the_log_lacks_though_it_has_the_order_is_a_contradiction() {
        let (log, mut history) = honest(&[new_order("A")]);
        history.records.push(received(SeenMessage {
            out_seq: OutSeq(2),
            in_reply_to: Some(ClientSeq(1)),
            log_seq: LogSeq(4),
            epoch: Epoch(1),
            report: SeenReport::Filled {
                cl_ord_id: ClOrdId::new("A").unwrap(),
                order_id: OrderId(1),
                trade_id: TradeId(1),
                price: Price(100_000),
                quantity: Quantity(100),
                remaining: Quantity(0),
            },
        }));
        let verdict = check(&log, &[history]);
        assert_eq!((verdict.lost, verdict.contradictions), (0, 1));
    }

    #[test]
    fn an_older_leader_that_still_speaks_is_a_contradiction() {
        let (log, mut history) = honest(&[new_order("A"), new_order("B")]);
        if let Some(Record::Received { leader_epoch, .. }) = history.records.get_mut(2) {
            *leader_epoch = Epoch(2);
        }
        assert_eq!(check(&log, &[history]).contradictions, 1);
    }

    #[test]
    fn an_order_that_the_log_has_before_what_was_told_before_it_is_a_contradiction() {
        let (log, mut history) = honest(&[new_order("A"), new_order("B")]);
        // The first request is said to have been sent after the answer to the second.
        if let Some(Record::Sent { at_us, .. }) = history.records.first_mut() {
            *at_us = UnixMicros(9);
        }
        let verdict = check(&log, &[history]);
        assert_eq!(verdict.contradictions, 1);
        assert!(
            verdict.findings[0].contains("stands before it"),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_message_that_never_came_is_a_contradiction() {
        let (log, mut history) = honest(&[new_order("A"), new_order("B")]);
        history.records.remove(2);
        let verdict = check(&log, &[history]);
        assert_eq!(verdict.contradictions, 1);
        assert!(verdict.findings[0].contains("never came"), "{verdict:?}");
    }

    #[test]
    fn what_a_snapshot_hides_is_not_believed() {
        let (whole, history) = honest(&[new_order("A")]);
        let bytes = whole.snapshot_for_test();
        let log = Log::from_snapshot(whole.last_index(), &bytes).unwrap();
        let verdict = check(&log, &[history]);
        assert_eq!((verdict.lost, verdict.unverifiable), (0, 1));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_log_with_a_gap_or_another_state_is_refused() {
        let (mut log, _) = honest(&[new_order("A")]);
        assert!(log.entry(LogIndex(9), Epoch(1), &[]).is_err());
        assert!(log.compare(&[0; 8]).is_err());
    }

    #[test]
    fn the_first_contact_is_the_first_in_the_new_epoch() {
        let (_, mut history) = honest(&[new_order("A")]);
        assert_eq!(
            first_contact(&[history.clone()], Epoch(2)),
            FirstContact::default()
        );
        let again = history.records.last().unwrap().clone();
        if let Record::Received {
            message, session, ..
        } = again
        {
            history.records.push(Record::Received {
                at_us: UnixMicros(50),
                session,
                leader_epoch: Epoch(2),
                possible_duplicate: true,
                message: message.clone(),
            });
            history.records.push(Record::Received {
                at_us: UnixMicros(60),
                session,
                leader_epoch: Epoch(2),
                possible_duplicate: false,
                message: SeenMessage {
                    epoch: Epoch(2),
                    ..message
                },
            });
        }
        let first = first_contact(&[history], Epoch(2));
        assert_eq!(first.accepted_at, Some(UnixMicros(60)));
    }
}
