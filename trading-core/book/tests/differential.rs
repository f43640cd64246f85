//! Random streams through the naive and the fast book: every answer, and what rests, must be equal.
//!
//! Few prices, few accounts and small sizes, so that orders meet, queues grow long, and accounts run
//! into themselves.

#![allow(
    clippy::unwrap_used,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use book::{
    AuctionRule, Band, Book, FastBook, Fill, Iceberg, Incoming, NaiveBook, Remainder, Resting,
    TieBreak,
};
use proptest::prelude::*;
use std::num::NonZeroU8;
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};

/// What happens to both books. Orders are named by how long ago they came, so that most exist.
#[derive(Clone, Debug)]
enum Step {
    Submit(Order),
    Rest(Order),
    Cancel {
        age: u64,
    },
    Replace {
        age: u64,
        price: i64,
        remaining: u64,
        policy: SelfTradePrevention,
    },
    ReplaceInCall {
        age: u64,
        price: i64,
        remaining: u64,
    },
    Shrink {
        age: u64,
        remaining: u64,
    },
    Uncross(TieBreak),
    SetBand(Option<(i64, i64, i64)>),
    /// Both books are written down and read again.
    Restore,
}

#[derive(Clone, Debug)]
struct Order {
    account: u64,
    side: Side,
    quantity: u64,
    limit: Option<i64>,
    remainder: Remainder,
    levels_max: Option<NonZeroU8>,
    display: Option<Quantity>,
    policy: SelfTradePrevention,
}

/// The prices of the day and some beyond, on the tick of 10 and off it, to the ends of the range.
fn price() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => (0_i64..8).prop_map(|n| 1_000 + 10 * n),
        2 => 990_i64..1_090,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), Just(0)],
    ]
}

