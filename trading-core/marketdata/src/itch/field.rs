//! The fields that ITCH messages are made of: big-endian integers and space-padded ASCII.

use std::fmt;
use types::Side;

/// A value with a fixed place on the wire.
///
/// `read` and `write` get at least [`Field::BYTES`] bytes; they look at the first ones only.
pub(crate) trait Field: Copy {
    /// Bytes on the wire.
    const BYTES: usize;
    /// What is accepted, where not everything is; for the error's text.
    const ACCEPTED: &'static str = "any value";
    /// Whether these bytes are a value. A decoder asks before anything is read.
    fn accepts(_bytes: &[u8]) -> bool {
        true
    }
    /// Reads the value; total once [`Field::accepts`] has said yes.
    fn read(bytes: &[u8]) -> Self;
    /// Writes the value.
    fn write(self, out: &mut [u8]);
}

#[inline]
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

macro_rules! number_field {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl Field for $name {
            const BYTES: usize = size_of::<$inner>();
            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self(<$inner>::from_be_bytes(first(bytes)))
            }
            #[inline]
            fn write(self, out: &mut [u8]) {
                out[..Self::BYTES].copy_from_slice(&self.0.to_be_bytes());
            }
        }
    };
}

number_field!(
    /// The exchange's number for a stock, valid for one day. Zero where no stock is meant.
    StockLocate(u16)
);
number_field!(
    /// The exchange's own number; of no meaning to receivers.
    TrackingNumber(u16)
);
number_field!(
    /// The exchange's number for an order, unique for one day.
    OrderReference(u64)
);
number_field!(
    /// The exchange's number for a match, unique for one day.
    MatchNumber(u64)
);
number_field!(
    /// A price in 1/10,000 dollar.
    Price4(u32)
);
number_field!(
    /// An index level in 1/100,000,000.
    Price8(u64)
);
number_field!(
    /// A number of shares.
    Shares(u32)
);
number_field!(
    /// A number of shares that may exceed 32 bits: crosses and imbalances.
    ManyShares(u64)
);
number_field!(
    /// A plain number, such as a leverage factor.
    Number(u32)
);
number_field!(
    /// Seconds since midnight, in the exchange's time zone.
    SecondsSinceMidnight(u32)
);
number_field!(
    /// Nanoseconds since midnight in eight bytes, where a message carries a second time.
    LongTime(u64)
);

/// Nanoseconds since midnight, in the exchange's time zone: six bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinceMidnight {
    ns: u64,
}

impl SinceMidnight {
    /// The largest value that six bytes hold, more than three days.
    pub const NS_MAX: u64 = (1 << 48) - 1;

    /// A time; `None` beyond [`SinceMidnight::NS_MAX`].
    #[must_use]
    pub fn new(ns: u64) -> Option<Self> {
        (ns <= Self::NS_MAX).then_some(Self { ns })
    }

    /// Nanoseconds.
    #[must_use]
    pub fn ns(self) -> u64 {
        self.ns
    }
}

impl Field for SinceMidnight {
    const BYTES: usize = 6;
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let high = u16::from_be_bytes(first(bytes));
        let low = u32::from_be_bytes(first(&bytes[2..]));
        Self {
            ns: u64::from(high) << 32 | u64::from(low),
        }
    }
    #[inline]
    fn write(self, out: &mut [u8]) {
        out[..Self::BYTES].copy_from_slice(&self.ns.to_be_bytes()[2..]);
    }
}

/// Text of fixed width, padded with spaces on the right. The bytes are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize>([u8; N]);

/// A stock's name, such as `AAPL`.
pub type Stock = Text<8>;
/// A market participant's name.
pub type Participant = Text<4>;

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self([b' '; N])
    }
}

impl<const N: usize> Text<N> {
    /// Pads a text; `None` when it is longer than the field or not printable ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let accepted = text.len() <= N && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        accepted.then(|| {
            let mut bytes = [b' '; N];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            Self(bytes)
        })
    }

    /// The bytes with their padding.
    #[must_use]
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Field for Text<N> {
    const BYTES: usize = N;
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(first(bytes))
    }
    #[inline]
    fn write(self, out: &mut [u8]) {
        out[..N].copy_from_slice(&self.0);
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bytes from a network are shown so that no control character reaches a terminal.
        self.0.trim_ascii_end().escape_ascii().fmt(f)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A one-letter code of an open set: the exchange adds letters without a new version, so any byte is
/// accepted and its meaning is the reader's affair.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl Field for Code {
    const BYTES: usize = 1;
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(bytes[0])
    }
    #[inline]
    fn write(self, out: &mut [u8]) {
        out[0] = self.0;
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

/// `B` or `S`, anything else is refused.
impl Field for Side {
    const BYTES: usize = 1;
    const ACCEPTED: &'static str = "'B' or 'S'";
    #[inline]
    fn accepts(bytes: &[u8]) -> bool {
        matches!(bytes[0], b'B' | b'S')
    }
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        if bytes[0] == b'B' {
            Self::Buy
        } else {
            Self::Sell
        }
    }
    #[inline]
    fn write(self, out: &mut [u8]) {
        out[0] = match self {
            Self::Buy => b'B',
            Self::Sell => b'S',
        };
    }
}

/// Whether an execution counts for the time-and-sales record; `Y` or `N`, anything else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Printable {
    /// It counts.
    Yes,
    /// It is reported elsewhere already, such as by a cross.
    No,
}

impl Field for Printable {
    const BYTES: usize = 1;
    const ACCEPTED: &'static str = "'Y' or 'N'";
    #[inline]
    fn accepts(bytes: &[u8]) -> bool {
        matches!(bytes[0], b'Y' | b'N')
    }
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        if bytes[0] == b'Y' {
            Self::Yes
        } else {
            Self::No
        }
    }
    #[inline]
    fn write(self, out: &mut [u8]) {
        out[0] = match self {
            Self::Yes => b'Y',
            Self::No => b'N',
        };
    }
}
