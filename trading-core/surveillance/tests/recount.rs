//! The detectors against a recount: each level found again by going through all that happened.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use proptest::prelude::*;
use rules::{
    Bursts, Cancels, Concentration, Conduct, Duplicates, OrderRate, PriceCollar, Ratio, Yuan,
};
use surveillance::{AccountSlot, Act, Finding, Party, Surveillance, SymbolSlot};
use types::{AlertKind, OwnerId, Price, Quantity, Side, TradingDay, UnixMicros};

/// Levels so low that short streams reach them.
fn conduct() -> Conduct {
    let percent = |percent: u32| Ratio(percent * 1_000_000);
    Conduct {
        from: TradingDay(20_250_707),
        order_rate: OrderRate {
            per_second_warn: 3,
            per_day_warn: 9,
            per_second_block: 100,
            burst_block: 100,
        },
        cancels: Cancels {
            instantaneous_ms: 700,
            instantaneous_per_day_warn: 2,
            orders_min: 2,
            ratio_warn: percent(60),
            ratio_block: percent(90),
        },
        concentration: Concentration {
            float_warn: percent(40),
            float_block: percent(50),
            equity_warn: percent(80),
            equity_block: percent(100),
        },
        bursts: Bursts {
            window_ms: 2_000,
            turnover_warn: Yuan(9_000),
            share_warn: percent(50),
            price_move_warn: percent(5),
        },
        duplicates: Duplicates {
            window_ms: 0,
            repeats_max: 1,
        },
        collar: PriceCollar {
            ratio_max: percent(20),
            ticks_min: 10,
        },
    }
}

const ACCOUNTS: u32 = 5;
const SYMBOLS: u32 = 2;
const FLOAT: u64 = 500;

/// Accounts 0 and 1 belong together, the others stand for themselves.
fn unit(account: AccountSlot) -> u32 {
    if account.0 <= 1 { 0 } else { account.0 }
}

type History = Vec<(UnixMicros, Act)>;

fn finding(kind: AlertKind, account: AccountSlot, observed: u64, allowed: u64) -> Finding {
    Finding {
        kind,
        account,
        related: None,
        symbol: None,
        observed,
        allowed,
    }
}

/// The last account of the unit that asked for something, other than the one that asked last.
fn related(history: &History, of: u32) -> Option<AccountSlot> {
    let mut asked = history.iter().rev().filter_map(|(_, act)| match act {
        Act::Requested { account } if unit(*account) == of => Some(*account),
        _ => None,
    });
    let last = asked.next()?;
    asked.find(|account| *account != last)
}

fn count(history: &History, holds: impl Fn(&UnixMicros, &Act) -> bool) -> u64 {
    history
        .iter()
        .filter(|(time, act)| holds(time, act))
        .count() as u64
}

fn recount(history: &History) -> Vec<Finding> {
    let levels = conduct();
    let (now, act) = *history.last().unwrap();
    let mut found = Vec::new();
    match act {
        Act::Requested { account } => {
            let same_unit = |act: &Act| match act {
                Act::Requested { account: other } => unit(*other) == unit(account),
                _ => false,
            };
            let in_second = count(history, |time, act| {
                time.0 / 1_000_000 == now.0 / 1_000_000 && same_unit(act)
            });
            let in_day = count(history, |_, act| same_unit(act));
            let related = related(history, unit(account));
            let level = levels.order_rate;
            for (kind, observed, allowed) in [
                (AlertKind::OrderRate, in_second, level.per_second_warn),
                (AlertKind::DailyMessages, in_day, level.per_day_warn),
            ] {
                if observed == u64::from(allowed) {
                    let plain = finding(kind, account, observed, allowed.into());
                    found.push(Finding { related, ..plain });
                }
            }
        }
        Act::Entered { .. } => {}
        Act::Cancelled { account, entered } => {
            found.extend(recount_cancels(history, now, account, entered));
        }
        Act::SelfTradePrevented { account, symbol } => {
            let plain = finding(
                AlertKind::SelfTrade,
                account,
                self_trades(history, unit(account)),
                0,
            );
            found.push(Finding {
                symbol: Some(symbol),
                ..plain
            });
        }
        Act::Traded { .. } => found.extend(recount_trade(history)),
    }
    found
}

fn self_trades(history: &History, of: u32) -> u64 {
    count(history, |_, act| match act {
        Act::SelfTradePrevented { account, .. } => unit(*account) == of,
        Act::Traded { buyer, seller, .. } => {
            unit(buyer.account) == of && unit(seller.account) == of
        }
        _ => false,
    })
}

