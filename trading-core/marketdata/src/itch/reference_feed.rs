//! Reference prices out of ITCH over MoldUDP64: only what is whole gets through.
//!
//! ```text
//!   line A, line B, sent again ─► mold ─ in order ─► decode ─► order books ─► best bid, best offer ─┐
//!                                  │                              └─► trades ─► last trade ──────────┤
//!                                  ├─ hole: Ask … filled: on          tracker ◄── facts, whole? ◄────┘
//!                                  └─ lost: Broke … after a while all from message 1 is asked for again
//! ```
//!
//! ITCH has no snapshots: a book is the sum of all messages of the session. So while a message is
//! missing nothing is told, and when it is lost for good, or one does not fit, everything is begun anew
//! from the session's first message, a bounded number of times a session. A feed that is started in the
//! middle of a day does the same.

use super::{Message, OrderBookCounts, OrderBooks, Stock, decode};
use crate::market::MarketEvent;
use crate::mold::{self, FrameError, Packet, ReceiverCounts, Request, Session};
use crate::reference_price::{
    Facts, FeedState, ReferencePrice, ReferencePriceTracker, TrackerCounts, TrackerSettings,
};
use crate::time::Monotonic;
use std::collections::{BTreeMap, BTreeSet};
use types::{Price, Side, SymbolId, UnixMicros};

/// How a feed works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// How what is missing is asked for.
    pub receiver: mold::ReceiverSettings,
    /// When reference prices are told.
    pub tracker: TrackerSettings,
    /// Resting orders that are followed; more make the books wrong.
    pub orders_max: usize,
    /// A feed from which nothing came for so long is not whole, in microseconds. Heartbeats come each
    /// second.
    pub silence_us_max: u64,
    /// Time after a loss until everything is asked for again, in microseconds.
    pub restart_us: u64,
    /// How often that is done in one session.
    pub restarts_max: u32,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            receiver: mold::ReceiverSettings::default(),
            tracker: TrackerSettings::default(),
            orders_max: 4_000_000,
            silence_us_max: 3_000_000,
            restart_us: 5_000_000,
            restarts_max: 10,
        }
    }
}

/// Whether the books can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wholeness {
    /// Nothing has come yet, or the session has ended.
    NoSession,
    /// All messages known of have come.
    Whole,
    /// Messages are missing and are asked for.
    Behind,
    /// Nothing has come for too long.
    Silent,
    /// Messages are lost or did not fit: all begins anew, or has as often as allowed.
    Broken,
}

/// What a packet or the passing of time caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEffect {
    /// Send this to the retransmission server.
    Ask(Request),
    /// The books are whole, or no longer: told when it changes.
    Became(Wholeness),
}

/// What a feed counted since it was made, through all its beginnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Packets and messages.
    pub receiver: ReceiverCounts,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Beginnings anew.
    pub restarts: u64,
    /// What the tracker did.
    pub tracker: TrackerCounts,
}

/// One day's books and the reference prices that come of them.
#[derive(Clone, Debug)]
pub struct ReferenceFeed {
    settings: FeedSettings,
    listing: BTreeMap<Stock, SymbolId>,
    receiver: mold::Receiver,
    books: OrderBooks,
    last: BTreeMap<SymbolId, Price>,
    tracker: ReferencePriceTracker,
    session: Option<Session>,
    heard: Option<Monotonic>,
    broken: Option<Monotonic>,
    restarts: u32,
    told: Wholeness,
    counts: FeedCounts,
    /// Of the receiver's earlier beginnings.
    before: ReceiverCounts,
}

impl ReferenceFeed {
    /// A feed of the stocks in `listing`.
    #[must_use]
    pub fn new(settings: FeedSettings, listing: BTreeMap<Stock, SymbolId>) -> Self {
        Self {
            receiver: mold::Receiver::new(settings.receiver),
            books: books(&settings, &listing),
            last: BTreeMap::new(),
            tracker: ReferencePriceTracker::new(settings.tracker),
            session: None,
            heard: None,
            broken: None,
            restarts: 0,
            told: Wholeness::NoSession,
            counts: FeedCounts::default(),
            before: ReceiverCounts::default(),
            settings,
            listing,
        }
    }

