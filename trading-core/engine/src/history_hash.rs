//! One number for a whole history.
//!
//! ```text
//!   entry:    hash ◄─ XXH3 of the entry's bytes, its index and epoch     (once a batch)
//!   command:  hash ◄─ its number, and the numbers in every event         (a few multiplications)
//! ```
//!
//! Replicas that applied the same log have the same hash; one difference, however long ago, keeps
//! them apart for ever. What goes in is hashed where it lies as bytes already
//! ([`crate::Shard::begin_entry`]); what comes out is folded in word by word with the mixing step of
//! wyhash, a 64 × 64 bit multiplication whose halves are laid over each other. Both guard against
//! faults of ours, not against forgers (the audit log has a cryptographic chain).
//!
//! Of a reject the code is folded in; of a trade its number, for its two fills carry the rest.

use crate::EntryContext;
use crate::client_ids::folded;
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{ClOrdId, ControlOutcome, Event, LogSeq, OperationRefusal, Outbound, Report};
use xxhash_rust::xxh3::xxh3_64;

/// The running hash of all commands applied and all events caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HistoryHash(pub u64);

impl HistoryHash {
    /// The hash as it goes over the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    fn fold(&mut self, first: u64, second: u64) {
        let mixed = folded(
            self.0 ^ first ^ 0xA076_1D64_78BD_642F,
            second ^ 0xE703_7ED1_A0B4_28DB,
        );
        // The rotation keeps what came before even where a factor is zero.
        self.0 = mixed ^ self.0.rotate_left(23);
    }

    pub(crate) fn entry(&mut self, context: EntryContext, bytes: &[u8]) {
        self.fold(xxh3_64(bytes), context.index.0);
        self.fold(context.epoch.0, context.leader_time.0);
    }

    pub(crate) fn command(&mut self, context: EntryContext, seq: LogSeq, events: &[Event]) {
        self.fold(seq.0, context.epoch.0);
        for event in events {
            self.event(event);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::ToSession(message) => self.message(1, message),
            Event::Trade(trade) => self.fold(2, trade.trade_id.0),
            Event::LoggedOn {
                session,
                next_client_seq,
                next_out_seq,
                replay,
                replay_missing,
            } => {
                self.fold(3, session.0);
                self.fold(next_client_seq.0, next_out_seq.0);
                self.fold(replay.len() as u64, *replay_missing);
            }
            Event::LogonRefused { session, reason } => {
                self.fold(4 | u64::from(reason.code()) << 8, session.0);
            }
            Event::SequenceGap {
                session,
                received,
                expected,
            } => {
                self.fold(5, session.0);
                self.fold(received.0, expected.0);
            }
            Event::Duplicate {
                session,
                client_seq,
                original,
            } => {
                self.fold(6 | u64::from(original.is_some()) << 8, session.0);
                self.fold(
                    client_seq.0,
                    original.map_or(0, |message| message.out_seq.0),
                );
            }
            Event::Control(outcome) => self.outcome(outcome),
            Event::Alert(alert) => {
                self.fold(8 | (alert.kind as u64) << 8, alert.account.0);
                self.fold(alert.observed, alert.allowed);
            }
        }
    }

    fn outcome(&mut self, outcome: &ControlOutcome) {
        match outcome {
            ControlOutcome::Done => self.fold(7, 0),
            ControlOutcome::Refused(reason) => self.fold(7, 1 | u64::from(reason.code()) << 8),
            ControlOutcome::MaintenanceGranted(lease) => {
                self.fold(7, 2);
                self.fold(lease.replica.0, lease.until.0);
            }
            ControlOutcome::MaintenanceHeld(lease) => {
                self.fold(7, 3);
                self.fold(lease.replica.0, lease.until.0);
            }
            ControlOutcome::OperationRefused(refusal) => match refusal {
                OperationRefusal::Bounds { found, max, .. } => {
                    self.fold(7, 4);
                    self.fold(*found, *max);
                }
                OperationRefusal::Held { until, .. } => {
                    self.fold(7, 5);
                    self.fold(0, until.0);
                }
                OperationRefusal::NameTaken { .. } => self.fold(7, 6),
                OperationRefusal::NotRunning { .. } => self.fold(7, 7),
            },
        }
    }

    fn message(&mut self, kind: u64, message: &Outbound) {
        let reply = message.in_reply_to.unwrap_or_default();
        self.fold(
            kind | message.session.0 << 8,
            message.out_seq.0 ^ reply.0 << 32,
        );
        match message.report {
            Report::Accepted {
                cl_ord_id,
                order_id,
            } => self.fold(order_id.0 << 8 | 1, word(cl_ord_id)),
            Report::Rejected { cl_ord_id, reason } => {
                self.fold(u64::from(reason.code()) << 8 | 2, cl_ord_id.map_or(0, word));
            }
            Report::Filled {
                cl_ord_id,
                order_id,
                trade_id,
                price,
                quantity,
                remaining,
            } => {
                self.fold(order_id.0 << 8 | 3, word(cl_ord_id) ^ trade_id.0);
                self.fold(price.0.cast_unsigned(), quantity.0 ^ remaining.0 << 32);
            }
            Report::Cancelled {
                cl_ord_id,
                order_id,
                quantity,
                cause,
            } => {
                self.fold(order_id.0 << 8 | 4, word(cl_ord_id));
                self.fold(quantity.0, cause as u64);
            }
            Report::Replaced {
                original,
                replacement,
                order_id,
                remaining,
                kept_priority,
            } => {
                self.fold(order_id.0 << 8 | 5, word(original));
                self.fold(
                    remaining.0 << 1 | u64::from(kept_priority),
                    word(replacement),
                );
            }
            Report::MassCancelled { orders } => self.fold(6, orders.into()),
            Report::Status(view) => {
                self.fold(view.order_id.0 << 8 | 7, word(view.cl_ord_id));
                self.fold(view.filled.0, view.remaining.0 << 2 | view.state as u64);
            }
            Report::Triggered {
                cl_ord_id,
                order_id,
                last,
            } => self.fold(
                order_id.0 << 8 | 8,
                word(cl_ord_id) ^ last.0.cast_unsigned(),
            ),
            Report::Restated {
                cl_ord_id,
                order_id,
                price,
                remaining,
            } => {
                self.fold(order_id.0 << 8 | 9, word(cl_ord_id));
                self.fold(price.0.cast_unsigned(), remaining.0);
            }
        }
    }
}

/// An id in one word. Two ids may share one; that they do so in two histories that are equal
/// otherwise is what the words around it are for.
fn word(id: ClOrdId) -> u64 {
    let [first, second, third] = id.to_words();
    first ^ second.rotate_left(21) ^ third.rotate_left(42)
}

impl fmt::Display for HistoryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
