//! Cancel on disconnect.
//!
//! ```text
//!   Logon (cancel_on_disconnect_ms) ──► Disconnect ──► grace ──► open orders of the session go
//!                                           └── Logon again within the grace: nothing happens
//! ```
//! The leader records when a connection ends; time passes by the batches' times, so all replicas
//! cancel at the same command. Orders in a phase that allows no cancelling stay.

use crate::Shard;
use crate::listing::MarketBook;
use types::{CancelCause, Event, SessionId, UnixMicros};

impl<B: MarketBook> Shard<B> {
    /// Starts a session's grace. Nothing happens for an unknown session, one that did not ask for
    /// it, or one whose grace runs already.
    pub(crate) fn disconnect(&mut self, id: SessionId) {
        let Some(row) = self.session_row(id) else {
            return;
        };
        let now = self.facts.context.leader_time;
        let session = &mut self.sessions[row as usize];
        let Some(grace_ms) = session.cancel_on_disconnect_ms else {
            return;
        };
        if session.grace_until.is_none() {
            let until = UnixMicros(now.0.saturating_add(u64::from(grace_ms) * 1_000));
            session.grace_until = Some(until);
            self.graces.insert((until, row));
        }
    }

    /// A session is back.
    pub(crate) fn end_grace(&mut self, row: u32) {
        if let Some(until) = self.sessions[row as usize].grace_until.take() {
            self.graces.remove(&(until, row));
        }
    }

    /// Cancels what sessions left behind whose time is over, the earliest first.
    pub(crate) fn end_expired_graces(&mut self, events: &mut Vec<Event>) {
        while let Some((until, row)) = self.graces.first().copied() {
            if until > self.facts.context.leader_time {
                return;
            }
            self.end_grace(row);
            let account = self.sessions[row as usize].account;
            self.cancel_open(account, CancelCause::Disconnected, events, |order| {
                order.session == row
            });
        }
    }
}
