//! Control records: reference data, and the lease on taking a replica out of service.
//!
//! Each is idempotent. The lease's time is the log's: the leader's clock as the batch carries it.

use crate::Shard;
use crate::listing::{Listing, MarketBook};
use crate::state::bounded;
use crate::transfer::UnderWay;
use surveillance::AccountSlot;
use types::{
    AccountId, AccountLimits, AccountTerms, Control, ControlOutcome, Event, MaintenanceLease,
    Money, Price, Quantity, ReferencePrice, RejectReason, ReplicaId, SymbolDefinition, SymbolId,
    Table, UnixMicros,
};

impl<B: MarketBook> Shard<B> {
    pub(crate) fn control(&mut self, control: &Control, events: &mut Vec<Event>) -> ControlOutcome {
        let result = match control {
            Control::DefineSymbol(definition) => self.define_symbol(*definition, events),
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
                let lease = &mut self.facts.maintenance;
                lease.take_if(|lease| lease.holder == *holder);
                Ok(ControlOutcome::Done)
            }
            Control::SetPhase { scope, phase } => self.set_phase(*scope, *phase, events),
            Control::SetReferencePrice {
                symbol,
                reference,
                price,
            } => self.set_reference_price(*symbol, *reference, *price, events),
            Control::SetAccountTerms { account, terms } => self.set_terms(*account, *terms),
            Control::SettleDay { trading_day } => self.settle_day(*trading_day, events),
            Control::Group(change) => Ok(self.change_group(change)),
            Control::Operation(record) => Ok(self.operation(record)),
            Control::KillSwitch { scope, mode } => self.kill_switch(*scope, *mode, events),
            Control::LoadRules { document } => self.load_rules(document),
            Control::TransferOut {
                transfer,
                account,
                amount,
                to,
            } => self.transfer_out(UnderWay {
                transfer: *transfer,
                account: *account,
                amount: *amount,
                to: *to,
            }),
            Control::TransferIn {
                transfer,
                account,
                amount,
                from,
            } => self.transfer_in(*transfer, *account, *amount, *from),
            Control::TransferDone { transfer } => Ok(self.transfer_done(*transfer)),
            Control::SetAccountLimits { account, limits } => self.set_limits(*account, *limits),
            Control::RestrictSymbol {
                symbol,
                account,
                is_restricted,
            } => self.restrict(*symbol, *account, *is_restricted),
        };
        result.unwrap_or_else(|reason| {
            self.facts.counters.refused += 1;
            ControlOutcome::Refused(reason)
        })
    }

    fn define_symbol(
        &mut self,
        definition: SymbolDefinition,
        events: &mut Vec<Event>,
    ) -> Result<ControlOutcome, RejectReason> {
        let symbol = definition.symbol;
        if !self.are_sound(&definition) {
            return Err(RejectReason::SymbolRules { symbol });
        }
        if let Some(row) = self.listing_row(symbol) {
            let listing = self.listing_mut(row);
            listing.definition = definition;
            listing.today.is_unlimited = false;
            listing.book.symbol_changed(&definition);
            self.facts.risk.redefine(row, &definition);
            self.apply_new_limits(row, events);
            return Ok(ControlOutcome::Done);
        }
        let max = self.facts.limits.symbols_max;
        bounded(Table::Symbols, self.listings.len() as u64, max)?;
        let phase = self.facts.phases[definition.board as usize];
        self.listing_of
            .insert(symbol.0.into(), self.listings.len() as u32);
        self.listings.push(Listing::new(definition, phase));
        self.facts.risk.list(&definition);
        self.facts.counters.symbols += 1;
        Ok(ControlOutcome::Done)
    }

    pub(crate) fn are_sound(&self, rules: &SymbolDefinition) -> bool {
        let on_tick = |price: Price| price.0 % rules.tick.0 == 0;
        let largest = Quantity(self.facts.limits.quantity_max);
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
        if self.accounts.row_of(account).is_some() {
            return Ok(ControlOutcome::Done);
        }
        let unsound = RejectReason::AccountRules { account };
        if cash.0 < 0 {
            return Err(unsound);
        }
        // No account can ever hold more than all hold together, so these sums bound all arithmetic.
        let total_cash = self.facts.totals.cash.checked_add(cash).ok_or(unsound)?;
        let mut totals = Vec::with_capacity(positions.len());
        for (place, (symbol, held)) in positions.iter().enumerate() {
            let named_before = positions[..place].iter().any(|(other, _)| other == symbol);
            if named_before || self.listing_row(*symbol).is_none() {
                return Err(unsound);
            }
            let before = self.facts.totals.shares.get(symbol).copied();
            let total = before.unwrap_or_default().0.checked_add(held.0);
            let total = total.filter(|total| i64::try_from(*total).is_ok());
            totals.push((*symbol, Quantity(total.ok_or(unsound)?)));
        }
        let limits = &self.facts.limits;
        bounded(
            Table::Accounts,
            self.accounts.count() as u64,
            limits.accounts_max,
        )?;
        let rows = (self.accounts.positions_count() + positions.len()) as u64;
        bounded(Table::Positions, rows, limits.positions_max + 1)?;
        let row = self.accounts.open(account, cash);
        self.client_ids.open_account();
        self.facts.risk.open_account();
        for (symbol, held) in positions {
            let listing = self.listing_row(*symbol).ok_or(unsound)?;
            let position = self.accounts.position_row_or_new(row, listing);
            self.accounts.position_mut(position).held = *held;
        }
        self.facts.totals.cash = total_cash;
        self.facts.totals.shares.extend(totals);
        self.facts.counters.accounts += 1;
        Ok(ControlOutcome::Done)
    }

    fn set_terms(
        &mut self,
        account: AccountId,
        terms: AccountTerms,
    ) -> Result<ControlOutcome, RejectReason> {
        let row = self.accounts.row_of(account);
        let row = row.ok_or(RejectReason::UnknownAccount { account })?;
        self.accounts.at_mut(row).terms = terms;
        self.facts.risk.declare(row, terms.owner);
        self.facts
            .surveillance
            .declare(AccountSlot(row), terms.owner);
        Ok(ControlOutcome::Done)
    }

    fn set_limits(
        &mut self,
        account: AccountId,
        limits: AccountLimits,
    ) -> Result<ControlOutcome, RejectReason> {
        let row = self.accounts.row_of(account);
        let row = row.ok_or(RejectReason::UnknownAccount { account })?;
        self.facts.risk.account_mut(row).set_limits(limits);
        Ok(ControlOutcome::Done)
    }

    fn restrict(
        &mut self,
        symbol: SymbolId,
        account: Option<AccountId>,
        is_restricted: bool,
    ) -> Result<ControlOutcome, RejectReason> {
        let listing = self.known_listing(symbol)?;
        let Some(account) = account else {
            self.facts.risk.symbol_mut(listing).is_restricted = is_restricted;
            return Ok(ControlOutcome::Done);
        };
        let row = self.accounts.row_of(account);
        let row = row.ok_or(RejectReason::UnknownAccount { account })?;
        (self.facts.risk.account_mut(row)).restrict(symbol, is_restricted);
        Ok(ControlOutcome::Done)
    }

    fn set_reference_price(
        &mut self,
        symbol: SymbolId,
        reference: ReferencePrice,
        price: Price,
        events: &mut Vec<Event>,
    ) -> Result<ControlOutcome, RejectReason> {
        let row = self.known_listing(symbol)?;
        let listing = self.listing_mut(row);
        match reference {
            ReferencePrice::Market => {
                listing.market = Some(price);
                return Ok(ControlOutcome::Done);
            }
            ReferencePrice::PreviousClose => listing.previous_close = Some(price),
            ReferencePrice::Issue => {
                listing.previous_close = Some(price);
                listing.today.listed_days = 1;
            }
        }
        self.reckon_limits_anew(row, events);
        Ok(ControlOutcome::Done)
    }

    fn acquire_maintenance(
        &mut self,
        replica: ReplicaId,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<ControlOutcome, RejectReason> {
        let holder_length_max = self.facts.limits.holder_length_max;
        let ttl_ms_max = self.facts.limits.maintenance_ttl_ms_max;
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
        if let Some(lease) = &self.facts.maintenance
            && (lease.holder != holder || lease.replica != replica)
        {
            return Ok(ControlOutcome::MaintenanceHeld(lease.clone()));
        }
        let lease = MaintenanceLease {
            replica,
            holder: holder.to_owned(),
            until: self.after(ttl_ms),
        };
        self.facts.maintenance = Some(lease.clone());
        Ok(ControlOutcome::MaintenanceGranted(lease))
    }

    fn after(&self, ms: u32) -> UnixMicros {
        let now = self.facts.context.leader_time.0;
        UnixMicros(now.saturating_add(u64::from(ms) * 1_000))
    }

    /// Ends the lease when its time is over. An end further away than any lease may last shows that
    /// the leader that granted it had a clock far ahead of today's: it ends as well, so that one bad
    /// clock cannot block maintenance for years.
    pub(crate) fn end_expired_maintenance(&mut self) {
        if self.facts.maintenance.is_none() {
            return;
        }
        let now = self.facts.context.leader_time;
        let latest = self.after(self.facts.limits.maintenance_ttl_ms_max);
        let lease = &mut self.facts.maintenance;
        lease.take_if(|lease| lease.until <= now || lease.until > latest);
    }
}
