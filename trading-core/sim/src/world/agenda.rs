//! What is to come, in the order of its time; what comes at the same moment, in the order in which it
//! was put down.

use crate::fault::Fault;
use crate::node::{Connection, Input};
use crate::plan::Undo;
use protocol::order::{ClientMessage, ServerMessage};
use replica::SnapshotJob;
use std::collections::BTreeMap;

/// Something that is to happen. Large ones are boxed: each is moved several times.
pub(crate) enum Happening {
    Tick(u64, u64),
    Arrive(u64, Input),
    Wake(u64, u64),
    Save(u64, u64, Box<SnapshotJob>),
    Restart(u64),
    /// To whom, and whose process reset the connection.
    Reset(u64, u64),
    Connect(Connection, Box<ClientMessage>),
    ToTrader(Connection, Box<ServerMessage>),
    /// To a client, on whatever connection it has by then.
    Late(usize, Box<ServerMessage>),
    Closed(Connection, &'static str),
    TraderTick(usize),
    Trade(usize),
    Control,
    Beat(u64, u64),
    Plan,
    /// A disk loses something, when it may; and how often that is tried.
    Lose(Fault, u64, u32),
    /// An old state of a replica's disk is put back, when it may; and how often that is tried.
    PutBack(u64, u32),
    Undo(Undo),
}

/// One queue of things to come.
#[derive(Default)]
pub(super) struct Agenda {
    coming: BTreeMap<(u64, u64), Happening>,
    next: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at_us: u64, happening: Happening) {
        self.next += 1;
        self.coming.insert((at_us, self.next), happening);
    }

    /// When the next comes.
    pub(super) fn next_us(&self) -> Option<u64> {
        self.coming.first_key_value().map(|((at_us, _), _)| *at_us)
    }

    /// The next: its moment, its number, and what it is.
    pub(super) fn take(&mut self) -> Option<(u64, u64, Happening)> {
        let ((at_us, number), happening) = self.coming.pop_first()?;
        Some((at_us, number, happening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_the_same_moment_keeps_its_order() {
        let mut agenda = Agenda::default();
        for (at_us, id) in [(7, 1), (3, 2), (7, 3), (3, 4)] {
            agenda.put(at_us, Happening::Restart(id));
        }
        assert_eq!(agenda.next_us(), Some(3));
        let order: Vec<u64> = std::iter::from_fn(|| match agenda.take()? {
            (_, _, Happening::Restart(id)) => Some(id),
            _ => None,
        })
        .collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }
}
