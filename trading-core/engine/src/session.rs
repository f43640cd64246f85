//! A client's session: which request is next, and the messages kept for those who missed them.
//!
//! ```text
//!   out_seq   1 … 7 │ 8   9   10   11   12 │ 13 = next_out_seq
//!          fell out └───── kept messages ──┘
//!   client_seq          4  5       6    7  │  8 = next_client_seq
//! ```

use crate::messages::{CHUNK, Kept, Messages};
use crate::orders::NONE;
use serde::{Deserialize, Serialize};
use types::{ClientSeq, Epoch, LogSeq, OutSeq, Outbound, Report, SessionId, TraderId, UnixMicros};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Session {
    pub id: SessionId,
    /// The account's row.
    pub account: u32,
    pub trader: TraderId,
    pub next_client_seq: ClientSeq,
    pub next_out_seq: OutSeq,
    /// What the last logon asked for.
    pub cancel_on_disconnect_ms: Option<u32>,
    /// When its open orders go, while it is disconnected and had asked for that.
    pub grace_until: Option<UnixMicros>,
    oldest_out_seq: OutSeq,
    /// The latest request that was answered.
    last_answered: ClientSeq,
    first_chunk: u32,
    last_chunk: u32,
    chunks: u32,
}

/// A session as a snapshot keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredSession {
    id: SessionId,
    account: u32,
    trader: TraderId,
    next_client_seq: ClientSeq,
    next_out_seq: OutSeq,
    cancel_on_disconnect_ms: Option<u32>,
    grace_until: Option<UnixMicros>,
    last_answered: ClientSeq,
    messages: Vec<Kept>,
    /// Of each chunk, oldest first.
    answered_before: Vec<ClientSeq>,
}

/// What kind of number a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Next,
    SeenBefore,
    Ahead,
}

impl Session {
    pub(crate) fn new(id: SessionId, account: u32, messages: &mut Messages) -> Self {
        let chunk = messages.take(0, ClientSeq(0));
        let chunk = chunk.expect("each session has a chunk of its own");
        Self {
            id,
            account,
            trader: TraderId(0),
            next_client_seq: ClientSeq(1),
            next_out_seq: OutSeq(1),
            cancel_on_disconnect_ms: None,
            grace_until: None,
            oldest_out_seq: OutSeq(1),
            last_answered: ClientSeq(0),
            first_chunk: chunk,
            last_chunk: chunk,
            chunks: 1,
        }
    }

    /// Asks for the place of the message that will be sent next.
    #[inline]
    pub(crate) fn prefetch_message(&self, messages: &Messages) {
        messages.prefetch(self.last_chunk, self.next_out_seq.0);
    }

    pub(crate) fn arrival(&self, client_seq: ClientSeq) -> Arrival {
        match client_seq.cmp(&self.next_client_seq) {
            std::cmp::Ordering::Less => Arrival::SeenBefore,
            std::cmp::Ordering::Equal => Arrival::Next,
            std::cmp::Ordering::Greater => Arrival::Ahead,
        }
    }

