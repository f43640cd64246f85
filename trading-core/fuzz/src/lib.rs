//! What every decoder of the core must keep to, for any bytes: it gives a value or an error, never
//! a panic, and what it accepts it writes and reads again as the same.
//!
//! ```text
//!   fuzz/fuzz_targets/*.rs (libFuzzer, nightly) ──┐
//!                                                 ├──► one function a decoder
//!   tests below (seeded: random and harmed) ──────┘
//! ```

use engine::State;
use replica::{decode_message, encode_message};
use types::{decode_batch, encode_batch};

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
    // A checksum stands before everything: what is accepted is what was written.
    let _ = journal::read_snapshot_bytes(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    use replica::Message;
    use types::{AccountId, Batch, Command, Control, Logon, Money, OutSeq, SessionId, UnixMicros};

    const RUNS: u64 = 4_000;

    /// Random bytes, and valid ones with a few harmed.
    fn try_all(valid: &[u8], target: impl Fn(&[u8])) {
        target(valid);
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..RUNS {
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
        try_all(b"TRISNAP1 and then some", snapshot_file);
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error() {
        try_all(&state().snapshot().unwrap(), engine_state);
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
