//! Level 2 on the wire, byte by byte, and whatever bytes may come instead.

#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use marketdata::level2::wire::{
    self, Body, HEADER_BYTES, Header, LastTrade, NumberedTrade, PACKET_BYTES_MAX, PacketWriter,
    SymbolSnapshot, Update, WireError,
};
use marketdata::level2::{Change, ChannelId, DEPTH_MAX, Ladder, Line, Receiver, ReceiverSettings};
use marketdata::level2::{Sequence, Stream};
use marketdata::{Level, Monotonic, Trade};
use proptest::prelude::*;
use types::{Epoch, Price, Quantity, Side, SymbolId, TradeId, UnixMicros};

fn header() -> Header {
    Header {
        channel: ChannelId(1),
        stream: Stream {
            epoch: Epoch(2),
            started: UnixMicros(3),
        },
        sequence: Sequence(4),
        sent: UnixMicros(5),
    }
}

fn level(price: i64) -> Level {
    Level {
        price: Price(price),
        quantity: Quantity(7),
        orders: 8,
    }
}

/// The deepest ladder there is.
fn deepest() -> Ladder {
    let side = |from: i64, step: i64| (0..DEPTH_MAX as i64).map(move |at| level(from + step * at));
    Ladder::new(side(99, -1).collect(), side(100, 1).collect()).unwrap()
}

fn trade() -> Update {
    Update::Trade(NumberedTrade {
        ordinal: 11,
        trade: Trade {
            symbol: SymbolId(6),
            trade: TradeId(12),
            price: Price(-1),
            quantity: Quantity(14),
            at: UnixMicros(15),
            aggressor: Some(Side::Sell),
        },
    })
}

fn snapshot() -> SymbolSnapshot {
    SymbolSnapshot {
        symbol: SymbolId(6),
        trades: 11,
        last: Some(LastTrade {
            trade: TradeId(12),
            price: Price(13),
            quantity: Quantity(14),
            at: UnixMicros(15),
        }),
        previous_close: Some(Price(16)),
        ladder: deepest(),
    }
}

fn incremental(updates: &[Update]) -> Vec<u8> {
    let mut packet = PacketWriter::incremental(header());
    assert!(updates.iter().all(|update| packet.update(update)));
    packet.finish()
}

/// A packet whose checksum fits again after a change.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..44]);
    hasher.update(&bytes[HEADER_BYTES..]);
    bytes[44..48].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

#[test]
fn a_trade_is_what_the_format_draws() {
    let bytes = incremental(&[trade()]);
    let expected = [
        b"TCL2".as_slice(),
        &[1, 1, 1, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
        &[4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 96, 0],
        &bytes[44..48],
        &[3, 2, 48, 0, 6, 0, 0, 0],
        &[11, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[14, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(sealed(bytes.clone()), bytes);
}

#[test]
fn a_change_of_levels_is_what_the_format_draws() {
    let symbol = SymbolId(6);
    let changes = vec![Change {
        side: Side::Buy,
        level: level(9),
    }];
    let bytes = incremental(&[Update::Changes { symbol, changes }]);
    assert_eq!(
        bytes[HEADER_BYTES..],
        [
            1, 0, 32, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1,
            0, 0, 0
        ]
    );
}

#[test]
fn every_message_comes_back_as_it_was_written() {
    let symbol = SymbolId(6);
    let updates = vec![
        Update::PreviousClose {
            symbol,
            price: Price(i64::MIN),
        },
        trade(),
        Update::Changes {
            symbol,
            changes: vec![
                Change {
                    side: Side::Sell,
                    level: level(9),
                };
                3
            ],
        },
        Update::Image {
            symbol,
            ladder: Ladder::default(),
        },
    ];
    let read = wire::decode(&incremental(&updates)).unwrap();
    assert_eq!(read.header, header());
    assert_eq!(read.body, Body::Incremental(updates));

    let mut packet = PacketWriter::snapshot(header());
    let bare = SymbolSnapshot {
        last: None,
        previous_close: None,
        ladder: Ladder::default(),
        ..snapshot()
    };
    assert!(packet.symbol(&bare));
    let read = wire::decode(&packet.finish()).unwrap();
    assert_eq!(read.body, Body::Snapshot(vec![bare]));
    let read = wire::decode(&PacketWriter::heartbeat(header()).finish()).unwrap();
    assert_eq!(read.body, Body::Heartbeat);
}

#[test]
fn the_deepest_symbol_fits_one_packet() {
    let mut packet = PacketWriter::snapshot(header());
    assert!(packet.symbol(&snapshot()));
    assert!(!packet.symbol(&snapshot()), "a second one does not");
    let bytes = packet.finish();
    assert!(bytes.len() <= PACKET_BYTES_MAX);
    let read = wire::decode(&bytes).unwrap();
    assert_eq!(read.body, Body::Snapshot(vec![snapshot()]));
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unseen() {
    let bytes = incremental(&[trade()]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(wire::decode(&flipped).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(wire::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    let cases: [(usize, u8, &str); 8] = [
        (4, 2, "version 2 is not known"),
        (5, 9, "packet kind 9 at byte 5 is not accepted: 1, 2 or 3"),
        (
            5,
            3,
            "message count 1 at byte 40 is not accepted: a heartbeat",
        ),
        (24, 0, "sequence 0 at byte 24"),
        (40, 2, "message count 2 at byte 40"),
        (48, 6, "message kind 6 at byte 48"),
        (49, 3, "side 3 at byte 49"),
        (50, 47, "message length"),
    ];
    for (place, value, expected) in cases {
        let mut bytes = incremental(&[trade()]);
        bytes[place] = value;
        let error = wire::decode(&sealed(bytes)).unwrap_err().to_string();
        assert!(error.contains(expected), "byte {place}: {error}");
    }
    let foreign = wire::decode(&[b'x'; 60]).unwrap_err();
    assert!(matches!(foreign, WireError::Magic { .. }));
}

proptest! {
    /// Sealed, so that what is behind the checksum is reached.
    #[test]
    fn no_damage_panics_in_decoder_or_receiver(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        as_snapshot in any::<bool>(),
    ) {
        let mut bytes = if as_snapshot {
            let mut packet = PacketWriter::snapshot(header());
            prop_assert!(packet.symbol(&snapshot()));
            packet.finish()
        } else {
            let symbol = SymbolId(6);
            incremental(&[trade(), Update::Image { symbol, ladder: deepest() }])
        };
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut.index(4) == 0 {
            bytes.truncate(HEADER_BYTES.max(cut.index(bytes.len())));
            let length = bytes.len() as u16;
            bytes[42..44].copy_from_slice(&length.to_le_bytes());
        }
        let bytes = sealed(bytes);
        let mut receiver = Receiver::new(ReceiverSettings::default());
        let mut effects = Vec::new();
        for _ in 0..2 {
            let _ = receiver.receive(Line::A, &bytes, Monotonic::default(), &mut effects);
            receiver.tick(Monotonic::from_us(u64::MAX), &mut effects);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(wire::decode(&bytes).is_err());
    }
}
