//! Rows measured on real server processes over loopback.

use crate::flow::reference_data;
use crate::load::{Latency, Measured, Plan, histogram, run};
use crate::machine::Watch;
use crate::report::{Row, Target};
use crate::servers::{Servers, Timers};
use anyhow::{Context, Result};
use protocol::admin::ReplicaStatus;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::spawn_blocking;

/// Sessions of a load.
pub(crate) const SESSIONS: usize = 8;
/// Requests without an answer of one session when the most is looked for.
const IN_FLIGHT: usize = 1_024;

/// What the leader tells of commit latencies covers its last 5 to 10 seconds: a load runs as long
/// before it is measured, so that nothing of the one before is in it.
const COMMIT_WINDOWS: Duration = Duration::from_secs(10);

/// Timers of the measured groups: the configuration's defaults.
pub const DEFAULT_TIMERS: Timers = Timers {
    tick_ms: 10,
    heartbeat_ms: 100,
    election_ms_min: 500,
    election_ms_max: 900,
};

/// How long rows take.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
}

/// A group that serves and has the reference data.
pub(crate) async fn prepared(replicas: usize, timers: Timers) -> Result<(Servers, usize)> {
    let servers = Servers::start(replicas, timers)?;
    let leader = servers.leader().await?;
    servers
        .control(leader, &reference_data(SESSIONS as u64))
        .await?;
    Ok((servers, leader))
}

/// Most orders a second, and latencies at the target's rate or at nine tenths of what is possible, at
/// half and at a tenth of it.
///
/// # Errors
/// When the servers or the load fail.
pub async fn throughput(replicas: usize, target: f64, length: Length) -> Result<Vec<Row>> {
    let watch = Watch::begin()?;
    let (servers, leader) = prepared(replicas, DEFAULT_TIMERS).await?;
    let door = servers.doors[leader].binary;
    let plan = Plan {
        sessions: SESSIONS,
        first_session: 1,
        rate_per_s: None,
        in_flight: IN_FLIGHT,
        warm_up: length.warm_up,
        duration: length.measured,
    };
    let most = spawn_blocking(move || run(door, plan)).await??;
    let memory_mib = servers.memory_mib(leader)?;
    let conditions = watch.conditions()?;
    let name = if replicas == 1 { "node" } else { "group" };
    let what = match replicas {
        1 => "one node, binary protocol, journal synced",
        _ => "three replicas, Metro, journal synced, all here",
    };
    let how = format!(
        "{replicas} replica(s) and the load in {} processes, {SESSIONS} sessions of {IN_FLIGHT} in \
         flight, 60 % new of which a quarter cross, 40 % cancels; closed loop, {} s",
        replicas + 1,
        length.measured.as_secs()
    );
    let details = |measured: &Measured| {
        BTreeMap::from([
            ("client_p50_us".to_owned(), measured.latency.p50_us),
            ("client_p99_us".to_owned(), measured.latency.p99_us),
            ("client_p999_us".to_owned(), measured.latency.p999_us),
            ("client_max_us".to_owned(), measured.latency.max_us),
            (
                "rejected_percent".to_owned(),
                measured.rejected as f64 * 100.0 / measured.sent.max(1) as f64,
            ),
        ])
    };
    let mut most_details = details(&most);
    most_details.insert("leader_memory_mib".to_owned(), memory_mib as f64);
    let mut rows = vec![Row {
        id: name.to_owned(),
        what: what.to_owned(),
        target: Target::AtLeast(target),
        figure: Some(most.answered_per_s as f64),
        unit: "orders/s".to_owned(),
        details: most_details,
        conditions,
        how,
    }];
    for rate in [
        (target as u64).min(most.answered_per_s * 9 / 10).max(1),
        most.answered_per_s / 2,
        most.answered_per_s / 10,
    ] {
        let watch = Watch::begin()?;
        let plan = Plan {
            rate_per_s: Some(rate),
            warm_up: COMMIT_WINDOWS,
            ..plan
        };
        let open_loop = spawn_blocking(move || run(door, plan)).await??;
        let status = servers.admin(leader).await?.status().await?;
        let commit = status.commit_latency.unwrap_or_default();
        let mut details = details(&open_loop);
        details.insert("commit_p50_us".to_owned(), commit.p50_us as f64);
        details.insert("commit_max_us".to_owned(), commit.max_us as f64);
        details.insert("answered_per_s".to_owned(), open_loop.answered_per_s as f64);
        let (id, part) = match rows.len() {
            1 => (
                format!("{name}.batch_p99"),
                "nine tenths of the most, or the target",
            ),
            2 => (format!("{name}.batch_p99.half"), "half of the most"),
            _ => (format!("{name}.batch_p99.tenth"), "a tenth of the most"),
        };
        rows.push(Row {
            id,
            what: format!("  batch latency p99 at {rate} orders/s"),
            target: Target::AtMost(2_000.0),
            figure: Some(commit.p99_us as f64),
            unit: "us".to_owned(),
            details,
            conditions: watch.conditions()?,
            how: format!(
                "{part}, open loop, intended send times; a batch's forming to its commit, as the \
                 leader shows it; client_ times are from when an order was due to its answer"
            ),
        });
    }
    Ok(rows)
}

