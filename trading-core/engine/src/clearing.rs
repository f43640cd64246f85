//! Clearing: what the day's trades make of the balances, reconciled at its end.
//!
//! ```text
//!   each trade ─► tally of its symbol, and of both its accounts: paid, earned, bought, sold
//!   SettleDay  ─► 1 reconcile: settled + earned − paid = cash, settled + bought − sold = held,
//!                 and what all bought is what all sold is what the symbols' tallies say; what is
//!                 paid beyond that is the day's fees
//!                 2 day orders expire (`day.rs`)   3 balances become settled   4 a new day begins
//! ```
//!
//! The tallies are kept from the trades, the balances by the accounts; that the two agree to the last
//! unit is what reconciling shows. When they do not, nothing is settled and the difference is told.

use crate::Shard;
use crate::accounts::{Position, amount};
use crate::listing::MarketBook;
use crate::orders::NONE;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, CancelCause, ControlOutcome, Event, KillMode, KillScope, Money, Price, Quantity,
    RejectReason, Side, SymbolId, TradingDay,
};

/// What one symbol traded on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTally {
    /// Trades.
    pub trades: u64,
    /// Shares that changed hands.
    pub shares: Quantity,
    /// Price × quantity of them all.
    pub turnover: Money,
}

/// A day that is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledDay {
    /// The day.
    pub day: TradingDay,
    /// All symbols together; shares of different symbols are added up.
    pub tally: DayTally,
    /// Orders that expired with it.
    pub expired: u64,
}

/// What the day moved of one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Flow {
    /// The position's row.
    position: u32,
    /// Held before the day's first trade.
    settled: Quantity,
    bought: Quantity,
    sold: Quantity,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clearing {
    /// The running day, by the symbol's row.
    tallies: Vec<DayTally>,
    /// The running day, in the order in which positions were moved first.
    flows: Vec<Flow>,
    settled: Option<SettledDay>,
    /// The day after the settled one, as the calendar knows it.
    trading_day: Option<TradingDay>,
}

impl Clearing {
    /// Shares of a position that were bought on the running day.
    pub(crate) fn bought_today(&self, position: &Position) -> Quantity {
        let flow = self.flows.get(position.flow as usize);
        flow.map_or(Quantity(0), |flow| flow.bought)
    }
}

impl<B: MarketBook> Shard<B> {
    /// The last trading day that was settled; 0 before the first.
    #[must_use]
    pub fn settled_day(&self) -> TradingDay {
        self.facts.settled_day
    }

    /// What the last settled day came to.
    #[must_use]
    pub fn settlement(&self) -> Option<SettledDay> {
        self.facts.clearing.settled
    }

    /// What a symbol has traded since the last day was settled.
    #[must_use]
    pub fn day_tally(&self, symbol: SymbolId) -> DayTally {
        let row = self.listing_row(symbol).map(|row| row as usize);
        let tally = row.and_then(|row| self.facts.clearing.tallies.get(row));
        tally.copied().unwrap_or_default()
    }

    /// Notes a trade of two orders for the day's end; both accounts hold its outcome already.
    pub(crate) fn tally(&mut self, rows: [u32; 2], price: Price, quantity: Quantity) {
        let moved = amount(price, quantity);
        let clearing = &mut self.facts.clearing;
        let symbol = self.orders.at(rows[0]).symbol as usize;
        if clearing.tallies.len() <= symbol {
            clearing.tallies.resize(symbol + 1, DayTally::default());
        }
        let tally = &mut clearing.tallies[symbol];
        tally.trades += 1;
        tally.shares.0 += quantity.0;
        tally.turnover.0 += moved;
        for row in rows {
            let order = self.orders.at(row);
            let account = self.accounts.at_mut(order.account);
            match order.side {
                Side::Buy => account.paid.0 += moved,
                Side::Sell => account.earned.0 += moved,
            }
            let position = self.accounts.position_mut(order.position);
            if position.flow == NONE {
                // Fewer positions than rows of their table, which are counted in 32 bits.
                position.flow = clearing.flows.len() as u32;
                let settled = match order.side {
                    Side::Buy => position.held.0 - quantity.0,
                    Side::Sell => position.held.0 + quantity.0,
                };
                clearing.flows.push(Flow {
                    position: order.position,
                    settled: Quantity(settled),
                    bought: Quantity(0),
                    sold: Quantity(0),
                });
            }
            let flow = &mut clearing.flows[position.flow as usize];
            match order.side {
                Side::Buy => flow.bought.0 += quantity.0,
                Side::Sell => flow.sold.0 += quantity.0,
            }
        }
    }

    /// Lets the balances of a reconciled day be settled, and begins the next.
    pub(crate) fn begin_day(&mut self, settled: SettledDay) {
        for account in self.accounts.rows_mut() {
            account.settled_cash = account.cash;
            account.paid = Money(0);
            account.earned = Money(0);
        }
        for flow in std::mem::take(&mut self.facts.clearing.flows) {
            self.accounts.position_mut(flow.position).flow = NONE;
        }
        self.facts.clearing.tallies.clear();
        self.facts.clearing.settled = Some(settled);
        let calendar = self.facts.risk.rules.as_ref().map(|rules| &rules.calendar);
        let known = calendar.and_then(|calendar| calendar.next_trading_day(settled.day));
        let after = rules::next_day(settled.day).unwrap_or(settled.day);
        let next = known.map_or(after, |(next, _)| next);
        self.facts.clearing.trading_day = Some(next);
        self.facts.risk.begin_day(next);
        self.facts.surveillance.begin_day();
        self.begin_day_of_fees();
    }

