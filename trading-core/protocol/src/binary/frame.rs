//! Frames: how one ends and the next begins.

use super::bytes::{u16_at, u64_at};
use super::layout::{HEADER_BYTES, LAYOUTS, header};

/// The version that is spoken. A frame of another one ends the connection.
pub const VERSION: u8 = 1;
/// Longest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 1_024;
/// Longest text in a frame, in bytes; longer ones are cut.
pub(super) const TEXT_BYTES_MAX: usize = 400;

/// Flag of a report: it was sent before.
pub(super) const POSSIBLE_DUPLICATE: u8 = 1;

/// Why what was received is no frame. Where the next one would begin is not known after that, so
/// the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length that no frame has.
    #[error(
        "failed to read a frame: length {length} is not accepted: use {HEADER_BYTES} to \
         {FRAME_BYTES_MAX} bytes, the header included"
    )]
    Length {
        /// What stands there.
        length: u16,
    },
    /// Another version.
    #[error(
        "failed to read a frame: version {found} is not known: this side speaks version {VERSION}"
    )]
    Version {
        /// What stands there.
        found: u8,
    },
    /// A kind that there is not.
    #[error("failed to read a frame: kind {found} is not known in version {VERSION}")]
    Kind {
        /// What stands there.
        found: u8,
    },
    /// A known kind that is shorter or longer than its layout.
    #[error(
        "failed to read a frame of kind {kind}: length {length} is not accepted: this kind has \
         {accepted} bytes{}", if *.tail { " and the texts behind them" } else { "" }
    )]
    KindLength {
        /// The kind.
        kind: u8,
        /// What stands there.
        length: u16,
        /// The layout's.
        accepted: usize,
        /// Whether texts may follow.
        tail: bool,
    },
}

/// One whole frame, of a known kind and as long as the kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its kind.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> u8 {
        self.bytes[header::KIND_OF_FRAME]
    }

    /// The client's number for a request, or the server's epoch.
    #[must_use]
    #[inline]
    pub fn number(&self) -> u64 {
        u64_at(self.bytes, header::NUMBER)
    }

    /// All its bytes, the header included.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes[header::FLAGS]
    }
}

/// The first whole frame of what was received and how many bytes it took; `None` while the rest of
/// it is still to come.
///
/// # Errors
/// [`FrameError`] as soon as the bytes that are there cannot begin a frame.
#[inline]
pub fn split(received: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    if received.len() < HEADER_BYTES {
        return Ok(None);
    }
    let length = u16_at(received, header::LENGTH);
    let version = received[header::VERSION];
    let kind = received[header::KIND_OF_FRAME];
    if version != VERSION {
        return Err(FrameError::Version { found: version });
    }
    let whole = usize::from(length);
    if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&whole) {
        return Err(FrameError::Length { length });
    }
    let (accepted, tail) = SHAPES[usize::from(kind)];
    let accepted = usize::from(accepted);
    if accepted == 0 {
        return Err(FrameError::Kind { found: kind });
    }
    if whole < accepted || (whole > accepted && !tail) {
        return Err(FrameError::KindLength {
            kind,
            length,
            accepted,
            tail,
        });
    }
    if received.len() < whole {
        return Ok(None);
    }
    let bytes = &received[..whole];
    Ok(Some((Frame { bytes }, whole)))
}

/// Length and whether texts follow, by kind; length 0 where there is no such kind.
const SHAPES: [(u16, bool); 256] = {
    let mut shapes = [(0, false); 256];
    let mut n = 0;
    while n < LAYOUTS.len() {
        let layout = &LAYOUTS[n];
        if layout.kind != 0 {
            shapes[layout.kind as usize] = (layout.bytes as u16, layout.tail);
        }
        n += 1;
    }
    shapes
};

/// Appends a frame's header and zeros for its fields; gives back the whole of it to write into.
#[inline]
pub(super) fn begin(out: &mut Vec<u8>, kind: u8, bytes: usize, number: u64) -> &mut [u8] {
    let at = out.len();
    out.resize(at + bytes, 0);
    let frame = &mut out[at..];
    frame[header::LENGTH..header::LENGTH + 2].copy_from_slice(&(bytes as u16).to_le_bytes());
    frame[header::KIND_OF_FRAME] = kind;
    frame[header::VERSION] = VERSION;
    frame[header::NUMBER..header::NUMBER + 8].copy_from_slice(&number.to_le_bytes());
    frame
}

/// As much of a text as a frame takes, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Vec<u8> {
        let mut out = Vec::new();
        super::super::write_client_heartbeat(types::UnixMicros(5), &mut out);
        out
    }

    #[test]
    fn a_frame_ends_where_its_length_says_and_the_next_begins_there() {
        let mut two = heartbeat();
        two.extend_from_slice(&heartbeat());
        let (frame, taken) = split(&two).unwrap().unwrap();
        assert_eq!(frame.bytes(), heartbeat());
        assert_eq!(split(&two[taken..]).unwrap().unwrap().1, taken);
        for cut in 0..taken {
            assert_eq!(split(&two[..cut]), Ok(None), "{cut} bytes");
        }
    }

    #[test]
    fn what_cannot_begin_a_frame_is_named_with_its_value() {
        let changed = |at: usize, value: u8| {
            let mut bytes = heartbeat();
            bytes[at] = value;
            split(&bytes).unwrap_err()
        };
        assert_eq!(
            changed(header::VERSION, 9),
            FrameError::Version { found: 9 }
        );
        assert_eq!(changed(header::LENGTH, 3), FrameError::Length { length: 3 });
        assert_eq!(
            changed(header::LENGTH + 1, 255),
            FrameError::Length { length: 0xff18 }
        );
        assert_eq!(
            changed(header::KIND_OF_FRAME, 0),
            FrameError::Kind { found: 0 }
        );
        let wrong = changed(header::LENGTH, 32);
        assert!(wrong.to_string().contains("length 32"), "{wrong}");
        assert!(wrong.to_string().contains("24 bytes"), "{wrong}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "单".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&text).len(), TEXT_BYTES_MAX - TEXT_BYTES_MAX % 3);
        assert_eq!(cut("short"), "short");
    }
}
