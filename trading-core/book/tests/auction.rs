//! The auction's three conditions and both ways to break a tie, against a search over every price.

#![allow(
    clippy::unwrap_used,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use book::{AuctionFill, AuctionRule, Book, FastBook, Resting, TieBreak};
use proptest::prelude::*;
use std::collections::BTreeMap;
use types::{AccountId, OrderId, Price, Quantity, Side};

const TICK: i64 = 10;
const LOWEST: i64 = 1_000;
const PRICES: i64 = 8;

fn orders(accounts: u64) -> impl Strategy<Value = Vec<Resting>> {
    let one = (any::<bool>(), 1..=accounts, 0..PRICES, 1_u64..8);
    prop::collection::vec(one, 0..24).prop_map(move |drawn| {
        let numbered = (1..).zip(drawn);
        numbered
            .map(|(order, (buys, account, ticks, quantity))| Resting {
                order: OrderId(order),
                // With one account nobody is to meet himself: each order gets its own.
                account: AccountId(if accounts == 1 { order } else { account }),
                side: if buys { Side::Buy } else { Side::Sell },
                price: Price(LOWEST + ticks * TICK),
                remaining: Quantity(quantity),
                iceberg: None,
            })
            .collect()
    })
}

fn tie() -> impl Strategy<Value = TieBreak> {
    let reference = -3..PRICES + 3;
    let nearest = reference.prop_map(|ticks| TieBreak::Nearest {
        reference: Price(LOWEST + ticks * TICK),
    });
    prop_oneof![Just(TieBreak::Middle), nearest]
}

/// Shares that buyers would buy and sellers would sell at a price.
fn demand_and_supply(orders: &[Resting], price: i64) -> (u64, u64) {
    let sum = |side, takes: &dyn Fn(i64) -> bool| {
        let those = orders
            .iter()
            .filter(|order| order.side == side && takes(order.price.0));
        those.map(|order| order.remaining.0).sum()
    };
    let demand = sum(Side::Buy, &|limit| limit >= price);
    (demand, sum(Side::Sell, &|limit| limit <= price))
}

fn volume(orders: &[Resting], price: i64) -> u64 {
    let (demand, supply) = demand_and_supply(orders, price);
    demand.min(supply)
}

/// Whether all better-priced orders trade wholly at a price.
fn fills_the_better(orders: &[Resting], price: i64) -> bool {
    let (demand_above, _) = demand_and_supply(orders, price + 1);
    let (_, supply_below) = demand_and_supply(orders, price - 1);
    let volume = volume(orders, price);
    demand_above <= volume && supply_below <= volume
}

/// The auction's price by trying all of them, as the rules are written.
fn by_the_rules(orders: &[Resting], tie: TieBreak) -> Option<i64> {
    let all = || (0..PRICES).map(|ticks| LOWEST + ticks * TICK);
    let most = all()
        .map(|price| volume(orders, price))
        .max()
        .filter(|most| *most > 0)?;
    let stands = |price: &i64| orders.iter().any(|order| order.price.0 == *price);
    let mut left: Vec<i64> = all()
        .filter(|price| volume(orders, *price) == most && fills_the_better(orders, *price))
        .filter(|price| tie != TieBreak::Middle || stands(price))
        .collect();
    let unmatched = |price: &i64| {
        let (demand, supply) = demand_and_supply(orders, *price);
        demand.abs_diff(supply)
    };
    let fewest = left.iter().map(unmatched).min()?;
    left.retain(|price| unmatched(price) == fewest);
    match tie {
        TieBreak::Middle => {
            let twice = (left[0] + left[left.len() - 1]) / TICK;
            Some((twice + 1) / 2 * TICK)
        }
        TieBreak::Nearest { reference } => left
            .into_iter()
            .rev()
            .min_by_key(|price| price.abs_diff(reference.0)),
    }
}

/// What each order gets when `volume` shares trade in price-time order.
fn shares(orders: &[Resting], volume: u64) -> BTreeMap<OrderId, u64> {
    let mut shares = BTreeMap::new();
    for side in [Side::Buy, Side::Sell] {
        let mut queue: Vec<_> = orders.iter().filter(|order| order.side == side).collect();
        let worse = |order: &&Resting| {
            if side == Side::Buy {
                -order.price.0
            } else {
                order.price.0
            }
        };
        queue.sort_by_key(worse);
        let mut left = volume;
        for order in queue {
            let got = left.min(order.remaining.0);
            left -= got;
            if got > 0 {
                shares.insert(order.order, got);
            }
        }
    }
    shares
}

