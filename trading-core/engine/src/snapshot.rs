//! A state as bytes, and back.
//!
//! ```text
//!   ┌──────────┬────────────────┬────────────────┬────────────────────────┬─────────────────────┐
//!   │ "TCSTATE"│ SNAPSHOT_FORMAT│ body length    │ body: Stored and Since6│ XXH3-128 of all     │
//!   │ 7 bytes  │ u16 LE         │ u64 LE         │ in postcard form       │ before, 16 bytes BE │
//!   └──────────┴────────────────┴────────────────┴────────────────────────┴─────────────────────┘
//! ```
//!
//! Equal states have equal snapshots, so replicas may compare them byte by byte. Tables are kept row
//! by row, so that a restored state uses the same rows from then on; look-ups are built anew.

use crate::accounts::{Accounts, StoredAccounts};
use crate::client_ids::{ClientIds, Noted};
use crate::index::Index;
use crate::listing::{Listing, MarketBook};
use crate::lookup::Lookup;
use crate::market_day::MarketDay;
use crate::messages::Messages;
use crate::orders::{Orders, StoredOrders};
use crate::session::{Session, StoredSession};
use crate::state::{Facts, session_hash};
use crate::{FeesCollected, Shard, Unbalanced};
use book::{Resting, StopBook};
use rules::Enforcement;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::{Money, OrderId, Phase, Price, Side, SymbolDefinition};
use xxhash_rust::xxh3::xxh3_128;

/// Version of the snapshot's form. A change to any type of the state needs a new one.
pub const SNAPSHOT_FORMAT: u16 = 7;

/// The oldest format that is still read. What came since stands behind its body: see [`Since6`].
const OLDEST_FORMAT: u16 = 6;

const MAGIC: &[u8; 7] = b"TCSTATE";
const HEAD_BYTES: usize = MAGIC.len() + 2 + 8;
const HASH_BYTES: usize = 16;

/// Why bytes are no state, or a state no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It does not begin as a snapshot does.
    #[error(
        "failed to read a snapshot of {length} bytes: it does not begin with \"TCSTATE\": give a \
         file that a replica wrote"
    )]
    NoSnapshot {
        /// How many bytes came.
        length: usize,
    },
    /// Another version wrote it.
    #[error(
        "failed to read a snapshot: its format is {found}, this version reads {OLDEST_FORMAT} to \
         {SNAPSHOT_FORMAT}: run the version that wrote it, or take a snapshot from a peer of this version"
    )]
    UnknownFormat {
        /// The format that stands there.
        found: u16,
    },
    /// It is cut, or something stands behind it.
    #[error(
        "failed to read a snapshot: it has {found} bytes where its head says {expected}: fetch it \
         again from a peer"
    )]
    Length {
        /// What the head says.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Its content is not what was written.
    #[error(
        "failed to read a snapshot: its content hashes to {found:032x}, written was \
         {expected:032x}: it is damaged, fetch it again from a peer"
    )]
    Damaged {
        /// The hash that was written.
        expected: u128,
        /// The hash of what came.
        found: u128,
    },
    /// Its content is whole and yet no state.
    #[error("failed to read a snapshot: its content is no state: {detail}")]
    Malformed {
        /// What the decoder met.
        detail: String,
    },
    /// It is a state that cannot come from applying a log.
    #[error("failed to read a snapshot: its state does not balance: {0}")]
    Unbalanced(#[from] Unbalanced),
    /// The state has no serialised form.
    #[error("failed to write a snapshot: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

/// A state as a snapshot keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    facts: Facts,
    listings: Vec<StoredListing>,
    accounts: StoredAccounts,
    sessions: Vec<StoredSession>,
    orders: StoredOrders,
    day: u16,
    client_ids: Vec<Noted>,
}

/// What states have had since format 6, whose body ends before it: a state of then has nothing of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Since6 {
    /// All of the rules are acted on.
    is_whole: bool,
    fees: FeesCollected,
    /// Orders' rows, turnover, and fees frozen or owed.
    orders: Vec<(u32, Money, Money)>,
    /// Symbols' rows, of those of which anything is remembered.
    listings: Vec<(u32, ListingSince6)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListingSince6 {
    today: MarketDay,
    held: Vec<(Side, Price, OrderId)>,
    at_close: Vec<Resting>,
}

