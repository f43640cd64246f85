//! The part of FIX 4.4 that is spoken here, as data: fields with their tags and forms, and which
//! message carries which.
//!
//! A field that is not listed for a message is refused, not ignored: an order condition that nobody
//! honours must not look accepted. User-defined tags (5000 to 9999) are the exception, as in most
//! engines. Source of tags, names and values: FIX 4.4 with errata 20030618, volumes 1, 4 and 6.

/// What a field's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Printable characters.
    Text,
    /// An integer from 0, at most 18 digits.
    Count,
    /// A number of shares: an integer, or a decimal whose fraction is zero.
    Quantity,
    /// Yuan with at most four decimals that are not zero.
    Price,
    /// `Y` or `N`.
    Flag,
    /// One of these characters.
    Choice(&'static [u8]),
    /// `YYYYMMDD-HH:MM:SS`, with milliseconds or microseconds or neither.
    Time,
}

/// A field as the dictionary lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// Its number on the wire.
    pub tag: u16,
    /// Its name in FIX.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
}

macro_rules! fields {
    ($($name:ident = $tag:literal: $form:expr;)*) => {
        /// A field, by its FIX name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = concat!("Tag ", $tag, ".")] $name,)*
        }

        /// All fields, in the order of their tags.
        pub(crate) const FIELDS: &[Field] = &[$(Field::$name,)*];
        const RULES: &[FieldRule] = &[
            $(FieldRule { tag: $tag, name: stringify!($name), form: $form },)*
        ];
    };
}

fields! {
    Account = 1: Form::Text;
    AvgPx = 6: Form::Price;
    BeginSeqNo = 7: Form::Count;
    BeginString = 8: Form::Text;
    BodyLength = 9: Form::Count;
    CheckSum = 10: Form::Text;
    ClOrdID = 11: Form::Text;
    CumQty = 14: Form::Quantity;
    Currency = 15: Form::Text;
    EndSeqNo = 16: Form::Count;
    ExecID = 17: Form::Text;
    ExecInst = 18: Form::Text;
    HandlInst = 21: Form::Choice(b"123");
    SecurityIDSource = 22: Form::Text;
    LastPx = 31: Form::Price;
    LastQty = 32: Form::Quantity;
    MsgSeqNum = 34: Form::Count;
    MsgType = 35: Form::Text;
    NewSeqNo = 36: Form::Count;
    OrderID = 37: Form::Text;
    OrderQty = 38: Form::Quantity;
    OrdStatus = 39: Form::Choice(b"0123456789ABCDE");
    OrdType = 40: Form::Choice(b"123456789DEGIJKLMP");
    OrigClOrdID = 41: Form::Text;
    PossDupFlag = 43: Form::Flag;
    Price = 44: Form::Price;
    RefSeqNum = 45: Form::Count;
    SecurityID = 48: Form::Text;
    SenderCompID = 49: Form::Text;
    SenderSubID = 50: Form::Text;
    SendingTime = 52: Form::Time;
    Side = 54: Form::Choice(b"123456789ABCDEFG");
    Symbol = 55: Form::Text;
    TargetCompID = 56: Form::Text;
    TargetSubID = 57: Form::Text;
    Text = 58: Form::Text;
    TimeInForce = 59: Form::Choice(b"01234567");
    TransactTime = 60: Form::Time;
    PossResend = 97: Form::Flag;
    EncryptMethod = 98: Form::Choice(b"0123456");
    StopPx = 99: Form::Price;
    ExDestination = 100: Form::Text;
    CxlRejReason = 102: Form::Count;
    OrdRejReason = 103: Form::Count;
    HeartBtInt = 108: Form::Count;
    MaxFloor = 111: Form::Quantity;
    TestReqID = 112: Form::Text;
    OrigSendingTime = 122: Form::Time;
    GapFillFlag = 123: Form::Flag;
    ResetSeqNumFlag = 141: Form::Flag;
    SenderLocationID = 142: Form::Text;
    TargetLocationID = 143: Form::Text;
    ExecType = 150: Form::Choice(b"0123456789ABCDEFGHI");
    LeavesQty = 151: Form::Quantity;
    SecurityType = 167: Form::Text;
    SecurityExchange = 207: Form::Text;
    LastMsgSeqNumProcessed = 369: Form::Count;
    RefTagID = 371: Form::Count;
    RefMsgType = 372: Form::Text;
    SessionRejectReason = 373: Form::Count;
    ExecRestatementReason = 378: Form::Count;
    BusinessRejectRefID = 379: Form::Text;
    BusinessRejectReason = 380: Form::Count;
    MaxMessageSize = 383: Form::Count;
    CxlRejResponseTo = 434: Form::Choice(b"12");
    OrderCapacity = 528: Form::Text;
    MassCancelRequestType = 530: Form::Choice(b"1234567");
    MassCancelResponse = 531: Form::Choice(b"01234567");
    MassCancelRejectReason = 532: Form::Count;
    TotalAffectedOrders = 533: Form::Count;
    Username = 553: Form::Text;
    Password = 554: Form::Text;
    NextExpectedMsgSeqNum = 789: Form::Count;
    OrdStatusReqID = 790: Form::Text;
    SelfMatchPreventionInstruction = 2964: Form::Choice(b"123");
}

