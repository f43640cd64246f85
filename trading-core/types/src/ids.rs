//! Identifiers. Each is a newtype, so that a session can never stand where an account is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A replica of a shard; also its id in the replication group. Zero means "none".
    ReplicaId(u64)
);
number_id!(
    /// One replicated log with its own state machine.
    ShardId(u16)
);
number_id!(
    /// The number of a leader's term. Grows with each election and is never reused.
    Epoch(u64)
);
number_id!(
    /// Position of an entry (a [`crate::Batch`], or a leader's opening no-op) in the shard's log.
    LogIndex(u64)
);
number_id!(
    /// Position of one command in the shard's history, counted from 1 without gaps.
    LogSeq(u64)
);
number_id!(
    /// A client's session; it outlives connections and leaders.
    SessionId(u64)
);
number_id!(
    /// A session's own number for a request, from 1 without gaps.
    ClientSeq(u64)
);
number_id!(
    /// The core's number for a message to a session, from 1 without gaps.
    OutSeq(u64)
);
number_id!(
    /// A client's account.
    AccountId(u64)
);
number_id!(
    /// The person or program that enters orders on a session. Zero means "not told apart".
    TraderId(u64)
);
number_id!(
    /// Who stands behind accounts: accounts of one owner count as one where rules look at owners.
    /// Zero means "nobody known but the account itself".
    OwnerId(u64)
);
number_id!(
    /// One movement of funds between shards; the same at both of them.
    TransferId(u64)
);
number_id!(
    /// A trading day as its date in digits, such as 20261125. Zero is before the first.
    TradingDay(u32)
);
number_id!(
    /// An order, numbered by the shard.
    OrderId(u64)
);
number_id!(
    /// A trade, numbered by the shard.
    TradeId(u64)
);
number_id!(
    /// Microseconds since 1970-01-01 UTC, read by the leader and carried in the log.
    UnixMicros(u64)
);

impl AccountId {
    /// The account's bucket, `0`–`99`: the unit in which traffic is moved between versions.
    ///
    /// FNV-1a over the id's little-endian bytes, so that clients of any language agree.
    #[must_use]
    pub fn bucket(self) -> u8 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in self.0.to_le_bytes() {
            hash ^= u64::from(byte);
            hash = hash.wrapping_mul(0x0100_0000_01b3);
        }
        (hash % 100) as u8
    }
}

/// An instrument, by its numeric exchange code, such as 600000. Shown with six digits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SymbolId(pub u32);

impl fmt::Display for SymbolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Why a text cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The client order id is empty, too long or holds a character outside printable ASCII.
    #[error(
        "cl_ord_id {value:?} is not accepted: use 1 to {max} printable ASCII characters without \
         spaces",
        max = ClOrdId::LENGTH_MAX
    )]
    ClOrdId {
        /// The text as it came.
        value: String,
    },
    /// The center's name cannot be used in Kubernetes names and DNS.
    #[error(
        "center {value:?} is not accepted: use 1 to {max} lower-case letters, digits or '-', \
         starting with a letter and not ending with '-'",
        max = CenterName::LENGTH_MAX
    )]
    CenterName {
        /// The text as it came.
        value: String,
    },
}

/// A client's own name for an order: 1 to 20 printable ASCII characters, unique per account and day.
///
/// Three whole words, so that a copy is three moves and what was just written can be read again at
/// once: a processor waits when it reads across what it is still writing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct ClOrdId {
    bytes: [u8; Self::LENGTH_MAX],
    length: u8,
}

impl ClOrdId {
    /// Longest accepted id, in characters; FIX counterparties commonly stop at 20.
    pub const LENGTH_MAX: usize = 20;

    /// Reads an id.
    ///
    /// # Errors
    /// [`IdError::ClOrdId`] when the text is empty, too long, or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, IdError> {
        Self::of_bytes(text.as_bytes()).ok_or_else(|| IdError::ClOrdId {
            value: text.to_owned(),
        })
    }

    /// Reads an id from its characters; `None` where [`ClOrdId::new`] refuses.
    #[must_use]
    pub fn of_bytes(source: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH_MAX];
        bytes.get_mut(..source.len())?.copy_from_slice(source);
        // All places are counted, whatever the length: so it is done without a branch a byte.
        let graphic = bytes
            .iter()
            .fold(0, |count, byte| count + u8::from(byte.is_ascii_graphic()));
        let length = source.len() as u8;
        (length > 0 && graphic == length).then_some(Self { bytes, length })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this never falls back.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// The id as numbers, for tables: its characters in order, the rest zero. No two ids share them,
    /// for no character is zero.
    #[must_use]
    #[inline]
    pub fn to_words(self) -> [u64; 3] {
        // Each word is one load of what lies there, without a copy in between.
        let [words @ .., a, b, c, d] = &self.bytes;
        let (words, _) = words.as_chunks::<8>();
        let last = u32::from_le_bytes([*a, *b, *c, *d]);
        [
            u64::from_le_bytes(words[0]),
            u64::from_le_bytes(words[1]),
            last.into(),
        ]
    }

    /// How many characters it has, 1 to 20.
    #[must_use]
    #[inline]
    pub fn length(self) -> u8 {
        self.length
    }
}

impl fmt::Display for ClOrdId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ClOrdId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClOrdId({})", self.as_str())
    }
}

impl Serialize for ClOrdId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClOrdId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A data center's name, such as `a1`; a DNS label of at most 32 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CenterName(String);

impl CenterName {
    /// Longest accepted name, in characters: it becomes part of Kubernetes object names.
    pub const LENGTH_MAX: usize = 32;

    /// Reads a name.
    ///
    /// # Errors
    /// [`IdError::CenterName`] when it is not a DNS label of at most 32 characters.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let inner = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if first && inner && text.len() <= Self::LENGTH_MAX && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::CenterName {
                value: text.to_owned(),
            })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CenterName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(&text)
    }
}

impl From<CenterName> for String {
    fn from(name: CenterName) -> Self {
        name.0
    }
}

impl std::str::FromStr for CenterName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl fmt::Display for CenterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_order_id_survives_the_log_format() {
        let id = ClOrdId::new("A-2026.0001").unwrap();
        let bytes = postcard::to_stdvec(&id).unwrap();
        assert_eq!(postcard::from_bytes::<ClOrdId>(&bytes).unwrap(), id);
    }

    #[test]
    fn a_client_order_id_outside_the_rule_is_refused_with_its_value() {
        for bad in ["", "has space", "123456789012345678901", "订单"] {
            let error = ClOrdId::new(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }

    #[test]
    fn a_center_name_is_a_dns_label() {
        for good in ["a1", "b1", "shanghai-2"] {
            assert_eq!(CenterName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A1", "1a", "a_1", "a1-", &"x".repeat(33)] {
            assert!(CenterName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn buckets_stay_in_range_and_spread() {
        let mut seen = [0_u32; 100];
        for account in 0..10_000 {
            seen[usize::from(AccountId(account).bucket())] += 1;
        }
        assert!(seen.iter().all(|n| *n > 50), "{seen:?}");
    }
}
