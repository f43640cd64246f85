//! Once tables and buffers have grown, applying requests allocates nothing.

#[path = "../benches/flow/mod.rs"]
mod flow;

use engine::{EntryContext, Limits, State};
use flow::{Flow, Size};
use std::path::PathBuf;
use types::{Command, Control, Epoch, Event, LogIndex, Money, UnixMicros};

/// Applies them a fifth of a second apart, so that no account is stopped for its rate.
fn apply_all(state: &mut State, commands: &[Command], events: &mut Vec<Event>) {
    for command in commands {
        events.clear();
        let before = state.last_entry().leader_time.0.max(1_795_572_000_000_000);
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(1),
            leader_time: UnixMicros(before + 200_000),
        };
        state.apply(context, command, events);
    }
}

fn shipped_rules() -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    let rules = rules_file::read(&files).expect("the shipped rules are sound");
    let document = rules::encode(&rules).expect("they can be written");
    Command::Control(Control::LoadRules { document })
}

#[test]
fn requests_allocate_nothing_once_the_tables_are_warm() {
    requests_allocate_nothing(None);
}

#[test]
fn requests_that_are_charged_fees_allocate_nothing_either() {
    requests_allocate_nothing(Some(shipped_rules()));
}

fn requests_allocate_nothing(rules: Option<Command>) {
    let size = Size {
        accounts: 50,
        symbols: 4,
        open_per_session: 20,
    };
    let limits = Limits {
        client_order_ids_max: 100_000,
        ..Limits::small()
    };
    let mut flow = Flow::new(size, 3);
    let mut state = State::with_limits(limits);
    let mut events = Vec::with_capacity(4_096);
    apply_all(&mut state, &flow.opening(), &mut events);
    apply_all(&mut state, rules.as_slice(), &mut events);
    // Everything goes and comes back, again and again: what the tables hold and what they have free
    // has been as much as it will be.
    for _ in 0..4 {
        apply_all(&mut state, &flow.commands(16_000), &mut events);
        apply_all(&mut state, &flow.cancel_all(), &mut events);
    }
    apply_all(&mut state, &flow.commands(4_000), &mut events);

    let commands = flow.commands(16_000);
    let trades = state.counters().trades;
    let allocated = allocation_counter::measure(|| {
        apply_all(&mut state, &commands, &mut events);
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
    assert!(
        state.counters().trades > trades + 1_000,
        "the market was busy"
    );
    let collected = state.fees_collected().today.total();
    assert_eq!(collected > Some(Money(0)), rules.is_some());
}
