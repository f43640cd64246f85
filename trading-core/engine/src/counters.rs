//! What has been counted, for metrics. Part of the replicated state: equal on all replicas.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::RejectReason;

/// Counts since the log began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Commands applied.
    pub commands: u64,
    /// New orders accepted.
    pub orders_accepted: u64,
    /// Requests of any kind that were rejected.
    pub orders_rejected: u64,
    /// The same by [`RejectReason::code`].
    pub rejected_by_code: BTreeMap<u16, u64>,
    /// Logons, requests without a session and control records that were refused.
    pub refused: u64,
    /// Trades.
    pub trades: u64,
    /// Requests seen before.
    pub duplicates: u64,
    /// Requests ahead of their session's next number.
    pub sequence_gaps: u64,
    /// Messages that fell out of a session's replay before the client needed them no more.
    pub replay_dropped: u64,
    /// Orders that rest now.
    pub open_orders: u64,
    /// Sessions now.
    pub sessions: u64,
    /// Accounts now.
    pub accounts: u64,
    /// Symbols now.
    pub symbols: u64,
}

impl Counters {
    pub(crate) fn count_reject(&mut self, reason: &RejectReason) {
        self.orders_rejected += 1;
        *self.rejected_by_code.entry(reason.code()).or_default() += 1;
    }
}
