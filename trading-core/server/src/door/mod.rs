//! The binary front door: many clients, one thread, many commands a system call.
//!
//! ```text
//!   sockets ─► read ─► frames ─► one batch of commands ─────► core
//!      ▲                          (bounded; while the core      │ applies, appends frames
//!      │                           has no room, nobody is read) ▼
//!   sockets ◄─ one write a connection and turn ◄─ outbox (one heap a turn, wakes the door)
//! ```
//!
//! No task or thread of its own per client or message: what all clients sent while the thread was
//! away goes to the core as one batch, and what the core answered in one turn goes out in one write
//! a connection. Sessions mean what they mean over gRPC; see `BINARY.md` of crate `protocol`.

mod connection;
mod outbox;

use crate::clock;
use crate::core::{Input, Published, Submission};
use crate::routes::ReplyTo;
use connection::Connection;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
pub use outbox::{ConnectionId, Outbox};
use outbox::{Heap, Inbox, Part};
use protocol::binary::EndCode;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use types::{Command, Epoch};

/// Batches that may wait for the core.
pub const BATCHES_MAX: usize = 8;
/// Commands of one batch; a little more when one read brings more.
pub const BATCH_COMMANDS_MAX: usize = 1_024;
/// Connections at once.
const CONNECTIONS_MAX: usize = 20_000;
/// Read from one socket before the next has its turn.
const READ_BYTES: usize = 64 << 10;
const EVENTS_AT_ONCE: usize = 1_024;
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// While commands wait for room in the core it is asked again so often, should no answer wake us.
const ROOM_INTERVAL: Duration = Duration::from_millis(1);
/// How often a stop is looked for.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// The core publishes every 100 ms; when it has not for so long, it is stuck, and saying that all is
/// well would be a lie.
const STATUS_AGE_US_MAX: u64 = 500_000;
/// Numbers from here on are the door's; gRPC streams count from 0.
const FIRST_CONNECTION: u64 = 1 << 63;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// The door's ends inside the process.
pub struct Wiring {
    /// Where commands go.
    pub batches: mpsc::Sender<Vec<Submission>>,
    /// Where the end of a connection is told.
    pub inputs: mpsc::Sender<Input>,
    /// What the core shows.
    pub published: watch::Receiver<Published>,
    /// Ends the thread.
    pub stop: CancellationToken,
}

struct Slot {
    connection: Connection,
    socket: TcpStream,
    /// There may be something to read.
    readable: bool,
    /// The other side will send nothing more.
    closed: bool,
}

/// The thread's state.
struct Door {
    poll: Poll,
    listener: TcpListener,
    wiring: Wiring,
    inbox: Inbox,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Connections to be read, each once.
    ready: VecDeque<usize>,
    /// Connections told something since they were last written to.
    told: Vec<usize>,
    accepted: u64,
    batch: Vec<Submission>,
    commands: Vec<Command>,
    scratch: Vec<u8>,
    heap: Heap,
    next_beat: Instant,
}

/// Binds the door; gives back the core's outbox, the address, and what runs it.
///
/// # Errors
/// When the address cannot be listened on.
pub fn bind(
    address: SocketAddr,
    wiring: Wiring,
) -> io::Result<(Outbox, SocketAddr, impl FnOnce() -> io::Result<()> + Send)> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let waker = mio::Waker::new(poll.registry(), WAKER)?;
    let (outbox, inbox) = outbox::outbox(waker);
    let mut door = Door {
        poll,
        listener,
        wiring,
        inbox,
        slots: Vec::new(),
        free: Vec::new(),
        ready: VecDeque::new(),
        told: Vec::new(),
        accepted: 0,
        batch: Vec::with_capacity(BATCH_COMMANDS_MAX),
        commands: Vec::new(),
        scratch: vec![0; READ_BYTES],
        heap: Heap::default(),
        next_beat: Instant::now() + HEARTBEAT_INTERVAL,
    };
    Ok((outbox, address, move || door.run()))
}

