//! The day's phases: when each begins and what it allows.

use crate::TimeOfDay;
use serde::{Deserialize, Serialize};
use types::{Phase, UnixMicros};

/// What a client may do in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Allowance {
    /// Enter and replace orders.
    Orders,
    /// Enter market orders as well.
    MarketOrders,
    /// Cancel.
    Cancels,
}

/// What one phase allows; a phase that is not named allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseRule {
    /// The phase.
    pub phase: Phase,
    /// What it allows.
    pub allows: Vec<Allowance>,
}

/// A change of phase within the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// From when on.
    pub at: TimeOfDay,
    /// Which phase.
    pub phase: Phase,
}

/// A day's phases, ascending by time. Before the first the market is closed, and the last closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    /// The changes.
    pub windows: Vec<Window>,
}

/// The phase that should hold, and the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NowHolds {
    /// The phase.
    pub phase: Phase,
    /// What comes next; `None` when the calendar ends before it.
    pub next: Option<Change>,
}

/// A change that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: UnixMicros,
    /// To which phase.
    pub phase: Phase,
}

/// Which price an auction takes where several trade the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TieRule {
    /// Fewest shares unmatched, then the middle.
    Middle,
    /// Least imbalance, then closest to the previous close, or at the close to the last trade.
    Nearest,
}

/// Suspension within the day, on days without price limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// Distances from the day's opening price, ascending; each suspends once.
    pub steps: Vec<crate::Ratio>,
    /// How long.
    pub minutes: u32,
}

impl Schedule {
    /// The phase at a time of day.
    #[must_use]
    pub fn phase(&self, time: TimeOfDay) -> Phase {
        let last = self.windows.iter().rev().find(|window| window.at <= time);
        last.map_or(Phase::Closed, |window| window.phase)
    }

    /// The first change after a time of day.
    #[must_use]
    pub fn next(&self, time: TimeOfDay) -> Option<Window> {
        self.windows.iter().find(|window| window.at > time).copied()
    }
}
