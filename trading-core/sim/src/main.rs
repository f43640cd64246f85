//! `sim`: one seed, or a campaign of many.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use sim::{Mode, Options, Report, SOMETIMES, Tally, run};
use std::ops::Range;
use std::process::{Command, ExitCode};
use std::time::Instant;
use types::mutants::Mutant;

#[derive(Parser)]
#[command(about = "Whole clusters in one thread, from one seed")]
struct Arguments {
    #[command(subcommand)]
    command: Option<What>,
    /// The seed to run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    how: How,
    /// Print what happens.
    #[arg(long)]
    trace: bool,
}

#[derive(Subcommand)]
enum What {
    /// Runs many seeds, and says which rare states none of them reached.
    Campaign {
        /// From and up to, without the last: `1..500`.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
        #[command(flatten)]
        how: How,
        /// Fail when a rare state was not reached.
        #[arg(long)]
        strict: bool,
    },
}

#[derive(clap::Args, Clone, Copy)]
struct How {
    /// How long faults act, in simulated seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many faults at once; a campaign takes both in turn when it is left out.
    #[arg(long)]
    mode: Option<ModeName>,
    /// A fault built into the core; needs the feature `mutants`.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeName {
    Bounded,
    Unbounded,
}

fn seeds(text: &str) -> Result<Range<u64>> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    match parsed {
        Some(seeds) if !seeds.is_empty() => Ok(seeds),
        _ => bail!("'{text}' is no range of seeds: write it as 1..500"),
    }
}

fn mutant(text: &str) -> Result<Mutant> {
    let named = Mutant::ALL.into_iter().find(|m| m.name() == text);
    match named {
        Some(_) if !types::mutants::AVAILABLE => {
            bail!("this build has no mutants: build with --features mutants")
        }
        Some(mutant) => Ok(mutant),
        None => {
            let known: Vec<&str> = Mutant::ALL.iter().map(|m| m.name()).collect();
            bail!("'{text}' is no mutant: {} are accepted", known.join(", "))
        }
    }
}

fn options(seed: u64, how: How, trace: bool) -> Options {
    let mode = match how.mode {
        Some(ModeName::Bounded) => Mode::Bounded,
        Some(ModeName::Unbounded) => Mode::Unbounded,
        None if seed.is_multiple_of(3) => Mode::Unbounded,
        None => Mode::Bounded,
    };
    Options {
        seed,
        seconds: how.seconds,
        mode,
        trace,
        mutant: how.mutant,
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Some(What::Campaign { seeds, how, strict }) => campaign(seeds, how, strict),
        None => one(options(arguments.seed, arguments.how, arguments.trace)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn one(options: Options) -> Result<()> {
    let began = Instant::now();
    let report = run(options);
    let took = began.elapsed().as_secs_f64();
    if report.violation.is_some() {
        bail!("{}", failure(&report));
    }
    println!(
        "seed {}: {:.0} simulated seconds in {took:.1} s, {} entries, {} requests answered, recovered: {}, trace {:016x}",
        options.seed,
        report.simulated_us as f64 / 1e6,
        report.entries,
        report.acknowledged,
        report.recovered,
        report.trace_hash,
    );
    show(&report.tally);
    Ok(())
}

fn campaign(seeds: Range<u64>, how: How, strict: bool) -> Result<()> {
    let began = Instant::now();
    let count = seeds.end - seeds.start;
    let (mut tally, mut simulated_us, mut acknowledged, mut stopped) =
        (Tally::default(), 0, 0, 0_u64);
    for (done, seed) in seeds.enumerate() {
        let report = run(options(seed, how, false));
        if report.violation.is_some() {
            eprintln!();
            bail!("{}", failure(&report));
        }
        tally.add(&report.tally);
        simulated_us += report.simulated_us;
        acknowledged += report.acknowledged;
        stopped += u64::from(!report.recovered);
        let done = done as u64 + 1;
        let took = began.elapsed().as_secs_f64();
        let left = took / done as f64 * (count - done) as f64;
        eprint!("\rseed {seed}: {done} of {count} done, {left:.0} s left  ");
    }
    eprintln!();
    let took = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {:.0} simulated seconds in {took:.0} s ({:.0} a minute), {acknowledged} requests answered; \
         no invariant was broken; {stopped} clusters had stopped (unbounded faults may do that)",
        simulated_us as f64 / 1e6,
        simulated_us as f64 / 1e6 / took * 60.0,
    );
    show(&tally);
    let unreached: Vec<&&str> = SOMETIMES
        .iter()
        .filter(|state| !tally.reached.contains(*state))
        .collect();
    for state in &unreached {
        println!("never reached: {state}");
    }
    if strict && !unreached.is_empty() {
        bail!(
            "{} rare states were not reached: run more seeds",
            unreached.len()
        );
    }
    Ok(())
}

fn show(tally: &Tally) {
    for fault in sim::Fault::ALL {
        let times = tally.faults.get(&fault).copied().unwrap_or(0);
        println!("  {:<20} {times:>9}", format!("{fault:?}"));
    }
}

/// All that is needed to see it again.
fn failure(report: &Report) -> String {
    let Some(violation) = &report.violation else {
        return String::new();
    };
    let options = report.options;
    let mode = match options.mode {
        Mode::Bounded => "bounded",
        Mode::Unbounded => "unbounded",
    };
    let (features, mutant) = match options.mutant {
        Some(mutant) => (
            " --features mutants",
            format!(" --mutant {}", mutant.name()),
        ),
        None => ("", String::new()),
    };
    format!(
        "seed {} at commit {}, {:.6} s: {}\n  {}\n\nthe last events:\n{}\n\nagain: cargo run --release -p sim{features} -- --seed {} --seconds {} --mode {mode}{mutant} --trace",
        options.seed,
        commit(),
        violation.at_us as f64 / 1e6,
        violation.invariant,
        violation.detail,
        report.last_lines.join("\n"),
        options.seed,
        options.seconds,
    )
}

fn commit() -> String {
    let asked = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output();
    match asked {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".into(),
    }
}
