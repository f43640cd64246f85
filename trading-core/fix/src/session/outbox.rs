//! Messages that may be asked for again.

use crate::record::Kept;
use std::collections::VecDeque;

/// The latest application messages by number; administrative ones are not in it.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    kept: VecDeque<(u64, Kept)>,
    max: usize,
    /// Messages from here on may not have arrived when the numbers are set anew.
    pub unconfirmed_from: u64,
}

impl Outbox {
    pub(super) fn new(max: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            max,
            unconfirmed_from: 1,
        }
    }

    /// True when an older message had to go. A number below the last one is not taken again.
    pub(super) fn keep(&mut self, number: u64, kept: Kept) -> bool {
        if self.kept.back().is_some_and(|(last, _)| *last >= number) {
            return false;
        }
        self.kept.push_back((number, kept));
        let is_full = self.kept.len() > self.max;
        if is_full {
            self.kept.pop_front();
        }
        is_full
    }

    pub(super) fn clear(&mut self, next_out: u64) {
        self.kept.clear();
        self.unconfirmed_from = next_out;
    }

    pub(super) fn get(&self, number: u64) -> Option<&Kept> {
        let place = self.kept.binary_search_by_key(&number, |(it, _)| *it);
        self.kept.get(place.ok()?).map(|(_, kept)| kept)
    }

    pub(super) fn first_kept(&self) -> Option<u64> {
        self.kept.front().map(|(number, _)| *number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u64, Kept)> {
        self.kept.iter()
    }

    /// Those from `first` to `last`, both included.
    pub(super) fn range(&self, first: u64, last: u64) -> impl Iterator<Item = &(u64, Kept)> {
        let start = self.kept.partition_point(|(number, _)| *number < first);
        let wanted = self.kept.range(start..);
        wanted.take_while(move |(number, _)| *number <= last)
    }
}