fn traded(fills: &[AuctionFill]) -> BTreeMap<OrderId, u64> {
    let mut traded = BTreeMap::new();
    for fill in fills {
        if let AuctionFill::Trade {
            buy,
            sell,
            quantity,
            ..
        } = fill
        {
            *traded.entry(*buy).or_default() += quantity.0;
            *traded.entry(*sell).or_default() += quantity.0;
        }
    }
    traded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_price_meets_the_three_conditions_and_the_tie_is_broken_by_the_rules(
        orders in orders(1),
        tie in tie(),
    ) {
        let mut book = FastBook::default();
        orders.iter().for_each(|order| book.rest(*order));
        let rule = AuctionRule { tick: Price(TICK), tie };
        let said = book.indicative(rule);
        let mut fills = Vec::new();
        let found = book.uncross(rule, &mut fills);
        prop_assert_eq!(found, said);
        prop_assert_eq!(found.map(|found| found.price.0), by_the_rules(&orders, tie));
        book.check_invariants().unwrap();
        book.check_uncrossed().unwrap();
        let Some(found) = found else {
            prop_assert!(fills.is_empty());
            return Ok(());
        };
        let price = found.price.0;
        // 1. No price trades more.
        let most = (LOWEST - 1..=LOWEST + PRICES * TICK).map(|price| volume(&orders, price)).max();
        prop_assert_eq!(Some(found.volume.0), most);
        // 2. All better-priced orders trade wholly; 3. at the price, at least one side does.
        prop_assert!(book.best(Side::Buy).is_none_or(|bid| bid.0 <= price));
        prop_assert!(book.best(Side::Sell).is_none_or(|ask| ask.0 >= price));
        let (demand, supply) = demand_and_supply(&orders, price);
        prop_assert_eq!(found.unmatched.0, demand.abs_diff(supply));
        prop_assert_eq!(traded(&fills), shares(&orders, found.volume.0));
    }

    #[test]
    fn no_account_trades_with_itself_in_an_auction(orders in orders(3), tie in tie()) {
        let mut book = FastBook::default();
        orders.iter().for_each(|order| book.rest(*order));
        let mut fills = Vec::new();
        let found = book.uncross(AuctionRule { tick: Price(TICK), tie }, &mut fills);
        let account = |order: OrderId| orders[order.0 as usize - 1].account;
        let mut taking_part = orders.clone();
        for fill in &fills {
            match fill {
                AuctionFill::Cancelled { order, .. } => {
                    taking_part.retain(|resting| resting.order != *order);
                    // It crossed an older one of its account.
                    let own = &orders[order.0 as usize - 1];
                    let crosses = |other: &Resting| match own.side {
                        Side::Buy => other.side == Side::Sell && other.price <= own.price,
                        Side::Sell => other.side == Side::Buy && other.price >= own.price,
                    };
                    let older = |other: &Resting| {
                        other.account == own.account && other.order < own.order
                    };
                    prop_assert!(orders.iter().any(|other| older(other) && crosses(other)));
                }
                AuctionFill::Trade { buy, sell, .. } => {
                    prop_assert_ne!(account(*buy), account(*sell));
                }
            }
        }
        prop_assert_eq!(found.map(|found| found.price.0), by_the_rules(&taking_part, tie));
        let volume = found.map_or(0, |found| found.volume.0);
        prop_assert_eq!(traded(&fills), shares(&taking_part, volume));
    }
}

/// A book used alone may hold prices that are no multiples of the auction's tick. Two ends of a gap
/// used to be taken in the wrong order there, which made the search panic.
#[test]
fn a_gap_between_prices_off_the_tick_has_no_price_on_it() {
    let mut book = FastBook::default();
    let resting = |order, side, price| Resting {
        order: OrderId(order),
        account: AccountId(order),
        side,
        price: Price(price),
        remaining: Quantity(5),
        iceberg: None,
    };
    book.rest(resting(1, Side::Sell, 1_021));
    book.rest(resting(2, Side::Buy, 1_029));
    let nearest = |reference| AuctionRule {
        tick: Price(TICK),
        tie: TieBreak::Nearest {
            reference: Price(reference),
        },
    };
    let price = |rule| book.indicative(rule).unwrap().price;
    assert_eq!(price(nearest(1_000)), Price(1_021));
    assert_eq!(price(nearest(2_000)), Price(1_029));
    // With a multiple inside the gap, it is found.
    book.rest(resting(3, Side::Buy, 1_035));
    book.cancel(OrderId(2));
    assert_eq!(book.indicative(nearest(1_030)).unwrap().price, Price(1_030));
}
