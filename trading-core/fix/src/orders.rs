//! What the gateway remembers of orders: just enough to tell in FIX what became of them.
//!
//! The core's messages say what happened; FIX wants symbol, side, quantities and average price with
//! each. They are folded here from the requests and the messages, so that nothing has to be asked.

use crate::told::Happened;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use types::{
    ClOrdId, NewOrder, OrderId, OrderKind, OrderView, Price, Quantity, SelfTradePrevention, Side,
    SymbolId, TimeInForce,
};

/// Orders that are no longer open and still remembered, for what is asked late.
const CLOSED_MAX: usize = 4_096;

/// What a counterparty asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entered {
    /// A new order.
    New(NewOrder),
    /// Cancel an order.
    Cancel {
        /// The request's own id.
        id: ClOrdId,
        /// The order.
        original: ClOrdId,
    },
    /// Change an order.
    Replace {
        /// The order.
        original: ClOrdId,
        /// Its new id.
        replacement: ClOrdId,
        /// Its new price.
        price: Price,
        /// Its new total quantity.
        quantity: Quantity,
    },
    /// Cancel all orders, or all of one symbol.
    MassCancel {
        /// The request's own id.
        id: ClOrdId,
        /// Only this symbol.
        symbol: Option<SymbolId>,
    },
    /// Ask what became of an order.
    Status {
        /// The order.
        original: ClOrdId,
        /// The request's own id, to be told with the answer.
        request_id: Option<String>,
    },
    /// What is asked first when a request may have taken effect before.
    LookUp(Box<Entered>),
    /// What is asked when the core tells of an order that is not known here.
    Learn {
        /// The order.
        order: ClOrdId,
    },
}

impl Entered {
    /// The id that the request is known by.
    #[must_use]
    pub fn id(&self) -> ClOrdId {
        match self {
            Self::New(new) => new.cl_ord_id,
            Self::Cancel { id, .. } | Self::MassCancel { id, .. } => *id,
            Self::Replace { replacement, .. } => *replacement,
            Self::Status { original, .. } => *original,
            Self::Learn { order } => *order,
            Self::LookUp(entered) => entered.id(),
        }
    }
}

/// Where an order is, as far as the gateway was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Sent on, not answered.
    Pending,
    /// Open.
    Open,
    /// All traded.
    Filled,
    /// The rest is gone.
    Cancelled,
    /// The day it stood for is over.
    Expired,
    /// Never took effect.
    Rejected,
}

/// An order as it is told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The counterparty's id.
    pub cl_ord_id: ClOrdId,
    /// The shard's id, once it is known.
    pub order_id: Option<OrderId>,
    /// Of what.
    pub symbol: SymbolId,
    /// Buy or sell.
    pub side: Side,
    /// Shares asked for.
    pub quantity: Quantity,
    /// What price it takes; absent when the order was learned of by a status answer.
    pub kind: Option<OrderKind>,
    /// How long it stands.
    pub time_in_force: TimeInForce,
    /// Shares traded.
    pub filled: Quantity,
    /// Shares whose price was told, and what they cost in all, in 1/10,000 yuan.
    pub priced: (u64, u128),
    /// Where it is.
    pub stage: Stage,
}

impl Order {
    /// A new order on its way.
    #[must_use]
    pub fn new(new: &NewOrder) -> Self {
        Self {
            cl_ord_id: new.cl_ord_id,
            order_id: None,
            symbol: new.symbol,
            side: new.side,
            quantity: new.quantity,
            kind: Some(new.kind),
            time_in_force: new.time_in_force,
            filled: Quantity(0),
            priced: (0, 0),
            stage: Stage::Pending,
        }
    }

    /// An order that is only known by a status answer.
    #[must_use]
    pub fn seen(view: &OrderView) -> Self {
        let stage = match view.state {
            types::OrderState::Open => Stage::Open,
            types::OrderState::Filled => Stage::Filled,
            types::OrderState::Cancelled => Stage::Cancelled,
            types::OrderState::Rejected => Stage::Rejected,
        };
        Self {
            cl_ord_id: view.cl_ord_id,
            order_id: Some(view.order_id),
            symbol: view.symbol,
            side: view.side,
            quantity: view.quantity,
            kind: None,
            time_in_force: TimeInForce::Day,
            filled: view.filled,
            priced: (0, 0),
            stage,
        }
    }

    /// Shares still open.
    #[must_use]
    pub fn leaves(&self) -> Quantity {
        match self.stage {
            Stage::Pending | Stage::Open => Quantity(self.quantity.0.saturating_sub(self.filled.0)),
            _ => Quantity(0),
        }
    }

    /// The average price of the fills that were told, rounded down; zero before the first.
    #[must_use]
    pub fn average_price(&self) -> Price {
        let (shares, value) = self.priced;
        let average = value.checked_div(u128::from(shares)).unwrap_or(0);
        Price(i64::try_from(average).unwrap_or(i64::MAX))
    }

    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Pending | Stage::Open)
    }
}

/// A session's orders by the id that each has now.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    known: BTreeMap<ClOrdId, Order>,
    closed: VecDeque<ClOrdId>,
}

