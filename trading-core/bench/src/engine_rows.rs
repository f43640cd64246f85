//! The engine without network and disk: throughput, latency at a rate, replay, memory.
//!
//! The commands are drawn once, with the state's own answers deciding which orders can be
//! cancelled, and then applied to a fresh state: only that is timed.

use crate::flow::{Flow, Told, reference_data};
use crate::load::{Latency, histogram};
use crate::machine::Watch;
use crate::processes::latency_details;
use crate::report::{Row, Target};
use anyhow::{Context, Result};
use engine::{Ahead, EntryContext, State};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};
use types::{
    AccountId, Batch, ClientCommand, ClientSeq, Command, Control, Epoch, Event, LogIndex, Logon,
    Money, OutSeq, Price, Quantity, Report, SessionId, SymbolDefinition, SymbolId, UnixMicros,
    decode_batch, encode_batch,
};

const SESSIONS: u64 = 64;
const COMMANDS: usize = 2_000_000;
/// Commands in one entry of the log.
const BATCH: usize = 512;
/// Commands at the rate of the latency row.
const PACED: usize = 1_000_000;
const PACED_PER_S: u64 = 1_000_000;

/// The commands, and those that prepare for them.
struct Stream {
    preparation: Vec<Command>,
    commands: Vec<Command>,
}

fn draw(count: usize) -> Result<Stream> {
    let mut preparation: Vec<Command> = reference_data(SESSIONS)
        .into_iter()
        .map(Command::Control)
        .collect();
    preparation.extend((1..=SESSIONS).map(|n| {
        let logon = Logon::new(SessionId(n), AccountId(n), OutSeq(0));
        Command::Logon(logon)
    }));
    let mut state = State::new();
    let mut events = Vec::new();
    for command in &preparation {
        state.apply(context(), command, &mut events);
    }
    let mut flows: Vec<Flow> = (1..=SESSIONS).map(|n| Flow::new(n, 1)).collect();
    let mut commands = Vec::with_capacity(count);
    for n in 0..count {
        let place = n % flows.len();
        let command = Command::Client(ClientCommand {
            session: SessionId(place as u64 + 1),
            client_seq: ClientSeq((n / flows.len()) as u64 + 1),
            request: flows[place].next()?,
        });
        events.clear();
        state.apply(context(), &command, &mut events);
        for event in &events {
            tell(&mut flows, event);
        }
        commands.push(command);
    }
    Ok(Stream {
        preparation,
        commands,
    })
}

fn tell(flows: &mut [Flow], event: &Event) {
    let Event::ToSession(outbound) = event else {
        return;
    };
    let told = match &outbound.report {
        Report::Accepted { cl_ord_id, .. } => Told::Accepted(*cl_ord_id),
        Report::Cancelled { cl_ord_id, .. } => Told::Gone(*cl_ord_id),
        Report::Filled {
            cl_ord_id,
            remaining,
            ..
        } if remaining.0 == 0 => Told::Gone(*cl_ord_id),
        _ => Told::Other,
    };
    if let Some(flow) = flows.get_mut(outbound.session.0 as usize - 1) {
        flow.told(told);
    }
}

fn context() -> EntryContext {
    EntryContext {
        epoch: Epoch(1),
        index: LogIndex(1),
        leader_time: UnixMicros(1_764_000_000_000_000),
    }
}

fn prepared(stream: &Stream) -> State {
    let mut state = State::new();
    let mut events = Vec::new();
    for command in &stream.preparation {
        state.apply(context(), command, &mut events);
    }
    state
}

/// Throughput, latency at a million a second, and replay of a log.
///
/// # Errors
/// Not known to happen.
pub fn rows() -> Result<Vec<Row>> {
    let stream = draw(COMMANDS)?;
    Ok(vec![
        throughput(&stream)?,
        paced(&stream)?,
        replay(&stream)?,
    ])
}

/// As a replica applies an entry: with a look ahead in it.
fn apply_batch(
    state: &mut State,
    context: EntryContext,
    commands: &[Command],
    events: &mut Vec<Event>,
) {
    let mut ahead = Ahead::default();
    for (at, command) in commands.iter().enumerate() {
        ahead.look(state, &commands[at..]);
        events.clear();
        state.apply(context, command, events);
        black_box(&events);
    }
}

fn throughput(stream: &Stream) -> Result<Row> {
    let watch = Watch::begin()?;
    let mut state = prepared(stream);
    let mut events = Vec::with_capacity(64);
    let began = Instant::now();
    for batch in stream.commands.chunks(BATCH) {
        apply_batch(&mut state, context(), black_box(batch), &mut events);
    }
    let took = began.elapsed();
    Ok(Row {
        id: "engine".to_owned(),
        what: "engine with sessions, dedupe and risk, one thread".to_owned(),
        target: Target::AtLeast(6_000_000.0),
        figure: Some(per_s(stream.commands.len(), took)),
        unit: "commands/s".to_owned(),
        details: BTreeMap::new(),
        conditions: watch.conditions()?,
        how: format!(
            "{COMMANDS} commands of {SESSIONS} sessions over 16 symbols, 60 % new of which a quarter \
             cross, 40 % cancels; batches of {BATCH}; history hash included"
        ),
    })
}

