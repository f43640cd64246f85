//! The state, and its one way to change.

use crate::bursts::{Bursts, Deal};
use crate::finding::{AccountSlot, Act, Finding, Party, SymbolSlot};
use crate::unit::Unit;
use rules::Conduct;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{AlertKind, OwnerId, Quantity, Side, UnixMicros};

/// Pairs of a unit and a symbol that may be active in one window, unless told otherwise: 2^16.
const ACTIVE_PAIRS_BITS: u32 = 16;
/// Holdings of declared groups that are added up.
const GROUP_HOLDINGS_MAX: usize = 1 << 16;

/// What has been seen, and who belongs together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveillance {
    /// The latest time seen: it does not go back where a new leader's clock is behind.
    now: UnixMicros,
    /// The unit of each account; until it is declared to belong somewhere, its own.
    unit_of: Vec<u32>,
    own_unit: Vec<u32>,
    units: Vec<Unit>,
    /// The unit of each owner of several accounts.
    owners: BTreeMap<OwnerId, u32>,
    /// What a unit of several accounts holds of a symbol, account by account.
    group_holdings: BTreeMap<(u32, SymbolSlot, AccountSlot), Quantity>,
    bursts: Bursts,
    overflowed: u64,
}

impl Default for Surveillance {
    fn default() -> Self {
        Self::with_active_pairs_bits(ACTIVE_PAIRS_BITS)
    }
}

impl Surveillance {
    /// Nothing seen; room for 2^`bits` pairs of a unit and a symbol that trade in one window (1 to
    /// 24 bits; outside of that the nearest).
    #[must_use]
    pub fn with_active_pairs_bits(bits: u32) -> Self {
        Self {
            now: UnixMicros(0),
            unit_of: Vec::new(),
            own_unit: Vec::new(),
            units: Vec::new(),
            owners: BTreeMap::new(),
            group_holdings: BTreeMap::new(),
            bursts: Bursts::new(bits.clamp(1, 24)),
            overflowed: 0,
        }
    }

    /// Declares who stands behind an account: from now on all accounts of one owner count as one.
    /// [`OwnerId`] 0 is nobody, and the account stands for itself again.
    pub fn declare(&mut self, account: AccountSlot, owner: OwnerId) {
        let before = self.unit(account);
        let place = account.0 as usize;
        let unit = match owner {
            OwnerId(0) => self.own_unit[place],
            owner => match self.owners.get(&owner) {
                Some(unit) => *unit,
                None => {
                    let unit = self.new_unit(Unit::of_group());
                    self.owners.insert(owner, unit);
                    unit
                }
            },
        };
        if unit != before {
            (self.group_holdings).retain(|(_, _, holder), _| *holder != account);
            self.unit_of[place] = unit;
        }
    }

    /// Takes in what happened at a time and appends the levels that it reached.
    pub fn observe(
        &mut self,
        time: UnixMicros,
        act: Act,
        conduct: &Conduct,
        findings: &mut Vec<Finding>,
    ) {
        self.now = self.now.max(time);
        let now = self.now;
        match act {
            Act::Requested { account } => {
                self.unit_mut(account)
                    .requested(account, now, conduct, findings);
            }
            Act::Entered { account } => self.unit_mut(account).entered(conduct),
            Act::Cancelled { account, entered } => {
                self.unit_mut(account)
                    .cancelled(account, now, entered, conduct, findings);
            }
            Act::SelfTradePrevented { account, symbol } => {
                let observed = self.unit_mut(account).self_traded();
                findings.push(Finding {
                    kind: AlertKind::SelfTrade,
                    account,
                    related: None,
                    symbol: Some(symbol),
                    observed,
                    allowed: 0,
                });
            }
            Act::Traded {
                symbol,
                price,
                quantity,
                buyer,
                seller,
                taker,
                float,
            } => {
                self.met(symbol, buyer.account, seller.account, findings);
                self.holds(symbol, seller);
                let after = self.holds(symbol, buyer);
                let stays_inside = self.unit(buyer.account) == self.unit(seller.account);
                let added = if stays_inside { 0 } else { quantity.0 };
                let before = Quantity(after.0.saturating_sub(added));
                concentrated(symbol, buyer, (before, after), float, conduct, findings);
                let sides = [(buyer, Side::Buy), (seller, Side::Sell)]
                    .map(|(party, side)| (self.unit(party.account), party.account, side));
                let deal = Deal {
                    symbol,
                    price,
                    quantity,
                    taker,
                };
                self.bursts.traded(now, deal, sides, conduct, findings);
            }
        }
    }

