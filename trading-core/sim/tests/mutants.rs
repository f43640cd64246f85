//! Each fault that is built in is seen within its budget, on seeds that the core without it passes.
//! `cargo test --workspace --features sim/mutants --test mutants`

#![cfg(feature = "mutants")]

use sim::{Fault, Mode, Options, run};
use types::mutants::Mutant;

/// Seeds that each mutant gets.
const SEEDS: u64 = 100;

fn violation(seed: u64, mutant: Option<Mutant>, only: Option<Fault>) -> Option<&'static str> {
    let report = run(Options {
        seed,
        seconds: 10,
        mode: Mode::Bounded,
        trace: false,
        mutant,
        only,
    });
    report.violation.map(|violation| violation.invariant)
}

fn is_caught(mutant: Mutant) {
    is_caught_under(mutant, None);
}

fn is_caught_under(mutant: Mutant, only: Option<Fault>) {
    let caught = (1..=SEEDS).find_map(|seed| Some((seed, violation(seed, Some(mutant), only)?)));
    let (seed, invariant) = caught.expect("a mutant lives: the invariants do not see it");
    println!("{}: seed {seed}: {invariant}", mutant.name());
    assert_eq!(
        violation(seed, None, only),
        None,
        "seed {seed} fails without it"
    );
}

#[test]
fn acknowledging_before_the_sync_is_caught() {
    is_caught(Mutant::AcknowledgeBeforeSync);
}

#[test]
fn a_missing_epoch_fence_is_caught() {
    // What an older leader said must come late: all faults together seldom bring that.
    is_caught_under(Mutant::NoEpochFence, Some(Fault::HeldMessages));
}

#[test]
fn missing_dedupe_is_caught() {
    is_caught(Mutant::NoDedupe);
}

#[test]
fn a_skipped_risk_check_is_caught() {
    is_caught(Mutant::NoFundsCheck);
}

#[test]
fn answering_without_the_other_site_is_caught() {
    is_caught(Mutant::NoGroupCommit);
}

#[test]
fn a_missing_pre_vote_is_caught() {
    is_caught(Mutant::NoPreVote);
}
