//! Where and when a symbol trades: boards, kinds of securities, and the phases of a day.

use crate::SymbolId;
use serde::{Deserialize, Serialize};

/// A board: the part of an exchange whose rules a symbol follows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Board {
    /// Shanghai, main board.
    #[default]
    ShanghaiMain,
    /// Shanghai, STAR Market (科创板).
    ShanghaiStar,
    /// Shenzhen, main board.
    ShenzhenMain,
    /// Shenzhen, ChiNext (创业板).
    ShenzhenChiNext,
    /// Beijing.
    Beijing,
}

/// An exchange; without rules loaded it decides how a call auction breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Exchange {
    /// Shanghai Stock Exchange (SSE).
    Shanghai,
    /// Shenzhen Stock Exchange (SZSE).
    Shenzhen,
    /// Beijing Stock Exchange (BSE).
    Beijing,
}

impl Board {
    /// Every board, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::ShanghaiMain,
        Self::ShanghaiStar,
        Self::ShenzhenMain,
        Self::ShenzhenChiNext,
        Self::Beijing,
    ];

    /// The exchange that it belongs to.
    #[must_use]
    pub fn exchange(self) -> Exchange {
        match self {
            Self::ShanghaiMain | Self::ShanghaiStar => Exchange::Shanghai,
            Self::ShenzhenMain | Self::ShenzhenChiNext => Exchange::Shenzhen,
            Self::Beijing => Exchange::Beijing,
        }
    }
}

/// A set of boards: those that an account may trade on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boards(pub u8);

impl Boards {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether a board is among them.
    #[must_use]
    pub fn contain(self, board: Board) -> bool {
        self.0 & (1 << board as u8) != 0
    }

    /// The same with one more board.
    #[must_use]
    pub fn with(self, board: Board) -> Self {
        Self(self.0 | 1 << board as u8)
    }
}

/// What kind of security a symbol is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Security {
    /// A share; bought today, sellable on the next trading day.
    #[default]
    Share,
    /// A share under risk warning (ST, *ST), with its own price limits.
    RiskWarningShare,
    /// A fund of domestic shares; sellable on the next trading day.
    Fund,
    /// A fund that may be sold on the day it was bought (bond, gold, cross-border, money market).
    SameDayFund,
    /// A convertible bond; may be sold on the day it was bought.
    ConvertibleBond,
}

/// What a symbol's market is doing. Time does not move it: a replicated [`crate::Control::SetPhase`]
/// does, so that all replicas pass from one phase to the next at the same command.
///
/// ```text
///  Closed ─► OpeningCall ─► OpeningCallNoCancel ─► PreContinuous ─► Continuous ─► LunchBreak
///     ▲                                        (uncross)                ▲              │
///     └── AfterHours ◄── ClosingCall ◄──────────────────────────────────┴──────────────┘
///              (uncross)                          Halted: from and to any of them
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Phase {
    /// No trading.
    Closed,
    /// Orders gather for the opening price (09:15 to 09:20); they may be cancelled.
    OpeningCall,
    /// Orders gather for the opening price (09:20 to 09:25); none may be cancelled.
    OpeningCallNoCancel,
    /// Between the opening price and continuous trading (09:25 to 09:30).
    PreContinuous,
    /// Orders trade as they come. What a shard without a calendar is in from the start.
    #[default]
    Continuous,
    /// Between the halves of the day.
    LunchBreak,
    /// Orders gather for the closing price (14:57 to 15:00); none may be cancelled.
    ClosingCall,
    /// After the closing price; some boards trade on, at that price alone.
    AfterHours,
    /// Trading is suspended; orders stay where they are.
    Halted,
}

impl Phase {
    /// Every phase, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::OpeningCall,
        Self::OpeningCallNoCancel,
        Self::PreContinuous,
        Self::Continuous,
        Self::LunchBreak,
        Self::ClosingCall,
        Self::AfterHours,
        Self::Halted,
    ];
}

/// Whose phase is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PhaseScope {
    /// Every symbol's that is not halted, and what symbols listed later begin with.
    All,
    /// The same for one board.
    Board(Board),
    /// One symbol's; the only way into and out of [`Phase::Halted`].
    Symbol(SymbolId),
}

/// Which price of a symbol is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReferencePrice {
    /// The close of the day before: limits and auction ties are reckoned from it.
    PreviousClose,
    /// The market's last price as a feed tells it: what price cages and collars look at.
    Market,
    /// What a symbol is issued at: the running day is the first of its listing, and this price stands
    /// for the close before.
    Issue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_boards_contains_what_was_put_in() {
        let boards = Boards(0).with(Board::ShanghaiStar).with(Board::Beijing);
        let inside = Board::ALL.map(|board| boards.contain(board));
        assert_eq!(inside, [false, true, false, false, true]);
        assert!(Board::ALL.iter().all(|board| Boards::ALL.contain(*board)));
    }
}