    /// Forgets the day's counts; who belongs together and what groups hold stays.
    pub fn begin_day(&mut self) {
        self.units.iter_mut().for_each(Unit::begin_day);
        self.bursts.begin_day();
    }

    /// How often a table had no room: those acts were not watched in full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed + self.bursts.overflowed()
    }

    /// Two accounts of one unit, or one account with itself, traded.
    fn met(
        &mut self,
        symbol: SymbolSlot,
        buyer: AccountSlot,
        seller: AccountSlot,
        findings: &mut Vec<Finding>,
    ) {
        let unit = self.unit(buyer);
        if unit != self.unit(seller) {
            return;
        }
        let observed = self.units[unit as usize].self_traded();
        let (kind, related) = if buyer == seller {
            (AlertKind::SelfTrade, None)
        } else {
            (AlertKind::LinkedAccounts, Some(seller))
        };
        findings.push(Finding {
            kind,
            account: buyer,
            related,
            symbol: Some(symbol),
            observed,
            allowed: 0,
        });
    }

    /// Notes what a party holds; what its whole unit holds, as far as it has traded under watch.
    fn holds(&mut self, symbol: SymbolSlot, party: Party) -> Quantity {
        let unit = self.unit(party.account);
        if !self.units[unit as usize].is_group {
            return party.holding;
        }
        let key = (unit, symbol, party.account);
        let has_room = self.group_holdings.len() < GROUP_HOLDINGS_MAX;
        if has_room || self.group_holdings.contains_key(&key) {
            self.group_holdings.insert(key, party.holding);
        } else {
            self.overflowed += 1;
        }
        let all = (unit, symbol, AccountSlot(0))..=(unit, symbol, AccountSlot(u32::MAX));
        let held = self.group_holdings.range(all).map(|(_, held)| held.0);
        Quantity(held.fold(0, u64::saturating_add))
    }

    fn new_unit(&mut self, unit: Unit) -> u32 {
        self.units.push(unit);
        // One for each account and one for each owner of accounts: far fewer than 2^32.
        (self.units.len() - 1) as u32
    }

    /// The unit of an account; a new account stands for itself.
    fn unit(&mut self, account: AccountSlot) -> u32 {
        while self.unit_of.len() <= account.0 as usize {
            let unit = self.new_unit(Unit::default());
            self.unit_of.push(unit);
            self.own_unit.push(unit);
        }
        self.unit_of[account.0 as usize]
    }

    fn unit_mut(&mut self, account: AccountSlot) -> &mut Unit {
        let unit = self.unit(account);
        &mut self.units[unit as usize]
    }
}

/// A buy that lifts a holding to the level of the float.
fn concentrated(
    symbol: SymbolSlot,
    buyer: Party,
    (before, after): (Quantity, Quantity),
    float: Quantity,
    conduct: &Conduct,
    findings: &mut Vec<Finding>,
) {
    let level = conduct.concentration.float_warn;
    let reached = |holding: Quantity| float.0 > 0 && level.is_reached(holding.0, float.0);
    if reached(after) && !reached(before) {
        let allowed = u128::from(float.0) * u128::from(level.0);
        let allowed = allowed.div_ceil(u128::from(rules::Ratio::ONE));
        findings.push(Finding {
            kind: AlertKind::Concentration,
            account: buyer.account,
            related: None,
            symbol: Some(symbol),
            observed: after.0,
            allowed: allowed.try_into().unwrap_or(u64::MAX),
        });
    }
}
