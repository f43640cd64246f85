//! Check 9: does the account have the shares that it sells. Bought today they wait for tomorrow where
//! the board says so; none are sold short.

use super::Ticket;
use types::mutants::{self, Mutant};
use types::{RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    if mutants::is(Mutant::NoFundsCheck) {
        return Ok(());
    }
    let (needed, available) = (ticket.ask.open, ticket.funds.sellable);
    if ticket.ask.side == Side::Sell && needed > available {
        return Err(RejectReason::InsufficientPosition {
            symbol: ticket.symbol(),
            needed,
            available,
        });
    }
    Ok(())
}
