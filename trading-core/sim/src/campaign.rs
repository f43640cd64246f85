//! Many seeds, on several threads, told in the order of the seeds.
//!
//! ```text
//!   next seed ◄─ thread 1 ─┐
//!   next seed ◄─ thread 2 ─┼─ reports ─► in order ─► Campaign: sums, what never acted
//!   next seed ◄─ …        ─┘
//! ```
//!
//! A run knows nothing of its thread: one seed does the same on one thread and on many.

use crate::fault::{Fault, SOMETIMES, Tally};
use crate::{Mode, Options, Report, run};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// In so many simulated seconds under faults every class must have acted in a mode, or something keeps
/// it from acting. The rarest acts more than ten times as often.
pub const SURE_FAULT_SECONDS: u64 = 1_000;

/// Runs all of them, each thread one at a time, and tells each report with the time that its run took,
/// in the order of `all`, until told to stop.
pub fn each(
    all: &[Options],
    threads: usize,
    mut tell: impl FnMut(&Report, Duration) -> ControlFlow<()>,
) {
    let next = AtomicUsize::new(0);
    let (sender, reports) = mpsc::sync_channel(threads.max(1));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((place, options)) = take(all, next) {
                    let began = Instant::now();
                    let report = run(options);
                    // Nobody listens any more: the campaign was stopped.
                    if sender.send((place, report, began.elapsed())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // At most one a thread and what is in the channel, but for a first one that takes very long.
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (place, report, took) in reports {
            early.insert(place, (report, took));
            while let Some((report, took)) = early.remove(&told) {
                told += 1;
                if tell(&report, took).is_break() {
                    // The threads end after the run that each is in.
                    next.store(all.len(), Ordering::Relaxed);
                    return;
                }
            }
        }
    });
}

fn take(all: &[Options], next: &AtomicUsize) -> Option<(usize, Options)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, *all.get(place)?))
}

/// The runs of one mode together.
#[derive(Clone, Debug, Default)]
struct Sum {
    fault_seconds: u64,
    tally: Tally,
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// How many runs.
    pub runs: u64,
    /// Simulated time of all, in microseconds.
    pub simulated_us: u64,
    /// Time that the runs took, added up over the threads.
    pub busy: Duration,
    /// Requests that clients saw answered.
    pub acknowledged: u64,
    /// Clusters that did not serve again.
    pub stopped: u64,
    modes: BTreeMap<Mode, Sum>,
}

impl Campaign {
    /// Takes in one run.
    pub fn add(&mut self, report: &Report, took: Duration) {
        self.runs += 1;
        self.simulated_us += report.simulated_us;
        self.busy += took;
        self.acknowledged += report.acknowledged;
        self.stopped += u64::from(!report.recovered);
        let sum = self.modes.entry(report.options.mode).or_default();
        sum.fault_seconds += report.options.seconds;
        sum.tally.add(&report.tally);
    }

    /// Simulated seconds that one thread gets through in a minute, as measured.
    #[must_use]
    pub fn seconds_per_minute_and_thread(&self) -> f64 {
        self.simulated_us as f64 / 1e6 / self.busy.as_secs_f64().max(1e-9) * 60.0
    }

    /// What acted and was reached in all modes.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.modes.values().for_each(|sum| all.add(&sum.tally));
        all
    }

    /// Classes that never acted in a mode of which at least so many seconds under faults were run.
    #[must_use]
    pub fn never_acted(&self, fault_seconds: u64) -> Vec<(Mode, Fault)> {
        let large = self.modes.iter();
        let large = large.filter(|(_, sum)| sum.fault_seconds >= fault_seconds);
        large
            .flat_map(|(mode, sum)| {
                let idle = Fault::ALL.into_iter();
                let idle = idle.filter(|fault| !sum.tally.faults.contains_key(fault));
                idle.map(|fault| (*mode, fault))
            })
            .collect()
    }

    /// Rare states that no run reached.
    #[must_use]
    pub fn never_reached(&self) -> Vec<&'static str> {
        let reached = self.tally().reached;
        let states = SOMETIMES.iter().copied();
        states.filter(|state| !reached.contains(state)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> Options {
        Options {
            seed,
            seconds: 1,
            mode: Mode::Bounded,
            trace: false,
            mutant: None,
            only: None,
        }
    }

    #[test]
    fn threads_change_neither_the_order_nor_a_trace() {
        let all: Vec<Options> = (1..=6).map(options).collect();
        let hashes = |threads| {
            let mut hashes = Vec::new();
            each(&all, threads, |report, _| {
                hashes.push((report.options.seed, report.trace_hash));
                ControlFlow::Continue(())
            });
            hashes
        };
        let alone = hashes(1);
        assert_eq!(alone, hashes(3));
        let seeds: Vec<u64> = alone.iter().map(|(seed, _)| *seed).collect();
        assert_eq!(seeds, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_campaign_that_is_told_to_stop_tells_no_more() {
        let all: Vec<Options> = (1..=8).map(options).collect();
        let mut told = 0;
        each(&all, 2, |_, _| {
            told += 1;
            ControlFlow::Break(())
        });
        assert_eq!(told, 1);
    }

    #[test]
    fn a_class_that_never_acts_is_named_once_enough_was_run() {
        let mut report = run(options(1));
        for fault in Fault::ALL {
            report.tally.count(fault);
        }
        report.tally.faults.remove(&Fault::BitRot);
        let mut campaign = Campaign::default();
        campaign.add(&report, Duration::from_secs(1));
        assert_eq!(campaign.never_acted(2), []);
        assert_eq!(campaign.never_acted(1), [(Mode::Bounded, Fault::BitRot)]);
    }
}
