//! Rules as they go into the log.
//!
//! ```text
//!   ┌──────────────┬─────────────────────────┐
//!   │ format       │ RuleSet in postcard form│
//!   │ 1 byte       │ to the end              │
//!   └──────────────┴─────────────────────────┘
//! ```
//! The format says how much of the rules the engine acts on ([`Enforcement`]), so that a log decides
//! as it did when it was written: formats 1 and 2 have the same form.

use crate::{Enforcement, RuleError, RuleSet};

/// The newest format: what rules from files are written in. A change to any type of the rules, and one
/// to what the engine does by them, needs a new one.
pub const RULES_FORMAT: u8 = 2;

/// The first format, whose rules are still read and obeyed as far as they were then.
const FIRST_FORMAT: u8 = 1;

/// Most bytes that a set of rules may have: far more than any needs, far less than would hurt.
pub const RULES_BYTES_MAX: usize = 256 * 1024;

/// Why bytes are no rules, or rules no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleCodecError {
    /// There is nothing to read.
    #[error("failed to read rules: they are empty, their first byte must be {RULES_FORMAT}")]
    Empty,
    /// There is too much.
    #[error("failed to read rules of {length} bytes: at most {RULES_BYTES_MAX} are accepted")]
    TooLong {
        /// How many bytes came.
        length: usize,
    },
    /// Another version wrote them.
    #[error(
        "failed to read rules: format {found} is not known, this version reads {FIRST_FORMAT} to \
         {RULES_FORMAT}: write them with the tool of this version"
    )]
    UnknownFormat {
        /// The format byte that stands there.
        found: u8,
    },
    /// The bytes after the format byte are no rules.
    #[error("failed to read rules of {length} bytes: {detail}: write them again from their files")]
    Malformed {
        /// Length with the format byte.
        length: usize,
        /// What the decoder met.
        detail: String,
    },
    /// They contradict themselves.
    #[error("failed to read rules: {0}")]
    Unsound(#[from] RuleError),
    /// They have no serialised form.
    #[error("failed to write rules: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

/// Serialises rules that are sound.
///
/// # Errors
/// [`RuleCodecError::Unsound`] when they are not; [`RuleCodecError::TooLong`] when they are too many.
pub fn encode(rules: &RuleSet) -> Result<Vec<u8>, RuleCodecError> {
    rules.check()?;
    let format = match rules.enforcement {
        Enforcement::Checks => FIRST_FORMAT,
        Enforcement::Whole => RULES_FORMAT,
    };
    let bytes =
        postcard::to_extend(rules, vec![format]).map_err(|error| RuleCodecError::Unwritable {
            detail: error.to_string(),
        })?;
    let length = bytes.len();
    if length > RULES_BYTES_MAX {
        return Err(RuleCodecError::TooLong { length });
    }
    Ok(bytes)
}

/// Reads rules back and checks them.
///
/// # Errors
/// [`RuleCodecError`] with what was found and what would be accepted.
pub fn decode(bytes: &[u8]) -> Result<RuleSet, RuleCodecError> {
    let length = bytes.len();
    if length > RULES_BYTES_MAX {
        return Err(RuleCodecError::TooLong { length });
    }
    let (format, body) = bytes.split_first().ok_or(RuleCodecError::Empty)?;
    let enforcement = match *format {
        FIRST_FORMAT => Enforcement::Checks,
        RULES_FORMAT => Enforcement::Whole,
        found => return Err(RuleCodecError::UnknownFormat { found }),
    };
    let malformed = |detail: String| RuleCodecError::Malformed { length, detail };
    let (mut rules, rest) =
        postcard::take_from_bytes::<RuleSet>(body).map_err(|error| malformed(error.to_string()))?;
    rules.enforcement = enforcement;
    if !rest.is_empty() {
        return Err(malformed(format!("{} bytes are left", rest.len())));
    }
    rules.check()?;
    Ok(rules)
}
