//! Any request, report and event, for the tests of both protocols.

use proptest::prelude::*;
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, Event, LogSeq, MarketStyle, NewOrder,
    OrderId, OrderKind, OrderState, OrderView, OutSeq, Outbound, Price, Quantity, RejectReason,
    Report, Request, SelfTradePrevention, SessionId, Side, SymbolId, Table, TimeInForce, TradeId,
};

pub(crate) fn any_id() -> impl Strategy<Value = ClOrdId> {
    "[!-~]{1,20}".prop_map(|text| ClOrdId::new(&text).unwrap())
}

fn any_kind() -> impl Strategy<Value = OrderKind> {
    let style = prop::sample::select(vec![
        MarketStyle::ImmediateOrCancel,
        MarketStyle::BestFiveOrCancel,
        MarketStyle::BestFiveThenLimit,
        MarketStyle::CounterpartyBest,
        MarketStyle::OwnBest,
        MarketStyle::FillOrKill,
    ]);
    let price = any::<i64>().prop_map(Price);
    let protection = prop::option::of(price.clone());
    prop_oneof![
        price.clone().prop_map(|price| OrderKind::Limit { price }),
        (style, protection).prop_map(|(style, protection)| OrderKind::Market { style, protection }),
        price
            .clone()
            .prop_map(|trigger| OrderKind::Stop { trigger }),
        (price.clone(), price).prop_map(|(trigger, price)| OrderKind::StopLimit { trigger, price }),
    ]
}

fn any_terms() -> impl Strategy<Value = (TimeInForce, SelfTradePrevention)> {
    (
        prop::sample::select(vec![
            TimeInForce::Day,
            TimeInForce::ImmediateOrCancel,
            TimeInForce::GoodTillCancel,
            TimeInForce::FillOrKill,
        ]),
        prop::sample::select(vec![
            SelfTradePrevention::CancelNewest,
            SelfTradePrevention::CancelOldest,
            SelfTradePrevention::CancelBoth,
        ]),
    )
}

pub(crate) fn any_new_order() -> impl Strategy<Value = NewOrder> {
    let numbers = any::<(u32, u64, Option<u64>)>();
    let terms = (any_kind(), any_terms(), any::<(bool, bool)>());
    (any_id(), numbers, terms).prop_map(|(id, numbers, terms)| {
        let (symbol, quantity, display) = numbers;
        let (kind, (time_in_force, self_trade_prevention), (buys, post_only)) = terms;
        NewOrder {
            cl_ord_id: id,
            symbol: SymbolId(symbol),
            side: if buys { Side::Buy } else { Side::Sell },
            quantity: Quantity(quantity),
            kind,
            time_in_force,
            post_only,
            display: display.map(Quantity),
            self_trade_prevention,
        }
    })
}

pub(crate) fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any_new_order().prop_map(Request::New),
        any_id().prop_map(|original| Request::Cancel { original }),
        (any_id(), any_id(), any::<i64>(), any::<u64>()).prop_map(
            |(original, replacement, price, quantity)| Request::Replace {
                original,
                replacement,
                price: Price(price),
                quantity: Quantity(quantity),
            }
        ),
        any::<Option<u32>>().prop_map(|symbol| Request::MassCancel {
            symbol: symbol.map(SymbolId)
        }),
        any_id().prop_map(|original| Request::Status { original }),
    ]
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn any_cause() -> impl Strategy<Value = CancelCause> {
    prop::sample::select(vec![
        CancelCause::Requested,
        CancelCause::MassCancel,
        CancelCause::SelfTrade,
        CancelCause::Unfilled,
        CancelCause::NotAtOnce,
        CancelCause::PostOnly,
        CancelCause::Disconnected,
        CancelCause::EndOfDay,
        CancelCause::OutsideLimits,
        CancelCause::KillSwitch,
        CancelCause::Halted,
    ])
}

fn any_state() -> impl Strategy<Value = OrderState> {
    prop_oneof![
        Just(OrderState::Open),
        Just(OrderState::Filled),
        Just(OrderState::Cancelled),
        Just(OrderState::Rejected),
    ]
}

pub(crate) fn any_reason() -> impl Strategy<Value = RejectReason> {
    prop_oneof![
        any_id().prop_map(|cl_ord_id| RejectReason::DuplicateClOrdId { cl_ord_id }),
        any::<u32>().prop_map(|symbol| RejectReason::UnknownSymbol {
            symbol: SymbolId(symbol)
        }),
        any::<u64>().prop_map(|max| RejectReason::Full {
            table: Table::Orders,
            max
        }),
    ]
}

