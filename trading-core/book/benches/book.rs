//! How fast the books are, in commands a second and in time per command.
//!
//! ```text
//! cargo bench -p book                          all loads
//! cargo bench -p book -- --exchange-core       the stated load beside exchange-core's direct book
//! cargo bench -p book -- --profile 5           the stated load, n rounds, nothing else: for callgrind
//! ```
//!
//! One thread. A stream is drawn beforehand; measured is decoding a 32-byte command, the book's work
//! and a look at what it answered. Each round starts with a new book that the opening orders of the
//! stream rest in, not measured. Figures are the median of the rounds, and the least and the most.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark ends where it stands when something is wrong"
)]

mod load;

use book::{Band, Book, FastBook, Fill, NaiveBook};
use load::{Command, Kind, MIDDLE, STATED, Shape, Stream, TICK};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use types::{OrderId, Price};

/// What a pass did, so that two books can be seen to have done the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    trades: u64,
    shares: u64,
    /// Shares.
    cancelled: u64,
}

fn apply<B: Book>(books: &mut [B], command: &Command, fills: &mut Vec<Fill>, sums: &mut Sums) {
    let book = &mut books[command.book as usize];
    if command.kind == Kind::Cancel {
        let cancelled = book.cancel(OrderId(command.order));
        sums.cancelled += cancelled.map_or(0, |resting| resting.remaining.0);
        return;
    }
    fills.clear();
    black_box(book.submit(command.incoming(), fills));
    for fill in fills.iter() {
        if let Fill::Trade { quantity, .. } = fill {
            sums.trades += 1;
            sums.shares += quantity.0;
        }
    }
}

/// Day's limits of 10 % around the middle.
fn band() -> Band {
    Band {
        tick: Price(TICK),
        low: Price(MIDDLE - MIDDLE / 10),
        high: Price(MIDDLE + MIDDLE / 10),
    }
}

fn opened<B: Book>(stream: &Stream, shape: Shape, empty: impl Fn() -> B) -> Vec<B> {
    let mut books: Vec<B> = (0..shape.books).map(|_| empty()).collect();
    let (mut fills, mut sums) = (Vec::new(), Sums::default());
    for command in &stream.opening {
        apply(&mut books, command, &mut fills, &mut sums);
    }
    books
}

/// Time that this thread has been running: what others take of the machine is not in it, but for
/// what they take of its caches.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap().parse();
    Duration::from_nanos(nanoseconds.unwrap())
}

/// One round: the time, the sums and the end state.
fn round<B: Book>(stream: &Stream, shape: Shape, empty: impl Fn() -> B) -> (Duration, Sums, u64) {
    let mut books = opened(stream, shape, empty);
    let (mut fills, mut sums) = (Vec::with_capacity(1024), Sums::default());
    let start = on_cpu();
    for command in &stream.load {
        apply(&mut books, command, &mut fills, &mut sums);
    }
    let took = on_cpu() - start;
    let state = books
        .iter()
        .fold(0_u64, |hash, book| hash.rotate_left(1) ^ book.state_hash());
    (took, sums, state)
}

/// Millions of commands a second: median, least, most.
#[derive(Clone, Copy, Debug)]
struct Rate(f64, f64, f64);

impl Rate {
    fn of(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        Self(rates[rates.len() / 2], rates[0], rates[rates.len() - 1])
    }
}

fn rates<B: Book>(
    stream: &Stream,
    shape: Shape,
    rounds: usize,
    empty: impl Fn() -> B,
) -> (Rate, Sums, u64) {
    let mut rates = Vec::new();
    let mut last = None;
    for _ in 0..rounds {
        let (took, sums, state) = round(stream, shape, &empty);
        rates.push(stream.load.len() as f64 / took.as_secs_f64() / 1e6);
        last = Some((sums, state));
    }
    let (sums, state) = last.unwrap();
    (Rate::of(rates), sums, state)
}

fn line(name: &str, rate: Rate, ratio: Option<f64>) {
    let Rate(median, least, most) = rate;
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:>7.1}"));
    println!("{name:<44}{median:>8.2}{least:>8.2}{most:>8.2}{ratio}");
}

/// Time of each command; the clock's own cost, printed below, is in it.
fn percentiles(stream: &Stream) {
    let mut books = opened(stream, STATED, || FastBook::with_band(band()));
    let (mut fills, mut sums) = (Vec::with_capacity(1024), Sums::default());
    let mut times = Vec::with_capacity(stream.load.len());
    let mut before = Instant::now();
    for command in &stream.load {
        apply(&mut books, command, &mut fills, &mut sums);
        let now = Instant::now();
        times.push((now - before).as_nanos() as u32);
        before = now;
    }
    let mut clock = Vec::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        let now = Instant::now();
        clock.push((now - before).as_nanos() as u32);
        before = now;
    }
    println!("\nns per command, clock included   p50     p90     p99   p99.9  p99.99     max");
    for (name, mut times) in [("fast book, stated load", times), ("clock alone", clock)] {
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        print!("{name:<28}");
        for part in [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
            print!("{:>8}", at(part));
        }
        println!();
    }
}

