//! The bounds of a state. What would go beyond gets a reject and is counted.

use serde::{Deserialize, Serialize};

/// Every table's bound. They are part of the replicated state: all replicas of a shard must begin
/// with the same ones, and a snapshot carries them.
///
/// Tables are allocated once, from these bounds; the operating system hands out their pages on first
/// use, or at once by [`crate::Shard::touch_tables`]. The defaults come to 1.5 GB when all is full:
///
/// | table | bytes a row | rows | together |
/// | --- | --- | --- | --- |
/// | client order ids | 72 | 8,000,000 | 576 MB |
/// | open orders | 128 + 16 | 1,065,536 | 153 MB |
/// | accounts | 128 + 64 + 64 + 32 | 1,000,000 | 288 MB |
/// | positions | 32 + 8 | 4,000,000 | 160 MB |
/// | kept messages | 128 | 20,000 × 32 + 2,097,152 | 350 MB |
///
/// Books are allocated as orders come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions, ever.
    pub sessions_max: u64,
    /// Accounts.
    pub accounts_max: u64,
    /// Pairs of an account and a symbol that it holds, has held or has an order in.
    pub positions_max: u64,
    /// Listed symbols.
    pub symbols_max: u64,
    /// Client order ids that one account may use a day, replacements included.
    pub orders_per_account_max: u64,
    /// Client order ids that all accounts may use a day.
    pub client_order_ids_max: u64,
    /// Orders of one account that rest at the same time: bounds what one mass cancel causes.
    pub open_orders_per_account_max: u64,
    /// Open orders of all accounts.
    pub orders_max: u64,
    /// Closed orders that can still be asked for; older ones are forgotten but for their ids.
    pub closed_orders_kept: u64,
    /// Shares in one order.
    pub quantity_max: u64,
    /// Messages kept a session for replay. The oldest fall out; a client that still needs one is
    /// told how many are missing and asks by order status.
    pub replay_messages_max: u64,
    /// Chunks of 32 messages that all sessions share, beyond one that each has for certain.
    pub replay_chunks_max: u64,
    /// Longest name of a maintenance lease's holder, in bytes.
    pub holder_length_max: u32,
    /// Longest maintenance lease.
    pub maintenance_ttl_ms_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 20_000,
            accounts_max: 1_000_000,
            positions_max: 4_000_000,
            symbols_max: 10_000,
            orders_per_account_max: 1_000_000,
            client_order_ids_max: 8_000_000,
            open_orders_per_account_max: 50_000,
            orders_max: 1_000_000,
            closed_orders_kept: 65_536,
            // The most that an order on the main board may have.
            quantity_max: 1_000_000,
            replay_messages_max: 4_096,
            replay_chunks_max: 65_536,
            holder_length_max: 128,
            maintenance_ttl_ms_max: 3_600_000,
        }
    }
}

impl Limits {
    /// Bounds for an example or a test: a few hundred of everything, a few megabytes.
    #[must_use]
    pub fn small() -> Self {
        Self {
            sessions_max: 100,
            accounts_max: 1_000,
            positions_max: 4_000,
            symbols_max: 100,
            orders_per_account_max: 10_000,
            client_order_ids_max: 20_000,
            open_orders_per_account_max: 1_000,
            orders_max: 5_000,
            closed_orders_kept: 1_000,
            replay_messages_max: 256,
            replay_chunks_max: 500,
            ..Self::default()
        }
    }
}
