//! Whole clusters in one thread: the replicas' own code on simulated disks, links and clocks, with
//! the clients' own sessions, everything drawn from one seed.
//!
//! ```text
//!   seed ─► dice ─┬─► planner: which fault when ────┐
//!                 ├─► network: delay, loss, … ──────┤
//!                 ├─► disks: torn, lost, rotten … ──┼──► world ──► invariants ──► Report
//!                 ├─► clients: what they order ─────┤      │
//!                 └─► clocks ───────────────────────┘      └──► trace hash: equal for equal seeds
//! ```
//!
//! Real here: `replica::Driver` (the server's turn), `journal::Journal`, `engine::State`,
//! `client::session::State`, the wire forms of both protocols. Simulated: what stands behind
//! `journal::Disk` and `replica::Shell`, time, and the scheduler.

mod campaign;
mod dice;
mod disk;
mod fault;
mod invariants;
mod losses;
mod network;
mod node;
mod oracle;
mod plan;
mod trace;
mod trader;
mod world;

pub use campaign::{Campaign, SURE_FAULT_SECONDS, each};
pub use dice::Dice;
pub use disk::SimDisk;
pub use fault::{Fault, SOMETIMES, Tally};

use invariants::Seen;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use types::mutants::{self, Mutant};
use world::World;

/// How many faults at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// So many that the cluster must recover when they end.
    Bounded,
    /// Any number: it may stop, and must not lie.
    Unbounded,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// All chance comes from it.
    pub seed: u64,
    /// How long faults act, in simulated seconds.
    pub seconds: u64,
    /// How many faults at once.
    pub mode: Mode,
    /// Print what happens.
    pub trace: bool,
    /// A fault built into the core.
    pub mutant: Option<Mutant>,
    /// The only class of faults; without it each run takes about half of them.
    pub only: Option<Fault>,
}

/// How an invariant was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant in words.
    pub invariant: &'static str,
    /// How it was broken.
    pub detail: String,
    /// When, in microseconds of simulated time.
    pub at_us: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run.
    pub options: Options,
    /// The first invariant that was broken.
    pub violation: Option<Violation>,
    /// Hash of all that happened.
    pub trace_hash: u64,
    /// Faults that acted and rare states that were reached.
    pub tally: Tally,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
    /// Entries that took effect.
    pub entries: u64,
    /// Requests that clients saw answered.
    pub acknowledged: u64,
    /// Whether the cluster served again at the end.
    pub recovered: bool,
    /// The last of what happened, in words.
    pub last_lines: Vec<String>,
}

/// After the faults end the cluster has so long to serve again, in microseconds.
const RECOVERY_US: u64 = 15_000_000;

/// Runs one seed.
#[must_use]
pub fn run(options: Options) -> Report {
    mutants::choose(options.mutant);
    let mut world = World::new(options);
    let ended = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    let (acknowledged, recovered) = match ended {
        Ok(ended) => ended,
        Err(panic) => {
            world.break_off("no replica panics", words(&*panic));
            (0, false)
        }
    };
    mutants::choose(None);
    Report {
        options,
        violation: world.violation.clone(),
        trace_hash: world.trace.hash(),
        tally: world.whole_tally(),
        simulated_us: world.now_us,
        entries: world.entries(),
        acknowledged,
        recovered,
        last_lines: world.trace.last_lines(),
    }
}

fn live(world: &mut World) -> (u64, bool) {
    let seconds_us = world.options.seconds * 1_000_000;
    world.run_until(seconds_us);
    plan::end(world);
    let before = world.accepted();
    let mut until_us = seconds_us;
    // Serving again, then answering all that is open, then all in step.
    while world.violation.is_none() && until_us < seconds_us + RECOVERY_US {
        until_us += 500_000;
        world.run_until(until_us);
        if world.accepted() > before {
            break;
        }
    }
    let serves = world.accepted() > before;
    world.quiet();
    while world.violation.is_none() && until_us < seconds_us + 2 * RECOVERY_US {
        until_us += 500_000;
        world.run_until(until_us);
        if world.missing().is_none() {
            break;
        }
    }
    let missing = if serves {
        world.missing()
    } else {
        Some("no order was accepted".to_owned())
    };
    let recovered = missing.is_none();
    if world.options.mode == Mode::Bounded {
        world.see(&Seen::Recovered { missing });
    }
    let verdict = world.judge();
    (verdict.acknowledged, recovered)
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without words").to_owned()
}
