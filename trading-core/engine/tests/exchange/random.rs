//! Random days under the shipped rules: what must hold whatever is sent.

use super::*;
use proptest::prelude::*;
use types::{MarketStyle, OrderKind, Request, TimeInForce};

#[derive(Clone, Debug)]
enum Act {
    Order {
        session: u64,
        new: NewOrder,
    },
    Cancel {
        session: u64,
        back: u64,
    },
    Replace {
        session: u64,
        back: u64,
        price: i64,
    },
    Phase(Phase),
    Tell(usize, ReferencePrice, i64),
    /// A symbol on its first day that trades at its issue price, and then far from it.
    Jump(usize, i64),
    Wait(u64),
    SettleDay,
}

fn symbol() -> impl Strategy<Value = SymbolId> {
    prop::sample::select(SYMBOLS.map(|(symbol, _)| symbol).to_vec())
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (-4_i64..=4).prop_map(|ticks| TEN + ticks * 100),
        2 => (-60_i64..=60).prop_map(|ticks| TEN + ticks * 500),
    ]
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    let kind = prop_oneof![
        8 => Just(None),
        1 => prop::sample::select(vec![MarketStyle::BestFiveOrCancel, MarketStyle::OwnBest]).prop_map(Some),
    ];
    let time_in_force = prop_oneof![
        6 => Just(TimeInForce::Day),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::GoodTillCancel),
    ];
    (
        symbol(),
        any::<bool>(),
        1_u64..12,
        price(),
        kind,
        time_in_force,
    )
        .prop_map(|(symbol, buys, lots, price, style, time_in_force)| {
            let side = if buys { Side::Buy } else { Side::Sell };
            let new = limit(symbol, side, lots * 100 + 100, price);
            match style {
                Some(style) => NewOrder {
                    kind: OrderKind::Market {
                        style,
                        protection: Some(Price(price)),
                    },
                    ..new
                },
                None => NewOrder {
                    time_in_force,
                    ..new
                },
            }
        })
}

fn act() -> impl Strategy<Value = Act> {
    let session = || 1_u64..=3;
    let phase = prop_oneof![
        4 => Just(Phase::Continuous),
        3 => prop::sample::select(Phase::ALL[..8].to_vec()),
        2 => Just(Phase::AfterHours),
    ];
    let reference = prop::sample::select(vec![
        ReferencePrice::PreviousClose,
        ReferencePrice::Market,
        ReferencePrice::Issue,
    ]);
    prop_oneof![
        30 => (session(), new_order()).prop_map(|(session, new)| Act::Order { session, new }),
        6 => (session(), 1_u64..20).prop_map(|(session, back)| Act::Cancel { session, back }),
        4 => (session(), 1_u64..20, price())
            .prop_map(|(session, back, price)| Act::Replace { session, back, price }),
        3 => phase.prop_map(Act::Phase),
        2 => (0_usize..4, reference, price()).prop_map(|(at, which, price)| Act::Tell(at, which, price)),
        2 => (0_usize..4, prop::sample::select(vec![6 * YUAN, 7 * YUAN, 13 * YUAN, 17 * YUAN]))
            .prop_map(|(at, price)| Act::Jump(at, price)),
        1 => (1_u64..12).prop_map(Act::Wait),
        1 => Just(Act::SettleDay),
    ]
}

