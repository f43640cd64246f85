//! Which of up to 262,144 places are taken: three levels of 64-bit words, so that the first taken
//! place is three steps away however far off it lies.
//!
//! ```text
//!   tops    [      1 word       ]   bit n: word n of `middles` is not 0
//!   middles [ up to 64 words    ]   bit n: word n of `places` is not 0
//!   places  [ up to 4,096 words ]   bit n: place n is taken
//! ```

/// The places that are taken.
#[derive(Clone, Debug)]
pub(super) struct Bitmap {
    places: Vec<u64>,
    middles: Vec<u64>,
    top: u64,
}

impl Bitmap {
    /// Most places that three levels reach.
    pub(super) const PLACES_MAX: usize = 64 * 64 * 64;

    /// `places` places, none of them taken.
    pub(super) fn new(places: usize) -> Self {
        let words = places.div_ceil(64);
        Self {
            places: vec![0; words],
            middles: vec![0; words.div_ceil(64)],
            top: 0,
        }
    }

    pub(super) fn take(&mut self, place: usize) {
        let (word, middle) = (place / 64, place / 64 / 64);
        self.places[word] |= bit(place);
        self.middles[middle] |= bit(word);
        self.top |= bit(middle);
    }

    pub(super) fn release(&mut self, place: usize) {
        let (word, middle) = (place / 64, place / 64 / 64);
        self.places[word] &= !bit(place);
        if self.places[word] != 0 {
            return;
        }
        self.middles[middle] &= !bit(word);
        if self.middles[middle] == 0 {
            self.top &= !bit(middle);
        }
    }

    /// The first taken place.
    pub(super) fn first(&self) -> Option<usize> {
        let middle = lowest(self.top)?;
        let word = middle * 64 + lowest(self.middles[middle])?;
        Some(word * 64 + lowest(self.places[word])?)
    }

    /// The first taken place behind `place`.
    pub(super) fn next(&self, place: usize) -> Option<usize> {
        let word = place / 64;
        if let Some(found) = lowest(self.places[word] & above(place)) {
            return Some(word * 64 + found);
        }
        let middle = word / 64;
        let (middle, within) = match lowest(self.middles[middle] & above(word)) {
            Some(found) => (middle, found),
            None => {
                let next = lowest(self.top & above(middle))?;
                (next, lowest(self.middles[next])?)
            }
        };
        let word = middle * 64 + within;
        Some(word * 64 + lowest(self.places[word])?)
    }
}

fn bit(place: usize) -> u64 {
    1 << (place % 64)
}

/// The bits of a word that stand above a place's own.
fn above(place: usize) -> u64 {
    (u64::MAX << (place % 64)) << 1
}

fn lowest(word: u64) -> Option<usize> {
    (word != 0).then(|| word.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_bitmap_walks_as_a_sorted_set(
            steps in prop::collection::vec((any::<bool>(), 0_usize..Bitmap::PLACES_MAX), 0..200),
            from in 0_usize..Bitmap::PLACES_MAX,
        ) {
            let (mut bitmap, mut set) = (Bitmap::new(Bitmap::PLACES_MAX), BTreeSet::new());
            for (take, place) in steps {
                if take {
                    bitmap.take(place);
                    set.insert(place);
                } else {
                    let place = set.iter().copied().find(|held| *held >= place).unwrap_or(place);
                    bitmap.release(place);
                    set.remove(&place);
                }
            }
            prop_assert_eq!(bitmap.first(), set.first().copied());
            let walked: Vec<usize> =
                std::iter::successors(bitmap.first(), |place| bitmap.next(*place)).collect();
            prop_assert_eq!(walked, set.iter().copied().collect::<Vec<_>>());
            let behind = set.range(from + 1..).next().copied();
            prop_assert_eq!(bitmap.next(from), behind);
        }
    }
}
