//! Rows whose benchmark lives beside what it measures: it is run, and its line is read.

use crate::machine::Watch;
use crate::report::{Row, Target};
use anyhow::Result;
use std::collections::BTreeMap;
use std::process::Command;

/// Where a figure comes from.
struct Other {
    id: &'static str,
    what: &'static str,
    target: Target,
    unit: &'static str,
    package: &'static str,
    bench: &'static str,
    /// The line that holds it begins so,
    line: &'static str,
    /// and there it is that number, from 0.
    number: usize,
}

const OTHERS: &[Other] = &[
    Other {
        id: "book",
        what: "the fast book alone, one thread, deep book",
        target: Target::AtLeast(10.0),
        unit: "million commands/s",
        package: "book",
        bench: "book",
        line: "stated load, fast book",
        number: 0,
    },
    Other {
        id: "risk",
        what: "all risk checks, median",
        target: Target::AtMost(150.0),
        unit: "ns",
        package: "engine",
        bench: "risk",
        line: "ns a check",
        number: 0,
    },
    Other {
        id: "fix",
        what: "FIX NewOrderSingle, parse and check",
        target: Target::AtMost(300.0),
        unit: "ns",
        package: "fix",
        bench: "new_order_single",
        line: "frame, fields, dictionary, request",
        number: 0,
    },
    Other {
        id: "itch",
        what: "ITCH 5.0 decode, a message",
        target: Target::AtMost(15.0),
        unit: "ns",
        package: "marketdata",
        bench: "itch_decode",
        line: "marketdata ",
        number: 1,
    },
];

/// Runs them all; one that is not there is a row without a figure.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn rows() -> Result<Vec<Row>> {
    OTHERS.iter().map(row).collect()
}

fn row(other: &Other) -> Result<Row> {
    let watch = Watch::begin()?;
    let output = Command::new("cargo")
        .args([
            "bench",
            "--quiet",
            "-p",
            other.package,
            "--bench",
            other.bench,
        ])
        .output();
    let command = format!("cargo bench -p {} --bench {}", other.package, other.bench);
    let (figure, how) = match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            match find(&text, other.line, other.number) {
                Some(figure) => (Some(figure), command),
                None => (None, format!("{command} printed no line {:?}", other.line)),
            }
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = text.trim().lines().next().unwrap_or_default().to_owned();
            (None, format!("{command}: {last}"))
        }
        Err(error) => (None, format!("{command}: {error}")),
    };
    Ok(Row {
        id: other.id.to_owned(),
        what: other.what.to_owned(),
        target: other.target,
        figure,
        unit: other.unit.to_owned(),
        details: BTreeMap::new(),
        conditions: watch.conditions()?,
        how,
    })
}

/// A number, counted from 0, behind the words with which a line begins.
fn find(text: &str, line: &str, number: usize) -> Option<f64> {
    let mut lines = text.lines().map(str::trim_start);
    let rest = lines.find_map(|it| it.strip_prefix(line))?;
    let mut numbers = rest.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.nth(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_line_and_place() {
        let text = "head 1 2\nfix it, all   median  11.2 ns  least 9\nmine  8.5  9.5  1.00x\n";
        assert_eq!(find(text, "fix it, all", 0), Some(11.2));
        assert_eq!(find(text, "mine", 1), Some(9.5));
        assert_eq!(find(text, "mine", 2), None);
        assert_eq!(find(text, "theirs", 0), None);
    }
}
