//! Level 2 on the wire. `FORMAT.md` beside this crate's manifest tells it byte by byte.
//!
//! A packet is read whole or not at all: what is wrong with its last message keeps its first one
//! from taking effect.

use super::ladder::{Change, Ladder, LadderError};
use crate::market::{Level, Trade};
use types::{Epoch, Price, Quantity, Side, SymbolId, TradeId, UnixMicros};

/// The first four bytes of each packet.
pub const MAGIC: [u8; 4] = *b"TCL2";
/// The version that this code speaks; others are refused.
pub const VERSION: u8 = 1;
/// Longest packet: with headers of tunnels it still fits an Ethernet frame.
pub const PACKET_BYTES_MAX: usize = 1_400;
/// Bytes before the first message.
pub const HEADER_BYTES: usize = 48;

/// No publisher gets there: at a million packets a second in 292,000 years.
const SEQUENCE_MAX: u64 = u64::MAX / 2;

const MESSAGE_HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 24;
const TRADE_BYTES: usize = 48;
const PREVIOUS_CLOSE_BYTES: usize = 16;
const SNAPSHOT_BYTES: usize = 56;
const CHECKSUM_AT: usize = 44;

const KIND_CHANGES: u8 = 1;
const KIND_IMAGE: u8 = 2;
const KIND_TRADE: u8 = 3;
const KIND_PREVIOUS_CLOSE: u8 = 4;
const KIND_SNAPSHOT: u8 = 5;

const FLAG_LAST_TRADE: u8 = 1;
const FLAG_PREVIOUS_CLOSE: u8 = 2;

/// An independent sequence of packets; symbols are spread over channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

/// The number of an incremental packet in its stream, from 1 without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Which life of which publisher numbered a packet. Ordered: a later one ends all earlier ones.
///
/// The epoch fences a deposed leader. The start tells two publishers of one epoch apart, such as
/// before and after a restart, whose numbers would else be taken for each other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// When the publisher began, by its wall clock; a later start must have a later time.
    pub started: UnixMicros,
}

/// What a packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The channel.
    pub channel: ChannelId,
    /// The stream.
    pub stream: Stream,
    /// An incremental packet's own number; in all others the number of the last one sent.
    pub sequence: Sequence,
    /// When it was sent.
    pub sent: UnixMicros,
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it begins with.
    pub header: Header,
    /// What it carries.
    pub body: Body,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What changed.
    Incremental(Vec<Update>),
    /// Whole symbols, as they stood behind the incremental packet of the header's number.
    Snapshot(Vec<SymbolSnapshot>),
    /// Nothing: the line works, and this was the last number.
    Heartbeat,
}

/// One message of an incremental packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Levels that changed.
    Changes {
        /// The symbol.
        symbol: SymbolId,
        /// The levels; what is not named stays.
        changes: Vec<Change>,
    },
    /// The whole ladder, whatever it was before.
    Image {
        /// The symbol.
        symbol: SymbolId,
        /// The ladder.
        ladder: Ladder,
    },
    /// A trade. Trades are never conflated.
    Trade(NumberedTrade),
    /// The last price of the trading day before.
    PreviousClose {
        /// The symbol.
        symbol: SymbolId,
        /// The price.
        price: Price,
    },
}

impl Update {
    /// The symbol whose levels it sets, if it does.
    #[must_use]
    pub fn levels_of(&self) -> Option<SymbolId> {
        match self {
            Self::Changes { symbol, .. } | Self::Image { symbol, .. } => Some(*symbol),
            Self::Trade(_) | Self::PreviousClose { .. } => None,
        }
    }
}

/// A trade with its number among the stream's trades in its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberedTrade {
    /// From 1 without gaps: so a receiver knows how many it missed.
    pub ordinal: u64,
    /// The trade.
    pub trade: Trade,
}

/// A symbol as it stood behind one incremental packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSnapshot {
    /// The symbol.
    pub symbol: SymbolId,
    /// Its trades in this stream so far.
    pub trades: u64,
    /// The last of them.
    pub last: Option<LastTrade>,
    /// The last price of the trading day before, where known.
    pub previous_close: Option<Price>,
    /// Its levels.
    pub ladder: Ladder,
}

