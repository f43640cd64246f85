//! The book alone: a call auction, continuous trading, an iceberg, market data.
//!
//! `cargo run -p book --example one_symbol`

#![allow(
    clippy::print_stdout,
    reason = "an example shows what it does on its standard output"
)]

use book::{AuctionRule, Band, Book, FastBook, Incoming, Remainder, Resting, TieBreak};
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};

const TEN_YUAN: i64 = 10 * Price::PER_YUAN;
const TICK: Price = Price(100);

fn order(order: u64, account: u64, side: Side, quantity: u64, ticks: i64) -> Incoming {
    Incoming {
        order: OrderId(order),
        account: AccountId(account),
        side,
        quantity: Quantity(quantity),
        limit: Some(Price(TEN_YUAN + ticks * TICK.0)),
        remainder: Remainder::Rests,
        levels_max: None,
        display: None,
        self_trade_prevention: SelfTradePrevention::CancelNewest,
    }
}

fn main() {
    let mut book = FastBook::with_band(Band {
        tick: TICK,
        low: Price(TEN_YUAN * 9 / 10),
        high: Price(TEN_YUAN * 11 / 10),
    });

    // The opening call: orders only rest, then all that can trade does, at one price.
    for incoming in [
        order(1, 1, Side::Buy, 300, 2),
        order(2, 2, Side::Buy, 200, 0),
        order(3, 3, Side::Sell, 400, -1),
    ] {
        let price = incoming.limit.unwrap_or_default();
        book.rest(Resting::of(&incoming, price, incoming.quantity));
    }
    let rule = AuctionRule {
        tick: TICK,
        tie: TieBreak::Nearest {
            reference: Price(TEN_YUAN),
        },
    };
    let mut crossed = Vec::new();
    let opening = book.uncross(rule, &mut crossed);
    println!("opening: {opening:?}");
    crossed.iter().for_each(|fill| println!("  {fill:?}"));

    // Continuous trading: an iceberg rests, a buy takes from it.
    let iceberg = Incoming {
        display: Some(Quantity(100)),
        ..order(4, 3, Side::Sell, 500, 1)
    };
    let mut fills = Vec::new();
    book.submit(iceberg, &mut fills);
    let outcome = book.submit(order(5, 4, Side::Buy, 250, 1), &mut fills);
    println!("buy of 250: {outcome:?}");
    fills.iter().for_each(|fill| println!("  {fill:?}"));

    // What the market sees.
    for side in [Side::Sell, Side::Buy] {
        book.depth(side, 5, &mut |level| {
            println!(
                "{side:?} {} {} in {} orders",
                level.price, level.shown, level.orders
            );
        });
    }
}
