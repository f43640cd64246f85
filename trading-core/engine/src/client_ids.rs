//! Which client order ids took effect today: exact, allocated once, cleared in one step.
//!
//! ```text
//!   account ─► the names it used last: 10 × (fingerprint, node) ─┐
//!              (another one? ─► Index by name ─► first node) ────┴─► node ─► older ─► … first
//!
//!   name: an id but its last character, and the account
//!   node: │ name, 24 │ 4 members: last character, 1 │ 0 │ order, 6 │ older, 4 │ newest, 4 │  64 bytes
//! ```
//! Clients count, so an id mostly shares its name with the one before. What an account works on is
//! found in a line of its own and stands in nodes in order of coming: in few pages, however many ids
//! the day has seen. A table of slots that ids are spread over by a hash has each of them in another
//! page, and waits for that page's translation, which no asking beforehand can hide.
//!
//! Ten ids that differ in the last character take three nodes, 19 bytes an id; one that shares nothing
//! takes a node and 8 bytes of the index: 576 MB at most for the default of eight million a day. Ids
//! of one name are at most 94, in 24 nodes: nobody can make his own look-ups, or others', long by
//! choosing them.

use crate::index::Index;
use crate::lookup::fill_in;
use crate::orders::NONE;
use crate::prefetch::prefetch_row;
use types::{ClOrdId, OrderId};

const MEMBERS: usize = 4;
/// Names of an account that are found without the index.
const RECENT: usize = 10;
const CHARACTER_SHIFT: u32 = 56;
const ORDER_BITS: u32 = 48;
const ORDER_MASK: u64 = (1 << ORDER_BITS) - 1;

/// Ids of one account that differ in their last character alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Node {
    /// What they share; the account's row in the upper half of the third word.
    name: [u64; 3],
    /// From the first on; zero where none stands, for no character is zero.
    members: [u64; MEMBERS],
    /// The node of the same name before this one, which is full.
    older: u32,
    /// In a name's first node: its newest.
    newest: u32,
}

const EMPTY: Node = Node {
    name: [0; 3],
    members: [0; MEMBERS],
    older: NONE,
    newest: NONE,
};

/// The names that an account used last: a line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Recent {
    /// The newest node of each, or [`NONE`].
    nodes: [u32; RECENT],
    fingerprints: [u16; RECENT],
    /// Which one goes next.
    turn: u16,
}

const NO_RECENT: Recent = Recent {
    nodes: [NONE; RECENT],
    fingerprints: [0; RECENT],
    turn: 0,
};

/// The ids of one day.
#[derive(Clone, Debug)]
pub(crate) struct ClientIds {
    nodes: Vec<Node>,
    /// The first node of each name.
    by_name: Index,
    /// By the account's row; only says where to look first.
    recent: Vec<Recent>,
    /// Which day it is, from 1: a snapshot tells it with each id.
    day: u16,
    taken: u64,
}

/// What stands where an id belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The id took effect and names this order.
    Taken(OrderId),
    /// It is free, and this is its place until another id is noted.
    Free(Room),
}

/// Where an id that is free would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    hash: u64,
    /// The newest node of its name; none when it is the name's first id.
    node: u32,
}

/// An id as a snapshot keeps it: its node, then its characters, account, order and day. The node is
/// told for who reads it; the order of ids alone leads to the same nodes.
pub(crate) type Noted = (u32, [u64; 4]);

/// An id as the table keeps it.
#[derive(Clone, Copy)]
struct Split {
    name: [u64; 3],
    character: u64,
}

impl Split {
    #[inline]
    fn new(account: u32, id: ClOrdId) -> Self {
        Self::of(id.to_words(), account)
    }

