//! From level-2 packets, as they come, to books that are right or said to be stale.
//!
//! ```text
//!   line A ─┐               ┌─ next number ──► apply ──► history (a bounded run without gaps)
//!   line B ─┼─► check ─► ───┤                                   │ replayed on
//!           │   epoch       ├─ later ──► wait ──too long──► gap ─► all older books stale
//!   snapshots ─────────────►└─ whole symbol ──────────────────────► book good again
//! ```
//!
//! Pure: packets and times go in, [`Effect`]s come out. The rules:
//! - A packet of an older stream is refused; one of a newer stream ends all that was before.
//! - Two lines carry the same packets: the first of each number counts, the other is a duplicate.
//! - A hole in the numbers is waited on for [`ReceiverSettings::reorder_wait_us`]; heartbeats and
//!   snapshots tell of holes at the end. Then it is a gap: every book that is not newer is stale.
//! - A stale book becomes good by an image, or by a snapshot on which all later packets are replayed.
//!   Levels carry what stands, not what was added, so nothing is counted twice.
//! - A trade that was told in an earlier stream is not told again: a new publisher repeats the last.
//! - A book is called good only when it is what the publisher had behind the packet of its number.

use super::ladder::Ladder;
use super::wire::{
    self, Body, ChannelId, Header, LastTrade, NumberedTrade, Packet, Sequence, Stream,
    SymbolSnapshot, Update, WireError,
};
use crate::market::Trade;
use crate::time::Monotonic;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{Price, SymbolId, TradeId, UnixMicros};

/// Trades remembered over the end of a stream; a publisher repeats fewer.
const TRADES_REMEMBERED: usize = 4_096;

/// How a receiver works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverSettings {
    /// The channel it listens to.
    pub channel: ChannelId,
    /// How long a hole may stay before it is a gap, in microseconds: time for the other line.
    pub reorder_wait_us: u64,
    /// After this long without a packet all books are stale, in microseconds.
    pub silence_us: u64,
    /// Packets that wait behind a hole; beyond it the hole is a gap at once.
    pub waiting_max: usize,
    /// Packets kept to be replayed on a snapshot.
    pub history_max: usize,
    /// Symbols; updates of others are counted and dropped.
    pub symbols_max: usize,
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self {
            channel: ChannelId(1),
            reorder_wait_us: 20_000,
            silence_us: 1_000_000,
            waiting_max: 1_024,
            history_max: 1_024,
            symbols_max: 8_192,
        }
    }
}

/// Which of the lines that carry the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// The first.
    A,
    /// The second.
    B,
}

/// Why a book is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stale {
    /// Nothing whole of the symbol has come in this stream yet.
    NeverWhole,
    /// Packets were lost.
    Gap,
    /// A change did not fit the book: publisher and receiver disagreed.
    Inconsistent,
    /// No packet has come for too long.
    Silent,
}

/// How far a book can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// It is what the publisher had behind the packet of its number, and no later one is known.
    Good,
    /// As good, but later packets are known of and waited for.
    Behind,
    /// It is not to be used.
    Stale(Stale),
}

/// What is known of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View<'a> {
    /// How far the ladder can be trusted.
    pub freshness: Freshness,
    /// The ladder; while it is stale, the last that was good.
    pub ladder: &'a Ladder,
    /// The packet that it stands behind.
    pub as_of: Sequence,
    /// The last trade.
    pub last: Option<LastTrade>,
    /// The last price of the trading day before, where known.
    pub previous_close: Option<Price>,
}

/// What a packet or the passing of time caused, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Another stream began; all symbols are unknown again.
    StreamBegan(Stream),
    /// Packets are lost for good; books that are not newer are stale.
    Gap {
        /// The first that is missing.
        first: Sequence,
        /// The last that is missing.
        last: Sequence,
    },
    /// A good book changed.
    BookChanged(SymbolId),
    /// A book is good that was not.
    BecameGood(SymbolId),
    /// A book was good and is stale.
    BecameStale(SymbolId, Stale),
    /// A trade.
    Traded(Trade),
    /// The previous close of a symbol is known now.
    PreviousClose(SymbolId, Price),
    /// No packet has come for too long; all books are stale until one comes.
    FellSilent,
    /// Packets come again.
    SpokeAgain,
}

