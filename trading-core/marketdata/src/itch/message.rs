//! Every message of NASDAQ TotalView-ITCH 5.0, by its layout.
//!
//! The table below is the specification's: type, length, and each field with its place. From one
//! entry the macro makes a view (`AddOrder<'a>`, a reference into the packet whose methods read one
//! field each), the same as plain values (`fields::AddOrder`, what an encoder takes), and the
//! compile-time proof that the fields cover the message without gap or overlap.
//!
//! ```text
//!   bytes ──decode──► Message<'a> ──fields()──► fields::Message ──encode──► bytes
//! ```

use super::decode::DecodeError;
use super::field::{
    Code, Field, LongTime, ManyShares, MatchNumber, Number, OrderReference, Participant, Price4,
    Price8, Printable, SecondsSinceMidnight, Shares, SinceMidnight, Stock, StockLocate, Text,
    TrackingNumber,
};
use std::fmt;
use types::Side;

/// Bytes before a message's own fields: type, locate, tracking number, time.
const HEADER_BYTES: usize = 11;

/// What every message begins with, behind its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Which stock; zero for the whole market.
    pub locate: StockLocate,
    /// The exchange's own number.
    pub tracking: TrackingNumber,
    /// When the exchange made the message.
    pub time: SinceMidnight,
}

impl Header {
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self {
            locate: StockLocate::read(&bytes[1..]),
            tracking: TrackingNumber::read(&bytes[3..]),
            time: SinceMidnight::read(&bytes[5..]),
        }
    }

    #[inline]
    fn write(self, out: &mut [u8]) {
        self.locate.write(&mut out[1..]);
        self.tracking.write(&mut out[3..]);
        self.time.write(&mut out[5..]);
    }
}

/// Whether fields, each by place and length, follow the header and each other without gap up to the
/// end.
const fn tiles(fields: &[(usize, usize)], length: usize) -> bool {
    let mut end = HEADER_BYTES;
    let mut at = 0;
    while at < fields.len() {
        if fields[at].0 != end {
            return false;
        }
        end += fields[at].1;
        at += 1;
    }
    end == length
}

macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident $tag:literal $bytes:literal {
            $( $(#[$field_doc:meta])* $field:ident @ $at:literal: $type:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq)]
            pub struct $name<'a>(&'a [u8; $bytes]);

            const _: () = assert!(
                tiles(&[$(($at, <$type as Field>::BYTES)),*], $bytes),
                "the fields must cover the message"
            );

            impl<'a> $name<'a> {
                /// The message's type on the wire.
                pub const TYPE: u8 = $tag;
                /// The message's length on the wire.
                pub const BYTES: usize = $bytes;

                #[inline]
                fn view(bytes: &'a [u8], offset: usize) -> Result<Self, DecodeError> {
                    let Ok(message) = <&[u8; $bytes]>::try_from(bytes) else {
                        return Err(DecodeError::length($tag, $bytes, bytes.len(), offset));
                    };
                    $(
                        if !<$type as Field>::accepts(&message[$at..]) {
                            return Err(DecodeError::Field {
                                message_type: char::from($tag),
                                length: $bytes,
                                offset,
                                field: stringify!($field),
                                place: $at,
                                value: message[$at],
                                accepted: <$type as Field>::ACCEPTED,
                            });
                        }
                    )*
                    Ok(Self(message))
                }

                /// Stock, tracking number and time.
                #[inline]
                #[must_use]
                pub fn header(self) -> Header {
                    Header::read(self.0)
                }

                $(
                    $(#[$field_doc])*
                    #[inline]
                    #[must_use]
                    pub fn $field(self) -> $type {
                        <$type as Field>::read(&self.0[$at..])
                    }
                )*

                /// All fields as plain values.
                #[must_use]
                pub fn fields(self) -> fields::$name {
                    fields::$name {
                        header: self.header(),
                        $( $field: self.$field(), )*
                    }
                }
            }

            impl fmt::Debug for $name<'_> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.fields().fmt(f)
                }
            }
        )*

        /// One message, seen where it lies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Message<'a> {
            $( $(#[$doc])* $name($name<'a>), )*
        }

        impl<'a> Message<'a> {
            /// Every type with its length, in the specification's order.
            pub const LAYOUT: &'static [(u8, usize)] = &[$(($tag, $bytes)),*];

            /// Reads the message that fills `bytes`. `offset` is where they begin in the packet or
            /// file, for the error only.
            #[inline]
            pub(super) fn view(bytes: &'a [u8], offset: usize) -> Result<Self, DecodeError> {
                match bytes.first() {
                    $( Some(&$tag) => $name::view(bytes, offset).map(Self::$name), )*
                    Some(&other) => Err(DecodeError::unknown(other, bytes.len(), offset)),
                    None => Err(DecodeError::Empty { offset }),
                }
            }

            /// The type on the wire.
            #[must_use]
            pub fn message_type(self) -> u8 {
                match self {
                    $( Self::$name(_) => $tag, )*
                }
            }

            /// Stock, tracking number and time.
            #[inline]
            #[must_use]
            pub fn header(self) -> Header {
                match self {
                    $( Self::$name(message) => message.header(), )*
                }
            }

            /// All fields as plain values.
            #[must_use]
            pub fn fields(self) -> fields::Message {
                match self {
                    $( Self::$name(message) => fields::Message::$name(message.fields()), )*
                }
            }
        }

        /// The messages as plain values, for encoders and for comparison.
        pub mod fields {
            use super::*;

            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug, PartialEq, Eq)]
                pub struct $name {
                    /// Stock, tracking number and time.
                    pub header: Header,
                    $( $(#[$field_doc])* pub $field: $type, )*
                }

                impl $name {
                    /// The message's bytes.
                    #[must_use]
                    pub fn encode(&self) -> [u8; $bytes] {
                        let mut out = [0; $bytes];
                        out[0] = $tag;
                        self.header.write(&mut out);
                        $( self.$field.write(&mut out[$at..]); )*
                        out
                    }
                }

                impl From<$name> for Message {
                    fn from(message: $name) -> Self {
                        Self::$name(message)
                    }
                }
            )*

            /// One message, by value.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Message {
                $( $(#[$doc])* $name($name), )*
            }

            impl Message {
                /// Appends the message's bytes.
                pub fn encode(&self, out: &mut Vec<u8>) {
                    match self {
                        $( Self::$name(message) => out.extend_from_slice(&message.encode()), )*
                    }
                }
            }
        }
    };
}

