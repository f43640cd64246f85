//! Which price a call auction takes where several trade the most: by the rules of the board.

use super::*;

/// Buys to 10.20 and sells from 10.00 meet wholly; the close before was 10.05.
fn tied(symbol: SymbolId) -> i64 {
    let mut market = Market::new();
    market.tell(symbol, ReferencePrice::PreviousClose, 100_500);
    market.phase(Phase::OpeningCall);
    market.buy(1, symbol, 300, 102_000);
    market.sell(2, symbol, 300, TEN);
    let traded = traded(&market.phase(Phase::Continuous));
    assert_eq!(traded.len(), 1);
    traded[0].0
}

#[test]
fn each_board_breaks_ties_as_its_rules_say() {
    assert_eq!(tied(MAIN), 101_000, "the middle");
    assert_eq!(tied(STAR), 101_000, "the middle");
    assert_eq!(tied(CHI_NEXT), 100_500, "nearest to the close before");
    assert_eq!(tied(BEIJING), 100_500, "nearest to the close before");
}
