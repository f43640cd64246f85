//! The tables that the checks look into: one record an account, one a symbol, by the engine's rows.

use super::Switches;
use rules::{Conduct, DayRules, Enforcement, RuleSet, Trading};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use surveillance::TokenBucket;
use types::{
    AccountLimits, OwnerId, Price, Side, SymbolDefinition, SymbolId, TradingDay, UnixMicros,
};

/// What an account asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastAsk {
    pub price: Price,
    pub symbol: SymbolId,
    /// Shares; a larger order than this can count is none that passes the size check.
    pub quantity: u32,
    pub side: Side,
    /// How often it came again.
    pub repeats: u16,
}

impl LastAsk {
    /// Whether another asks for the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Self {
            repeats: 0,
            ..*self
        } == Self {
            repeats: 0,
            ..*other
        }
    }
}

/// What the house has set for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct House {
    limits: AccountLimits,
    /// Symbols that it may not trade.
    restricted: BTreeSet<SymbolId>,
}

/// What the checks remember of an account: as much as one line of the cache takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(64))]
pub struct AccountRisk {
    /// None for most.
    house: Option<Box<House>>,
    /// Orders accepted today.
    pub orders: u32,
    /// Of these, taken back at its request.
    pub cancels: u32,
    pub(crate) bucket: TokenBucket,
    pub(crate) last_ask_at: UnixMicros,
    pub(crate) last_ask: Option<LastAsk>,
}

impl AccountRisk {
    /// The house's limits; none when it has set none.
    #[must_use]
    pub fn limits(&self) -> Option<&AccountLimits> {
        self.house.as_ref().map(|house| &house.limits)
    }

    /// Sets the house's limits.
    pub fn set_limits(&mut self, limits: AccountLimits) {
        self.house.get_or_insert_default().limits = limits;
    }

    /// Whether the account may not trade a symbol.
    #[must_use]
    pub fn restricts(&self, symbol: SymbolId) -> bool {
        let house = self.house.as_ref();
        house.is_some_and(|house| house.restricted.contains(&symbol))
    }

    /// Puts a symbol on the account's list, or takes it off.
    pub fn restrict(&mut self, symbol: SymbolId, is_restricted: bool) {
        let house = self.house.get_or_insert_default();
        if is_restricted {
            house.restricted.insert(symbol);
        } else {
            house.restricted.remove(&symbol);
        }
    }

    /// Forgets the day; limits and lists stay.
    fn begin_day(&mut self) {
        self.orders = 0;
        self.cancels = 0;
        self.last_ask = None;
    }
}

/// What the checks know of a symbol beside its definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolRisk {
    /// Nobody may trade it.
    pub is_restricted: bool,
    /// The rules of its board on this day, once they are loaded.
    pub day: Option<DayRules>,
}

/// All that the checks remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// The rules in force.
    pub(crate) rules: Option<RuleSet>,
    /// All of them are acted on, not only checked; kept apart, see `snapshot.rs`.
    #[serde(skip)]
    pub(crate) is_whole: bool,
    /// The day that they are judged by.
    day: Option<TradingDay>,
    /// Its levels of conduct.
    conduct: Option<Conduct>,
    pub(crate) switches: Switches,
    accounts: Vec<AccountRisk>,
    symbols: Vec<SymbolRisk>,
    definitions: Vec<SymbolDefinition>,
    /// Accounts, by row, of owners that are declared.
    owned: BTreeMap<OwnerId, Vec<u32>>,
    owner_of: BTreeMap<u32, OwnerId>,
}

impl Risk {
    /// Makes the record of an account that is opened now: its row is the next.
    pub(crate) fn open_account(&mut self) {
        self.accounts.push(AccountRisk::default());
    }

    /// Makes the record of a symbol that is listed now: its row is the next.
    pub(crate) fn list(&mut self, definition: &SymbolDefinition) {
        self.symbols.push(SymbolRisk::default());
        self.definitions.push(*definition);
        self.work_out(self.symbols.len() - 1);
    }

    /// A symbol's definition anew.
    pub(crate) fn redefine(&mut self, row: u32, definition: &SymbolDefinition) {
        self.definitions[row as usize] = *definition;
        self.work_out(row as usize);
    }