fn paced(stream: &Stream) -> Result<Row> {
    let watch = Watch::begin()?;
    let mut state = prepared(stream);
    let mut events = Vec::with_capacity(64);
    let mut latencies = histogram()?;
    let mut left = &stream.commands[..PACED.min(stream.commands.len())];
    let start = Instant::now();
    let due = |n: usize| start + Duration::from_nanos(n as u64 * 1_000_000_000 / PACED_PER_S);
    let mut done = 0;
    while !left.is_empty() {
        // What is due is a batch; while nothing is, it spins, as a pinned thread does.
        let waited_ns = start.elapsed().as_nanos() as u64;
        let due_by_now = (waited_ns * PACED_PER_S / 1_000_000_000) as usize + 1;
        let batch = &left[..due_by_now.saturating_sub(done).min(BATCH).min(left.len())];
        let mut ahead = Ahead::default();
        for (at, command) in batch.iter().enumerate() {
            ahead.look(&state, &batch[at..]);
            events.clear();
            state.apply(context(), black_box(command), &mut events);
            black_box(&events);
            let latency = Instant::now().saturating_duration_since(due(done + at));
            latencies.saturating_record((latency.as_nanos() as u64).max(1));
        }
        done += batch.len();
        left = &left[batch.len()..];
        std::hint::spin_loop();
    }
    let latency = Latency::of(&latencies);
    let p99_us = latencies.value_at_quantile(0.99) as f64 / 1_000.0;
    let mut details = latency_details(latency);
    let p50_ns = latencies.value_at_quantile(0.5) as f64;
    details.insert("p50_ns".to_owned(), p50_ns);
    Ok(Row {
        id: "engine.p99".to_owned(),
        what: "risk and match at 1,000,000/s, p99".to_owned(),
        target: Target::AtMost(2.0),
        figure: Some(p99_us),
        unit: "us".to_owned(),
        details,
        conditions: watch.conditions()?,
        how: "open loop, intended times, one thread that spins; what is due is one batch; p50 should \
              be <= 300 ns"
            .to_owned(),
    })
}

fn replay(stream: &Stream) -> Result<Row> {
    let watch = Watch::begin()?;
    let entries = stream
        .commands
        .chunks(BATCH)
        .map(|commands| {
            encode_batch(&Batch {
                leader_time: context().leader_time,
                commands: commands.to_vec(),
            })
        })
        .collect::<Result<Vec<_>, _>>()
        .context("failed to write the log")?;
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let mut state = prepared(stream);
    let mut events = Vec::with_capacity(64);
    let began = Instant::now();
    for (n, entry) in entries.iter().enumerate() {
        let batch = decode_batch(entry)?;
        let context = EntryContext {
            index: LogIndex(n as u64 + 2),
            ..context()
        };
        state.begin_entry(context, entry)?;
        apply_batch(&mut state, context, &batch.commands, &mut events);
    }
    let took = began.elapsed();
    let count = stream.commands.len();
    Ok(Row {
        id: "replay".to_owned(),
        what: "replay of a log".to_owned(),
        target: Target::AtLeast(2_000_000.0),
        figure: Some(per_s(count, took)),
        unit: "commands/s".to_owned(),
        details: BTreeMap::from([("bytes_a_command".to_owned(), (bytes / count.max(1)) as f64)]),
        conditions: watch.conditions()?,
        how: format!("decoding and applying entries of {BATCH} commands from memory, one thread"),
    })
}

fn per_s(count: usize, took: Duration) -> f64 {
    (count as f64 / took.as_secs_f64()).round()
}

/// A million accounts and 5,000 symbols.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn memory() -> Result<Row> {
    const ACCOUNTS: u64 = 1_000_000;
    const SYMBOLS: u32 = 5_000;
    let watch = Watch::begin()?;
    let before = resident_mib()?;
    let mut state = State::new();
    let mut events = Vec::new();
    let symbols = (0..SYMBOLS).map(|n| {
        let symbol = SymbolId(600_000 + n);
        Control::DefineSymbol(SymbolDefinition::share(
            symbol,
            Price(90_000),
            Price(110_000),
        ))
    });
    let accounts = (1..=ACCOUNTS).map(|account| Control::OpenAccount {
        account: AccountId(account),
        cash: Money(1_000_000_000),
        positions: vec![(
            SymbolId(600_000 + (account % u64::from(SYMBOLS)) as u32),
            Quantity(1_000),
        )],
    });
    for control in symbols.chain(accounts) {
        events.clear();
        state.apply(context(), &Command::Control(control), &mut events);
    }
    let grown = resident_mib()? - before;
    black_box(&state);
    Ok(Row {
        id: "memory".to_owned(),
        what: "a million accounts and 5,000 symbols".to_owned(),
        target: Target::AtMost(2_048.0),
        figure: Some(grown),
        unit: "MiB".to_owned(),
        details: BTreeMap::new(),
        conditions: watch.conditions()?,
        how: "growth of this process' resident memory; each account holds one position".to_owned(),
    })
}

fn resident_mib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .context("failed to read /proc/self/statm")?;
    Ok(pages * 4.0 / 1_024.0)
}