/// What a receiver counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverCounts {
    /// Packets that came, by line A and B.
    pub packets: [u64; 2],
    /// Incremental packets that this line brought first, by line A and B.
    pub first_by: [u64; 2],
    /// Incremental packets that had come before.
    pub duplicates: u64,
    /// Packets that could not be read.
    pub malformed: u64,
    /// Packets of another channel.
    pub foreign_channel: u64,
    /// Packets of an older stream.
    pub stale_stream: u64,
    /// Streams that began after the first.
    pub streams: u64,
    /// Gaps.
    pub gaps: u64,
    /// Incremental packets lost for good.
    pub packets_lost: u64,
    /// Trades lost for good, as far as their numbers tell.
    pub trades_lost: u64,
    /// Trades of a new stream that had been told in an earlier one.
    pub trades_repeated: u64,
    /// Books that became good again after they had been stale.
    pub recoveries: u64,
    /// Snapshots of stale symbols that were too old to be replayed on.
    pub snapshots_too_old: u64,
    /// Snapshots that differed from a book called good: an error of publisher or receiver.
    pub snapshot_mismatches: u64,
    /// Changes that did not fit a book: an error of publisher or receiver.
    pub inconsistent: u64,
    /// Updates and snapshots dropped because as many symbols as allowed are known.
    pub symbols_refused: u64,
}

#[derive(Clone, Debug)]
struct Symbol {
    ladder: Ladder,
    stale: Option<Stale>,
    was_good: bool,
    /// The last packet or snapshot that set the ladder.
    as_of: Sequence,
    /// Trades that were told or are counted as lost; none when it is not known how many there were
    /// before this receiver came.
    trades_accounted: Option<u64>,
    last_ordinal: u64,
    last: Option<LastTrade>,
    previous_close: Option<Price>,
}

impl Symbol {
    fn new(from_start: bool) -> Self {
        Self {
            ladder: Ladder::default(),
            stale: Some(Stale::NeverWhole),
            was_good: false,
            as_of: Sequence(0),
            trades_accounted: from_start.then_some(0),
            last_ordinal: 0,
            last: None,
            previous_close: None,
        }
    }

    fn saw_trade(&mut self, ordinal: u64, trade: LastTrade) {
        if ordinal >= self.last_ordinal {
            self.last_ordinal = ordinal;
            self.last = Some(trade);
        }
    }

    /// Accounts for all trades up to `ordinal`; gives how many of them were not before.
    fn account_trades(&mut self, ordinal: u64) -> u64 {
        let before = self.trades_accounted.unwrap_or(ordinal);
        self.trades_accounted = Some(before.max(ordinal));
        ordinal.saturating_sub(before)
    }
}

/// The updates of one incremental packet.
#[derive(Clone, Debug)]
struct Numbered {
    sequence: u64,
    updates: Vec<Update>,
}

/// What a trade is known by again: a publisher made anew may number from 1, but not at the same time.
type ToldTrade = (SymbolId, TradeId, UnixMicros);

/// One channel's receiver.
#[derive(Clone, Debug)]
pub struct Receiver {
    settings: ReceiverSettings,
    stream: Option<Stream>,
    /// The number that comes next; none until the first packet of a stream told.
    next: Option<u64>,
    /// Whether it listened when the stream began, so that what is missing was lost.
    from_start: bool,
    /// The highest number known to have been sent.
    announced: u64,
    hole_since: Option<Monotonic>,
    waiting: BTreeMap<u64, Numbered>,
    history: VecDeque<Numbered>,
    symbols: BTreeMap<SymbolId, Symbol>,
    /// The trades told last, oldest first, and those of them that earlier streams told.
    told: VecDeque<ToldTrade>,
    told_before: BTreeSet<ToldTrade>,
    last_heard: Option<Monotonic>,
    newest_sent: Option<UnixMicros>,
    silent: bool,
    counts: ReceiverCounts,
}

