//! The market of a core, read out of its committed log.
//!
//! ```text
//!   snapshot? ─┐                         ┌─ symbols that a command touched ─► ladder, difference ─┐
//!              ├─► engine::State ─► events                                                       ├─► MarketEvent
//!   entries ───┘                         └─ trades ───────────────────────────────────────────────┘
//!                                                └─► the last of them, for whoever publishes next
//! ```
//!
//! The log is the truth and the engine the one who reads it, so market data cannot differ between
//! replicas, and making it costs the replica's own `apply` nothing. Pure: bytes in, events out.
//!
//! # When another publishes next
//! Who begins to publish asks for [`CoreMarket::whole`]: every symbol as it stands, the newest trade and
//! those up to [`OVERLAP_US`] before it, since nobody knows which of them the one before has sent. They
//! keep their numbers, so whoever had them knows them again.

use book::Book as _;
use engine::{EntryContext, SnapshotError, StaleEntry, State};
use marketdata::level2::Ladder;
use marketdata::{Level, MarketEvent, Trade};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{
    CodecError, Command, Control, Epoch, Event, LogIndex, OrderId, Price, Quantity, Report, Side,
    SymbolId, UnixMicros, decode_batch,
};

/// Trades no older than this behind the newest are told again by a new publisher, in microseconds of
/// log time. A publisher sends a trade 10 ms after its commit when it keeps up.
pub const OVERLAP_US: u64 = 2_000_000;
/// Most trades that are told again.
pub const OVERLAP_TRADES_MAX: usize = 1_024;

/// A level that is not there, at a price that none has.
const NO_LEVEL: Level = Level {
    price: Price(0),
    quantity: Quantity(0),
    orders: 0,
};