/// What is kept of the last trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTrade {
    /// Its number.
    pub trade: TradeId,
    /// At what price.
    pub price: Price,
    /// How many shares.
    pub quantity: Quantity,
    /// When.
    pub at: UnixMicros,
}

impl From<Trade> for LastTrade {
    fn from(trade: Trade) -> Self {
        Self {
            trade: trade.trade,
            price: trade.price,
            quantity: trade.quantity,
            at: trade.at,
        }
    }
}

/// Why bytes are no packet. Nothing of them was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Too short or too long.
    #[error(
        "failed to read a level-2 packet: its length {length} is not accepted, it must be \
         {min} to {max} bytes",
        min = HEADER_BYTES,
        max = PACKET_BYTES_MAX
    )]
    Length {
        /// Bytes that came.
        length: usize,
    },
    /// Not of this protocol.
    #[error(
        "failed to read a level-2 packet: it begins with {found:02x?}, not with \"TCL2\": check \
         that nothing else is sent to this group and port"
    )]
    Magic {
        /// The first bytes.
        found: [u8; 4],
    },
    /// Another version wrote it.
    #[error(
        "failed to read a level-2 packet: version {found} is not known, this receiver reads {VERSION}"
    )]
    Version {
        /// The version that stands there.
        found: u8,
    },
    /// A length field disagrees with what came.
    #[error("failed to read a level-2 packet: it says {said} bytes and {length} came: it was cut")]
    SaidLength {
        /// What the header says.
        said: usize,
        /// Bytes that came.
        length: usize,
    },
    /// Damaged on its way.
    #[error(
        "failed to read a level-2 packet: checksum {found:#010x} is not {computed:#010x}: it was \
         damaged"
    )]
    Checksum {
        /// What the header says.
        found: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A field holds what it cannot.
    #[error(
        "failed to read a level-2 packet: {field} {value} at byte {offset} is not accepted: {accepted}"
    )]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Where it stands.
        offset: usize,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// Levels that make no ladder.
    #[error("failed to read a level-2 packet: symbol {symbol} at byte {offset}: {source}")]
    Ladder {
        /// The symbol.
        symbol: SymbolId,
        /// Where its message begins.
        offset: usize,
        /// Why.
        source: LadderError,
    },
}

/// Makes one packet; messages are added as long as they fit.
#[derive(Clone, Debug)]
pub struct PacketWriter {
    bytes: Vec<u8>,
    messages: u16,
}

impl PacketWriter {
    /// A packet without messages: complete for a heartbeat.
    #[must_use]
    pub fn heartbeat(header: Header) -> Self {
        Self::begin(header, 3)
    }

    /// An incremental packet.
    #[must_use]
    pub fn incremental(header: Header) -> Self {
        Self::begin(header, 1)
    }

    /// A snapshot packet.
    #[must_use]
    pub fn snapshot(header: Header) -> Self {
        Self::begin(header, 2)
    }

