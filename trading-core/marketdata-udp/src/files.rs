//! Files of ITCH in the BinaryFILE form: read, made, and sent over MoldUDP64.

use crate::multicast::{Interface, MulticastError, sender};
use marketdata::itch::binary_file::{self, Next};
use marketdata::itch::{DecodeError, Generator, Message, Mix, decode};
use marketdata::mold::{PacketBuilder, Session};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Read at a time; far more than the longest message.
const CHUNK_BYTES: usize = 4 << 20;
const PACKET_BYTES_MAX: usize = 1_400;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("failed to {action} {path}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file ends within a message.
    #[error("{path} ends within a message: {left} bytes follow the last whole one at {offset}")]
    Cut {
        /// The file.
        path: PathBuf,
        /// Bytes that are left.
        left: usize,
        /// Where they begin.
        offset: u64,
    },
    /// The group cannot be sent to.
    #[error(transparent)]
    Multicast(#[from] MulticastError),
    /// A packet was not sent.
    #[error("failed to send to {group}: {source}")]
    Send {
        /// The group.
        group: SocketAddrV4,
        /// Why.
        source: io::Error,
    },
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct FileSummary {
    /// Messages by type.
    pub messages: BTreeMap<u8, u64>,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// The first of them, with its place in the chunk it was read in.
    pub first_error: Option<DecodeError>,
    /// Time spent on framing and decoding alone.
    pub decoding: Duration,
}

impl FileSummary {
    /// All messages that could be read.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.messages.values().sum()
    }
}

/// Calls `visit` with each chunk's frames; gives bytes that no whole message took.
fn read_frames(path: &Path, mut visit: impl FnMut(&[u8]) -> usize) -> Result<(), FileError> {
    let system = |action| {
        let path = path.to_owned();
        move |source| FileError::System {
            action,
            path,
            source,
        }
    };
    let mut file = File::open(path).map_err(system("open"))?;
    let (mut buffer, mut kept, mut offset) = (vec![0; CHUNK_BYTES], 0, 0_u64);
    loop {
        let read = file.read(&mut buffer[kept..]).map_err(system("read"))?;
        if read == 0 {
            let path = path.to_owned();
            return match kept {
                0 => Ok(()),
                left => Err(FileError::Cut { path, left, offset }),
            };
        }
        let filled = kept + read;
        let used = visit(&buffer[..filled]);
        if binary_file::next(&buffer[..filled], used) == Next::EndOfSession {
            return Ok(());
        }
        buffer.copy_within(used..filled, 0);
        kept = filled - used;
        offset += used as u64;
    }
}

/// Reads and decodes a whole file; each message goes to `visit` as well.
///
/// # Errors
/// [`FileError`]. A message that cannot be read is counted, its frame tells where the next one begins.
pub fn decode_file(
    path: &Path,
    mut visit: impl FnMut(Message<'_>),
) -> Result<FileSummary, FileError> {
    let mut summary = FileSummary::default();
    let mut by_type = [0_u64; 256];
    read_frames(path, |chunk| {
        let begin = Instant::now();
        let mut frames = binary_file::Frames::new(chunk);
        for frame in frames.by_ref() {
            match decode(frame.bytes, frame.offset) {
                Ok(message) => {
                    by_type[usize::from(message.message_type())] += 1;
                    visit(message);
                }
                Err(error) => {
                    summary.unreadable += 1;
                    summary.first_error.get_or_insert(error);
                }
            }
        }
        summary.decoding += begin.elapsed();
        chunk.len() - frames.left_bytes()
    })?;
    let counted = (0_u8..=u8::MAX).zip(by_type);
    summary.messages = counted.filter(|(_, count)| *count > 0).collect();
    Ok(summary)
}

/// Writes a generated day of `messages` messages.
///
/// # Errors
/// [`FileError::System`].
pub fn generate_file(
    path: &Path,
    seed: u64,
    stocks: u16,
    messages: usize,
) -> Result<(), FileError> {
    let system = |action| {
        let path = path.to_owned();
        move |source| FileError::System {
            action,
            path,
            source,
        }
    };
    let mut file = BufWriter::new(File::create(path).map_err(system("create"))?);
    let (mut bytes, mut framed) = (Vec::new(), Vec::new());
    for message in Generator::new(seed, stocks, Mix::default()).take(messages) {
        bytes.clear();
        framed.clear();
        message.encode(&mut bytes);
        binary_file::append(&bytes, &mut framed);
        file.write_all(&framed).map_err(system("write"))?;
    }
    file.write_all(&[0, 0]).map_err(system("write"))?;
    file.flush().map_err(system("write"))
}

/// Sends a file's messages over MoldUDP64, at most `packets_per_second`; gives how many there were.
///
/// # Errors
/// [`FileError`].
pub async fn replay_file(
    path: &Path,
    group: SocketAddrV4,
    interface: Interface,
    session: Session,
    packets_per_second: u32,
) -> Result<u64, FileError> {
    let socket = sender(group, interface)?;
    let mut messages = Vec::new();
    read_frames(path, |chunk| {
        let mut frames = binary_file::Frames::new(chunk);
        messages.extend(frames.by_ref().map(|frame| frame.bytes.to_vec()));
        chunk.len() - frames.left_bytes()
    })?;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / packets_per_second.max(1));
    let (mut next, mut left) = (1_u64, messages.iter().peekable());
    while left.peek().is_some() {
        let mut packet = PacketBuilder::new(session, next, PACKET_BYTES_MAX);
        while left.peek().is_some_and(|message| packet.push(message)) {
            left.next();
            next += 1;
        }
        if packet.count() == 0 {
            // Longer than any packet: no ITCH message is.
            left.next();
            continue;
        }
        pace.tick().await;
        let sent = socket.send(&packet.finish()).await;
        sent.map_err(|source| FileError::Send { group, source })?;
    }
    let end = PacketBuilder::end_of_session(session, next);
    let sent = socket.send(&end).await;
    sent.map_err(|source| FileError::Send { group, source })?;
    Ok(next - 1)
}
