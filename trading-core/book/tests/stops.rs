//! Stop orders fire in a fixed order: held against a list that is searched from end to end.

#![allow(
    clippy::unwrap_used,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use book::{Stop, StopBook};
use proptest::prelude::*;
use types::{OrderId, Price, Side};

/// The obvious way: a list in order of arrival, searched for whoever is to fire next.
#[derive(Default)]
struct NaiveStops(Vec<Stop>);

impl NaiveStops {
    fn insert(&mut self, stop: Stop) {
        self.cancel(stop.order);
        self.0.push(stop);
    }

    fn cancel(&mut self, order: OrderId) -> Option<Stop> {
        let place = self.0.iter().position(|stop| stop.order == order)?;
        Some(self.0.remove(place))
    }

    fn fire(&mut self, last: Price) -> Option<Stop> {
        let buys = self
            .0
            .iter()
            .filter(|stop| stop.side == Side::Buy && stop.trigger <= last);
        let sells = self
            .0
            .iter()
            .filter(|stop| stop.side == Side::Sell && stop.trigger >= last);
        // `rev` lets the first to come win among equals.
        let buy = buys.min_by_key(|stop| stop.trigger);
        let next = *buy.or_else(|| sells.rev().max_by_key(|stop| stop.trigger))?;
        self.cancel(next.order)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Stop),
    Cancel(u64),
    Trade(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let price = || prop_oneof![9 => 0_i64..10, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    prop_oneof![
        4 => (1_u64..30, any::<bool>(), price()).prop_map(|(order, buys, trigger)| {
            Step::Insert(Stop {
                order: OrderId(order),
                side: if buys { Side::Buy } else { Side::Sell },
                trigger: Price(trigger),
            })
        }),
        1 => (1_u64..30).prop_map(Step::Cancel),
        1 => price().prop_map(Step::Trade),
    ]
}

proptest! {
    #[test]
    fn stops_fire_as_the_searched_list_has_it(steps in prop::collection::vec(step(), 0..120)) {
        let (mut naive, mut stops) = (NaiveStops::default(), StopBook::default());
        for step in steps {
            match step {
                Step::Insert(stop) => {
                    naive.insert(stop);
                    stops.insert(stop);
                }
                Step::Cancel(order) => {
                    prop_assert_eq!(naive.cancel(OrderId(order)), stops.cancel(OrderId(order)));
                }
                Step::Trade(last) => loop {
                    let fired = stops.fire(Price(last));
                    prop_assert_eq!(naive.fire(Price(last)), fired);
                    if fired.is_none() {
                        break;
                    }
                },
            }
            prop_assert_eq!(stops.len(), naive.0.len());
            let bytes = postcard::to_stdvec(&stops).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<StopBook>(&bytes).unwrap(), &stops);
        }
    }
}

#[test]
fn the_trigger_that_the_price_reached_first_fires_first() {
    let stop = |order, side, trigger| Stop {
        order: OrderId(order),
        side,
        trigger: Price(trigger),
    };
    let mut stops = StopBook::from(vec![
        stop(1, Side::Buy, 103),
        stop(2, Side::Buy, 101),
        stop(3, Side::Buy, 101),
        stop(4, Side::Sell, 98),
        stop(5, Side::Sell, 99),
        stop(6, Side::Buy, 110),
    ]);
    let mut fired = Vec::new();
    for last in [100, 103, 97] {
        while let Some(stop) = stops.fire(Price(last)) {
            fired.push(stop.order.0);
        }
    }
    assert_eq!(fired, [2, 3, 1, 5, 4]);
    assert_eq!(stops.get(OrderId(6)), Some(stop(6, Side::Buy, 110)));
}
