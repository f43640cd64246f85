//! What the tests of this crate share.

use crate::frame::checksum;

/// A whole message from its body, `|` for the byte between fields.
pub(crate) fn message(body: &str) -> Vec<u8> {
    let body = body.replace('|', "\x01");
    let mut text = format!("8=FIX.4.4\x019={}\x01{body}", body.len()).into_bytes();
    let sum = checksum(&text);
    text.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
    text
}

/// Bytes as the tables of the tests show them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\x01', "|")
}