    fn begin(header: Header, kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(PACKET_BYTES_MAX);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, kind]);
        bytes.extend_from_slice(&header.channel.0.to_le_bytes());
        bytes.extend_from_slice(&header.stream.epoch.0.to_le_bytes());
        bytes.extend_from_slice(&header.stream.started.0.to_le_bytes());
        bytes.extend_from_slice(&header.sequence.0.to_le_bytes());
        bytes.extend_from_slice(&header.sent.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes, messages: 0 }
    }

    /// Whether no message is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Adds an update; `false` when it does not fit and the packet is as before.
    pub fn update(&mut self, update: &Update) -> bool {
        self.add(|bytes| match update {
            Update::Changes { symbol, changes } => {
                begin_message(bytes, KIND_CHANGES, 0, *symbol);
                changes.iter().for_each(|change| write_entry(bytes, change));
            }
            Update::Image { symbol, ladder } => {
                begin_message(bytes, KIND_IMAGE, 0, *symbol);
                ladder
                    .changes()
                    .for_each(|change| write_entry(bytes, &change));
            }
            Update::Trade(NumberedTrade { ordinal, trade }) => {
                let aggressor = trade.aggressor.map_or(0, side_code);
                begin_message(bytes, KIND_TRADE, aggressor, trade.symbol);
                bytes.extend_from_slice(&ordinal.to_le_bytes());
                bytes.extend_from_slice(&trade.trade.0.to_le_bytes());
                bytes.extend_from_slice(&trade.price.0.to_le_bytes());
                bytes.extend_from_slice(&trade.quantity.0.to_le_bytes());
                bytes.extend_from_slice(&trade.at.0.to_le_bytes());
            }
            Update::PreviousClose { symbol, price } => {
                begin_message(bytes, KIND_PREVIOUS_CLOSE, 0, *symbol);
                bytes.extend_from_slice(&price.0.to_le_bytes());
            }
        })
    }

    /// Adds a symbol's snapshot; `false` when it does not fit and the packet is as before.
    pub fn symbol(&mut self, snapshot: &SymbolSnapshot) -> bool {
        self.add(|bytes| {
            let last = snapshot.last.map_or(0, |_| FLAG_LAST_TRADE);
            let close = snapshot.previous_close.map_or(0, |_| FLAG_PREVIOUS_CLOSE);
            begin_message(bytes, KIND_SNAPSHOT, last | close, snapshot.symbol);
            let LastTrade {
                trade,
                price,
                quantity,
                at,
            } = snapshot.last.unwrap_or(LastTrade {
                trade: TradeId(0),
                price: Price(0),
                quantity: Quantity(0),
                at: UnixMicros(0),
            });
            bytes.extend_from_slice(&snapshot.trades.to_le_bytes());
            bytes.extend_from_slice(&trade.0.to_le_bytes());
            bytes.extend_from_slice(&price.0.to_le_bytes());
            bytes.extend_from_slice(&quantity.0.to_le_bytes());
            bytes.extend_from_slice(&at.0.to_le_bytes());
            let close = snapshot.previous_close.unwrap_or_default();
            bytes.extend_from_slice(&close.0.to_le_bytes());
            let levels = snapshot.ladder.changes();
            levels.for_each(|change| write_entry(bytes, &change));
        })
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        if self.bytes.len() > PACKET_BYTES_MAX {
            self.bytes.truncate(begin);
            return false;
        }
        let length = (self.bytes.len() - begin) as u16;
        self.bytes[begin + 2..begin + 4].copy_from_slice(&length.to_le_bytes());
        self.messages += 1;
        true
    }

    /// The packet's bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u16;
        self.bytes[40..42].copy_from_slice(&self.messages.to_le_bytes());
        self.bytes[42..44].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&self.bytes);
        self.bytes[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

fn begin_message(bytes: &mut Vec<u8>, kind: u8, flags: u8, symbol: SymbolId) {
    // The length follows when it is known.
    bytes.extend_from_slice(&[kind, flags, 0, 0]);
    bytes.extend_from_slice(&symbol.0.to_le_bytes());
}

fn write_entry(bytes: &mut Vec<u8>, change: &Change) {
    bytes.extend_from_slice(&change.level.price.0.to_le_bytes());
    bytes.extend_from_slice(&change.level.quantity.0.to_le_bytes());
    bytes.extend_from_slice(&change.level.orders.to_le_bytes());
    bytes.extend_from_slice(&[side_code(change.side), 0, 0, 0]);
}

fn side_code(side: Side) -> u8 {
    match side {
        Side::Buy => 1,
        Side::Sell => 2,
    }
}

/// Over the whole packet but the checksum itself. CRC-32 (IEEE): UDP's own sum has 16 bits only and
/// may be absent.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[HEADER_BYTES..]);
    hasher.finalize()
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(number(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(number(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(number(bytes, at))
}

fn price_at(bytes: &[u8], at: usize) -> Price {
    Price(i64::from_le_bytes(number(bytes, at)))
}

/// Reads a packet.
///
/// # Errors
/// [`WireError`] with the field, its value and what would be accepted.
pub fn decode(bytes: &[u8]) -> Result<Packet, WireError> {
    check_envelope(bytes)?;
    let header = Header {
        channel: ChannelId(u16_at(bytes, 6)),
        stream: Stream {
            epoch: Epoch(u64_at(bytes, 8)),
            started: UnixMicros(u64_at(bytes, 16)),
        },
        sequence: Sequence(u64_at(bytes, 24)),
        sent: UnixMicros(u64_at(bytes, 32)),
    };
    if header.sequence.0 > SEQUENCE_MAX {
        let accepted = "less than half of what 8 bytes hold";
        return Err(refuse("sequence", header.sequence.0, 24, accepted));
    }
    let messages = Messages::split(bytes)?;
    let body = match bytes[5] {
        1 if header.sequence == Sequence(0) => {
            return Err(refuse(
                "sequence",
                0,
                24,
                "incremental packets count from 1",
            ));
        }
        1 => Body::Incremental(messages.map(read_update).collect::<Result<_, _>>()?),
        2 => Body::Snapshot(messages.map(read_snapshot).collect::<Result<_, _>>()?),
        3 if messages.count() == 0 => Body::Heartbeat,
        3 => {
            let count = u64::from(u16_at(bytes, 40));
            return Err(refuse("message count", count, 40, "a heartbeat has none"));
        }
        other => return Err(refuse("packet kind", u64::from(other), 5, "1, 2 or 3")),
    };
    Ok(Packet { header, body })
}

fn refuse(field: &'static str, value: u64, offset: usize, accepted: &'static str) -> WireError {
    WireError::Field {
        field,
        value,
        offset,
        accepted,
    }
}

fn check_envelope(bytes: &[u8]) -> Result<(), WireError> {
    let length = bytes.len();
    if !(HEADER_BYTES..=PACKET_BYTES_MAX).contains(&length) {
        return Err(WireError::Length { length });
    }
    let found: [u8; 4] = number(bytes, 0);
    if found != MAGIC {
        return Err(WireError::Magic { found });
    }
    if bytes[4] != VERSION {
        return Err(WireError::Version { found: bytes[4] });
    }
    let said = usize::from(u16_at(bytes, 42));
    if said != length {
        return Err(WireError::SaidLength { said, length });
    }
    let (found, computed) = (u32_at(bytes, CHECKSUM_AT), checksum(bytes));
    if found != computed {
        return Err(WireError::Checksum { found, computed });
    }
    Ok(())
}

/// One message where it lies.
#[derive(Clone, Copy)]
struct Placed<'a> {
    offset: usize,
    bytes: &'a [u8],
}

impl Placed<'_> {
    fn symbol(&self) -> SymbolId {
        SymbolId(u32_at(self.bytes, 4))
    }

    fn length(&self, accepted: bool, what: &'static str) -> Result<(), WireError> {
        if accepted {
            Ok(())
        } else {
            let length = self.bytes.len() as u64;
            Err(refuse("message length", length, self.offset + 2, what))
        }
    }

    fn entries(&self, from: usize) -> Result<Vec<Change>, WireError> {
        let entries = &self.bytes[from..];
        self.length(
            entries.len().is_multiple_of(ENTRY_BYTES),
            "levels take 24 bytes each",
        )?;
        entries
            .chunks_exact(ENTRY_BYTES)
            .enumerate()
            .map(|(place, entry)| {
                let offset = self.offset + from + place * ENTRY_BYTES;
                read_entry(entry, offset)
            })
            .collect()
    }

    fn ladder(&self, from: usize) -> Result<Ladder, WireError> {
        let entries = self.entries(from)?;
        let side = |side| {
            let of_side = entries.iter().filter(move |entry| entry.side == side);
            of_side.map(|entry| entry.level).collect()
        };
        Ladder::new(side(Side::Buy), side(Side::Sell)).map_err(|source| WireError::Ladder {
            symbol: self.symbol(),
            offset: self.offset,
            source,
        })
    }
}

/// The messages of a packet, whose lengths together fill it.
struct Messages<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Messages<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (mut at, mut count) = (HEADER_BYTES, 0_u64);
        while at < bytes.len() {
            let left = bytes.len() - at;
            let length = if left < MESSAGE_HEADER_BYTES {
                0
            } else {
                usize::from(u16_at(bytes, at + 2))
            };
            if !(MESSAGE_HEADER_BYTES..=left).contains(&length) {
                let accepted = "at least 8 and at most what is left of the packet";
                return Err(refuse("message length", length as u64, at + 2, accepted));
            }
            at += length;
            count += 1;
        }
        let said = u64::from(u16_at(bytes, 40));
        if said != count {
            let accepted = "the number of messages that are in the packet";
            return Err(refuse("message count", said, 40, accepted));
        }
        Ok(Self {
            bytes,
            at: HEADER_BYTES,
        })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Placed<'a>;

    fn next(&mut self) -> Option<Placed<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let offset = self.at;
        self.at += usize::from(u16_at(self.bytes, offset + 2));
        Some(Placed {
            offset,
            bytes: &self.bytes[offset..self.at],
        })
    }
}

