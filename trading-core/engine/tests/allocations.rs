//! Once tables and buffers have grown, applying requests allocates nothing.

#[path = "../benches/flow/mod.rs"]
mod flow;

use engine::{EntryContext, Limits, State};
use flow::{Flow, Size};
use types::{Command, Epoch, Event, LogIndex, UnixMicros};

fn apply_all(state: &mut State, commands: &[Command], events: &mut Vec<Event>) {
    let context = EntryContext {
        epoch: Epoch(1),
        index: LogIndex(1),
        leader_time: UnixMicros(1_700_000_000_000_000),
    };
    for command in commands {
        events.clear();
        state.apply(context, command, events);
    }
}

#[test]
fn requests_allocate_nothing_once_the_tables_are_warm() {
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
}
