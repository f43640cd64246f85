//! The shipped rules, case by case. Each row is worked out by hand from the exchange's rule.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use rules::{
    Allowance, CageBounds, Market, OutsideCage, Quotes, Ratio, RuleSet, Settlement, TimeOfDay,
    Trading, Yuan,
};
use std::path::PathBuf;
use types::{
    Board, Money, Phase, Price, Quantity, Security, Side, SymbolId, TradingDay, UnixMicros,
};

const TODAY: TradingDay = TradingDay(20_261_125);

fn shipped() -> RuleSet {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    rules_file::read(&files).unwrap()
}

fn yuan(text: &str) -> Price {
    text.parse::<Yuan>().unwrap().price()
}

fn market(rules: &RuleSet, symbol: u32) -> &Market {
    rules.market_of(SymbolId(symbol)).unwrap()
}

fn trading(rules: &RuleSet, symbol: u32) -> &Trading {
    market(rules, symbol).trading_on(TODAY).unwrap()
}

const SSE_MAIN: u32 = 600_000;
const STAR: u32 = 688_001;
const SZSE_MAIN: u32 = 1;
const CHI_NEXT: u32 = 300_001;
const BEIJING: u32 = 920_001;
const SSE_FUND: u32 = 510_300;
const SZSE_FUND: u32 = 159_915;
const SSE_BOND: u32 = 113_001;
const SZSE_BOND: u32 = 123_001;

#[test]
fn every_code_finds_its_board() {
    let rules = shipped();
    for (symbol, board, security) in [
        (SSE_MAIN, Board::ShanghaiMain, Security::Share),
        (STAR, Board::ShanghaiStar, Security::Share),
        (SZSE_MAIN, Board::ShenzhenMain, Security::RiskWarningShare),
        (CHI_NEXT, Board::ShenzhenChiNext, Security::Share),
        (BEIJING, Board::Beijing, Security::Share),
        (SSE_FUND, Board::ShanghaiMain, Security::SameDayFund),
        (SZSE_FUND, Board::ShenzhenMain, Security::Fund),
        (SSE_BOND, Board::ShanghaiMain, Security::ConvertibleBond),
        (SZSE_BOND, Board::ShenzhenMain, Security::ConvertibleBond),
    ] {
        let by_code = market(&rules, symbol);
        assert_eq!(by_code, rules.market(board, security).unwrap(), "{symbol}");
    }
    assert_eq!(rules.market_of(SymbolId(999_999)), None);
}

#[test]
fn limit_prices_are_rounded_half_up_to_the_tick() {
    let rules = shipped();
    let share = Security::Share;
    for (symbol, security, close, down, up) in [
        (SSE_MAIN, share, "10.00", "9.00", "11.00"),
        // 11.055 and 9.045: the half goes up.
        (SSE_MAIN, share, "10.05", "9.05", "11.06"),
        // 11.044 and 9.036: below the half goes down, above it up.
        (SSE_MAIN, share, "10.04", "9.04", "11.04"),
        (SSE_MAIN, share, "0.95", "0.86", "1.05"),
        // A tenth of 0.04 is less than half a tick: one tick all the same.
        (SSE_MAIN, share, "0.04", "0.03", "0.05"),
        (SSE_MAIN, share, "0.01", "0.01", "0.02"),
        (SSE_MAIN, Security::RiskWarningShare, "4.26", "3.83", "4.69"),
        (STAR, share, "50.01", "40.01", "60.01"),
        (CHI_NEXT, Security::RiskWarningShare, "3.33", "2.66", "4.00"),
        (BEIJING, share, "7.77", "5.44", "10.10"),
        (SSE_FUND, Security::Fund, "1.005", "0.905", "1.106"),
        (
            SZSE_BOND,
            Security::ConvertibleBond,
            "123.456",
            "98.765",
            "148.147",
        ),
    ] {
        let trading = trading(&rules, symbol);
        let band = trading.price_limits.band(security, 1_000).unwrap();
        let limits = band.limits(yuan(close), trading.tick.price()).unwrap();
        assert_eq!(limits, (yuan(down), yuan(up)), "{symbol} after {close}");
    }
}

