//! Suspension on days without limits: 30 % and 60 % from the opening price, ten minutes each.

use super::*;

/// A STAR share on its first day, opened at 10 yuan and traded once more at a price.
fn listed() -> Market {
    let mut market = Market::new();
    market.tell(STAR, ReferencePrice::Issue, TEN);
    market.phase(Phase::OpeningCall);
    market.sell(2, STAR, 200, TEN);
    market.buy(1, STAR, 200, TEN);
    assert_eq!(traded(&market.phase(Phase::Continuous)), [(TEN, 200)]);
    market
}

/// Trades at a price, step by step inside the cage and the house's collar.
fn trade_at(market: &mut Market, price: i64) {
    market.tell(STAR, ReferencePrice::Market, price);
    market.sell(2, STAR, 200, price);
    let events = market.buy(1, STAR, 200, price).events;
    assert_eq!(traded(&events), [(price, 200)]);
}

fn until(market: &Market) -> Option<u64> {
    let (_, until) = market.state.unlimited_today(STAR).unwrap();
    until.map(|until| until.0)
}

#[test]
fn trading_stops_at_each_step_once_and_goes_on_after_ten_minutes() {
    let mut market = listed();
    trade_at(&mut market, 129_900);
    assert_eq!(until(&market), None, "a tick less than 30 %");
    trade_at(&mut market, 130_000);
    let end = market.now + 10 * MINUTE;
    assert_eq!(until(&market), Some(end));
    assert_eq!(market.state.phase(STAR), Some(Phase::Halted));
    market.restart();

    let due = market.state.due(UnixMicros(market.now));
    assert!(due.next.unwrap() <= UnixMicros(end));
    market.now = end - 2_000;
    market.apply(&Command::Tick);
    assert_eq!(market.state.phase(STAR), Some(Phase::Halted));
    market.apply(&Command::Tick);
    assert_eq!(market.state.phase(STAR), Some(Phase::Continuous));
    assert_eq!(until(&market), None);

    trade_at(&mut market, 70_000);
    assert_eq!(
        until(&market),
        None,
        "30 % were reached before, on the other side"
    );
    trade_at(&mut market, 160_000);
    assert_eq!(until(&market), Some(market.now + 10 * MINUTE));
    market.now += 10 * MINUTE;
    trade_at(&mut market, 190_000);
    assert_eq!(until(&market), None, "there is no third step");
}

#[test]
fn a_fall_counts_as_a_rise_does() {
    let mut market = listed();
    trade_at(&mut market, 70_100);
    assert_eq!(until(&market), None);
    trade_at(&mut market, 70_000);
    assert_eq!(until(&market), Some(market.now + 10 * MINUTE));
}

#[test]
fn what_gathers_meanwhile_trades_at_one_price() {
    let mut market = listed();
    trade_at(&mut market, 130_000);
    let low = market.buy(1, STAR, 200, 125_000);
    assert_eq!(market.buy(1, STAR, 300, 131_000).code(), 0);
    assert_eq!(market.sell(2, STAR, 300, 129_000).code(), 0);
    assert_eq!(
        cancelled(&market.cancel(1, &low)).len(),
        1,
        "it may be taken back"
    );
    market.restart();
    market.now += 10 * MINUTE;
    let events = market.apply(&Command::Tick);
    assert_eq!(traded(&events), [(130_000, 300)], "the middle of what ties");
}

#[test]
fn the_closing_call_ends_a_suspension() {
    let mut market = listed();
    trade_at(&mut market, 130_000);
    market.phase(Phase::ClosingCall);
    assert_eq!(market.state.phase(STAR), Some(Phase::ClosingCall));
    assert_eq!(until(&market), None);
}

#[test]
fn a_suspension_goes_on_over_lunch_and_ends_into_it() {
    let mut market = listed();
    trade_at(&mut market, 130_000);
    market.phase(Phase::LunchBreak);
    assert_eq!(market.state.phase(STAR), Some(Phase::Halted));
    market.now += 10 * MINUTE;
    market.apply(&Command::Tick);
    assert_eq!(market.state.phase(STAR), Some(Phase::LunchBreak));
}

#[test]
fn a_halt_by_hand_is_no_suspension_and_stays() {
    let mut market = listed();
    trade_at(&mut market, 130_000);
    let scope = PhaseScope::Symbol(STAR);
    let phase = Phase::Halted;
    market.control(Control::SetPhase { scope, phase });
    market.now += 20 * MINUTE;
    market.apply(&Command::Tick);
    assert_eq!(market.state.phase(STAR), Some(Phase::Halted));
    assert_ne!(market.buy(1, STAR, 200, 130_000).code(), 0);
}

#[test]
fn nothing_is_suspended_where_there_are_limits() {
    let mut market = Market::new();
    market.control(Control::DefineSymbol(SymbolDefinition {
        board: Board::ShanghaiStar,
        ..SymbolDefinition::share(STAR, Price(10_000), Price(900_000))
    }));
    trade_at(&mut market, TEN);
    trade_at(&mut market, 2 * TEN);
    assert_eq!(until(&market), None);
}