impl Receiver {
    /// A receiver that has heard nothing.
    #[must_use]
    pub fn new(settings: ReceiverSettings) -> Self {
        Self {
            settings,
            stream: None,
            next: None,
            from_start: false,
            announced: 0,
            hole_since: None,
            waiting: BTreeMap::new(),
            history: VecDeque::new(),
            symbols: BTreeMap::new(),
            told: VecDeque::new(),
            told_before: BTreeSet::new(),
            last_heard: None,
            newest_sent: None,
            silent: false,
            counts: ReceiverCounts::default(),
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> ReceiverCounts {
        self.counts
    }

    /// The stream that is followed.
    #[must_use]
    pub fn stream(&self) -> Option<Stream> {
        self.stream
    }

    /// When the newest packet was sent, by the publisher's clock.
    #[must_use]
    pub fn newest_sent(&self) -> Option<UnixMicros> {
        self.newest_sent
    }

    /// The symbols that were named in this stream.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        self.symbols.keys().copied()
    }

    /// Symbols whose book is not to be used.
    #[must_use]
    pub fn stale_symbols(&self) -> usize {
        let stale = |symbol: &&Symbol| self.silent || symbol.stale.is_some();
        self.symbols.values().filter(stale).count()
    }

    /// What is known of a symbol; `None` when it was not named in this stream.
    #[must_use]
    pub fn view(&self, symbol: SymbolId) -> Option<View<'_>> {
        let symbol = self.symbols.get(&symbol)?;
        let freshness = match symbol.stale {
            Some(reason) => Freshness::Stale(reason),
            None if self.silent => Freshness::Stale(Stale::Silent),
            None if self.announced > symbol.as_of.0.max(self.applied()) => Freshness::Behind,
            None => Freshness::Good,
        };
        Some(View {
            freshness,
            ladder: &symbol.ladder,
            as_of: Sequence(symbol.as_of.0.max(self.applied())),
            last: symbol.last,
            previous_close: symbol.previous_close,
        })
    }

    /// The number of the last packet that was applied or given up.
    fn applied(&self) -> u64 {
        self.next.map_or(0, |next| next - 1)
    }

    /// Takes a packet in. A packet that cannot be used is counted and changes nothing else.
    ///
    /// # Errors
    /// [`WireError`] when it cannot be read, for the log.
    pub fn receive(
        &mut self,
        line: Line,
        bytes: &[u8],
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) -> Result<(), WireError> {
        self.counts.packets[line as usize] += 1;
        let packet = wire::decode(bytes).inspect_err(|_| self.counts.malformed += 1)?;
        let Packet { header, body } = packet;
        if header.channel != self.settings.channel {
            self.counts.foreign_channel += 1;
            return Ok(());
        }
        if !self.follow(header.stream, effects) {
            self.counts.stale_stream += 1;
            return Ok(());
        }
        self.heard(&header, now, effects);
        match body {
            Body::Incremental(updates) => {
                let sequence = header.sequence.0;
                self.incremental(line, Numbered { sequence, updates }, now, effects);
            }
            Body::Snapshot(symbols) => {
                self.announce(header.sequence.0, now);
                for snapshot in symbols {
                    self.snapshot(snapshot, header.sequence.0, effects);
                }
            }
            Body::Heartbeat => self.announce(header.sequence.0, now),
        }
        Ok(())
    }

