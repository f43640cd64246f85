//! `sim`: one seed, or a campaign of many.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use sim::{Campaign, Fault, Mode, Options, Report, SURE_FAULT_SECONDS, Tally, each, run};
use std::ops::{ControlFlow, Range};
use std::process::{Command, ExitCode};
use std::thread::available_parallelism;
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
    /// Runs many seeds, and says which rare states none of them reached. Fails when a class of faults
    /// never acted in a mode of which enough was run.
    Campaign {
        /// From and up to, without the last: `1..500`.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
        #[command(flatten)]
        how: How,
        /// Fail when a rare state was not reached.
        #[arg(long)]
        strict: bool,
        /// How many seeds at once; as many as there are cores when it is left out. It changes nothing
        /// but the time.
        #[arg(long)]
        threads: Option<usize>,
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
    /// The only class of faults, as the summary names it: `OldFileRestored`.
    #[arg(long, value_parser = fault)]
    only: Option<Fault>,
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

fn fault(text: &str) -> Result<Fault> {
    let mut known = Fault::ALL.into_iter();
    match known.find(|fault| format!("{fault:?}") == text) {
        Some(fault) => Ok(fault),
        None => bail!(
            "'{text}' is no class of faults: {:?} are accepted",
            Fault::ALL
        ),
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
        only: how.only,
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Some(What::Campaign {
            seeds,
            how,
            strict,
            threads,
        }) => campaign(seeds, how, strict, threads),
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

fn campaign(seeds: Range<u64>, how: How, strict: bool, threads: Option<usize>) -> Result<()> {
    let cores = || available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cores).max(1);
    let all: Vec<Options> = seeds.map(|seed| options(seed, how, false)).collect();
    let began = Instant::now();
    let mut sum = Campaign::default();
    let mut broken = None;
    each(&all, threads, |report, took| {
        if report.violation.is_some() {
            broken = Some(failure(report));
            return ControlFlow::Break(());
        }
        sum.add(report, took);
        let (seed, count) = (report.options.seed, all.len() as u64);
        let left = began.elapsed().as_secs_f64() / sum.runs as f64 * (count - sum.runs) as f64;
        eprint!(
            "\rseed {seed}: {} of {count} done, {left:.0} s left  ",
            sum.runs
        );
        ControlFlow::Continue(())
    });
    eprintln!();
    if let Some(broken) = broken {
        bail!("{broken}");
    }
    let (seconds, took) = (sum.simulated_us as f64 / 1e6, began.elapsed().as_secs_f64());
    println!(
        "{} seeds, {seconds:.0} simulated seconds in {took:.0} s on {threads} threads ({:.0} a minute, {:.0} a minute \
         and thread), {} requests answered; no invariant was broken; {} clusters had stopped (unbounded faults may do \
         that)",
        sum.runs,
        seconds / took * 60.0,
        sum.seconds_per_minute_and_thread(),
        sum.acknowledged,
        sum.stopped,
    );
    show(&sum.tally());
    let unreached = sum.never_reached();
    for state in &unreached {
        println!("never reached: {state}");
    }
    // One class alone says nothing of the others.
    let sure = if how.only.is_some() {
        u64::MAX
    } else {
        SURE_FAULT_SECONDS
    };
    let idle = sum.never_acted(sure);
    if !idle.is_empty() {
        let idle: Vec<String> = idle
            .iter()
            .map(|(mode, fault)| format!("{fault:?} ({})", named(*mode)))
            .collect();
        bail!(
            "{} never acted in {SURE_FAULT_SECONDS} seconds under faults or more: look for what keeps them from it",
            idle.join(", ")
        );
    }
    if strict && !unreached.is_empty() {
        bail!(
            "{} rare states were not reached: run more seeds",
            unreached.len()
        );
    }
    Ok(())
}

fn named(mode: Mode) -> &'static str {
    match mode {
        Mode::Bounded => "bounded",
        Mode::Unbounded => "unbounded",
    }
}

fn show(tally: &Tally) {
    for fault in Fault::ALL {
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
    let mode = named(options.mode);
    let only = options
        .only
        .map_or(String::new(), |only| format!(" --only {only:?}"));
    let (features, mutant) = match options.mutant {
        Some(mutant) => (
            " --features mutants",
            format!(" --mutant {}", mutant.name()),
        ),
        None => ("", String::new()),
    };
    format!(
        "seed {} at commit {}, {:.6} s: {}\n  {}\n\nthe last events:\n{}\n\nagain: cargo run --release -p sim{features} -- --seed {} --seconds {} --mode {mode}{mutant}{only} --trace",
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
