//! Check 3: a kind of market order that the board takes, a quantity of the lot, a price on the tick.

use super::Ticket;
use rules::DayRules;
use types::{Quantity, RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let ask = &ticket.ask;
    if let (Some(style), Some(rules)) = (ask.market, ticket.rules()) {
        if !rules.accepts(style) {
            let board = ticket.definition.board;
            return Err(RejectReason::MarketStyleNotAccepted { style, board });
        }
        if rules.market_orders_need_limit && !ask.has_protection {
            return Err(RejectReason::ProtectionNeeded { style });
        }
    }
    let (lot, sellable) = (ticket.definition.lot, ticket.funds.sellable);
    check_lot(ticket.rules(), lot, ask.side, ask.quantity, sellable)?;
    let tick = ticket.definition.tick;
    if !ask.price.is_on(tick) {
        let price = ask.price;
        return Err(RejectReason::PriceOffTick { price, tick });
    }
    Ok(())
}

/// The lot alone: by the board's rule, or without one by the symbol's lot, which is for buys.
#[inline]
pub(crate) fn check_lot(
    rules: Option<&DayRules>,
    lot: Quantity,
    side: Side,
    quantity: Quantity,
    sellable: Quantity,
) -> Result<(), RejectReason> {
    if quantity == Quantity(0) {
        return Err(RejectReason::QuantityZero { quantity });
    }
    let Some(rules) = rules else {
        if side == Side::Buy && !quantity.is_in_lots_of(lot) {
            return Err(RejectReason::QuantityOffLot { quantity, lot });
        }
        return Ok(());
    };
    let checked = rules.lot.check(side, quantity, sellable);
    checked.map_err(|off| RejectReason::QuantityOffRule {
        quantity,
        minimum: Quantity(off.minimum),
        step: Quantity(off.step),
    })
}