/// Does one thing, and yields what it caused.
fn act_on(market: &mut Market, act: Act, day: &mut u32) -> Vec<Event> {
    let name = |market: &Market, back: u64| {
        let number = market.names.saturating_sub(back);
        ClOrdId::new(&format!("o{number}")).unwrap()
    };
    match act {
        Act::Order { session, new } => market.order(session, new).events,
        Act::Cancel { session, back } => {
            let original = name(market, back);
            market.ask(session, Request::Cancel { original })
        }
        Act::Replace {
            session,
            back,
            price,
        } => {
            let original = name(market, back);
            market.names += 1;
            let request = Request::Replace {
                original,
                replacement: name(market, 0),
                price: Price(price),
                quantity: Quantity(300),
            };
            market.ask(session, request)
        }
        Act::Phase(phase) => market.phase(phase),
        Act::Tell(at, which, price) => market.tell(SYMBOLS[at].0, which, price),
        Act::Jump(at, far) => {
            let symbol = SYMBOLS[at].0;
            let mut events = market.tell(symbol, ReferencePrice::Issue, TEN);
            for price in [TEN, far] {
                events.extend(market.tell(symbol, ReferencePrice::Market, price));
                events.extend(market.sell(2, symbol, 200, price).events);
                events.extend(market.buy(3, symbol, 200, price).events);
            }
            events
        }
        Act::Wait(minutes) => {
            market.now += minutes * MINUTE;
            market.apply(&Command::Tick)
        }
        Act::SettleDay => {
            *day += 1;
            market.settle_day(TradingDay(*day))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cash is what accounts hold and what was paid in fees, to the last unit, day after day; product
    /// and oracle agree, and so does a state that went through a snapshot.
    #[test]
    fn cash_is_conserved_with_fees(
        acts in prop::collection::vec(act(), 60..220),
        in_2022 in any::<bool>(),
        cut in 0_usize..220,
    ) {
        let morning = if in_2022 { MORNING_OF_2022 } else { MORNING };
        let mut market = Market::at(morning);
        let mut day = if in_2022 { 20_220_600 } else { 20_261_100 };
        for (position, act) in acts.into_iter().enumerate() {
            let phase_before = market.state.phase(STAR);
            let close = market.state.last_price(STAR);
            let events = act_on(&mut market, act, &mut day);
            let held: i64 = (1..=3).map(|account| market.cash(account)).sum();
            let fees = market.state.fees_collected().ever.total().unwrap().0;
            prop_assert_eq!(held + fees, 3 * CASH);
            prop_assert!((1..=3).all(|account| market.cash(account) >= market.frozen(account)));
            if phase_before == Some(Phase::AfterHours) && close.is_some() {
                for trade in trades(&events).iter().filter(|trade| trade.symbol == STAR) {
                    prop_assert!(
                        market.state.phase(STAR) != Some(Phase::AfterHours)
                            || Some(trade.price) == close
                            || market.state.previous_close(STAR) == Some(trade.price),
                        "{trade:?}"
                    );
                }
            }
            if position == cut {
                market.restart();
            }
        }
        prop_assert_eq!(market.state.snapshot(), market.oracle.snapshot());
    }
}

/// Whether an order meets what stands in the book: it trades, or a cage holds it.
fn meets(market: &Market, act: &Act) -> bool {
    let Act::Order { new, .. } = act else {
        return false;
    };
    let OrderKind::Limit { price } = new.kind else {
        return false;
    };
    let best = (market.state).best_price(new.symbol, new.side.opposite());
    market.state.phase(new.symbol) == Some(Phase::Continuous)
        && best.is_some_and(|best| match new.side {
            Side::Buy => price >= best,
            Side::Sell => price <= best,
        })
}

/// The random days reach what they are meant to reach.
#[test]
fn random_days_see_fees_suspensions_held_orders_and_trades_after_hours() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut fees, mut suspended, mut after_hours, mut settled) = (0, 0, 0, 0);
    let mut held = 0;
    for round in 0..40 {
        let acts = prop::collection::vec(act(), 150..220)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let in_2022 = round % 2 == 0;
        let mut market = Market::at(if in_2022 { MORNING_OF_2022 } else { MORNING });
        let mut day = if in_2022 { 20_220_600 } else { 20_261_100 };
        for act in acts {
            let meets = meets(&market, &act);
            let events = act_on(&mut market, act, &mut day);
            let stays = code(&events) == 0 && cancelled(&events).is_empty();
            held += u64::from(meets && stays && trades(&events).is_empty());
            for (symbol, _) in SYMBOLS {
                let is_after = market.state.phase(symbol) == Some(Phase::AfterHours);
                let here = trades(&events).iter().any(|trade| trade.symbol == symbol);
                after_hours += u64::from(is_after && here);
                let until = market.state.unlimited_today(symbol).unwrap().1;
                suspended += u64::from(until.is_some());
            }
        }
        fees += market.state.fees_collected().ever.total().unwrap().0;
        settled += u64::from(market.state.settlement().is_some());
    }
    assert!(fees > 0);
    assert!(suspended > 0);
    assert!(held > 0);
    assert!(after_hours > 0);
    assert!(settled > 10);
}
