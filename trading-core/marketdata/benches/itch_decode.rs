//! ITCH 5.0 decoding, a message, beside the crate `itchy` in one run.
//!
//! `cargo bench -p marketdata`. A generated day of a million messages lies in memory in the BinaryFILE
//! form. Each reader walks its frames, decodes every message and adds up the same fields: locate and
//! time of all, and order, shares and price of those that have them. The sums are held equal, so that
//! none can leave work out. The readers take turns, round by round, so that what else the machine does
//! meets all of them; told are the best and the median round. The time includes the framing.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run must say so and end"
)]

use itchy::{Body, MessageStream};
use marketdata::itch::{Generator, Message, Mix, binary_file, decode};
use std::hint::black_box;
use std::time::Instant;

/// Reads all messages of a stream and yields a digest, so that nothing is left out.
type Reader = fn(&[u8]) -> u64;

const MESSAGES: usize = 1_000_000;
const SEED: u64 = 20_261_125;
const STOCKS: u16 = 500;
const ROUNDS: usize = 15;

/// A day, opening included.
fn day() -> Vec<u8> {
    let (mut file, mut bytes) = (Vec::new(), Vec::new());
    for message in Generator::new(SEED, STOCKS, Mix::default()).take(MESSAGES) {
        bytes.clear();
        message.encode(&mut bytes);
        binary_file::append(&bytes, &mut file);
    }
    file
}

/// Adds up fields; wrapping, since only equality matters.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    #[inline]
    fn add(&mut self, values: &[u64]) {
        for value in values {
            self.0 = self.0.wrapping_add(*value);
        }
    }
}

fn ours(file: &[u8]) -> u64 {
    let mut sum = Sum::default();
    for frame in binary_file::Frames::new(file) {
        let message = decode(frame.bytes, frame.offset).unwrap();
        let header = message.header();
        sum.add(&[u64::from(header.locate.0), header.time.ns()]);
        match message {
            Message::AddOrder(it) => {
                sum.add(&[it.order().0, it.shares().0.into(), it.price().0.into()]);
            }
            Message::AddOrderWithParticipant(it) => {
                sum.add(&[it.order().0, it.shares().0.into(), it.price().0.into()]);
            }
            Message::OrderExecuted(it) => sum.add(&[it.order().0, it.shares().0.into()]),
            Message::OrderCancel(it) => sum.add(&[it.order().0, it.shares().0.into()]),
            Message::OrderDelete(it) => sum.add(&[it.order().0]),
            Message::OrderReplace(it) => {
                let (original, replacement) = (it.original().0, it.replacement().0);
                sum.add(&[
                    original,
                    replacement,
                    it.shares().0.into(),
                    it.price().0.into(),
                ]);
            }
            _ => {}
        }
    }
    sum.0
}

fn itchy(file: &[u8]) -> u64 {
    let mut sum = Sum::default();
    for message in MessageStream::from_reader(file) {
        let message = message.unwrap();
        sum.add(&[u64::from(message.stock_locate), message.timestamp]);
        match message.body {
            Body::AddOrder(it) => {
                sum.add(&[it.reference, it.shares.into(), it.price.raw().into()]);
            }
            Body::OrderExecuted {
                reference,
                executed,
                ..
            } => sum.add(&[reference, executed.into()]),
            Body::OrderCancelled {
                reference,
                cancelled,
            } => sum.add(&[reference, cancelled.into()]),
            Body::DeleteOrder { reference } => sum.add(&[reference]),
            Body::ReplaceOrder(it) => sum.add(&[
                it.old_reference,
                it.new_reference,
                it.shares.into(),
                it.price.raw().into(),
            ]),
            _ => {}
        }
    }
    sum.0
}

fn main() {
    let file = day();
    let readers: [(&str, Reader); 2] = [("marketdata", ours), ("itchy", itchy)];
    let expected = ours(&file);
    let mut rounds: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for ((name, reader), times) in readers.iter().zip(&mut rounds) {
            let begin = Instant::now();
            let sum = reader(black_box(&file));
            times.push(begin.elapsed().as_nanos() as f64 / MESSAGES as f64);
            assert_eq!(sum, expected, "{name} reads something else");
        }
    }
    println!("{MESSAGES} messages, {ROUNDS} rounds; ns a message, framing included");
    println!("{:<12} {:>8} {:>8} {:>8}", "", "best", "median", "ratio");
    let ours_median = median(&mut rounds[0]);
    for ((name, _), times) in readers.iter().zip(&mut rounds) {
        let middle = median(times);
        let (best, ratio) = (times[0], middle / ours_median);
        println!("{name:<12} {best:>8.2} {middle:>8.2} {ratio:>7.2}x");
    }
}

/// Sorts as well.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