/// Why a log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Entries are missing.
    #[error(
        "failed to read the log: entry {found} follows entry {last}: ask for the log from {next} on",
        next = last.0 + 1
    )]
    Gap {
        /// The last entry read.
        last: LogIndex,
        /// The one that came.
        found: LogIndex,
    },
    /// An entry cannot be read.
    #[error("failed to read entry {index}: {source}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// Why.
        source: CodecError,
    },
    /// Epochs go back.
    #[error(transparent)]
    Stale(#[from] StaleEntry),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Which books may differ from what was told.
#[derive(Debug, Default)]
struct Touched {
    symbols: BTreeSet<SymbolId>,
    /// Nobody knows which: all are looked at.
    all: bool,
}

/// A reader of one shard's committed log.
#[derive(Debug)]
pub struct CoreMarket {
    state: State,
    last_index: LogIndex,
    depth: usize,
    /// What was told of each symbol.
    told: BTreeMap<SymbolId, (Ladder, Option<Price>)>,
    touched: Touched,
    /// Trades that were not taken yet.
    trades: Vec<Trade>,
    /// The newest trades, for whoever publishes next.
    recent: VecDeque<Trade>,
    events: Vec<Event>,
}

impl CoreMarket {
    /// A reader at the beginning of the log that shows `depth` levels a side.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self {
            state: State::new(),
            last_index: LogIndex(0),
            depth,
            told: BTreeMap::new(),
            touched: Touched::default(),
            trades: Vec::new(),
            recent: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// A reader that begins at a snapshot. Trades inside it are not known any more.
    ///
    /// # Errors
    /// [`ReadError::Snapshot`].
    pub fn from_snapshot(depth: usize, index: LogIndex, state: &[u8]) -> Result<Self, ReadError> {
        Ok(Self {
            state: State::restore(state)?,
            last_index: index,
            ..Self::new(depth)
        })
    }

    /// The last entry read.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        self.last_index
    }

    /// The state behind that entry.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads the next entry; an empty one is a leader's opening entry.
    ///
    /// # Errors
    /// [`ReadError`]; nothing was read.
    pub fn entry(&mut self, index: LogIndex, epoch: Epoch, batch: &[u8]) -> Result<(), ReadError> {
        if index.0 != self.last_index.0 + 1 {
            return Err(ReadError::Gap {
                last: self.last_index,
                found: index,
            });
        }
        if batch.is_empty() {
            self.last_index = index;
            return Ok(());
        }
        let bytes = batch;
        let batch = decode_batch(bytes).map_err(|source| ReadError::Entry { index, source })?;
        let context = EntryContext {
            epoch,
            index,
            leader_time: batch.leader_time,
        };
        self.state.begin_entry(context, bytes)?;
        self.last_index = index;
        let mut events = std::mem::take(&mut self.events);
        for command in &batch.commands {
            events.clear();
            self.state.apply(context, command, &mut events);
            self.note_command(command);
            for event in &events {
                self.note(event);
            }
        }
        self.events = events;
        Ok(())
    }

    fn note_command(&mut self, command: &Command) {
        let Command::Control(control) = command else {
            return;
        };
        match control {
            // Comes often, and no book changes by it.
            Control::SetReferencePrice { symbol, .. } => {
                self.touched.symbols.insert(*symbol);
            }
            Control::DefineSymbol(definition) => {
                self.touched.symbols.insert(definition.symbol);
            }
            // Days, phases, rules, halts: rare, and what they do to books is the engine's affair.
            _ => self.touched.all = true,
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Trade(trade) => {
                self.touched.symbols.insert(trade.symbol);
                let trade = Trade {
                    symbol: trade.symbol,
                    trade: trade.trade_id,
                    price: trade.price,
                    quantity: trade.quantity,
                    at: trade.time,
                    aggressor: trade.taker,
                };
                self.trades.push(trade);
                self.recent.push_back(trade);
                if self.recent.len() > OVERLAP_TRADES_MAX {
                    self.recent.pop_front();
                }
            }
            Event::ToSession(outbound) => {
                if let Some(order) = order_of(&outbound.report) {
                    match self.state.order(order) {
                        Some(view) => {
                            self.touched.symbols.insert(view.symbol);
                        }
                        None => self.touched.all = true,
                    }
                }
            }
            _ => {}
        }
    }

    /// Appends what changed since it was asked last: trades, then levels as they stand now.
    pub fn take(&mut self, out: &mut Vec<MarketEvent>) {
        out.extend(self.trades.drain(..).map(MarketEvent::Trade));
        let touched = std::mem::take(&mut self.touched);
        if touched.all {
            let symbols: Vec<SymbolId> = self.state.symbols().map(|it| it.symbol).collect();
            symbols.iter().for_each(|symbol| self.tell(*symbol, out));
        } else {
            let symbols = touched.symbols;
            symbols.iter().for_each(|symbol| self.tell(*symbol, out));
        }
    }

    /// Forgets what changed: nobody publishes here.
    pub fn discard(&mut self) {
        self.trades.clear();
        self.touched = Touched::default();
        self.told.clear();
    }

    /// Appends all that stands, for a stream that begins; what [`CoreMarket::take`] gives afterwards
    /// follows it.
    pub fn whole(&mut self, out: &mut Vec<MarketEvent>) {
        self.discard();
        let newest = self.recent.back().map_or(UnixMicros(0), |trade| trade.at);
        let is_late = |trade: &&Trade| trade.at.0.saturating_add(OVERLAP_US) >= newest.0;
        let late = self.recent.iter().filter(is_late);
        out.extend(late.copied().map(MarketEvent::Trade));
        let symbols: Vec<SymbolId> = self.state.symbols().map(|it| it.symbol).collect();
        symbols.iter().for_each(|symbol| self.tell(*symbol, out));
    }

    /// Appends how a symbol differs from what was told of it.
    fn tell(&mut self, symbol: SymbolId, out: &mut Vec<MarketEvent>) {
        let Some(ladder) = self.ladder(symbol) else {
            return;
        };
        let close = self.state.previous_close(symbol);
        if !self.told.contains_key(&symbol) {
            // Also one without any order is named: that it has none is known.
            let (side, level) = (Side::Buy, NO_LEVEL);
            out.push(MarketEvent::Level {
                symbol,
                side,
                level,
            });
        }
        let told = self.told.entry(symbol).or_default();
        for change in told.0.difference(&ladder) {
            out.push(MarketEvent::Level {
                symbol,
                side: change.side,
                level: change.level,
            });
        }
        if let Some(price) = close.filter(|_| close != told.1) {
            out.push(MarketEvent::PreviousClose { symbol, price });
        }
        *told = (ladder, close);
    }

    /// A symbol's best levels as they stand behind the last entry; none when it is not listed.
    #[must_use]
    pub fn ladder(&self, symbol: SymbolId) -> Option<Ladder> {
        let book = self.state.book(symbol)?;
        let side = |side| {
            let mut levels = Vec::with_capacity(self.depth);
            book.depth(side, self.depth, &mut |level| {
                levels.push(Level {
                    price: level.price,
                    quantity: level.shown,
                    orders: level.orders,
                });
            });
            levels
        };
        let ladder = Ladder::new(side(Side::Buy), side(Side::Sell));
        Some(ladder.expect("a book's levels come ordered, none without shares that are shown"))
    }
}

/// The order that a message to its session is about.
fn order_of(report: &Report) -> Option<OrderId> {
    match report {
        Report::Accepted { order_id, .. }
        | Report::Filled { order_id, .. }
        | Report::Cancelled { order_id, .. }
        | Report::Replaced { order_id, .. }
        | Report::Triggered { order_id, .. }
        | Report::Restated { order_id, .. } => Some(*order_id),
        Report::Rejected { .. } | Report::MassCancelled { .. } | Report::Status(_) => None,
    }
}

#[cfg(test)]
mod tests;