fn recount_cancels(
    history: &History,
    now: UnixMicros,
    account: AccountSlot,
    entered: UnixMicros,
) -> Vec<Finding> {
    let levels = conduct().cancels;
    let of = unit(account);
    let at_once = |time: &UnixMicros, entered: &UnixMicros| {
        time.0.saturating_sub(entered.0) < u64::from(levels.instantaneous_ms) * 1_000
    };
    let mut found = Vec::new();
    let related = related(history, of);
    let quick = count(
        history,
        |time, act| matches!(act, Act::Cancelled { account, entered } if unit(*account) == of && at_once(time, entered)),
    );
    let every = u64::from(levels.instantaneous_per_day_warn);
    if at_once(&now, &entered) && quick % every == 0 {
        let plain = finding(AlertKind::FrequentCancels, account, quick, every);
        found.push(Finding { related, ..plain });
    }
    // Orders and cancels of the unit up to each of its acts, to see when the ratio was crossed.
    let mut reached = false;
    let mut newly = false;
    let (mut orders, mut cancels) = (0_u64, 0_u64);
    for (_, act) in history {
        match act {
            Act::Entered { account } if unit(*account) == of => orders += 1,
            Act::Cancelled { account, .. } if unit(*account) == of => cancels += 1,
            _ => continue,
        }
        let now_reached = orders >= u64::from(levels.orders_min) && cancels * 100 >= orders * 60;
        // Reaching it by an order is impossible but when the fewest orders are: that one is silent.
        newly = now_reached && !reached && matches!(act, Act::Cancelled { .. });
        reached = if matches!(act, Act::Cancelled { .. }) {
            now_reached
        } else {
            reached && now_reached
        };
    }
    if newly {
        let plain = finding(
            AlertKind::CancelRatio,
            account,
            cancels,
            (orders * 60).div_ceil(100),
        );
        found.push(Finding { related, ..plain });
    }
    found
}

struct Deal {
    number: u64,
    symbol: SymbolSlot,
    price: i64,
    amount: u64,
    sides: [(AccountSlot, Side); 2],
    taker: Option<Side>,
}

fn deals(history: &History, of: SymbolSlot) -> Vec<Deal> {
    let deal = |(time, act): &(UnixMicros, Act)| match act {
        Act::Traded {
            symbol,
            price,
            quantity,
            buyer,
            seller,
            taker,
            ..
        } if *symbol == of => Some(Deal {
            number: time.0 / 2_000_000,
            symbol: *symbol,
            price: price.0,
            amount: price.0.unsigned_abs() * quantity.0,
            sides: [(buyer.account, Side::Buy), (seller.account, Side::Sell)],
            taker: *taker,
        }),
        _ => None,
    };
    history.iter().filter_map(deal).collect()
}

fn recount_trade(history: &History) -> Vec<Finding> {
    let (
        _,
        Act::Traded {
            symbol,
            quantity,
            buyer,
            seller,
            ..
        },
    ) = *history.last().unwrap()
    else {
        panic!("a trade was expected");
    };
    let mut found = Vec::new();
    let in_symbol = |plain: Finding| Finding {
        symbol: Some(symbol),
        ..plain
    };
    let inside = unit(buyer.account) == unit(seller.account);
    if inside {
        let kind = if buyer.account == seller.account {
            AlertKind::SelfTrade
        } else {
            AlertKind::LinkedAccounts
        };
        let plain = finding(
            kind,
            buyer.account,
            self_trades(history, unit(buyer.account)),
            0,
        );
        let related = (buyer.account != seller.account).then_some(seller.account);
        found.push(Finding {
            related,
            ..in_symbol(plain)
        });
    }
    // What the unit holds: the last that was told of each of its accounts.
    let holding = |account: AccountSlot| {
        let told = history.iter().rev().find_map(|(_, act)| match act {
            Act::Traded {
                symbol: it,
                buyer,
                seller,
                ..
            } if *it == symbol => {
                // Of an account on both sides the buyer's is the later.
                [buyer, seller]
                    .into_iter()
                    .find(|party| party.account == account)
                    .map(|party| party.holding.0)
            }
            _ => None,
        });
        told.unwrap_or_default()
    };
    let after: u64 = (0..ACCOUNTS)
        .map(AccountSlot)
        .filter(|it| unit(*it) == unit(buyer.account))
        .map(holding)
        .sum();
    let before = if inside {
        after
    } else {
        after - quantity.0.min(after)
    };
    let level = FLOAT * 40 / 100;
    if after >= level && before < level {
        found.push(in_symbol(finding(
            AlertKind::Concentration,
            buyer.account,
            after,
            level,
        )));
    }
    found.extend(recount_bursts(&deals(history, symbol)));
    found
}

