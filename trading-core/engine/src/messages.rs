//! The messages kept for those who missed them: chunks of a pool that all sessions share.
//!
//! ```text
//!   session ──► chunk ──► chunk ──► chunk        each 32 messages, numbers 32·n to 32·n + 31
//!               ▲ oldest            ▲ newest
//! ```
//! Each session has a chunk of its own for certain. More come from the pool while it has some and
//! the session has not reached its own bound; otherwise its oldest messages make room.

use crate::Limits;
use crate::lookup::fill_in;
use crate::orders::NONE;
use crate::prefetch::prefetch_row;
use serde::{Deserialize, Serialize};
use types::{ClientSeq, Epoch, LogSeq, Report};

/// Messages of a chunk.
pub(crate) const CHUNK: u64 = 32;

/// A message without what its place tells: the session and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(64))]
pub(crate) struct Kept {
    pub log_seq: LogSeq,
    pub epoch: Epoch,
    /// Zero when it answers no request.
    pub in_reply_to: ClientSeq,
    /// Whether it is the first that replies to the request.
    pub is_answer: bool,
    pub report: Report,
}

const EMPTY: Kept = Kept {
    log_seq: LogSeq(0),
    epoch: Epoch(0),
    in_reply_to: ClientSeq(0),
    is_answer: false,
    report: Report::MassCancelled { orders: 0 },
};

#[derive(Clone, Copy, Debug)]
struct Head {
    next: u32,
    /// The session's latest answered request when the chunk was begun.
    answered_before: ClientSeq,
}

/// The pool.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    kept: Vec<Kept>,
    heads: Vec<Head>,
    free: Vec<u32>,
    /// Chunks in use beyond each session's first.
    shared: u64,
    shared_max: u64,
}

impl Messages {
    pub(crate) fn new(limits: &Limits) -> Self {
        let chunks = (limits.sessions_max + limits.replay_chunks_max) as usize;
        Self {
            kept: Vec::with_capacity(chunks * CHUNK as usize),
            heads: Vec::with_capacity(chunks),
            free: Vec::with_capacity(chunks),
            shared: 0,
            shared_max: limits.replay_chunks_max,
        }
    }

    /// A chunk for a session that has `owned` of them; `None` when the pool has no more for it.
    pub(crate) fn take(&mut self, owned: u32, answered_before: ClientSeq) -> Option<u32> {
        if owned > 0 {
            if self.shared >= self.shared_max {
                return None;
            }
            self.shared += 1;
        }
        let head = Head {
            next: NONE,
            answered_before,
        };
        if let Some(chunk) = self.free.pop() {
            self.heads[chunk as usize] = head;
            return Some(chunk);
        }
        let chunk = self.heads.len() as u32;
        self.heads.push(head);
        let messages = self.kept.len() + CHUNK as usize;
        self.kept.resize(messages, EMPTY);
        Some(chunk)
    }

    /// Gives a chunk back; the session keeps at least one other.
    pub(crate) fn give_back(&mut self, chunk: u32) {
        self.shared -= 1;
        self.free.push(chunk);
    }

    pub(crate) fn link(&mut self, chunk: u32, next: u32) {
        self.heads[chunk as usize].next = next;
    }

    /// Begins a chunk anew whose messages nobody needs any more.
    pub(crate) fn begin_again(&mut self, chunk: u32, answered_before: ClientSeq) {
        self.heads[chunk as usize] = Head {
            next: NONE,
            answered_before,
        };
    }

    pub(crate) fn next(&self, chunk: u32) -> u32 {
        self.heads[chunk as usize].next
    }

    pub(crate) fn answered_before(&self, chunk: u32) -> ClientSeq {
        self.heads[chunk as usize].answered_before
    }

    /// Makes the operating system hand out every page now rather than on first use.
    pub(crate) fn touch(&mut self) {
        fill_in(&mut self.kept, EMPTY);
    }

    /// Asks for the place of a message.
    #[inline]
    pub(crate) fn prefetch(&self, chunk: u32, out_seq: u64) {
        prefetch_row(&self.kept, place(chunk, out_seq));
    }

    pub(crate) fn at(&self, chunk: u32, out_seq: u64) -> &Kept {
        &self.kept[place(chunk, out_seq)]
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, chunk: u32, out_seq: u64, message: Kept) {
        self.kept[place(chunk, out_seq)] = message;
    }
}

fn place(chunk: u32, out_seq: u64) -> usize {
    chunk as usize * CHUNK as usize + (out_seq % CHUNK) as usize
}