impl Orders {
    /// Takes the orders of a checkpoint.
    pub fn set(&mut self, orders: &[Order]) {
        self.known = orders
            .iter()
            .map(|order| (order.cl_ord_id, order.clone()))
            .collect();
        self.closed.clear();
    }

    /// The orders that are still open.
    #[must_use]
    pub fn open(&self) -> Vec<Order> {
        let open = self.known.values().filter(|order| order.is_open());
        open.cloned().collect()
    }

    /// An order.
    #[must_use]
    pub fn get(&self, id: &ClOrdId) -> Option<&Order> {
        self.known.get(id)
    }

    /// Takes in what is asked for.
    pub fn entered(&mut self, entered: &Entered) {
        match entered {
            // An id that is used already is the core's to refuse; its order stays what it is.
            Entered::New(new) => {
                self.known
                    .entry(new.cl_ord_id)
                    .or_insert_with(|| Order::new(new));
            }
            Entered::LookUp(entered) => self.entered(entered),
            _ => {}
        }
    }

    /// Forgets an order that never reached the core.
    pub fn forget(&mut self, id: &ClOrdId) {
        if self
            .known
            .get(id)
            .is_some_and(|order| order.stage == Stage::Pending)
        {
            self.known.remove(id);
        }
    }

    /// Takes an order that was learned of; one that was only on its way is what it says now.
    pub fn learn(&mut self, view: &OrderView) {
        let order = self
            .known
            .entry(view.cl_ord_id)
            .or_insert_with(|| Order::seen(view));
        if order.stage == Stage::Pending {
            let seen = Order::seen(view);
            order.order_id = seen.order_id;
            order.filled = seen.filled;
            order.stage = seen.stage;
        }
    }

    /// Takes in what happened, `answered` being the request that it answers; gives back the order
    /// as it is now.
    pub fn happened(&mut self, happened: &Happened, answered: Option<&Entered>) -> Option<Order> {
        let (id, stage) = match happened {
            Happened::Accepted { cl_ord_id, .. } => (*cl_ord_id, Stage::Open),
            Happened::Rejected { .. } => {
                let Some(Entered::New(new)) = answered else {
                    return None;
                };
                // A refused duplicate must not close the order that has the id.
                let is_of_this_request = self
                    .known
                    .get(&new.cl_ord_id)
                    .is_some_and(|order| order.stage == Stage::Pending);
                if !is_of_this_request {
                    let mut refused = Order::new(new);
                    refused.stage = Stage::Rejected;
                    return Some(refused);
                }
                (new.cl_ord_id, Stage::Rejected)
            }
            Happened::Filled {
                cl_ord_id,
                remaining,
                ..
            } if remaining.0 > 0 => (*cl_ord_id, Stage::Open),
            Happened::Filled { cl_ord_id, .. } => (*cl_ord_id, Stage::Filled),
            Happened::Cancelled {
                cl_ord_id,
                cause: types::CancelCause::EndOfDay,
                ..
            } => (*cl_ord_id, Stage::Expired),
            Happened::Cancelled { cl_ord_id, .. } => (*cl_ord_id, Stage::Cancelled),
            Happened::Replaced {
                original,
                replacement,
                ..
            } => {
                let mut order = self.known.remove(original)?;
                order.cl_ord_id = *replacement;
                self.known.insert(*replacement, order);
                (*replacement, Stage::Open)
            }
            Happened::Triggered { cl_ord_id, .. } | Happened::Restated { cl_ord_id, .. } => {
                (*cl_ord_id, Stage::Open)
            }
            Happened::MassCancelled { .. } | Happened::Status(_) | Happened::AnswerExpired => {
                return None;
            }
        };
        let order = self.known.get_mut(&id)?;
        order.stage = stage;
        change(order, happened, answered);
        let order = order.clone();
        if !order.is_open() {
            self.close(id);
        }
        Some(order)
    }

    fn close(&mut self, id: ClOrdId) {
        self.closed.push_back(id);
        if self.closed.len() > CLOSED_MAX
            && let Some(oldest) = self.closed.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn change(order: &mut Order, happened: &Happened, answered: Option<&Entered>) {
    match happened {
        Happened::Accepted { order_id, .. } => order.order_id = Some(*order_id),
        Happened::Filled {
            order_id,
            price,
            quantity,
            remaining,
            ..
        } => {
            order.order_id = Some(*order_id);
            order.filled = Quantity(order.quantity.0.saturating_sub(remaining.0));
            let cost = u128::from(price.0.unsigned_abs()) * u128::from(quantity.0);
            order.priced = (order.priced.0 + quantity.0, order.priced.1 + cost);
        }
        Happened::Replaced { remaining, .. } => {
            order.quantity = Quantity(order.filled.0 + remaining.0);
            if let Some(Entered::Replace { price, .. }) = answered {
                order.kind = Some(OrderKind::Limit { price: *price });
            }
        }
        Happened::Restated { price, .. } => {
            order.kind = Some(OrderKind::Limit { price: *price });
        }
        _ => {}
    }
}

/// The request that an order is made with when FIX does not say otherwise.
pub(crate) const SELF_TRADE_DEFAULT: SelfTradePrevention = SelfTradePrevention::CancelNewest;
