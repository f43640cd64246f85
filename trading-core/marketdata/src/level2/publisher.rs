//! From what happens in the core to level-2 packets. Pure: events and times in, packets out.
//!
//! ```text
//!   MarketEvent ─► offer ─► full book ─┐
//!                    │                 ├─ every 100 ms a symbol: difference ─► incremental group
//!                    └─► trades, each ─┘
//!                        published ladder ─ every interval: snapshot ───────► snapshot group
//! ```
//!
//! Levels are conflated: a symbol's ladder goes out at most once an interval, as it stands then, and
//! at the first poll when nothing went out for that long. Trades are not: each goes out at the next
//! poll. Snapshots show what was published, not what is newer, so that they fit between two
//! incremental packets.

use super::ladder::{DEPTH_MAX, Ladder};
use super::wire::{
    ChannelId, Header, LastTrade, NumberedTrade, PacketWriter, Sequence, Stream, SymbolSnapshot,
    Update,
};
use crate::market::{Level, MarketEvent};
use crate::time::Monotonic;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{Price, Quantity, Side, SymbolId, UnixMicros};

/// How a publisher works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublisherSettings {
    /// The channel it fills.
    pub channel: ChannelId,
    /// Levels of a side that are shown, 1 to [`DEPTH_MAX`].
    pub depth: usize,
    /// Shortest time between two ladders of a symbol, in microseconds.
    pub update_interval_us: u64,
    /// Time between two rounds of snapshots, in microseconds.
    pub snapshot_interval_us: u64,
    /// Longest silence on the incremental group, in microseconds; then a heartbeat goes out.
    pub heartbeat_interval_us: u64,
    /// Trades that wait for a poll; beyond it [`Publisher::offer`] takes none.
    pub trades_waiting_max: usize,
    /// Symbols; beyond it [`Publisher::offer`] takes none.
    pub symbols_max: usize,
    /// Packets of a group that one poll yields; the rest waits for the next.
    pub packets_per_poll_max: usize,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        Self {
            channel: ChannelId(1),
            depth: 10,
            update_interval_us: 100_000,
            snapshot_interval_us: 1_000_000,
            heartbeat_interval_us: 250_000,
            trades_waiting_max: 65_536,
            symbols_max: 8_192,
            packets_per_poll_max: 256,
        }
    }
}

/// Why a publisher does not take something. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A setting cannot be.
    #[error("{field} {value} is not accepted: {accepted}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// Too many trades wait.
    #[error(
        "{waiting} trades wait to be published, as many as allowed: poll, then offer this one again"
    )]
    TradesFull {
        /// How many wait.
        waiting: usize,
    },
    /// Too many symbols.
    #[error(
        "symbol {symbol} is not published: {symbols} symbols are, as many as allowed: raise \
         symbols_max or spread them over channels"
    )]
    SymbolsFull {
        /// The symbol.
        symbol: SymbolId,
        /// How many there are.
        symbols: usize,
    },
    /// Another stream has been begun that is not older.
    #[error("stream {asked:?} is not accepted: it must be after {current:?}")]
    OldStream {
        /// The stream asked for.
        asked: Stream,
        /// The stream that is published.
        current: Stream,
    },
}

/// Which group a packet goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Incremental packets and heartbeats.
    Incremental,
    /// Snapshots.
    Snapshot,
}

/// A packet that is to be sent, on all lines of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where to.
    pub group: Group,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// What a publisher counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherCounts {
    /// Level events taken.
    pub levels: u64,
    /// Trades taken.
    pub trades: u64,
    /// Events refused because a bound was reached.
    pub refused: u64,
    /// Ladders sent; [`PublisherCounts::levels`] above it were conflated.
    pub ladders: u64,
    /// Incremental packets.
    pub incremental_packets: u64,
    /// Snapshot packets.
    pub snapshot_packets: u64,
    /// Heartbeats.
    pub heartbeats: u64,
}

#[derive(Clone, Debug, Default)]
struct Symbol {
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
    published: Ladder,
    image_sent: bool,
    due: Option<Monotonic>,
    not_before: Monotonic,
    /// Trades sent, the last of them, and the number that the next one offered gets.
    trades_sent: u64,
    last: Option<LastTrade>,
    trades_offered: u64,
    previous_close: Option<Price>,
}

