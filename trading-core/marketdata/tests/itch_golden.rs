//! Every ITCH 5.0 message, byte by byte as the specification draws it, read and written.

#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use marketdata::itch::{
    Code, DecodeError, Header, LongTime, ManyShares, MatchNumber, Message, Number, OrderReference,
    Price4, Price8, Printable, SecondsSinceMidnight, Shares, SinceMidnight, StockLocate, Text,
    TrackingNumber, decode, fields,
};
use types::Side;

/// Locate 1, tracking number 2, time 0x030405060708 ns.
const HEADER: &[u8] = &[0, 1, 0, 2, 3, 4, 5, 6, 7, 8];
/// An eight-byte number.
const LONG: &[u8] = &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
const LONG_VALUE: u64 = 0x1122_3344_5566_7788;
/// Another.
const LATER: &[u8] = &[0, 0, 0, 0, 0, 0, 1, 0];
const LATER_VALUE: u64 = 256;
/// A four-byte number.
const SHORT: &[u8] = &[0, 0, 1, 44];
const SHORT_VALUE: u32 = 300;
/// A price of 12.3456.
const PRICE: &[u8] = &[0, 1, 0xe2, 0x40];
const PRICE_VALUE: u32 = 123_456;

fn header() -> Header {
    Header {
        locate: StockLocate(1),
        tracking: TrackingNumber(2),
        time: SinceMidnight::new(0x0304_0506_0708).unwrap(),
    }
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap()
}

fn code(letter: char) -> Code {
    Code(letter as u8)
}

fn golden() -> Vec<(Vec<&'static [u8]>, fields::Message)> {
    let mut all = about_stocks();
    all.extend(about_the_market());
    all.extend(about_orders());
    all.extend(about_trades());
    all
}

fn about_stocks() -> Vec<(Vec<&'static [u8]>, fields::Message)> {
    let header = header();
    vec![
        (
            vec![
                b"R",
                HEADER,
                b"AAPL    ",
                b"QN",
                &[0, 0, 0, 100],
                b"N",
                b"C",
                b"Z ",
                b"P",
                b"N",
                b"Y",
                b"1",
                b"N",
                &[0, 0, 0, 3],
                b"Y",
            ],
            fields::StockDirectory {
                header,
                stock: text("AAPL"),
                market_category: code('Q'),
                financial_status: code('N'),
                round_lot: Shares(100),
                round_lots_only: code('N'),
                issue_classification: code('C'),
                issue_subtype: text("Z"),
                authenticity: code('P'),
                short_sale_threshold: code('N'),
                ipo_flag: code('Y'),
                luld_tier: code('1'),
                etp_flag: code('N'),
                etp_leverage: Number(3),
                inverse: code('Y'),
            }
            .into(),
        ),
        (
            vec![b"H", HEADER, b"AAPL    ", b"H", b" ", b"T1  "],
            fields::StockTradingAction {
                header,
                stock: text("AAPL"),
                state: code('H'),
                reserved: code(' '),
                reason: text("T1"),
            }
            .into(),
        ),
        (
            vec![b"Y", HEADER, b"AAPL    ", b"2"],
            fields::RegShoRestriction {
                header,
                stock: text("AAPL"),
                action: code('2'),
            }
            .into(),
        ),
        (
            vec![b"L", HEADER, b"GSCO", b"AAPL    ", b"Y", b"N", b"A"],
            fields::MarketParticipantPosition {
                header,
                participant: text("GSCO"),
                stock: text("AAPL"),
                primary: code('Y'),
                mode: code('N'),
                state: code('A'),
            }
            .into(),
        ),
        (
            vec![b"K", HEADER, b"NEWCO   ", &[0, 0, 0x8c, 0xa0], b"A", PRICE],
            fields::IpoQuotingPeriod {
                header,
                stock: text("NEWCO"),
                release_time: SecondsSinceMidnight(36_000),
                qualifier: code('A'),
                price: Price4(PRICE_VALUE),
            }
            .into(),
        ),
        (
            vec![
                b"J",
                HEADER,
                b"AAPL    ",
                PRICE,
                SHORT,
                &[0, 0, 0, 9],
                &[0, 0, 0, 1],
            ],
            fields::LuldAuctionCollar {
                header,
                stock: text("AAPL"),
                reference_price: Price4(PRICE_VALUE),
                upper_price: Price4(SHORT_VALUE),
                lower_price: Price4(9),
                extension: Number(1),
            }
            .into(),
        ),
        (
            vec![b"h", HEADER, b"AAPL    ", b"B", b"T"],
            fields::OperationalHalt {
                header,
                stock: text("AAPL"),
                market: code('B'),
                action: code('T'),
            }
            .into(),
        ),
        (
            vec![b"N", HEADER, b"AAPL    ", b"A"],
            fields::RetailInterest {
                header,
                stock: text("AAPL"),
                interest: code('A'),
            }
            .into(),
        ),
        (
            vec![
                b"O",
                HEADER,
                b"DIRECT  ",
                b"Y",
                &[0, 0, 0, 1],
                &[0, 0, 0, 2],
                &[0, 0, 0, 3],
                LONG,
                &[0, 0, 0, 4],
                &[0, 0, 0, 5],
            ],
            fields::DirectListing {
                header,
                stock: text("DIRECT"),
                open_eligibility: code('Y'),
                price_min: Price4(1),
                price_max: Price4(2),
                near_price: Price4(3),
                near_time: LongTime(LONG_VALUE),
                lower_collar: Price4(4),
                upper_collar: Price4(5),
            }
            .into(),
        ),
    ]
}

