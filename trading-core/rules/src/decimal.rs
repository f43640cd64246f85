//! Numbers that rule files write with a decimal point, kept as integers.

use std::fmt;
use types::{Money, Price};

/// A share of something in 1/100,000,000: `0.00341%` is 3,410. Text is a percentage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

/// An amount or price in 1/10,000 yuan; text is yuan, such as `0.01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Yuan(pub i64);

impl Ratio {
    /// The whole: 100 %.
    pub const ONE: u32 = 100_000_000;
    const PER_PERCENT_DIGITS: usize = 6;

    /// Whether `part` is at least this share of `whole`. Exact.
    #[must_use]
    pub fn is_reached(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(Self::ONE) >= u128::from(whole) * u128::from(self.0)
    }

    /// This share of `amount`, rounded half up to a multiple of `unit`.
    ///
    /// `None` when it exceeds the range. `amount` must not be negative and `unit` be above 0.
    #[must_use]
    pub fn of(self, amount: i64, unit: i64) -> Option<i64> {
        // Prices and fees fit into 64 bits, whose division takes a fraction of the time of 128.
        let one = u64::from(Self::ONE);
        let (whole, step) = (amount.cast_unsigned(), unit.cast_unsigned());
        let exact = whole.checked_mul(u64::from(self.0));
        if let (Some(exact), true) = (exact.filter(|it| *it < 1 << 62), step < 1 << 30) {
            // Both are below 2^62, so twice the one and the other are below 2^64.
            let step = step * one;
            let rounded = (2 * exact + step) / (2 * step);
            return Some((rounded * unit.cast_unsigned()).cast_signed());
        }
        let exact = i128::from(amount) * i128::from(self.0);
        let step = i128::from(unit) * i128::from(Self::ONE);
        let rounded = (2 * exact + step).div_euclid(2 * step);
        i64::try_from(rounded * i128::from(unit)).ok()
    }
}

impl Yuan {
    const DIGITS: usize = 4;

    /// As a price.
    #[must_use]
    pub fn price(self) -> Price {
        Price(self.0)
    }

    /// As an amount.
    #[must_use]
    pub fn money(self) -> Money {
        Money(self.0)
    }
}

/// Digits with at most `places` behind a point, as a count of the last place.
fn read(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let pointed = text.contains('.');
    let sound = !whole.is_empty() && pointed != part.is_empty() && part.len() <= places;
    if !sound
        || !whole
            .bytes()
            .chain(part.bytes())
            .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

fn show(value: u64, places: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = format!("{value:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    match part.trim_end_matches('0') {
        "" => f.write_str(whole),
        part => write!(f, "{whole}.{part}"),
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0.into(), Self::PER_PERCENT_DIGITS, f)?;
        f.write_str("%")
    }
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (text.strip_suffix('%'))
            .and_then(|digits| read(digits, Self::PER_PERCENT_DIGITS))
            .and_then(|value| value.try_into().ok())
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "{text:?} is not accepted: use a percentage of 0% to {}, with at most {} \
                     decimals, such as 0.05%",
                    Self(u32::MAX),
                    Self::PER_PERCENT_DIGITS
                )
            })
    }
}

impl fmt::Display for Yuan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        show(self.0.unsigned_abs(), Self::DIGITS, f)
    }
}

impl std::str::FromStr for Yuan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (read(text, Self::DIGITS).and_then(|value| value.try_into().ok()))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "{text:?} is not accepted: use yuan with at most {} decimals, quoted, such as \
                     \"0.01\"",
                    Self::DIGITS
                )
            })
    }
}

/// Text in files, the number itself in the log.
macro_rules! text_in_files {
    ($name:ty, $number:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() {
                    to.collect_str(self)
                } else {
                    serde::Serialize::serialize(&self.0, to)
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    let text =
                        <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <$number as serde::Deserialize>::deserialize(from).map(Self)
                }
            }
        }
    };
}
pub(crate) use text_in_files;

text_in_files!(Ratio, u32);
text_in_files!(Yuan, i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (text, value) in [
            ("0%", 0),
            ("0.00341%", 3_410),
            ("0.000001%", 1),
            ("10%", 10_000_000),
            ("102%", 102_000_000),
            ("57.3%", 57_300_000),
        ] {
            assert_eq!(text.parse(), Ok(Ratio(value)));
            assert_eq!(Ratio(value).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_text() {
        for bad in [
            "10",
            "%",
            "-1%",
            "1.%",
            ".5%",
            "0.0000001%",
            "1e2%",
            "4294967296%",
            "一%",
        ] {
            let error = bad.parse::<Ratio>().unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
        for bad in ["", "0.00001", "-1", "1,5", "99999999999999999999"] {
            let error = bad.parse::<Yuan>().unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
    }

    #[test]
    fn both_ways_to_divide_agree_where_they_meet() {
        for amount in (1 << 30) - 5..(1 << 30) + 5 {
            let (ratio, unit) = (Ratio(u32::MAX), 100);
            let exact = i128::from(amount) * i128::from(ratio.0);
            let step = i128::from(Ratio::ONE) * i128::from(unit);
            let rounded = (2 * exact + step) / (2 * step) * i128::from(unit);
            assert_eq!(ratio.of(amount, unit).map(i128::from), Some(rounded));
        }
    }

    #[test]
    fn a_share_is_rounded_half_up_to_the_unit() {
        // 0.05 % of 10.00, 9.99, 30.00 and 10.01 yuan, to the fen.
        let half_mill = Ratio(50_000);
        assert_eq!(half_mill.of(100_000, 100), Some(100), "0.005 is 0.01");
        assert_eq!(half_mill.of(99_900, 100), Some(0), "0.004995 is 0.00");
        assert_eq!(half_mill.of(300_000, 100), Some(200), "0.015 is 0.02");
        assert_eq!(Ratio(u32::MAX).of(i64::MAX, 1), None);
    }
}
