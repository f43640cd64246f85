//! Check 12: would the account hold too much of one symbol's float.

use super::Ticket;
use types::{Quantity, RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let float = ticket.definition.float;
    let Some(conduct) = ticket.conduct else {
        return Ok(());
    };
    if ticket.ask.side == Side::Sell || float == Quantity(0) {
        return Ok(());
    }
    let level = conduct.concentration.float_block;
    let would_hold = Quantity(ticket.funds.held.0.saturating_add(ticket.ask.open.0));
    if level.is_reached(would_hold.0, float.0) {
        return Err(RejectReason::ConcentrationReached {
            symbol: ticket.symbol(),
            would_hold,
            float,
        });
    }
    Ok(())
}