fn policy() -> impl Strategy<Value = SelfTradePrevention> {
    prop_oneof![
        Just(SelfTradePrevention::CancelNewest),
        Just(SelfTradePrevention::CancelOldest),
        Just(SelfTradePrevention::CancelBoth),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let remainder = prop_oneof![
        6 => Just(Remainder::Rests),
        1 => Just(Remainder::IsCancelled),
        2 => Just(Remainder::FillOrKill),
    ];
    let limit = prop_oneof![9 => price().prop_map(Some), 1 => Just(None)];
    let levels_max = prop_oneof![5 => Just(None), 1 => (1_u8..4).prop_map(NonZeroU8::new)];
    let display = prop_oneof![3 => Just(None), 1 => (0_u64..5).prop_map(|n| Some(Quantity(n)))];
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    (
        1_u64..6,
        side,
        0_u64..20,
        limit,
        remainder,
        levels_max,
        display,
        policy(),
    )
        .prop_map(
            |(account, side, quantity, limit, remainder, levels_max, display, policy)| Order {
                account,
                side,
                quantity,
                limit,
                remainder,
                levels_max,
                display,
                policy,
            },
        )
}

fn tie() -> impl Strategy<Value = TieBreak> {
    let near = price().prop_map(|reference| TieBreak::Nearest {
        reference: Price(reference),
    });
    prop_oneof![Just(TieBreak::Middle), near]
}

fn band() -> impl Strategy<Value = Option<(i64, i64, i64)>> {
    let some = (1_i64..30, 990_i64..1_050, 0_i64..80);
    prop_oneof![
        1 => Just(None),
        3 => some.prop_map(|(tick, low, span)| Some((tick, low, low + span))),
        2 => Just(Some((10, 1_000, 1_070))),
        1 => Just(Some((0, 1_000, 1_070))),
        1 => Just(Some((1, i64::MIN, i64::MAX))),
    ]
}

fn continuous() -> impl Strategy<Value = Step> {
    let replace =
        (1_u64..40, price(), 0_u64..20, policy()).prop_map(|(age, price, remaining, policy)| {
            Step::Replace {
                age,
                price,
                remaining,
                policy,
            }
        });
    let shrink =
        (1_u64..40, 0_u64..20).prop_map(|(age, remaining)| Step::Shrink { age, remaining });
    prop_oneof![
        20 => order().prop_map(Step::Submit),
        8 => (1_u64..40).prop_map(|age| Step::Cancel { age }),
        4 => replace,
        2 => shrink,
        1 => band().prop_map(Step::SetBand),
        1 => Just(Step::Restore),
    ]
}

fn call() -> impl Strategy<Value = Step> {
    let replace =
        (1_u64..40, price(), 0_u64..20).prop_map(|(age, price, remaining)| Step::ReplaceInCall {
            age,
            price,
            remaining,
        });
    prop_oneof![
        20 => order().prop_map(Step::Rest),
        4 => (1_u64..40).prop_map(|age| Step::Cancel { age }),
        2 => replace,
        1 => band().prop_map(Step::SetBand),
        1 => Just(Step::Restore),
        2 => tie().prop_map(Step::Uncross),
    ]
}

/// A call, continuous trading, another call, as in a day.
fn day() -> impl Strategy<Value = Vec<Step>> {
    let calls = || (prop::collection::vec(call(), 0..60), tie());
    let trading = prop::collection::vec(continuous(), 0..400);
    (calls(), trading, calls()).prop_map(|((opening, open), trading, (closing, close))| {
        let ended = |tie| vec![Step::Uncross(tie)];
        [opening, ended(open), trading, closing, ended(close)].concat()
    })
}

const RULE_TICK: Price = Price(10);

/// One step on one book: all that it answers, as text, and the order's number if it took one.
fn take<B: Book>(book: &mut B, step: &Step, next: u64) -> String {
    let aged = |age: u64| OrderId(next.saturating_sub(age));
    let mut fills: Vec<Fill> = Vec::new();
    match step {
        Step::Submit(order) => {
            let outcome = book.submit(incoming(order, next), &mut fills);
            format!("{outcome:?} {fills:?}")
        }
        Step::Rest(order) => {
            let incoming = incoming(order, next);
            let price = incoming.limit.unwrap_or(Price(1_010));
            book.rest(Resting::of(&incoming, price, incoming.quantity));
            String::new()
        }
        Step::Cancel { age } => format!("{:?}", book.cancel(aged(*age))),
        Step::Replace {
            age,
            price,
            remaining,
            policy,
        } => {
            let (price, remaining) = (Price(*price), Quantity(*remaining));
            let done = book.replace(aged(*age), price, remaining, *policy, &mut fills);
            format!("{done:?} {fills:?}")
        }
        Step::ReplaceInCall {
            age,
            price,
            remaining,
        } => {
            let (price, remaining) = (Price(*price), Quantity(*remaining));
            format!("{:?}", book.replace_in_call(aged(*age), price, remaining))
        }
        Step::Shrink { age, remaining } => {
            book.shrink(aged(*age), Quantity(*remaining));
            String::new()
        }
        Step::Uncross(tie) => {
            let rule = AuctionRule {
                tick: RULE_TICK,
                tie: *tie,
            };
            let mut fills = Vec::new();
            let found = book.uncross(rule, &mut fills);
            book.check_uncrossed().unwrap();
            format!("{found:?} {fills:?}")
        }
        Step::SetBand(_) | Step::Restore => String::new(),
    }
}

fn incoming(order: &Order, number: u64) -> Incoming {
    Incoming {
        order: OrderId(number),
        account: AccountId(order.account),
        side: order.side,
        quantity: Quantity(order.quantity),
        limit: order.limit.map(Price),
        remainder: order.remainder,
        levels_max: order.levels_max,
        display: order.display,
        self_trade_prevention: order.policy,
    }
}

/// What a book tells about itself, but for what [`Book::state_hash`] covers.
fn told<B: Book>(book: &B) -> String {
    let mut told = String::new();
    for side in [Side::Buy, Side::Sell] {
        book.depth(side, 3, &mut |level| told += &format!("{level:?} "));
        told += &format!("{:?} {:?} ", book.best(side), book.first(side));
        for price in [Price(1_000), Price(1_035), Price(1_070)] {
            let volume = book.volume_to(side, price);
            told += &format!("{volume} {} ", book.would_trade(side, price));
        }
    }
    told
}

fn to_band((tick, low, high): (i64, i64, i64)) -> Band {
    Band {
        tick: Price(tick),
        low: Price(low),
        high: Price(high),
    }
}

fn same_day(steps: &[Step], band: Option<(i64, i64, i64)>) -> Result<(), TestCaseError> {
    let mut naive = NaiveBook::default();
    let mut fast = FastBook::default();
    fast.set_band(band.map(to_band));
    for (step, next) in steps.iter().zip(1..) {
        prop_assert_eq!(take(&mut naive, step, next), take(&mut fast, step, next));
        match step {
            Step::SetBand(band) => fast.set_band(band.map(to_band)),
            Step::Restore => {
                let bytes = postcard::to_stdvec(&fast).unwrap();
                prop_assert_eq!(&bytes, &postcard::to_stdvec(&naive).unwrap());
                let read: FastBook = postcard::from_bytes(&bytes).unwrap();
                prop_assert_eq!(&read, &fast);
                fast = read;
                naive = postcard::from_bytes(&bytes).unwrap();
            }
            _ => {}
        }
        prop_assert_eq!(naive.state_hash(), fast.state_hash());
        prop_assert_eq!(told(&naive), told(&fast));
        fast.check_invariants().unwrap();
        naive.check_invariants().unwrap();
        if matches!(
            step,
            Step::Submit(_) | Step::Replace { .. } | Step::Uncross(_)
        ) {
            fast.check_uncrossed().unwrap();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_fast_book_does_what_the_naive_one_does(steps in day(), band in band()) {
        same_day(&steps, band)?;
    }
}

/// A stream of one seed, long enough that slots, levels and buckets are used again and again.
#[test]
fn the_books_agree_over_a_long_stream() {
    let mut naive = NaiveBook::default();
    let mut fast = FastBook::with_band(to_band((10, 1_000, 1_390)));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    let sides = [Side::Buy, Side::Sell];
    for next in 1..=60_000_u64 {
        // Prices drift through the band and out of it at both ends.
        let drift = (next / 200 % 60) as i64 * 10 - 100;
        let step = match random(10) {
            0..6 => Step::Submit(Order {
                account: random(20),
                side: sides[random(2) as usize],
                quantity: 1 + random(40),
                limit: Some(1_000 + drift + 10 * random(12) as i64),
                remainder: Remainder::Rests,
                levels_max: None,
                display: (random(8) == 0).then(|| Quantity(1 + random(5))),
                policy: SelfTradePrevention::CancelOldest,
            }),
            6..9 => Step::Cancel {
                age: 1 + random(300),
            },
            _ => Step::Replace {
                age: 1 + random(300),
                price: 1_000 + drift + 10 * random(12) as i64,
                remaining: 1 + random(40),
                policy: SelfTradePrevention::CancelBoth,
            },
        };
        assert_eq!(take(&mut naive, &step, next), take(&mut fast, &step, next));
        if next % 500 == 0 {
            assert_eq!(naive.state_hash(), fast.state_hash());
            fast.check_invariants().unwrap();
            fast.check_uncrossed().unwrap();
        }
    }
    assert!(fast.len() > 100, "{}", fast.len());
}

#[test]
fn an_iceberg_is_restored_as_it_stood() {
    let resting = Resting {
        order: OrderId(1),
        account: AccountId(1),
        side: Side::Sell,
        price: Price(1_000),
        remaining: Quantity(500),
        iceberg: Some(Iceberg {
            display: Quantity(100),
            shown: Quantity(40),
        }),
    };
    let fast = FastBook::try_from(vec![resting]).unwrap();
    assert_eq!(fast.resting(OrderId(1)), Some(resting));
    assert_eq!(fast.first(Side::Sell), Some(resting));
}
