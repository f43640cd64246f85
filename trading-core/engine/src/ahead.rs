//! Looking ahead: what a batch's later commands will touch is asked for while earlier ones apply.
//!
//! ```text
//!   applied now ◄─ + 1 ── + 2 ───── + 4 ────── + 7 ────── + 10 ─────── + 13 ────── + 16 ────
//!                  its    its       order's    position,  account,     the         head of
//!   asks for       node   position, row, or    nodes      its ids,     session's   the session's
//!                  in the place in  the one    of ids     positions'   row         bucket
//!                  book   the book  it meets              head, next message
//! ```
//! A request's rows lie apart, and where one is to be found stands in the one before, so that one
//! request alone waits for each in turn. Of a batch all requests are known: each is looked at in steps,
//! some commands apart, and by the time of a step what the last one asked for is there. So the waits
//! of a dozen requests pass at the same time.
//!
//! Nothing here decides anything: it reads the state as it is now, which may be another when the
//! command's turn comes, and only asks for memory. With or without it every event and hash is the same.

use crate::Shard;
use crate::client_ids::Place;
use crate::listing::MarketBook;
use crate::orders::NONE;
use crate::prefetch::prefetch_row;
use crate::state::session_hash;
use types::{ClOrdId, ClientCommand, Command, OrderId, OrderKind, Price, Request};

const HEAD: usize = 16;
const SESSION: usize = 13;
const TABLES: usize = 10;
const ROWS: usize = 7;
const ORDER: usize = 4;
const AROUND: usize = 2;
const NODE: usize = 1;
/// A power of two above the farthest step that is remembered.
const KEPT: usize = 16;

/// What the steps before have found out about a command.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The account's row; [`NONE`] for a command that is not looked at.
    account: u32,
    /// The symbol's row.
    symbol: u32,
    /// The order that it is about, or that it would trade with first.
    order_id: OrderId,
    /// Its row.
    order: u32,
}

const NOTHING: Seen = Seen {
    account: NONE,
    symbol: NONE,
    order_id: OrderId(0),
    order: NONE,
};

/// One look-ahead over the commands of a batch.
#[derive(Clone, Debug)]
pub struct Ahead {
    seen: [Seen; KEPT],
    at: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            seen: [NOTHING; KEPT],
            at: 0,
        }
    }
}

impl Ahead {
    /// Looks at the commands that come: `next` begins with the one to apply now and goes on to the
    /// batch's end. Called once before each [`Shard::apply`] of a batch.
    #[inline]
    pub fn look<B: MarketBook>(&mut self, shard: &Shard<B>, next: &[Command]) {
        self.at += 1;
        let at = self.at;
        if let Some(Command::Client(command)) = next.get(HEAD) {
            shard.session_of.prefetch(session_hash(command.session));
        }
        if let Some(Command::Client(command)) = next.get(SESSION)
            && let Some(row) = shard.session_of.first(session_hash(command.session))
        {
            prefetch_row(&shard.sessions, row as usize);
        }
        if let Some(command) = next.get(TABLES) {
            let seen = &mut self.seen[(at + TABLES) % KEPT];
            *seen = NOTHING;
            if let Command::Client(command) = command {
                shard.ask_for_tables(command, seen);
            }
        }
        if let Some(Command::Client(command)) = next.get(ROWS) {
            shard.ask_for_rows(command, &mut self.seen[(at + ROWS) % KEPT]);
        }
        if let Some(Command::Client(command)) = next.get(ORDER) {
            shard.ask_for_order(command, &mut self.seen[(at + ORDER) % KEPT]);
        }
        if next.len() > AROUND {
            shard.ask_around(&mut self.seen[(at + AROUND) % KEPT]);
        }
        if next.len() > NODE {
            shard.ask_for_node(&self.seen[(at + NODE) % KEPT]);
        }
    }
}

/// The id of the order that a request is about.
fn original(command: &ClientCommand) -> Option<ClOrdId> {
    match command.request {
        Request::Cancel { original }
        | Request::Replace { original, .. }
        | Request::Status { original } => Some(original),
        Request::New(_) | Request::MassCancel { .. } => None,
    }
}