impl ListingSince6 {
    fn of<B: MarketBook>(listing: &Listing<B>) -> Option<Self> {
        let mut at_close = Vec::new();
        if let Some(queue) = &listing.at_close {
            queue.visit(&mut |order| at_close.push(*order));
        }
        let since = Self {
            today: listing.today,
            held: listing.held.iter().collect(),
            at_close,
        };
        let is_any = since.today != MarketDay::default()
            || !since.held.is_empty()
            || !since.at_close.is_empty();
        is_any.then_some(since)
    }

    fn restore<B: MarketBook>(self, row: u32, state: &mut Shard<B>) -> Option<()> {
        let listing = state.listings.get_mut(row as usize)?;
        listing.today = self.today;
        if let Some(suspended) = self.today.suspended {
            state.suspensions.insert((suspended.until, row));
        }
        for (side, price, order) in self.held {
            listing.held.insert(side, price, order);
            state.holding.insert(row);
        }
        if !self.at_close.is_empty() {
            let mut queue = B::for_symbol(&listing.definition);
            for resting in self.at_close {
                queue.rest(resting);
            }
            listing.at_close = Some(Box::new(queue));
        }
        Some(())
    }
}

impl Since6 {
    fn of<B: MarketBook>(state: &Shard<B>) -> Self {
        Self {
            is_whole: state.facts.risk.is_whole,
            fees: state.facts.fees,
            orders: state.orders.stored_fees(),
            listings: (0..)
                .zip(&state.listings)
                .filter_map(|(row, listing)| Some((row, ListingSince6::of(listing)?)))
                .collect(),
        }
    }

    /// Puts it into a state that is restored otherwise; `None` when it does not fit there.
    fn restore<B: MarketBook>(self, state: &mut Shard<B>) -> Option<()> {
        state.facts.risk.is_whole = self.is_whole;
        if let Some(rules) = &mut state.facts.risk.rules
            && self.is_whole
        {
            rules.enforcement = Enforcement::Whole;
        }
        state.facts.fees = self.fees;
        state.orders.restore_fees(self.orders)?;
        for (row, since) in self.listings {
            since.restore(row, state)?;
        }
        Some(())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredListing {
    definition: SymbolDefinition,
    phase: Phase,
    resting: Vec<Resting>,
    stops: StopBook,
    last: Option<Price>,
    previous_close: Option<Price>,
    market: Option<Price>,
    awaits_limits: bool,
}

impl StoredListing {
    fn of<B: MarketBook>(listing: &Listing<B>) -> Self {
        let mut resting = Vec::with_capacity(listing.book.len());
        listing.book.visit(&mut |order| resting.push(*order));
        Self {
            definition: listing.definition,
            phase: listing.phase,
            resting,
            stops: listing.stops.clone(),
            last: listing.last,
            previous_close: listing.previous_close,
            market: listing.market,
            awaits_limits: listing.awaits_limits,
        }
    }

    fn restore<B: MarketBook>(self) -> Listing<B> {
        let mut listing: Listing<B> = Listing::new(self.definition, self.phase);
        for resting in self.resting {
            listing.book.rest(resting);
        }
        Listing {
            stops: self.stops,
            last: self.last,
            previous_close: self.previous_close,
            market: self.market,
            awaits_limits: self.awaits_limits,
            ..listing
        }
    }
}

impl Stored {
    fn of<B: MarketBook>(state: &Shard<B>) -> Self {
        let sessions = state.sessions.iter();
        let (day, client_ids) = state.client_ids.to_noted();
        Self {
            facts: state.facts.clone(),
            listings: state.listings.iter().map(StoredListing::of).collect(),
            accounts: state.accounts.stored(),
            sessions: sessions
                .map(|session| session.stored(&state.messages))
                .collect(),
            orders: state.orders.stored(),
            day,
            client_ids,
        }
    }

    /// The state; `None` when it is none that an engine can be in.
    fn restore<B: MarketBook>(self) -> Option<Shard<B>> {
        let limits = self.facts.limits;
        let mut listings = Vec::with_capacity(self.listings.len());
        let mut listing_of = Lookup::with_room(limits.symbols_max as usize);
        if self.listings.len() as u64 > limits.symbols_max {
            return None;
        }
        for (row, listing) in (0..).zip(self.listings) {
            let symbol = u64::from(listing.definition.symbol.0);
            if listing_of.get(symbol).is_some() {
                return None;
            }
            listing_of.insert(symbol, row);
            listings.push(listing.restore());
        }
        let mut messages = Messages::new(&limits);
        let mut sessions: Vec<Session> = Vec::with_capacity(limits.sessions_max as usize);
        let mut session_of = Index::with_room(limits.sessions_max as usize);
        let mut graces = BTreeSet::new();
        for (row, stored) in (0..).zip(self.sessions) {
            let session = Session::restore(stored, &mut messages)?;
            let hash = session_hash(session.id);
            let is_twice = session_of.get(hash, |row| sessions[row as usize].id == session.id);
            if is_twice.is_some() || u64::from(row) >= limits.sessions_max {
                return None;
            }
            session_of.insert(hash, row, |row| session_hash(sessions[row as usize].id));
            graces.extend(session.grace_until.map(|until| (until, row)));
            sessions.push(session);
        }
        let room = (limits.client_order_ids_max, limits.accounts_max);
        let accounts = Accounts::restore(&limits, self.accounts)?;
        Some(Shard {
            orders: Orders::restore(&limits, self.orders)?,
            client_ids: ClientIds::from_noted(room, accounts.count(), self.day, &self.client_ids)?,
            accounts,
            facts: self.facts,
            listings,
            listing_of,
            sessions,
            session_of,
            messages,
            graces,
            suspensions: BTreeSet::new(),
            holding: BTreeSet::new(),
            fills: Vec::new(),
            auction_fills: Vec::new(),
            findings: Vec::new(),
        })
    }
}

impl<B: MarketBook> Shard<B> {
    /// The state as bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Unwritable`] when the encoder refuses; no state is known for which it does.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + HASH_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&SNAPSHOT_FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        let body = (Stored::of(self), Since6::of(self));
        let mut bytes =
            postcard::to_extend(&body, bytes).map_err(|error| SnapshotError::Unwritable {
                detail: error.to_string(),
            })?;
        let body_length = (bytes.len() - HEAD_BYTES) as u64;
        bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&body_length.to_le_bytes());
        let hash = xxh3_128(&bytes);
        bytes.extend_from_slice(&hash.to_be_bytes());
        Ok(bytes)
    }

