//! What surveillance is told, and what it finds: an alert is an event of the command that completes it.

use crate::Shard;
use crate::listing::MarketBook;
use surveillance::{AccountSlot, Act, Party, SymbolSlot};
use types::{Alert, Command, Event, Price, Quantity, Side};

impl<B: MarketBook> Shard<B> {
    /// Tells surveillance what happened. Without rules there are no levels, and nothing to watch.
    pub(crate) fn watch(&mut self, act: Act) {
        let facts = &mut self.facts;
        if let Some(conduct) = facts.risk.conduct() {
            let time = facts.context.leader_time;
            (facts.surveillance).observe(time, act, conduct, &mut self.findings);
        }
    }

    /// An order was accepted.
    pub(crate) fn count_order(&mut self, account: u32) {
        self.facts.risk.account_mut(account).orders += 1;
        let account = AccountSlot(account);
        self.watch(Act::Entered { account });
    }

    /// An order is taken back at its owner's request.
    pub(crate) fn count_cancel(&mut self, row: u32) {
        let order = self.orders.at(row);
        let (account, entered) = (order.account, order.entered);
        self.facts.risk.account_mut(account).cancels += 1;
        let account = AccountSlot(account);
        self.watch(Act::Cancelled { account, entered });
    }

    /// Two orders traded; `taker` is the side that came in, none in an auction.
    pub(crate) fn watch_trade(
        &mut self,
        rows: [u32; 2],
        price: Price,
        quantity: Quantity,
        taker: Option<Side>,
    ) {
        if self.facts.risk.conduct().is_none() {
            return;
        }
        let party = |row: u32| {
            let order = self.orders.at(row);
            Party {
                account: AccountSlot(order.account),
                holding: self.accounts.position(order.position).held,
            }
        };
        let (one, other) = (party(rows[0]), party(rows[1]));
        let first = self.orders.at(rows[0]);
        let (buyer, seller) = match first.side {
            Side::Buy => (one, other),
            Side::Sell => (other, one),
        };
        let float = self.listing(first.symbol).definition.float;
        self.watch(Act::Traded {
            symbol: SymbolSlot(first.symbol),
            price,
            quantity,
            buyer,
            seller,
            taker,
            float,
        });
    }

    /// An order met its own account and gives way.
    pub(crate) fn watch_self_trade(&mut self, row: u32) {
        let order = self.orders.at(row);
        let (account, symbol) = (AccountSlot(order.account), SymbolSlot(order.symbol));
        self.watch(Act::SelfTradePrevented { account, symbol });
    }

    /// Turns what was found by a command into its last events.
    pub(crate) fn raise_alerts(&mut self, command: &Command, events: &mut Vec<Event>) {
        if self.findings.is_empty() {
            return;
        }
        let session = match command {
            Command::Client(command) => Some(command.session),
            _ => None,
        };
        let findings = std::mem::take(&mut self.findings);
        let name = |slot: AccountSlot| self.accounts.at(slot.0).id;
        for finding in &findings {
            let symbol = finding
                .symbol
                .map(|slot| self.listing(slot.0).definition.symbol);
            events.push(Event::Alert(Alert {
                kind: finding.kind,
                account: name(finding.account),
                related: finding.related.map(name),
                session,
                symbol,
                observed: finding.observed,
                allowed: finding.allowed,
            }));
        }
        self.findings = findings;
        self.findings.clear();
    }
}
