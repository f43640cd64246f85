//! Memory over time, at a steady load.
//!
//! A day's client order ids fill a table that is as large as the day may need; a replica with
//! `touch_tables` has taken it whole at its start. So what grows after that is a leak, or something
//! without a bound.

use crate::load::{Plan, run};
use crate::machine::Watch;
use crate::processes::{DEFAULT_TIMERS, SESSIONS, latency_details, prepared};
use crate::report::{Row, Target};
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How often memory is read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Growth that counts as none, in MiB: what an allocator may keep of one snapshot more.
const GROWTH_MIB_MAX: f64 = 16.0;

/// One node under a steady load: how much more memory it has in the last sixth of the time than in
/// the second.
///
/// # Errors
/// When the server or the load fails, or the time is too short to tell.
pub async fn soak(minutes: u64, rate_per_s: u64) -> Result<Row> {
    let watch = Watch::begin()?;
    let (servers, leader) = prepared(1, DEFAULT_TIMERS).await?;
    let door = servers.doors[leader].binary;
    let plan = Plan {
        sessions: SESSIONS,
        first_session: 1,
        rate_per_s: Some(rate_per_s),
        in_flight: 0,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(minutes * 60),
    };
    let mut load = spawn_blocking(move || run(door, plan));
    let mut readings: Vec<f64> = Vec::new();
    let mut due = tokio::time::interval(READ_EVERY);
    let measured = loop {
        tokio::select! {
            measured = &mut load => break measured??,
            _ = due.tick() => readings.push(servers.memory_mib(leader)? as f64),
        }
    };
    let (early, late) = compare(&readings).context("too short: give it at least two minutes")?;
    let mut details = latency_details(measured.latency);
    details.insert("early_mib".to_owned(), early);
    details.insert("late_mib".to_owned(), late);
    // Between two snapshots nothing but the replica itself is in memory.
    let least = |part: &[f64]| part.iter().copied().fold(f64::INFINITY, f64::min);
    let sixth = readings.len() / 6;
    details.insert(
        "early_least_mib".to_owned(),
        least(&readings[sixth..2 * sixth]),
    );
    let late_part = &readings[readings.len() - sixth..];
    details.insert("late_least_mib".to_owned(), least(late_part));
    details.insert(
        "most_mib".to_owned(),
        readings.iter().copied().fold(0.0, f64::max),
    );
    details.insert("answered_per_s".to_owned(), measured.answered_per_s as f64);
    details.insert("rejected".to_owned(), measured.rejected as f64);
    Ok(Row {
        id: "soak".to_owned(),
        what: format!("growth of memory over {minutes} min at {rate_per_s} orders/s"),
        target: Target::AtMost(GROWTH_MIB_MAX),
        figure: Some(late - early),
        unit: "MiB".to_owned(),
        details,
        conditions: watch.conditions()?,
        how: format!(
            "resident memory of one node each {} s, tables touched at its start: median of the last \
             sixth of the time less that of the second; open loop, {SESSIONS} sessions",
            READ_EVERY.as_secs()
        ),
    })
}

/// The medians of the second and of the last sixth.
fn compare(readings: &[f64]) -> Option<(f64, f64)> {
    let sixth = readings.len() / 6;
    let median = |part: &[f64]| {
        let mut sorted = part.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    };
    let early = readings.get(sixth..2 * sixth)?;
    let late = readings.get(readings.len() - sixth..)?;
    Some((median(early)?, median(late)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_between_the_second_and_the_last_sixth() {
        let readings: Vec<f64> = (0..60).map(f64::from).collect();
        assert_eq!(compare(&readings), Some((15.0, 55.0)));
        // One reading while a snapshot is built does not count.
        let mut flat = vec![100.0; 60];
        flat[57] = 900.0;
        assert_eq!(compare(&flat), Some((100.0, 100.0)));
        assert_eq!(compare(&[1.0; 5]), None);
    }
}
