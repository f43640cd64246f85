//! Check 6: shares and amount of one order.

use super::Ticket;
use types::{Money, Phase, Quantity, RejectReason};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let ask = &ticket.ask;
    let quantity = ask.quantity;
    if let Some(size) = ticket.rules().map(|rules| rules.size_max) {
        let max = Quantity(match (ask.market, ticket.phase) {
            (Some(_), _) => size.market,
            (None, Phase::AfterHours) => size.after_hours,
            (None, _) => size.limit,
        });
        if quantity > max {
            return Err(RejectReason::QuantityAboveMax { quantity, max });
        }
    }
    let Some(max) = ticket
        .of_account
        .limits()
        .map(|limits| limits.order_amount_max)
    else {
        return Ok(());
    };
    let amount = ask.price.times(quantity).unwrap_or(Money(i64::MAX));
    if amount > max {
        return Err(RejectReason::AmountAboveMax { amount, max });
    }
    Ok(())
}
