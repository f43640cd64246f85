//! Which copy each number was: what is needed to give a message again out of the log.
//!
//! ```text
//!   number  │ 5 │ 6 │ 7 │ 9 │     a copy's place, about 30 bytes, is kept long after its body
//!   log     │4.1│4.2│6.1│8.3│     8 was administrative: it has none, and is gap-filled
//! ```
//!
//! Places follow from the records, live or read back. When the numbers are set anew, copies that are
//! sent again take new numbers and keep their places.

use crate::Position;
use fix::dictionary::Kind;
use fix::{Place, Record};
use std::collections::VecDeque;

/// Places in one record: a checkpoint has as many records as it needs.
const RECORD_PLACES_MAX: usize = 1_024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    kept: VecDeque<Place>,
    max: usize,
    /// The greatest number whose place had to go.
    dropped: u64,
    /// A copy whose number comes next.
    pending: Option<Position>,
    carry: Option<Carry>,
}

/// Copies that are sent again under new numbers: the last ones of before, in their order.
#[derive(Clone, Debug)]
struct Carry {
    before: VecDeque<Place>,
    again: Vec<Place>,
}

pub(crate) fn position(place: &Place) -> Position {
    Position {
        index: place.index,
        message: place.message,
    }
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// Takes a record in, as it is kept or read back.
    pub(crate) fn note(&mut self, record: &Record) {
        let Record::Out {
            msg_seq_num,
            kept: Some(kept),
        } = record
        else {
            return self.note_other(record);
        };
        if kept.kind != Kind::ExecutionReport {
            return;
        }
        let place = |position: Position| Place {
            msg_seq_num: *msg_seq_num,
            index: position.index,
            message: position.message,
            sending_time: kept.sending_time,
            poss_resend: kept.poss_resend,
        };
        if let Some(position) = self.pending.take() {
            self.push(place(position));
        } else if let Some(carry) = &mut self.carry {
            carry.again.push(place(Position::default()));
        }
    }

    fn note_other(&mut self, record: &Record) {
        self.pending = None;
        match record {
            Record::Numbers { .. } => {
                self.settle();
                self.dropped = 0;
                self.carry = Some(Carry {
                    before: std::mem::take(&mut self.kept),
                    again: Vec::new(),
                });
            }
            Record::Copied { index, message } => {
                self.settle();
                self.pending = Some(Position {
                    index: *index,
                    message: *message,
                });
            }
            // A checkpoint's own: they stand in place of what its messages say.
            Record::Placed { dropped, places } => {
                if self.carry.take().is_some() {
                    self.kept.clear();
                }
                self.dropped = *dropped;
                self.kept.extend(places);
            }
            _ => {}
        }
    }

    /// Gives what was sent again under new numbers its places.
    fn settle(&mut self) {
        let Some(Carry { before, again }) = self.carry.take() else {
            return;
        };
        let first = before.len().saturating_sub(again.len());
        for (place, was) in again.into_iter().zip(before.range(first..)) {
            self.push(Place {
                index: was.index,
                message: was.message,
                ..place
            });
        }
    }

    fn push(&mut self, place: Place) {
        self.kept.push_back(place);
        if self.kept.len() > self.max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.dropped = oldest.msg_seq_num;
        }
    }

    /// The records that give the places back.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let mut settled = self.clone();
        settled.settle();
        let dropped = settled.dropped;
        let places: Vec<Place> = settled.kept.into();
        let chunks: Vec<Record> = places
            .chunks(RECORD_PLACES_MAX)
            .map(|places| Record::Placed {
                dropped,
                places: places.to_vec(),
            })
            .collect();
        chunks.into_iter()
    }

    /// Those of the numbers from `first` up to and without `end`, and the greatest number that is too
    /// old to have one.
    pub(crate) fn between(&mut self, first: u64, end: u64) -> (Vec<Place>, u64) {
        self.settle();
        let begin = self.kept.partition_point(|it| it.msg_seq_num < first);
        let wanted = self.kept.range(begin..);
        let wanted = wanted.take_while(|it| it.msg_seq_num < end);
        (wanted.copied().collect(), self.dropped)
    }
}
