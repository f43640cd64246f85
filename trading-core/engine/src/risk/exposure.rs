//! Check 13: would too much be open at the same time.

use super::Ticket;
use types::{Money, RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let limits = ticket.of_account.limits();
    let max = limits.map(|limits| limits.open_amount_max);
    let Some(max) = max.filter(|_| ticket.ask.side == Side::Buy) else {
        return Ok(());
    };
    let amount = ticket.ask.price.times(ticket.ask.open);
    let open = amount.and_then(|amount| amount.checked_add(ticket.funds.open_amount));
    let open = open.unwrap_or(Money(i64::MAX));
    if open > max {
        return Err(RejectReason::ExposureAboveMax { open, max });
    }
    Ok(())
}