impl Symbol {
    fn set(&mut self, side: Side, level: Level) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if level.quantity == Quantity(0) {
            levels.remove(&level.price);
        } else {
            levels.insert(level.price, level);
        }
    }

    fn shown(&self, depth: usize) -> Ladder {
        let bids = self.bids.values().rev().take(depth).copied().collect();
        let asks = self.asks.values().take(depth).copied().collect();
        Ladder::new(bids, asks).expect("levels come ordered and without empty ones from the maps")
    }

    fn snapshot(&self, symbol: SymbolId) -> SymbolSnapshot {
        SymbolSnapshot {
            symbol,
            trades: self.trades_sent,
            last: self.last,
            previous_close: self.previous_close,
            ladder: self.published.clone(),
        }
    }
}

/// One channel's publisher.
#[derive(Clone, Debug)]
pub struct Publisher {
    settings: PublisherSettings,
    stream: Stream,
    sequence: Sequence,
    symbols: BTreeMap<SymbolId, Symbol>,
    /// Symbols whose ladder is to go out, by when.
    due: BTreeSet<(Monotonic, SymbolId)>,
    trades: VecDeque<NumberedTrade>,
    closes: BTreeSet<SymbolId>,
    /// Symbols of this round whose snapshot has not gone out.
    snapshot_round: VecDeque<SymbolId>,
    next_round: Monotonic,
    last_incremental: Option<Monotonic>,
    counts: PublisherCounts,
}

