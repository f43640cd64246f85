//! Each check alone: a ticket that passes, and what is changed in it.

use super::*;
use rules::{
    Allowance, Band, Bursts, Cancels, Concentration, Duplicates, Fees, FirstDays, LotRule,
    OrderRate, OutsideCage, PhaseRule, PriceCage, PriceCollar, PriceLimits, Ratio, Schedule,
    SizeMax, TieRule, Trading, Yuan,
};
use types::{AccountLimits, Board, Boards, KillMode, KillScope, Security, TradingDay};

const TEN: Price = Price(100_000);
const DAY: TradingDay = TradingDay(20_261_125);

fn percent(percent: u32) -> Ratio {
    Ratio(percent * 1_000_000)
}

fn trading() -> Trading {
    let band = Band {
        up: percent(10),
        down: percent(10),
    };
    Trading {
        from: DAY,
        tick: Yuan(100),
        price_limits: PriceLimits {
            ordinary: band,
            risk_warning: band,
            first_days: FirstDays {
                days: 0,
                band: None,
            },
        },
        cage: Some(PriceCage {
            buy_max: percent(102),
            sell_min: percent(98),
            ticks_min: 10,
            outside: OutsideCage::Reject,
        }),
        lot: LotRule {
            minimum: 100,
            step: 100,
        },
        size_max: SizeMax {
            limit: 1_000,
            market: 500,
            after_hours: 2_000,
        },
        sellable_same_day: Vec::new(),
        phases: vec![PhaseRule {
            phase: Phase::Continuous,
            allows: vec![Allowance::Orders, Allowance::MarketOrders],
        }],
        schedule: Schedule {
            windows: Vec::new(),
        },
        half_day_schedule: None,
        market_styles: vec![MarketStyle::OwnBest],
        market_orders_need_limit: true,
        auction_tie: TieRule::Middle,
        suspension: None,
    }
}

fn fees() -> Fees {
    Fees {
        from: DAY,
        stamp_duty: Ratio(50_000),
        transfer: Ratio(1_000),
        handling: Ratio(3_410),
        regulatory: Ratio(2_000),
        commission: Ratio(25_000),
        commission_min: Yuan(50_000),
    }
}

fn conduct() -> Conduct {
    Conduct {
        from: DAY,
        order_rate: OrderRate {
            per_second_warn: 300,
            per_day_warn: 20_000,
            per_second_block: 10,
            burst_block: 3,
        },
        cancels: Cancels {
            instantaneous_ms: 1_000,
            instantaneous_per_day_warn: 100,
            orders_min: 10,
            ratio_warn: percent(50),
            ratio_block: percent(90),
        },
        concentration: Concentration {
            float_warn: percent(4),
            float_block: percent(5),
            equity_warn: percent(80),
            equity_block: percent(100),
        },
        bursts: Bursts {
            window_ms: 60_000,
            turnover_warn: Yuan(1),
            share_warn: percent(30),
            price_move_warn: percent(2),
        },
        duplicates: Duplicates {
            window_ms: 500,
            repeats_max: 1,
        },
        collar: PriceCollar {
            ratio_max: percent(5),
            ticks_min: 0,
        },
    }
}

/// What a ticket borrows, with all that an order may be wrong in.
struct Desk {
    definition: SymbolDefinition,
    account: AccountRisk,
    symbol: SymbolRisk,
    switches: Switches,
    conduct: Conduct,
    terms: AccountTerms,
    ask: Ask,
    phase: Phase,
    quotes: Quotes,
    funds: Funds,
    now: UnixMicros,
}

impl Desk {
    fn new() -> Self {
        let symbol = SymbolId(600_000);
        Self {
            definition: SymbolDefinition {
                float: Quantity(100_000),
                ..SymbolDefinition::share(symbol, Price(80_000), Price(120_000))
            },
            account: AccountRisk::default(),
            symbol: SymbolRisk {
                is_restricted: false,
                day: Some(DayRules::new(&trading(), &fees(), Security::Share)),
            },
            switches: Switches::default(),
            conduct: conduct(),
            terms: AccountTerms::default(),
            ask: Ask {
                side: Side::Buy,
                quantity: Quantity(100),
                open: Quantity(100),
                price: TEN,
                market: None,
                has_protection: false,
            },
            phase: Phase::Continuous,
            quotes: Quotes {
                last: Some(TEN),
                ..Quotes::default()
            },
            funds: Funds {
                cash: Money(1_000 * TEN.0),
                fee: Money(0),
                sellable: Quantity(250),
                held: Quantity(250),
                open_amount: Money(0),
                meets_owner: false,
            },
            now: UnixMicros(1_795_572_000_000_000),
        }
    }

    /// The code of the reject, 0 for none.
    fn code(&mut self) -> u16 {
        let mut ticket = Ticket {
            now: self.now,
            account: AccountId(1),
            trader: TraderId(2),
            definition: &self.definition,
            ask: self.ask,
            phase: self.phase,
            quotes: self.quotes,
            funds: self.funds,
            terms: self.terms,
            of_account: &mut self.account,
            of_symbol: &self.symbol,
            switches: &self.switches,
            conduct: Some(&self.conduct),
        };
        check(&mut ticket).map_or_else(|reason| reason.code(), |()| 0)
    }
}

