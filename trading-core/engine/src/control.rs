//! Control records: reference data, and the lease on taking a replica out of service.
//!
//! Each is idempotent. The lease's time is the log's: the leader's clock as the batch carries it.

use crate::account::{Account, Position};
use crate::state::{Listing, bounded};
use crate::{State, SymbolRules};
use book::NaiveBook;
use types::{
    AccountId, Control, ControlOutcome, MaintenanceLease, Money, Price, Quantity, RejectReason,
    ReplicaId, SymbolId, Table, Unexecuted, UnixMicros,
};

impl State {
    pub(crate) fn control(&mut self, control: &Control) -> ControlOutcome {
        let result = match control {
            Control::DefineSymbol(definition) => self.define_symbol(
                definition.symbol,
                SymbolRules {
                    tick: definition.tick,
                    lot: definition.lot,
                    limit_down: definition.limit_down,
                    limit_up: definition.limit_up,
                },
            ),
            Control::OpenAccount {
                account,
                cash,
                positions,
            } => self.open(*account, *cash, positions),
            Control::AcquireMaintenance {
                replica,
                holder,
                ttl_ms,
            } => self.acquire_maintenance(*replica, holder, *ttl_ms),
            Control::ReleaseMaintenance { holder } => {
                self.maintenance.take_if(|lease| lease.holder == *holder);
                Ok(ControlOutcome::Done)
            }
            _ => Err(RejectReason::NotExecuted {
                what: Unexecuted::ControlRecord,
            }),
        };
        result.unwrap_or_else(|reason| {
            self.counters.refused += 1;
            ControlOutcome::Refused(reason)
        })
    }

    fn define_symbol(
        &mut self,
        symbol: SymbolId,
        rules: SymbolRules,
    ) -> Result<ControlOutcome, RejectReason> {
        if !self.are_sound(&rules) {
            return Err(RejectReason::SymbolRules { symbol });
        }
        if let Some(listing) = self.symbols.get_mut(&symbol) {
            listing.rules = rules;
            return Ok(ControlOutcome::Done);
        }
        let max = self.limits.symbols_max;
        bounded(Table::Symbols, self.symbols.len(), max)?;
        let book = NaiveBook::default();
        self.symbols.insert(symbol, Listing { rules, book });
        self.counters.symbols += 1;
        Ok(ControlOutcome::Done)
    }

    fn are_sound(&self, rules: &SymbolRules) -> bool {
        let on_tick = |price: Price| price.0 % rules.tick.0 == 0;
        let largest = Quantity(self.limits.quantity_max);
        rules.tick.0 > 0
            && rules.lot.0 > 0
            && rules.limit_down.0 > 0
            && rules.limit_down <= rules.limit_up
            && on_tick(rules.limit_down)
            && on_tick(rules.limit_up)
            && rules.limit_up.times(largest).is_some()
    }

    fn open(
        &mut self,
        account: AccountId,
        cash: Money,
        positions: &[(SymbolId, Quantity)],
    ) -> Result<ControlOutcome, RejectReason> {
        if self.accounts.contains_key(&account) {
            return Ok(ControlOutcome::Done);
        }
        let unsound = RejectReason::AccountRules { account };
        if cash.0 < 0 {
            return Err(unsound);
        }
        // No account can ever hold more than all hold together, so these sums bound all arithmetic.
        let mut totals = self.totals.clone();
        totals.cash = totals.cash.checked_add(cash).ok_or(unsound)?;
        let mut opened = Account {
            cash,
            ..Account::default()
        };
        for (symbol, held) in positions {
            let position = Position {
                held: *held,
                frozen: Quantity(0),
            };
            let named_twice = opened.positions.insert(*symbol, position).is_some();
            if named_twice || !self.symbols.contains_key(symbol) {
                return Err(unsound);
            }
            let total = totals.shares.entry(*symbol).or_default();
            total.0 = total.0.checked_add(held.0).ok_or(unsound)?;
        }
        let max = self.limits.accounts_max;
        bounded(Table::Accounts, self.accounts.len(), max)?;
        self.accounts.insert(account, opened);
        self.totals = totals;
        self.counters.accounts += 1;
        Ok(ControlOutcome::Done)
    }

    fn acquire_maintenance(
        &mut self,
        replica: ReplicaId,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<ControlOutcome, RejectReason> {
        let holder_length_max = self.limits.holder_length_max;
        let ttl_ms_max = self.limits.maintenance_ttl_ms_max;
        let holder_fits = (1..=holder_length_max as usize).contains(&holder.len());
        if !holder_fits || !(1..=ttl_ms_max).contains(&ttl_ms) {
            return Err(RejectReason::MaintenanceRules {
                holder_length: u32::try_from(holder.len()).unwrap_or(u32::MAX),
                ttl_ms,
                holder_length_max,
                ttl_ms_max,
            });
        }
        // The same holder may ask again, for a longer time, but not for a second replica.
        if let Some(lease) = &self.maintenance
            && (lease.holder != holder || lease.replica != replica)
        {
            return Ok(ControlOutcome::MaintenanceHeld(lease.clone()));
        }
        let lease = MaintenanceLease {
            replica,
            holder: holder.to_owned(),
            until: self.after(ttl_ms),
        };
        self.maintenance = Some(lease.clone());
        Ok(ControlOutcome::MaintenanceGranted(lease))
    }

    fn after(&self, ms: u32) -> UnixMicros {
        let now = self.context.leader_time.0;
        UnixMicros(now.saturating_add(u64::from(ms) * 1_000))
    }

    /// Ends the lease when its time is over. An end further away than any lease may last shows that
    /// the leader that granted it had a clock far ahead of today's: it ends as well, so that one bad
    /// clock cannot block maintenance for years.
    pub(crate) fn end_expired_maintenance(&mut self) {
        let now = self.context.leader_time;
        let latest = self.after(self.limits.maintenance_ttl_ms_max);
        self.maintenance
            .take_if(|lease| lease.until <= now || lease.until > latest);
    }
}