#[test]
fn a_risk_warning_share_had_five_percent_until_july_2026() {
    let rules = shipped();
    let limits = |day| {
        let trading = market(&rules, SSE_MAIN)
            .trading_on(TradingDay(day))
            .unwrap();
        let band = trading.price_limits.band(Security::RiskWarningShare, 1_000);
        band.unwrap()
            .limits(yuan("4.00"), trading.tick.price())
            .unwrap()
    };
    assert_eq!(limits(20_260_703), (yuan("3.80"), yuan("4.20")));
    assert_eq!(limits(20_260_706), (yuan("3.60"), yuan("4.40")));
    assert_eq!(
        market(&rules, SSE_MAIN).trading_on(TradingDay(20_200_101)),
        None
    );
}

#[test]
fn the_first_days_of_a_listing_have_their_own_limits() {
    let rules = shipped();
    for (symbol, security, day, band) in [
        (SSE_MAIN, Security::Share, 5, None),
        (SSE_MAIN, Security::Share, 6, Some((10_000_000, 10_000_000))),
        (STAR, Security::Share, 5, None),
        (BEIJING, Security::Share, 1, None),
        (BEIJING, Security::Share, 2, Some((30_000_000, 30_000_000))),
        (SSE_FUND, Security::Fund, 1, Some((10_000_000, 10_000_000))),
        (
            SSE_BOND,
            Security::ConvertibleBond,
            1,
            Some((57_300_000, 43_300_000)),
        ),
        (
            SSE_BOND,
            Security::ConvertibleBond,
            2,
            Some((20_000_000, 20_000_000)),
        ),
    ] {
        let found = trading(&rules, symbol).price_limits.band(security, day);
        let found = found.map(|band| (band.up, band.down));
        let band = band.map(|(up, down)| (Ratio(up), Ratio(down)));
        assert_eq!(found, band, "{symbol} on its day {day}");
    }
}

#[test]
fn the_cage_has_exact_edges() {
    let rules = shipped();
    for (symbol, reference, buy_max, sell_min) in [
        // Two percent of 10 yuan are more than ten ticks, two percent of 4 yuan are less.
        (SSE_MAIN, "10.00", "10.20", "9.80"),
        (SSE_MAIN, "4.00", "4.10", "3.90"),
        (CHI_NEXT, "4.00", "4.10", "3.90"),
        // STAR has no ten ticks; 10.0776 and 9.6824 are rounded.
        (STAR, "9.88", "10.08", "9.68"),
        (STAR, "4.00", "4.08", "3.92"),
        (BEIJING, "10.00", "10.50", "9.50"),
        (BEIJING, "1.00", "1.10", "0.90"),
    ] {
        let trading = trading(&rules, symbol);
        let cage = trading.cage.unwrap();
        assert_eq!(cage.outside, OutsideCage::Reject);
        let tick = trading.tick.price();
        let bounds = cage.bounds(yuan(reference), tick).unwrap();
        let (buy_max, sell_min) = (yuan(buy_max), yuan(sell_min));
        assert_eq!(
            bounds,
            CageBounds { buy_max, sell_min },
            "{symbol} at {reference}"
        );
        assert!(bounds.admits(Side::Buy, buy_max));
        assert!(!bounds.admits(Side::Buy, Price(buy_max.0 + tick.0)));
        assert!(bounds.admits(Side::Sell, sell_min));
        assert!(!bounds.admits(Side::Sell, Price(sell_min.0 - tick.0)));
        // The near side is free.
        assert!(bounds.admits(Side::Buy, tick) && bounds.admits(Side::Sell, yuan("1000")));
    }
    for symbol in [SSE_FUND, SZSE_FUND, SSE_BOND, SZSE_BOND] {
        assert_eq!(trading(&rules, symbol).cage, None);
    }
}

