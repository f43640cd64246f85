//! From a number to the row of a table that holds it: chains over a note of heads that grows with
//! its content, in memory that is allocated once.
//!
//! ```text
//!   number ─► bucket ─► heads [u32] ─► row ─► (another number? links [u32] ─► row …)
//! ```
//! The numbers themselves stand in the rows, which the caller needs anyway: a look-up touches one
//! line of the heads and the row. How many buckets are in use follows how many rows are in the index
//! (linear hashing; Litwin, 1980): each row that comes splits one bucket, so that there is no pause
//! while all is spread anew, nothing is allocated, and what is looked for is in as few pages as its
//! content needs, however large the bound is.
//!
//! Used to look up and never to walk over, so that its layout decides nothing.

use crate::lookup::touch;
use crate::prefetch::prefetch_row;

/// Chains of rows by number.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The first row of each bucket plus one; zero where none stands.
    heads: Vec<u32>,
    /// By row: the next of its bucket plus one.
    links: Vec<u32>,
    /// Buckets in use, from 1.
    buckets: usize,
    /// The largest power of two that is not above `buckets`, less one.
    mask: usize,
}

impl Index {
    /// Room for `max` rows, which the owner numbers from 0.
    pub(crate) fn with_room(max: usize) -> Self {
        let max = max.max(1);
        Self {
            // Zeroes come from the operating system untouched: pages are real once they are used.
            heads: vec![0; max],
            links: vec![0; max],
            buckets: 1,
            mask: 0,
        }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        // Of the two places that a bucket's split has made or will make, the one that there is.
        let wide = hash as usize & (self.mask << 1 | 1);
        if wide < self.buckets {
            wide
        } else {
            hash as usize & self.mask
        }
    }

    /// The row with a hash for which `is_it` says that it is the one looked for.
    #[inline]
    pub(crate) fn get(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut next = self.heads[self.bucket(hash)];
        while next != 0 {
            let row = next - 1;
            if is_it(row) {
                return Some(row);
            }
            next = self.links[row as usize];
        }
        None
    }

    /// Asks for the line in which a look-up will begin.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch_row(&self.heads, self.bucket(hash));
    }

    /// The row at which a look-up will begin, which mostly is the one looked for.
    #[inline]
    pub(crate) fn first(&self, hash: u64) -> Option<u32> {
        self.heads[self.bucket(hash)].checked_sub(1)
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.heads[..self.buckets].fill(0);
        (self.buckets, self.mask) = (1, 0);
    }

    /// Notes a row that is not there yet; `hash_of` tells the hash of any row that is.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, row: u32, hash_of: impl Fn(u32) -> u64) {
        // One bucket a row, as far as there are rows: rows that are used again find theirs there.
        if row as usize >= self.buckets && self.buckets < self.heads.len() {
            self.split(hash_of);
        }
        let bucket = self.bucket(hash);
        self.links[row as usize] = self.heads[bucket];
        self.heads[bucket] = row + 1;
    }

    /// Forgets a row that is there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, row: u32) {
        let bucket = self.bucket(hash);
        let behind = self.links[row as usize];
        let mut at = self.heads[bucket];
        if at == row + 1 {
            self.heads[bucket] = behind;
            return;
        }
        while at != 0 {
            let link = &mut self.links[at as usize - 1];
            if *link == row + 1 {
                *link = behind;
                return;
            }
            at = *link;
        }
    }

    /// Adds a bucket and gives it its part of the one that stood for both.
    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let new = self.buckets;
        let whole_mask = self.mask << 1 | 1;
        let old = new & self.mask;
        let mut next = std::mem::take(&mut self.heads[old]);
        let (mut stays, mut goes) = (0, 0);
        while next != 0 {
            let at = next as usize - 1;
            let of = if hash_of(next - 1) as usize & whole_mask == new {
                &mut goes
            } else {
                &mut stays
            };
            let this = next;
            next = self.links[at];
            self.links[at] = *of;
            *of = this;
        }
        self.heads[old] = stays;
        self.heads[new] = goes;
        self.buckets += 1;
        if self.buckets > whole_mask {
            self.mask = whole_mask;
        }
    }

    /// Makes the operating system hand out every page now rather than on first use.
    pub(crate) fn touch(&mut self) {
        touch(&mut self.heads);
        touch(&mut self.links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    proptest! {
        #[test]
        fn an_index_finds_what_a_map_finds(
            steps in prop::collection::vec((0_u64..60, any::<bool>()), 0..300),
            spread in any::<u64>(),
        ) {
            let hash = |number: u64| number.wrapping_mul(spread | 1);
            let (mut index, mut map) = (Index::with_room(60), BTreeMap::new());
            let (mut numbers, mut free) = (Vec::<u64>::new(), Vec::<u32>::new());
            for (number, add) in steps {
                if !add {
                    if let Some(row) = map.remove(&number) {
                        index.remove(hash(number), row);
                        free.push(row);
                    }
                } else if let Entry::Vacant(vacant) = map.entry(number) {
                    let row = free.pop().unwrap_or(numbers.len() as u32);
                    numbers.resize(numbers.len().max(row as usize + 1), 0);
                    numbers[row as usize] = number;
                    index.insert(hash(number), row, |row| hash(numbers[row as usize]));
                    vacant.insert(row);
                }
                for number in 0..60 {
                    let found = index.get(hash(number), |row| numbers[row as usize] == number);
                    prop_assert_eq!(found, map.get(&number).copied());
                }
            }
        }
    }
}
