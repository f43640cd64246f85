//! Check 5: the day's limits, the exchange's price cage, and the house's collar.

use super::Ticket;
use rules::{OutsideCage, PriceCage, Ratio};
use types::{Phase, RejectReason, Side};

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let price = ticket.ask.price;
    let (limit_down, limit_up) = (ticket.definition.limit_down, ticket.definition.limit_up);
    if price < limit_down || price > limit_up {
        return Err(RejectReason::PriceOutsideLimits {
            price,
            limit_down,
            limit_up,
        });
    }
    // A market order stops at the day's limit and at no nearer price unless it says so.
    if ticket.ask.market.is_some() {
        return Ok(());
    }
    if ticket.phase == Phase::Continuous {
        let cage = ticket.rules().and_then(|rules| rules.cage);
        inside(
            ticket,
            cage.filter(|cage| cage.outside == OutsideCage::Reject),
        )?;
    }
    let collar = ticket.conduct.map(|conduct| PriceCage {
        buy_max: Ratio(Ratio::ONE.saturating_add(conduct.collar.ratio_max.0)),
        sell_min: Ratio(Ratio::ONE.saturating_sub(conduct.collar.ratio_max.0)),
        ticks_min: conduct.collar.ticks_min,
        outside: OutsideCage::Reject,
    });
    inside(ticket, collar)
}

/// Without a reference there is nothing to be far from.
fn inside(ticket: &Ticket<'_>, cage: Option<PriceCage>) -> Result<(), RejectReason> {
    let (side, price) = (ticket.ask.side, ticket.ask.price);
    let (Some(cage), Some(reference)) = (cage, ticket.quotes.reference(side)) else {
        return Ok(());
    };
    // Most orders stand on the near side of the reference, where no cage ends.
    let is_near = match side {
        Side::Buy => price <= reference,
        Side::Sell => price >= reference,
    };
    if is_near {
        return Ok(());
    }
    let Some(bound) = cage.bound(side, reference, ticket.definition.tick) else {
        return Ok(());
    };
    let is_far = match side {
        Side::Buy => price > bound,
        Side::Sell => price < bound,
    };
    if is_far {
        return Err(RejectReason::PriceOutsideCage { side, price, bound });
    }
    Ok(())
}
