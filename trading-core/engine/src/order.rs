//! An order as the engine remembers it, from acceptance to the end of the day.

use serde::{Deserialize, Serialize};
use types::{
    AccountId, ClOrdId, OrderId, OrderState, OrderView, Price, Quantity, SelfTradePrevention,
    SessionId, Side, SymbolId,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The id it goes by now; earlier ones still find it.
    pub cl_ord_id: ClOrdId,
    /// Who entered it, and hears of it.
    pub session: SessionId,
    pub account: AccountId,
    pub symbol: SymbolId,
    pub side: Side,
    /// The worst price it takes: its limit, or for a market order the day's limit.
    pub price: Price,
    pub quantity: Quantity,
    pub filled: Quantity,
    pub state: OrderState,
    pub self_trade_prevention: SelfTradePrevention,
}

impl Order {
    pub(crate) fn is_open(&self) -> bool {
        self.state == OrderState::Open
    }

    /// Shares that may still trade.
    pub(crate) fn remaining(&self) -> Quantity {
        if self.is_open() {
            Quantity(self.quantity.0 - self.filled.0)
        } else {
            Quantity(0)
        }
    }

    pub(crate) fn view(&self, order_id: OrderId) -> OrderView {
        OrderView {
            cl_ord_id: self.cl_ord_id,
            order_id,
            account: self.account,
            symbol: self.symbol,
            side: self.side,
            state: self.state,
            quantity: self.quantity,
            filled: self.filled,
            remaining: self.remaining(),
        }
    }
}

/// All orders, by number: the shard counts from 1 without gaps, so a list is the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders(Vec<Order>);

impl Orders {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The number that the next order gets.
    pub(crate) fn next_id(&self) -> OrderId {
        OrderId(self.0.len() as u64 + 1)
    }

    pub(crate) fn push(&mut self, order: Order) {
        self.0.push(order);
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&Order> {
        self.0.get(position(id)?)
    }

    /// An order whose number the engine itself wrote down.
    pub(crate) fn known(&self, id: OrderId) -> &Order {
        self.get(id).expect(NEVER_FORGOTTEN)
    }

    pub(crate) fn known_mut(&mut self, id: OrderId) -> &mut Order {
        let place = position(id).and_then(|place| self.0.get_mut(place));
        place.expect(NEVER_FORGOTTEN)
    }
}

/// Going on with an order that is not there would be going on with a wrong state.
const NEVER_FORGOTTEN: &str = "an order that was accepted is kept";

fn position(id: OrderId) -> Option<usize> {
    usize::try_from(id.0).ok()?.checked_sub(1)
}
