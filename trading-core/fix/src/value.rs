//! Values as text: counts, shares, yuan, times. Reading is exact or nothing.

use crate::word;
use types::{Price, Quantity, UnixMicros};

/// Longest number that is read, in digits: it fits an `i64` in 1/10,000 too.
const DIGITS_MAX: usize = 14;
/// Decimals of a [`Price`].
const PRICE_DECIMALS: usize = 4;

/// Powers of ten, as many as a word has digits.
const TENS: [u64; word::BYTES + 1] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

const MICROS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// The number that all of these bytes say; at most 18 of them.
#[inline]
fn digits(text: &[u8]) -> Option<u64> {
    let Some((high, low)) = text.split_last_chunk() else {
        return word::digits(word::load(text), text.len());
    };
    let low = word::digits(u64::from_le_bytes(*low), word::BYTES)?;
    if high.is_empty() {
        return Some(low);
    }
    Some(digits_byte_by_byte(high)? * 100_000_000 + low)
}

fn digits_byte_by_byte(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + u64::from(digit))
    })
}

/// Reads an integer of at most 18 digits.
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    digits(text)
}

/// Splits a decimal at its point; both sides are digits only, and there is at least one digit.
fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &text[text.len()..]),
    };
    if whole.len() + fraction.len() == 0 || whole.len() > DIGITS_MAX || fraction.len() > 18 {
        return None;
    }
    digits(fraction)?;
    Some((digits(whole)?, fraction))
}

/// Reads a decimal of at most eight characters without a sign: its digits as one number, and how many of
/// them stand behind the point.
#[inline]
fn short_decimal(text: &[u8]) -> Option<(u64, usize)> {
    let word = word::load(text);
    let point = word::first(word::places(word, b'.'));
    if point >= text.len() {
        return Some((word::digits(word, text.len())?, 0));
    }
    let before = word & !(u64::MAX << (8 * point));
    let behind = word >> (8 * point) >> 8 << (8 * point);
    let number = word::digits(before | behind, text.len() - 1)?;
    Some((number, text.len() - 1 - point))
}

/// Reads a number of shares: `100`, `100.` or `100.00`.
#[must_use]
pub fn quantity(text: &[u8]) -> Option<Quantity> {
    if (2..=word::BYTES).contains(&text.len()) {
        let (number, decimals) = short_decimal(text)?;
        let scale = TENS[decimals];
        return (number % scale == 0).then_some(Quantity(number / scale));
    }
    let (whole, fraction) = decimal(text)?;
    fraction
        .iter()
        .all(|byte| *byte == b'0')
        .then_some(Quantity(whole))
}

/// Reads a price in yuan: `10`, `10.05`, `-0.5`. A fifth decimal that is not zero is refused.
#[must_use]
pub fn price(text: &[u8]) -> Option<Price> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let units = if (2..=word::BYTES).contains(&text.len()) {
        let (number, decimals) = short_decimal(text)?;
        let scale = TENS[decimals.saturating_sub(PRICE_DECIMALS)];
        if number % scale != 0 {
            return None;
        }
        number / scale * TENS[PRICE_DECIMALS.saturating_sub(decimals)]
    } else {
        long_price(text)?
    };
    let units = i64::try_from(units).ok()?;
    Some(Price(if negative { -units } else { units }))
}

fn long_price(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = decimal(text)?;
    let mut units = whole;
    for place in 0..PRICE_DECIMALS {
        units = units * 10 + u64::from(fraction.get(place).map_or(0, |byte| byte - b'0'));
    }
    let rest = fraction.get(PRICE_DECIMALS..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b'0').then_some(units)
}

/// Reads a flag.
#[must_use]
pub fn flag(text: &[u8]) -> Option<bool> {
    match text {
        b"Y" => Some(true),
        b"N" => Some(false),
        _ => None,
    }
}

/// Reads `YYYYMMDD-HH:MM:SS`, optionally with 3 or 6 decimals. A leap second reads as the
/// second before it.
#[must_use]
pub fn time(text: &[u8]) -> Option<UnixMicros> {
    let fraction = match text.len() {
        17 => 0,
        21 if text[17] == b'.' => digits(&text[18..])? * 1_000,
        24 if text[17] == b'.' => digits(&text[18..])?,
        _ => return None,
    };
    let (day, clock) = (&text[..8], &text[9..17]);
    if text[8] != b'-' || clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let date = word::digits(word::load(day), 8)?;
    let clock = word::load(clock);
    let without_colons = clock & 0xffff | clock >> 8 & 0xffff_0000 | clock >> 16 & 0xffff_0000_0000;
    let clock = word::digits(without_colons, 6)?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return None,
    };
    let is_date = year >= 1970 && (1..=days_in_month).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60;
    let micros = (seconds + second.min(59)) * MICROS_PER_SECOND + fraction;
    Some(UnixMicros(micros))
}