    /// The state that [`Shard::snapshot`] wrote, checked: content hash, form, and balance.
    ///
    /// # Errors
    /// [`SnapshotError`] with what was found and what to do.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let length = bytes.len();
        let no_snapshot = SnapshotError::NoSnapshot { length };
        let rest = bytes.strip_prefix(MAGIC).ok_or(no_snapshot.clone())?;
        let (format, rest) = rest.split_first_chunk().ok_or(no_snapshot.clone())?;
        let format = u16::from_le_bytes(*format);
        if !(OLDEST_FORMAT..=SNAPSHOT_FORMAT).contains(&format) {
            return Err(SnapshotError::UnknownFormat { found: format });
        }
        let (body_length, rest) = rest.split_first_chunk().ok_or(no_snapshot)?;
        let overhead = (HEAD_BYTES + HASH_BYTES) as u64;
        let expected = u64::from_le_bytes(*body_length).saturating_add(overhead);
        let wrong_length = SnapshotError::Length {
            expected,
            found: length as u64,
        };
        if expected != length as u64 {
            return Err(wrong_length);
        }
        let (body, written) = rest.split_last_chunk::<HASH_BYTES>().ok_or(wrong_length)?;
        let expected = u128::from_be_bytes(*written);
        let found = xxh3_128(&bytes[..length - HASH_BYTES]);
        if expected != found {
            return Err(SnapshotError::Damaged { expected, found });
        }
        let malformed = |detail| SnapshotError::Malformed { detail };
        let unread = |error: postcard::Error| malformed(error.to_string());
        let (stored, rest) = postcard::take_from_bytes::<Stored>(body).map_err(unread)?;
        let since: Since6 = match format {
            OLDEST_FORMAT => Since6::default(),
            _ => postcard::from_bytes(rest).map_err(unread)?,
        };
        let contradicts = || malformed("its tables contradict each other".to_owned());
        let mut state: Self = stored.restore().ok_or_else(contradicts)?;
        since.restore(&mut state).ok_or_else(contradicts)?;
        state.check_conservation()?;
        Ok(state)
    }
}