    /// What it counted.
    #[must_use]
    pub fn counts(&self) -> FeedCounts {
        FeedCounts {
            receiver: sum(self.before, self.receiver.counts()),
            tracker: self.tracker.counts(),
            ..self.counts
        }
    }

    /// What did not fit since the last beginning.
    #[must_use]
    pub fn book_counts(&self) -> OrderBookCounts {
        self.books.counts()
    }

    /// The symbols that are followed.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        self.listing.values().copied()
    }

    /// Whether the books can be relied on at `now`.
    #[must_use]
    pub fn wholeness(&self, now: Monotonic) -> Wholeness {
        let Some(heard) = self.heard.filter(|_| self.session.is_some()) else {
            return Wholeness::NoSession;
        };
        if self.broken.is_some() {
            Wholeness::Broken
        } else if now.since_us(heard) > self.settings.silence_us_max {
            Wholeness::Silent
        } else if self.receiver.is_in_step() {
            Wholeness::Whole
        } else {
            Wholeness::Behind
        }
    }

    /// Takes a packet of either line, or one that was sent again.
    ///
    /// # Errors
    /// [`FrameError`] when it cannot be read; it is counted and changes nothing.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now: Monotonic,
        effects: &mut Vec<FeedEffect>,
    ) -> Result<(), FrameError> {
        let (mut arrived, mut caused) = (Messages::default(), Vec::new());
        let mut sink = |block: mold::Block<'_>| arrived.push(block.bytes);
        self.receiver.receive(bytes, now, &mut sink, &mut caused)?;
        // What belongs to a session that is over does not keep another alive.
        if let Ok(packet) = Packet::read(bytes)
            && (self.session.is_none() || self.session == Some(packet.session))
        {
            self.heard = Some(now);
        }
        self.take(&caused, &arrived, now, effects);
        Ok(())
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<FeedEffect>) {
        let (mut arrived, mut caused) = (Messages::default(), Vec::new());
        let is_due = |broken| now.since_us(broken) >= self.settings.restart_us;
        match self.broken {
            None => {
                let mut sink = |block: mold::Block<'_>| arrived.push(block.bytes);
                self.receiver.tick(now, &mut sink, &mut caused);
            }
            Some(broken) if is_due(broken) && self.restarts < self.settings.restarts_max => {
                self.restart();
            }
            Some(_) => {}
        }
        self.take(&caused, &arrived, now, effects);
    }

    /// Appends the records that may go to the core now; none while the books are not whole.
    pub fn take_records(&mut self, now: Monotonic, records: &mut Vec<ReferencePrice>) {
        if self.wholeness(now) != Wholeness::Whole {
            return;
        }
        while let Some(symbol) = self.tracker.next_symbol(now) {
            self.tracker.confirm(symbol, now);
            records.extend(self.tracker.next_record(now));
        }
    }

    /// Takes what the receiver made of a packet or of time. A session begins before its messages.
    fn take(
        &mut self,
        caused: &[mold::Effect],
        arrived: &Messages,
        now: Monotonic,
        effects: &mut Vec<FeedEffect>,
    ) {
        for effect in caused {
            match effect {
                mold::Effect::Ask(request) => effects.push(FeedEffect::Ask(*request)),
                mold::Effect::Lost { .. } => self.broken = Some(now),
                mold::Effect::SessionBegan(session) => {
                    // The same one again is a beginning of ours.
                    if self.session.replace(*session) != Some(*session) {
                        self.restarts = 0;
                    }
                    self.begin();
                }
                mold::Effect::SessionEnded(_) => {}
            }
        }
        let mut touched = BTreeSet::new();
        for message in arrived.iter() {
            self.message(message, now, &mut touched);
        }
        let ended = |effect: &mold::Effect| matches!(effect, mold::Effect::SessionEnded(_));
        if caused.iter().any(ended) {
            self.session = None;
        }
        self.tell(touched, now, effects);
    }

    fn message(&mut self, bytes: &[u8], now: Monotonic, touched: &mut BTreeSet<SymbolId>) {
        let message: Message<'_> = match decode(bytes, 0) {
            Ok(message) => message,
            Err(_) => {
                self.counts.unreadable += 1;
                self.broken.get_or_insert(now);
                return;
            }
        };
        let mut events = Vec::new();
        self.books.apply(message, &mut events);
        if !self.books.counts().are_clean() {
            self.broken.get_or_insert(now);
        }
        for event in events {
            match event {
                MarketEvent::Trade(trade) => {
                    self.last.insert(trade.symbol, trade.price);
                    touched.insert(trade.symbol);
                }
                MarketEvent::Level { symbol, .. } | MarketEvent::PreviousClose { symbol, .. } => {
                    touched.insert(symbol);
                }
            }
        }
    }

    /// Shows the tracker what changed, and says whether the books are whole where that changed.
    fn tell(&mut self, touched: BTreeSet<SymbolId>, now: Monotonic, effects: &mut Vec<FeedEffect>) {
        let wholeness = self.wholeness(now);
        let mut touched = touched;
        if wholeness != self.told {
            effects.push(FeedEffect::Became(wholeness));
            if matches!(
                self.told,
                Wholeness::Broken | Wholeness::Silent | Wholeness::NoSession
            ) {
                // Facts of a feed that was not looked at: all that is known holds again.
                touched.extend(self.last.keys());
            }
            self.told = wholeness;
        }
        let state = match wholeness {
            // Behind a hole that may yet be filled: what is known was so, and its record waits.
            Wholeness::Whole | Wholeness::Behind => FeedState::Whole,
            Wholeness::NoSession | Wholeness::Silent | Wholeness::Broken => {
                self.tracker.feed_broke();
                return;
            }
        };
        for symbol in touched {
            let facts = Facts {
                last: self.last.get(&symbol).copied(),
                bid: self.books.best(symbol, Side::Buy),
                offer: self.books.best(symbol, Side::Sell),
                previous_close: None,
            };
            self.tracker.observe(symbol, facts, state, now);
        }
    }

    /// Forgets the books: the next message is the session's first.
    fn begin(&mut self) {
        self.books = books(&self.settings, &self.listing);
        self.last.clear();
        self.broken = None;
    }

    /// Begins anew: the receiver follows the session from message 1, and asks for what has passed.
    fn restart(&mut self) {
        self.before = sum(self.before, self.receiver.counts());
        self.receiver = mold::Receiver::new(self.settings.receiver);
        self.restarts += 1;
        self.counts.restarts += 1;
        self.begin();
        // Until the first packet says how far the session is, nothing is known to be whole.
        self.heard = None;
    }
}

fn books(settings: &FeedSettings, listing: &BTreeMap<Stock, SymbolId>) -> OrderBooks {
    // Times of trades are not looked at here, so any midnight will do.
    OrderBooks::new(listing.clone(), UnixMicros(0), settings.orders_max)
}

fn sum(one: ReceiverCounts, two: ReceiverCounts) -> ReceiverCounts {
    ReceiverCounts {
        packets: one.packets + two.packets,
        messages: one.messages + two.messages,
        duplicates: one.duplicates + two.duplicates,
        malformed: one.malformed + two.malformed,
        old_session: one.old_session + two.old_session,
        gaps: one.gaps + two.gaps,
        requests: one.requests + two.requests,
        lost: one.lost + two.lost,
    }
}

/// Messages of one packet, and those that waited for it, copied one behind the other.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[*begin..*end])
    }
}
