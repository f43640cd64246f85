//! What the core tells the door: frames for connections, in one heap a turn.
//!
//! ```text
//!   core:  frames of a turn ─► own heap ──flush──► shared heap ─► door: connections' buffers
//!                                          │                       ▲
//!                                          └────── wakes it ───────┘
//! ```
//!
//! The core never waits for a client: it appends and goes on. The shared heap is bounded; a client
//! whose frames do not fit any more is cut off, and counted, as one that does not read.

use protocol::binary::EndCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that may wait for the door to take them.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A connection's number in this process; gRPC streams have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// One thing for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The next so many bytes of the heap.
    Bytes(usize),
    /// Its logon was answered; so it was.
    LogonAnswered {
        /// Whether it is let in.
        accepted: bool,
    },
    /// It must end.
    End(EndCode),
}

/// Frames and what else the door must know, in order.
#[derive(Debug, Default)]
pub struct Heap {
    /// The frames, one behind the other.
    pub bytes: Vec<u8>,
    /// Whose they are.
    pub parts: Vec<(ConnectionId, Part)>,
}

impl Heap {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn append(&mut self, other: &mut Self) {
        self.bytes.append(&mut other.bytes);
        self.parts.append(&mut other.parts);
    }
}

#[derive(Debug)]
struct Shared {
    heap: Mutex<Heap>,
    waker: mio::Waker,
    slow_clients: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heap> {
        // A heap is whole between two appends, whatever happened to a thread.
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The core's end.
#[derive(Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
    own: Heap,
}

/// The door's end.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

/// Both ends of a new outbox; the waker wakes the door.
#[must_use]
pub fn outbox(waker: mio::Waker) -> (Outbox, Inbox) {
    let shared = Arc::new(Shared {
        heap: Mutex::new(Heap::default()),
        waker,
        slow_clients: AtomicU64::new(0),
    });
    let outbox = Outbox {
        shared: shared.clone(),
        own: Heap::default(),
    };
    (outbox, Inbox { shared })
}

impl Outbox {
    /// Lets `write` append frames for a connection; what it appends goes there.
    pub fn write<T>(&mut self, to: ConnectionId, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.own.bytes.len();
        let written = write(&mut self.own.bytes);
        let length = self.own.bytes.len() - before;
        match self.own.parts.last_mut() {
            Some((last, Part::Bytes(bytes))) if *last == to => *bytes += length,
            _ if length > 0 => self.own.parts.push((to, Part::Bytes(length))),
            _ => {}
        }
        written
    }

    /// Tells the door how a logon was answered, behind the answer itself.
    pub fn logon_answered(&mut self, to: ConnectionId, accepted: bool) {
        let part = Part::LogonAnswered { accepted };
        self.own.parts.push((to, part));
    }

    /// Ends a connection once it has what it was told before.
    pub fn end(&mut self, connection: ConnectionId, code: EndCode) {
        self.own.parts.push((connection, Part::End(code)));
    }

    /// Hands all over and wakes the door. Called once a turn.
    pub fn flush(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let was_empty;
        {
            let mut heap = self.shared.lock();
            was_empty = heap.is_empty();
            if heap.bytes.len() + self.own.bytes.len() > WAITING_BYTES_MAX {
                // Frames are not skipped: their clients log on again and have them replayed.
                let mut cut_off: Vec<_> = self.own.parts.iter().map(|part| part.0).collect();
                cut_off.sort_unstable_by_key(|connection| connection.0);
                cut_off.dedup();
                let count = cut_off.len() as u64;
                self.shared.slow_clients.fetch_add(count, Ordering::Relaxed);
                let ends = cut_off.into_iter();
                heap.parts
                    .extend(ends.map(|connection| (connection, Part::End(EndCode::NotServing))));
            } else if was_empty {
                std::mem::swap(&mut *heap, &mut self.own);
            } else {
                heap.append(&mut self.own);
            }
        }
        self.own.bytes.clear();
        self.own.parts.clear();
        // Whoever put the first thing in has woken it.
        if was_empty && let Err(error) = self.shared.waker.wake() {
            tracing::warn!(%error, "failed to wake the binary door: it looks by itself soon");
        }
    }

    /// Clients cut off because they did not read.
    #[must_use]
    pub fn slow_clients(&self) -> u64 {
        self.shared.slow_clients.load(Ordering::Relaxed)
    }
}

impl Inbox {
    /// Takes all that waits, in exchange for an emptied heap.
    pub fn take(&self, emptied: &mut Heap) {
        emptied.bytes.clear();
        emptied.parts.clear();
        std::mem::swap(&mut *self.shared.lock(), emptied);
    }

    /// Counts a client that did not read.
    pub fn count_slow_client(&self) {
        self.shared.slow_clients.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (mio::Poll, Outbox, Inbox) {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (outbox, inbox) = outbox(waker);
        (poll, outbox, inbox)
    }

    #[test]
    fn frames_of_one_turn_arrive_in_order_and_together() {
        let (_poll, mut outbox, inbox) = ends();
        let (one, two) = (ConnectionId(1), ConnectionId(2));
        outbox.write(one, |out| out.extend_from_slice(b"ab"));
        outbox.write(one, |out| out.extend_from_slice(b"c"));
        outbox.write(two, |out| out.extend_from_slice(b"d"));
        outbox.logon_answered(two, true);
        outbox.flush();
        outbox.end(one, EndCode::TakenOver);
        outbox.flush();
        let mut heap = Heap::default();
        inbox.take(&mut heap);
        assert_eq!(heap.bytes, b"abcd");
        let parts = [
            (one, Part::Bytes(3)),
            (two, Part::Bytes(1)),
            (two, Part::LogonAnswered { accepted: true }),
            (one, Part::End(EndCode::TakenOver)),
        ];
        assert_eq!(heap.parts, parts);
        inbox.take(&mut heap);
        assert!(heap.is_empty());
    }

    #[test]
    fn what_no_longer_fits_ends_its_clients_and_is_counted() {
        let (_poll, mut outbox, inbox) = ends();
        let fill = |out: &mut Vec<u8>| out.resize(out.len() + WAITING_BYTES_MAX - 1, 0);
        outbox.write(ConnectionId(1), fill);
        outbox.flush();
        for connection in [2, 3, 2] {
            outbox.write(ConnectionId(connection), |out| out.push(1));
        }
        outbox.flush();
        assert_eq!(outbox.slow_clients(), 2);
        let mut heap = Heap::default();
        inbox.take(&mut heap);
        assert_eq!(heap.bytes.len(), WAITING_BYTES_MAX - 1);
        let ended = |n| (ConnectionId(n), Part::End(EndCode::NotServing));
        assert_eq!(heap.parts[1..], [ended(2), ended(3)]);
    }
}
