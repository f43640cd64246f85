//! A client's session: which request is next, and the messages kept for those who missed them.
//!
//! ```text
//!   out_seq   1 … 7 │ 8   9   10   11   12 │ 13 = next_out_seq
//!          fell out └─────── messages ─────┘
//!   client_seq          4  5       6    7  │  8 = next_client_seq
//!                       └── answers ────┘      (the out_seq of each answer that is kept)
//! ```

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use types::{AccountId, ClientSeq, Epoch, LogSeq, OutSeq, Outbound, Report, SessionId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub id: SessionId,
    pub account: AccountId,
    pub next_client_seq: ClientSeq,
    pub next_out_seq: OutSeq,
    messages: VecDeque<Outbound>,
    /// The answers to the latest requests, one each, oldest first.
    answers: VecDeque<OutSeq>,
    /// The latest request that was answered; the last of `answers` is its, while that is kept.
    last_answered: ClientSeq,
}

/// What kind of number a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Next,
    SeenBefore,
    Ahead,
}

impl Session {
    pub(crate) fn new(id: SessionId, account: AccountId) -> Self {
        Self {
            id,
            account,
            next_client_seq: ClientSeq(1),
            next_out_seq: OutSeq(1),
            messages: VecDeque::new(),
            answers: VecDeque::new(),
            last_answered: ClientSeq(0),
        }
    }

    pub(crate) fn arrival(&self, client_seq: ClientSeq) -> Arrival {
        match client_seq.cmp(&self.next_client_seq) {
            std::cmp::Ordering::Less => Arrival::SeenBefore,
            std::cmp::Ordering::Equal => Arrival::Next,
            std::cmp::Ordering::Greater => Arrival::Ahead,
        }
    }

    /// Numbers a message, keeps it, and returns it with how many old ones fell out.
    pub(crate) fn send(
        &mut self,
        cause: (LogSeq, Epoch),
        in_reply_to: Option<ClientSeq>,
        report: Report,
        messages_max: u64,
    ) -> (Outbound, u64) {
        let message = Outbound {
            session: self.id,
            out_seq: self.next_out_seq,
            in_reply_to,
            log_seq: cause.0,
            epoch: cause.1,
            report,
        };
        if let Some(request) = in_reply_to
            && request > self.last_answered
        {
            self.answers.push_back(message.out_seq);
            self.last_answered = request;
        }
        self.next_out_seq.0 += 1;
        self.messages.push_back(message);
        let dropped = self.drop_oldest(messages_max);
        (message, dropped)
    }

    fn drop_oldest(&mut self, messages_max: u64) -> u64 {
        let mut dropped = 0;
        while self.messages.len() as u64 > messages_max {
            self.messages.pop_front();
            dropped += 1;
        }
        let oldest = self.oldest_out_seq();
        while self.answers.front().is_some_and(|kept| *kept < oldest) {
            self.answers.pop_front();
        }
        dropped
    }

    fn oldest_out_seq(&self) -> OutSeq {
        OutSeq(self.next_out_seq.0 - self.messages.len() as u64)
    }

    /// A message, while it is kept.
    pub(crate) fn message(&self, out_seq: OutSeq) -> Option<&Outbound> {
        let offset = out_seq.0.checked_sub(self.oldest_out_seq().0)?;
        self.messages.get(usize::try_from(offset).ok()?)
    }

    /// The answer that a request got, while it is kept.
    pub(crate) fn answer(&self, client_seq: ClientSeq) -> Option<&Outbound> {
        // One answer a request, in their order: the place is found by counting back from the latest.
        let back = usize::try_from(self.last_answered.0.checked_sub(client_seq.0)?).ok()?;
        let place = self.answers.len().checked_sub(1)?.checked_sub(back)?;
        self.message(*self.answers.get(place)?)
    }

    /// The messages after `seen`, and how many of them are no longer kept.
    pub(crate) fn replay(&self, seen: OutSeq) -> (Vec<Outbound>, u64) {
        let oldest = self.oldest_out_seq().0;
        let first_wanted = seen.0 + 1;
        let missing = oldest.saturating_sub(first_wanted);
        let kept = self.messages.iter().filter(|m| m.out_seq > seen);
        (kept.copied().collect(), missing)
    }

    /// The last message sent; 0 before the first.
    pub(crate) fn last_out_seq(&self) -> OutSeq {
        OutSeq(self.next_out_seq.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: u64 = 4;

    fn session() -> Session {
        Session::new(SessionId(1), AccountId(1))
    }

    fn send(session: &mut Session, in_reply_to: Option<u64>) -> u64 {
        let report = Report::MassCancelled { orders: 0 };
        let cause = (LogSeq(1), Epoch(1));
        session
            .send(cause, in_reply_to.map(ClientSeq), report, KEPT)
            .1
    }

    fn answer(session: &Session, client_seq: u64) -> Option<u64> {
        session.answer(ClientSeq(client_seq)).map(|m| m.out_seq.0)
    }

    #[test]
    fn the_answer_is_the_first_message_that_replies() {
        let mut session = session();
        for in_reply_to in [Some(1), Some(1), None, Some(2)] {
            send(&mut session, in_reply_to);
        }
        assert_eq!(answer(&session, 1), Some(1));
        assert_eq!(answer(&session, 2), Some(4));
        assert_eq!(answer(&session, 0), None);
        assert_eq!(answer(&session, 3), None);
    }

    #[test]
    fn an_answer_that_fell_out_is_not_replaced_by_a_later_message() {
        let mut session = session();
        let dropped: u64 = [Some(1), None, None, None, Some(1), Some(2), Some(2)]
            .map(|in_reply_to| send(&mut session, in_reply_to))
            .iter()
            .sum();
        assert_eq!(dropped, 3);
        assert_eq!(answer(&session, 1), None);
        assert_eq!(answer(&session, 2), Some(6));
    }

    #[test]
    fn replay_begins_after_what_was_seen_and_tells_what_is_missing() {
        let mut session = session();
        for _ in 0..6 {
            send(&mut session, None);
        }
        let numbers = |seen| {
            let (messages, missing) = session.replay(OutSeq(seen));
            (
                messages.iter().map(|m| m.out_seq.0).collect::<Vec<_>>(),
                missing,
            )
        };
        assert_eq!(numbers(0), (vec![3, 4, 5, 6], 2));
        assert_eq!(numbers(2), (vec![3, 4, 5, 6], 0));
        assert_eq!(numbers(5), (vec![6], 0));
        assert_eq!(numbers(6), (vec![], 0));
    }
}
