//! The scripts in `tests/scripts`, run against every book.
//!
//! A script is a list of cases. A case starts with an empty book; each command is followed by what
//! it must answer, indented by two spaces. `UPDATE_SCRIPTS=1` writes the naive book's answers into
//! the files: read the difference before you keep it.
//!
//! ```text
//! case a trade happens at the resting order's price
//! sell 1 a 100 @10.00
//!   rests 100
//! buy 2 b 60 @10.05
//!   trade 1 60 @10.00 (1: 40 left, 60 of 60 done)
//!   filled
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

mod script;

use book::{Band, Book, FastBook, NaiveBook};
use std::path::{Path, PathBuf};
use types::Price;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn run_all<B: Book>(name: &str, empty: impl Fn() -> B) {
    for path in scripts() {
        let text = std::fs::read_to_string(&path).unwrap();
        let answered = script::run(&text, &empty);
        if answered == text {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy();
        let wrong = text.lines().zip(answered.lines()).position(|(a, b)| a != b);
        let line = wrong.unwrap_or(text.lines().count().min(answered.lines().count()));
        panic!(
            "{file}, line {}: {name} answers {:?}, the script has {:?}",
            line + 1,
            answered.lines().nth(line).unwrap_or("nothing"),
            text.lines().nth(line).unwrap_or("nothing"),
        );
    }
}

#[test]
fn the_naive_book_answers_as_the_scripts_have_it() {
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        for path in scripts() {
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, script::run(&text, &NaiveBook::default)).unwrap();
        }
    }
    run_all("the naive book", NaiveBook::default);
}

#[test]
fn the_fast_book_answers_as_the_scripts_have_it() {
    run_all("the fast book", FastBook::default);
}

#[test]
fn the_fast_book_answers_so_with_a_band_that_holds_some_of_the_prices() {
    let tick = Price(100);
    let (low, high) = (Price(99_900), Price(100_200));
    run_all("the fast book", || {
        FastBook::with_band(Band { tick, low, high })
    });
}
