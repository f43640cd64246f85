//! A counterparty's connection: what was read of it, what is to be written, and how it ends.

use crate::acceptor::Arrival;
use fix::frame::{self, Frame};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What may wait to be read by a counterparty, in bytes; a whole resend fits.
const OUTGOING_BYTES_MAX: usize = 64 << 20;
/// What was said last may take so long to go out.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(crate) struct Connection {
    arrival: Arrival,
    outgoing: Vec<u8>,
    /// It ends when all has gone out, or then.
    ends: Option<Instant>,
    is_broken: bool,
}

/// What happened on it.
pub(crate) enum Moved {
    Read(std::io::Result<usize>),
    Written(std::io::Result<usize>),
}

/// What came.
pub(crate) enum Came<'a> {
    Message(&'a [u8]),
    Garbled(frame::Garble),
}

/// Whether it is to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    No,
    Over,
    /// What was sent is not read.
    Slow,
}

impl Connection {
    pub(crate) fn new(arrival: Arrival) -> Self {
        Self {
            arrival,
            outgoing: Vec::new(),
            ends: None,
            is_broken: false,
        }
    }

    /// The next thing that happens on it; never, where there is none. Cancel-safe.
    pub(crate) async fn moved(connection: &mut Option<Self>) -> Moved {
        let Some(connection) = connection else {
            return std::future::pending().await;
        };
        let is_ending = connection.ends.is_some();
        let (mut reader, mut writer) = connection.arrival.stream.split();
        let received = &mut connection.arrival.received;
        let outgoing = &connection.outgoing;
        tokio::select! {
            result = async {
                match is_ending {
                    false => reader.read_buf(received).await,
                    true => std::future::pending().await,
                }
            } => Moved::Read(result),
            result = async {
                match outgoing.is_empty() {
                    false => writer.write(outgoing.as_slice()).await,
                    true => std::future::pending().await,
                }
            } => Moved::Written(result),
        }
    }

    /// Notes what happened; whether there is more to be taken.
    pub(crate) fn note(&mut self, moved: Moved) -> bool {
        match moved {
            Moved::Read(Ok(0) | Err(_)) | Moved::Written(Ok(0) | Err(_)) => self.is_broken = true,
            Moved::Read(Ok(_)) => return true,
            Moved::Written(Ok(bytes)) => {
                self.outgoing.drain(..bytes);
            }
        }
        false
    }

    /// Hands over what has come, one by one, while `take` wants more.
    pub(crate) fn take_frames(&mut self, mut take: impl FnMut(Came<'_>) -> bool) {
        let received = &mut self.arrival.received;
        let mut taken = 0;
        let mut wants_more = true;
        while wants_more {
            match frame::next(&received[taken..]) {
                Frame::Partial => break,
                Frame::Whole { bytes } => {
                    wants_more = take(Came::Message(&received[taken..taken + bytes]));
                    taken += bytes;
                }
                Frame::Garbled { bytes, fault } => {
                    wants_more = take(Came::Garbled(fault));
                    taken += bytes;
                }
            }
        }
        received.drain(..taken);
    }

    pub(crate) fn transmit(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Bytes that wait to be read by the counterparty.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Ends it when all has gone out, or soon.
    pub(crate) fn end(&mut self) {
        self.ends.get_or_insert(Instant::now() + LAST_WORDS);
    }

    /// When it ends at the latest, if it is ending.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    pub(crate) fn ending(&self) -> Ending {
        let said_all = self
            .ends
            .is_some_and(|ends| self.outgoing.is_empty() || Instant::now() >= ends);
        if self.outgoing.len() > OUTGOING_BYTES_MAX {
            return Ending::Slow;
        }
        if said_all || self.is_broken {
            return Ending::Over;
        }
        Ending::No
    }
}