    /// The last character stands highest in the last word that has any. It is chosen by values and
    /// not by an index, so that the words stay in registers.
    #[inline]
    fn of([first, second, third]: [u64; 3], account: u32) -> Self {
        let last = match (second, third) {
            (0, _) => first,
            (_, 0) => second,
            _ => third,
        };
        let shift = (63 - (last | 1).leading_zeros()) & !7;
        let character = last >> shift;
        let bits = character << shift;
        let name = [
            first ^ if second == 0 { bits } else { 0 },
            second ^ if second != 0 && third == 0 { bits } else { 0 },
            third ^ if second != 0 && third != 0 { bits } else { 0 } | u64::from(account) << 32,
        ];
        Self { name, character }
    }

    #[inline]
    fn hash(&self) -> u64 {
        hash(&self.name)
    }

    #[inline]
    fn account(&self) -> u32 {
        (self.name[2] >> 32) as u32
    }
}

/// Never zero, which is none.
#[inline]
fn fingerprint(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

#[inline]
fn hash(name: &[u64; 3]) -> u64 {
    let first = folded(
        name[0] ^ 0xA076_1D64_78BD_642F,
        name[1] ^ 0xE703_7ED1_A0B4_28DB,
    );
    folded(first ^ name[2], 0x8EBC_6AF0_9C88_C6E3)
}

/// How many characters words hold; no character is zero.
fn length(words: [u64; 3]) -> u8 {
    let used = |word: u64| 8 - word.leading_zeros() as u8 / 8;
    used(words[0]) + used(words[1]) + used(words[2])
}

impl ClientIds {
    /// Room for `max` ids of `accounts` accounts.
    pub(crate) fn with_room(max: u64, accounts: u64) -> Self {
        Self {
            nodes: Vec::with_capacity(max as usize),
            by_name: Index::with_room(max as usize),
            recent: Vec::with_capacity(accounts as usize),
            day: 1,
            taken: 0,
        }
    }

    /// Makes the line of an account that is opened now: its row is the next.
    pub(crate) fn open_account(&mut self) {
        self.recent.push(NO_RECENT);
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn place(&self, account: u32, id: ClOrdId) -> Place {
        self.find(Split::new(account, id))
    }

    #[inline]
    fn find(&self, split: Split) -> Place {
        let hash = split.hash();
        let newest = match self.recent_node(&split, hash) {
            Some(newest) => newest,
            None => self.newest_of(&split.name, hash),
        };
        let mut row = newest;
        while let Some(node) = self.nodes.get(row as usize) {
            for member in node.members {
                if member >> CHARACTER_SHIFT == split.character {
                    return Place::Taken(OrderId(member & ORDER_MASK));
                }
            }
            row = node.older;
        }
        Place::Free(Room { hash, node: newest })
    }

    /// The newest node of a name, if it is among its account's last ones.
    #[inline]
    fn recent_node(&self, split: &Split, hash: u64) -> Option<u32> {
        let row = self.likely_node(split.account(), hash)?;
        (self.nodes.get(row as usize)?.name == split.name).then_some(row)
    }

    #[inline]
    fn likely_node(&self, account: u32, hash: u64) -> Option<u32> {
        let recent = self.recent.get(account as usize)?;
        let fingerprint = fingerprint(hash);
        let at = recent
            .fingerprints
            .iter()
            .position(|it| *it == fingerprint)?;
        Some(recent.nodes[at])
    }

    /// The newest node of a name; [`NONE`] when no id has it.
    #[cold]
    fn newest_of(&self, name: &[u64; 3], hash: u64) -> u32 {
        let is_it = |row: u32| self.nodes[row as usize].name == *name;
        let first = self.by_name.get(hash, is_it);
        first.map_or(NONE, |row| self.nodes[row as usize].newest)
    }

    /// Asks for the line in which the search for an account's ids begins.
    #[inline]
    pub(crate) fn prefetch(&self, account: u32) {
        prefetch_row(&self.recent, account as usize);
    }

    /// Asks for the node of an id; the account's line should be at hand.
    #[inline]
    pub(crate) fn prefetch_node(&self, account: u32, id: ClOrdId) {
        let hash = Split::new(account, id).hash();
        match self.likely_node(account, hash) {
            Some(row) => prefetch_row(&self.nodes, row as usize),
            None => self.by_name.prefetch(hash),
        }
    }

    /// Notes an id in the room that [`ClientIds::place`] found.
    pub(crate) fn note(&mut self, room: Room, account: u32, id: ClOrdId, order: OrderId) {
        self.put(room, Split::new(account, id), order);
    }

    fn put(&mut self, room: Room, split: Split, order: OrderId) {
        assert!((1..=ORDER_MASK).contains(&order.0));
        let member = split.character << CHARACTER_SHIFT | order.0;
        self.taken += 1;
        if let Some(node) = self.nodes.get_mut(room.node as usize)
            && let Some(free) = node.members.iter_mut().find(|member| **member == 0)
        {
            *free = member;
            return;
        }
        let row = self.add_node(room, &split, member);
        self.remember(split.account(), room.hash, row);
    }

    /// Begins a node with its first member.
    fn add_node(&mut self, room: Room, split: &Split, member: u64) -> u32 {
        // Fewer nodes than ids, and those are counted in 32 bits.
        let row = self.nodes.len() as u32;
        let mut node = Node {
            name: split.name,
            older: room.node,
            newest: row,
            ..EMPTY
        };
        node.members[0] = member;
        self.nodes.push(node);
        if room.node == NONE {
            let nodes = &self.nodes;
            (self.by_name).insert(room.hash, row, |row| hash(&nodes[row as usize].name));
            return row;
        }
        let mut first = room.node;
        while self.nodes[first as usize].older != NONE {
            first = self.nodes[first as usize].older;
        }
        self.nodes[first as usize].newest = row;
        row
    }

    /// Notes a name's newest node among its account's last ones.
    fn remember(&mut self, account: u32, hash: u64, row: u32) {
        let Some(recent) = self.recent.get_mut(account as usize) else {
            return;
        };
        let fingerprint = fingerprint(hash);
        let known = recent.fingerprints.iter().position(|it| *it == fingerprint);
        let at = known.unwrap_or_else(|| {
            let at = usize::from(recent.turn);
            recent.turn = (recent.turn + 1) % RECENT as u16;
            at
        });
        recent.fingerprints[at] = fingerprint;
        recent.nodes[at] = row;
    }

    /// Forgets all ids.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.by_name.clear();
        self.recent.fill(NO_RECENT);
        self.taken = 0;
        // After 65,535 days the numbers begin anew.
        self.day = self.day.checked_add(1).unwrap_or(1);
    }

    /// What a snapshot keeps: the day, and each id with its node.
    pub(crate) fn to_noted(&self) -> (u16, Vec<Noted>) {
        let day = u64::from(self.day) << ORDER_BITS;
        let nodes = (0_u32..).zip(&self.nodes);
        let noted = nodes.flat_map(|(row, node)| {
            let [first, second, third] = node.name;
            let at = usize::from(length([first, second, third & u64::from(u32::MAX)]));
            let members = node.members.into_iter().filter(|member| *member != 0);
            members.map(move |member| {
                let mut words = node.name;
                words[at / 8] |= member >> CHARACTER_SHIFT << (8 * (at % 8));
                let [first, second, third] = words;
                (row, [first, second, third, member & ORDER_MASK | day])
            })
        });
        (self.day, noted.collect())
    }

    /// The table that wrote those, or `None` when they do not fit one of this size.
    pub(crate) fn from_noted(
        (max, accounts_max): (u64, u64),
        accounts: usize,
        day: u16,
        noted: &[Noted],
    ) -> Option<Self> {
        let mut ids = Self::with_room(max, accounts_max);
        ids.recent.resize(accounts, NO_RECENT);
        ids.day = day;
        if day == 0 || noted.len() as u64 > max {
            return None;
        }
        for (_, [first, second, third, order]) in noted {
            let words = [*first, *second, third & u64::from(u32::MAX)];
            let split = Split::of(words, (third >> 32) as u32);
            let order_id = OrderId(order & ORDER_MASK);
            let is_sound = (order >> ORDER_BITS) as u16 == day
                && split.character != 0
                && order_id != OrderId(0);
            let Place::Free(room) = ids.find(split) else {
                return None;
            };
            if !is_sound || split.account() as usize >= accounts {
                return None;
            }
            ids.put(room, split, order_id);
        }
        Some(ids)
    }

    pub(crate) fn touch(&mut self) {
        self.by_name.touch();
        fill_in(&mut self.nodes, EMPTY);
        fill_in(&mut self.recent, NO_RECENT);
    }
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

    fn table(max: u64) -> ClientIds {
        let mut ids = ClientIds::with_room(max, 10);
        (0..10).for_each(|_| ids.open_account());
        ids
    }

    fn note(ids: &mut ClientIds, account: u32, text: &str, order: u64) {
        match ids.place(account, id(text)) {
            Place::Free(place) => ids.note(place, account, id(text), OrderId(order)),
            Place::Taken(_) => panic!("{text} is taken"),
        }
    }

    #[test]
    fn an_id_is_found_on_its_account_and_on_no_other() {
        let mut ids = table(64);
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
        let mut ids = table(1_000);
        for order in 0..1_000 {
            note(
                &mut ids,
                order % 3,
                &format!("order{order}"),
                u64::from(order) + 1,
            );
        }
        assert_eq!(ids.taken(), 1_000);
        for order in 0..1_000 {
            let place = ids.place(order % 3, id(&format!("order{order}")));
            assert_eq!(place, Place::Taken(OrderId(u64::from(order) + 1)));
        }
        ids.clear();
        assert_eq!(ids.taken(), 0);
        assert!(matches!(ids.place(0, id("order0")), Place::Free(_)));
    }

    #[test]
    fn a_restored_table_has_the_same_nodes_and_knows_no_id_of_a_day_before() {
        let mut ids = table(64);
        note(&mut ids, 1, "gone", 1);
        ids.clear();
        for (order, text) in (2..).zip(["A1", "B1", "A2", "A3", "B2", "A4", "A5", "A6", "A", "AB"])
        {
            note(&mut ids, 1, text, order);
        }
        let (day, noted) = ids.to_noted();
        let read = ClientIds::from_noted((64, 10), 10, day, &noted).unwrap();
        assert_eq!(read.nodes, ids.nodes);
        assert_eq!(read.taken(), 10);
        assert_eq!(read.to_noted(), (day, noted));
        assert_eq!(read.place(1, id("A6")), Place::Taken(OrderId(9)));
        assert_eq!(read.place(1, id("A7")), ids.place(1, id("A7")));
        assert!(ClientIds::from_noted((64, 10), 1, day, &read.to_noted().1).is_none());
        assert!(matches!(read.place(1, id("gone")), Place::Free(_)));
        assert!(ClientIds::from_noted((16, 10), 10, day, &[(0, [0; 4])]).is_none());
    }

    #[test]
    fn an_account_finds_names_that_it_used_long_ago() {
        let mut ids = table(2_000);
        let names: Vec<String> = (0..25).map(|name| format!("name{name}-")).collect();
        let mut order = 0;
        for character in '!'..='~' {
            for name in names.iter().take(if character < '5' { 25 } else { 12 }) {
                order += 1;
                note(&mut ids, 3, &format!("{name}{character}"), order);
            }
        }
        let mut expected = 0;
        for character in '!'..='~' {
            for name in names.iter().take(if character < '5' { 25 } else { 12 }) {
                expected += 1;
                let place = ids.place(3, id(&format!("{name}{character}")));
                assert_eq!(place, Place::Taken(OrderId(expected)));
            }
        }
        let (day, noted) = ids.to_noted();
        let read = ClientIds::from_noted((2_000, 10), 10, day, &noted).unwrap();
        assert_eq!(read.to_noted(), (day, noted));
    }

    #[test]
    fn an_id_that_stands_twice_is_none_of_a_snapshot() {
        let mut ids = table(64);
        note(&mut ids, 1, "A1", 1);
        let (day, noted) = ids.to_noted();
        assert!(ClientIds::from_noted((64, 10), 10, day, &[noted[0], noted[0]]).is_none());
    }
}
