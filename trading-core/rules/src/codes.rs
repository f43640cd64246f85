//! The codes by which a market's symbols are known.

use crate::decimal::text_in_files;
use std::fmt;
use types::SymbolId;

/// Codes from the first to the last, both included. Text is `600000-605999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeRange((u32, u32));

impl CodeRange {
    /// Whether a symbol's code is one of them.
    #[must_use]
    pub fn contains(&self, symbol: SymbolId) -> bool {
        (self.0.0..=self.0.1).contains(&symbol.0)
    }

    /// Whether the two have a code in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.0 <= other.0.1 && other.0.0 <= self.0.1
    }

    /// The first and the last code.
    #[must_use]
    pub fn ends(&self) -> (SymbolId, SymbolId) {
        (SymbolId(self.0.0), SymbolId(self.0.1))
    }
}

impl fmt::Display for CodeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}-{:06}", self.0.0, self.0.1)
    }
}

impl std::str::FromStr for CodeRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = |part: &str| {
            let digits = part.len() == 6 && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse().ok() } else { None }
        };
        match text
            .split_once('-')
            .map(|(first, last)| (code(first), code(last)))
        {
            Some((Some(first), Some(last))) if first <= last => Ok(Self((first, last))),
            _ => Err(format!(
                "{text:?} is not accepted: use two codes of six digits, the first at most the \
                 last, such as 600000-605999"
            )),
        }
    }
}

text_in_files!(CodeRange, (u32, u32));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_as_it_is_written() {
        let range: CodeRange = "000001-004999".parse().unwrap();
        assert_eq!(range.to_string(), "000001-004999");
        assert!(range.contains(SymbolId(1)) && range.contains(SymbolId(4_999)));
        assert!(!range.contains(SymbolId(0)) && !range.contains(SymbolId(5_000)));
        for bad in ["600000", "605999-600000", "1-2", "600000-", "600000-60599x"] {
            assert!(bad.parse::<CodeRange>().unwrap_err().contains(bad));
        }
    }
}
