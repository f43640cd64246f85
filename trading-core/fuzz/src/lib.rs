//! What every decoder of the core must keep to, for any bytes: it gives a value or an error, never
//! a panic, and what it accepts it writes and reads again as the same.
//!
//! ```text
//!   fuzz/fuzz_targets/*.rs (libFuzzer, nightly) ──┐
//!                                                 ├──► one function a decoder
//!   tests below (seeded: random and harmed) ──────┘
//! ```

use engine::State;
use fix::frame::Frame;
use fix::message::Message as FixMessage;
use marketdata::level2::wire::{self, Body, PacketWriter};
use marketdata::mold::{Contents, Packet, PacketBuilder, Request as Retransmission};
use marketdata::{itch, level2};
use protocol::binary;
use protocol::order_entry::Inbound;
use replica::{decode_message, encode_message};
use std::path::PathBuf;
use types::{AccountId, decode_batch, encode_batch};

/// An entry of the log.
pub fn batch(bytes: &[u8]) {
    if let Ok(batch) = decode_batch(bytes) {
        let again = encode_batch(&batch).expect("what was read can be written");
        assert_eq!(decode_batch(&again), Ok(batch));
    }
}

/// A record of a segment; the bytes reach to the segment's end.
pub fn journal_record(bytes: &[u8]) {
    assert!(journal::reads_what_it_writes(bytes));
}

/// A snapshot file of the journal.
pub fn snapshot_file(bytes: &[u8]) {
    if let Ok(snapshot) = journal::read_snapshot_bytes(bytes) {
        // A checksum stands before everything: what is accepted is what was written.
        assert_eq!(journal::write_snapshot_bytes(&snapshot), bytes);
    }
}

/// An engine's state, as it stands in a snapshot.
pub fn engine_state(bytes: &[u8]) {
    if let Ok(state) = State::restore(bytes) {
        let again = state.snapshot().expect("what was read can be written");
        let again = State::restore(&again).expect("what was written can be read");
        assert_eq!(again.history_hash(), state.history_hash());
    }
}

/// A message between replicas.
pub fn replica_message(bytes: &[u8]) {
    if let Ok(message) = decode_message(bytes) {
        let again = decode_message(&encode_message(&message));
        assert_eq!(again.ok(), Some(message));
    }
}

/// What a client of the binary door sends.
pub fn binary_client(bytes: &[u8]) {
    each_frame(bytes, |frame| {
        let Ok(inbound) = binary::read_client(frame) else {
            return;
        };
        let mut again = Vec::new();
        match &inbound {
            Inbound::Logon(logon) => binary::write_logon(*logon, &mut again),
            Inbound::Request {
                client_seq,
                request,
            } => binary::write_request(*client_seq, request, &mut again),
            Inbound::Heartbeat { sent_at } => binary::write_client_heartbeat(*sent_at, &mut again),
        }
        let (frame, taken) = binary::split(&again)
            .expect("what was read can be written")
            .expect("and is whole");
        assert_eq!(taken, again.len());
        assert_eq!(binary::read_client(frame), Ok(inbound));
    });
}

/// What the binary door sends, as a client reads it.
pub fn binary_server(bytes: &[u8]) {
    let mut joined = binary::Joined::default();
    each_frame(bytes, |frame| {
        let read = binary::read_server(frame);
        let taken = joined.take(frame);
        assert!(read.is_ok() || taken.is_err(), "{taken:?}");
    });
}