impl Door {
    /// Runs until it is stopped or the core is gone.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        while !self.wiring.stop.is_cancelled() && !self.wiring.batches.is_closed() {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(place) => self.note(place, event.is_readable(), event.is_read_closed()),
                }
            }
            self.take_answers();
            self.read_ready();
            self.submit_batch();
            self.beat();
            self.write_told();
        }
        Ok(())
    }

    /// How long to wait for events: not at all while there is something to read and room for it.
    fn patience(&self) -> Duration {
        let beat = self.next_beat.saturating_duration_since(Instant::now());
        let other = match (self.ready.is_empty(), self.batch.is_empty()) {
            (true, true) => STOP_INTERVAL,
            (false, true) => Duration::ZERO,
            (_, false) => ROOM_INTERVAL,
        };
        beat.min(other)
    }

    fn accept(&mut self) {
        loop {
            let (socket, address) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // Out of file handles, most likely: others must end first. A waiting client is
                    // seen again with the next one that comes.
                    tracing::warn!(%error, "failed to accept a client's connection");
                    return;
                }
            };
            if let Err(error) = self.admit(socket) {
                tracing::debug!(%address, %error, "a client's connection ended at once");
            }
        }
    }

    fn admit(&mut self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let place = self.free.pop().unwrap_or(self.slots.len());
        if place == self.slots.len() {
            self.slots.push(None);
        }
        // The place in the low bits, so that the core's word for a connection leads to it.
        let id = FIRST_CONNECTION | self.accepted << 24 | place as u64;
        self.accepted = (self.accepted + 1) & ((1 << 39) - 1);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(&mut socket, Token(place), interest)
        {
            self.free.push(place);
            return Err(error);
        }
        let mut connection = Connection::new(ConnectionId(id), Instant::now());
        if let Some(refusal) = self.not_serving() {
            connection.end(self.epoch(), EndCode::NotServing, &refusal);
        } else if self.slots.len() - self.free.len() > CONNECTIONS_MAX {
            let text = format!("{CONNECTIONS_MAX} connections are open already");
            connection.end(self.epoch(), EndCode::Full, &text);
        }
        self.slots[place] = Some(Slot {
            connection,
            socket,
            readable: false,
            closed: false,
        });
        self.told.push(place);
        Ok(())
    }

    fn note(&mut self, place: usize, readable: bool, closed: bool) {
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return;
        };
        slot.closed |= closed;
        if readable && !slot.readable {
            slot.readable = true;
            self.ready.push_back(place);
        }
        if !slot.connection.to_send().is_empty() {
            self.told.push(place);
        }
    }

    /// Hands what the core said to its connections.
    fn take_answers(&mut self) {
        let mut heap = std::mem::take(&mut self.heap);
        self.inbox.take(&mut heap);
        let epoch = self.epoch();
        let mut at = 0;
        for (id, part) in &heap.parts {
            let bytes = match part {
                Part::Bytes(length) => &heap.bytes[at..at + length],
                _ => &[],
            };
            at += bytes.len();
            let place = (id.0 & 0xff_ffff) as usize;
            let slot = self.slots.get_mut(place).and_then(Option::as_mut);
            // Who went meanwhile has what it missed replayed when it comes back.
            let Some(slot) = slot.filter(|slot| slot.connection.id == *id) else {
                continue;
            };
            self.told.push(place);
            match part {
                Part::Bytes(_) => {
                    if !slot.connection.tell(bytes) {
                        self.inbox.count_slow_client();
                        self.close(place);
                    }
                }
                Part::LogonAnswered { accepted } => {
                    slot.connection.logon_answered(*accepted);
                    self.again(place);
                }
                Part::End(code) => {
                    let text = "this replica no longer serves this session: connect again and log \
                                on";
                    slot.connection.end(epoch, *code, text);
                }
            }
        }
        self.heap = heap;
    }

    /// Reads from those that have something, as long as the batch has room.
    fn read_ready(&mut self) {
        let mut turns = self.ready.len();
        while turns > 0 && self.batch.len() < BATCH_COMMANDS_MAX {
            turns -= 1;
            let Some(place) = self.ready.pop_front() else {
                return;
            };
            if let Err(error) = self.read(place) {
                tracing::debug!(%error, "a client's connection ended");
                self.close(place);
            }
        }
    }

    fn read(&mut self, place: usize) -> io::Result<()> {
        let epoch = self.epoch();
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return Ok(());
        };
        if !slot.connection.reads() && !slot.connection.has_ended() {
            // The answer to its logon takes it up again.
            slot.readable = false;
            return Ok(());
        }
        let count = match slot.socket.read(&mut self.scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.ready.push_back(place);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // A stream that gave less than asked for is drained; what comes later is a new event.
        slot.readable = count == READ_BYTES || slot.closed;
        if slot.readable {
            self.ready.push_back(place);
        }
        let bytes = &self.scratch[..count];
        slot.connection.received(bytes, epoch, &mut self.commands);
        let id = slot.connection.id;
        if slot.connection.is_slow() {
            // It sends what cannot be read, and does not read that it cannot.
            self.inbox.count_slow_client();
            return Err(io::Error::other("the client does not read"));
        }
        if !slot.connection.to_send().is_empty() {
            self.told.push(place);
        }
        self.gather(id);
        Ok(())
    }

    /// A connection may be read again that could not be before.
    fn again(&mut self, place: usize) {
        if let Some(Some(slot)) = self.slots.get_mut(place)
            && !slot.readable
        {
            slot.readable = true;
            self.ready.push_back(place);
        }
    }

    /// Moves the commands of a connection into the batch.
    fn gather(&mut self, connection: ConnectionId) {
        let submissions = self.commands.drain(..).map(|command| Submission {
            command,
            reply_to: ReplyTo::Binary(connection),
        });
        self.batch.extend(submissions);
    }

    /// Gives the batch to the core, if it has room.
    fn submit_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.wiring.batches.try_reserve() {
            Ok(place) => {
                let next = Vec::with_capacity(BATCH_COMMANDS_MAX);
                place.send(std::mem::replace(&mut self.batch, next));
            }
            // Clients are slowed down, not refused; a core that is gone ends the loop.
            Err(mpsc::error::TrySendError::Full(()) | mpsc::error::TrySendError::Closed(())) => {}
        }
    }

    /// Signs of life, and an end to those that must not go on.
    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + HEARTBEAT_INTERVAL;
        let refusal = self.not_serving();
        let (epoch, clock) = (self.epoch(), clock::now());
        let shown_at = self.wiring.published.borrow().status.now;
        let stuck = clock.0.saturating_sub(shown_at.0) > STATUS_AGE_US_MAX;
        let mut over = Vec::new();
        for (place, slot) in self.slots.iter_mut().enumerate() {
            let Some(Slot { connection, .. }) = slot else {
                continue;
            };
            if connection.is_over(now) {
                over.push(place);
            } else if let Some(refusal) = &refusal {
                connection.end(epoch, EndCode::NotServing, refusal);
            } else if connection.is_late(now) {
                connection.end(epoch, EndCode::TooLate, "no logon came within 5 s");
            } else if !stuck {
                connection.beat(epoch, clock);
            }
            self.told.push(place);
        }
        over.into_iter().for_each(|place| self.close(place));
    }

    /// Writes to those that were told something.
    fn write_told(&mut self) {
        let mut told = std::mem::take(&mut self.told);
        told.sort_unstable();
        told.dedup();
        for place in told.drain(..) {
            if let Err(error) = self.write(place) {
                tracing::debug!(%error, "a client's connection ended");
                self.close(place);
            }
        }
        self.told = told;
    }

    fn write(&mut self, place: usize) -> io::Result<()> {
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return Ok(());
        };
        while !slot.connection.to_send().is_empty() {
            match slot.socket.write(slot.connection.to_send()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => slot.connection.was_sent(count),
                // An event tells when there is room again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if slot.connection.has_ended() {
            // The client reads the last frame, then the end; closing waits for it a while, for what
            // it sent meanwhile and nobody read would take the frame away from it.
            slot.socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(())
    }

    fn close(&mut self, place: usize) {
        let Some(mut slot) = self.slots.get_mut(place).and_then(Option::take) else {
            return;
        };
        self.free.push(place);
        // Closing takes it out of the poll; the core must be told all the same.
        let _ = self.poll.registry().deregister(&mut slot.socket);
        let ended = Input::StreamEnded(slot.connection.id.0);
        // The core takes inputs as long as it lives, and never waits for this thread.
        let _ = self.wiring.inputs.blocking_send(ended);
    }

    /// Why this replica takes no session, if so.
    fn not_serving(&self) -> Option<String> {
        let shown = self.wiring.published.borrow();
        if shown.status.serving {
            return None;
        }
        Some(match shown.status.leader.0 {
            0 => "no leader is known: try again".to_owned(),
            leader => format!("this replica does not serve: the leader is replica {leader}"),
        })
    }

    fn epoch(&self) -> Epoch {
        self.wiring.published.borrow().status.epoch
    }
}
