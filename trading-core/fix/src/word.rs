//! Eight bytes at once, as a little-endian number: its lowest byte is the first.
//!
//! ```text
//!   bytes   3 8 = 1 0 0 0 ␁        where '=' stands: 2
//!   word    0x0130303031_3d_38_33  digits before it: 38
//! ```
//!
//! A byte of a word is zero where adding 0x7f to its low seven bits leaves bit 7 clear, and bit 7 was
//! clear before: Henry S. Warren, "Hacker's Delight", 2nd edition, 6-1. Digits are summed in pairs,
//! then pairs of pairs: Daniel Lemire, "Quickly parsing eight digits" (2018).

/// Bytes of a word.
pub(crate) const BYTES: usize = size_of::<u64>();

/// The same byte in each place.
const fn each(byte: u8) -> u64 {
    u64::MAX / 0xff * byte as u64
}

/// The first eight bytes; zeros follow where there are fewer.
#[inline]
pub(crate) fn load(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let shift = |places: usize| 8 * places;
    match (bytes.first_chunk(), bytes.last_chunk()) {
        // Two halves, that may overlap.
        (Some(low), Some(high)) => {
            let (low, high) = (u32::from_le_bytes(*low), u32::from_le_bytes(*high));
            u64::from(low) | u64::from(high) << shift(bytes.len() - 4)
        }
        _ => match bytes {
            [] => 0,
            [a] => u64::from(*a),
            [a, b] => u64::from(*a) | u64::from(*b) << 8,
            [a, b, c, ..] => u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16,
        },
    }
}

/// Bit 7 of each place where that byte stands.
#[inline]
pub(crate) fn places(word: u64, byte: u8) -> u64 {
    let difference = word ^ each(byte);
    let low = each(0x7f);
    !(((difference & low) + low) | difference | low)
}

/// The first place of [`places`]; eight when there is none.
#[inline]
pub(crate) fn first(places: u64) -> usize {
    places.trailing_zeros() as usize / 8
}

/// The number that the first bytes say, at most eight; `None` when one of them is no digit.
#[inline]
pub(crate) fn digits(word: u64, length: usize) -> Option<u64> {
    if length == 0 {
        return Some(0);
    }
    // The last digit comes into the highest byte, zeros stand before the first.
    let values = (word ^ each(b'0')) << (8 * (BYTES - length.min(BYTES)));
    let above_nine = (values & each(0x7f)) + each(0x76);
    if (values | above_nine) & each(0x80) != 0 {
        return None;
    }
    let pairs = values.wrapping_mul(10) + (values >> 8);
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul((100 << 16) + 1) >> 16;
    let all = (fours & 0x0000_ffff_0000_ffff).wrapping_mul((10_000 << 32) + 1) >> 32;
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_loaded_from_any_number_of_bytes() {
        let bytes: Vec<u8> = (1..=12).collect();
        for length in 0..=bytes.len() {
            let expected = bytes[..length.min(BYTES)]
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            assert_eq!(load(&bytes[..length]), expected, "{length}");
        }
    }

    #[test]
    fn digits_are_read_as_the_standard_library_reads_them() {
        for number in (0..100_000_000_u64).step_by(9_973) {
            for width in number.to_string().len()..=8 {
                let text = format!("{number:0width$}");
                assert_eq!(digits(load(text.as_bytes()), width), Some(number));
            }
        }
    }

    #[test]
    fn each_other_byte_at_each_place_is_no_digit() {
        for length in 1..=8 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = [b'7'; 8];
                    text[place] = byte;
                    let is_read = digits(load(&text), length).is_some();
                    assert_eq!(is_read, byte.is_ascii_digit(), "{text:?} {length}");
                }
            }
        }
    }

    #[test]
    fn a_byte_is_found_at_each_place_beside_each_other() {
        for place in 0..8 {
            for other in (0..=u8::MAX).filter(|byte| *byte != b'=') {
                let mut text = [other; 8];
                text[place] = b'=';
                let found = places(load(&text), b'=');
                assert_eq!((first(found), found.count_ones()), (place, 1), "{text:?}");
            }
        }
        assert_eq!(first(places(load(b"12345678"), b'=')), 8);
    }
}