fn each_frame(mut bytes: &[u8], mut see: impl FnMut(binary::Frame<'_>)) {
    while let Ok(Some((frame, taken))) = binary::split(bytes) {
        assert!((1..=binary::FRAME_BYTES_MAX).contains(&taken));
        see(frame);
        bytes = &bytes[taken..];
    }
}

/// What a FIX counterparty sends, from the stream to the core's request.
pub fn fix_stream(mut bytes: &[u8]) {
    loop {
        match fix::frame::next(bytes) {
            Frame::Partial => return,
            Frame::Garbled { bytes: skipped, .. } => {
                assert!((1..=bytes.len()).contains(&skipped));
                bytes = &bytes[skipped..];
            }
            Frame::Whole { bytes: length } => {
                let (whole, rest) = bytes.split_at(length);
                bytes = rest;
                let Ok(message) = FixMessage::read(whole) else {
                    continue;
                };
                match message.check() {
                    // Every refusal has words.
                    Err(fault) => assert!(!fault.text(&message).is_empty()),
                    Ok(()) => {
                        let _ = fix::request::read(&message, AccountId(1));
                    }
                }
            }
        }
    }
}

/// A message of ITCH 5.0.
pub fn itch(bytes: &[u8]) {
    if let Ok(message) = itch::decode(bytes, 0) {
        let mut again = Vec::new();
        message.fields().encode(&mut again);
        assert_eq!(again.len(), bytes.len());
        let read = itch::decode(&again, 0).expect("what was written can be read");
        assert_eq!(read.fields(), message.fields());
    }
}

/// A packet of MoldUDP64, and a request for packets sent again.
pub fn mold(bytes: &[u8]) {
    if let Ok(request) = Retransmission::read(bytes) {
        assert_eq!(Retransmission::read(&request.encode()), Ok(request));
    }
    let Ok(packet) = Packet::read(bytes) else {
        return;
    };
    let mut again = PacketBuilder::new(packet.session, packet.sequence, bytes.len());
    let again = match packet.contents {
        Contents::Messages(blocks) => {
            for block in blocks {
                assert!(again.push(block.bytes), "it fits where it was");
            }
            again.finish()
        }
        Contents::Heartbeat => again.finish(),
        Contents::EndOfSession => PacketBuilder::end_of_session(packet.session, packet.sequence),
    };
    // What follows the last message is not looked at.
    assert!(bytes.starts_with(&again));
}

/// A packet of the level-2 feed.
pub fn level2(bytes: &[u8]) {
    let Ok(packet) = level2::wire::decode(bytes) else {
        return;
    };
    let again = match &packet.body {
        Body::Heartbeat => PacketWriter::heartbeat(packet.header),
        Body::Incremental(updates) => {
            let mut writer = PacketWriter::incremental(packet.header);
            assert!(updates.iter().all(|update| writer.update(update)));
            writer
        }
        Body::Snapshot(symbols) => {
            let mut writer = PacketWriter::snapshot(packet.header);
            assert!(symbols.iter().all(|symbol| writer.symbol(symbol)));
            writer
        }
    };
    assert_eq!(wire::decode(&again.finish()), Ok(packet));
}

/// A file of rules, and the form in which rules stand in the log.
pub fn rules_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(rules) = rules_file::join(&[(PathBuf::from("rules.yaml"), text.to_owned())]) {
        let again = rules::encode(&rules).expect("what is sound can be written");
        assert_eq!(rules::decode(&again).ok(), Some(rules));
    }
}

/// A set of rules as it stands in the log.
pub fn rules_in_log(bytes: &[u8]) {
    if let Ok(rules) = rules::decode(bytes) {
        let again = rules::encode(&rules).expect("what was read can be written");
        assert_eq!(rules::decode(&again).ok(), Some(rules));
    }
}

