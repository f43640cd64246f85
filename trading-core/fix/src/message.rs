//! One message, read in place: nothing is copied, each field is found by its place in the
//! dictionary.

use crate::dictionary::{self, Field, FieldSet, Form, HEADER, HEADER_REQUIRED, Kind, TRAILER};
use crate::frame::{Garble, SOH};
use crate::{value, word};
use types::{Price, Quantity, UnixMicros};

/// Why a message is refused by the session (`SessionRejectReason`, tag 373).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// The tag is no tag of FIX 4.4.
    InvalidTagNumber,
    /// A field is missing.
    RequiredTagMissing,
    /// The field does not belong to this message.
    TagNotDefinedForMessage,
    /// The field is empty.
    TagWithoutValue,
    /// The value is not one that the field may have.
    ValueIsIncorrect,
    /// The value has not the field's form.
    IncorrectDataFormat,
    /// `SenderCompID` or `TargetCompID` is another than at the logon.
    CompIdProblem,
    /// `SendingTime` is too far from our clock, or from `OrigSendingTime`.
    SendingTimeAccuracy,
    /// FIX 4.4 has no such message.
    InvalidMsgType,
    /// The field stands twice.
    TagAppearsTwice,
    /// The field stands in the wrong part of the message.
    TagOutOfOrder,
}

impl RejectReason {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::InvalidTagNumber => 0,
            Self::RequiredTagMissing => 1,
            Self::TagNotDefinedForMessage => 2,
            Self::TagWithoutValue => 4,
            Self::ValueIsIncorrect => 5,
            Self::IncorrectDataFormat => 6,
            Self::CompIdProblem => 9,
            Self::SendingTimeAccuracy => 10,
            Self::InvalidMsgType => 11,
            Self::TagAppearsTwice => 13,
            Self::TagOutOfOrder => 14,
        }
    }
}

/// What is wrong with a message: the first finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's number; 0 when it has none.
    pub tag: u32,
    /// What is wrong with it.
    pub reason: RejectReason,
}

impl Fault {
    /// A finding about a field of the dictionary.
    #[must_use]
    pub fn of(field: Field, reason: RejectReason) -> Self {
        Self {
            tag: field.tag().into(),
            reason,
        }
    }

    /// The finding in words: the field, what came, what is accepted.
    #[must_use]
    pub fn text(self, message: &Message<'_>) -> String {
        let field = Field::of_tag(self.tag);
        let name = field.map_or_else(
            || format!("tag {}", self.tag),
            |field| format!("{} ({})", field.rule().name, self.tag),
        );
        let value = field.and_then(|field| message.text(field));
        let value = value.unwrap_or_default();
        match self.reason {
            RejectReason::InvalidTagNumber => format!("{name} is no field of FIX 4.4"),
            RejectReason::RequiredTagMissing => format!("{name} is missing"),
            RejectReason::TagNotDefinedForMessage => {
                format!("{name} is not accepted in this message: leave it out")
            }
            RejectReason::TagWithoutValue => format!("{name} is empty"),
            RejectReason::ValueIsIncorrect | RejectReason::IncorrectDataFormat => {
                let accepted = field.map_or_else(String::new, |field| accepted(field.rule().form));
                format!("{name} {value:?} is not accepted: {accepted}")
            }
            RejectReason::CompIdProblem => {
                format!("{name} {value:?} is not the one of this session's logon")
            }
            RejectReason::SendingTimeAccuracy => {
                format!(
                    "{name} {value:?} is too far from our clock or before OrigSendingTime (122)"
                )
            }
            RejectReason::InvalidMsgType => format!("{name} {value:?} is no message of FIX 4.4"),
            RejectReason::TagAppearsTwice => format!("{name} stands twice"),
            RejectReason::TagOutOfOrder => {
                format!("{name} is out of order: header, body, trailer")
            }
        }
    }
}

