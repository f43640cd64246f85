//! How a card hands messages on: frames of a length, the message's number, and its bytes.
//!
//! ```text
//!   0            2              10
//!   │ length u16 │ sequence u64 │ message, as the card decoded it │
//! ```
//!
//! Big-endian. The length counts the message alone.

/// Bytes before the message.
pub const FRAME_HEAD_BYTES: usize = 10;
/// The longest frame.
pub const FRAME_MAX_BYTES: usize = FRAME_HEAD_BYTES + u16::MAX as usize;

/// Appends a frame; a message longer than a frame holds is cut, which no ITCH message is.
pub fn append_frame(sequence: u64, message: &[u8], out: &mut Vec<u8>) {
    let message = &message[..message.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(message);
}

/// The first frame of `bytes` and what follows it; none while it is not whole.
#[must_use]
pub fn take_frame(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u64::from_be_bytes(*sequence), message, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_a_cut_one_waits() {
        let mut bytes = Vec::new();
        append_frame(7, b"seven", &mut bytes);
        append_frame(8, b"", &mut bytes);
        let (sequence, message, rest) = take_frame(&bytes).unwrap();
        assert_eq!((sequence, message), (7, b"seven".as_slice()));
        assert_eq!(take_frame(rest).map(|it| it.0), Some(8));
        assert!(take_frame(&bytes[..14]).is_none());
    }
}
