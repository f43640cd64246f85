//! The decoder against any bytes: it never panics, always gets on, and what it accepts is whole.

#![allow(clippy::unwrap_used, clippy::panic)]

use fix::dictionary::{Field, Kind};
use fix::frame::{self, Frame, SOH};
use fix::message::Message;
use fix::request;
use fix::write::{self, Body, Header};
use proptest::prelude::*;
use types::{AccountId, UnixMicros};

/// Reads all that is received; gives back how many messages there were.
fn read_all(mut received: &[u8]) -> usize {
    let mut messages = 0;
    loop {
        match frame::next(received) {
            Frame::Partial => return messages,
            Frame::Whole { bytes } => {
                let (message, rest) = received.split_at(bytes);
                if let Ok(message) = Message::read(message) {
                    messages += 1;
                    if let Err(fault) = message.check() {
                        assert!(!fault.text(&message).is_empty());
                    } else {
                        // Whatever is right by the dictionary can be asked for or refused.
                        let _ = request::read(&message, AccountId(9));
                    }
                }
                received = rest;
            }
            Frame::Garbled { bytes, .. } => {
                assert!(bytes > 0 && bytes <= received.len());
                received = &received[bytes..];
            }
        }
    }
}

fn order(cl_ord_id: &str) -> Vec<u8> {
    let body = Body::new()
        .text(Field::ClOrdID, cl_ord_id)
        .text(Field::Symbol, "600000")
        .character(Field::Side, b'1')
        .time(Field::TransactTime, UnixMicros(1))
        .count(Field::OrderQty, 100)
        .character(Field::OrdType, b'2')
        .text(Field::Price, "10.05");
    let header = Header {
        kind: Kind::NewOrderSingle,
        sender: "CLIENT",
        target: "TRICENTER",
        msg_seq_num: 7,
        sending_time: UnixMicros(1_795_564_800_000_000),
        orig_sending_time: None,
        poss_resend: false,
    };
    let mut bytes = Vec::new();
    write::message(&mut bytes, &header, &body.into_bytes());
    bytes
}

/// Bytes that look like a message more often than chance would have it.
fn near_fix() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"8=FIX.4.4\x01".to_vec()),
        Just(b"9=5\x01".to_vec()),
        Just(b"35=D\x01".to_vec()),
        Just(b"10=000\x01".to_vec()),
        Just(vec![SOH]),
        Just(b"=".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn bytes_that_look_like_messages_are_read_to_their_end(bytes in near_fix()) {
        read_all(&bytes);
    }

    #[test]
    fn any_body_in_a_right_frame_is_judged(body in proptest::collection::vec(any::<u8>(), 1..200)) {
        let mut text = format!("8=FIX.4.4\x019={}\x0135=D\x01", body.len() + 6).into_bytes();
        text.extend_from_slice(&body);
        text.push(SOH);
        let sum = frame::checksum(&text);
        text.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
        read_all(&text);
    }

    #[test]
    fn one_changed_byte_never_makes_another_message(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let good = order("A1");
        let mut bad = good.clone();
        let place = place.index(bad.len());
        bad[place] = byte;
        match frame::next(&bad) {
            // The checksum is modulo 256: one byte that differs is always seen.
            Frame::Whole { .. } => prop_assert_eq!(bad, good),
            Frame::Partial | Frame::Garbled { .. } => {}
        }
    }

    #[test]
    fn what_lies_between_messages_loses_none_of_them(
        rubbish in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        prop_assume!(!rubbish.windows(5).any(|it| it == b"8=FIX"));
        let mut bytes = order("A1");
        bytes.extend_from_slice(&rubbish);
        bytes.extend_from_slice(&order("A2"));
        prop_assert_eq!(read_all(&bytes), 2);
    }
}