fn read_side(code: u8, offset: usize) -> Result<Side, WireError> {
    match code {
        1 => Ok(Side::Buy),
        2 => Ok(Side::Sell),
        other => Err(refuse("side", u64::from(other), offset, "1 buy, 2 sell")),
    }
}

fn read_entry(entry: &[u8], offset: usize) -> Result<Change, WireError> {
    Ok(Change {
        side: read_side(entry[20], offset + 20)?,
        level: Level {
            price: price_at(entry, 0),
            quantity: Quantity(u64_at(entry, 8)),
            orders: u32_at(entry, 16),
        },
    })
}

fn read_update(message: Placed<'_>) -> Result<Update, WireError> {
    let (bytes, symbol) = (message.bytes, message.symbol());
    match bytes[0] {
        KIND_CHANGES => Ok(Update::Changes {
            symbol,
            changes: message.entries(MESSAGE_HEADER_BYTES)?,
        }),
        KIND_IMAGE => Ok(Update::Image {
            symbol,
            ladder: message.ladder(MESSAGE_HEADER_BYTES)?,
        }),
        KIND_TRADE => {
            message.length(bytes.len() == TRADE_BYTES, "a trade takes 48 bytes")?;
            let aggressor = match bytes[1] {
                0 => None,
                code => Some(read_side(code, message.offset + 1)?),
            };
            Ok(Update::Trade(NumberedTrade {
                ordinal: u64_at(bytes, 8),
                trade: Trade {
                    symbol,
                    trade: TradeId(u64_at(bytes, 16)),
                    price: price_at(bytes, 24),
                    quantity: Quantity(u64_at(bytes, 32)),
                    at: UnixMicros(u64_at(bytes, 40)),
                    aggressor,
                },
            }))
        }
        KIND_PREVIOUS_CLOSE => {
            let accepted = bytes.len() == PREVIOUS_CLOSE_BYTES;
            message.length(accepted, "a previous close takes 16 bytes")?;
            let price = price_at(bytes, 8);
            Ok(Update::PreviousClose { symbol, price })
        }
        other => {
            let accepted = "1 to 4 in an incremental packet";
            let value = u64::from(other);
            Err(refuse("message kind", value, message.offset, accepted))
        }
    }
}

fn read_snapshot(message: Placed<'_>) -> Result<SymbolSnapshot, WireError> {
    let bytes = message.bytes;
    if bytes[0] != KIND_SNAPSHOT {
        let (value, accepted) = (u64::from(bytes[0]), "5 in a snapshot packet");
        return Err(refuse("message kind", value, message.offset, accepted));
    }
    let whole = bytes.len() >= SNAPSHOT_BYTES;
    message.length(whole, "a symbol's snapshot takes 56 bytes and 24 a level")?;
    let last = LastTrade {
        trade: TradeId(u64_at(bytes, 16)),
        price: price_at(bytes, 24),
        quantity: Quantity(u64_at(bytes, 32)),
        at: UnixMicros(u64_at(bytes, 40)),
    };
    Ok(SymbolSnapshot {
        symbol: message.symbol(),
        trades: u64_at(bytes, 8),
        last: (bytes[1] & FLAG_LAST_TRADE != 0).then_some(last),
        previous_close: (bytes[1] & FLAG_PREVIOUS_CLOSE != 0).then(|| price_at(bytes, 48)),
        ladder: message.ladder(SNAPSHOT_BYTES)?,
    })
}