    /// Whether every balance is what the trades make of the one before; the sum of the tallies.
    ///
    /// The error is the first account that differs, 0 when only the sums do.
    pub(crate) fn reconcile(&self) -> Result<DayTally, AccountId> {
        let (mut paid, mut earned) = (0_i128, 0_i128);
        for account in self.accounts.rows() {
            let by_trades = i128::from(account.settled_cash.0) + i128::from(account.earned.0)
                - i128::from(account.paid.0);
            if by_trades != i128::from(account.cash.0) {
                return Err(account.id);
            }
            paid += i128::from(account.paid.0);
            earned += i128::from(account.earned.0);
        }
        let clearing = &self.facts.clearing;
        let mut moved = vec![(0_u128, 0_u128); self.listings.len()];
        for flow in &clearing.flows {
            let position = self.accounts.position(flow.position);
            let came = u128::from(flow.settled.0) + u128::from(flow.bought.0);
            if came != u128::from(position.held.0) + u128::from(flow.sold.0) {
                return Err(self.accounts.at(position.account).id);
            }
            let moved = &mut moved[position.symbol as usize];
            moved.0 += u128::from(flow.bought.0);
            moved.1 += u128::from(flow.sold.0);
        }
        let mut sum = DayTally::default();
        for (row, moved) in moved.into_iter().enumerate() {
            let tally = clearing.tallies.get(row).copied().unwrap_or_default();
            let shares = u128::from(tally.shares.0);
            if moved != (shares, shares) {
                return Err(AccountId(0));
            }
            sum.trades += tally.trades;
            sum.shares.0 += tally.shares.0;
            sum.turnover.0 += tally.turnover.0;
        }
        let turnover = i128::from(sum.turnover.0);
        let fees = i128::from(self.facts.fees.today_total().0);
        if paid != turnover + fees || earned != turnover {
            return Err(AccountId(0));
        }
        Ok(sum)
    }

    /// Puts rules in force from this command on, for the day that is not settled yet.
    pub(crate) fn load_rules(&mut self, document: &[u8]) -> Result<ControlOutcome, RejectReason> {
        let unreadable = RejectReason::RulesUnreadable {
            length: document.len() as u64,
        };
        let rules = rules::decode(document).map_err(|_| unreadable)?;
        let today = rules.calendar.moment(self.facts.context.leader_time);
        let day = match self.facts.clearing.trading_day {
            Some(day) => day,
            None => today.map_err(|_| unreadable)?.day,
        };
        self.facts.risk.load(rules, day);
        self.refreeze_fees();
        Ok(ControlOutcome::Done)
    }

    /// Turns a switch; it holds for the very next command. What it takes back goes in any phase.
    pub(crate) fn kill_switch(
        &mut self,
        scope: KillScope,
        mode: KillMode,
        events: &mut Vec<Event>,
    ) -> Result<ControlOutcome, RejectReason> {
        self.facts.risk.switches.turn(scope, mode)?;
        if mode != KillMode::CancelAndReject {
            return Ok(ControlOutcome::Done);
        }
        for row in self.orders.open_rows() {
            let order = self.orders.at(row);
            let session = &self.sessions[order.session as usize];
            let is_stopped = match scope {
                KillScope::Firm => true,
                KillScope::Account(account) => self.accounts.at(order.account).id == account,
                KillScope::Trader(trader) => session.trader == trader,
                KillScope::Symbol(symbol) => self.listing(order.symbol).definition.symbol == symbol,
                KillScope::Side(side) => order.side == side,
            };
            if is_stopped {
                self.expel(row, CancelCause::KillSwitch, events);
            }
        }
        Ok(ControlOutcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryContext, Limits, State};
    use types::{Command, Control};

    fn state() -> State {
        let mut state = State::with_limits(Limits::small());
        let open = Command::Control(Control::OpenAccount {
            account: AccountId(1),
            cash: Money(1_000),
            positions: Vec::new(),
        });
        state.apply(EntryContext::default(), &open, &mut Vec::new());
        state
    }

    #[test]
    fn a_day_whose_balances_differ_is_not_settled() {
        let day = TradingDay(20_261_125);
        let mut state = state();
        state.accounts.at_mut(0).cash.0 -= 1;
        let refused = state.settle_day(day, &mut Vec::new());
        let account = AccountId(1);
        assert_eq!(refused, Err(RejectReason::DayUnreconciled { day, account }));
        assert_eq!(state.settlement(), None);
    }

    #[test]
    fn cash_that_no_trade_tells_of_is_found() {
        let mut state = state();
        let account = state.accounts.at_mut(0);
        account.cash.0 += 1;
        account.earned.0 += 1;
        assert_eq!(state.reconcile(), Err(AccountId(0)));
    }
}