messages! {
    /// The market's day: start and end of messages (`O`, `C`), system hours (`S`, `E`) and market
    /// hours (`Q`, `M`).
    SystemEvent b'S' 12 {
        /// Which event.
        event @ 11: Code,
    }
    /// A stock that may be traded today.
    StockDirectory b'R' 39 {
        /// Its name.
        stock @ 11: Stock,
        /// Where it is listed.
        market_category @ 19: Code,
        /// Whether its issuer is in good standing.
        financial_status @ 20: Code,
        /// Shares in a round lot.
        round_lot @ 21: Shares,
        /// `Y` when only round lots are taken.
        round_lots_only @ 25: Code,
        /// Kind of security.
        issue_classification @ 26: Code,
        /// Finer kind of security.
        issue_subtype @ 27: Text<2>,
        /// `P` live, `T` test.
        authenticity @ 29: Code,
        /// Whether the short-sale threshold applies.
        short_sale_threshold @ 30: Code,
        /// Whether it is a new issue.
        ipo_flag @ 31: Code,
        /// Tier of the limit-up limit-down plan.
        luld_tier @ 32: Code,
        /// Whether it is an exchange-traded product.
        etp_flag @ 33: Code,
        /// Leverage of the exchange-traded product.
        etp_leverage @ 34: Number,
        /// `Y` when the product is inverse.
        inverse @ 38: Code,
    }
    /// A stock's trading state: `H` halted, `P` paused, `Q` quotation only, `T` trading.
    StockTradingAction b'H' 25 {
        /// Its name.
        stock @ 11: Stock,
        /// The state.
        state @ 19: Code,
        /// Reserved by the exchange.
        reserved @ 20: Code,
        /// Why.
        reason @ 21: Text<4>,
    }
    /// Whether short-sale price restrictions apply to a stock.
    RegShoRestriction b'Y' 20 {
        /// Its name.
        stock @ 11: Stock,
        /// `0` none, `1` came in force today, `2` stays in force.
        action @ 19: Code,
    }
    /// A market maker's standing in a stock.
    MarketParticipantPosition b'L' 26 {
        /// The market maker.
        participant @ 11: Participant,
        /// The stock.
        stock @ 15: Stock,
        /// `Y` for a primary market maker.
        primary @ 23: Code,
        /// Its mode.
        mode @ 24: Code,
        /// Its state.
        state @ 25: Code,
    }
    /// The day's levels of the market-wide circuit breaker.
    MwcbDeclineLevel b'V' 35 {
        /// Level 1.
        level_1 @ 11: Price8,
        /// Level 2.
        level_2 @ 19: Price8,
        /// Level 3.
        level_3 @ 27: Price8,
    }
    /// A level of the market-wide circuit breaker was breached.
    MwcbStatus b'W' 12 {
        /// `1`, `2` or `3`.
        breached_level @ 11: Code,
    }
    /// When quoting of a new issue begins, or that it will not.
    IpoQuotingPeriod b'K' 28 {
        /// Its name.
        stock @ 11: Stock,
        /// When.
        release_time @ 19: SecondsSinceMidnight,
        /// `A` anticipated, `C` cancelled or postponed.
        qualifier @ 23: Code,
        /// The issue's price.
        price @ 24: Price4,
    }
    /// Bounds of a reopening auction after a limit-up limit-down pause.
    LuldAuctionCollar b'J' 35 {
        /// Its name.
        stock @ 11: Stock,
        /// What the bounds rest on.
        reference_price @ 19: Price4,
        /// Upper bound.
        upper_price @ 23: Price4,
        /// Lower bound.
        lower_price @ 27: Price4,
        /// How often the bounds were widened.
        extension @ 31: Number,
    }
    /// One market of the exchange stopped or resumed a stock.
    OperationalHalt b'h' 21 {
        /// Its name.
        stock @ 11: Stock,
        /// `Q` Nasdaq, `B` BX, `X` PSX.
        market @ 19: Code,
        /// `H` halted, `T` resumed.
        action @ 20: Code,
    }
    /// An order entered the book.
    AddOrder b'A' 36 {
        /// Its number.
        order @ 11: OrderReference,
        /// Buy or sell.
        side @ 19: Side,
        /// Shares displayed.
        shares @ 20: Shares,
        /// The stock.
        stock @ 24: Stock,
        /// Its limit.
        price @ 32: Price4,
    }
    /// An order entered the book under its owner's name.
    AddOrderWithParticipant b'F' 40 {
        /// Its number.
        order @ 11: OrderReference,
        /// Buy or sell.
        side @ 19: Side,
        /// Shares displayed.
        shares @ 20: Shares,
        /// The stock.
        stock @ 24: Stock,
        /// Its limit.
        price @ 32: Price4,
        /// Its owner.
        participant @ 36: Participant,
    }
    /// A resting order traded at its limit.
    OrderExecuted b'E' 31 {
        /// The resting order.
        order @ 11: OrderReference,
        /// Shares traded.
        shares @ 19: Shares,
        /// The match.
        match_number @ 23: MatchNumber,
    }
    /// A resting order traded at another price than its limit.
    OrderExecutedWithPrice b'C' 36 {
        /// The resting order.
        order @ 11: OrderReference,
        /// Shares traded.
        shares @ 19: Shares,
        /// The match.
        match_number @ 23: MatchNumber,
        /// Whether it counts for time and sales.
        printable @ 31: Printable,
        /// The price.
        price @ 32: Price4,
    }
    /// A resting order lost some of its shares.
    OrderCancel b'X' 23 {
        /// The resting order.
        order @ 11: OrderReference,
        /// Shares taken out.
        shares @ 19: Shares,
    }
    /// A resting order left the book.
    OrderDelete b'D' 19 {
        /// The resting order.
        order @ 11: OrderReference,
    }
    /// A resting order was replaced; side and stock stay.
    OrderReplace b'U' 35 {
        /// The order that leaves.
        original @ 11: OrderReference,
        /// The order that takes its part, at the end of its queue.
        replacement @ 19: OrderReference,
        /// Its shares.
        shares @ 27: Shares,
        /// Its limit.
        price @ 31: Price4,
    }
    /// A trade with an order that was not displayed; the displayed book does not change.
    Trade b'P' 44 {
        /// Always zero since 2014.
        order @ 11: OrderReference,
        /// Always `B` since 2014.
        side @ 19: Side,
        /// Shares traded.
        shares @ 20: Shares,
        /// The stock.
        stock @ 24: Stock,
        /// The price.
        price @ 32: Price4,
        /// The match.
        match_number @ 36: MatchNumber,
    }
    /// The result of an auction.
    CrossTrade b'Q' 40 {
        /// Shares traded; may be none.
        shares @ 11: ManyShares,
        /// The stock.
        stock @ 19: Stock,
        /// The price.
        price @ 27: Price4,
        /// The match.
        match_number @ 31: MatchNumber,
        /// `O` opening, `C` closing, `H` new or halted issue.
        cross_type @ 39: Code,
    }
    /// A match was broken: it did not happen. The book does not change.
    BrokenTrade b'B' 19 {
        /// The match.
        match_number @ 11: MatchNumber,
    }
    /// How an auction would end now.
    NetOrderImbalance b'I' 50 {
        /// Shares that would trade.
        paired_shares @ 11: ManyShares,
        /// Shares that would not.
        imbalance_shares @ 19: ManyShares,
        /// Which side those are on: `B`, `S`, `N` none, `O` too few orders, `P` paused.
        direction @ 27: Code,
        /// The stock.
        stock @ 28: Stock,
        /// Clearing price of auction orders alone.
        far_price @ 36: Price4,
        /// Clearing price of all orders.
        near_price @ 40: Price4,
        /// The price that the shares above are counted at.
        reference_price @ 44: Price4,
        /// Which auction.
        cross_type @ 48: Code,
        /// How far the near price is from the reference.
        variation @ 49: Code,
    }
    /// Whether retail price improvement interest exists in a stock.
    RetailInterest b'N' 20 {
        /// Its name.
        stock @ 11: Stock,
        /// `B`, `S`, `A` both or `N` none.
        interest @ 19: Code,
    }
    /// Price discovery of a direct listing with a capital raise.
    DirectListing b'O' 48 {
        /// Its name.
        stock @ 11: Stock,
        /// `Y` when it may open.
        open_eligibility @ 19: Code,
        /// Lowest price allowed.
        price_min @ 20: Price4,
        /// Highest price allowed.
        price_max @ 24: Price4,
        /// The price it would open near.
        near_price @ 28: Price4,
        /// When that price was set.
        near_time @ 32: LongTime,
        /// Lower collar.
        lower_collar @ 40: Price4,
        /// Upper collar.
        upper_collar @ 44: Price4,
    }
}
