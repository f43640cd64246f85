//! Check 4: does the board take such an order in the symbol's phase. What a phase does with orders at
//! all is the engine's (`phase.rs`).

use super::Ticket;
use rules::Allowance;
use types::RejectReason;

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let (symbol, phase) = (ticket.symbol(), ticket.phase);
    let what = match ticket.ask.market {
        Some(_) => Allowance::MarketOrders,
        None => Allowance::Orders,
    };
    match ticket.rules() {
        Some(rules) if !rules.allows(phase, what) => {
            Err(RejectReason::PhaseRefusesOrder { symbol, phase })
        }
        _ => Ok(()),
    }
}
