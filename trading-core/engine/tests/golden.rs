//! Logs and snapshots that a version wrote, and the hashes that they led to. Later versions read both
//! and must come to the same: what was decided once stays decided.
//!
//! | folder | rules | log, snapshot |
//! | --- | --- | --- |
//! | `plain` | none | formats 3 and 6 |
//! | `checked` | format 1: orders are checked by them | formats 3 and 6 |
//! | `whole` | format 2: fees, limits and the rest as well | formats 3 and 7 |
//!
//! Old ones stay as they are. `tests/golden/write.sh FOLDER` writes one anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

#[path = "../benches/flow/mod.rs"]
mod flow;

use engine::{EntryContext, FeesCollected, Limits, State};
use flow::{Flow, Size};
use rules::Enforcement;
use std::path::PathBuf;
use types::{
    Batch, Command, Control, Epoch, LogIndex, Money, Phase, PhaseScope, TradingDay, UnixMicros,
    decode_batch, encode_batch,
};

/// Set to the folder whose files are to be written anew instead of read.
const WRITE: &str = "WRITE_GOLDEN";
const BATCH: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Plain,
    Checked,
    Whole,
}

impl Set {
    fn folder(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Checked => "checked",
            Self::Whole => "whole",
        }
    }

    fn file(self, name: &str) -> PathBuf {
        [
            env!("CARGO_MANIFEST_DIR"),
            "tests/golden",
            self.folder(),
            name,
        ]
        .iter()
        .collect()
    }

    /// When a batch came: with rules, a tenth of a second apart on the morning of 2026-11-25.
    fn time(self, index: u64) -> UnixMicros {
        UnixMicros(match self {
            Self::Plain => 1_700_000_000_000_000 + index,
            Self::Checked | Self::Whole => 1_795_572_000_000_000 + index * 100_000,
        })
    }

    fn rules(self) -> Option<Command> {
        let enforcement = match self {
            Self::Plain => return None,
            Self::Checked => Enforcement::Checks,
            Self::Whole => Enforcement::Whole,
        };
        // The rules as they were when the logs were written: those that are shipped may change.
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/golden/rules"]
            .iter()
            .collect();
        let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
            .map(|name| folder.join(name).with_extension("yaml"));
        let mut rules = rules_file::read(&files).unwrap();
        rules.enforcement = enforcement;
        let document = rules::encode(&rules).unwrap();
        Some(Command::Control(Control::LoadRules { document }))
    }
}

/// Two days of a small market: an opening call, continuous trading, a closing call, and its end.
fn batches(set: Set) -> Vec<Vec<u8>> {
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
    commands.extend(set.rules());
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
                leader_time: set.time(index),
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

fn write(set: Set) {
    let (mut log, mut state) = (Vec::new(), State::with_limits(Limits::small()));
    let batches = batches(set);
    for (index, entry) in (1_u64..).zip(&batches) {
        log.extend((entry.len() as u32).to_le_bytes());
        log.extend(entry);
        apply(&mut state, index, entry);
        if index == batches.len() as u64 / 2 {
            std::fs::write(set.file("snapshot"), state.snapshot().unwrap()).unwrap();
        }
    }
    std::fs::write(set.file("log"), log).unwrap();
    std::fs::write(set.file("hash"), format!("{}\n", state.history_hash())).unwrap();
}

fn leads_to_the_hash_of_then(set: Set) -> State {
    if std::env::var(WRITE).is_ok_and(|folder| folder == set.folder()) {
        write(set);
    }
    let entries = entries(&std::fs::read(set.file("log")).unwrap());
    let hash = std::fs::read_to_string(set.file("hash")).unwrap();
    let half = entries.len() / 2;

    let mut replayed = State::with_limits(Limits::small());
    let mut restored = State::restore(&std::fs::read(set.file("snapshot")).unwrap()).unwrap();
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
    // What is read above is what the flow of this version still writes: the files are no leftovers of
    // another flow.
    assert!(
        entries == batches(set),
        "write it anew with tests/golden/write.sh"
    );
    replayed
}

#[test]
fn an_old_log_and_an_old_snapshot_lead_to_the_hash_of_then() {
    leads_to_the_hash_of_then(Set::Plain);
}

#[test]
fn rules_of_the_first_format_are_obeyed_as_they_were() {
    let state = leads_to_the_hash_of_then(Set::Checked);
    assert_eq!(state.fees_collected(), FeesCollected::default());
}

#[test]
fn rules_of_the_second_format_charge_fees() {
    let state = leads_to_the_hash_of_then(Set::Whole);
    assert!(state.fees_collected().ever.stamp_duty > Money(0));
}
