//! `rules`: checks rule files, compiles them for the log, and shows what a day's rules are.

use anyhow::Context;
use clap::{Parser, Subcommand};
use rules::{RuleSet, Yuan};
use std::path::PathBuf;
use types::{Security, SymbolId, TradingDay};

#[derive(Debug, Parser)]
#[command(version, about = "Rules of the exchanges: check, compile, look up.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Checks the files of one set of rules together.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Writes the compact form that goes into the log.
    Compile {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Where to write it.
        #[arg(long)]
        output: PathBuf,
    },
    /// Shows a symbol's limits on a day.
    Limits {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The day, in digits such as 20260706.
        #[arg(long)]
        day: u32,
        /// The symbol's code.
        #[arg(long)]
        symbol: u32,
        /// The close of the day before, in yuan.
        #[arg(long, value_parser = clap::value_parser!(Yuan))]
        previous_close: Yuan,
        /// The symbol is under a risk warning (ST, *ST).
        #[arg(long)]
        risk_warning: bool,
        /// How many days it has been trading, the day of listing included.
        #[arg(long, default_value_t = 1_000)]
        listed_days: u32,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Check { files } => {
            let rules = rules_file::read(&files)?;
            println!("{}", summary(&rules)?);
        }
        Task::Compile { files, output } => {
            let bytes = rules::encode(&rules_file::read(&files)?)?;
            std::fs::write(&output, &bytes)
                .with_context(|| format!("failed to write {}", output.display()))?;
            println!("{}: {} bytes", output.display(), bytes.len());
        }
        Task::Limits {
            files,
            day,
            symbol,
            previous_close,
            risk_warning,
            listed_days,
        } => {
            let rules = rules_file::read(&files)?;
            let (day, symbol) = (TradingDay(day), SymbolId(symbol));
            let market = rules.market_of(symbol);
            let market = market.with_context(|| format!("no market has the code {symbol}"))?;
            let trading = market.trading_on(day);
            let trading = trading
                .with_context(|| format!("no edition of {:?} holds on {day}", market.board))?;
            let security = match (risk_warning, market.securities.first()) {
                (true, _) => Security::RiskWarningShare,
                (false, Some(security)) => *security,
                (false, None) => Security::Share,
            };
            let tick = trading.tick.price();
            match trading.price_limits.band(security, listed_days) {
                None => println!("{symbol} on {day}: no price limit"),
                Some(band) => {
                    let limits = band.limits(previous_close.price(), tick);
                    let (down, up) = limits.with_context(|| {
                        format!("previous_close {previous_close} is not accepted: use one above 0")
                    })?;
                    println!("{symbol} on {day}: {down} to {up} yuan");
                }
            }
        }
    }
    Ok(())
}

fn summary(rules: &RuleSet) -> anyhow::Result<String> {
    let editions: usize = rules.markets.iter().map(|it| it.trading.len()).sum();
    Ok(format!(
        "sound: {} markets with {editions} editions, calendar {} to {}, {} bytes in the log",
        rules.markets.len(),
        rules.calendar.from,
        rules.calendar.to,
        rules::encode(rules)?.len()
    ))
}
