//! What must be in the core before orders can flow: symbols and accounts.

use super::generator::{LOT, MIDDLE, SYMBOLS, TICK};
use anyhow::{Context as _, Result, bail};
use client::admin::AdminConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use types::{AccountId, Control, Money, Price, Quantity, SymbolDefinition};

/// Cash of an account: one billion yuan.
const CASH: Money = Money(10_000_000_000_000);
/// Shares of each symbol.
const SHARES: Quantity = Quantity(100_000_000);
const LIMIT: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_millis(100);

/// Lists the symbols and opens accounts, from `first` on. What is there already stays as it is.
///
/// # Errors
/// When no leader answers, or it refuses.
pub async fn prepare(addresses: &[String], first: u64, accounts: u64) -> Result<()> {
    let leader = leader(addresses).await?;
    for symbol in SYMBOLS {
        let define = Control::DefineSymbol(SymbolDefinition {
            tick: Price(TICK),
            lot: Quantity(LOT),
            ..SymbolDefinition::share(symbol, Price(MIDDLE * 9 / 10), Price(MIDDLE * 11 / 10))
        });
        put(&leader, &define).await?;
    }
    for account in first..first + accounts {
        let open = Control::OpenAccount {
            account: AccountId(account),
            cash: CASH,
            positions: SYMBOLS.map(|symbol| (symbol, SHARES)).to_vec(),
        };
        put(&leader, &open).await?;
    }
    Ok(())
}

async fn put(leader: &AdminConnection, control: &Control) -> Result<()> {
    let answer = leader.control(control).await?;
    if !answer.done {
        bail!(
            "failed to prepare the core: {} ({})",
            answer.text,
            answer.code
        );
    }
    Ok(())
}

async fn leader(addresses: &[String]) -> Result<AdminConnection> {
    let until = Instant::now() + LIMIT;
    let mut last = None;
    while Instant::now() < until {
        for address in addresses {
            match AdminConnection::connect(address).await {
                Ok(connection) => match connection.status().await {
                    Ok(status) if status.serving => return Ok(connection),
                    Ok(_) => {}
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        sleep(RETRY).await;
    }
    match last {
        Some(error) => Err(error).context("failed to find a leader that serves"),
        None => bail!(
            "failed to find a leader that serves within {} s",
            LIMIT.as_secs()
        ),
    }
}