const ROUNDS: usize = 7;

fn all_loads(stated: &Stream) {
    println!("million commands/s, one thread, {ROUNDS} rounds    median   least    most   ratio");
    let (fast, sums, state) = rates(stated, STATED, ROUNDS, || FastBook::with_band(band()));
    let (naive, naive_sums, naive_state) = rates(stated, STATED, 3, NaiveBook::default);
    assert_eq!((sums, state), (naive_sums, naive_state), "the books differ");
    line("stated load, naive book", naive, Some(1.0));
    line("stated load, fast book", fast, Some(fast.0 / naive.0));
    let (sorted, ..) = rates(stated, STATED, ROUNDS, FastBook::default);
    line(
        "stated load, fast book without a band",
        sorted,
        Some(sorted.0 / naive.0),
    );
    let quarter = Shape {
        commands: STATED.commands / 4,
        ..STATED
    };
    let shapes = [
        (
            "200,000 resting over 2,000 prices",
            Shape {
                resting: 200_000,
                ticks: 1_000,
                ..quarter
            },
        ),
        (
            "100,000 resting at 2 prices",
            Shape {
                resting: 100_000,
                ticks: 1,
                ..quarter
            },
        ),
        (
            "1,000 resting over 100 prices",
            Shape {
                resting: 1_000,
                ticks: 50,
                ..quarter
            },
        ),
        (
            "crossing orders of 250 lots (sweeps)",
            Shape {
                crossing_lots: (1, 500),
                resting: 5_000,
                ..quarter
            },
        ),
        (
            "middle swings over 800 ticks, 20 times",
            Shape {
                swing: 800,
                ticks: 100,
                ..quarter
            },
        ),
        (
            "5,000 books, 40 resting in each",
            Shape {
                books: 5_000,
                resting: 40,
                ticks: 50,
                ..quarter
            },
        ),
    ];
    for (name, shape) in shapes {
        let stream = load::draw(shape);
        let (fast, sums, state) = rates(&stream, shape, ROUNDS, || FastBook::with_band(band()));
        let (naive, naive_sums, naive_state) = rates(&stream, shape, 1, NaiveBook::default);
        assert_eq!((sums, state), (naive_sums, naive_state), "the books differ");
        line(name, fast, Some(fast.0 / naive.0));
    }
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn memory() {
    let before = resident();
    let empty: Vec<FastBook> = (0..100_000).map(|_| FastBook::with_band(band())).collect();
    let per_empty = (resident() - before) / 100_000;
    drop(empty);
    let shape = Shape {
        books: 5_000,
        resting: 40,
        ticks: 50,
        commands: 0,
        ..STATED
    };
    let stream = load::draw(shape);
    let before = resident();
    let books = opened(&stream, shape, || FastBook::with_band(band()));
    let per_book = (resident() - before) / 5_000;
    println!(
        "\nmemory: {per_empty} bytes an empty book, {per_book} bytes a book of {} orders",
        books[0].len()
    );
}

/// Runs exchange-core's direct book on the same stream, in its own process, between two runs of ours.
fn beside_exchange_core(stream: &Stream) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/exchange-core");
    let script = folder.join("run.sh");
    let run = std::process::Command::new("bash")
        .arg(script)
        .arg(STATED.commands.to_string())
        .output();
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let text = String::from_utf8(run.stdout).unwrap();
    let words: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    let numbers: Vec<f64> = words.iter().map(|word| word.parse().unwrap()).collect();
    let [median, least, most, trades, shares, cancelled] = numbers[..] else {
        panic!("six numbers were expected: {text}");
    };
    let (fast, sums, _) = rates(stream, STATED, ROUNDS, || FastBook::with_band(band()));
    let theirs = Sums {
        trades: trades as u64,
        shares: shares as u64,
        cancelled: cancelled as u64,
    };
    assert_eq!(sums, theirs, "exchange-core did something else");
    println!("million commands/s, one thread              median   least    most   ratio");
    line(
        "exchange-core 0.5.3, OrderBookDirectImpl",
        Rate(median, least, most),
        Some(1.0),
    );
    line("fast book", fast, Some(fast.0 / median));
    println!(
        "both: {} trades, {} shares, {} cancels",
        sums.trades, sums.shares, sums.cancelled
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let shape = STATED;
    let stated = load::draw(shape);
    let profile = arguments.iter().position(|word| word == "--profile");
    if let Some(place) = profile {
        let rounds = arguments[place + 1].parse().unwrap();
        let (rate, sums, _) = rates(&stated, STATED, rounds, || FastBook::with_band(band()));
        line("stated load, fast book", rate, None);
        println!("{sums:?}");
    } else if arguments.iter().any(|word| word == "--exchange-core") {
        beside_exchange_core(&stated);
    } else {
        all_loads(&stated);
        percentiles(&stated);
        memory();
    }
}