/// Goes through the running window again; only what its last trade reached is new.
fn recount_bursts(deals: &[Deal]) -> Vec<Finding> {
    let number = deals.last().unwrap().number;
    let first = deals.iter().position(|deal| deal.number == number).unwrap();
    let opened_at = if first > 0 {
        deals[first - 1].price
    } else {
        deals[0].price
    };
    let mut told = Vec::new();
    for end in first..deals.len() {
        let so_far = &deals[first..=end];
        let turnover: u64 = so_far.iter().map(|deal| deal.amount).sum();
        let mut new = Vec::new();
        for (turn, (account, side)) in deals[end].sides.into_iter().enumerate() {
            let of = unit(account);
            // The buyer's side is looked at before the seller's is added.
            let counted =
                |place: usize, its_turn: usize| place < so_far.len() - 1 || its_turn <= turn;
            let own: u64 = so_far
                .iter()
                .enumerate()
                .map(|(place, deal)| {
                    let sides = deal.sides.iter().enumerate();
                    let sides = sides.filter(|(its_turn, it)| {
                        it.1 == side && unit(it.0) == of && counted(place, *its_turn)
                    });
                    sides.count() as u64 * deal.amount
                })
                .sum();
            let moved = |direction: Side| -> u64 {
                so_far
                    .iter()
                    .enumerate()
                    .map(|(place, deal)| {
                        let last = if first + place > 0 {
                            deals[first + place - 1].price
                        } else {
                            deal.price
                        };
                        let distance = match direction {
                            Side::Buy => deal.price - last,
                            Side::Sell => last - deal.price,
                        };
                        let its_turn = match direction {
                            Side::Buy => 0,
                            Side::Sell => 1,
                        };
                        let takes = deal.taker == Some(direction)
                            && unit(deal.sides[its_turn].0) == of
                            && counted(place, its_turn);
                        if takes {
                            distance.max(0).unsigned_abs()
                        } else {
                            0
                        }
                    })
                    .sum()
            };
            let moved = moved(Side::Buy).max(moved(Side::Sell));
            let has_share = own * 100 >= turnover * 50;
            let opened_at = opened_at.unsigned_abs();
            let symbol = Some(deals[end].symbol);
            for (kind, holds, observed, allowed) in [
                (AlertKind::LargeInShortTime, own >= 9_000, own, 9_000),
                (
                    AlertKind::PriceDriving,
                    moved * 100 >= opened_at * 5,
                    moved,
                    (opened_at * 10 + 100) / 200,
                ),
            ] {
                let before = told
                    .iter()
                    .chain(&new)
                    .any(|it: &(u32, Finding)| it.0 == of && it.1.kind == kind);
                if has_share && holds && !before {
                    new.push((
                        of,
                        Finding {
                            symbol,
                            ..finding(kind, account, observed, allowed)
                        },
                    ));
                }
            }
        }
        if end == deals.len() - 1 {
            return new.into_iter().map(|(_, finding)| finding).collect();
        }
        told.extend(new);
    }
    Vec::new()
}

fn account() -> impl Strategy<Value = AccountSlot> {
    (0..ACCOUNTS).prop_map(AccountSlot)
}

fn symbol() -> impl Strategy<Value = SymbolSlot> {
    (0..SYMBOLS).prop_map(SymbolSlot)
}

fn party() -> impl Strategy<Value = Party> {
    (account(), 0_u64..400).prop_map(|(account, holding)| Party {
        account,
        holding: Quantity(holding),
    })
}