fn accepted(form: Form) -> String {
    match form {
        Form::Text => "use printable characters".to_owned(),
        Form::Count => "use digits, at most 18".to_owned(),
        Form::Quantity => "use a whole number, at most 14 digits".to_owned(),
        Form::Price => "use yuan with at most 4 decimals".to_owned(),
        Form::Flag => "use Y or N".to_owned(),
        Form::Time => "use YYYYMMDD-HH:MM:SS.sss".to_owned(),
        Form::Choice(choices) => {
            let choices: Vec<String> = choices.iter().map(|it| char::from(*it).into()).collect();
            format!("use one of {}", choices.join(" "))
        }
    }
}

/// No tag of FIX has more.
const TAG_DIGITS_MAX: usize = 7;

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u16,
    end: u16,
}

/// A whole message ([`crate::frame::Frame::Whole`]) whose fields have been found.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    present: FieldSet,
    spans: [Span; Field::COUNT],
    kind: Option<Kind>,
    fault: Option<Fault>,
    has_control_characters: bool,
}

impl<'a> Message<'a> {
    /// Finds the fields of a whole message.
    ///
    /// # Errors
    /// [`Garble::Field`] when a field has no tag or no end. What is wrong otherwise is kept as a
    /// [`Fault`] and told by [`Message::check`], so that the session can look at the header first.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Garble> {
        let mut message = Self {
            bytes,
            present: FieldSet::default(),
            spans: [Span::default(); Field::COUNT],
            kind: None,
            fault: None,
            has_control_characters: has_control_characters(bytes),
        };
        let mut part = Part::Header;
        let mut at = 0;
        while at < bytes.len() {
            let Place { tag, start, end } = Place::at(bytes, at).ok_or(Garble::Field)?;
            match Field::of_tag(tag) {
                Some(field) => message.note(field, start, end, &mut part),
                None => message.note_unlisted(tag, &mut part),
            }
            at = end + 1;
        }
        message.kind = message.bytes_of(Field::MsgType).and_then(Kind::of_msg_type);
        Ok(message)
    }

    #[inline(always)]
    fn note(&mut self, field: Field, start: usize, end: usize, part: &mut Part) {
        if !self.present.insert(field) {
            return self.find(Fault::of(field, RejectReason::TagAppearsTwice));
        }
        // A longer message is never whole.
        self.spans[field as usize] = Span {
            start: start as u16,
            end: end as u16,
        };
        let belongs = PARTS[field as usize];
        if belongs < *part {
            self.find(Fault::of(field, RejectReason::TagOutOfOrder));
        } else {
            *part = belongs;
        }
        if start == end {
            self.find(Fault::of(field, RejectReason::TagWithoutValue));
        }
    }

    /// User-defined fields are not looked at, others are none.
    fn note_unlisted(&mut self, tag: u32, part: &mut Part) {
        if !(5_000..10_000).contains(&tag) {
            self.find(Fault {
                tag,
                reason: RejectReason::InvalidTagNumber,
            });
        }
        *part = Part::Body;
    }

    #[cold]
    fn find(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Holds the fields against the dictionary: the first finding, if there is one.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn check(&self) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            // Of a message that is not spoken here only the header is known.
            let is_of_unknown_body = self.kind.is_none()
                && matches!(
                    fault.reason,
                    RejectReason::InvalidTagNumber | RejectReason::TagAppearsTwice
                );
            if !is_of_unknown_body {
                return Err(fault);
            }
        }
        if let Some(missing) = HEADER_REQUIRED.without(self.present).first() {
            return Err(Fault::of(missing, RejectReason::RequiredTagMissing));
        }
        let Some(kind) = self.kind else {
            let msg_type = self.bytes_of(Field::MsgType).unwrap_or_default();
            return if dictionary::is_msg_type(msg_type) {
                self.check_forms(HEADER)
            } else {
                Err(Fault::of(Field::MsgType, RejectReason::InvalidMsgType))
            };
        };
        let allowed = kind.allowed().and(HEADER).and(TRAILER);
        if let Some(stranger) = self.present.without(allowed).first() {
            let reason = RejectReason::TagNotDefinedForMessage;
            return Err(Fault::of(stranger, reason));
        }
        if let Some(missing) = kind.required().without(self.present).first() {
            return Err(Fault::of(missing, RejectReason::RequiredTagMissing));
        }
        self.check_forms(allowed)
    }

    fn check_forms(&self, fields: FieldSet) -> Result<(), Fault> {
        let mut left = self.present.without(self.present.without(fields));
        if !self.has_control_characters {
            left = left.without(dictionary::TEXTS);
        }
        while let Some(field) = left.take_first() {
            let value = self.bytes_of(field).unwrap_or_default();
            let is_right = match field.rule().form {
                Form::Text => !has_control_characters(value),
                Form::Count => value::count(value).is_some(),
                Form::Quantity => value::quantity(value).is_some(),
                Form::Price => value::price(value).is_some(),
                Form::Flag => value::flag(value).is_some(),
                Form::Time => value::time(value).is_some(),
                Form::Choice(choices) => match value {
                    [one] if choices.contains(one) => true,
                    _ => return Err(Fault::of(field, RejectReason::ValueIsIncorrect)),
                },
            };
            if !is_right {
                return Err(Fault::of(field, RejectReason::IncorrectDataFormat));
            }
        }
        Ok(())
    }

    /// What kind it is; `None` when that kind is not spoken here.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it has the field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.present.has(field)
    }

    /// A field's value as it stands there.
    #[must_use]
    pub fn bytes_of(&self, field: Field) -> Option<&'a [u8]> {
        let Span { start, end } = self.spans[field as usize];
        // No field stands at the very beginning without a tag.
        if start == 0 {
            return None;
        }
        self.bytes.get(usize::from(start)..usize::from(end))
    }

    /// A field's value as text; `None` when it is absent or no text.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&'a str> {
        std::str::from_utf8(self.bytes_of(field)?).ok()
    }

    /// A field's value as one character.
    #[must_use]
    pub fn character(&self, field: Field) -> Option<u8> {
        match self.bytes_of(field)? {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// A field's value as a number.
    #[must_use]
    pub fn count(&self, field: Field) -> Option<u64> {
        value::count(self.bytes_of(field)?)
    }

    /// A field's value as shares.
    #[must_use]
    pub fn quantity(&self, field: Field) -> Option<Quantity> {
        value::quantity(self.bytes_of(field)?)
    }

    /// A field's value as a price.
    #[must_use]
    pub fn price(&self, field: Field) -> Option<Price> {
        value::price(self.bytes_of(field)?)
    }

    /// Whether a flag is set; an absent one is not.
    #[must_use]
    pub fn flag(&self, field: Field) -> bool {
        self.bytes_of(field) == Some(b"Y")
    }

    /// A field's value as a time.
    #[must_use]
    pub fn time(&self, field: Field) -> Option<UnixMicros> {
        value::time(self.bytes_of(field)?)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Header,
    Body,
    Trailer,
}

/// The part that each field stands in.
const PARTS: [Part; Field::COUNT] = {
    let mut parts = [Part::Body; Field::COUNT];
    let mut place = 0;
    while place < Field::COUNT {
        let field = dictionary::FIELDS[place];
        if HEADER.has(field) {
            parts[place] = Part::Header;
        } else if TRAILER.has(field) {
            parts[place] = Part::Trailer;
        }
        place += 1;
    }
    parts
};

/// Where a field is.
struct Place {
    tag: u32,
    /// Where its value begins.
    start: usize,
    /// Where its value ends: at its [`SOH`].
    end: usize,
}

impl Place {
    /// The field that begins at `at`. Most are found in the first eight bytes.
    #[inline(always)]
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let word = word::load(bytes.get(at..)?);
        let [a, b, c, ..] = word.to_le_bytes().map(|byte| byte.wrapping_sub(b'0'));
        const EQUALS: u8 = b'=' - b'0';
        let (tag, start) = if b == EQUALS && a <= 9 {
            (a.into(), at + 2)
        } else if c == EQUALS && a <= 9 && b <= 9 {
            (u32::from(a) * 10 + u32::from(b), at + 3)
        } else {
            let length = word::first(word::places(word, b'='));
            if !(1..=TAG_DIGITS_MAX).contains(&length) {
                return None;
            }
            (word::digits(word, length)? as u32, at + length + 1)
        };
        let mut ends = word::places(word, SOH);
        let mut looked_at = at;
        while ends == 0 {
            looked_at += word::BYTES;
            let rest = bytes.get(looked_at..).filter(|rest| !rest.is_empty())?;
            ends = word::places(word::load(rest), SOH);
        }
        let end = looked_at + word::first(ends);
        Some(Self { tag, start, end })
    }
}

/// Whether there is a control character that ends no field.
fn has_control_characters(bytes: &[u8]) -> bool {
    // Without a branch a byte, so that many are looked at in one instruction.
    bytes.iter().fold(0, |found, byte| {
        found | u8::from(*byte < b' ' && *byte != SOH)
    }) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, next};
    use crate::testing::message;

    const HEAD: &str = "49=CLIENT|56=TRICENTER|34=2|52=20261125-01:00:00.000|";

    fn fault(text: &str) -> Option<(u32, RejectReason)> {
        let bytes = message(text);
        assert_eq!(next(&bytes), Frame::Whole { bytes: bytes.len() });
        let found = Message::read(&bytes).unwrap().check();
        found.err().map(|fault| (fault.tag, fault.reason))
    }

    fn order(rest: &str) -> String {
        format!("35=D|{HEAD}11=A1|55=600000|54=1|60=20261125-01:00:00.000|38=100|{rest}")
    }

    #[test]
    fn an_order_is_read_field_by_field() {
        let bytes = message(&order("40=2|44=10.05|59=3|9001=ours|"));
        let message = Message::read(&bytes).unwrap();
        message.check().unwrap();
        assert_eq!(message.kind(), Some(Kind::NewOrderSingle));
        assert_eq!(message.text(Field::ClOrdID), Some("A1"));
        assert_eq!(message.quantity(Field::OrderQty), Some(Quantity(100)));
        assert_eq!(message.price(Field::Price), Some(Price(100_500)));
        assert_eq!(message.character(Field::TimeInForce), Some(b'3'));
        assert_eq!(message.count(Field::MsgSeqNum), Some(2));
        assert_eq!(message.text(Field::Account), None);
    }

    #[test]
    fn each_kind_of_fault_names_its_field() {
        use RejectReason::*;
        let cases = [
            (order("40=2|44=10|"), None),
            (order("40=2|44=1e1|"), Some((44, IncorrectDataFormat))),
            (order("40=2|44=|"), Some((44, TagWithoutValue))),
            (order("40=Z|"), Some((40, ValueIsIncorrect))),
            (order("40=2|40=1|"), Some((40, TagAppearsTwice))),
            (order("44=10|"), Some((40, RequiredTagMissing))),
            (order("40=2|150=0|"), Some((150, TagNotDefinedForMessage))),
            (order("40=2|110=5|"), Some((110, InvalidTagNumber))),
            (order("40=2|43=Y|"), Some((43, TagOutOfOrder))),
            (format!("35=0|{HEAD}"), None),
            (format!("35=AE|{HEAD}571=x|"), None),
            (format!("35=*|{HEAD}"), Some((35, InvalidMsgType))),
            (
                "35=0|49=C|56=T|52=20261125-01:00:00|".to_owned(),
                Some((34, RequiredTagMissing)),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(fault(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_is_told_with_field_value_and_what_is_accepted() {
        let bytes = message(&order("40=Z|"));
        let message = Message::read(&bytes).unwrap();
        assert_eq!(
            message.check().unwrap_err().text(&message),
            "OrdType (40) \"Z\" is not accepted: use one of 1 2 3 4 5 6 7 8 9 D E G I J K L M P"
        );
    }

    #[test]
    fn a_text_with_a_control_character_is_refused() {
        use RejectReason::IncorrectDataFormat;
        for control in 2..b' ' {
            let text = order(&format!("40=1|58=a{}b|", char::from(control)));
            assert_eq!(fault(&text), Some((58, IncorrectDataFormat)), "{control}");
        }
        assert_eq!(fault(&order("40=1|58=a b\u{e9}|")), None);
    }

    #[test]
    fn a_field_without_a_tag_garbles_the_message() {
        for bad in ["35=0|abc=1|", "35=0|=1|", "35=0|123456789=1|"] {
            assert_eq!(Message::read(&message(bad)).err(), Some(Garble::Field));
        }
    }
}