/// The code after one change.
fn code(change: impl Fn(&mut Desk)) -> u16 {
    let mut desk = Desk::new();
    change(&mut desk);
    desk.code()
}

/// The same most for one order and for all that are open.
fn limits(max: i64) -> AccountLimits {
    AccountLimits {
        order_amount_max: Money(max),
        open_amount_max: Money(max),
    }
}

fn size(desk: &mut Desk, shares: u64) {
    desk.ask.quantity = Quantity(shares);
    desk.ask.open = Quantity(shares);
}

#[test]
fn a_sound_order_passes() {
    assert_eq!(code(|_| {}), 0);
    assert_eq!(code(|desk| desk.ask.side = Side::Sell), 0);
}

#[test]
fn check_1_asks_for_an_active_account_and_its_boards() {
    assert_eq!(code(|desk| desk.terms.active = false), 105);
    let main = Boards(0).with(Board::ShanghaiMain);
    assert_eq!(code(|desk| desk.terms.boards = main), 0);
    assert_eq!(code(|desk| desk.terms.boards = Boards(0)), 106);
}

#[test]
fn check_2_obeys_the_widest_switch() {
    for (scope, expected) in [
        (KillScope::Firm, 803),
        (KillScope::Account(AccountId(1)), 803),
        (KillScope::Account(AccountId(2)), 0),
        (KillScope::Trader(TraderId(2)), 803),
        (KillScope::Symbol(SymbolId(600_000)), 803),
        (KillScope::Symbol(SymbolId(1)), 0),
        (KillScope::Side(Side::Sell), 0),
    ] {
        let turned = |mode| {
            code(|desk| {
                desk.switches.turn(scope, mode).unwrap();
            })
        };
        assert_eq!(turned(KillMode::RejectNew), expected, "{scope:?}");
        assert_eq!(turned(KillMode::CloseOnly), expected, "{scope:?}");
        assert_eq!(turned(KillMode::Off), 0, "{scope:?}");
    }
}

#[test]
fn switches_are_bounded_and_the_widest_always_finds_room() {
    let mut switches = Switches::default();
    let turn = |switches: &mut Switches, account| {
        switches.turn(KillScope::Account(AccountId(account)), KillMode::RejectNew)
    };
    assert!((0..4_096).all(|account| turn(&mut switches, account).is_ok()));
    assert_eq!(turn(&mut switches, 9_999).unwrap_err().code(), 602);
    assert!(turn(&mut switches, 7).is_ok(), "it is on already");
    assert!(switches.turn(KillScope::Firm, KillMode::RejectNew).is_ok());
    assert_eq!(switches.on().count(), 4_097);
}

#[test]
fn check_3_asks_for_style_lot_and_tick() {
    let market = |style, has_protection| {
        code(move |desk| {
            desk.ask.market = Some(style);
            desk.ask.has_protection = has_protection;
        })
    };
    assert_eq!(market(MarketStyle::OwnBest, true), 0);
    assert_eq!(market(MarketStyle::OwnBest, false), 311);
    assert_eq!(market(MarketStyle::FillOrKill, true), 310);
    assert_eq!(code(|desk| desk.ask.price.0 += 1), 401);
    assert_eq!(code(|desk| size(desk, 0)), 302);
    assert_eq!(code(|desk| size(desk, 150)), 312);
    let without_rules = |side| {
        code(move |desk| {
            desk.symbol.day = None;
            desk.ask.side = side;
            size(desk, 150);
        })
    };
    assert_eq!(without_rules(Side::Buy), 303);
    assert_eq!(without_rules(Side::Sell), 0);
}

#[test]
fn check_4_asks_the_board_about_the_phase() {
    assert_eq!(code(|desk| desk.phase = Phase::LunchBreak), 801);
    assert_eq!(code(|desk| desk.phase = Phase::OpeningCall), 801);
}

#[test]
fn check_5_has_three_borders() {
    assert_eq!(code(|desk| desk.ask.price = Price(120_100)), 402);
    assert_eq!(code(|desk| desk.ask.price = Price(79_900)), 402);
    assert_eq!(code(|desk| desk.ask.price = Price(102_000)), 0);
    assert_eq!(code(|desk| desk.ask.price = Price(102_100)), 404);
    let without_cage = |price| {
        code(move |desk| {
            let day = desk.symbol.day.as_mut().unwrap();
            day.cage = None;
            desk.ask.price = Price(price);
        })
    };
    assert_eq!(without_cage(105_000), 0, "the collar is five percent");
    assert_eq!(without_cage(105_100), 404);
    let nothing_to_measure = code(|desk| {
        desk.quotes = Quotes::default();
        desk.ask.price = Price(110_000);
    });
    assert_eq!(nothing_to_measure, 0);
}

