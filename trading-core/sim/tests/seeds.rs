//! A small campaign, for every run of the tests. A larger one: `make sim`.

use sim::{Mode, Options, run};

fn options(seed: u64, seconds: u64, mode: Mode) -> Options {
    Options {
        seed,
        seconds,
        mode,
        trace: false,
        mutant: None,
        only: None,
    }
}

#[test]
fn the_same_seed_does_the_same() {
    for mode in [Mode::Bounded, Mode::Unbounded] {
        let first = run(options(11, 5, mode));
        let second = run(options(11, 5, mode));
        assert_eq!(first.trace_hash, second.trace_hash);
        assert_eq!(first.entries, second.entries);
        let other = run(options(12, 5, mode));
        assert_ne!(first.trace_hash, other.trace_hash);
    }
}

#[test]
fn bounded_faults_lose_nothing_and_the_cluster_recovers() {
    for seed in 1..=12 {
        let report = run(options(seed, 6, Mode::Bounded));
        assert_eq!(report.violation, None, "seed {seed}");
        assert!(report.recovered && report.acknowledged > 0, "seed {seed}");
    }
}

#[test]
fn unbounded_faults_make_nobody_lie() {
    let mut acknowledged = 0;
    for seed in 101..=112 {
        let report = run(options(seed, 6, Mode::Unbounded));
        assert_eq!(report.violation, None, "seed {seed}");
        acknowledged += report.acknowledged;
    }
    assert!(acknowledged > 0);
}
