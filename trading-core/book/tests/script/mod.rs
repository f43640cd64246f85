//! The language of the scripts.
//!
//! ```text
//! buy|sell ORDER ACCOUNT QUANTITY @PRICE|market [ioc|fok] [levels=N] [show=N] [newest|oldest|both]
//! rest buy|sell ORDER ACCOUNT QUANTITY @PRICE [show=N]     (call auction: no matching)
//! cancel ORDER
//! replace ORDER QUANTITY @PRICE [newest|oldest|both]
//! replace-in-call ORDER QUANTITY @PRICE
//! would buy|sell @PRICE        post-only probe
//! volume buy|sell @PRICE       what stands on that side, up to the price
//! depth N                      shown shares of the best N levels of each side
//! book                         all that rests
//! indicative middle | indicative near @PRICE
//! uncross    middle | uncross    near @PRICE
//! ```
//! Prices are in yuan with two to four decimals, the tick is 0.01; accounts are letters.

use book::{
    AuctionFill, AuctionRule, Book, Ending, Fill, Iceberg, Incoming, Indicative, Outcome,
    Remainder, Replacement, Resting, TieBreak,
};
use std::fmt::Write;
use std::num::NonZeroU8;
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};

/// The script with the book's answers in place of those that it came with.
pub fn run<B: Book>(text: &str, empty: &impl Fn() -> B) -> String {
    let mut out = String::new();
    let mut book = empty();
    let mut in_call = false;
    for line in text.lines().filter(|line| !line.starts_with("  ")) {
        writeln!(out, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("case ") {
            book = empty();
            in_call = false;
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        in_call =
            matches!(words[0], "rest" | "replace-in-call") || in_call && words[0] != "uncross";
        for answer in command(&mut book, &words) {
            writeln!(out, "  {answer}").unwrap();
        }
        book.check_invariants().unwrap();
        if !in_call {
            book.check_uncrossed().unwrap();
        }
    }
    out
}

fn command<B: Book>(book: &mut B, words: &[&str]) -> Vec<String> {
    let mut fills = Vec::new();
    match words {
        [
            side @ ("buy" | "sell"),
            order,
            account,
            quantity,
            price,
            options @ ..,
        ] => {
            let incoming = incoming(side, order, account, quantity, price, options);
            let outcome = book.submit(incoming, &mut fills);
            told(&fills, outcome)
        }
        ["rest", side, order, account, quantity, price, options @ ..] => {
            let incoming = incoming(side, order, account, quantity, price, options);
            let price = incoming.limit.unwrap();
            book.rest(Resting::of(&incoming, price, incoming.quantity));
            vec![]
        }
        ["cancel", order] => vec![
            book.cancel(OrderId(number(order)))
                .map_or("unknown".into(), |resting| shown(&resting)),
        ],
        ["replace", order, quantity, price, options @ ..] => {
            let (order, quantity) = (OrderId(number(order)), Quantity(number(quantity)));
            let stp = policy(options);
            let done = book.replace(order, yuan(price), quantity, stp, &mut fills);
            replaced(&fills, done)
        }
        ["replace-in-call", order, quantity, price] => {
            let (order, quantity) = (OrderId(number(order)), Quantity(number(quantity)));
            replaced(&[], book.replace_in_call(order, yuan(price), quantity))
        }
        ["would", side, price] => {
            let trades = book.would_trade(side_of(side), yuan(price));
            vec![if trades { "trade" } else { "rest" }.into()]
        }
        ["volume", side, price] => vec![book.volume_to(side_of(side), yuan(price)).to_string()],
        ["depth", levels] => {
            let mut lines = Vec::new();
            for side in [Side::Buy, Side::Sell] {
                book.depth(side, number(levels) as usize, &mut |level| {
                    let (price, orders) = (at(level.price), level.orders);
                    lines.push(
                        format!("{side:?} {price} {} in {orders}", level.shown).to_lowercase(),
                    );
                });
            }
            lines
        }
        ["book"] => {
            let mut lines = Vec::new();
            book.visit(&mut |resting| lines.push(shown(resting)));
            lines
        }
        ["indicative", tie @ ..] => vec![auction(book.indicative(rule(tie)))],
        ["uncross", tie @ ..] => {
            let mut fills = Vec::new();
            let found = book.uncross(rule(tie), &mut fills);
            let mut lines: Vec<String> = fills.iter().map(auction_fill).collect();
            lines.push(auction(found));
            lines
        }
        other => panic!("no command: {other:?}"),
    }
}

fn incoming(
    side: &str,
    order: &str,
    account: &str,
    quantity: &str,
    price: &str,
    options: &[&str],
) -> Incoming {
    let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    Incoming {
        order: OrderId(number(order)),
        account: AccountId(u64::from(account.as_bytes()[0])),
        side: side_of(side),
        quantity: Quantity(number(quantity)),
        limit: (price != "market").then(|| yuan(price)),
        remainder: if options.contains(&"ioc") {
            Remainder::IsCancelled
        } else if options.contains(&"fok") {
            Remainder::FillOrKill
        } else {
            Remainder::Rests
        },
        levels_max: value("levels=").and_then(|n| NonZeroU8::new(number(n) as u8)),
        display: value("show=").map(|n| Quantity(number(n))),
        self_trade_prevention: policy(options),
    }
}

fn policy(options: &[&str]) -> SelfTradePrevention {
    if options.contains(&"oldest") {
        SelfTradePrevention::CancelOldest
    } else if options.contains(&"both") {
        SelfTradePrevention::CancelBoth
    } else {
        SelfTradePrevention::CancelNewest
    }
}

fn rule(tie: &[&str]) -> AuctionRule {
    let tie = match tie {
        ["middle"] => TieBreak::Middle,
        ["near", reference] => TieBreak::Nearest {
            reference: yuan(reference),
        },
        other => panic!("no tie break: {other:?}"),
    };
    AuctionRule {
        tick: Price(100),
        tie,
    }
}

fn told(fills: &[Fill], outcome: Outcome) -> Vec<String> {
    let mut lines: Vec<String> = fills.iter().map(fill).collect();
    let left = outcome.remaining;
    lines.push(match outcome.ending {
        Ending::Filled => "filled".into(),
        Ending::Rested => format!("rests {left}"),
        Ending::Unfilled => format!("given back {left}"),
        Ending::SelfTrade => format!("own account, given back {left}"),
        Ending::Killed => format!("killed {left}"),
    });
    lines
}

fn fill(fill: &Fill) -> String {
    match fill {
        Fill::Trade {
            maker,
            price,
            quantity,
            maker_remaining,
            taker_remaining,
        } => format!(
            "trade {maker} {quantity} {} ({maker} has {maker_remaining} left, {taker_remaining} to go)",
            at(*price)
        ),
        Fill::MakerCancelled { maker, quantity } => format!("own {maker} cancelled {quantity}"),
    }
}

fn replaced(fills: &[Fill], done: Option<Replacement>) -> Vec<String> {
    match done {
        None => vec!["unknown".into()],
        Some(Replacement::InPlace) => vec!["in place".into()],
        Some(Replacement::Requeued(outcome)) => told(fills, outcome),
    }
}

fn auction_fill(fill: &AuctionFill) -> String {
    match fill {
        AuctionFill::Cancelled { order, quantity } => format!("own {order} cancelled {quantity}"),
        AuctionFill::Trade {
            buy,
            sell,
            price,
            quantity,
            buy_remaining,
            sell_remaining,
        } => format!(
            "trade {buy} {sell} {quantity} {} (left {buy_remaining}, {sell_remaining})",
            at(*price)
        ),
    }
}

fn auction(found: Option<Indicative>) -> String {
    let Some(found) = found else {
        return "none".into();
    };
    let left = match found.unmatched_side {
        None => "nothing left".into(),
        Some(side) => format!("{side:?} {} left", found.unmatched).to_lowercase(),
    };
    format!("{} volume {}, {left}", at(found.price), found.volume)
}

fn shown(resting: &Resting) -> String {
    let side = format!("{:?}", resting.side).to_lowercase();
    let account = char::from(resting.account.0 as u8);
    let (order, price) = (resting.order, at(resting.price));
    let mut line = format!("{side} {order} {account} {} {price}", resting.remaining);
    if let Some(Iceberg { display, shown }) = resting.iceberg {
        write!(line, " (shows {shown} of {display})").unwrap();
    }
    line
}

fn side_of(word: &str) -> Side {
    match word {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => panic!("no side: {other}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("no number: {word}"))
}

/// `@10.05` as a price.
fn yuan(word: &str) -> Price {
    let (whole, part) = word.strip_prefix('@').unwrap().split_once('.').unwrap();
    Price((number(whole) * 10_000 + number(&format!("{part:0<4}"))) as i64)
}

fn at(price: Price) -> String {
    let text = price.to_string();
    format!("@{}", text.strip_suffix("00").unwrap_or(&text))
}
