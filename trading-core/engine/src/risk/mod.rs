//! What an order must pass before it may trade: fifteen checks, cheap ones first.
//!
//! ```text
//!   1 entitlement   may the account trade here        9 position      shares that may be sold
//!   2 kill switch   is it stopped                    10 self-trade    would it meet its own owner
//!   3 format        style, lot, tick                 11 cancel ratio  does it cancel too much
//!   4 phase         does the hour take it            12 concentration would it hold too much
//!   5 price         day's limits, cage, collar       13 exposure      is too much open
//!   6 size          shares and amount                14 restricted    is it on a list
//!   7 rate          too fast, the same again         15 after trade   surveillance, drop copy
//!   8 cash          what it may need
//! ```
//!
//! All but the fifteenth are functions of one [`Ticket`]: plain values that are looked up before, so
//! that a check is a few comparisons. The fifteenth is what surveillance makes of the events
//! (`watch.rs`). What makes no sense without them, such as lots before terms, is asked before as well
//! (`check.rs`), so that an order that breaks several rules is told the first.
//!
//! A check without its data passes: without rules loaded there are no cage, rate or levels; what a
//! symbol's definition says of tick, lot and limits holds always.

mod cancel_ratio;
mod cash;
mod concentration;
mod entitlement;
mod exposure;
mod format;
mod kill_switch;
mod phase;
mod position;
mod price;
mod rate;
mod restricted;
mod self_trade;
mod size;
mod table;

pub(crate) use format::check_lot;
pub use kill_switch::Switches;
pub use table::{AccountRisk, Risk, SymbolRisk};

use rules::{Conduct, DayRules, Quotes};
use types::{
    AccountId, AccountTerms, MarketStyle, Money, Phase, Price, Quantity, RejectReason, Side,
    SymbolDefinition, SymbolId, TraderId, UnixMicros,
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Buy or sell.
    pub side: Side,
    /// All shares of the order.
    pub quantity: Quantity,
    /// Shares that would be open: fewer when it replaces one that is filled in part.
    pub open: Quantity,
    /// The worst price it takes.
    pub price: Price,
    /// Of a market order, which; none for an order at a limit.
    pub market: Option<MarketStyle>,
    /// A market order says itself what its worst price is.
    pub has_protection: bool,
}

/// What the account has for it, what the order that it replaces had set aside included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    /// Cash that is not set aside.
    pub cash: Money,
    /// Cash that a buy sets aside for its fees, beside its amount.
    pub fee: Money,
    /// Shares of the symbol that may be sold.
    pub sellable: Quantity,
    /// Shares of the symbol that are held.
    pub held: Quantity,
    /// Cash that open buys have set aside.
    pub open_amount: Money,
    /// An order of another account of the same owner stands that it would trade with.
    pub meets_owner: bool,
}

/// One order as the checks see it.
#[derive(Debug)]
pub struct Ticket<'a> {
    /// The batch's time.
    pub now: UnixMicros,
    /// Whose order.
    pub account: AccountId,
    /// Who enters it.
    pub trader: TraderId,
    /// Of what.
    pub definition: &'a SymbolDefinition,
    /// What is asked for.
    pub ask: Ask,
    /// The symbol's phase.
    pub phase: Phase,
    /// Prices that the cage and the collar look at.
    pub quotes: Quotes,
    /// What the account has.
    pub funds: Funds,
    /// What the account may do.
    pub terms: AccountTerms,
    /// The account's record.
    pub of_account: &'a mut AccountRisk,
    /// The symbol's record.
    pub of_symbol: &'a SymbolRisk,
    /// What is stopped.
    pub switches: &'a Switches,
    /// Levels of conduct, once rules are loaded.
    pub conduct: Option<&'a Conduct>,
}

impl Ticket<'_> {
    /// The rules of the symbol's board, once they are loaded.
    fn rules(&self) -> Option<&DayRules> {
        self.of_symbol.day.as_ref()
    }

    fn symbol(&self) -> SymbolId {
        self.definition.symbol
    }
}

/// Checks 1 to 14, in order.
///
/// # Errors
/// The first [`RejectReason`] against it.
#[inline]
pub fn check(ticket: &mut Ticket<'_>) -> Result<(), RejectReason> {
    entitlement::check(ticket)?;
    kill_switch::check(ticket)?;
    format::check(ticket)?;
    phase::check(ticket)?;
    price::check(ticket)?;
    size::check(ticket)?;
    rate::check(ticket)?;
    cash::check(ticket)?;
    position::check(ticket)?;
    self_trade::check(ticket)?;
    cancel_ratio::check(ticket)?;
    concentration::check(ticket)?;
    exposure::check(ticket)?;
    restricted::check(ticket)
}

#[cfg(test)]
mod tests;
