//! The BinaryFILE form, in which days of ITCH are kept on disk.
//!
//! ```text
//!   │ length u16 BE │ message │ length u16 BE │ message │ … │ 0 0 │
//! ```
//!
//! A length of zero marks the end of the session; a file may also just end.

/// Bytes of a message's length.
pub const LENGTH_BYTES: usize = 2;

/// Where a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where the message begins, behind its length.
    pub offset: usize,
    /// The message.
    pub bytes: &'a [u8],
}

/// What stands at a place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole message; the next one begins at `after`.
    Frame {
        /// The message.
        frame: Frame<'a>,
        /// Where the next length begins.
        after: usize,
    },
    /// The mark that ends the session.
    EndOfSession,
    /// More bytes are needed than there are: read on, or the file is cut when it ends here.
    Incomplete,
}

/// Looks at `bytes[at..]`. Total over all inputs.
#[inline]
#[must_use]
pub fn next(bytes: &[u8], at: usize) -> Next<'_> {
    let Some(&[high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
        return Next::Incomplete;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 {
        return Next::EndOfSession;
    }
    let offset = at + LENGTH_BYTES;
    match bytes.get(offset..offset + length) {
        Some(message) => Next::Frame {
            frame: Frame {
                offset,
                bytes: message,
            },
            after: offset + length,
        },
        None => Next::Incomplete,
    }
}

/// The messages of a file that lies in memory.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// From the file's beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes behind the last whole message: 0 at a clean end.
    #[must_use]
    pub fn left_bytes(&self) -> usize {
        self.bytes.len() - self.at
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        match next(self.bytes, self.at) {
            Next::Frame { frame, after } => {
                self.at = after;
                Some(frame)
            }
            Next::EndOfSession | Next::Incomplete => None,
        }
    }
}

/// Appends a message with its length.
///
/// # Panics
/// When the message is longer than two bytes can say; no ITCH message is longer than 50.
pub fn append(message: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(message.len()).expect("an ITCH message is at most 50 bytes long");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_with_their_places() {
        let mut file = Vec::new();
        append(b"one", &mut file);
        append(b"three", &mut file);
        let found: Vec<_> = Frames::new(&file).map(|it| (it.offset, it.bytes)).collect();
        assert_eq!(found, [(2, &b"one"[..]), (7, &b"three"[..])]);
    }

    #[test]
    fn the_end_mark_ends_the_session_whatever_follows() {
        let mut file = Vec::new();
        append(b"one", &mut file);
        file.extend_from_slice(&[0, 0, 0, 3, b'x', b'x', b'x']);
        assert_eq!(Frames::new(&file).count(), 1);
        assert_eq!(next(&file, 5), Next::EndOfSession);
    }

    #[test]
    fn a_cut_file_says_how_much_is_left_over() {
        let mut file = Vec::new();
        append(b"one", &mut file);
        append(b"three", &mut file);
        for cut in 5..file.len() {
            let mut frames = Frames::new(&file[..cut]);
            assert_eq!(frames.by_ref().count(), 1);
            assert_eq!(frames.left_bytes(), cut - 5);
            assert_eq!(next(&file[..cut], 5), Next::Incomplete);
        }
    }

    #[test]
    fn a_place_behind_the_end_is_incomplete() {
        assert_eq!(next(&[], 0), Next::Incomplete);
        assert_eq!(next(&[0, 1], 9), Next::Incomplete);
    }
}
