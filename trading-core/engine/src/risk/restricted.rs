//! Check 14: is the symbol on a list that the firm or the account may not trade.

use super::Ticket;
use types::RejectReason;

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    if ticket.of_symbol.is_restricted || ticket.of_account.restricts(ticket.symbol()) {
        let symbol = ticket.symbol();
        return Err(RejectReason::SymbolRestricted { symbol });
    }
    Ok(())
}