impl<B: MarketBook> Shard<B> {
    /// The session's row is there.
    fn ask_for_tables(&self, command: &ClientCommand, seen: &mut Seen) {
        let Some(row) = self.session_row(command.session) else {
            return;
        };
        let session = &self.sessions[row as usize];
        let account = session.account;
        seen.account = account;
        self.accounts.prefetch(account);
        self.facts.risk.prefetch(account);
        self.client_ids.prefetch(account);
        session.prefetch_message(&self.messages);
        match &command.request {
            Request::New(new) => {
                let Some(symbol) = self.listing_row(new.symbol) else {
                    return;
                };
                seen.symbol = symbol;
                self.accounts.prefetch_position_head(account, symbol);
                let listing = self.listing(symbol);
                let price = match new.kind {
                    OrderKind::Limit { price } => price,
                    OrderKind::Market { .. } => listing.worst_price(new.side),
                    OrderKind::Stop { .. } | OrderKind::StopLimit { .. } => Price(0),
                };
                if let Some(met) = listing.book.first_met(new.side, price) {
                    seen.order_id = met;
                    self.orders.prefetch_head(met);
                }
            }
            Request::Cancel { .. }
            | Request::Replace { .. }
            | Request::MassCancel { .. }
            | Request::Status { .. } => {}
        }
    }

    /// The heads of buckets and the names that the account used last are there.
    fn ask_for_rows(&self, command: &ClientCommand, seen: &mut Seen) {
        if seen.account == NONE {
            return;
        }
        match &command.request {
            Request::New(new) => {
                let position = self.accounts.likely_position(seen.account, seen.symbol);
                if let Some(row) = position {
                    self.accounts.prefetch_position(row);
                }
                self.client_ids.prefetch_node(seen.account, new.cl_ord_id);
                self.ask_for_order_row(seen);
            }
            Request::Replace { replacement, .. } => {
                self.client_ids.prefetch_node(seen.account, *replacement);
            }
            Request::Cancel { .. } | Request::MassCancel { .. } | Request::Status { .. } => {}
        }
        if let Some(original) = original(command) {
            self.client_ids.prefetch_node(seen.account, original);
        }
    }

    /// The nodes of ids are there.
    fn ask_for_order(&self, command: &ClientCommand, seen: &mut Seen) {
        if seen.account != NONE
            && let Some(original) = original(command)
            && let Place::Taken(order) = self.client_ids.place(seen.account, original)
        {
            seen.order_id = order;
            self.ask_for_order_row(seen);
        }
    }

    fn ask_for_order_row(&self, seen: &mut Seen) {
        if seen.order_id != OrderId(0)
            && let Some(row) = self.orders.likely_row(seen.order_id)
        {
            seen.order = row;
            self.orders.prefetch(row);
        }
    }

    /// The order's row is there.
    fn ask_around(&self, seen: &mut Seen) {
        let row = std::mem::replace(&mut seen.order, NONE);
        let Some(order) = self.orders.get(row) else {
            return;
        };
        let Some(listing) = self.listings.get(order.symbol as usize) else {
            return;
        };
        if order.id != seen.order_id || !order.is_open() {
            return;
        }
        seen.order = row;
        self.accounts.prefetch_position(order.position);
        self.orders.prefetch(order.before);
        self.orders.prefetch(order.behind);
        listing.book.prefetch_look_up(order.id);
        if order.account != seen.account {
            // One that would be met: its owner is told.
            self.accounts.prefetch(order.account);
            prefetch_row(&self.sessions, order.session as usize);
        }
    }

    /// The head of the order's bucket in its book is there.
    fn ask_for_node(&self, seen: &Seen) {
        let Some(order) = self.orders.get(seen.order) else {
            return;
        };
        if let Some(listing) = self.listings.get(order.symbol as usize) {
            listing.book.prefetch_order(order.id);
        }
        if order.account != seen.account
            && let Some(session) = self.sessions.get(order.session as usize)
        {
            session.prefetch_message(&self.messages);
        }
    }
}