    /// Lets time pass: gives up on holes that stay and says when the feed is silent.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let waited = |since: Monotonic| now.since_us(since) >= self.settings.reorder_wait_us;
        if self.hole_since.is_some_and(waited) {
            self.give_up_hole(now, effects);
        }
        let silent = self
            .last_heard
            .is_some_and(|heard| now.since_us(heard) >= self.settings.silence_us);
        if silent && !self.silent {
            self.silent = true;
            effects.push(Effect::FellSilent);
        }
    }

    /// When [`Receiver::tick`] has something to do, if no packet comes before.
    #[must_use]
    pub fn next_tick(&self) -> Option<Monotonic> {
        let hole = self
            .hole_since
            .map(|since| since.after_us(self.settings.reorder_wait_us));
        let silence = (!self.silent)
            .then_some(self.last_heard?)
            .map(|heard| heard.after_us(self.settings.silence_us));
        [hole, silence].into_iter().flatten().min()
    }

    /// Whether packets of this stream count; begins it when it is newer.
    fn follow(&mut self, stream: Stream, effects: &mut Vec<Effect>) -> bool {
        match self.stream {
            Some(current) if stream < current => return false,
            Some(current) if stream == current => return true,
            Some(_) => {
                // It listened when this one began, and streams count from 1.
                self.counts.streams += 1;
                self.next = Some(1);
                self.from_start = true;
            }
            None => {}
        }
        self.stream = Some(stream);
        self.newest_sent = None;
        self.announced = 0;
        self.hole_since = None;
        self.waiting.clear();
        self.history.clear();
        self.symbols.clear();
        self.told_before = self.told.iter().copied().collect();
        effects.push(Effect::StreamBegan(stream));
        true
    }

    fn heard(&mut self, header: &Header, now: Monotonic, effects: &mut Vec<Effect>) {
        // A copy of what came before, however late, is no sign that the publisher still speaks.
        let is_news = header.sequence.0 > self.announced || Some(header.sent) > self.newest_sent;
        if !is_news {
            return;
        }
        self.last_heard = Some(now);
        self.newest_sent = self.newest_sent.max(Some(header.sent));
        if self.silent {
            self.silent = false;
            effects.push(Effect::SpokeAgain);
        }
    }

    /// Notes that packets up to `sequence` were sent.
    fn announce(&mut self, sequence: u64, now: Monotonic) {
        if self.next.is_none() {
            // Joined here: what was before is not waited for, snapshots bring it.
            self.next = Some(sequence + 1);
        }
        self.announced = self.announced.max(sequence);
        self.look_for_hole(now);
    }

    fn look_for_hole(&mut self, now: Monotonic) {
        if self.announced > self.applied() {
            self.hole_since.get_or_insert(now);
        } else {
            self.hole_since = None;
        }
    }

    fn incremental(
        &mut self,
        line: Line,
        packet: Numbered,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let next = *self.next.get_or_insert(packet.sequence);
        self.from_start |= next == 1;
        if packet.sequence < next || self.waiting.contains_key(&packet.sequence) {
            self.counts.duplicates += 1;
            return;
        }
        self.counts.first_by[line as usize] += 1;
        self.announced = self.announced.max(packet.sequence);
        self.waiting.insert(packet.sequence, packet);
        self.apply_waiting(now, effects);
        while self.waiting.len() > self.settings.waiting_max {
            self.give_up_hole(now, effects);
        }
    }

    /// Applies what waits, up to the next hole.
    fn apply_waiting(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let before = self.next;
        while let Some(packet) = self.next.and_then(|next| self.waiting.remove(&next)) {
            self.next = Some(packet.sequence + 1);
            for update in &packet.updates {
                self.update(update, packet.sequence, effects);
            }
            self.history.push_back(packet);
            if self.history.len() > self.settings.history_max {
                self.history.pop_front();
            }
        }
        if self.next != before {
            // A hole further on has its own time.
            self.hole_since = None;
        }
        self.look_for_hole(now);
    }

    /// Takes the packets before the first that waits, or all that were announced, for lost.
    fn give_up_hole(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let Some(first) = self.next else { return };
        let last = match self.waiting.keys().next() {
            Some(waiting) => waiting - 1,
            None => self.announced,
        };
        if last >= first {
            self.counts.gaps += 1;
            let lost = last - first + 1;
            self.counts.packets_lost = self.counts.packets_lost.saturating_add(lost);
            effects.push(Effect::Gap {
                first: Sequence(first),
                last: Sequence(last),
            });
            for (id, symbol) in &mut self.symbols {
                if symbol.stale.is_none() && symbol.as_of.0 < last {
                    symbol.stale = Some(Stale::Gap);
                    effects.push(Effect::BecameStale(*id, Stale::Gap));
                }
            }
            self.history.clear();
            self.next = Some(last + 1);
        }
        self.hole_since = None;
        self.apply_waiting(now, effects);
    }

    /// A symbol by its id; `None`, and counted, when there is no place for another.
    fn symbol(&mut self, id: SymbolId) -> Option<&mut Symbol> {
        if !self.symbols.contains_key(&id) && self.symbols.len() >= self.settings.symbols_max {
            self.counts.symbols_refused += 1;
            return None;
        }
        let from_start = self.from_start;
        let symbol = self.symbols.entry(id);
        Some(symbol.or_insert_with(|| Symbol::new(from_start)))
    }

    fn update(&mut self, update: &Update, sequence: u64, effects: &mut Vec<Effect>) {
        match update {
            Update::Trade(trade) => self.trade(*trade, effects),
            Update::PreviousClose { symbol: id, price } => {
                if let Some(symbol) = self.symbol(*id) {
                    symbol.previous_close = Some(*price);
                    effects.push(Effect::PreviousClose(*id, *price));
                }
            }
            Update::Image { symbol, .. } | Update::Changes { symbol, .. } => {
                let id = *symbol;
                if let Some(symbol) = self.symbol(id) {
                    let effect = change(symbol, id, update, sequence);
                    self.count(effect.as_ref());
                    effects.extend(effect);
                }
            }
        }
    }

    fn count(&mut self, effect: Option<&Effect>) {
        match effect {
            Some(Effect::BecameStale(_, Stale::Inconsistent)) => self.counts.inconsistent += 1,
            Some(Effect::BecameGood(id)) => {
                if let Some(symbol) = self.symbols.get_mut(id) {
                    self.counts.recoveries += u64::from(symbol.was_good);
                    symbol.was_good = true;
                }
            }
            _ => {}
        }
    }

    fn trade(&mut self, numbered: NumberedTrade, effects: &mut Vec<Effect>) {
        let NumberedTrade { ordinal, trade } = numbered;
        let Some(symbol) = self.symbol(trade.symbol) else {
            return;
        };
        symbol.saw_trade(ordinal, trade.into());
        let lost = symbol.account_trades(ordinal).saturating_sub(1);
        self.counts.trades_lost = self.counts.trades_lost.saturating_add(lost);
        let known = (trade.symbol, trade.trade, trade.at);
        if self.told_before.contains(&known) {
            self.counts.trades_repeated += 1;
            return;
        }
        self.told.push_back(known);
        if self.told.len() > TRADES_REMEMBERED {
            self.told.pop_front();
        }
        effects.push(Effect::Traded(trade));
    }

    fn snapshot(&mut self, snapshot: SymbolSnapshot, at: u64, effects: &mut Vec<Effect>) {
        let id = snapshot.symbol;
        let applied = self.applied();
        let mut lost = 0;
        let Some(symbol) = self.symbol(id) else {
            return;
        };
        if let Some(last) = snapshot.last {
            symbol.saw_trade(snapshot.trades, last);
        }
        if let Some(price) = snapshot.previous_close
            && symbol.previous_close != Some(price)
        {
            symbol.previous_close = Some(price);
            effects.push(Effect::PreviousClose(id, price));
        }
        if at <= applied {
            // All packets up to there have come or never will: so have their trades.
            lost = symbol.account_trades(snapshot.trades);
        }
        if symbol.stale.is_none() {
            let mismatch = refresh(symbol, snapshot.ladder, at, applied, id, effects);
            self.counts.snapshot_mismatches += u64::from(mismatch);
        } else {
            self.recover(id, snapshot.ladder, at, effects);
        }
        self.counts.trades_lost = self.counts.trades_lost.saturating_add(lost);
    }

    /// Makes a stale book good: the snapshot, and all packets behind it.
    fn recover(&mut self, id: SymbolId, ladder: Ladder, at: u64, effects: &mut Vec<Effect>) {
        let next = self.next.unwrap_or(at + 1);
        let replayed_from = self.history.front().map_or(next, |packet| packet.sequence);
        if at + 1 < replayed_from {
            self.counts.snapshots_too_old += 1;
            return;
        }
        let Some(symbol) = self.symbols.get_mut(&id) else {
            return;
        };
        symbol.ladder = ladder;
        symbol.as_of = Sequence(at);
        symbol.stale = None;
        for packet in self.history.iter().filter(|packet| packet.sequence > at) {
            for update in packet
                .updates
                .iter()
                .filter(|it| it.levels_of() == Some(id))
            {
                change(symbol, id, update, packet.sequence);
            }
        }
        let effect = match symbol.stale {
            None => Effect::BecameGood(id),
            Some(reason) => Effect::BecameStale(id, reason),
        };
        self.count(Some(&effect));
        effects.push(effect);
    }
}

