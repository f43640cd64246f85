//! How fast the engine is: sessions, dedupe, checks, matching and settlement on one thread.
//!
//! ```text
//! cargo bench -p engine --bench engine              all parts
//! cargo bench -p engine --bench engine -- replay    one of: rate, alone, paced, replay, memory
//! cargo bench -p engine --bench engine -- rate 20   only the size with so many accounts
//! ```
//! `rate` applies batches of 256 and looks ahead in each, as one who has a batch can; `alone` takes
//! the same commands one by one. The size of 20 accounts is what the caches hold: what it takes is
//! the work itself, and what the others take beyond that is memory.
//!
//! The flow (`flow/mod.rs`) is drawn before the clock starts; the printed head says what is in it.
//! Latency is measured open loop: each command has its intended time, and what it waited because
//! the one before was slow counts as its own. The clock is read twice a command, which is in the
//! figures. Say cores and load with every figure; other processes on the machine show in the tail.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on may end")]

mod flow;

use engine::{Ahead, EntryContext, Limits, State};
use flow::{Flow, Size};
use hdrhistogram::Histogram;
use std::hint::{black_box, spin_loop};
use std::time::Instant;
use types::{
    AccountId, Batch, Command, Control, Epoch, Event, LogIndex, Money, Price, Quantity,
    SymbolDefinition, SymbolId, UnixMicros, decode_batch, encode_batch,
};

const COMMANDS: usize = 3_000_000;
const WARM_UP: usize = 500_000;
const BATCH: usize = 256;
const RUNS: usize = 3;
/// Longer waits count as this one.
const WAIT_MAX_NS: u64 = 3_600_000_000_000;
const SIZES: [Size; 3] = [
    Size {
        accounts: 20,
        symbols: 4,
        open_per_session: 20,
    },
    Size {
        accounts: 1_000,
        symbols: 10,
        open_per_session: 20,
    },
    Size {
        accounts: 10_000,
        symbols: 200,
        open_per_session: 10,
    },
];

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let sizes: Vec<u64> = wanted.iter().filter_map(|it| it.parse().ok()).collect();
    let parts = wanted.len() > sizes.len();
    let runs = |part: &str| !parts || wanted.iter().any(|it| it == part);
    machine();
    for size in SIZES {
        if !sizes.is_empty() && !sizes.contains(&size.accounts) {
            continue;
        }
        println!("\n{size:?}");
        if runs("rate") {
            rate(size, Looks::Ahead);
        }
        if runs("alone") {
            rate(size, Looks::AtOne);
        }
        if runs("paced") {
            for per_second in [100_000, 1_000_000] {
                paced(size, per_second);
            }
        }
        if runs("replay") {
            replay(size);
        }
    }
    if runs("memory") {
        memory();
    }
}

fn machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{}", model.unwrap_or("model name: unknown"));
    println!("cores: {cores}, load: {}", read("/proc/loadavg").trim());
    println!(
        "huge pages: {}, GLIBC_TUNABLES={}",
        read("/sys/kernel/mm/transparent_hugepage/enabled").trim(),
        std::env::var("GLIBC_TUNABLES").unwrap_or_default(),
    );
    println!(
        "flow: of 100 requests 44 limits that rest, 12 that cross, 2 immediate-or-cancel, 1 market, 5 \
         replace, 36 cancel; sessions at random, half of the orders in a tenth of the symbols; {WARM_UP} \
         commands to warm up, {COMMANDS} measured; no rules loaded"
    );
}

/// Nanoseconds that this thread has been on a core: what is left of a busy machine's noise when others
/// take the cores away. Caches and clocks are still shared.
fn on_core_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = schedstat.split(' ').next().and_then(|ns| ns.parse().ok());
    first.unwrap_or(0)
}

fn context(index: usize) -> EntryContext {
    EntryContext {
        epoch: Epoch(1),
        index: LogIndex(index as u64),
        leader_time: UnixMicros(1_700_000_000_000_000 + index as u64),
    }
}

/// A state whose tables are in memory and whose market is warm, and the flow that goes on from it.
fn warm(size: Size) -> (State, Flow) {
    let mut state = State::with_limits(Limits {
        replay_chunks_max: 16_384,
        ..Limits::default()
    });
    state.touch_tables();
    let mut flow = Flow::new(size, 7);
    let mut events = Vec::new();
    let opening = flow.opening();
    for command in opening.iter().chain(&flow.commands(WARM_UP)) {
        events.clear();
        state.apply(context(1), command, &mut events);
    }
    (state, flow)
}

/// How many commands of a batch the engine is shown at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Ahead,
    AtOne,
}

