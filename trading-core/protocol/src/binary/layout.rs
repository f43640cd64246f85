//! Where each field stands: the one table that the code reads, and against which a test holds
//! `BINARY.md`.

/// How a field's bytes are read. Numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names stand so in BINARY.md")]
pub(crate) enum Form {
    u8,
    u16,
    u32,
    u64,
    i64,
    /// A client order id: printable ASCII, filled up with zeros.
    id,
    /// Zeros.
    zero2,
    zero3,
    zero4,
    zero6,
    zero7,
}

#[cfg(test)]
impl Form {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::u8 => 1,
            Self::u16 | Self::zero2 => 2,
            Self::zero3 => 3,
            Self::u32 | Self::zero4 => 4,
            Self::zero6 => 6,
            Self::zero7 => 7,
            Self::u64 | Self::i64 => 8,
            Self::id => types::ClOrdId::LENGTH_MAX,
        }
    }
}

/// One field.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the test that reads BINARY.md reads all of it")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// As `BINARY.md` has it, in capitals.
    pub name: &'static str,
    pub at: usize,
    pub form: Form,
}

/// One kind of frame.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "the test that reads BINARY.md reads all of it")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub name: &'static str,
    pub kind: u8,
    /// Without a text behind it.
    pub bytes: usize,
    /// Whether texts stand behind the fixed part.
    pub tail: bool,
    pub fields: &'static [Field],
}

