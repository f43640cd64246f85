//! Which client order ids took effect today: exact, allocated once, cleared in one step.
//!
//! ```text
//!   slot, 8 bytes:   │ day, 2 │ fingerprint, 2 │ entry, 4 │      two for each id that the bound allows
//!                                                 ▼
//!   entry, 32 bytes: │ 20 characters of the id │ account, 4 │ order, 6 │ day, 2 │   in order of coming
//! ```
//! A slot of another day counts as empty. Entries stand one behind the other, so a new id is written
//! where the last one was, and what is searched is a quarter as large as what is known. With a note
//! of each entry's slot the table costs 52 bytes an id: 390 MB for the default of eight million a day
//! (slots come in powers of two).
//!
//! An id's slot is found from all but its last character; the last one only says where in a group of
//! 16 slots to begin. Clients count, so the next id of an account mostly has its slot in the same two
//! lines of the cache as the last one. Ids that differ in the last character alone are at most 94: nobody
//! can make his own lookups, or others', long by choosing them.

use crate::lookup::{fill_in, touch};
use crate::prefetch::prefetch_row;
use types::{ClOrdId, OrderId};

const GROUP: usize = 16;
const ENTRY_BITS: u32 = 32;
const DAY_SHIFT: u32 = 48;
const FINGERPRINT: u64 = 0xffff << 48;
const ORDER_BITS: u32 = 48;
const ORDER_MASK: u64 = (1 << ORDER_BITS) - 1;

/// The ids of one day.
#[derive(Clone, Debug)]
pub(crate) struct ClientIds {
    slots: Vec<u64>,
    entries: Vec<[u64; 4]>,
    /// Which day's slots count; from 1, so that untouched memory is empty.
    day: u16,
    /// Each entry's slot: what a snapshot tells with it.
    taken: Vec<u32>,
}

/// What stands where an id belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The id took effect and names this order.
    Taken(OrderId),
    /// It is free, and this is its slot until another id is noted.
    Free(usize),
}

/// A slot as a snapshot keeps it.
pub(crate) type Noted = (u32, [u64; 4]);

impl ClientIds {
    pub(crate) fn with_room(max: u64) -> Self {
        let slots = (max.max(GROUP as u64) as usize * 2).next_power_of_two();
        Self {
            slots: vec![0; slots],
            entries: Vec::with_capacity(max as usize),
            day: 1,
            taken: Vec::with_capacity(max as usize),
        }
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.len() as u64
    }

    pub(crate) fn place(&self, account: u32, id: ClOrdId) -> Place {
        let words = id.to_words();
        let third = words[2] | u64::from(account) << 32;
        let mask = self.slots.len() - 1;
        let hash = home(words, account);
        let tag = self.tag(hash);
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if (slot >> DAY_SHIFT) as u16 != self.day {
                return Place::Free(place);
            }
            if slot >> ENTRY_BITS == tag {
                let [first, second, found_third, order] = self.entries[slot as u32 as usize];
                if first == words[0] && second == words[1] && found_third == third {
                    return Place::Taken(OrderId(order & ORDER_MASK));
                }
            }
            place = (place + 1) & mask;
        }
    }

    /// Asks for the slot of an id.
    #[inline]
    pub(crate) fn prefetch(&self, account: u32, id: ClOrdId) -> u64 {
        let hash = home(id.to_words(), account);
        prefetch_row(&self.slots, hash as usize & (self.slots.len() - 1));
        hash
    }

    /// Asks for the entry that most likely has the id with this hash; its slot should be at hand.
    #[inline]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        let slot = self.slots[hash as usize & (self.slots.len() - 1)];
        if slot >> ENTRY_BITS == self.tag(hash) {
            prefetch_row(&self.entries, slot as u32 as usize);
        }
    }

    /// The upper half of a slot: the day, and what tells most ids apart that share a slot.
    fn tag(&self, hash: u64) -> u64 {
        u64::from(self.day) << 16 | hash >> 48
    }

    /// Notes an id at the slot that [`ClientIds::place`] found free.
    pub(crate) fn note(&mut self, free: usize, account: u32, id: ClOrdId, order: OrderId) {
        assert!(order.0 <= ORDER_MASK);
        let words = id.to_words();
        let third = words[2] | u64::from(account) << 32;
        let order = order.0 | u64::from(self.day) << ORDER_BITS;
        let hash = home(words, account);
        self.put(free as u32, hash, [words[0], words[1], third, order]);
    }

    fn put(&mut self, at: u32, hash: u64, entry: [u64; 4]) {
        // Fewer entries than slots, which are counted in 32 bits.
        self.slots[at as usize] = self.tag(hash) << ENTRY_BITS | self.entries.len() as u64;
        self.entries.push(entry);
        self.taken.push(at);
    }

    /// Forgets all ids.
    pub(crate) fn clear(&mut self) {
        self.taken.clear();
        self.entries.clear();
        self.day = self.day.wrapping_add(1);
        if self.day == 0 {
            // After 65,535 days the numbers begin anew.
            self.slots.fill(0);
            self.day = 1;
        }
    }

    /// What a snapshot keeps: the day, and each taken slot with its place.
    pub(crate) fn to_noted(&self) -> (u16, Vec<Noted>) {
        let noted = self.taken.iter().copied().zip(self.entries.iter().copied());
        (self.day, noted.collect())
    }

    /// The table that wrote those, or `None` when they do not fit one of this size.
    pub(crate) fn from_noted(max: u64, day: u16, noted: &[Noted]) -> Option<Self> {
        let mut ids = Self::with_room(max);
        ids.day = day;
        if day == 0 || noted.len() as u64 > max {
            return None;
        }
        for (at, entry) in noted {
            let is_sound = (entry[3] >> ORDER_BITS) as u16 == day && entry[0] != 0;
            let slot = ids.slots.get(*at as usize)?;
            if !is_sound || *slot != 0 {
                return None;
            }
            ids.put(*at, home_of(entry), *entry);
        }
        Some(ids)
    }

    pub(crate) fn touch(&mut self) {
        touch(&mut self.slots);
        fill_in(&mut self.entries, [0; 4]);
        fill_in(&mut self.taken, 0);
    }
}