/// A client's file of what it did and saw, which the witness check reads.
pub fn history_file(bytes: &[u8]) {
    if let Ok(history) = history::read_history(bytes) {
        // A line that power cut short is counted and never guessed.
        assert!(history.torn_lines <= 1);
        let header = history::Header::new(&history.client).to_line();
        let records = history.records.iter().map(history::Record::to_line);
        let lines: Result<String, _> = std::iter::once(header).chain(records).collect();
        let again = history::read_history(lines.expect("what was read can be written").as_bytes());
        let again = again.expect("what was written can be read");
        assert_eq!(again.records, history.records);
        assert_eq!((again.client, again.torn_lines), (history.client, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketdata::Trade;
    use marketdata::mold::Session;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    use replica::Message;
    use types::{
        Batch, ClOrdId, ClientSeq, Command, Control, Epoch, Event, LogIndex, LogSeq, Logon, Money,
        NewOrder, OrderId, OutSeq, Outbound, Price, Quantity, Report, Request, SessionId, Side,
        SymbolId, TradeId, UnixMicros,
    };

    const RUNS: u64 = 4_000;

    /// Random bytes, and valid ones with a few harmed.
    fn try_all(valid: &[u8], target: impl Fn(&[u8])) {
        try_some(RUNS, valid, target);
    }

    fn try_some(runs: u64, valid: &[u8], target: impl Fn(&[u8])) {
        target(valid);
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..runs {
            let mut random = vec![0; dice.next_u32() as usize % 300];
            dice.fill_bytes(&mut random);
            target(&random);
            let mut harmed = valid.to_vec();
            for _ in 0..=dice.next_u32() % 4 {
                harm(&mut harmed, &mut dice);
            }
            target(&harmed);
        }
    }

    fn harm(bytes: &mut Vec<u8>, dice: &mut ChaCha8Rng) {
        let at = dice.next_u32() as usize % bytes.len().max(1);
        match dice.next_u32() % 5 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), dice.next_u32() as u8),
            2 => bytes.extend_from_slice(&dice.next_u64().to_le_bytes()),
            // Lengths and counts like to be large.
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 0xff;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (dice.next_u32() % 8);
                }
            }
        }
    }

    fn commands() -> Vec<Command> {
        vec![
            Command::Control(Control::OpenAccount {
                account: AccountId(1),
                cash: Money(1_000),
                positions: vec![],
            }),
            Command::Logon(Logon::new(SessionId(1), AccountId(1), OutSeq(0))),
        ]
    }

    fn state() -> State {
        let mut state = State::new();
        let mut events = Vec::new();
        for command in commands() {
            state.apply(engine::EntryContext::default(), &command, &mut events);
        }
        state
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error() {
        let valid = Batch {
            leader_time: UnixMicros(1),
            commands: commands(),
        };
        try_all(&encode_batch(&valid).unwrap(), batch);
    }

    #[test]
    fn any_bytes_are_a_record_or_no_record() {
        try_all(&journal::example_record(), journal_record);
    }

    #[test]
    fn any_bytes_are_a_snapshot_file_or_an_error() {
        let snapshot = journal::SavedSnapshot {
            index: LogIndex(9),
            epoch: Epoch(2),
            state: state().snapshot().unwrap(),
        };
        let valid = journal::write_snapshot_bytes(&snapshot);
        assert_eq!(journal::read_snapshot_bytes(&valid), Ok(snapshot));
        try_all(&valid, snapshot_file);
        // One that is accepted is the very one that was written: each byte counts.
        for at in 0..valid.len() {
            let mut harmed = valid.clone();
            harmed[at] ^= 1;
            assert!(journal::read_snapshot_bytes(&harmed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error() {
        try_all(&state().snapshot().unwrap(), engine_state);
    }

    fn requests() -> Vec<u8> {
        let mut bytes = Vec::new();
        binary::write_logon(
            Logon::new(SessionId(7), AccountId(7), OutSeq(3)),
            &mut bytes,
        );
        let order = NewOrder::limit(
            ClOrdId::new("9").unwrap(),
            SymbolId(600_000),
            Side::Buy,
            Quantity(100),
            Price(100_500),
        );
        for (request, client_seq) in [
            (Request::New(order), 1),
            (Request::MassCancel { symbol: None }, 2),
        ] {
            binary::write_request(ClientSeq(client_seq), &request, &mut bytes);
        }
        binary::write_client_heartbeat(UnixMicros(5), &mut bytes);
        bytes
    }

    #[test]
    fn any_bytes_are_requests_of_a_binary_client_or_an_error() {
        try_all(&requests(), binary_client);
    }

    #[test]
    fn any_bytes_are_answers_of_the_binary_door_or_an_error() {
        let mut bytes = Vec::new();
        binary::write_heartbeat(Epoch(1), UnixMicros(5), &mut bytes);
        binary::write_end(Epoch(1), binary::EndCode::TooLate, "late", &mut bytes);
        let event = Event::ToSession(Outbound {
            session: SessionId(7),
            out_seq: OutSeq(1),
            in_reply_to: Some(ClientSeq(1)),
            log_seq: LogSeq(9),
            epoch: Epoch(1),
            report: Report::Accepted {
                cl_ord_id: ClOrdId::new("9").unwrap(),
                order_id: OrderId(3),
            },
        });
        assert!(binary::write_event(Epoch(1), &event, &mut bytes).is_some());
        try_all(&bytes, binary_server);
    }

    #[test]
    fn any_bytes_are_fix_messages_or_garbled() {
        let body = "35=D\x0149=CLIENT\x0156=TRICENTER\x0134=7\x0152=20261125-01:30:00.000\x01\
                    11=9\x0155=600000\x0154=1\x0160=20261125-01:30:00.000\x0138=100\x0140=2\x01\
                    44=10.05\x01";
        let mut message = format!("8=FIX.4.4\x019={}\x01{body}", body.len()).into_bytes();
        let sum = fix::frame::checksum(&message);
        message.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
        assert_eq!(
            fix::frame::next(&message),
            Frame::Whole {
                bytes: message.len()
            }
        );
        try_all(&message, fix_stream);
    }

    fn itch_messages() -> Vec<Vec<u8>> {
        let day = itch::Generator::new(1, 3, itch::Mix::default());
        let encoded = day.take(60).map(|message| {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            bytes
        });
        encoded.collect()
    }

    #[test]
    fn any_bytes_are_an_itch_message_or_an_error() {
        let mut kinds: Vec<Vec<u8>> = itch_messages();
        kinds.sort();
        kinds.dedup_by_key(|bytes| bytes[0]);
        assert!(kinds.len() > 5);
        for valid in kinds {
            try_all(&valid, itch);
        }
    }

    #[test]
    fn any_bytes_are_a_mold_packet_or_an_error() {
        let mut packet = PacketBuilder::new(Session(*b"0000000001"), 9, 1_400);
        assert!(itch_messages().iter().take(10).all(|it| packet.push(it)));
        try_all(&packet.finish(), mold);
        try_all(
            &PacketBuilder::end_of_session(Session(*b"0000000001"), 9),
            mold,
        );
    }

    #[test]
    fn any_bytes_are_a_level_2_packet_or_an_error() {
        let header = wire::Header {
            channel: level2::ChannelId(1),
            stream: level2::Stream::default(),
            sequence: level2::Sequence(4),
            sent: UnixMicros(7),
        };
        let mut writer = PacketWriter::incremental(header);
        let trade = Trade {
            symbol: SymbolId(600_000),
            trade: TradeId(1),
            price: Price(100_500),
            quantity: Quantity(100),
            at: UnixMicros(6),
            aggressor: Some(Side::Buy),
        };
        assert!(writer.update(&wire::Update::Trade(wire::NumberedTrade {
            ordinal: 1,
            trade
        })));
        try_all(&writer.finish(), level2);
        try_all(&PacketWriter::heartbeat(header).finish(), level2);
    }

    /// All that a set of rules needs, in one file.
    fn rules_text() -> String {
        let parts = [
            include_str!("../../rules/data/calendar.yaml"),
            include_str!("../../rules/data/conduct.yaml"),
            include_str!("../../rules/data/beijing.yaml"),
        ];
        let parts = parts.map(|part| part.replace("rules_format: 1", ""));
        format!("rules_format: 1\n{}", parts.concat())
    }

    #[test]
    fn any_text_is_a_file_of_rules_or_an_error() {
        let whole = rules_text();
        let files = [(PathBuf::from("rules.yaml"), whole.clone())];
        rules_file::join(&files).unwrap();
        try_some(300, whole.as_bytes(), rules_file);
    }

    #[test]
    fn any_bytes_are_rules_of_the_log_or_an_error() {
        let files = [(PathBuf::from("rules.yaml"), rules_text())];
        let valid = rules::encode(&rules_file::join(&files).unwrap()).unwrap();
        try_some(1_000, &valid, rules_in_log);
    }

    #[test]
    fn any_bytes_are_a_history_or_an_error() {
        let sent = history::Record::Sent {
            at_us: UnixMicros(5),
            session: SessionId(7),
            client_seq: ClientSeq(1),
            request: Request::MassCancel { symbol: None },
        };
        let header = history::Header::new("client 7").to_line().unwrap();
        let valid = header + &sent.to_line().unwrap();
        let read = history::read_history(valid.as_bytes()).unwrap();
        assert_eq!(read.records, [sent]);
        try_all(valid.as_bytes(), history_file);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error() {
        let message = Message {
            to: 1,
            from: 2,
            term: 3,
            index: 4,
            ..Message::default()
        };
        try_all(&encode_message(&message), replica_message);
    }
}
