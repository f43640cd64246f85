//! Messages as they go out.

use crate::dictionary::{Field, Kind};
use crate::frame::{SOH, checksum};
use crate::value;
use types::{Price, Quantity, UnixMicros};

/// The only version that is spoken.
pub const BEGIN_STRING: &str = "FIX.4.4";

/// The fields of a body, in the order in which they are put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
}

impl Body {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn put(&mut self, field: Field, value: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.bytes, field, value);
    }

    /// Puts text. Bytes that FIX has no place for, such as SOH, become `?`.
    #[must_use]
    pub fn text(mut self, field: Field, text: &str) -> Self {
        let printable = |byte: u8| if byte < b' ' { b'?' } else { byte };
        self.put(field, |out| out.extend(text.bytes().map(printable)));
        self
    }

    /// Puts one character.
    #[must_use]
    pub fn character(mut self, field: Field, character: u8) -> Self {
        self.put(field, |out| out.push(character));
        self
    }

    /// Puts a number.
    #[must_use]
    pub fn count(mut self, field: Field, count: u64) -> Self {
        self.put(field, |out| value::put_number(out, count));
        self
    }

    /// Puts shares.
    #[must_use]
    pub fn quantity(self, field: Field, quantity: Quantity) -> Self {
        self.count(field, quantity.0)
    }

    /// Puts a price.
    #[must_use]
    pub fn price(mut self, field: Field, price: Price) -> Self {
        self.put(field, |out| value::put_price(out, price));
        self
    }

    /// Puts a time.
    #[must_use]
    pub fn time(mut self, field: Field, time: UnixMicros) -> Self {
        self.put(field, |out| value::put_time(out, time));
        self
    }

    /// Puts `Y`.
    #[must_use]
    pub fn yes(self, field: Field) -> Self {
        self.character(field, b'Y')
    }

    /// Puts what there is, and nothing when there is nothing.
    #[must_use]
    pub fn when<T>(self, value: Option<T>, put: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => put(self, value),
            None => self,
        }
    }
}

/// What stands before a body.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// What kind of message.
    pub kind: Kind,
    /// Who sends.
    pub sender: &'a str,
    /// To whom.
    pub target: &'a str,
    /// Its number.
    pub msg_seq_num: u64,
    /// When it is sent.
    pub sending_time: UnixMicros,
    /// When it was sent first: it may be a duplicate.
    pub orig_sending_time: Option<UnixMicros>,
    /// It may say what another number said before.
    pub poss_resend: bool,
}

/// Appends a whole message.
pub fn message(out: &mut Vec<u8>, header: &Header<'_>, body: &[u8]) {
    let mut head = Vec::with_capacity(128);
    let text = |head: &mut Vec<u8>, field, text: &str| {
        put(head, field, |out| out.extend_from_slice(text.as_bytes()));
    };
    text(&mut head, Field::MsgType, header.kind.msg_type());
    text(&mut head, Field::SenderCompID, header.sender);
    text(&mut head, Field::TargetCompID, header.target);
    put(&mut head, Field::MsgSeqNum, |out| {
        value::put_number(out, header.msg_seq_num);
    });
    if header.orig_sending_time.is_some() {
        put(&mut head, Field::PossDupFlag, |out| out.push(b'Y'));
    }
    if header.poss_resend {
        put(&mut head, Field::PossResend, |out| out.push(b'Y'));
    }
    put(&mut head, Field::SendingTime, |out| {
        value::put_time(out, header.sending_time);
    });
    if let Some(first) = header.orig_sending_time {
        put(&mut head, Field::OrigSendingTime, |out| {
            value::put_time(out, first);
        });
    }
    let start = out.len();
    text(out, Field::BeginString, BEGIN_STRING);
    put(out, Field::BodyLength, |out| {
        value::put_number(out, (head.len() + body.len()) as u64);
    });
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    let sum = checksum(&out[start..]);
    put(out, Field::CheckSum, |out| {
        for divisor in [100, 10, 1] {
            out.push(b'0' + sum / divisor % 10);
        }
    });
}

fn put(out: &mut Vec<u8>, field: Field, value: impl FnOnce(&mut Vec<u8>)) {
    value::put_number(out, field.tag().into());
    out.push(b'=');
    value(out);
    out.push(SOH);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, next};
    use crate::message::Message;
    use crate::testing::shown;

    #[test]
    fn what_is_written_is_read_back() {
        let body = Body::new().text(Field::TestReqID, "are you\x01there");
        let header = Header {
            kind: Kind::TestRequest,
            sender: "TRICENTER",
            target: "CLIENT",
            msg_seq_num: 12,
            sending_time: UnixMicros(1_795_564_800_123_456),
            orig_sending_time: Some(UnixMicros(1_795_564_799_000_000)),
            poss_resend: false,
        };
        let mut bytes = b"before".to_vec();
        message(&mut bytes, &header, &body.into_bytes());
        let bytes = &bytes[6..];
        assert_eq!(
            shown(bytes),
            "8=FIX.4.4|9=108|35=1|49=TRICENTER|56=CLIENT|34=12|43=Y|52=20261125-00:00:00.123|\
             122=20261124-23:59:59.000|112=are you?there|10=113|"
        );
        assert_eq!(next(bytes), Frame::Whole { bytes: bytes.len() });
        Message::read(bytes).unwrap().check().unwrap();
    }
}
