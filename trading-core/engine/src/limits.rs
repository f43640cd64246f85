//! The bounds of a state. What would go beyond gets a reject and is counted.

use serde::{Deserialize, Serialize};

/// Every table's bound. They are part of the replicated state: all replicas of a shard must begin
/// with the same ones, and a snapshot carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions, ever.
    pub sessions_max: u64,
    /// Accounts.
    pub accounts_max: u64,
    /// Listed symbols.
    pub symbols_max: u64,
    /// Client order ids that one account may use, replacements included.
    pub orders_per_account_max: u64,
    /// Orders of one account that rest at the same time: bounds what one mass cancel causes.
    pub open_orders_per_account_max: u64,
    /// Orders of all accounts, closed ones included.
    pub orders_max: u64,
    /// Shares in one order.
    pub quantity_max: u64,
    /// Messages kept a session for replay. The oldest fall out; a client that still needs one is
    /// told how many are missing and asks by order status.
    pub replay_messages_max: u64,
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
            symbols_max: 10_000,
            orders_per_account_max: 1_000_000,
            open_orders_per_account_max: 50_000,
            // About 160 bytes each: 2.6 GB when full.
            orders_max: 16_000_000,
            // The most that an order on the main board may have.
            quantity_max: 1_000_000,
            replay_messages_max: 4_096,
            holder_length_max: 128,
            maintenance_ttl_ms_max: 3_600_000,
        }
    }
}