/// One order in flight.
///
/// # Errors
/// When the servers or the load fail.
pub async fn ping(replicas: usize, length: Length) -> Result<Row> {
    let watch = Watch::begin()?;
    let (servers, leader) = prepared(replicas, DEFAULT_TIMERS).await?;
    let door = servers.doors[leader].binary;
    let plan = Plan {
        sessions: 1,
        first_session: 1,
        rate_per_s: None,
        in_flight: 1,
        warm_up: length.warm_up,
        duration: length.measured,
    };
    let measured = spawn_blocking(move || run(door, plan)).await??;
    let latency = measured.latency;
    Ok(Row {
        id: format!("ping{replicas}"),
        what: format!("one order in flight, {replicas} replica(s), p50"),
        target: Target::AtMost(300.0),
        figure: Some(latency.p50_us),
        unit: "us".to_owned(),
        details: latency_details(latency),
        conditions: watch.conditions()?,
        how: format!(
            "from a client's write to its answer, journal synced, no added link delay, {} processes",
            replicas + 1
        ),
    })
}

/// Latencies by name.
#[must_use]
pub fn latency_details(latency: Latency) -> BTreeMap<String, f64> {
    BTreeMap::from([
        ("count".to_owned(), latency.count as f64),
        ("p50_us".to_owned(), latency.p50_us),
        ("p99_us".to_owned(), latency.p99_us),
        ("p999_us".to_owned(), latency.p999_us),
        ("max_us".to_owned(), latency.max_us),
    ])
}

/// How the leader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// Killed.
    Crash,
    /// Stopped from running: silent, its connections open.
    Freeze,
    /// Asked to hand over.
    Transfer,
}

/// From the leader's going to the first accepted order elsewhere.
///
/// # Errors
/// When the servers fail, or nobody takes over.
pub async fn failover(going: Going, times: usize, timers: Timers) -> Result<Row> {
    let watch = Watch::begin()?;
    let (mut servers, mut leader) = prepared(3, timers).await?;
    let mut gaps = histogram()?;
    let mut worst = (Duration::ZERO, String::new());
    for round in 0..times {
        let doors: Vec<_> = servers.doors.iter().map(|doors| doors.binary).collect();
        let session = 1 + (round % SESSIONS) as u64;
        let admin = servers.admin(leader).await?;
        let to = types::ReplicaId(if leader == 0 { 2 } else { 1 });
        let (old, began, began_at) = (leader, std::time::Instant::now(), SystemTime::now());
        match going {
            Going::Crash => servers.kill(leader)?,
            Going::Freeze => servers.freeze(leader, true)?,
            Going::Transfer => {
                // Its answer comes when all is over; the client does not wait for it.
                tokio::spawn(async move { admin.transfer_leader(to, 1_000).await });
            }
        }
        let first = spawn_blocking(move || crate::probe::first_accepted(&doors, old, session));
        let accepted = first.await??;
        let gap = accepted.saturating_duration_since(began);
        gaps.saturating_record((gap.as_nanos() as u64).max(1));
        match going {
            Going::Crash => servers.run(old)?,
            Going::Freeze => servers.freeze(old, false)?,
            Going::Transfer => {}
        }
        leader = servers.settled(old).await.context("after a failover")?;
        if gap > worst.0 {
            let status = servers.admin(leader).await?.status().await?;
            worst = (gap, legs(&status, began_at));
        }
    }
    let latency = Latency::of(&gaps);
    let (id, what, limit_ms) = match going {
        Going::Crash => (
            "failover.crash",
            "crash of the leader to first accepted order",
            300.0,
        ),
        Going::Freeze => (
            "failover.silent",
            "silent leader to first accepted order",
            1_000.0,
        ),
        Going::Transfer => ("failover.transfer", "planned transfer, gap", 50.0),
    };
    let mut details = latency_details(latency);
    details.insert("rounds".to_owned(), times as f64);
    Ok(Row {
        id: id.to_owned(),
        what: format!("{what}, worst of {times}"),
        target: Target::AtMost(limit_ms),
        figure: Some(latency.max_us / 1_000.0),
        unit: "ms".to_owned(),
        details,
        conditions: watch.conditions()?,
        how: format!(
            "a client tries the other entries in turn, each ms; heartbeat {} ms, election {} to {} \
             ms; the worst: {}",
            timers.heartbeat_ms, timers.election_ms_min, timers.election_ms_max, worst.1
        ),
    })
}

/// The new leader's own stamps of its last election, from the fault on.
fn legs(status: &ReplicaStatus, began_at: SystemTime) -> String {
    let Some(election) = status.elections.first() else {
        return "the new leader tells no election".to_owned();
    };
    let began_us = began_at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64);
    let after = |at_us: u64| at_us.saturating_sub(began_us) as f64 / 1_000.0;
    format!(
        "missed after {:.0} ms, asked for votes after {:.0}, elected after {:.0}, serving after {:.0}, \
         first order after {:.0} (epoch {})",
        after(election.suspected_at_us),
        after(election.campaigned_at_us),
        after(election.elected_at_us),
        after(election.serving_at_us),
        after(election.first_order_at_us),
        election.epoch
    )
}
