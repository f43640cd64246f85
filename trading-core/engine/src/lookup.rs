//! From a sparse number to the dense one of a table's row: open addressing, allocated once.
//!
//! Used to look up and never to walk over, so that its layout decides nothing. A table of `max`
//! rows costs 32 bytes a row (16 a slot, at most half of the slots taken).

/// Finds rows by number, spread by a multiplication. For what is looked up once a logon or a symbol;
/// what each request asks for is in an [`crate::index::Index`].
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The number, and its row plus one; zero where nothing stands.
    slots: Vec<[u64; 2]>,
}

/// 2^64 divided by the golden ratio: spreads neighbours (Knuth, vol. 3, section 6.4).
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Lookup {
    /// Room for `max` rows.
    pub(crate) fn with_room(max: usize) -> Self {
        let slots = (max.max(8) * 2).next_power_of_two();
        Self {
            // Zeroes come from the operating system untouched: pages are real once they are used.
            slots: vec![[0; 2]; slots],
        }
    }

    fn home(&self, number: u64) -> usize {
        let shift = 64 - self.slots.len().trailing_zeros();
        (number.wrapping_mul(GOLDEN) >> shift) as usize
    }

    pub(crate) fn get(&self, number: u64) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut place = self.home(number);
        loop {
            match self.slots[place] {
                [_, 0] => return None,
                [found, row] if found == number => return Some((row - 1) as u32),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Notes a number that is not there yet. The owner sees to it that there is room.
    pub(crate) fn insert(&mut self, number: u64, row: u32) {
        let mask = self.slots.len() - 1;
        let mut place = self.home(number);
        while self.slots[place][1] != 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = [number, u64::from(row) + 1];
    }

    /// Makes the operating system hand out every page now rather than on first use.
    pub(crate) fn touch(&mut self) {
        touch(&mut self.slots);
    }
}

/// Writes every page of a table once. A page is 4 KiB at least; writing zero over zero changes
/// nothing that can be seen.
pub(crate) fn touch<T: Copy>(rows: &mut [T]) {
    let step = (4096 / size_of::<T>().max(1)).max(1);
    for row in rows.iter_mut().step_by(step) {
        *std::hint::black_box(row) = *row;
    }
}

/// Writes every page of the room that a table has and does not use yet.
pub(crate) fn fill_in<T: Copy>(rows: &mut Vec<T>, empty: T) {
    let used = rows.len();
    rows.resize(rows.capacity(), empty);
    std::hint::black_box(&mut *rows);
    rows.truncate(used);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(numbers in prop::collection::vec(0_u64..40, 0..16)) {
            let mut lookup = Lookup::with_room(16);
            let mut model = BTreeMap::new();
            for (row, number) in (0..).zip(numbers) {
                if let Entry::Vacant(vacant) = model.entry(number) {
                    lookup.insert(number, row);
                    vacant.insert(row);
                }
                for number in 0..40 {
                    prop_assert_eq!(lookup.get(number), model.get(&number).copied());
                }
            }
        }
    }
}