#[test]
fn chi_next_held_orders_outside_the_cage_before_2023() {
    let rules = shipped();
    let before = market(&rules, CHI_NEXT).trading_on(TradingDay(20_220_601));
    assert_eq!(before.unwrap().cage.unwrap().outside, OutsideCage::Hold);
}

#[test]
fn the_cage_stands_around_the_nearest_price_there_is() {
    let all = Quotes {
        best_bid: Some(Price(1)),
        best_ask: Some(Price(2)),
        last: Some(Price(3)),
        previous_close: Some(Price(4)),
    };
    let no_ask = Quotes {
        best_ask: None,
        ..all
    };
    let no_order = Quotes {
        best_bid: None,
        ..no_ask
    };
    let no_trade = Quotes {
        last: None,
        ..no_order
    };
    let nothing = Quotes::default();
    for (quotes, buy, sell) in [
        (all, Some(2), Some(1)),
        (no_ask, Some(1), Some(1)),
        (no_order, Some(3), Some(3)),
        (no_trade, Some(4), Some(4)),
        (nothing, None, None),
    ] {
        assert_eq!(quotes.reference(Side::Buy), buy.map(Price));
        assert_eq!(quotes.reference(Side::Sell), sell.map(Price));
    }
}

#[test]
fn each_board_has_its_lot() {
    let rules = shipped();
    for (symbol, accepted, refused) in [
        (SSE_MAIN, [100, 200, 1_000_000], [1, 99, 150]),
        (SZSE_MAIN, [100, 300, 900], [1, 101, 250]),
        (CHI_NEXT, [100, 200, 300], [50, 199, 201]),
        (STAR, [200, 201, 999], [1, 100, 199]),
        (BEIJING, [100, 101, 150], [1, 50, 99]),
        (SSE_FUND, [100, 200, 300], [1, 99, 101]),
        (SSE_BOND, [10, 20, 100], [1, 5, 15]),
    ] {
        let lot = trading(&rules, symbol).lot;
        for side in [Side::Buy, Side::Sell] {
            let check = |shares| lot.check(side, Quantity(shares), Quantity(0));
            assert!(
                accepted.iter().all(|shares| check(*shares).is_ok()),
                "{symbol}"
            );
            assert!(
                refused.iter().all(|shares| check(*shares).is_err()),
                "{symbol}"
            );
        }
    }
}

#[test]
fn odd_shares_are_sold_in_one_order() {
    let rules = shipped();
    for (symbol, held, accepted, refused) in [
        (
            SSE_MAIN,
            250,
            vec![50, 100, 150, 200, 250],
            vec![1, 30, 49, 51, 149, 251, 350],
        ),
        (SSE_MAIN, 99, vec![99], vec![1, 98]),
        (SSE_MAIN, 200, vec![100, 200], vec![50, 150]),
        (STAR, 150, vec![150], vec![1, 100, 149, 151]),
        (STAR, 250, vec![200, 201, 250], vec![50, 199]),
        (BEIJING, 60, vec![60], vec![59, 61]),
        (SSE_BOND, 25, vec![5, 15, 25, 20], vec![1, 4, 6]),
    ] {
        let lot = trading(&rules, symbol).lot;
        let check = |side, shares| lot.check(side, Quantity(shares), Quantity(held));
        for shares in accepted {
            assert!(
                check(Side::Sell, shares).is_ok(),
                "{symbol}: {shares} of {held}"
            );
        }
        for shares in refused {
            let refused = check(Side::Sell, shares).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("quantity {shares} ")),
                "{refused}"
            );
        }
        assert!(check(Side::Buy, 1).is_err(), "a buy of odd shares");
    }
}

#[test]
fn the_largest_order_depends_on_board_and_kind() {
    let rules = shipped();
    for (symbol, limit, market) in [
        (SSE_MAIN, 1_000_000, 1_000_000),
        (CHI_NEXT, 300_000, 150_000),
        (STAR, 100_000, 50_000),
    ] {
        let max = trading(&rules, symbol).size_max;
        assert_eq!(
            (max.limit, max.market, max.after_hours),
            (limit, market, 1_000_000)
        );
    }
}

