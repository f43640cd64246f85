//! The table, the JSON, and the history in which a regression shows.

use crate::machine::{Conditions, Machine};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Which side of a target is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// The figure should be no smaller.
    AtLeast(f64),
    /// The figure should be no larger.
    AtMost(f64),
    /// The machine's own, which nothing here can better: told, not judged; less is better.
    Stated,
}

impl Target {
    /// Whether a figure meets it.
    #[must_use]
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => figure >= limit,
            Self::AtMost(limit) => figure <= limit,
            Self::Stated => true,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(limit) => format!(">= {} {unit}", number(limit)),
            Self::AtMost(limit) => format!("<= {} {unit}", number(limit)),
            Self::Stated => format!("({unit})"),
        }
    }
}

/// One figure beside its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name in the history; never changes meaning.
    pub id: String,
    /// What was measured.
    pub what: String,
    /// What should come out.
    pub target: Target,
    /// What came out; none when it was not measured.
    pub figure: Option<f64>,
    /// Of both.
    pub unit: String,
    /// What else was seen, by name; times in microseconds unless the name says otherwise.
    pub details: BTreeMap<String, f64>,
    /// What ran beside it.
    pub conditions: Conditions,
    /// How it was measured, or why it was not.
    pub how: String,
}

impl Row {
    fn verdict(&self) -> &'static str {
        match self.figure {
            None => "not measured",
            Some(_) if self.target == Target::Stated => "",
            Some(figure) if self.target.is_met(figure) => "met",
            Some(_) => "NOT MET",
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When, UTC.
    pub at: String,
    /// The commit that was measured.
    pub version: String,
    /// On what.
    pub machine: Machine,
    /// The figures.
    pub rows: Vec<Row>,
}

impl Report {
    /// The table for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{} cores, {}, {} MiB, Linux {}; version {}; {}\n\n",
            machine.cores,
            machine.processor,
            machine.memory_mib,
            machine.kernel,
            self.version,
            self.at
        );
        let cells: Vec<[String; 4]> = self
            .rows
            .iter()
            .map(|row| {
                let figure = row.figure.map_or_else(|| "-".to_owned(), number);
                [
                    row.what.clone(),
                    row.target.text(&row.unit),
                    figure,
                    row.verdict().to_owned(),
                ]
            })
            .collect();
        let head = ["what", "target", "measured", ""].map(str::to_owned);
        let width = |column: usize| {
            let all = cells.iter().chain([&head]);
            all.map(|cells| cells[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths = [0, 1, 2, 3].map(width);
        for (n, line) in [&head].into_iter().chain(&cells).enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                let _ = write!(text, "{cell:width$}  ");
            }
            text.push('\n');
            if n > 0 {
                text.push_str(&self.rows[n - 1].footnote());
            }
        }
        text
    }

    /// Appends the run to the history, one line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, history: &Path) -> Result<()> {
        if let Some(folder) = history.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(history)
            .with_context(|| format!("failed to open {}", history.display()))?;
        let line = serde_json::to_string(self)?;
        Ok(writeln!(file, "{line}")?)
    }
}

impl Row {
    /// The details and conditions, under the row.
    fn footnote(&self) -> String {
        let mut parts: Vec<String> = self
            .details
            .iter()
            .map(|(name, value)| format!("{name} {}", number(*value)))
            .collect();
        if self.figure.is_some() {
            let at = self.conditions;
            parts.push(format!(
                "load before {}, busy {:.0} %, steal {} %",
                at.load_before, at.busy_percent, at.steal_percent
            ));
        }
        let how = if self.how.is_empty() {
            String::new()
        } else {
            format!("    {}\n", self.how)
        };
        format!("{how}    {}\n", parts.join(", "))
    }
}

/// Reads the history.
///
/// # Errors
/// When it is not there, or a line is none of ours.
pub fn read_history(history: &Path) -> Result<Vec<Report>> {
    let text = std::fs::read_to_string(history)
        .with_context(|| format!("failed to read {}", history.display()))?;
    let lines = text.lines().enumerate();
    lines
        .map(|(n, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("failed to read line {} of the history", n + 1))
        })
        .collect()
}

/// The newest run beside the one before it on a machine of the same class.
///
/// # Errors
/// When there are no two such runs.
pub fn compare(history: &[Report]) -> Result<String> {
    let Some((newest, earlier)) = history.split_last() else {
        bail!("the history is empty: run `bench all` first");
    };
    let class = newest.machine.class();
    let mut text = format!(
        "{} beside the last run of each row on {class}\n",
        newest.version
    );
    let mut compared = 0;
    for row in &newest.rows {
        let before = earlier
            .iter()
            .rev()
            .filter(|report| report.machine.class() == class)
            .find_map(|report| {
                let same = report.rows.iter().find(|other| other.id == row.id)?;
                Some((report, same.figure?))
            });
        let (Some(now), Some((report, then))) = (row.figure, before) else {
            continue;
        };
        compared += 1;
        // Above 1 is better, whichever side of the target is good.
        let ratio = match row.target {
            Target::AtLeast(_) => now / then,
            Target::AtMost(_) | Target::Stated => then / now,
        };
        let _ = writeln!(
            text,
            "{:24} {:>14} was {:>14} {:12} x{ratio:.2} (of {})",
            row.id,
            number(now),
            number(then),
            row.unit,
            report.version
        );
    }
    if compared == 0 {
        bail!("the history has no earlier run on a machine of class {class:?}");
    }
    Ok(text)
}

/// Large ones with separators, small ones with their digits.
fn number(value: f64) -> String {
    if value.abs() < 1_000.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: &str, cores: usize, figure: f64, target: Target) -> Report {
        Report {
            at: "2026-11-25T00:00:00Z".to_owned(),
            version: version.to_owned(),
            machine: Machine {
                cores,
                processor: "P".to_owned(),
                memory_mib: 1,
                kernel: "k".to_owned(),
            },
            rows: vec![Row {
                id: "node".to_owned(),
                what: "one node".to_owned(),
                target,
                figure: Some(figure),
                unit: "orders/s".to_owned(),
                details: BTreeMap::new(),
                conditions: Conditions::default(),
                how: String::new(),
            }],
        }
    }

    #[test]
    fn a_regression_shows_against_the_last_run_on_the_same_machine() {
        let rate = Target::AtLeast(500_000.0);
        let history = [
            report("a", 2, 400_000.0, rate),
            report("b", 8, 900_000.0, rate),
            report("c", 2, 200_000.0, rate),
        ];
        let text = compare(&history).unwrap();
        assert!(text.contains("200,000 was        400,000"), "{text}");
        assert!(text.contains("x0.50 (of a)"), "{text}");
        assert!(compare(&history[..1]).is_err());
        let time = Target::AtMost(300.0);
        let text = compare(&[report("a", 2, 100.0, time), report("b", 2, 200.0, time)]);
        assert!(text.unwrap().contains("x0.50"));
    }

    #[test]
    fn the_table_says_what_was_met() {
        let met = report("a", 2, 600_000.0, Target::AtLeast(500_000.0)).table();
        assert!(met.contains(">= 500,000 orders/s  600,000   met"), "{met}");
        let not = report("a", 2, 301.5, Target::AtMost(300.0)).table();
        assert!(not.contains("301.5") && not.contains("NOT MET"), "{not}");
    }

    #[test]
    fn a_history_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench/history.jsonl");
        let one = report("a", 2, 1.0, Target::AtMost(1.0));
        one.append(&path).unwrap();
        one.append(&path).unwrap();
        assert_eq!(read_history(&path).unwrap(), [one.clone(), one]);
    }
}