fn about_the_market() -> Vec<(Vec<&'static [u8]>, fields::Message)> {
    let header = header();
    vec![
        (
            vec![b"S", HEADER, b"Q"],
            fields::SystemEvent {
                header,
                event: code('Q'),
            }
            .into(),
        ),
        (
            vec![b"V", HEADER, LONG, LATER, &[0, 0, 0, 0, 0, 0, 0, 1]],
            fields::MwcbDeclineLevel {
                header,
                level_1: Price8(LONG_VALUE),
                level_2: Price8(LATER_VALUE),
                level_3: Price8(1),
            }
            .into(),
        ),
        (
            vec![b"W", HEADER, b"3"],
            fields::MwcbStatus {
                header,
                breached_level: code('3'),
            }
            .into(),
        ),
    ]
}

fn about_orders() -> Vec<(Vec<&'static [u8]>, fields::Message)> {
    let header = header();
    let order = OrderReference(LONG_VALUE);
    let shares = Shares(SHORT_VALUE);
    let price = Price4(PRICE_VALUE);
    vec![
        (
            vec![b"A", HEADER, LONG, b"B", SHORT, b"AAPL    ", PRICE],
            fields::AddOrder {
                header,
                order,
                side: Side::Buy,
                shares,
                stock: text("AAPL"),
                price,
            }
            .into(),
        ),
        (
            vec![b"F", HEADER, LONG, b"S", SHORT, b"AAPL    ", PRICE, b"GSCO"],
            fields::AddOrderWithParticipant {
                header,
                order,
                side: Side::Sell,
                shares,
                stock: text("AAPL"),
                price,
                participant: text("GSCO"),
            }
            .into(),
        ),
        (
            vec![b"E", HEADER, LONG, SHORT, LATER],
            fields::OrderExecuted {
                header,
                order,
                shares,
                match_number: MatchNumber(LATER_VALUE),
            }
            .into(),
        ),
        (
            vec![b"C", HEADER, LONG, SHORT, LATER, b"N", PRICE],
            fields::OrderExecutedWithPrice {
                header,
                order,
                shares,
                match_number: MatchNumber(LATER_VALUE),
                printable: Printable::No,
                price,
            }
            .into(),
        ),
        (
            vec![b"X", HEADER, LONG, SHORT],
            fields::OrderCancel {
                header,
                order,
                shares,
            }
            .into(),
        ),
        (
            vec![b"D", HEADER, LONG],
            fields::OrderDelete { header, order }.into(),
        ),
        (
            vec![b"U", HEADER, LONG, LATER, SHORT, PRICE],
            fields::OrderReplace {
                header,
                original: order,
                replacement: OrderReference(LATER_VALUE),
                shares,
                price,
            }
            .into(),
        ),
    ]
}