#[test]
fn shares_wait_a_day_and_some_funds_and_bonds_do_not() {
    let rules = shipped();
    for (symbol, security, settlement) in [
        (SSE_MAIN, Security::Share, Settlement::NextDay),
        (STAR, Security::RiskWarningShare, Settlement::NextDay),
        (SSE_FUND, Security::Fund, Settlement::NextDay),
        (SSE_FUND, Security::SameDayFund, Settlement::SameDay),
        (SZSE_BOND, Security::ConvertibleBond, Settlement::SameDay),
    ] {
        assert_eq!(
            trading(&rules, symbol).settlement(security),
            settlement,
            "{symbol}"
        );
    }
}

/// 2026-11-25 at a time of day in China.
fn at(rules: &RuleSet, day: u32, time: &str) -> UnixMicros {
    let time: TimeOfDay = time.parse().unwrap();
    let day = TradingDay(day);
    rules.calendar.unix(rules::Moment { day, time }).unwrap()
}

#[test]
fn the_day_passes_through_its_phases() {
    let rules = shipped();
    let star = market(&rules, STAR);
    for (time, phase, next, next_phase) in [
        ("00:00", Phase::Closed, "09:15", Phase::OpeningCall),
        (
            "09:15",
            Phase::OpeningCall,
            "09:20",
            Phase::OpeningCallNoCancel,
        ),
        (
            "09:19:59",
            Phase::OpeningCall,
            "09:20",
            Phase::OpeningCallNoCancel,
        ),
        (
            "09:20",
            Phase::OpeningCallNoCancel,
            "09:25",
            Phase::PreContinuous,
        ),
        ("09:25", Phase::PreContinuous, "09:30", Phase::Continuous),
        ("09:30", Phase::Continuous, "11:30", Phase::LunchBreak),
        ("12:59:59", Phase::LunchBreak, "13:00", Phase::Continuous),
        ("14:56:59", Phase::Continuous, "14:57", Phase::ClosingCall),
        ("15:00", Phase::Closed, "15:05", Phase::AfterHours),
        ("15:29:59", Phase::AfterHours, "15:30", Phase::Closed),
    ] {
        let now = rules.now_holds(star, at(&rules, TODAY.0, time)).unwrap();
        let change = now.next.unwrap();
        assert_eq!(now.phase, phase, "{time}");
        assert_eq!(
            (change.at, change.phase),
            (at(&rules, TODAY.0, next), next_phase),
            "{time}"
        );
    }
}

#[test]
fn the_evening_waits_for_the_next_trading_day() {
    let rules = shipped();
    let main = market(&rules, SSE_MAIN);
    for (day, time, next) in [
        (20_261_125, "15:00", 20_261_126),
        // Over a weekend, over Spring Festival, and out of a holiday.
        (20_261_127, "20:00", 20_261_130),
        (20_260_213, "15:00", 20_260_224),
        (20_261_003, "10:00", 20_261_008),
    ] {
        let now = rules.now_holds(main, at(&rules, day, time)).unwrap();
        assert_eq!(now.phase, Phase::Closed);
        let change = now.next.unwrap();
        assert_eq!(change.phase, Phase::OpeningCall);
        assert_eq!(change.at, at(&rules, next, "09:15"), "after {day}");
    }
    let last = rules
        .now_holds(main, at(&rules, 20_261_231, "16:00"))
        .unwrap();
    assert_eq!(last.next, None, "the calendar ends");
    let outside = rules
        .now_holds(main, at(&rules, 20_270_104, "10:00"))
        .unwrap_err();
    assert!(outside.to_string().contains("20270104"), "{outside}");
}

