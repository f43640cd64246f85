//! The one trait behind which packets of an exchange become messages: in software here, or on a card.
//!
//! ```text
//!   packet ─► Decode ─► DecodeEvent::Message … in order, each once
//!                │
//!                └────► DecodeCounts: packets, messages, drops, gaps
//! ```
//!
//! Whoever watches a card's decode latency, drops and sequence gaps holds them against
//! [`SoftwareDecoder`] on the same packets. The latency is measured around [`Decode::decode`] by the
//! caller: nothing here reads a clock.

use crate::itch::{self, DecodeError, Message};
use crate::mold::{self, Block, FrameError, Request, Session};
use crate::time::Monotonic;

/// What a packet yields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DecodeEvent<'a> {
    /// A message, in the order of the session.
    Message {
        /// Its number in the session.
        sequence: u64,
        /// The message.
        message: Message<'a>,
    },
    /// A message that cannot be read; what is built on the session is wrong from here on.
    Unreadable {
        /// Its number in the session.
        sequence: u64,
        /// Why.
        error: DecodeError,
    },
    /// Ask the retransmission server.
    Ask(Request),
    /// Messages are lost for good; what is built on the session is wrong from here on.
    Lost {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Another session began.
    SessionBegan(Session),
    /// The session ended.
    SessionEnded(Session),
}

/// What a decoder counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Packets that came.
    pub packets: u64,
    /// Messages yielded.
    pub messages: u64,
    /// Packets and messages that could not be read.
    pub unreadable: u64,
    /// Messages that had come before, such as by the other line.
    pub duplicates: u64,
    /// Holes in the numbers, filled later or not.
    pub sequence_gaps: u64,
    /// Requests for retransmission.
    pub requests: u64,
    /// Messages lost for good.
    pub lost: u64,
}

/// Turns packets into messages.
pub trait Decode {
    /// Takes a packet in.
    ///
    /// # Errors
    /// [`FrameError`] when the packet as a whole cannot be read; it is counted and changes nothing.
    fn decode(
        &mut self,
        packet: &[u8],
        now: Monotonic,
        sink: &mut dyn FnMut(DecodeEvent<'_>),
    ) -> Result<(), FrameError>;

    /// Lets time pass.
    fn tick(&mut self, now: Monotonic, sink: &mut dyn FnMut(DecodeEvent<'_>));

    /// When [`Decode::tick`] has something to do.
    fn next_tick(&self) -> Option<Monotonic>;

    /// What it counted.
    fn counts(&self) -> DecodeCounts;
}

/// ITCH 5.0 over MoldUDP64, in software.
#[derive(Clone, Debug)]
pub struct SoftwareDecoder {
    receiver: mold::Receiver,
    unreadable: u64,
    effects: Vec<mold::Effect>,
}

impl SoftwareDecoder {
    /// A decoder that follows the first session it hears.
    #[must_use]
    pub fn new(settings: mold::ReceiverSettings) -> Self {
        Self {
            receiver: mold::Receiver::new(settings),
            unreadable: 0,
            effects: Vec::new(),
        }
    }
}

/// Hands a message on; gives how many could not be read.
fn hand_on(block: Block<'_>, sink: &mut dyn FnMut(DecodeEvent<'_>)) -> u64 {
    let sequence = block.sequence;
    match itch::decode(block.bytes, block.offset) {
        Ok(message) => {
            sink(DecodeEvent::Message { sequence, message });
            0
        }
        Err(error) => {
            sink(DecodeEvent::Unreadable { sequence, error });
            1
        }
    }
}

fn told(effects: &mut Vec<mold::Effect>, sink: &mut dyn FnMut(DecodeEvent<'_>)) {
    for effect in effects.drain(..) {
        sink(match effect {
            mold::Effect::Ask(request) => DecodeEvent::Ask(request),
            mold::Effect::Lost { first, last } => DecodeEvent::Lost { first, last },
            mold::Effect::SessionBegan(session) => DecodeEvent::SessionBegan(session),
            mold::Effect::SessionEnded(session) => DecodeEvent::SessionEnded(session),
        });
    }
}

impl Decode for SoftwareDecoder {
    fn decode(
        &mut self,
        packet: &[u8],
        now: Monotonic,
        sink: &mut dyn FnMut(DecodeEvent<'_>),
    ) -> Result<(), FrameError> {
        let unreadable = &mut self.unreadable;
        let result = self.receiver.receive(
            packet,
            now,
            &mut |block| *unreadable += hand_on(block, sink),
            &mut self.effects,
        );
        told(&mut self.effects, sink);
        result
    }

    fn tick(&mut self, now: Monotonic, sink: &mut dyn FnMut(DecodeEvent<'_>)) {
        let unreadable = &mut self.unreadable;
        self.receiver.tick(
            now,
            &mut |block| *unreadable += hand_on(block, sink),
            &mut self.effects,
        );
        told(&mut self.effects, sink);
    }

    fn next_tick(&self) -> Option<Monotonic> {
        self.receiver.next_tick()
    }

    fn counts(&self) -> DecodeCounts {
        let counts = self.receiver.counts();
        DecodeCounts {
            packets: counts.packets,
            messages: counts.messages - self.unreadable,
            unreadable: counts.malformed + self.unreadable,
            duplicates: counts.duplicates,
            sequence_gaps: counts.gaps,
            requests: counts.requests,
            lost: counts.lost,
        }
    }
}