    pub(crate) fn account_mut(&mut self, row: u32) -> &mut AccountRisk {
        &mut self.accounts[row as usize]
    }

    /// Asks for an account's record.
    #[inline]
    pub(crate) fn prefetch(&self, row: u32) {
        crate::prefetch::prefetch_row(&self.accounts, row as usize);
    }

    pub(crate) fn symbol_mut(&mut self, row: u32) -> &mut SymbolRisk {
        &mut self.symbols[row as usize]
    }

    /// A symbol's rules today, once rules are loaded.
    pub(crate) fn day_rules(&self, row: u32) -> Option<&DayRules> {
        self.symbols[row as usize].day.as_ref()
    }

    /// A symbol's rules today, once rules are loaded of which all are acted on.
    #[inline]
    pub(crate) fn enforced(&self, row: u32) -> Option<&DayRules> {
        if self.is_whole {
            self.day_rules(row)
        } else {
            None
        }
    }

    /// How a symbol trades today, once rules are loaded of which all are acted on; looked for, so for
    /// what is rare.
    pub(crate) fn trading(&self, row: u32) -> Option<&Trading> {
        let definition = &self.definitions[row as usize];
        let rules = self.rules.as_ref().filter(|_| self.is_whole)?;
        let market = rules.market(definition.board, definition.security)?;
        market.trading_on(self.day?)
    }

    /// The parts that a check needs at the same time.
    pub(crate) fn parts(
        &mut self,
        account: u32,
        symbol: u32,
    ) -> (&mut AccountRisk, &SymbolRisk, &Switches, Option<&Conduct>) {
        (
            &mut self.accounts[account as usize],
            &self.symbols[symbol as usize],
            &self.switches,
            self.conduct.as_ref(),
        )
    }

    /// All rules, once they are loaded.
    pub(crate) fn rule_set(&self) -> Option<&RuleSet> {
        self.rules.as_ref()
    }

    /// The levels of conduct that hold.
    pub(crate) fn conduct(&self) -> Option<&Conduct> {
        self.conduct.as_ref()
    }

    /// Notes who stands behind an account.
    pub(crate) fn declare(&mut self, row: u32, owner: OwnerId) {
        if let Some(before) = self.owner_of.remove(&row)
            && let Some(rows) = self.owned.get_mut(&before)
        {
            rows.retain(|other| *other != row);
        }
        if owner != OwnerId(0) {
            self.owner_of.insert(row, owner);
            self.owned.entry(owner).or_default().push(row);
        }
    }

    /// The accounts of an account's owner, itself included; none when nobody is declared.
    pub(crate) fn linked_to(&self, row: u32) -> &[u32] {
        if self.owner_of.is_empty() {
            return &[];
        }
        let rows = self
            .owner_of
            .get(&row)
            .and_then(|owner| self.owned.get(owner));
        rows.map_or(&[], Vec::as_slice)
    }

    /// Puts rules in force for a day.
    pub(crate) fn load(&mut self, rules: RuleSet, day: TradingDay) {
        self.is_whole = rules.enforcement >= Enforcement::Whole;
        self.rules = Some(rules);
        self.go_to(day);
    }

    /// Goes to another day: its rules, and counts from nothing.
    pub(crate) fn begin_day(&mut self, day: TradingDay) {
        self.accounts.iter_mut().for_each(AccountRisk::begin_day);
        self.go_to(day);
    }

    fn go_to(&mut self, day: TradingDay) {
        self.day = Some(day);
        self.conduct = (self.rules.as_ref()).and_then(|rules| rules.conduct_on(day).copied());
        for row in 0..self.symbols.len() {
            self.work_out(row);
        }
    }

    /// Works out what a symbol's rules are today, so that orders only look them up.
    fn work_out(&mut self, row: usize) {
        let definition = &self.definitions[row];
        self.symbols[row].day = (self.rules.as_ref().zip(self.day)).and_then(|(rules, day)| {
            let market = rules.market(definition.board, definition.security)?;
            let (trading, fees) = (market.trading_on(day)?, market.fees_on(day)?);
            Some(DayRules::new(trading, fees, definition.security))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_s_record_is_one_line_of_the_cache() {
        assert_eq!(size_of::<AccountRisk>(), 64);
    }
}