/// Days from 1970-01-01. The year is counted from March, so that the leap day is its last: Howard
/// Hinnant, "chrono-compatible low-level date algorithms".
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date of a day since 1970-01-01: the inverse of [`days`], same source.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, value: u64) {
    let mut scratch = [0; 20];
    let mut start = scratch.len();
    let mut left = value;
    loop {
        start -= 1;
        scratch[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&scratch[start..]);
}

fn put_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut scratch = [b'0'; 8];
    let mut left = value;
    for byte in scratch[..width].iter_mut().rev() {
        *byte = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&scratch[..width]);
}

/// Appends a price with its four decimals.
pub(crate) fn put_price(out: &mut Vec<u8>, price: Price) {
    if price.0 < 0 {
        out.push(b'-');
    }
    let units = price.0.unsigned_abs();
    let per_yuan = Price::PER_YUAN.unsigned_abs();
    put_number(out, units / per_yuan);
    out.push(b'.');
    put_padded(out, units % per_yuan, PRICE_DECIMALS);
}

/// Appends a time with milliseconds, the finest that FIX 4.4 has.
pub(crate) fn put_time(out: &mut Vec<u8>, time: UnixMicros) {
    let seconds = time.0 / MICROS_PER_SECOND;
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    put_padded(out, year, 4);
    put_padded(out, month, 2);
    put_padded(out, day, 2);
    for (before, value) in [
        (b'-', of_day / 3_600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        out.push(before);
        put_padded(out, value, 2);
    }
    out.push(b'.');
    put_padded(out, time.0 / 1_000 % 1_000, 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_exactly_or_not_at_all() {
        for (text, units) in [
            ("10", 100_000),
            ("10.05", 100_500),
            ("0.0001", 1),
            (".5", 5_000),
            ("7.", 70_000),
            ("10.00000", 100_000),
            ("-0.5", -5_000),
            ("99999999999999", 999_999_999_999_990_000),
        ] {
            assert_eq!(price(text.as_bytes()), Some(Price(units)), "{text}");
        }
        for bad in [
            "",
            ".",
            "-",
            "1,5",
            "1e5",
            "0.00001",
            "+1",
            "100000000000000",
        ] {
            assert_eq!(price(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn short_amounts_are_read_as_long_ones_are() {
        let characters = b"0159.-x";
        for pattern in 0..characters.len().pow(6) {
            let text: Vec<u8> = (0..6)
                .map(|place| characters[pattern / characters.len().pow(place) % characters.len()])
                .collect();
            for length in 2..=6 {
                let text = &text[..length];
                // Zeros before it make it too long for one word.
                let long = [b"000000".as_slice(), text].concat();
                let shown = String::from_utf8_lossy(text);
                if text[0] != b'-' {
                    assert_eq!(price(text), price(&long), "{shown}");
                }
                assert_eq!(quantity(text), quantity(&long), "{shown}");
            }
        }
    }

    #[test]
    fn shares_are_whole() {
        assert_eq!(quantity(b"100"), Some(Quantity(100)));
        assert_eq!(quantity(b"100.00"), Some(Quantity(100)));
        for bad in ["", "100.5", "-1", "ten"] {
            assert_eq!(quantity(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_time_is_read_and_written_as_it_was() {
        for text in [
            "19700101-00:00:00.000",
            "20000229-23:59:59.999",
            "20261125-01:02:03.004",
            "21000301-00:00:00.000",
        ] {
            let mut out = Vec::new();
            put_time(&mut out, time(text.as_bytes()).unwrap());
            assert_eq!(out, text.as_bytes());
        }
        assert_eq!(
            time(b"20261125-00:00:00"),
            Some(UnixMicros(1_795_564_800_000_000))
        );
        assert_eq!(
            time(b"20261125-00:00:00.000001"),
            Some(UnixMicros(1_795_564_800_000_001))
        );
        for bad in [
            "20260229-00:00:00",
            "20261301-00:00:00",
            "20261125 00:00:00",
            "20261125-24:00:00",
            "20261125-00:00:00.12",
            "19691231-00:00:00",
        ] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_written_in_yuan() {
        for (units, text) in [(100_500, "10.0500"), (-1, "-0.0001"), (0, "0.0000")] {
            let mut out = Vec::new();
            put_price(&mut out, Price(units));
            assert_eq!(out, text.as_bytes());
        }
    }
}