    /// Numbers a message, keeps it, and returns it with how many old ones fell out.
    ///
    /// Inlined wherever a report is made, so that it is written from registers to both its places
    /// and never read back from the stack.
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        messages: &mut Messages,
        cause: (LogSeq, Epoch),
        in_reply_to: Option<ClientSeq>,
        report: Report,
        messages_max: u64,
    ) -> (Outbound, u64) {
        let out_seq = self.next_out_seq;
        let mut dropped = 0;
        if out_seq.0.is_multiple_of(CHUNK) {
            dropped += self.begin_chunk(messages);
        }
        let is_answer = in_reply_to.is_some_and(|request| request > self.last_answered);
        let kept = Kept {
            log_seq: cause.0,
            epoch: cause.1,
            in_reply_to: in_reply_to.unwrap_or_default(),
            is_answer,
            report,
        };
        messages.put(self.last_chunk, out_seq.0, kept);
        self.last_answered = self.last_answered.max(in_reply_to.unwrap_or_default());
        self.next_out_seq.0 += 1;
        if self.next_out_seq.0 - self.oldest_out_seq.0 > messages_max {
            self.drop_oldest(messages);
            dropped += 1;
        }
        let message = Outbound {
            session: self.id,
            out_seq,
            in_reply_to: in_reply_to.filter(|request| request.0 > 0),
            log_seq: cause.0,
            epoch: cause.1,
            report,
        };
        (message, dropped)
    }

    /// Makes room behind the newest chunk, by dropping the oldest when there is no other.
    #[cold]
    fn begin_chunk(&mut self, messages: &mut Messages) -> u64 {
        let mut dropped = 0;
        let chunk = match messages.take(self.chunks, self.last_answered) {
            Some(chunk) => chunk,
            None => {
                let end = (self.oldest_out_seq.0 / CHUNK + 1) * CHUNK;
                let end = end.min(self.next_out_seq.0);
                dropped = end - self.oldest_out_seq.0;
                self.oldest_out_seq = OutSeq(end);
                let oldest = self.first_chunk;
                let next = messages.next(oldest);
                messages.begin_again(oldest, self.last_answered);
                if next == NONE {
                    return dropped;
                }
                self.first_chunk = next;
                self.chunks -= 1;
                oldest
            }
        };
        messages.link(self.last_chunk, chunk);
        self.last_chunk = chunk;
        self.chunks += 1;
        dropped
    }

    fn drop_oldest(&mut self, messages: &mut Messages) {
        self.oldest_out_seq.0 += 1;
        if self.oldest_out_seq.0.is_multiple_of(CHUNK) && self.chunks > 1 {
            let empty = self.first_chunk;
            self.first_chunk = messages.next(empty);
            self.chunks -= 1;
            messages.give_back(empty);
        }
    }

    fn outbound(&self, out_seq: OutSeq, kept: &Kept) -> Outbound {
        Outbound {
            session: self.id,
            out_seq,
            in_reply_to: (kept.in_reply_to.0 > 0).then_some(kept.in_reply_to),
            log_seq: kept.log_seq,
            epoch: kept.epoch,
            report: kept.report,
        }
    }

    /// The kept messages from a number on, oldest first.
    fn from<'a>(
        &'a self,
        messages: &'a Messages,
        first: u64,
    ) -> impl Iterator<Item = Outbound> + 'a {
        let first = first.max(self.oldest_out_seq.0);
        let mut chunk = self.first_chunk;
        for _ in self.oldest_out_seq.0 / CHUNK..first / CHUNK {
            if messages.next(chunk) != NONE {
                chunk = messages.next(chunk);
            }
        }
        (first..self.next_out_seq.0).map(move |out_seq| {
            if out_seq.is_multiple_of(CHUNK) && out_seq > first {
                chunk = messages.next(chunk);
            }
            self.outbound(OutSeq(out_seq), messages.at(chunk, out_seq))
        })
    }

    /// A message, while it is kept.
    pub(crate) fn message(&self, messages: &Messages, out_seq: OutSeq) -> Option<Outbound> {
        let kept = self.oldest_out_seq..self.next_out_seq;
        if !kept.contains(&out_seq) {
            return None;
        }
        self.from(messages, out_seq.0).next()
    }

    /// The answer that a request got, while it is kept: the first message that replies to it.
    pub(crate) fn answer(&self, messages: &Messages, client_seq: ClientSeq) -> Option<Outbound> {
        if client_seq > self.last_answered {
            return None;
        }
        // The last chunk that was begun before the request was answered.
        let mut chunk = self.first_chunk;
        let mut first = self.oldest_out_seq.0;
        while messages.next(chunk) != NONE
            && messages.answered_before(messages.next(chunk)) < client_seq
        {
            chunk = messages.next(chunk);
            first = (first / CHUNK + 1) * CHUNK;
        }
        let end = ((first / CHUNK + 1) * CHUNK).min(self.next_out_seq.0);
        (first..end)
            .find(|out_seq| {
                let kept = messages.at(chunk, *out_seq);
                kept.is_answer && kept.in_reply_to == client_seq
            })
            .map(|out_seq| self.outbound(OutSeq(out_seq), messages.at(chunk, out_seq)))
    }

    /// The messages after `seen`, and how many of them are no longer kept.
    pub(crate) fn replay(&self, messages: &Messages, seen: OutSeq) -> (Vec<Outbound>, u64) {
        let first_wanted = seen.0 + 1;
        let missing = self.oldest_out_seq.0.saturating_sub(first_wanted);
        (self.from(messages, first_wanted).collect(), missing)
    }

    /// The last message sent; 0 before the first.
    pub(crate) fn last_out_seq(&self) -> OutSeq {
        OutSeq(self.next_out_seq.0 - 1)
    }

    pub(crate) fn stored(&self, messages: &Messages) -> StoredSession {
        let chunks = std::iter::successors(Some(self.first_chunk), |chunk| {
            Some(messages.next(*chunk)).filter(|next| *next != NONE)
        });
        let mut chunk = self.first_chunk;
        let first = self.oldest_out_seq.0;
        let kept = (first..self.next_out_seq.0).map(|out_seq| {
            if out_seq.is_multiple_of(CHUNK) && out_seq > first {
                chunk = messages.next(chunk);
            }
            *messages.at(chunk, out_seq)
        });
        StoredSession {
            id: self.id,
            account: self.account,
            trader: self.trader,
            next_client_seq: self.next_client_seq,
            next_out_seq: self.next_out_seq,
            cancel_on_disconnect_ms: self.cancel_on_disconnect_ms,
            grace_until: self.grace_until,
            last_answered: self.last_answered,
            messages: kept.collect(),
            answered_before: chunks
                .map(|chunk| messages.answered_before(chunk))
                .collect(),
        }
    }

    /// The session that was stored; `None` when it is none that [`Session::stored`] wrote.
    pub(crate) fn restore(stored: StoredSession, messages: &mut Messages) -> Option<Self> {
        let count = stored.messages.len() as u64;
        let oldest = stored
            .next_out_seq
            .0
            .checked_sub(count)
            .filter(|oldest| *oldest > 0)?;
        let mut session = Self {
            id: stored.id,
            account: stored.account,
            trader: stored.trader,
            next_client_seq: stored.next_client_seq,
            next_out_seq: stored.next_out_seq,
            cancel_on_disconnect_ms: stored.cancel_on_disconnect_ms,
            grace_until: stored.grace_until,
            oldest_out_seq: OutSeq(oldest),
            last_answered: stored.last_answered,
            first_chunk: NONE,
            last_chunk: NONE,
            chunks: 0,
        };
        for answered_before in stored.answered_before {
            let chunk = messages.take(session.chunks, answered_before)?;
            if session.chunks == 0 {
                session.first_chunk = chunk;
            } else {
                messages.link(session.last_chunk, chunk);
            }
            session.last_chunk = chunk;
            session.chunks += 1;
        }
        let mut chunk = session.first_chunk;
        for (out_seq, kept) in (oldest..).zip(stored.messages) {
            if out_seq.is_multiple_of(CHUNK) && out_seq > oldest {
                chunk = messages.next(chunk);
            }
            if chunk == NONE {
                return None;
            }
            messages.put(chunk, out_seq, kept);
        }
        (session.chunks > 0).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const KEPT: u64 = 4;

    struct Kit {
        session: Session,
        messages: Messages,
        max: u64,
    }

    impl Kit {
        fn new(max: u64, chunks_max: u64) -> Self {
            let limits = Limits {
                replay_chunks_max: chunks_max,
                ..Limits::small()
            };
            let mut messages = Messages::new(&limits);
            Self {
                session: Session::new(SessionId(1), 0, &mut messages),
                messages,
                max,
            }
        }

        fn send(&mut self, in_reply_to: Option<u64>) -> u64 {
            let report = Report::MassCancelled { orders: 0 };
            let (cause, reply) = ((LogSeq(1), Epoch(1)), in_reply_to.map(ClientSeq));
            let messages = &mut self.messages;
            self.session
                .send(messages, cause, reply, report, self.max)
                .1
        }

        fn answer(&self, client_seq: u64) -> Option<u64> {
            let answer = self.session.answer(&self.messages, ClientSeq(client_seq));
            answer.map(|m| m.out_seq.0)
        }

        fn replay(&self, seen: u64) -> (Vec<u64>, u64) {
            let (messages, missing) = self.session.replay(&self.messages, OutSeq(seen));
            (messages.iter().map(|m| m.out_seq.0).collect(), missing)
        }
    }

    #[test]
    fn the_answer_is_the_first_message_that_replies() {
        let mut kit = Kit::new(KEPT, 8);
        for in_reply_to in [Some(1), Some(1), None, Some(2)] {
            kit.send(in_reply_to);
        }
        assert_eq!(kit.answer(1), Some(1));
        assert_eq!(kit.answer(2), Some(4));
        assert_eq!(kit.answer(0), None);
        assert_eq!(kit.answer(3), None);
    }

    #[test]
    fn an_answer_that_fell_out_is_not_replaced_by_a_later_message() {
        let mut kit = Kit::new(KEPT, 8);
        let sent = [Some(1), None, None, None, Some(1), Some(2), Some(2)];
        let dropped: u64 = sent.map(|in_reply_to| kit.send(in_reply_to)).iter().sum();
        assert_eq!(dropped, 3);
        assert_eq!(kit.answer(1), None);
        assert_eq!(kit.answer(2), Some(6));
    }

    #[test]
    fn replay_begins_after_what_was_seen_and_tells_what_is_missing() {
        let mut kit = Kit::new(KEPT, 8);
        for _ in 0..6 {
            kit.send(None);
        }
        assert_eq!(kit.replay(0), (vec![3, 4, 5, 6], 2));
        assert_eq!(kit.replay(2), (vec![3, 4, 5, 6], 0));
        assert_eq!(kit.replay(5), (vec![6], 0));
        assert_eq!(kit.replay(6), (vec![], 0));
    }

    #[test]
    fn answers_are_found_across_chunks_and_after_a_restore() {
        let mut kit = Kit::new(100, 8);
        for number in 1..=200 {
            kit.send(Some(number));
        }
        let stored = kit.session.stored(&kit.messages);
        let bytes = postcard::to_stdvec(&stored).unwrap();
        let mut restored = Kit::new(100, 8);
        let stored = postcard::from_bytes(&bytes).unwrap();
        restored.session = Session::restore(stored, &mut restored.messages).unwrap();
        for kit in [&kit, &restored] {
            for number in 1..=200 {
                let expected = (number > 100).then_some(number);
                assert_eq!(kit.answer(number), expected, "{number}");
            }
            assert_eq!(kit.replay(150), ((151..=200).collect(), 0));
            assert_eq!(kit.replay(0).1, 100);
        }
    }

    #[test]
    fn a_session_without_more_room_drops_its_own_oldest_messages() {
        for chunks_max in [0, 1, 2] {
            let mut kit = Kit::new(1_000, chunks_max);
            let mut dropped = 0;
            for number in 1..=200 {
                dropped += kit.send(Some(number));
                assert_eq!(kit.answer(number), Some(number));
            }
            let (kept, missing) = kit.replay(0);
            assert_eq!(kept.len() as u64 + dropped, 200, "{chunks_max} chunks");
            assert_eq!(missing, dropped);
            assert!(kept.len() as u64 <= (chunks_max + 1) * CHUNK);
        }
    }
}
