//! A symbol's rules on one day, worked out once so that each order only looks them up.

use crate::phase::Allowance;
use crate::{Fees, LotRule, PriceCage, Settlement, SizeMax, TieRule, Trading};
use serde::{Deserialize, Serialize};
use types::{MarketStyle, Phase, Price, Security};

/// What holds for one symbol on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRules {
    /// Prices are multiples of it.
    pub tick: Price,
    /// How many shares an order may have.
    pub lot: LotRule,
    /// The largest orders.
    pub size_max: SizeMax,
    /// The price cage, where there is one.
    pub cage: Option<PriceCage>,
    /// When shares that were bought can be sold.
    pub settlement: Settlement,
    /// How a call auction breaks ties.
    pub auction_tie: TieRule,
    /// Whether market orders must carry the worst price that they take.
    pub market_orders_need_limit: bool,
    /// What a trade costs.
    pub fees: Fees,
    /// By market order kind, a bit each.
    market_styles: u8,
    /// By phase, a bit for each allowance.
    phases: [u8; Phase::ALL.len()],
}

impl DayRules {
    /// The rules of an edition for a kind of security.
    #[must_use]
    pub fn new(trading: &Trading, fees: &Fees, security: Security) -> Self {
        let styles = trading.market_styles.iter();
        let mut phases = [0; Phase::ALL.len()];
        for rule in &trading.phases {
            phases[rule.phase as usize] = rule.allows.iter().fold(0, |bits, it| bits | bit(*it));
        }
        Self {
            tick: trading.tick.price(),
            lot: trading.lot,
            size_max: trading.size_max,
            cage: trading.cage,
            settlement: trading.settlement(security),
            auction_tie: trading.auction_tie,
            market_orders_need_limit: trading.market_orders_need_limit,
            fees: *fees,
            market_styles: styles.fold(0, |bits, style| bits | 1 << *style as u8),
            phases,
        }
    }

    /// Whether a phase allows something.
    #[must_use]
    pub fn allows(&self, phase: Phase, what: Allowance) -> bool {
        self.phases[phase as usize] & bit(what) != 0
    }

    /// Whether a kind of market order is accepted at all.
    #[must_use]
    pub fn accepts(&self, style: MarketStyle) -> bool {
        self.market_styles & 1 << style as u8 != 0
    }
}

fn bit(what: Allowance) -> u8 {
    1 << what as u8
}