#[test]
fn check_6_bounds_shares_and_amount() {
    assert_eq!(code(|desk| size(desk, 1_000)), 0);
    assert_eq!(code(|desk| size(desk, 1_100)), 304);
    let market = |shares| {
        code(move |desk| {
            desk.ask.market = Some(MarketStyle::OwnBest);
            desk.ask.has_protection = true;
            size(desk, shares);
        })
    };
    assert_eq!(market(500), 0);
    assert_eq!(market(600), 304);
    let amount = 100 * TEN.0;
    let limited = |max| code(move |desk| desk.account.set_limits(limits(max)));
    assert_eq!(limited(amount), 0);
    assert_eq!(limited(amount - 1), 313);
}

#[test]
fn check_7_counts_tokens_and_repetitions() {
    let mut desk = Desk::new();
    let differ = |desk: &mut Desk, later_ms: u64| {
        desk.now.0 += later_ms * 1_000;
        desk.ask.price.0 -= 100;
        desk.code()
    };
    assert_eq!([0; 3], [0, 0, 0].map(|_| differ(&mut desk, 0)));
    assert_eq!(differ(&mut desk, 0), 702);
    assert_eq!(differ(&mut desk, 100), 0, "a tenth of a second is a token");
    let mut desk = Desk::new();
    assert_eq!([0, 0, 703], [0, 0, 0].map(|_| desk.code()));
    desk.now.0 += 600_000;
    assert_eq!(desk.code(), 0, "long after, it is no repetition");
}

#[test]
fn checks_8_and_9_ask_for_cash_and_shares() {
    assert_eq!(code(|desk| desk.funds.cash = Money(100 * TEN.0)), 0);
    assert_eq!(code(|desk| desk.funds.cash = Money(100 * TEN.0 - 1)), 501);
    let sell = |shares| {
        code(move |desk| {
            desk.ask.side = Side::Sell;
            size(desk, shares);
        })
    };
    assert_eq!(sell(250), 0);
    assert_eq!(sell(300), 502);
}

#[test]
fn check_10_keeps_an_owner_from_itself() {
    assert_eq!(code(|desk| desk.funds.meets_owner = true), 701);
}

#[test]
fn check_11_needs_enough_orders_to_judge() {
    let after = |orders, cancels| {
        code(move |desk| (desk.account.orders, desk.account.cancels) = (orders, cancels))
    };
    assert_eq!(after(9, 9), 0);
    assert_eq!(after(10, 8), 0);
    assert_eq!(after(10, 9), 704);
}

#[test]
fn check_12_looks_at_what_would_be_held() {
    let held = |shares| code(move |desk| desk.funds.held = Quantity(shares));
    assert_eq!(held(4_899), 0);
    assert_eq!(held(4_900), 705);
    let sells = code(|desk| {
        desk.ask.side = Side::Sell;
        desk.funds.held = Quantity(50_000);
    });
    assert_eq!(sells, 0);
    let unknown_float = code(|desk| {
        desk.definition.float = Quantity(0);
        desk.funds.held = Quantity(50_000);
    });
    assert_eq!(unknown_float, 0);
}

#[test]
fn check_13_adds_up_what_is_open() {
    let open = |open| {
        code(move |desk| {
            desk.account.set_limits(limits(300 * TEN.0));
            desk.funds.open_amount = Money(open);
        })
    };
    assert_eq!(open(200 * TEN.0), 0);
    assert_eq!(open(200 * TEN.0 + 1), 706);
    assert_eq!(open(i64::MAX), 706, "beyond the range is too much as well");
}

#[test]
fn check_14_reads_both_lists() {
    assert_eq!(code(|desk| desk.symbol.is_restricted = true), 707);
    let listed = |symbol| code(move |desk| desk.account.restrict(SymbolId(symbol), true));
    assert_eq!(listed(600_000), 707);
    assert_eq!(listed(600_001), 0);
}

#[test]
fn an_order_that_breaks_every_rule_is_told_the_first() {
    let mut desk = Desk::new();
    desk.terms.active = false;
    desk.switches
        .turn(KillScope::Firm, KillMode::RejectNew)
        .unwrap();
    desk.ask.price = Price(999_999);
    size(&mut desk, 1_000_050);
    desk.phase = Phase::LunchBreak;
    desk.funds.cash = Money(0);
    desk.symbol.is_restricted = true;
    assert_eq!(desk.code(), 105);
    desk.terms.active = true;
    assert_eq!(desk.code(), 803);
    desk.switches.turn(KillScope::Firm, KillMode::Off).unwrap();
    assert_eq!(desk.code(), 312);
    size(&mut desk, 1_000_000);
    assert_eq!(desk.code(), 401);
    desk.ask.price = Price(130_000);
    assert_eq!(desk.code(), 801);
    desk.phase = Phase::Continuous;
    assert_eq!(desk.code(), 402);
    desk.ask.price = TEN;
    assert_eq!(desk.code(), 304);
    size(&mut desk, 1_000);
    assert_eq!(desk.code(), 501);
    desk.funds.cash = Money(i64::MAX);
    assert_eq!(desk.code(), 707);
}