#[test]
fn after_20_past_nine_no_order_is_taken_back() {
    let rules = shipped();
    for symbol in [
        SSE_MAIN, STAR, SZSE_MAIN, CHI_NEXT, BEIJING, SSE_FUND, SZSE_FUND,
    ] {
        let trading = trading(&rules, symbol);
        let allows =
            |time: &str, what| trading.allows(trading.schedule.phase(time.parse().unwrap()), what);
        for (time, orders, market_orders, cancels) in [
            ("09:14:59", false, false, false),
            ("09:19:59", true, false, true),
            ("09:20", true, false, false),
            ("09:24:59", true, false, false),
            ("09:30", true, true, true),
            ("11:30", false, false, false),
            ("14:57", true, false, false),
            ("15:00", false, false, false),
        ] {
            assert_eq!(
                allows(time, Allowance::Orders),
                orders,
                "{symbol} at {time}"
            );
            assert_eq!(
                allows(time, Allowance::MarketOrders),
                market_orders,
                "{symbol} at {time}"
            );
            assert_eq!(
                allows(time, Allowance::Cancels),
                cancels,
                "{symbol} at {time}"
            );
        }
        // Between the opening price and continuous trading Shenzhen keeps orders, others refuse.
        let keeps = market(&rules, symbol).board.exchange() == types::Exchange::Shenzhen;
        assert_eq!(allows("09:27", Allowance::Orders), keeps, "{symbol}");
    }
}

#[test]
fn fees_are_rounded_one_by_one_to_the_fen() {
    let rules = shipped();
    let bill = |symbol, side, turnover: &str| {
        let fees = market(&rules, symbol).fees_on(TODAY).unwrap();
        let turnover = turnover.parse::<Yuan>().unwrap().money();
        let bill = fees.for_order(side, turnover).unwrap();
        [
            bill.stamp_duty,
            bill.transfer,
            bill.handling,
            bill.regulatory,
            bill.commission,
        ]
        .map(|fee| fee.0 / 100)
    };
    // In fen: stamp duty, transfer, handling, regulatory, commission.
    assert_eq!(bill(SSE_MAIN, Side::Buy, "1000"), [0, 1, 3, 2, 500]);
    assert_eq!(bill(SSE_MAIN, Side::Sell, "1000"), [50, 1, 3, 2, 500]);
    assert_eq!(
        bill(SSE_MAIN, Side::Sell, "100000"),
        [5_000, 100, 341, 200, 2_500]
    );
    // 20,010 yuan: 10.005 of stamp duty is 10.01, commission 5.0025 is 5.00.
    assert_eq!(
        bill(SSE_MAIN, Side::Sell, "20010"),
        [1_001, 20, 68, 40, 500]
    );
    assert_eq!(bill(SSE_MAIN, Side::Sell, "0"), [0, 0, 0, 0, 0]);
    assert_eq!(
        bill(BEIJING, Side::Sell, "100000"),
        [5_000, 100, 1_250, 200, 2_500]
    );
    assert_eq!(
        bill(SSE_FUND, Side::Sell, "100000"),
        [0, 0, 400, 200, 2_500]
    );
    let before = market(&rules, SSE_MAIN)
        .fees_on(TradingDay(20_230_825))
        .unwrap();
    let bill = before.for_order(Side::Sell, Money(1_000_000_000)).unwrap();
    assert_eq!(
        bill.stamp_duty,
        Money(1_000_000),
        "a tenth of a percent before August 2023"
    );
}

#[test]
fn high_frequency_begins_where_the_exchanges_say() {
    let rules = shipped();
    let rate = rules.conduct_on(TODAY).unwrap().order_rate;
    assert_eq!((rate.per_second_warn, rate.per_day_warn), (300, 20_000));
    assert_eq!(rules.conduct_on(TradingDay(20_240_101)), None);
}

#[test]
fn the_compact_form_is_read_back_as_it_was() {
    let rules = shipped();
    let bytes = rules::encode(&rules).unwrap();
    assert_eq!(rules::decode(&bytes).unwrap(), rules);
}
