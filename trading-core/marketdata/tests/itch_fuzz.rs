//! Random bytes and random messages through every ITCH and MoldUDP64 decoder.

#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use marketdata::itch::{Generator, Message, Mix, binary_file, decode};
use marketdata::mold::{Contents, Packet, PacketBuilder, Request, Session};
use proptest::prelude::*;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A message of any type with random fields; closed sets get one of their letters.
fn random_message(random: &mut ChaCha8Rng) -> Vec<u8> {
    let (tag, length) = Message::LAYOUT[random.random_range(0..Message::LAYOUT.len())];
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes[0] = tag;
    match tag {
        b'A' | b'F' | b'P' => bytes[19] = if random.random() { b'B' } else { b'S' },
        b'C' => bytes[31] = if random.random() { b'Y' } else { b'N' },
        _ => {}
    }
    bytes
}

#[test]
fn whatever_is_read_is_written_back_the_same() {
    let mut random = ChaCha8Rng::seed_from_u64(50);
    for _ in 0..20_000 {
        let bytes = random_message(&mut random);
        let mut written = Vec::new();
        decode(&bytes, 0).unwrap().fields().encode(&mut written);
        assert_eq!(written, bytes);
    }
}

#[test]
fn a_generated_day_comes_back_from_its_file() {
    let mut file = Vec::new();
    let mut bytes = Vec::new();
    let day: Vec<_> = Generator::new(9, 20, Mix::default()).take(5_000).collect();
    for message in &day {
        bytes.clear();
        message.encode(&mut bytes);
        binary_file::append(&bytes, &mut file);
    }
    let mut frames = binary_file::Frames::new(&file);
    let read: Vec<_> = frames
        .by_ref()
        .map(|frame| decode(frame.bytes, frame.offset).unwrap().fields())
        .collect();
    assert_eq!(frames.left_bytes(), 0);
    assert_eq!(read, day);
}

/// Damages valid packets: more reaches the deeper checks than by random bytes alone.
#[test]
fn no_damage_to_a_packet_panics_or_makes_messages_out_of_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(51);
    for _ in 0..20_000 {
        let mut builder = PacketBuilder::new(Session(*b"FUZZ      "), 1, 300);
        while builder.push(&random_message(&mut random)) {}
        let mut packet = builder.finish();
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..packet.len());
            packet[at] = random.random();
        }
        packet.truncate(random.random_range(0..=packet.len()));
        let Ok(read) = Packet::read(&packet) else {
            continue;
        };
        if let Contents::Messages(blocks) = read.contents {
            for block in blocks {
                assert_eq!(
                    &packet[block.offset..block.offset + block.bytes.len()],
                    block.bytes
                );
                if let Ok(message) = decode(block.bytes, block.offset) {
                    assert!(!format!("{message:?}").is_empty());
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0_usize..100) {
        if let Ok(message) = decode(&bytes, at) {
            let mut written = Vec::new();
            message.fields().encode(&mut written);
            prop_assert_eq!(&written, &bytes);
        }
        let _ = binary_file::next(&bytes, at);
        let _ = Packet::read(&bytes);
        let _ = Request::read(&bytes);
    }
}
