//! Where one message ends and the next begins.
//!
//! ```text
//!   8=FIX.4.4␁9=57␁35=0␁… 52=…␁10=188␁8=FIX.4.4␁…
//!   └─ opening ─┘└─── 57 bytes ───┘└ 7 ┘└ the next
//!                sum of all before 10= is 188 mod 256
//! ```
//!
//! What is garbled is skipped up to the next `8=FIX`, as the session rules want it: it takes no
//! number and gets no answer.

/// The byte that ends a field.
pub const SOH: u8 = 1;
/// Longest message that is read, in bytes. The longest that the dictionary allows has under 1,500.
pub const MESSAGE_BYTES_MAX: usize = 4_096;

const OPENING: &[u8] = b"8=FIX";
/// `10=xyz␁`.
const TRAILER_BYTES: usize = 7;
/// Longest `8=…␁`.
const BEGIN_STRING_BYTES_MAX: usize = 16;

/// What stands at the beginning of what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The beginning of a message, or nothing.
    Partial,
    /// A message of that many bytes; length and checksum are right.
    Whole {
        /// Its length.
        bytes: usize,
    },
    /// No message.
    Garbled {
        /// How many bytes to skip, at least one.
        bytes: usize,
        /// Why.
        fault: Garble,
    },
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Garble {
    /// It does not begin as one.
    #[error("it does not begin with 8=FIX")]
    Opening,
    /// The second field is no length that can be.
    #[error("its second field is not BodyLength (9) of at most {MESSAGE_BYTES_MAX} bytes")]
    BodyLength,
    /// The third field is not the message's type.
    #[error("its third field is not MsgType (35)")]
    MsgType,
    /// After as many bytes as it says there is no checksum.
    #[error("CheckSum (10) does not stand where BodyLength (9) says")]
    Trailer,
    /// The checksum is another.
    #[error("CheckSum (10) does not match")]
    CheckSum,
    /// A field has no tag or no value's end.
    #[error("a field has no tag or no end")]
    Field,
}

/// Looks at what was received.
#[must_use]
pub fn next(received: &[u8]) -> Frame {
    match read(received) {
        Ok(Some(bytes)) => Frame::Whole { bytes },
        Ok(None) => Frame::Partial,
        Err(fault) => Frame::Garbled {
            bytes: to_next_opening(received),
            fault,
        },
    }
}

fn read(received: &[u8]) -> Result<Option<usize>, Garble> {
    let opening = received.len().min(OPENING.len());
    if received[..opening] != OPENING[..opening] {
        return Err(Garble::Opening);
    }
    let Some(begin_string) = field_end(received, BEGIN_STRING_BYTES_MAX, Garble::Opening)? else {
        return Ok(None);
    };
    // "9=" and at most five digits.
    let Some(length) = field_end(&received[begin_string..], 8, Garble::BodyLength)? else {
        return Ok(None);
    };
    let body = begin_string + length;
    let Some([b'9', b'=', digits @ ..]) = received.get(begin_string..body - 1) else {
        return Err(Garble::BodyLength);
    };
    let body_bytes = crate::value::count(digits)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| (1..=MESSAGE_BYTES_MAX).contains(count))
        .ok_or(Garble::BodyLength)?;
    let trailer = body + body_bytes;
    if received.get(body..body + 3).is_some_and(|it| it != b"35=") {
        return Err(Garble::MsgType);
    }
    let Some(found) = received.get(trailer..trailer + TRAILER_BYTES) else {
        return Ok(None);
    };
    let [b'1', b'0', b'=', a, b, c, SOH] = found else {
        return Err(Garble::Trailer);
    };
    if received[trailer - 1] != SOH || ![a, b, c].iter().all(|digit| digit.is_ascii_digit()) {
        return Err(Garble::Trailer);
    }
    let said = [a, b, c]
        .iter()
        .fold(0, |sum, digit| sum * 10 + u32::from(**digit - b'0'));
    if said != u32::from(checksum(&received[..trailer])) {
        return Err(Garble::CheckSum);
    }
    Ok(Some(trailer + TRAILER_BYTES))
}

/// Where the first field ends; `None` when it is not all there.
fn field_end(bytes: &[u8], max: usize, fault: Garble) -> Result<Option<usize>, Garble> {
    match bytes.iter().take(max).position(|byte| *byte == SOH) {
        Some(place) => Ok(Some(place + 1)),
        None if bytes.len() >= max => Err(fault),
        None => Ok(None),
    }
}

/// The sum of all bytes modulo 256.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// How far the next message's beginning is, or what may become one.
fn to_next_opening(received: &[u8]) -> usize {
    let rest = &received[1..];
    let found = rest
        .windows(OPENING.len())
        .position(|window| window == OPENING);
    let skipped = found.unwrap_or_else(|| {
        let ends = (0..OPENING.len()).rev();
        let kept = ends
            .into_iter()
            .find(|kept| rest.ends_with(&OPENING[..*kept]));
        rest.len() - kept.unwrap_or(0)
    });
    skipped + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Vec<u8> {
        let body = body.replace('|', "\x01");
        let mut text = format!("8=FIX.4.4\x019={}\x01{body}", body.len()).into_bytes();
        let sum = checksum(&text);
        text.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
        text
    }

    fn garbled(bytes: &[u8]) -> (usize, Garble) {
        match next(bytes) {
            Frame::Garbled { bytes, fault } => (bytes, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_whole_only_with_its_last_byte() {
        let text = message("35=0|34=1|");
        let whole = Frame::Whole { bytes: text.len() };
        assert_eq!(next(&text), whole);
        for length in 0..text.len() {
            assert_eq!(next(&text[..length]), Frame::Partial, "{length}");
        }
        let mut two = text.clone();
        two.extend_from_slice(&text);
        assert_eq!(next(&two), whole);
    }

    #[test]
    fn what_is_garbled_is_skipped_to_the_next_opening() {
        let good = message("35=0|34=1|");
        let mut wrong_sum = good.clone();
        let last_digit = wrong_sum.len() - 2;
        wrong_sum[last_digit] = if wrong_sum[last_digit] == b'0' {
            b'1'
        } else {
            b'0'
        };
        let cases = [
            (wrong_sum, Garble::CheckSum),
            (message("34=1|35=0|"), Garble::MsgType),
            (b"8=FIX.4.4\x019=x\x0135=0\x01".to_vec(), Garble::BodyLength),
            (
                b"8=FIX.4.4\x019=99999\x0135=0\x01".to_vec(),
                Garble::BodyLength,
            ),
            (b"8=FIX.4.4\x0135=0\x019=5\x01".to_vec(), Garble::BodyLength),
            (
                b"8=FIX.4.4\x019=5\x0135=0\x0134=1\x0110=000\x01".to_vec(),
                Garble::Trailer,
            ),
            (b"GET / HTTP/1.1\r\n".to_vec(), Garble::Opening),
        ];
        for (bad, expected) in cases {
            let mut bytes = bad.clone();
            bytes.extend_from_slice(&good);
            let (skipped, fault) = garbled(&bytes);
            assert_eq!(fault, expected, "{}", String::from_utf8_lossy(&bad));
            assert_eq!(skipped, bad.len());
        }
    }

    #[test]
    fn an_opening_cut_by_the_end_is_kept() {
        assert_eq!(garbled(b"xx8=F"), (2, Garble::Opening));
        assert_eq!(garbled(b"xxxx"), (4, Garble::Opening));
        assert_eq!(next(b"8"), Frame::Partial);
    }
}
