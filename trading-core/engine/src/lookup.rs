//! From a sparse number to the dense one of a table's row: open addressing, allocated once.
//!
//! Used to look up and never to walk over, so that its layout decides nothing. A table of `max`
//! rows costs 32 bytes a row (16 a slot, at most half of the slots taken).

/// Finds rows by number, spread by a multiplication. `SEQUENTIAL` numbers, which come one after the
/// other, are spread by eights, so that the newest share their cache lines. (Side by side without
/// end they would be one long run, and each removal a walk to its end.)
#[derive(Clone, Debug)]
pub(crate) struct Lookup<const SEQUENTIAL: bool> {
    /// The number, and its row plus one; zero where nothing stands.
    slots: Vec<[u64; 2]>,
}

/// 2^64 divided by the golden ratio: spreads neighbours (Knuth, vol. 3, section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl<const SEQUENTIAL: bool> Lookup<SEQUENTIAL> {
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
        if SEQUENTIAL {
            let group = (number >> 3).wrapping_mul(GOLDEN) >> (shift + 3);
            return (group << 3 | number & 7) as usize;
        }
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

    /// Forgets a number and closes the gap, so that no traces are left that lookups would pass.
    pub(crate) fn remove(&mut self, number: u64) {
        let mask = self.slots.len() - 1;
        let mut gap = self.home(number);
        while self.slots[gap][0] != number || self.slots[gap][1] == 0 {
            if self.slots[gap][1] == 0 {
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & mask;
            if self.slots[next][1] == 0 {
                break;
            }
            // Whether it may stand in the gap: its home lies at the gap or before it.
            let home = self.home(self.slots[next][0]);
            let behind_home = next.wrapping_sub(home) & mask;
            if behind_home >= (next.wrapping_sub(gap) & mask) {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
        }
        self.slots[gap] = [0; 2];
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn agrees<const SEQUENTIAL: bool>(steps: &[(u64, bool)]) -> Result<(), TestCaseError> {
        let mut lookup = Lookup::<SEQUENTIAL>::with_room(16);
        let mut model = BTreeMap::new();
        for (row, (number, insert)) in steps.iter().enumerate() {
            if !insert {
                lookup.remove(*number);
                model.remove(number);
            } else if !model.contains_key(number) && model.len() < 16 {
                lookup.insert(*number, row as u32);
                model.insert(*number, row as u32);
            }
            for number in 0..40 {
                prop_assert_eq!(lookup.get(number), model.get(&number).copied());
            }
        }
        Ok(())
    }

    /// Side by side without end they were one run of all that is open, and each removal walked to
    /// its end: the first run of the benchmark took 60 µs a command.
    #[test]
    fn sequential_numbers_stand_in_short_runs() {
        let mut lookup = Lookup::<true>::with_room(100_000);
        for number in 0..100_000 {
            lookup.insert(number, number as u32);
        }
        let taken = lookup.slots.iter().map(|[_, row]| *row != 0);
        let (mut run, mut longest) = (0, 0);
        for taken in taken {
            run = if taken { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        assert!(longest < 1_000, "{longest}");
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..80)) {
            agrees::<true>(&steps)?;
            agrees::<false>(&steps)?;
        }
    }
}
