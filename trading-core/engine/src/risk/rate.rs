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
    let mut this = LastAsk {
        price: ticket.ask.price,
        symbol: ticket.definition.symbol,
        quantity: u32::try_from(ticket.ask.quantity.0).unwrap_or(u32::MAX),
        side: ticket.ask.side,
        repeats: 0,
    };
    let age = ticket.now.0.saturating_sub(of_account.last_ask_at.0);
    if let Some(last) = of_account.last_ask.filter(|last| last.is_same(&this))
        && age < u64::from(level.window_ms) * 1_000
    {
        this.repeats = last.repeats.saturating_add(1);
    }
    of_account.last_ask = Some(this);
    of_account.last_ask_at = ticket.now;
    if u32::from(this.repeats) > level.repeats_max {
        return Err(RejectReason::RepeatedOrder {
            repeats_max: level.repeats_max,
            window_ms: level.window_ms,
        });
    }
    Ok(())
}
