//! The figures of the trading core, each beside its target.
//!
//! ```text
//!   bench all ─┬─► codec, engine, memory in this process
//!              ├─► book, risk, ITCH, FIX benchmarks of their own crates
//!              ├─► node, group, ping,    real server processes on loopback ◄─ load, open loop
//!              │   failover
//!              └─► table, JSON, docs/bench/history.jsonl ─► bench compare
//! ```
//!
//! `cargo build --release -p server && cargo run --release -p bench -- all`

mod codec;
mod engine_rows;
mod floor;
mod flow;
mod load;
mod machine;
mod others;
mod probe;
mod processes;
mod report;
mod servers;
mod soak;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use machine::Machine;
use processes::{DEFAULT_TIMERS, Going, Length};
use report::{Report, Row};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Measures the trading core.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; `compare` only holds the history's newest run against the one before.
    what: What,
    /// Seconds measured in each row of a load, after a fifth of it to warm up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Failovers of each kind.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Minutes of `soak`.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Orders a second of `soak`.
    #[arg(long, default_value_t = 2_000)]
    rate_per_s: u64,
    /// Where the history is kept; `all` appends to it.
    #[arg(long, default_value = "docs/bench/history.jsonl")]
    history: PathBuf,
    /// Where the run is written as JSON, if anywhere.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// All rows, and an entry in the history.
    All,
    /// Reading and writing the binary protocol.
    Codec,
    /// The engine alone, and replay of a log.
    Engine,
    /// A million accounts.
    Memory,
    /// Benchmarks of other crates: book, risk, ITCH, FIX.
    Others,
    /// The disk and the loopback alone.
    Floor,
    /// One node.
    Node,
    /// Three replicas.
    Group,
    /// One order in flight.
    Ping,
    /// Crash, silence, transfer.
    Failover,
    /// Memory over an hour; not in `all`.
    Soak,
    /// The history's newest run beside the one before.
    Compare,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::select! {
        // What it started ends with it.
        done = measure(&arguments) => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted: the servers are stopped"),
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    if arguments.what == What::Compare {
        let history = report::read_history(&arguments.history)?;
        print!("{}", report::compare(&history)?);
        return Ok(());
    }
    let wanted = |what: What| arguments.what == What::All || arguments.what == what;
    let length = Length {
        warm_up: Duration::from_millis(arguments.seconds * 200),
        measured: Duration::from_secs(arguments.seconds),
    };
    let mut rows: Vec<Row> = Vec::new();
    if wanted(What::Codec) {
        rows.extend(codec::rows()?);
    }
    if wanted(What::Engine) {
        rows.extend(tokio::task::spawn_blocking(engine_rows::rows).await??);
    }
    if wanted(What::Memory) {
        rows.push(tokio::task::spawn_blocking(engine_rows::memory).await??);
    }
    if wanted(What::Others) {
        rows.extend(tokio::task::spawn_blocking(others::rows).await??);
    }
    if wanted(What::Floor) {
        rows.extend(tokio::task::spawn_blocking(floor::rows).await??);
    }
    if wanted(What::Node) {
        rows.extend(processes::throughput(1, 500_000.0, length).await?);
    }
    if wanted(What::Group) {
        rows.extend(processes::throughput(3, 300_000.0, length).await?);
    }
    if wanted(What::Ping) {
        for replicas in [1, 3] {
            rows.push(processes::ping(replicas, length).await?);
        }
    }
    if wanted(What::Failover) {
        for going in [Going::Crash, Going::Freeze, Going::Transfer] {
            rows.push(processes::failover(going, arguments.rounds, DEFAULT_TIMERS).await?);
        }
    }
    if arguments.what == What::Soak {
        rows.push(soak::soak(arguments.minutes, arguments.rate_per_s).await?);
    }
    let report = Report {
        at: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        version: version()?,
        machine: Machine::read()?,
        rows,
    };
    println!("{}", report.table());
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    if arguments.what == What::All {
        report.append(&arguments.history)?;
    }
    Ok(())
}

/// The commit, marked when the tree differs from it.
fn version() -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .output()
        .context("failed to run git")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
