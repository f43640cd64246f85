//! What happened: a hash over all of it, and the last of it in words.

use std::collections::VecDeque;

/// Lines kept for a report.
const KEPT: usize = 40;

/// One run's trace.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    print: bool,
}

impl Trace {
    /// An empty trace; prints its lines as they come when asked to.
    #[must_use]
    pub fn new(print: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: VecDeque::new(),
            print,
        }
    }

    /// Takes in numbers that a second run of the seed must bring again.
    pub fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            // FNV-1a over eight bytes at once, with a rotation so that high bits come down.
            self.hash = (self.hash ^ number)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23);
        }
    }

    /// A line for people.
    pub fn say(&mut self, at_us: u64, line: impl FnOnce() -> String) {
        let line = format!("{:>11.6} s  {}", at_us as f64 / 1e6, line());
        if self.print {
            println!("{line}");
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The hash.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
