//! Packets and requests, byte by byte.

use std::fmt;

/// Bytes before the first message.
pub(super) const HEADER_BYTES: usize = 20;
const LENGTH_BYTES: usize = 2;
const END_OF_SESSION: u16 = 0xffff;

/// The name of a run of numbers, such as one day's; ten bytes as they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub [u8; 10]);

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trim_ascii().escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({self})")
    }
}

/// Why bytes are no MoldUDP64 packet. Nothing of them was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than a header.
    #[error(
        "failed to read a MoldUDP64 packet: it has {length} bytes, its header takes {HEADER_BYTES}"
    )]
    Short {
        /// Bytes that came.
        length: usize,
    },
    /// A message reaches past the end.
    #[error(
        "failed to read a MoldUDP64 packet of {length} bytes: message {message} of {count} at \
         offset {offset} reaches past the end: it was cut"
    )]
    Cut {
        /// Bytes that came.
        length: usize,
        /// Which message, from 1.
        message: u16,
        /// How many the header says.
        count: u16,
        /// Where its length stands.
        offset: usize,
    },
    /// Something follows the last message.
    #[error(
        "failed to read a MoldUDP64 packet of {length} bytes: {left} bytes follow the last of \
         {count} messages"
    )]
    TrailingBytes {
        /// Bytes that came.
        length: usize,
        /// Bytes that are left.
        left: usize,
        /// How many messages the header says.
        count: u16,
    },
    /// Numbers that no session reaches.
    #[error(
        "failed to read a MoldUDP64 packet: sequence {sequence} is not accepted: use 1 to half of \
         what 8 bytes hold"
    )]
    Sequence {
        /// The number.
        sequence: u64,
    },
}

/// One packet, seen where it lies.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The session.
    pub session: Session,
    /// The number of the first message; of the next one in a heartbeat and at the end.
    pub sequence: u64,
    /// What it carries.
    pub contents: Contents<'a>,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Contents<'a> {
    /// Messages, at least one.
    Messages(Blocks<'a>),
    /// Nothing new.
    Heartbeat,
    /// No more messages will come.
    EndOfSession,
}

impl<'a> Packet<'a> {
    /// Reads a packet; its messages are checked to be whole.
    ///
    /// # Errors
    /// [`FrameError`].
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let length = bytes.len();
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(FrameError::Short { length });
        };
        let (session, sequence, count) = split_header(header);
        if !(1..=u64::MAX / 2).contains(&sequence) {
            return Err(FrameError::Sequence { sequence });
        }
        let contents = match count {
            0 => Contents::Heartbeat,
            END_OF_SESSION => Contents::EndOfSession,
            count => {
                check_blocks(rest, count)?;
                Contents::Messages(Blocks {
                    left: rest,
                    offset: HEADER_BYTES,
                    sequence,
                })
            }
        };
        Ok(Self {
            session,
            sequence,
            contents,
        })
    }
}

fn split_header(header: &[u8; HEADER_BYTES]) -> (Session, u64, u16) {
    let mut session = [0; 10];
    session.copy_from_slice(&header[..10]);
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&header[10..18]);
    (
        Session(session),
        u64::from_be_bytes(sequence),
        u16::from_be_bytes([header[18], header[19]]),
    )
}

fn check_blocks(blocks: &[u8], count: u16) -> Result<(), FrameError> {
    let length = HEADER_BYTES + blocks.len();
    let mut at = 0;
    for message in 1..=count {
        let after = blocks
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .map(|bytes| at + LENGTH_BYTES + usize::from(u16::from_be_bytes(*bytes)))
            .filter(|after| *after <= blocks.len());
        at = after.ok_or(FrameError::Cut {
            length,
            message,
            count,
            offset: HEADER_BYTES + at,
        })?;
    }
    if at < blocks.len() {
        let left = blocks.len() - at;
        return Err(FrameError::TrailingBytes {
            length,
            left,
            count,
        });
    }
    Ok(())
}

/// One message of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its number.
    pub sequence: u64,
    /// Where it begins in the packet.
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The messages of a packet, in order.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    left: &'a [u8],
    offset: usize,
    sequence: u64,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    #[inline]
    fn next(&mut self) -> Option<Block<'a>> {
        let (length, rest) = self.left.split_first_chunk()?;
        let (bytes, left) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let block = Block {
            sequence: self.sequence,
            offset: self.offset + LENGTH_BYTES,
            bytes,
        };
        self.left = left;
        self.offset = block.offset + bytes.len();
        self.sequence += 1;
        Some(block)
    }
}

/// Makes packets.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    bytes: Vec<u8>,
    bytes_max: usize,
    count: u16,
}

