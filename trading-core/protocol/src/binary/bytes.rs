//! Numbers and ids at a place of a frame.

use crate::BadField;
use types::ClOrdId;

/// Reads a number of so many bytes at a place that the frame's length was checked to reach.
macro_rules! read_number {
    ($name:ident, $number:ty) => {
        #[inline]
        pub(super) fn $name(bytes: &[u8], at: usize) -> $number {
            let mut raw = [0; size_of::<$number>()];
            raw.copy_from_slice(&bytes[at..at + size_of::<$number>()]);
            <$number>::from_le_bytes(raw)
        }
    };
}
read_number!(u16_at, u16);
read_number!(u32_at, u32);
read_number!(u64_at, u64);
read_number!(i64_at, i64);

/// Writes at a place of a frame that is as long as its kind says.
#[inline]
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Writes an id; what follows it stays zero.
#[inline]
pub(super) fn put_id(bytes: &mut [u8], at: usize, id: ClOrdId) {
    put(bytes, at, id.as_str().as_bytes());
}

/// An id, or nothing when only zeros stand there.
#[inline]
pub(super) fn optional_id_at(
    bytes: &[u8],
    at: usize,
    field: &'static str,
) -> Result<Option<ClOrdId>, BadField> {
    let raw = &bytes[at..at + ClOrdId::LENGTH_MAX];
    if raw[0] == 0 && raw.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    id_at(bytes, at, field).map(Some)
}

/// An id: printable ASCII, then zeros only.
#[inline]
pub(super) fn id_at(bytes: &[u8], at: usize, field: &'static str) -> Result<ClOrdId, BadField> {
    let raw = &bytes[at..at + ClOrdId::LENGTH_MAX];
    let length = raw.iter().position(|byte| *byte == 0);
    let length = length.unwrap_or(ClOrdId::LENGTH_MAX);
    let (text, rest) = raw.split_at(length);
    let text = std::str::from_utf8(text).ok();
    match text.and_then(|text| ClOrdId::new(text).ok()) {
        Some(id) if rest.iter().all(|byte| *byte == 0) => Ok(id),
        _ => Err(bad_id(raw, field)),
    }
}

#[cold]
fn bad_id(raw: &[u8], field: &'static str) -> BadField {
    BadField::new(
        field,
        format!(
            "\"{}\" is not accepted: use 1 to {} printable ASCII characters without spaces, filled \
             up with zero bytes",
            raw.escape_ascii(),
            ClOrdId::LENGTH_MAX
        ),
    )
}

/// Refuses anything but zeros where a later version may put a field.
#[inline]
pub(super) fn zeros(
    bytes: &[u8],
    at: usize,
    count: usize,
    field: &'static str,
) -> Result<(), BadField> {
    match bytes[at..at + count].iter().find(|byte| **byte != 0) {
        None => Ok(()),
        Some(found) => Err(bad_number(field, (*found).into(), "use 0")),
    }
}

/// A number that stands for none of what it may stand for.
#[cold]
pub(super) fn bad_number(field: &'static str, value: u64, accepted: &str) -> BadField {
    BadField::new(field, format!("{value} is not accepted: {accepted}"))
}
