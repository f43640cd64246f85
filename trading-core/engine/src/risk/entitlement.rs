//! Check 1: is the account active, and may it trade on the board.

use super::Ticket;
use types::RejectReason;

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let account = ticket.account;
    if !ticket.terms.active {
        return Err(RejectReason::AccountInactive { account });
    }
    let board = ticket.definition.board;
    if !ticket.terms.boards.contain(board) {
        return Err(RejectReason::BoardNotPermitted { account, board });
    }
    Ok(())
}
