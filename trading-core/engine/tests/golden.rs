//! A log and a snapshot that this version wrote, and the hash that they led to. Later versions read
//! both and must come to the same: what was decided once stays decided.
//!
//! `tests/golden/write.sh` writes new ones, for a new log or snapshot format only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

#[path = "../benches/flow/mod.rs"]
mod flow;

use engine::{EntryContext, Limits, State};
use flow::{Flow, Size};
use std::path::PathBuf;
use types::{
    Batch, Command, Control, Epoch, LogIndex, Phase, PhaseScope, TradingDay, UnixMicros,
    decode_batch, encode_batch,
};

/// Set to write the files anew instead of reading them.
const WRITE: &str = "WRITE_GOLDEN";
const BATCH: usize = 50;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/golden", name]
        .iter()
        .collect()
}

/// Two days of a small market: an opening call, continuous trading, a closing call, and its end.
fn batches() -> Vec<Vec<u8>> {
    let size = Size {
        accounts: 20,
        symbols: 3,
        open_per_session: 8,
    };
    let mut flow = Flow::new(size, 11);
    let phase = |phase| {
        Command::Control(Control::SetPhase {
            scope: PhaseScope::All,
            phase,
        })
    };
    let mut commands = flow.opening();
    for day in [20_261_125, 20_261_126] {
        for (next, count) in [
            (Phase::OpeningCall, 200),
            (Phase::OpeningCallNoCancel, 50),
            (Phase::Continuous, 1_000),
            (Phase::ClosingCall, 100),
            (Phase::Closed, 5),
        ] {
            commands.push(phase(next));
            commands.extend(flow.commands(count));
        }
        let trading_day = TradingDay(day);
        commands.push(Command::Control(Control::SettleDay { trading_day }));
    }
    let in_batches = (1_u64..).zip(commands.chunks(BATCH));
    in_batches
        .map(|(index, commands)| {
            let batch = Batch {
                leader_time: UnixMicros(1_700_000_000_000_000 + index),
                commands: commands.to_vec(),
            };
            encode_batch(&batch).unwrap()
        })
        .collect()
}

fn apply(state: &mut State, index: u64, entry: &[u8]) {
    let batch = decode_batch(entry).unwrap();
    let context = EntryContext {
        epoch: Epoch(1),
        index: LogIndex(index),
        leader_time: batch.leader_time,
    };
    state.begin_entry(context, entry).unwrap();
    let mut events = Vec::new();
    for command in &batch.commands {
        state.apply(context, command, &mut events);
    }
    state.check_conservation().unwrap();
}

/// A log file: each entry's length in four bytes, little-endian, then the entry.
fn entries(log: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = log;
    let mut entries = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (entry, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        entries.push(entry.to_vec());
        rest = behind;
    }
    entries
}

fn write() {
    let (mut log, mut state) = (Vec::new(), State::with_limits(Limits::small()));
    let batches = batches();
    for (index, entry) in (1_u64..).zip(&batches) {
        log.extend((entry.len() as u32).to_le_bytes());
        log.extend(entry);
        apply(&mut state, index, entry);
        if index == batches.len() as u64 / 2 {
            std::fs::write(file("snapshot"), state.snapshot().unwrap()).unwrap();
        }
    }
    std::fs::write(file("log"), log).unwrap();
    std::fs::write(file("hash"), format!("{}\n", state.history_hash())).unwrap();
}

#[test]
fn an_old_log_and_an_old_snapshot_lead_to_the_hash_of_then() {
    if std::env::var_os(WRITE).is_some() {
        write();
    }
    let entries = entries(&std::fs::read(file("log")).unwrap());
    let hash = std::fs::read_to_string(file("hash")).unwrap();
    let half = entries.len() / 2;

    let mut replayed = State::with_limits(Limits::small());
    let mut restored = State::restore(&std::fs::read(file("snapshot")).unwrap()).unwrap();
    for (index, entry) in (1_u64..).zip(&entries) {
        apply(&mut replayed, index, entry);
        if index == half as u64 {
            assert_eq!(replayed, restored, "at the snapshot");
        }
        if index > half as u64 {
            apply(&mut restored, index, entry);
        }
    }
    assert!(replayed.counters().trades > 100);
    assert_eq!(replayed.history_hash().to_string(), hash.trim());
    assert_eq!(restored.history_hash().to_string(), hash.trim());
}

/// What is read above is what the flow of this version still writes: the files are no leftovers of
/// another flow.
#[test]
fn the_log_on_file_is_the_one_that_the_flow_writes() {
    let on_file = entries(&std::fs::read(file("log")).unwrap());
    assert!(
        on_file == batches(),
        "write it anew with tests/golden/write.sh"
    );
}
