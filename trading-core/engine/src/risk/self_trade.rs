//! Check 10: would it trade with another account of its own owner. With its own account it may meet:
//! the book decides who gives way, in continuous trading as the order asks, in a call auction at its
//! end.

use super::Ticket;
use types::RejectReason;

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    if ticket.funds.meets_owner {
        let (account, symbol) = (ticket.account, ticket.symbol());
        return Err(RejectReason::WouldTradeWithItself { account, symbol });
    }
    Ok(())
}
