//! Check 2: does a kill switch stop it.

use super::Ticket;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{AccountId, KillMode, KillScope, RejectReason, Side, SymbolId, Table, TraderId};

/// Most switches that may be on at a time.
const SWITCHES_MAX: usize = 4_096;

/// The switches that are on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    on: BTreeMap<KillScope, KillMode>,
    /// How many of each kind: most orders meet none, and need no look-up to know.
    by_kind: [u32; 5],
}

fn kind(scope: KillScope) -> usize {
    match scope {
        KillScope::Firm => 0,
        KillScope::Account(_) => 1,
        KillScope::Trader(_) => 2,
        KillScope::Symbol(_) => 3,
        KillScope::Side(_) => 4,
    }
}

impl Switches {
    /// Turns a switch; one that is off is forgotten.
    ///
    /// # Errors
    /// [`RejectReason::Full`] when too many are on. The firm's switch and the sides' always find room.
    pub fn turn(&mut self, scope: KillScope, mode: KillMode) -> Result<(), RejectReason> {
        if mode == KillMode::Off {
            if self.on.remove(&scope).is_some() {
                self.by_kind[kind(scope)] -= 1;
            }
            return Ok(());
        }
        let has_room = self.on.len() < SWITCHES_MAX || self.on.contains_key(&scope);
        let is_wide = matches!(scope, KillScope::Firm | KillScope::Side(_));
        if !has_room && !is_wide {
            return Err(RejectReason::Full {
                table: Table::KillSwitches,
                max: SWITCHES_MAX as u64,
            });
        }
        if self.on.insert(scope, mode).is_none() {
            self.by_kind[kind(scope)] += 1;
        }
        Ok(())
    }

    /// What is on.
    pub fn on(&self) -> impl Iterator<Item = (KillScope, KillMode)> + '_ {
        self.on.iter().map(|(scope, mode)| (*scope, *mode))
    }

    /// The widest switch that stops an order.
    #[must_use]
    pub fn stops(
        &self,
        account: AccountId,
        trader: TraderId,
        symbol: SymbolId,
        side: Side,
    ) -> Option<KillScope> {
        if self.on.is_empty() {
            return None;
        }
        [
            KillScope::Firm,
            KillScope::Account(account),
            KillScope::Trader(trader),
            KillScope::Symbol(symbol),
            KillScope::Side(side),
        ]
        .into_iter()
        .filter(|scope| self.by_kind[kind(*scope)] > 0)
        .find(|scope| match self.on.get(scope) {
            None | Some(KillMode::Off) => false,
            // A sell closes: whoever holds nothing cannot sell.
            Some(KillMode::CloseOnly) => side == Side::Buy,
            Some(KillMode::RejectNew | KillMode::CancelAndReject) => true,
        })
    }
}

pub(super) fn check(ticket: &Ticket<'_>) -> Result<(), RejectReason> {
    let (account, trader) = (ticket.account, ticket.trader);
    let side = ticket.ask.side;
    match ticket
        .switches
        .stops(account, trader, ticket.symbol(), side)
    {
        Some(scope) => Err(RejectReason::KillSwitchOn { scope }),
        None => Ok(()),
    }
}