/// Fields below this tag are found in a table; those above by search.
const TABLE_END: usize = 1_000;

const BY_TAG: [Option<Field>; TABLE_END] = {
    let mut table = [None; TABLE_END];
    let mut place = 0;
    while place < RULES.len() {
        if (RULES[place].tag as usize) < TABLE_END {
            table[RULES[place].tag as usize] = Some(FIELDS[place]);
        }
        place += 1;
    }
    table
};

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = FIELDS.len();

    /// The field with that tag.
    #[must_use]
    pub fn of_tag(tag: u32) -> Option<Self> {
        if let Some(found) = BY_TAG.get(tag as usize) {
            return *found;
        }
        (tag == 2964).then_some(Self::SelfMatchPreventionInstruction)
    }

    /// All fields, in the order of their tags.
    #[must_use]
    pub fn all() -> &'static [Self] {
        FIELDS
    }

    /// What the dictionary says of it.
    #[must_use]
    pub fn rule(self) -> &'static FieldRule {
        &RULES[self as usize]
    }

    /// Its number on the wire.
    #[must_use]
    pub fn tag(self) -> u16 {
        self.rule().tag
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

/// Each field's place in a set. Looked up, for a shift of 128 bits takes several times as long.
const BITS: [u128; Field::COUNT] = {
    let mut bits = [0; Field::COUNT];
    let mut place = 0;
    while place < bits.len() {
        bits[place] = 1 << place;
        place += 1;
    }
    bits
};

const _: () = assert!(FIELDS.len() <= 128, "a FieldSet has 128 places");

impl FieldSet {
    /// The set of these.
    #[must_use]
    pub const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < fields.len() {
            bits |= 1 << fields[place] as u8;
            place += 1;
        }
        Self(bits)
    }

    /// Adds one; false when it was in already.
    #[inline]
    pub fn insert(&mut self, field: Field) -> bool {
        let bit = BITS[field as usize];
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    /// Whether it is in.
    #[must_use]
    pub const fn has(self, field: Field) -> bool {
        self.0 & BITS[field as usize] != 0
    }

    /// Those that are in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Takes out the one with the lowest tag.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<Field> {
        let first = self.first();
        self.0 &= self.0.wrapping_sub(1);
        first
    }

    /// The one with the lowest tag.
    #[inline]
    #[must_use]
    pub fn first(self) -> Option<Field> {
        FIELDS.get(self.0.trailing_zeros() as usize).copied()
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $code:literal: [$($required:ident)*] [$($optional:ident)*];)*) => {
        /// What kind of message it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
                 serde::Deserialize)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind with that `MsgType`, when it is spoken here.
            #[must_use]
            pub fn of_msg_type(msg_type: &[u8]) -> Option<Self> {
                $(const $name: &[u8] = $code.as_bytes();)*
                #[allow(non_upper_case_globals, reason = "FIX's own names")]
                match msg_type {
                    $($name => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its `MsgType`.
            #[must_use]
            pub fn msg_type(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Which fields its body must have.
            #[must_use]
            pub fn required(self) -> FieldSet {
                match self {
                    $(Self::$name => const { FieldSet::of(&[$(Field::$required),*]) },)*
                }
            }

            /// Which fields its body may have, the required ones included.
            #[must_use]
            pub fn allowed(self) -> FieldSet {
                match self {
                    $(Self::$name => const {
                        FieldSet::of(&[$(Field::$required,)* $(Field::$optional),*])
                    },)*
                }
            }
        }
    };
}

#[allow(non_upper_case_globals, reason = "FIX's own names")]
mod messages {
    use super::{Field, FieldSet};

    messages! {
        /// A sign of life.
        Heartbeat = "0": [] [TestReqID];
        /// Asks for a heartbeat.
        TestRequest = "1": [TestReqID] [];
        /// Asks for messages again.
        ResendRequest = "2": [BeginSeqNo EndSeqNo] [];
        /// A message that breaks the rules of the session.
        Reject = "3": [RefSeqNum] [RefTagID RefMsgType SessionRejectReason Text];
        /// Moves the number of the next message.
        SequenceReset = "4": [NewSeqNo] [GapFillFlag];
        /// Ends the session for now.
        Logout = "5": [] [Text];
        /// Opens the session.
        Logon = "A": [EncryptMethod HeartBtInt]
            [ResetSeqNumFlag NextExpectedMsgSeqNum MaxMessageSize Username Password];
        /// An order.
        NewOrderSingle = "D": [ClOrdID Symbol Side TransactTime OrderQty OrdType]
            [Account HandlInst ExecInst MaxFloor Price StopPx TimeInForce Currency SecurityID
             SecurityIDSource SecurityType SecurityExchange ExDestination OrderCapacity Text
             SelfMatchPreventionInstruction];
        /// Cancels an order.
        OrderCancelRequest = "F": [OrigClOrdID ClOrdID Symbol Side TransactTime]
            [Account OrderID OrderQty SecurityID SecurityIDSource SecurityType SecurityExchange
             Text];
        /// Changes an order.
        OrderCancelReplaceRequest = "G":
            [OrigClOrdID ClOrdID Symbol Side TransactTime OrderQty OrdType]
            [Account OrderID HandlInst ExecInst MaxFloor Price StopPx TimeInForce Currency
             SecurityID SecurityIDSource SecurityType SecurityExchange ExDestination OrderCapacity
             Text SelfMatchPreventionInstruction];
        /// Cancels all orders, or all of one symbol.
        OrderMassCancelRequest = "q": [ClOrdID MassCancelRequestType TransactTime]
            [Symbol SecurityID SecurityIDSource SecurityType SecurityExchange Text];
        /// Asks what became of an order.
        OrderStatusRequest = "H": [ClOrdID Symbol Side]
            [Account OrderID OrdStatusReqID SecurityID SecurityIDSource SecurityType
             SecurityExchange];
        /// What happened to an order.
        ExecutionReport = "8":
            [OrderID ExecID ExecType OrdStatus Symbol Side LeavesQty CumQty AvgPx]
            [ClOrdID OrigClOrdID Account OrdStatusReqID OrdRejReason ExecRestatementReason OrderQty
             OrdType Price StopPx MaxFloor TimeInForce ExecInst LastQty LastPx TransactTime Text];
        /// A cancel or replace request that did not take effect.
        OrderCancelReject = "9": [OrderID ClOrdID OrigClOrdID OrdStatus CxlRejResponseTo]
            [Account TransactTime CxlRejReason Text];
        /// The answer to a mass cancel request.
        OrderMassCancelReport = "r": [OrderID MassCancelRequestType MassCancelResponse]
            [ClOrdID MassCancelRejectReason TotalAffectedOrders Symbol TransactTime Text];
        /// A message that keeps the rules of the session and cannot be served.
        BusinessMessageReject = "j": [RefMsgType BusinessRejectReason]
            [RefSeqNum BusinessRejectRefID Text];
    }
}
pub use messages::Kind;

impl Kind {
    /// Whether it belongs to the session itself and is never sent again.
    #[must_use]
    pub fn is_administrative(self) -> bool {
        matches!(
            self,
            Self::Heartbeat
                | Self::TestRequest
                | Self::ResendRequest
                | Self::Reject
                | Self::SequenceReset
                | Self::Logout
                | Self::Logon
        )
    }
}

/// What every message must have before its body.
pub const HEADER_REQUIRED: FieldSet = FieldSet::of(&[
    Field::BeginString,
    Field::BodyLength,
    Field::MsgType,
    Field::SenderCompID,
    Field::TargetCompID,
    Field::MsgSeqNum,
    Field::SendingTime,
]);

/// What may stand before a message's body.
pub const HEADER: FieldSet = HEADER_REQUIRED.and(FieldSet::of(&[
    Field::SenderSubID,
    Field::SenderLocationID,
    Field::TargetSubID,
    Field::TargetLocationID,
    Field::PossDupFlag,
    Field::PossResend,
    Field::OrigSendingTime,
    Field::LastMsgSeqNumProcessed,
]));

/// All fields whose form is [`Form::Text`].
pub(crate) const TEXTS: FieldSet = {
    let mut texts = FieldSet(0);
    let mut place = 0;
    while place < RULES.len() {
        if matches!(RULES[place].form, Form::Text) {
            texts.0 |= 1 << place;
        }
        place += 1;
    }
    texts
};

/// What stands after it.
pub const TRAILER: FieldSet = FieldSet::of(&[Field::CheckSum]);

/// Whether a `MsgType` is one that FIX 4.4 or its users may use, spoken here or not.
#[must_use]
pub fn is_msg_type(msg_type: &[u8]) -> bool {
    match msg_type {
        [one] => one.is_ascii_alphanumeric(),
        // User-defined types begin with U.
        [b'U', rest @ ..] => rest.len() < 8 && rest.iter().all(u8::is_ascii_alphanumeric),
        [b'A', second] => second.is_ascii_uppercase(),
        [b'B', second] => (b'A'..=b'H').contains(second),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_the_order_of_their_tags_and_are_found_by_them() {
        assert!(RULES.windows(2).all(|two| two[0].tag < two[1].tag));
        for field in Field::all() {
            assert_eq!(Field::of_tag(field.tag().into()), Some(*field));
        }
        for unknown in [0, 2, 999, 1_000, 5_001, u32::MAX] {
            assert_eq!(Field::of_tag(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn kinds_are_found_by_their_msg_type_and_no_two_share_one() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_msg_type(kind.msg_type().as_bytes()), Some(*kind));
            assert!(is_msg_type(kind.msg_type().as_bytes()));
        }
        for unknown in ["", "Z", "AE", "00"] {
            assert_eq!(Kind::of_msg_type(unknown.as_bytes()), None);
        }
        assert!(is_msg_type(b"AE") && is_msg_type(b"V") && is_msg_type(b"U1"));
        assert!(!is_msg_type(b"") && !is_msg_type(b"AEX") && !is_msg_type(b"*"));
    }

    #[test]
    fn a_set_names_its_lowest_tag_first() {
        let set = FieldSet::of(&[Field::Symbol, Field::Side, Field::ClOrdID]);
        assert_eq!(set.first(), Some(Field::ClOrdID));
        let left = set.without(FieldSet::of(&[Field::ClOrdID]));
        assert_eq!(left.first(), Some(Field::Side));
        assert_eq!(FieldSet::default().first(), None);
    }
}
