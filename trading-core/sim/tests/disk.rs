//! What a restart may trust, on the simulated disk.

use journal::{HardState, Journal, LogEntry, Options, Sync};
use sim::{Dice, SimDisk};
use std::sync::Arc;
use types::{Epoch, LogIndex, ReplicaId};

const OPTIONS: Options = Options {
    segment_bytes: 64 * 1024,
    retain_entries: 1_000,
    retain_bytes: 1 << 20,
};

fn entry(index: u64) -> LogEntry {
    LogEntry {
        index: LogIndex(index),
        epoch: Epoch(1),
        data: vec![7; 100],
    }
}

fn state() -> HardState {
    HardState {
        epoch: Epoch(1),
        vote: ReplicaId(1),
        commit: LogIndex(0),
    }
}

fn last_index(disk: &SimDisk) -> u64 {
    let (journal, recovered) =
        Journal::open_on(Arc::new(disk.clone()), OPTIONS).expect("the journal opens");
    drop(journal);
    recovered.last_index().0
}

/// Found by the simulator: a replica started again after a failed sync, took what the operating
/// system showed for what the disk held, and lost it when power failed.
#[test]
fn what_a_failed_sync_left_in_memory_is_on_disk_before_a_restart_trusts_it() {
    let disk = SimDisk::new("replica-1", Dice::new(1, "disk"));
    let (mut journal, _) = Journal::open_on(Arc::new(disk.clone()), OPTIONS).unwrap();
    journal
        .append(vec![entry(1)], Some(state()), Sync::Now)
        .unwrap();
    disk.fail_sync();
    let failed = journal.append(vec![entry(2)], None, Sync::Now);
    assert!(failed.unwrap_err().to_string().contains("sync"));
    drop(journal);

    let disk = disk.next_start();
    let shown = last_index(&disk);
    assert_eq!(shown, 2, "the operating system shows it");

    let disk = disk.next_start();
    disk.lose_power();
    assert_eq!(last_index(&disk), shown, "what a start trusted is there");
}