macro_rules! layouts {
    ($(
        $(#[$doc:meta])*
        $module:ident = $kind:literal, $bytes:literal $($tail:ident)? {
            $( $field:ident: $at:literal $form:ident, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[allow(dead_code, reason = "zeros are checked by their place, not by their name")]
            pub(crate) mod $module {
                pub(crate) const KIND: u8 = $kind;
                pub(crate) const BYTES: usize = $bytes;
                $( pub(crate) const $field: usize = $at; )*
                pub(crate) const LAYOUT: super::Layout = super::Layout {
                    name: stringify!($module),
                    kind: KIND,
                    bytes: BYTES,
                    tail: 0 $( + layouts!(@one $tail) )? == 1,
                    fields: &[ $( super::Field { name: stringify!($field), at: $at, form: super::Form::$form }, )* ],
                };
            }
        )*
        /// All of them.
        pub(crate) const LAYOUTS: &[Layout] = &[ $( $module::LAYOUT, )* ];
    };
    (@one $tail:ident) => { 1 };
}

/// Bytes of the header that every frame begins with.
pub(crate) const HEADER_BYTES: usize = 16;

layouts! {
    /// What every frame begins with; no frame of its own.
    header = 0, 16 {
        LENGTH: 0 u16,
        KIND_OF_FRAME: 2 u8,
        VERSION: 3 u8,
        FLAGS: 4 u8,
        ZEROS: 5 zero3,
        NUMBER: 8 u64,
    }
    /// Opens a session or takes it up again.
    logon = 1, 56 {
        SESSION: 16 u64,
        ACCOUNT: 24 u64,
        LAST_OUT_SEQ_SEEN: 32 u64,
        TRADER: 40 u64,
        CANCEL_ON_DISCONNECT_MS: 48 u32,
        CANCEL_ON_DISCONNECT: 52 u8,
        ZEROS: 53 zero3,
    }
    /// A new order.
    new_order = 2, 80 {
        CL_ORD_ID: 16 id,
        SYMBOL: 36 u32,
        QUANTITY: 40 u64,
        PRICE: 48 i64,
        TRIGGER: 56 i64,
        DISPLAY: 64 u64,
        SIDE: 72 u8,
        ORDER_KIND: 73 u8,
        MARKET_STYLE: 74 u8,
        TIME_IN_FORCE: 75 u8,
        SELF_TRADE_PREVENTION: 76 u8,
        TERMS: 77 u8,
        ZEROS: 78 zero2,
    }
    /// Cancel what is left of an order.
    cancel = 3, 40 {
        ORIGINAL_CL_ORD_ID: 16 id,
        ZEROS: 36 zero4,
    }
    /// Change price or quantity.
    replace = 4, 72 {
        ORIGINAL_CL_ORD_ID: 16 id,
        CL_ORD_ID: 36 id,
        PRICE: 56 i64,
        QUANTITY: 64 u64,
    }
    /// Cancel all open orders.
    mass_cancel = 5, 24 {
        SYMBOL: 16 u32,
        ONE_SYMBOL: 20 u8,
        ZEROS: 21 zero3,
    }
    /// Ask what became of an order.
    order_status = 6, 40 {
        ORIGINAL_CL_ORD_ID: 16 id,
        ZEROS: 36 zero4,
    }
    /// A sign of life, both ways.
    heartbeat = 7, 24 {
        SENT_AT_US: 16 u64,
    }
    /// The session is open; replayed reports follow.
    logon_ack = 65, 56 {
        SESSION: 16 u64,
        NEXT_CLIENT_SEQ: 24 u64,
        NEXT_OUT_SEQ: 32 u64,
        REPLAY_MISSING: 40 u64,
        REPLAY_FRAMES: 48 u32,
        ZEROS: 52 zero4,
    }
    /// The session is not let in.
    logon_reject = 66, 24 tail {
        CODE: 16 u16,
        TEXT_BYTES: 18 u16,
        ZEROS: 20 zero4,
    }
    /// A request's number is ahead.
    sequence_gap = 67, 32 {
        RECEIVED: 16 u64,
        EXPECTED: 24 u64,
    }
    /// A message that cannot be read.
    bad_request = 68, 32 tail {
        CLIENT_SEQ: 16 u64,
        FIELD_BYTES: 24 u16,
        TEXT_BYTES: 26 u16,
        ZEROS: 28 zero4,
    }
    /// Nothing more will come on this connection.
    end = 69, 24 tail {
        CODE: 16 u16,
        TEXT_BYTES: 18 u16,
        ZEROS: 20 zero4,
    }
    /// What all reports begin with; no frame of its own.
    report = 0, 48 {
        OUT_SEQ: 16 u64,
        IN_REPLY_TO: 24 u64,
        LOG_SEQ: 32 u64,
        EPOCH: 40 u64,
    }
    /// The order is in the book or about to trade.
    accepted = 80, 80 {
        CL_ORD_ID: 48 id,
        ZEROS: 68 zero4,
        ORDER_ID: 72 u64,
    }
    /// The request did not take effect.
    rejected = 81, 72 tail {
        CL_ORD_ID: 48 id,
        CODE: 68 u16,
        TEXT_BYTES: 70 u16,
    }
    /// Shares changed hands.
    filled = 82, 112 {
        CL_ORD_ID: 48 id,
        ZEROS: 68 zero4,
        ORDER_ID: 72 u64,
        TRADE_ID: 80 u64,
        PRICE: 88 i64,
        QUANTITY: 96 u64,
        REMAINING: 104 u64,
    }
    /// The rest of the order is gone.
    cancelled = 83, 88 {
        CL_ORD_ID: 48 id,
        CAUSE: 68 u8,
        ZEROS: 69 zero3,
        ORDER_ID: 72 u64,
        QUANTITY: 80 u64,
    }
    /// The order stands changed.
    replaced = 84, 112 {
        ORIGINAL_CL_ORD_ID: 48 id,
        CL_ORD_ID: 68 id,
        ORDER_ID: 88 u64,
        REMAINING: 96 u64,
        KEPT_PRIORITY: 104 u8,
        ZEROS: 105 zero7,
    }
    /// All that was asked to go is gone.
    mass_cancelled = 85, 56 {
        ORDERS: 48 u32,
        ZEROS: 52 zero4,
    }
    /// The answer to a status request.
    status = 86, 120 {
        CL_ORD_ID: 48 id,
        SYMBOL: 68 u32,
        ORDER_ID: 72 u64,
        ACCOUNT: 80 u64,
        QUANTITY: 88 u64,
        FILLED: 96 u64,
        REMAINING: 104 u64,
        SIDE: 112 u8,
        STATE: 113 u8,
        ZEROS: 114 zero6,
    }
    /// The request was seen before and its answer is no longer kept.
    answer_expired = 87, 48 {
    }
    /// A stop order was set off and is now what it was to become.
    triggered = 88, 88 {
        CL_ORD_ID: 48 id,
        ZEROS: 68 zero4,
        ORDER_ID: 72 u64,
        LAST: 80 i64,
    }
    /// A market order stands as a limit order now.
    restated = 89, 96 {
        CL_ORD_ID: 48 id,
        ZEROS: 68 zero4,
        ORDER_ID: 72 u64,
        PRICE: 80 i64,
        REMAINING: 88 u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a frame's own fields begin: behind the header, and behind what reports begin with.
    fn begin(layout: &Layout) -> usize {
        match layout.name {
            "header" => 0,
            _ if layout.kind >= accepted::KIND => report::BYTES,
            _ => HEADER_BYTES,
        }
    }

    #[test]
    fn fields_stand_side_by_side_and_fill_their_frame() {
        for layout in LAYOUTS {
            let mut at = begin(layout);
            for field in layout.fields {
                assert_eq!(field.at, at, "{}.{}", layout.name, field.name);
                at += field.form.bytes();
            }
            assert_eq!(at, layout.bytes, "{}", layout.name);
            assert_eq!(layout.bytes % 8, 0, "{}", layout.name);
        }
    }

    #[test]
    fn no_two_frames_share_a_kind() {
        let mut kinds: Vec<u8> = LAYOUTS.iter().map(|l| l.kind).filter(|k| *k > 0).collect();
        kinds.sort_unstable();
        assert!(kinds.windows(2).all(|two| two[0] != two[1]), "{kinds:?}");
    }

    /// `BINARY.md` has one table a frame, under a heading `### name (kind, bytes)`, with rows
    /// `| offset | bytes | form | field |`. It must say what the table above says.
    #[test]
    fn the_document_says_where_each_field_stands() {
        let document = include_str!("../../BINARY.md");
        let mut said = Vec::new();
        for line in document.lines() {
            if let Some(heading) = line.strip_prefix("### `") {
                said.push(heading.replace('`', ""));
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let [_, at, bytes, form, field, ..] = cells.as_slice()
                && at.parse::<usize>().is_ok()
                && bytes.parse::<usize>().is_ok()
            {
                said.push(format!("{at} {bytes} {form} {}", field.replace('`', "")));
            }
        }
        let mut is = Vec::new();
        for layout in LAYOUTS {
            let kind = match layout.kind {
                0 => "no kind".to_owned(),
                kind => format!("kind {kind}"),
            };
            let tail = if layout.tail { " and its texts" } else { "" };
            is.push(format!(
                "{} ({kind}, {} bytes{tail})",
                layout.name, layout.bytes
            ));
            for field in layout.fields {
                let form = format!("{:?}", field.form);
                let form = form.trim_end_matches(char::is_numeric);
                let form = match form {
                    "zero" | "id" => form.to_owned(),
                    _ => format!("{:?}", field.form),
                };
                let (at, bytes) = (field.at, field.form.bytes());
                is.push(format!("{at} {bytes} {form} {}", field.name.to_lowercase()));
            }
        }
        for (line, (said, is)) in said.iter().zip(&is).enumerate() {
            assert_eq!(said, is, "statement {line} of BINARY.md");
        }
        assert_eq!(said.len(), is.len());
    }
}
