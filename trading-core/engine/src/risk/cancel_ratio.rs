//! Check 11: does the account cancel more of its orders than the level allows.

use super::Ticket;
use types::RejectReason;

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let Some(level) = ticket.conduct.map(|conduct| conduct.cancels) else {
        return Ok(());
    };
    let (orders, cancels) = (ticket.of_account.orders, ticket.of_account.cancels);
    if orders >= level.orders_min && level.ratio_block.is_reached(cancels.into(), orders.into()) {
        return Err(RejectReason::CancelRatioReached {
            account: ticket.account,
            cancels,
            orders,
        });
    }
    Ok(())
}
