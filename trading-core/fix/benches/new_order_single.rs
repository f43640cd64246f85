//! How long it takes to parse and check one `NewOrderSingle`: frame and checksum, fields, dictionary,
//! and what it asks of the core.
//!
//! `cargo bench -p fix` prints nanoseconds a message: the median and spread of several rounds.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use fix::frame::{Frame, checksum, next};
use fix::message::Message;
use fix::request;
use std::hint::black_box;
use std::time::Instant;
use types::AccountId;

const ROUNDS: usize = 21;
const MESSAGES_A_ROUND: u32 = 200_000;

fn order() -> Vec<u8> {
    let body = "35=D|49=CLIENT01|56=TRICENTER|34=123456|52=20261125-01:30:00.123|\
                11=A-20261125-000123|1=100001|21=1|55=600000|54=1|60=20261125-01:30:00.122|\
                38=1000|40=2|44=10.0500|59=0|"
        .replace('|', "\x01");
    let mut bytes = format!("8=FIX.4.4\x019={}\x01{body}", body.len()).into_bytes();
    let sum = checksum(&bytes);
    bytes.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
    bytes
}

/// Nanoseconds a message, one figure a round, lowest first.
fn measure(mut step: impl FnMut()) -> Vec<f64> {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..MESSAGES_A_ROUND).for_each(|_| step());
            began.elapsed().as_nanos() as f64 / f64::from(MESSAGES_A_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds
}

fn print(what: &str, rounds: &[f64]) {
    println!(
        "{what:<44} median {:>6.1} ns   least {:>6.1}   most {:>6.1}",
        rounds[ROUNDS / 2],
        rounds[0],
        rounds[ROUNDS - 1]
    );
}

fn main() {
    let bytes = order();
    let Frame::Whole { bytes: length } = next(&bytes) else {
        println!("the benchmark's own message is not whole");
        return;
    };
    println!(
        "NewOrderSingle of {length} bytes, {MESSAGES_A_ROUND} a round, {ROUNDS} rounds, one thread"
    );
    let framed = measure(|| {
        black_box(next(black_box(&bytes)));
    });
    print("frame and checksum", &framed);
    let read = measure(|| {
        black_box(Message::read(black_box(&bytes)).is_ok());
    });
    print("fields found", &read);
    let checked = measure(|| {
        let message = Message::read(black_box(&bytes));
        black_box(message.is_ok_and(|message| message.check().is_ok()));
    });
    print("fields and dictionary", &checked);
    let all = measure(|| {
        let bytes = black_box(&bytes);
        let whole = matches!(next(bytes), Frame::Whole { .. });
        let message = Message::read(bytes);
        let right = message
            .as_ref()
            .is_ok_and(|message| message.check().is_ok());
        let asked = message
            .ok()
            .map(|it| request::read(&it, AccountId(100_001)));
        black_box((whole, right, asked.is_some_and(|asked| asked.is_ok())));
    });
    print("frame, fields, dictionary, request", &all);
}
