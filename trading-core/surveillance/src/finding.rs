//! What comes in and what comes out.

use serde::{Deserialize, Serialize};
use types::{AlertKind, Price, Quantity, Side, UnixMicros};

/// An account, by the number that the owner of the state gave it, from 0 without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct AccountSlot(pub u32);

/// A symbol, by the number that the owner of the state gave it, from 0 without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SymbolSlot(pub u32);

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An account asked for something: an order, a replacement, a cancel; accepted or not.
    Requested {
        /// Who.
        account: AccountSlot,
    },
    /// An order was accepted.
    Entered {
        /// Whose.
        account: AccountSlot,
    },
    /// An order was taken back at its owner's request.
    Cancelled {
        /// Whose.
        account: AccountSlot,
        /// When it was accepted.
        entered: UnixMicros,
    },
    /// An order met its own account and gave way.
    SelfTradePrevented {
        /// Whose.
        account: AccountSlot,
        /// Of what.
        symbol: SymbolSlot,
    },
    /// Shares changed hands.
    Traded {
        /// Of what.
        symbol: SymbolSlot,
        /// At what price.
        price: Price,
        /// How many.
        quantity: Quantity,
        /// Who bought.
        buyer: Party,
        /// Who sold.
        seller: Party,
        /// The side that came in and took; none in a call auction.
        taker: Option<Side>,
        /// The shares that float; 0 when it is not known.
        float: Quantity,
    },
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Who.
    pub account: AccountSlot,
    /// What the account holds of the symbol after the trade.
    pub holding: Quantity,
}

/// A level that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// What was noticed.
    pub kind: AlertKind,
    /// The account whose act completed it.
    pub account: AccountSlot,
    /// The other account: of a trade, or of the same unit that acted before.
    pub related: Option<AccountSlot>,
    /// The symbol, where the finding is about one.
    pub symbol: Option<SymbolSlot>,
    /// What was counted or measured.
    pub observed: u64,
    /// The level, in the same unit.
    pub allowed: u64,
}