/// Where the search for an entry's id began.
fn home_of(entry: &[u64; 4]) -> u64 {
    let words = [entry[0], entry[1], entry[2] & u64::from(u32::MAX)];
    home(words, (entry[2] >> 32) as u32)
}

/// Where the search for an id begins, in the lower bits; its fingerprint in the upper 16.
#[inline]
fn home([first, second, third]: [u64; 3], account: u32) -> u64 {
    // The last character stands highest in the last word that has any. Chosen by values and not by
    // an index, so that the words stay in registers.
    let last = match (second, third) {
        (0, _) => first,
        (_, 0) => second,
        _ => third,
    };
    let shift = (63 - (last | 1).leading_zeros()) & !7;
    let character = last >> shift;
    let bits = character << shift;
    let first = first ^ if second == 0 { bits } else { 0 };
    let second = second ^ if second != 0 && third == 0 { bits } else { 0 };
    let third = third ^ if third != 0 { bits } else { 0 };
    let mut hash = first ^ u64::from(account).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = folded(hash ^ 0xA076_1D64_78BD_642F, second ^ 0xE703_7ED1_A0B4_28DB);
    hash = folded(hash ^ third, 0x8EBC_6AF0_9C88_C6E3);
    // The upper bits of a group's number are more than there are groups: they are the fingerprint,
    // with the character's upper ones, so that `A1` and `Aq` differ there.
    hash.wrapping_mul(GROUP as u64) & !FINGERPRINT
        | (hash ^ (character >> 4) << 48) & FINGERPRINT
        | character & (GROUP as u64 - 1)
}

/// The two halves of a 128-bit product, laid over each other: the mixing step of wyhash.
#[inline]
pub(crate) fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClOrdId {
        ClOrdId::new(text).unwrap()
    }

    fn note(ids: &mut ClientIds, account: u32, text: &str, order: u64) {
        match ids.place(account, id(text)) {
            Place::Free(place) => ids.note(place, account, id(text), OrderId(order)),
            Place::Taken(_) => panic!("{text} is taken"),
        }
    }

    #[test]
    fn an_id_is_found_on_its_account_and_on_no_other() {
        let mut ids = ClientIds::with_room(64);
        for (order, text) in (1..).zip(["A1", "A2", "A10", "12345678901234567890", "12345678"]) {
            note(&mut ids, 7, text, order);
        }
        assert_eq!(ids.place(7, id("A10")), Place::Taken(OrderId(3)));
        assert_eq!(ids.place(7, id("12345678")), Place::Taken(OrderId(5)));
        assert!(matches!(ids.place(8, id("A10")), Place::Free(_)));
        assert!(matches!(ids.place(7, id("A")), Place::Free(_)));
    }

    #[test]
    fn a_full_table_still_finds_each_and_a_new_day_finds_none() {
        let mut ids = ClientIds::with_room(1_000);
        for order in 0..1_000 {
            note(
                &mut ids,
                order % 3,
                &format!("order{order}"),
                u64::from(order),
            );
        }
        assert_eq!(ids.taken(), 1_000);
        for order in 0..1_000 {
            let place = ids.place(order % 3, id(&format!("order{order}")));
            assert_eq!(place, Place::Taken(OrderId(u64::from(order))));
        }
        ids.clear();
        assert_eq!(ids.taken(), 0);
        assert!(matches!(ids.place(0, id("order0")), Place::Free(_)));
    }

    #[test]
    fn a_snapshot_keeps_the_slots_where_they_are() {
        let mut ids = ClientIds::with_room(64);
        note(&mut ids, 1, "gone", 1);
        ids.clear();
        note(&mut ids, 1, "here", 2);
        let (day, noted) = ids.to_noted();
        let read = ClientIds::from_noted(64, day, &noted).unwrap();
        assert_eq!(read.place(1, id("here")), ids.place(1, id("here")));
        assert_eq!(
            read.place(1, id("gone")),
            Place::Free(match ids.place(1, id("gone")) {
                Place::Free(place) => place,
                Place::Taken(_) => panic!("a new day knows no old id"),
            })
        );
        assert!(ClientIds::from_noted(16, day, &[(1_000_000, [0; 4])]).is_none());
        assert_eq!(read.taken(), 1);
    }
}
