//! A table of pairs of a unit and a symbol, with a fixed number of places.
//!
//! Open addressing with a bounded probe: a look-up touches at most [`PROBE_MAX`] places next to one
//! another. A place whose entry is no longer alive is given to whoever needs one. The places are
//! found by multiplication (Knuth, The Art of Computer Programming, volume 3, section 6.4), which is
//! the same on every replica.

use serde::{Deserialize, Serialize};

/// Most places that one pair is looked for in.
pub(crate) const PROBE_MAX: usize = 16;

/// What a place holds.
pub(crate) trait Entry: Default {
    /// Whether it still says something at a time that the caller counts.
    fn is_alive(&self, now: u64) -> bool;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pairs<T> {
    /// Key + 1 and entry; 0 for a place that was never used. A power of two of them, or none yet.
    places: Vec<(u64, T)>,
    /// The power of two that the table gets with its first entry.
    bits: u32,
    pub(crate) overflowed: u64,
}

impl<T: Entry> Pairs<T> {
    /// A table of 2^`bits` places, which are made with the first entry.
    pub(crate) fn new(bits: u32) -> Self {
        Self {
            places: Vec::new(),
            bits,
            overflowed: 0,
        }
    }

    /// The entry of a pair, new when it has none that is alive; `None`, counted, when all places that
    /// it may have are taken.
    pub(crate) fn entry(&mut self, unit: u32, symbol: u32, now: u64) -> Option<&mut T> {
        if self.places.is_empty() {
            self.places
                .resize_with(1 << self.bits, || (0, T::default()));
        }
        let key = (u64::from(unit) << 32 | u64::from(symbol)) + 1;
        let mask = self.places.len() - 1;
        let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.bits)) as usize;
        let mut free = None;
        for step in 0..PROBE_MAX {
            let place = (first + step) & mask;
            let (held, entry) = &self.places[place];
            if *held == key && entry.is_alive(now) {
                return Some(&mut self.places[place].1);
            }
            if free.is_none() && (*held == 0 || !entry.is_alive(now)) {
                free = Some(place);
            }
            if *held == 0 {
                break;
            }
        }
        let Some(place) = free else {
            self.overflowed += 1;
            return None;
        };
        self.places[place] = (key, T::default());
        Some(&mut self.places[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Until(u64);

    impl Entry for Until {
        fn is_alive(&self, now: u64) -> bool {
            now < self.0
        }
    }

    #[test]
    fn each_pair_has_its_own_entry_until_it_dies() {
        let mut table = Pairs::<Until>::new(6);
        for unit in 0..3 {
            table.entry(unit, 7, 0).unwrap().0 = 10 + u64::from(unit);
        }
        for unit in 0..3 {
            assert_eq!(table.entry(unit, 7, 5).unwrap().0, 10 + u64::from(unit));
        }
        assert_eq!(
            table.entry(0, 7, 10).unwrap().0,
            0,
            "it was dead, this is a new one"
        );
    }

    #[test]
    fn what_finds_no_room_is_counted_and_finds_room_later() {
        let mut table = Pairs::<Until>::new(4);
        let mut placed = 0;
        for unit in 0..40 {
            if let Some(entry) = table.entry(unit, 0, 0) {
                entry.0 = 10;
                placed += 1;
            }
        }
        assert_eq!(placed, 16);
        assert_eq!(table.overflowed, 24);
        assert!(table.entry(99, 0, 10).is_some());
    }
}
