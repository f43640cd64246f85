//! Check 7: too fast, or the same order again and again.

use super::Ticket;
use super::table::LastAsk;
use types::RejectReason;

/// Takes a token for every order that comes this far, accepted in the end or not.
pub(super) fn check(ticket: &mut Ticket<'_>) -> Result<(), RejectReason> {
    let Some(conduct) = ticket.conduct else {
        return Ok(());
    };
    let account = ticket.account;
    let (rate, burst) = (
        conduct.order_rate.per_second_block,
        conduct.order_rate.burst_block,
    );
    let of_account = &mut *ticket.of_account;
    if !of_account.bucket.take(ticket.now, rate, burst) {
        return Err(RejectReason::RateExceeded {
            account,
            per_second: rate,
            burst,
        });
    }
    let level = conduct.duplicates;
    let this = LastAsk {
        symbol: ticket.definition.symbol,
        side: ticket.ask.side,
        price: ticket.ask.price,
        quantity: ticket.ask.quantity,
    };
    let age = ticket.now.0.saturating_sub(of_account.last_ask_at.0);
    let is_again = of_account.last_ask == Some(this) && age < u64::from(level.window_ms) * 1_000;
    of_account.repeats = if is_again {
        of_account.repeats.saturating_add(1)
    } else {
        0
    };
    of_account.last_ask = Some(this);
    of_account.last_ask_at = ticket.now;
    if of_account.repeats > level.repeats_max {
        return Err(RejectReason::RepeatedOrder {
            repeats_max: level.repeats_max,
            window_ms: level.window_ms,
        });
    }
    Ok(())
}
