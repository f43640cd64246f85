//! How long the risk checks take: all fourteen over one order, on tables
//! that the caches hold and on ones that they do not.
//!
//! ```text
//! cargo bench -p engine --bench risk
//! ```
//! Orders come to accounts and symbols at random, with the shipped rules loaded, a kill switch on for
//! somebody else, and all checks passed: the longest way through. Times are of runs of 64 checks,
//! so that reading the clock does not count; what is shown is a check's share of its run.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on may end")]

use engine::risk::{AccountRisk, Ask, Funds, Switches, SymbolRisk, Ticket, check};
use rules::{Conduct, DayRules, Quotes};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;
use types::{
    AccountId, AccountTerms, KillMode, KillScope, Money, Phase, Price, Quantity, Security, Side,
    SymbolDefinition, SymbolId, TraderId, TradingDay, UnixMicros,
};

/// Accounts and symbols: what the caches hold, and what they do not.
const SIZES: [(usize, usize); 2] = [(1_000, 10), (1_000_000, 5_000)];
const RUN: usize = 64;
const RUNS: usize = 100_000;
const WARM_UP: usize = 10_000;
const DAY: TradingDay = TradingDay(20_261_125);

fn main() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    let rules = rules_file::read(&files).unwrap();
    let market = rules.market_of(SymbolId(600_000)).unwrap();
    let (trading, fees) = (
        market.trading_on(DAY).unwrap(),
        market.fees_on(DAY).unwrap(),
    );
    let day = DayRules::new(trading, fees, Security::Share);
    let conduct = rules.conduct_on(DAY).unwrap();
    for (accounts, symbols) in SIZES {
        measure(accounts, symbols, day, conduct);
    }
}

fn measure(accounts_count: usize, symbols_count: usize, day: DayRules, conduct: &Conduct) {
    let mut accounts = vec![AccountRisk::default(); accounts_count];
    let symbols = vec![
        SymbolRisk {
            is_restricted: false,
            day: Some(day),
        };
        symbols_count
    ];
    let definitions: Vec<_> = (0..symbols_count as u32)
        .map(|code| SymbolDefinition {
            float: Quantity(1_000_000_000),
            ..SymbolDefinition::share(SymbolId(600_000 + code), Price(90_000), Price(110_000))
        })
        .collect();
    let mut switches = Switches::default();
    let other = KillScope::Account(AccountId(u64::MAX));
    switches.turn(other, KillMode::RejectNew).unwrap();

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut now = 1_795_572_000_000_000;
    let mut shares: Vec<u64> = Vec::with_capacity(RUNS);
    for run in 0..RUNS + WARM_UP {
        let begun = Instant::now();
        for _ in 0..RUN {
            // Xorshift (Marsaglia, 2003): cheap, and the same in every run.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Two microseconds apart, so that no account of the small table is too fast.
            now += 2;
            let account = random as usize % accounts_count;
            let symbol = (random >> 32) as usize % symbols_count;
            let mut ticket = Ticket {
                now: UnixMicros(now),
                account: AccountId(account as u64),
                trader: TraderId(1),
                definition: &definitions[symbol],
                ask: Ask {
                    side: if random & 64 == 0 {
                        Side::Buy
                    } else {
                        Side::Sell
                    },
                    quantity: Quantity(100 * (1 + (random >> 20 & 7))),
                    open: Quantity(100),
                    price: Price(100_000 + 100 * ((random >> 24 & 15) as i64 - 7)),
                    market: None,
                    has_protection: false,
                },
                phase: Phase::Continuous,
                quotes: Quotes {
                    best_bid: Some(Price(99_900)),
                    best_ask: Some(Price(100_100)),
                    last: Some(Price(100_000)),
                    previous_close: Some(Price(100_000)),
                },
                funds: Funds {
                    cash: Money(i64::MAX / 2),
                    fee: Money(0),
                    sellable: Quantity(100_000),
                    held: Quantity(100_000),
                    open_amount: Money(0),
                    meets_owner: false,
                },
                terms: AccountTerms::default(),
                of_account: &mut accounts[account],
                of_symbol: &symbols[symbol],
                switches: &switches,
                conduct: Some(conduct),
            };
            black_box(check(black_box(&mut ticket))).unwrap();
        }
        if run >= WARM_UP {
            shares.push(begun.elapsed().as_nanos() as u64 / RUN as u64);
        }
    }
    shares.sort_unstable();
    let at = |permille: usize| shares[(shares.len() - 1) * permille / 1_000];
    println!(
        "risk: {accounts_count} accounts, {symbols_count} symbols, {RUNS} runs of {RUN} checks\n\
         ns a check   p50 {}   p99 {}   p99.9 {}   max {}",
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
}