fn rate(size: Size, looks: Looks) {
    let name = match looks {
        Looks::Ahead => "rate ",
        Looks::AtOne => "alone",
    };
    for run in 1..=RUNS {
        let (mut state, mut flow) = warm(size);
        let commands = flow.commands(COMMANDS);
        let before = state.counters().clone();
        let mut events: Vec<Event> = Vec::with_capacity(1 << 16);
        let mut told = 0;
        let mut ahead = Ahead::default();
        let (start, on_core) = (Instant::now(), on_core_ns());
        for (index, batch) in commands.chunks(BATCH).enumerate() {
            events.clear();
            for (at, command) in batch.iter().enumerate() {
                if looks == Looks::Ahead {
                    ahead.look(&state, &batch[at..]);
                }
                state.apply(context(2 + index), command, &mut events);
            }
            told += events.len();
            black_box(&events);
        }
        let (took, on_core) = (start.elapsed(), on_core_ns() - on_core);
        let after = state.counters();
        println!(
            "{name}  run {run}: {:>9.0} commands/s, {:>9.0} a second on a core, {:.2} events a command, {:.1} % trades, {:.1} % \
             rejects, {} open, hash {}",
            COMMANDS as f64 / took.as_secs_f64(),
            COMMANDS as f64 * 1e9 / on_core as f64,
            told as f64 / COMMANDS as f64,
            100.0 * (after.trades - before.trades) as f64 / COMMANDS as f64,
            100.0 * (after.orders_rejected - before.orders_rejected) as f64 / COMMANDS as f64,
            after.open_orders,
            state.history_hash(),
        );
        state.check_conservation().expect("the books balance");
    }
}

fn paced(size: Size, per_second: u64) {
    let (mut state, mut flow) = warm(size);
    // Three seconds of it.
    let commands = flow.commands(COMMANDS.min(3 * per_second as usize));
    let mut events: Vec<Event> = Vec::with_capacity(1 << 12);
    let mut waited = Histogram::<u64>::new_with_bounds(1, WAIT_MAX_NS, 3).expect("sound bounds");
    let on_core = on_core_ns();
    let interval_ns = 1_000_000_000 / per_second;
    let start = Instant::now();
    for (index, command) in commands.iter().enumerate() {
        let intended_ns = index as u64 * interval_ns;
        while (start.elapsed().as_nanos() as u64) < intended_ns {
            spin_loop();
        }
        events.clear();
        state.apply(context(2), command, &mut events);
        black_box(&events);
        let done_ns = start.elapsed().as_nanos() as u64;
        waited.saturating_record(done_ns - intended_ns);
    }
    let at = |quantile| waited.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "paced  {per_second}/s: p50 {:.2} µs, p99 {:.2}, p99.9 {:.2}, max {:.2}; {:.0} % of the time on a core",
        at(0.5),
        at(0.99),
        at(0.999),
        waited.max() as f64 / 1_000.0,
        100.0 * (on_core_ns() - on_core) as f64 / start.elapsed().as_nanos() as f64,
    );
}

fn replay(size: Size) {
    let (mut state, mut flow) = warm(size);
    let entries: Vec<Vec<u8>> = flow
        .commands(COMMANDS)
        .chunks(BATCH)
        .map(|commands| {
            let batch = Batch {
                leader_time: UnixMicros(1),
                commands: commands.to_vec(),
            };
            encode_batch(&batch).expect("a batch can be written")
        })
        .collect();
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let mut events: Vec<Event> = Vec::with_capacity(1 << 16);
    let (start, on_core) = (Instant::now(), on_core_ns());
    for (index, entry) in entries.iter().enumerate() {
        let context = context(2 + index);
        let batch = decode_batch(entry).expect("it was written as a batch");
        state
            .begin_entry(context, entry)
            .expect("entries are in order");
        events.clear();
        let mut ahead = Ahead::default();
        for (at, command) in batch.commands.iter().enumerate() {
            ahead.look(&state, &batch.commands[at..]);
            state.apply(context, command, &mut events);
        }
        black_box(&events);
    }
    println!(
        "replay {:>9.0} commands/s, {:>9.0} a second on a core, from entries of {BATCH}, {:.1} bytes a \
         command",
        COMMANDS as f64 / start.elapsed().as_secs_f64(),
        COMMANDS as f64 * 1e9 / (on_core_ns() - on_core) as f64,
        bytes as f64 / COMMANDS as f64,
    );
}

/// Resident memory with a million accounts, two positions each, and 5,000 symbols.
fn memory() {
    let mut state = State::new();
    state.touch_tables();
    let mut events = Vec::new();
    let mut apply = |command| {
        events.clear();
        state.apply(context(1), &Command::Control(command), &mut events);
        assert!(matches!(
            events[..],
            [Event::Control(types::ControlOutcome::Done)]
        ));
    };
    for symbol in 0..5_000 {
        let (low, high) = (Price(90_000), Price(110_000));
        apply(Control::DefineSymbol(SymbolDefinition::share(
            SymbolId(symbol),
            low,
            high,
        )));
    }
    for account in 0..1_000_000_u64 {
        let symbols = [account % 5_000, (account * 7 + 1) % 5_000];
        let distinct = 1 + usize::from(symbols[0] != symbols[1]);
        apply(Control::OpenAccount {
            account: AccountId(account),
            cash: Money(1_000_000_000),
            positions: symbols[..distinct]
                .iter()
                .map(|symbol| (SymbolId(*symbol as u32), Quantity(1_000)))
                .collect(),
        });
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS"));
    println!(
        "\nmemory 1,000,000 accounts, 5,000 symbols: {}",
        resident.unwrap_or("not known")
    );
}