fn act() -> impl Strategy<Value = Act> {
    let taker = prop::sample::select(vec![None, Some(Side::Buy), Some(Side::Sell)]);
    prop_oneof![
        4 => account().prop_map(|account| Act::Requested { account }),
        3 => account().prop_map(|account| Act::Entered { account }),
        3 => (account(), 0_u64..20_000_000).prop_map(|(account, entered)| Act::Cancelled { account, entered: UnixMicros(entered) }),
        1 => (account(), symbol()).prop_map(|(account, symbol)| Act::SelfTradePrevented { account, symbol }),
        5 => (symbol(), 90_i64..110, 1_u64..100, party(), party(), taker).prop_map(
            |(symbol, price, quantity, buyer, seller, taker)| Act::Traded {
                symbol,
                price: Price(price),
                quantity: Quantity(quantity),
                buyer,
                seller: if seller.account == buyer.account { buyer } else { seller },
                taker,
                float: Quantity(FLOAT),
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_detectors_find_what_a_recount_finds(
        acts in prop::collection::vec((0_u64..400_000, act()), 1..70),
    ) {
        let mut surveillance = Surveillance::with_active_pairs_bits(8);
        surveillance.declare(AccountSlot(0), OwnerId(9));
        surveillance.declare(AccountSlot(1), OwnerId(9));
        let mut now = 3_000_000;
        let mut history = History::new();
        for (later, act) in acts {
            now += later;
            history.push((UnixMicros(now), act));
            let mut found = Vec::new();
            surveillance.observe(UnixMicros(now), act, &conduct(), &mut found);
            prop_assert_eq!(found, recount(&history), "after {:?}", history);
        }
        prop_assert_eq!(surveillance.overflowed(), 0);
    }

    #[test]
    fn what_is_restored_goes_on_the_same(
        before in prop::collection::vec(act(), 0..40),
        after in prop::collection::vec(act(), 1..40),
    ) {
        let mut one = Surveillance::with_active_pairs_bits(8);
        let mut found = Vec::new();
        for (step, act) in before.iter().enumerate() {
            one.observe(UnixMicros(step as u64 * 100_000), *act, &conduct(), &mut found);
        }
        let bytes = postcard::to_stdvec(&one).unwrap();
        let mut other: Surveillance = postcard::from_bytes(&bytes).unwrap();
        for (step, act) in after.iter().enumerate() {
            let time = UnixMicros((40 + step as u64) * 100_000);
            let (mut by_one, mut by_other) = (Vec::new(), Vec::new());
            one.observe(time, *act, &conduct(), &mut by_one);
            other.observe(time, *act, &conduct(), &mut by_other);
            prop_assert_eq!(by_one, by_other);
        }
        prop_assert_eq!(one, other);
    }
}

fn kinds(surveillance: &mut Surveillance, ms: u64, act: Act) -> Vec<AlertKind> {
    let mut found = Vec::new();
    surveillance.observe(UnixMicros(ms * 1_000), act, &conduct(), &mut found);
    found.into_iter().map(|finding| finding.kind).collect()
}

#[test]
fn linked_accounts_share_one_rate() {
    let mut surveillance = Surveillance::with_active_pairs_bits(8);
    let asked = |account| Act::Requested {
        account: AccountSlot(account),
    };
    assert!(kinds(&mut surveillance, 0, asked(0)).is_empty());
    assert!(kinds(&mut surveillance, 1, asked(1)).is_empty());
    assert!(
        kinds(&mut surveillance, 2, asked(1)).is_empty(),
        "each for itself"
    );
    surveillance.declare(AccountSlot(0), OwnerId(1));
    surveillance.declare(AccountSlot(1), OwnerId(1));
    assert!(kinds(&mut surveillance, 1_000, asked(0)).is_empty());
    assert!(kinds(&mut surveillance, 1_001, asked(1)).is_empty());
    assert_eq!(
        kinds(&mut surveillance, 1_002, asked(0)),
        [AlertKind::OrderRate]
    );
    surveillance.declare(AccountSlot(1), OwnerId(0));
    assert!(kinds(&mut surveillance, 2_000, asked(0)).is_empty());
    assert!(kinds(&mut surveillance, 2_001, asked(0)).is_empty());
    assert!(
        kinds(&mut surveillance, 2_002, asked(1)).is_empty(),
        "on its own again"
    );
}

#[test]
fn a_new_day_counts_from_nothing() {
    let mut surveillance = Surveillance::with_active_pairs_bits(8);
    let asked = Act::Requested {
        account: AccountSlot(3),
    };
    for ms in 0..8 {
        kinds(&mut surveillance, ms * 1_000, asked);
    }
    surveillance.begin_day();
    assert!(kinds(&mut surveillance, 100_000, asked).is_empty());
    let rest: Vec<_> = (1..9)
        .flat_map(|s| kinds(&mut surveillance, 100_000 + s * 1_000, asked))
        .collect();
    assert_eq!(rest, [AlertKind::DailyMessages]);
}

#[test]
fn a_leader_whose_clock_is_behind_does_not_open_an_old_second() {
    let mut surveillance = Surveillance::with_active_pairs_bits(8);
    let asked = Act::Requested {
        account: AccountSlot(0),
    };
    assert!(kinds(&mut surveillance, 5_900, asked).is_empty());
    assert!(kinds(&mut surveillance, 4_000, asked).is_empty());
    assert_eq!(
        kinds(&mut surveillance, 3_000, asked),
        [AlertKind::OrderRate]
    );
}