impl Publisher {
    /// A publisher of one channel.
    ///
    /// # Errors
    /// [`PublishError::Setting`].
    pub fn new(settings: PublisherSettings, stream: Stream) -> Result<Self, PublishError> {
        check(&settings)?;
        Ok(Self {
            settings,
            stream,
            sequence: Sequence(0),
            symbols: BTreeMap::new(),
            due: BTreeSet::new(),
            trades: VecDeque::new(),
            closes: BTreeSet::new(),
            snapshot_round: VecDeque::new(),
            next_round: Monotonic::default(),
            last_incremental: None,
            counts: PublisherCounts::default(),
        })
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> PublisherCounts {
        self.counts
    }

    /// The stream that is published.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The number of the last incremental packet.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// What receivers have of a symbol once they have every packet.
    #[must_use]
    pub fn published(&self, symbol: SymbolId) -> Option<&Ladder> {
        self.symbols.get(&symbol).map(|it| &it.published)
    }

    /// Begins another stream, such as after an election: numbers begin anew and each symbol goes out
    /// as a whole again. Trades that wait go out in the new stream.
    ///
    /// # Errors
    /// [`PublishError::OldStream`].
    pub fn begin(&mut self, stream: Stream, now: Monotonic) -> Result<(), PublishError> {
        if stream <= self.stream {
            return Err(PublishError::OldStream {
                asked: stream,
                current: self.stream,
            });
        }
        self.stream = stream;
        self.sequence = Sequence(0);
        self.due.clear();
        self.snapshot_round.clear();
        self.next_round = now;
        self.last_incremental = None;
        for (id, symbol) in &mut self.symbols {
            symbol.image_sent = false;
            symbol.published = Ladder::default();
            symbol.trades_sent = 0;
            symbol.trades_offered = 0;
            symbol.due = Some(now);
            self.due.insert((now, *id));
            if symbol.previous_close.is_some() {
                self.closes.insert(*id);
            }
        }
        for waiting in &mut self.trades {
            let symbol = self.symbols.entry(waiting.trade.symbol).or_default();
            symbol.trades_offered += 1;
            waiting.ordinal = symbol.trades_offered;
        }
        Ok(())
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// [`PublishError::TradesFull`] and [`PublishError::SymbolsFull`]; counted, and nothing changed.
    pub fn offer(&mut self, event: &MarketEvent, now: Monotonic) -> Result<(), PublishError> {
        let id = event.symbol();
        if !self.symbols.contains_key(&id) && self.symbols.len() >= self.settings.symbols_max {
            self.counts.refused += 1;
            return Err(PublishError::SymbolsFull {
                symbol: id,
                symbols: self.symbols.len(),
            });
        }
        if let MarketEvent::Trade(_) = event
            && self.trades.len() >= self.settings.trades_waiting_max
        {
            self.counts.refused += 1;
            return Err(PublishError::TradesFull {
                waiting: self.trades.len(),
            });
        }
        if let Entry::Vacant(place) = self.symbols.entry(id) {
            // Also without a level yet: receivers are to know that it has none.
            place.insert(Symbol::default());
            self.schedule(id, now);
        }
        let Some(symbol) = self.symbols.get_mut(&id) else {
            return Ok(());
        };
        match event {
            MarketEvent::Level { side, level, .. } => {
                self.counts.levels += 1;
                symbol.set(*side, *level);
                self.schedule(id, now);
            }
            MarketEvent::Trade(trade) => {
                self.counts.trades += 1;
                symbol.trades_offered += 1;
                self.trades.push_back(NumberedTrade {
                    ordinal: symbol.trades_offered,
                    trade: *trade,
                });
            }
            MarketEvent::PreviousClose { price, .. } => {
                symbol.previous_close = Some(*price);
                self.closes.insert(id);
            }
        }
        Ok(())
    }

    fn schedule(&mut self, id: SymbolId, now: Monotonic) {
        if let Some(symbol) = self.symbols.get_mut(&id)
            && symbol.due.is_none()
        {
            let due = now.max(symbol.not_before);
            symbol.due = Some(due);
            self.due.insert((due, id));
        }
    }

    /// Appends what is to be sent now. `wall` is the time that packets carry.
    pub fn poll(&mut self, now: Monotonic, wall: UnixMicros, out: &mut Vec<Datagram>) {
        self.send_updates(now, wall, out);
        self.send_heartbeat(now, wall, out);
        self.send_snapshots(now, wall, out);
    }

    /// When [`Publisher::poll`] has something to do again, if no event comes before.
    #[must_use]
    pub fn next_poll(&self, now: Monotonic) -> Monotonic {
        if !self.trades.is_empty() || !self.closes.is_empty() || !self.snapshot_round.is_empty() {
            return now;
        }
        let heartbeat = self
            .last_incremental
            .map_or(now, |at| at.after_us(self.settings.heartbeat_interval_us));
        let ladder = self.due.first().map_or(heartbeat, |(due, _)| *due);
        heartbeat.min(ladder).min(self.next_round).max(now)
    }

    fn header(&self, wall: UnixMicros) -> Header {
        Header {
            channel: self.settings.channel,
            stream: self.stream,
            sequence: self.sequence,
            sent: wall,
        }
    }

    fn send_updates(&mut self, now: Monotonic, wall: UnixMicros, out: &mut Vec<Datagram>) {
        let mut packets = 0;
        while packets < self.settings.packets_per_poll_max {
            let header = Header {
                sequence: Sequence(self.sequence.0 + 1),
                ..self.header(wall)
            };
            let mut packet = PacketWriter::incremental(header);
            while let Some((update, source)) = self.next_update(now) {
                if !packet.update(&update) {
                    break;
                }
                self.sent(source, now);
            }
            if packet.is_empty() {
                return;
            }
            self.sequence = header.sequence;
            self.last_incremental = Some(now);
            self.counts.incremental_packets += 1;
            packets += 1;
            out.push(Datagram {
                group: Group::Incremental,
                bytes: packet.finish(),
            });
        }
    }

    /// What goes out next: previous closes, then trades, then ladders that are due.
    fn next_update(&mut self, now: Monotonic) -> Option<(Update, Source)> {
        if let Some(id) = self.closes.first() {
            let price = self.symbols.get(id)?.previous_close?;
            let symbol = *id;
            let update = Update::PreviousClose { symbol, price };
            return Some((update, Source::Close(symbol)));
        }
        if let Some(trade) = self.trades.front() {
            return Some((Update::Trade(*trade), Source::Trade));
        }
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            let symbol = self.symbols.get_mut(&id)?;
            let ladder = symbol.shown(self.settings.depth);
            let changes = symbol.published.difference(&ladder);
            if symbol.image_sent && changes.is_empty() {
                // It is again as it was, or changed below what is shown.
                symbol.due = None;
                self.due.remove(&(due, id));
                continue;
            }
            // More changes than levels: the whole is shorter, and always fits one packet.
            let update = if !symbol.image_sent || changes.len() > ladder.len().max(1) {
                let ladder = ladder.clone();
                Update::Image { symbol: id, ladder }
            } else {
                let symbol = id;
                Update::Changes { symbol, changes }
            };
            return Some((update, Source::Ladder(due, id, ladder)));
        }
        None
    }

    fn sent(&mut self, source: Source, now: Monotonic) {
        match source {
            Source::Close(id) => {
                self.closes.remove(&id);
            }
            Source::Trade => {
                if let Some(sent) = self.trades.pop_front()
                    && let Some(symbol) = self.symbols.get_mut(&sent.trade.symbol)
                {
                    symbol.trades_sent = sent.ordinal;
                    symbol.last = Some(sent.trade.into());
                }
            }
            Source::Ladder(due, id, ladder) => {
                self.due.remove(&(due, id));
                self.counts.ladders += 1;
                if let Some(symbol) = self.symbols.get_mut(&id) {
                    symbol.published = ladder;
                    symbol.image_sent = true;
                    symbol.due = None;
                    symbol.not_before = now.after_us(self.settings.update_interval_us);
                }
            }
        }
    }

    fn send_heartbeat(&mut self, now: Monotonic, wall: UnixMicros, out: &mut Vec<Datagram>) {
        let silent = self
            .last_incremental
            .is_none_or(|at| now.since_us(at) >= self.settings.heartbeat_interval_us);
        if silent {
            self.last_incremental = Some(now);
            self.counts.heartbeats += 1;
            out.push(Datagram {
                group: Group::Incremental,
                bytes: PacketWriter::heartbeat(self.header(wall)).finish(),
            });
        }
    }

    fn send_snapshots(&mut self, now: Monotonic, wall: UnixMicros, out: &mut Vec<Datagram>) {
        if now >= self.next_round && self.snapshot_round.is_empty() {
            let published = self.symbols.iter().filter(|(_, symbol)| symbol.image_sent);
            self.snapshot_round = published.map(|(id, _)| *id).collect();
            self.next_round = now.after_us(self.settings.snapshot_interval_us);
        }
        let mut packets = 0;
        while !self.snapshot_round.is_empty() && packets < self.settings.packets_per_poll_max {
            let mut packet = PacketWriter::snapshot(self.header(wall));
            while let Some(id) = self.snapshot_round.front() {
                if let Some(symbol) = self.symbols.get(id)
                    && !packet.symbol(&symbol.snapshot(*id))
                {
                    break;
                }
                self.snapshot_round.pop_front();
            }
            packets += 1;
            self.counts.snapshot_packets += 1;
            out.push(Datagram {
                group: Group::Snapshot,
                bytes: packet.finish(),
            });
        }
    }
}

/// Where an update came from, so that it is struck off once it is in a packet.
enum Source {
    Close(SymbolId),
    Trade,
    Ladder(Monotonic, SymbolId, Ladder),
}

fn check(settings: &PublisherSettings) -> Result<(), PublishError> {
    let refuse = |field, value, accepted| {
        Err(PublishError::Setting {
            field,
            value,
            accepted,
        })
    };
    if !(1..=DEPTH_MAX).contains(&settings.depth) {
        return refuse("depth", settings.depth as u64, "use 1 to 25");
    }
    for (field, value) in [
        ("trades_waiting_max", settings.trades_waiting_max),
        ("symbols_max", settings.symbols_max),
        ("packets_per_poll_max", settings.packets_per_poll_max),
    ] {
        if value == 0 {
            return refuse(field, 0, "use 1 or more");
        }
    }
    for (field, value) in [
        ("update_interval_us", settings.update_interval_us),
        ("snapshot_interval_us", settings.snapshot_interval_us),
        ("heartbeat_interval_us", settings.heartbeat_interval_us),
    ] {
        if !(1_000..=60_000_000).contains(&value) {
            return refuse(field, value, "use 1,000 (1 ms) to 60,000,000 (1 min)");
        }
    }
    Ok(())
}
