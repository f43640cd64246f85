//! Check 8: does the account have the cash that a buy may need at its worst price, fees included.

use super::Ticket;
use types::mutants::{self, Mutant};
use types::{Money, RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    if ticket.ask.side == Side::Sell || mutants::is(Mutant::NoFundsCheck) {
        return Ok(());
    }
    let needed = ticket.ask.price.times(ticket.ask.open);
    let needed = needed.and_then(|amount| amount.checked_add(ticket.funds.fee));
    let needed = needed.unwrap_or(Money(i64::MAX));
    let available = ticket.funds.cash;
    if needed > available {
        return Err(RejectReason::InsufficientCash { needed, available });
    }
    Ok(())
}
