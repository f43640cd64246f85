//! One connection of the door: what it has sent, what waits for it, and where its session stands.
//! Decides, and does no I/O: bytes go in and out by its buffers.

use super::outbox::ConnectionId;
use protocol::binary::{self, EndCode};
use protocol::order_entry::{Inbound, Logon};
use std::time::{Duration, Instant};
use types::{ClientCommand, Command, Epoch, SessionId};

/// A connection must log on within this time.
const LOGON_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that has been told the end has this long to read it.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that may wait for a client; more than one replay of 16,384 reports takes 2 MiB.
const OUT_BYTES_MAX: usize = 8 << 20;

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was said yet.
    Fresh { since: Instant },
    /// The logon is on its way through the log; nothing behind it is read meanwhile.
    LoggingOn { session: SessionId },
    /// Requests may come.
    Open { session: SessionId },
    /// Its last frame is written; the rest is to be sent, then it closes.
    Ended { since: Instant },
}

/// One connection's state.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    stage: Stage,
    /// What came and is not a whole frame yet, or may not be read yet.
    left: Vec<u8>,
    /// What waits to be sent; the first `sent` bytes are.
    out: Vec<u8>,
    sent: usize,
}

impl Connection {
    /// A connection that has just been accepted.
    #[must_use]
    pub fn new(id: ConnectionId, now: Instant) -> Self {
        Self {
            id,
            stage: Stage::Fresh { since: now },
            left: Vec::new(),
            out: Vec::new(),
            sent: 0,
        }
    }

    /// Whether more may be read from its socket now.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self.stage, Stage::Fresh { .. } | Stage::Open { .. })
    }

    /// Takes in bytes that came, and appends the commands in them to `commands`. After the end
    /// nothing counts any more.
    pub fn received(&mut self, bytes: &[u8], epoch: Epoch, commands: &mut Vec<Command>) {
        if self.has_ended() {
            self.left = Vec::new();
            return;
        }
        if self.left.is_empty() {
            let taken = self.read_frames(bytes, epoch, commands);
            self.left.extend_from_slice(&bytes[taken..]);
            return;
        }
        let mut left = std::mem::take(&mut self.left);
        left.extend_from_slice(bytes);
        let taken = self.read_frames(&left, epoch, commands);
        left.drain(..taken);
        self.left = left;
    }

    /// Reads whole frames while they may be read; gives back how many bytes they took.
    fn read_frames(&mut self, bytes: &[u8], epoch: Epoch, commands: &mut Vec<Command>) -> usize {
        let mut taken = 0;
        while self.reads() {
            match binary::split(&bytes[taken..]) {
                Ok(Some((frame, length))) => {
                    taken += length;
                    let inbound = binary::read_client(frame);
                    match (self.stage, inbound) {
                        (
                            Stage::Open { session },
                            Ok(Inbound::Request {
                                client_seq,
                                request,
                            }),
                        ) => commands.push(Command::Client(ClientCommand {
                            session,
                            client_seq,
                            request,
                        })),
                        (Stage::Open { .. }, Ok(Inbound::Heartbeat { .. })) => {}
                        (Stage::Open { .. }, Err(bad)) => {
                            let number = frame.number();
                            binary::write_bad_request(epoch, number, &bad, &mut self.out);
                        }
                        (Stage::Fresh { .. }, Ok(Inbound::Logon(logon))) => {
                            commands.push(self.log_on(logon));
                        }
                        (Stage::Fresh { .. }, Err(bad)) => {
                            let text = bad.to_string();
                            self.end(epoch, EndCode::OutOfOrder, &text);
                        }
                        (Stage::Fresh { .. }, Ok(_)) => {
                            let text = "the first frame must be a logon";
                            self.end(epoch, EndCode::OutOfOrder, text);
                        }
                        _ => {
                            let text = "this connection has logged on: open another for another \
                                        session";
                            self.end(epoch, EndCode::OutOfOrder, text);
                        }
                    }
                }
                Ok(None) => break,
                Err(error) => self.end(epoch, EndCode::NotAFrame, &error.to_string()),
            }
        }
        taken
    }

    fn log_on(&mut self, logon: Logon) -> Command {
        self.stage = Stage::LoggingOn {
            session: logon.session,
        };
        Command::Logon(logon)
    }

    /// The core has answered the logon: what came behind it may be read now.
    pub fn logon_answered(&mut self, accepted: bool) {
        let Stage::LoggingOn { session } = self.stage else {
            return;
        };
        self.stage = if accepted {
            Stage::Open { session }
        } else {
            // The reject itself is on its way.
            let since = Instant::now();
            Stage::Ended { since }
        };
    }

    /// Puts frames behind what waits. Says `false` when too much waits.
    #[must_use]
    pub fn tell(&mut self, frames: &[u8]) -> bool {
        if self.has_ended() {
            return true;
        }
        self.out.extend_from_slice(frames);
        !self.is_slow()
    }

    /// Whether more waits for it than may.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.to_send().len() > OUT_BYTES_MAX
    }

    /// A sign of life, for who has logged on.
    pub fn beat(&mut self, epoch: Epoch, now: types::UnixMicros) {
        if matches!(self.stage, Stage::Open { .. }) && !self.is_slow() {
            binary::write_heartbeat(epoch, now, &mut self.out);
        }
    }

    /// Writes the last frame, once.
    pub fn end(&mut self, epoch: Epoch, code: EndCode, text: &str) {
        if !self.has_ended() {
            binary::write_end(epoch, code, text, &mut self.out);
            let since = Instant::now();
            self.stage = Stage::Ended { since };
        }
    }

    /// Whether it has not logged on in time.
    #[must_use]
    pub fn is_late(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Fresh { since } if now.duration_since(since) > LOGON_TIMEOUT)
    }

    /// What is to be sent next.
    #[must_use]
    pub fn to_send(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// So many bytes of it were.
    pub fn was_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > OUT_BYTES_MAX {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether it has been told the end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }

    /// Whether it was told the end so long ago that it is closed, read or not.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Ended { since } if now.duration_since(since) > END_TIMEOUT)
    }
}