/// Holds a snapshot against a good book; tells whether they differ where they must not.
fn refresh(
    symbol: &mut Symbol,
    ladder: Ladder,
    at: u64,
    applied: u64,
    id: SymbolId,
    effects: &mut Vec<Effect>,
) -> bool {
    if at < symbol.as_of.0 || (symbol.ladder == ladder && at <= applied) {
        return false;
    }
    if symbol.ladder != ladder {
        symbol.ladder = ladder;
        effects.push(Effect::BookChanged(id));
    }
    symbol.as_of = Sequence(at);
    // Nothing changed the book since, up to the last packet applied: it had to be the same.
    at <= applied
}

/// Makes a change of levels; tells what became of the book, if anything.
fn change(symbol: &mut Symbol, id: SymbolId, update: &Update, sequence: u64) -> Option<Effect> {
    let good = symbol.stale.is_none();
    if good && sequence <= symbol.as_of.0 {
        // A snapshot that came earlier has it.
        return None;
    }
    match update {
        Update::Image { ladder, .. } => symbol.ladder.clone_from(ladder),
        Update::Changes { changes, .. } if good => {
            if symbol.ladder.apply(changes).is_err() {
                symbol.stale = Some(Stale::Inconsistent);
                return Some(Effect::BecameStale(id, Stale::Inconsistent));
            }
        }
        // Changes of a stale book wait in the history.
        _ => return None,
    }
    symbol.as_of = Sequence(sequence);
    symbol.stale = None;
    Some(if good {
        Effect::BookChanged(id)
    } else {
        Effect::BecameGood(id)
    })
}
