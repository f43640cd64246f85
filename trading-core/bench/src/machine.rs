//! The machine that is measured on: a figure without it says nothing.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;

/// What stays the same between runs on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// Reads it.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read() -> Result<Self> {
        let processors = read("/proc/cpuinfo")?;
        let processor = field(&processors, "model name");
        let memory = field(&read("/proc/meminfo")?, "MemTotal");
        let memory_kib: u64 = memory
            .trim_end_matches(" kB")
            .parse()
            .context("failed to read MemTotal of /proc/meminfo")?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor,
            memory_mib: memory_kib / 1_024,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// Machines of one class: the same processor and as many of it. Their figures are compared.
    #[must_use]
    pub fn class(&self) -> String {
        format!("{} x {}", self.cores, self.processor)
    }
}

/// What other work took meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Load average over the last minute when the row began: above 0, others ran beside it.
    pub load_before: f64,
    /// Part of the processors' time that the host kept for others, in percent.
    pub steal_percent: f64,
    /// Part of the processors' time that was busy, ours included, in percent.
    pub busy_percent: f64,
}

/// Watches the processors' time from its making on.
pub struct Watch {
    load_before: f64,
    before: Times,
}

#[derive(Clone, Copy, Default)]
struct Times {
    all: u64,
    idle: u64,
    steal: u64,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn begin() -> Result<Self> {
        let load = read("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default();
        Ok(Self {
            load_before: load.parse().context("failed to read /proc/loadavg")?,
            before: times()?,
        })
    }

    /// What happened since.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn conditions(&self) -> Result<Conditions> {
        let now = times()?;
        let all = (now.all - self.before.all).max(1) as f64;
        let percent = |ticks: u64| (ticks as f64 / all * 1_000.0).round() / 10.0;
        let idle = now.idle - self.before.idle;
        Ok(Conditions {
            load_before: self.load_before,
            steal_percent: percent(now.steal - self.before.steal),
            busy_percent: 100.0 - percent(idle),
        })
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn times() -> Result<Times> {
    let text = read("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("failed to read /proc/stat")?;
    anyhow::ensure!(ticks.len() == 8, "/proc/stat has too few columns: {line}");
    Ok(Times {
        all: ticks.iter().sum(),
        idle: ticks[3] + ticks[4],
        steal: ticks[7],
    })
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {path}"))
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_that_runs_the_test_can_be_read() {
        let machine = Machine::read().unwrap();
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
        let conditions = Watch::begin().unwrap().conditions().unwrap();
        assert!((0.0..=100.0).contains(&conditions.busy_percent));
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let text = "processor\t: 0\nmodel name\t: EPYC: 9\n";
        assert_eq!(field(text, "model name"), "EPYC: 9");
        assert_eq!(field(text, "absent"), "");
    }
}