fn any_view() -> impl Strategy<Value = OrderView> {
    (
        any_id(),
        any::<[u64; 5]>(),
        any::<u32>(),
        any_side(),
        any_state(),
    )
        .prop_map(|(cl_ord_id, numbers, symbol, side, state)| OrderView {
            cl_ord_id,
            order_id: OrderId(numbers[0]),
            account: AccountId(numbers[1]),
            symbol: SymbolId(symbol),
            side,
            state,
            quantity: Quantity(numbers[2]),
            filled: Quantity(numbers[3]),
            remaining: Quantity(numbers[4]),
        })
}

pub(crate) fn any_report() -> impl Strategy<Value = Report> {
    prop_oneof![
        (any_id(), any::<u64>()).prop_map(|(cl_ord_id, order)| Report::Accepted {
            cl_ord_id,
            order_id: OrderId(order),
        }),
        (proptest::option::of(any_id()), any_reason())
            .prop_map(|(cl_ord_id, reason)| Report::Rejected { cl_ord_id, reason }),
        (any_id(), any::<[u64; 4]>(), any::<i64>()).prop_map(|(cl_ord_id, numbers, price)| {
            Report::Filled {
                cl_ord_id,
                order_id: OrderId(numbers[0]),
                trade_id: TradeId(numbers[1]),
                price: Price(price),
                quantity: Quantity(numbers[2]),
                remaining: Quantity(numbers[3]),
            }
        }),
        (any_id(), any::<[u64; 2]>(), any_cause()).prop_map(|(cl_ord_id, numbers, cause)| {
            Report::Cancelled {
                cl_ord_id,
                order_id: OrderId(numbers[0]),
                quantity: Quantity(numbers[1]),
                cause,
            }
        }),
        (any_id(), any_id(), any::<[u64; 2]>(), any::<bool>()).prop_map(
            |(original, replacement, numbers, kept_priority)| Report::Replaced {
                original,
                replacement,
                order_id: OrderId(numbers[0]),
                remaining: Quantity(numbers[1]),
                kept_priority,
            }
        ),
        any::<u32>().prop_map(|orders| Report::MassCancelled { orders }),
        any_view().prop_map(Report::Status),
        (any_id(), any::<u64>(), any::<i64>()).prop_map(|(cl_ord_id, order, last)| {
            Report::Triggered {
                cl_ord_id,
                order_id: OrderId(order),
                last: Price(last),
            }
        }),
        (any_id(), any::<[u64; 2]>(), any::<i64>()).prop_map(|(cl_ord_id, numbers, price)| {
            Report::Restated {
                cl_ord_id,
                order_id: OrderId(numbers[0]),
                price: Price(price),
                remaining: Quantity(numbers[1]),
            }
        }),
    ]
}

pub(crate) fn any_outbound() -> impl Strategy<Value = Outbound> {
    (
        any::<[u64; 4]>(),
        proptest::option::of(1_u64..),
        any_report(),
    )
        .prop_map(|(numbers, in_reply_to, report)| Outbound {
            session: SessionId(numbers[0]),
            out_seq: OutSeq(numbers[1]),
            in_reply_to: in_reply_to.map(ClientSeq),
            log_seq: LogSeq(numbers[2]),
            epoch: Epoch(numbers[3]),
            report,
        })
}

/// Any event that a client is told of.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let replay = proptest::collection::vec(any_outbound(), 0..4);
    prop_oneof![
        any_outbound().prop_map(Event::ToSession),
        (any::<[u64; 4]>(), replay).prop_map(|(numbers, replay)| Event::LoggedOn {
            session: SessionId(numbers[0]),
            next_client_seq: ClientSeq(numbers[1]),
            next_out_seq: OutSeq(numbers[2]),
            replay,
            replay_missing: numbers[3],
        }),
        (any::<u64>(), any_reason()).prop_map(|(session, reason)| Event::LogonRefused {
            session: SessionId(session),
            reason,
        }),
        any::<[u64; 3]>().prop_map(|numbers| Event::SequenceGap {
            session: SessionId(numbers[0]),
            received: ClientSeq(numbers[1]),
            expected: ClientSeq(numbers[2]),
        }),
        (any::<u64>(), 1_u64.., proptest::option::of(any_outbound())).prop_map(
            |(session, client_seq, original)| Event::Duplicate {
                session: SessionId(session),
                client_seq: ClientSeq(client_seq),
                original,
            }
        ),
    ]
}