fn about_trades() -> Vec<(Vec<&'static [u8]>, fields::Message)> {
    let header = header();
    let price = Price4(PRICE_VALUE);
    vec![
        (
            vec![b"P", HEADER, LATER, b"B", SHORT, b"AAPL    ", PRICE, LONG],
            fields::Trade {
                header,
                order: OrderReference(LATER_VALUE),
                side: Side::Buy,
                shares: Shares(SHORT_VALUE),
                stock: text("AAPL"),
                price,
                match_number: MatchNumber(LONG_VALUE),
            }
            .into(),
        ),
        (
            vec![b"Q", HEADER, LATER, b"AAPL    ", PRICE, LONG, b"C"],
            fields::CrossTrade {
                header,
                shares: ManyShares(LATER_VALUE),
                stock: text("AAPL"),
                price,
                match_number: MatchNumber(LONG_VALUE),
                cross_type: code('C'),
            }
            .into(),
        ),
        (
            vec![b"B", HEADER, LONG],
            fields::BrokenTrade {
                header,
                match_number: MatchNumber(LONG_VALUE),
            }
            .into(),
        ),
        (
            vec![
                b"I",
                HEADER,
                LONG,
                LATER,
                b"S",
                b"AAPL    ",
                PRICE,
                SHORT,
                &[0, 0, 0, 7],
                b"O",
                b"L",
            ],
            fields::NetOrderImbalance {
                header,
                paired_shares: ManyShares(LONG_VALUE),
                imbalance_shares: ManyShares(LATER_VALUE),
                direction: code('S'),
                stock: text("AAPL"),
                far_price: price,
                near_price: Price4(SHORT_VALUE),
                reference_price: Price4(7),
                cross_type: code('O'),
                variation: code('L'),
            }
            .into(),
        ),
    ]
}

#[test]
fn every_type_is_read_and_written_as_the_specification_draws_it() {
    let mut seen = Vec::new();
    for (bytes, expected) in golden() {
        let bytes = bytes.concat();
        let message = decode(&bytes, 0).unwrap();
        assert_eq!(message.fields(), expected);
        assert_eq!(message.header(), header());
        let mut written = Vec::new();
        expected.encode(&mut written);
        assert_eq!(written, bytes);
        seen.push((message.message_type(), bytes.len()));
    }
    let mut layout = Message::LAYOUT.to_vec();
    layout.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, layout, "each of the 23 types has its golden message");
    assert_eq!(layout.len(), 23);
}

#[test]
fn a_message_that_is_cut_or_too_long_is_refused_with_type_length_and_offset() {
    for (bytes, _) in golden() {
        let whole = bytes.concat();
        for length in 1..whole.len() {
            assert_eq!(
                decode(&whole[..length], 77),
                Err(DecodeError::Length {
                    message_type: char::from(whole[0]),
                    length,
                    expected: whole.len(),
                    offset: 77,
                })
            );
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(
            decode(&longer, 0),
            Err(DecodeError::Length { .. })
        ));
    }
    assert_eq!(decode(&[], 5), Err(DecodeError::Empty { offset: 5 }));
}

#[test]
fn a_side_that_is_neither_is_refused_with_its_place() {
    let bytes = [b"A", HEADER, LONG, b"Z", SHORT, b"AAPL    ", PRICE].concat();
    let error = decode(&bytes, 4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to decode an ITCH message at offset 4: type 'A' with length 36 has side 0x5a at its \
         byte 19, accepted is 'B' or 'S'"
    );
}

#[test]
fn all_types_that_are_not_of_the_specification_are_refused() {
    for byte in 0..=u8::MAX {
        let known = Message::LAYOUT.iter().any(|(tag, _)| *tag == byte);
        let unknown = matches!(
            decode(&[byte; 20], 0),
            Err(DecodeError::UnknownType { length: 20, .. })
        );
        assert_eq!(unknown, !known, "{byte:#04x}");
    }
}