impl PacketBuilder {
    /// A packet whose first message gets the number `sequence`; without messages a heartbeat.
    #[must_use]
    pub fn new(session: Session, sequence: u64, bytes_max: usize) -> Self {
        let mut bytes = Vec::with_capacity(bytes_max);
        bytes.extend_from_slice(&session.0);
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        Self {
            bytes,
            bytes_max,
            count: 0,
        }
    }

    /// Adds a message; `false` when it does not fit and the packet is as before.
    pub fn push(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u16::try_from(message.len()) else {
            return false;
        };
        let fits = self.bytes.len() + LENGTH_BYTES + message.len() <= self.bytes_max;
        if !fits || self.count == END_OF_SESSION - 1 {
            return false;
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.count += 1;
        true
    }

    /// How many messages are in it.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The packet's bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[18..HEADER_BYTES].copy_from_slice(&self.count.to_be_bytes());
        self.bytes
    }

    /// The packet that ends a session; `sequence` is the number that would come next.
    #[must_use]
    pub fn end_of_session(session: Session, sequence: u64) -> Vec<u8> {
        let mut packet = Self::new(session, sequence, HEADER_BYTES);
        packet.count = END_OF_SESSION;
        packet.finish()
    }
}

/// Asks for messages again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The session.
    pub session: Session,
    /// The first message wanted.
    pub sequence: u64,
    /// How many.
    pub count: u16,
}

impl Request {
    /// The request's bytes, for the retransmission server.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..10].copy_from_slice(&self.session.0);
        bytes[10..18].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[18..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`FrameError::Short`].
    pub fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let header = bytes.first_chunk().ok_or(FrameError::Short {
            length: bytes.len(),
        })?;
        let (session, sequence, count) = split_header(header);
        Ok(Self {
            session,
            sequence,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Session = Session(*b"0000000042");

    #[test]
    fn a_packet_is_what_the_specification_draws() {
        let mut packet = PacketBuilder::new(SESSION, 0x0102, 64);
        assert!(packet.push(b"ab") && packet.push(b""));
        let bytes = packet.finish();
        assert_eq!(
            bytes,
            [
                b"0000000042".as_slice(),
                &[0, 0, 0, 0, 0, 0, 1, 2, 0, 2],
                &[0, 2, b'a', b'b', 0, 0]
            ]
            .concat()
        );
        let Contents::Messages(blocks) = Packet::read(&bytes).unwrap().contents else {
            panic!("no messages");
        };
        let found: Vec<_> = blocks
            .map(|it| (it.sequence, it.offset, it.bytes))
            .collect();
        assert_eq!(found, [(0x0102, 22, &b"ab"[..]), (0x0103, 26, b"")]);
    }

    #[test]
    fn heartbeat_and_end_of_session_are_told_apart() {
        let heartbeat = PacketBuilder::new(SESSION, 7, 20).finish();
        let read = Packet::read(&heartbeat).unwrap();
        assert!(matches!(read.contents, Contents::Heartbeat) && read.sequence == 7);
        let end = PacketBuilder::end_of_session(SESSION, 9);
        let read = Packet::read(&end).unwrap();
        assert!(matches!(read.contents, Contents::EndOfSession) && read.sequence == 9);
    }

    #[test]
    fn no_cut_and_no_extra_byte_goes_unseen() {
        let mut packet = PacketBuilder::new(SESSION, 1, 64);
        assert!(packet.push(b"one") && packet.push(b"two"));
        let bytes = packet.finish();
        for length in 0..bytes.len() {
            assert!(Packet::read(&bytes[..length]).is_err(), "cut at {length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(
            Packet::read(&longer),
            Err(FrameError::TrailingBytes { left: 1, .. })
        ));
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_packet_as_it_was() {
        let mut packet = PacketBuilder::new(SESSION, 1, 26);
        assert!(packet.push(b"four"));
        assert!(!packet.push(b""));
        assert_eq!(packet.count(), 1);
        assert!(Packet::read(&packet.finish()).is_ok());
    }

    #[test]
    fn a_request_comes_back_as_it_was_made() {
        let request = Request {
            session: SESSION,
            sequence: 5,
            count: 3,
        };
        assert_eq!(Request::read(&request.encode()), Ok(request));
        assert_eq!(
            Request::read(&[0; 19]),
            Err(FrameError::Short { length: 19 })
        );
    }

    #[test]
    fn a_number_that_no_session_reaches_is_refused() {
        for sequence in [0, u64::MAX] {
            let bytes = PacketBuilder::new(SESSION, sequence, 20).finish();
            assert!(matches!(
                Packet::read(&bytes),
                Err(FrameError::Sequence { .. })
            ));
        }
    }
}
