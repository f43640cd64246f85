//! The run: orders flow, the leader's center is destroyed or hands over, and the program tells what
//! it cost.
//!
//! ```text
//!  clients ──orders──► entries of three centers
//!     │ histories             │
//!     ▼                       ▼
//!   steady ─► fault ─► new leader ─► full load ─► center back, in step ─► stop
//!                                                                          │
//!   report ◄── judge: histories against the promoted log, moments into legs ┘
//! ```

pub mod centers;
pub mod clients;
pub mod fault;
pub mod judge;
pub mod legs;
pub mod planned_move;
pub mod report;
pub mod site_loss;

use crate::ground::power::now_us;
use crate::progress::{Progress, span};
use anyhow::{Context as _, Result, ensure};
use centers::{Centers, Seen};
use clients::{Clients, Offer};
use fault::Destroyer;
use report::{FaultReport, Recovery, Report, Step};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Steps of a run, without those that build the lab.
pub const STEPS: usize = 6;
/// A leader must serve and every voter be in step before anything is destroyed.
const HEALTHY_LIMIT: Duration = Duration::from_secs(60);
/// From a new leader to the first order that a client sees accepted.
const FIRST_ORDER_LIMIT: Duration = Duration::from_secs(30);
/// From the first accepted order to the full rate.
const FULL_LOAD_LIMIT: Duration = Duration::from_secs(30);
/// From power on to a follower in step.
const RECOVERY_LIMIT: Duration = Duration::from_secs(180);
/// The share of the offered rate that must be acknowledged, in percent.
const FULL_LOAD_PERCENT: u64 = 90;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the clients offer.
    pub offer: Offer,
    /// How long orders flow before the fault.
    pub steady: Duration,
    /// Above this recovery time the run has failed, in milliseconds.
    pub rto_ms_max: u64,
    /// Where histories and the report go.
    pub folder: PathBuf,
}

/// Runs it on centers that stand.
///
/// # Errors
/// When it could not be carried out. What was carried out and came out badly is in the report.
pub async fn run(
    centers: &Centers,
    destroyer: &Destroyer,
    options: &Options,
    progress: &Progress,
) -> Result<Report> {
    let mut steps = Steps::default();
    let watch = centers.watch();

    let step = progress.begin("accounts");
    let leader = watch
        .wait_for(HEALTHY_LIMIT, "a leader with every voter in step", |seen| {
            seen.leader()
                .filter(|leader| leader.all_voters_in_step)
                .cloned()
        })
        .await?;
    clients::prepare(centers, &options.offer).await?;
    steps.done(
        step,
        "accounts",
        &format!("{} leads in {}", leader.replica, leader.center),
    );

    let step = progress.begin("orders");
    let mut clients = Clients::start(centers, &options.offer, &options.folder).await?;
    let full = options.offer.per_second * FULL_LOAD_PERCENT / 100;
    clients
        .wait_for_rate(full, HEALTHY_LIMIT, &step.detail())
        .await
        .context("failed to bring the load up: nothing was destroyed")?;
    clients.watch_for(options.steady, &step.detail()).await?;
    let before = clients.latency();
    steps.done(step, "orders", &clients.summary());

    let step = progress.begin("failover");
    if let Some(done) = destroyer.prepare(centers, &leader.center).await? {
        step.detail().set(done);
        clients.watch_for(options.steady, &step.detail()).await?;
        clients
            .wait_for_rate(full, FULL_LOAD_LIMIT, &step.detail())
            .await
            .context("orders did not go on before the fault")?;
    }
    let leader = watch
        .leader()
        .context("failed to find the leader before the fault")?;
    let fault_at_us = destroyer.destroy(centers, &leader.center).await?;
    let fault_at = Instant::now();
    step.detail().set(match destroyer {
        Destroyer::PlannedMove(_) => format!("{} hands over", leader.center),
        Destroyer::SiteLoss(_) => "the site is gone; waiting for the takeover".to_owned(),
        _ => format!("{} is gone; waiting for a new leader", leader.center),
    });
    let new = watch
        .wait_for(
            destroyer.failover_limit(),
            "a leader of a newer epoch",
            |seen| {
                let newer = seen.leader().filter(|new| new.epoch > leader.epoch);
                newer.cloned()
            },
        )
        .await;
    let new = match new {
        Ok(new) => new,
        Err(error) => {
            // The center is brought back whatever else went wrong.
            destroyer
                .restore(centers, &leader.center, &step.detail())
                .await?;
            return Err(error);
        }
    };
    let first = clients
        .wait_for_epoch(new.epoch, FIRST_ORDER_LIMIT, &step.detail())
        .await;
    let full_load = match &first {
        Ok(()) => clients
            .wait_for_rate(full, FULL_LOAD_LIMIT, &step.detail())
            .await
            .ok()
            .map(|()| now_us().saturating_sub(fault_at_us)),
        Err(_) => None,
    };
    let found = match full_load {
        Some(_) => format!("{} leads in {}; full load again", new.replica, new.center),
        None => "the load did not come back in full".to_owned(),
    };
    steps.done(step, "failover", &found);

    let step = progress.begin("center back");
    let back_at = Instant::now();
    destroyer
        .restore(centers, &leader.center, &step.detail())
        .await?;
    step.detail().set("waiting until its replica is in step");
    let caught_up = watch
        .wait_for(RECOVERY_LIMIT, "the center's replica in step", |seen| {
            follower_in_step(seen, leader.replica).then_some(())
        })
        .await
        .map(|()| back_at.elapsed());
    let conditions = centers
        .wait_until_all_true(RECOVERY_LIMIT, &step.detail())
        .await;
    let conditions = conditions.map(|()| back_at.elapsed());
    let found = match &caught_up {
        Ok(_) => format!("{} is a follower in step", leader.center),
        Err(_) => format!("{} did not come back in step", leader.center),
    };
    steps.done(step, "center back", &found);

    let step = progress.begin("last orders");
    let histories = clients.stop(&step.detail()).await?;
    step.detail().set("comparing the replicas' states");
    let equal_at = watch
        .wait_for(HEALTHY_LIMIT, "equal states on all replicas", |seen| {
            seen.equal_at(centers.all.len())
        })
        .await;
    steps.done(
        step,
        "last orders",
        &format!("{} histories", histories.len()),
    );

    let step = progress.begin("witness");
    let judged = judge::judge(centers, &watch, &histories, &step.detail()).await?;
    steps.done(
        step,
        "witness",
        &format!("{} commands replayed", judged.commands),
    );

    let election = watch.election(new.epoch);
    let mut findings: Vec<String> = Vec::new();
    let recovery = match (caught_up, conditions, equal_at) {
        (Ok(caught_up), Ok(conditions), Ok(index)) => Some(Recovery {
            caught_up_ms: caught_up.as_millis() as u64,
            conditions_true_ms: conditions.as_millis() as u64,
            hashes_equal_at_index: index,
        }),
        (caught_up, conditions, equal_at) => {
            findings.extend(caught_up.err().map(|error| format!("{error:#}")));
            findings.extend(conditions.err().map(|error| format!("{error:#}")));
            findings.extend(equal_at.err().map(|error| format!("{error:#}")));
            None
        }
    };
    findings.extend(first.err().map(|error| format!("{error:#}")));
    tracing::debug!(since_fault = %span(fault_at.elapsed()), "run ended");
    let fault = FaultReport {
        kind: destroyer.kind(),
        center: leader.center.clone(),
        old_leader: leader.replica,
        old_epoch: leader.epoch,
        new_leader: new.replica,
        new_center: new.center.clone(),
        new_epoch: new.epoch,
    };
    Ok(judge::report(judge::Evidence {
        fault_at_us,
        fault,
        election,
        judged,
        latency_before: before,
        full_load_us: full_load,
        recovery,
        findings,
        steps: steps.0,
        offer: options.offer.clone(),
        rto_ms_max: options.rto_ms_max,
        ended_at: jiff::Timestamp::now().to_string(),
        machine: judge::machine(),
    }))
}

fn follower_in_step(seen: &Seen, replica: u64) -> bool {
    let Some(leader) = seen.leader().filter(|leader| leader.replica != replica) else {
        return false;
    };
    let own = seen.fresh(replica);
    let in_step = leader.peers.iter().any(|peer| {
        peer.replica == replica && peer.recently_active && peer.lag_entries <= LAG_ENTRIES_MAX
    });
    in_step && own.is_some_and(|own| own.epoch == leader.epoch && own.leader == leader.replica)
}

/// Entries behind the leader at which a replica that is fed counts as in step.
const LAG_ENTRIES_MAX: u64 = 256;

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn done(&mut self, step: crate::progress::Step, name: &str, result: &str) {
        self.0.push(Step {
            name: name.to_owned(),
            took_ms: step.elapsed().as_millis() as u64,
        });
        step.finish(result);
    }
}

/// Writes the report where the terminal UI and scripts find it.
///
/// # Errors
/// When the file cannot be written.
pub fn write_report(report: &Report, path: &std::path::Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    let temporary = path.with_extension("json.tmp");
    std::fs::write(&temporary, text + "\n")
        .with_context(|| format!("failed to write {}", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("failed to write {}", path.display()))
}

/// Refuses what cannot make sense.
///
/// # Errors
/// Naming the option, its value and what is accepted.
pub fn validate(options: &Options) -> Result<()> {
    let offer = &options.offer;
    ensure!(
        (1..=16).contains(&offer.processes),
        "--processes {} is not accepted: use 1 to 16",
        offer.processes
    );
    ensure!(
        (1..=1_000).contains(&offer.sessions_per_process),
        "--sessions {} is not accepted: use 1 to 1000",
        offer.sessions_per_process
    );
    ensure!(
        (10..=100_000).contains(&offer.per_second),
        "--rate {} is not accepted: use 10 to 100000 orders a second",
        offer.per_second
    );
    ensure!(
        (1..=3_600).contains(&options.steady.as_secs()),
        "--steady-seconds {} is not accepted: use 1 to 3600",
        options.steady.as_secs()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use centers::tests::{follower, leader};

    #[test]
    fn a_replica_is_a_follower_in_step_only_when_both_sides_say_so() {
        let mut seen = Seen::default();
        seen.put(leader(2, 5, &[(1, 0), (3, 0)]));
        assert!(!follower_in_step(&seen, 1), "nothing is known of it");
        seen.put(follower(1, 4, 2));
        assert!(!follower_in_step(&seen, 1), "it is in an older epoch");
        seen.put(follower(1, 5, 2));
        assert!(follower_in_step(&seen, 1));
        seen.put(leader(2, 5, &[(1, 10_000), (3, 0)]));
        assert!(!follower_in_step(&seen, 1), "it is behind");
        assert!(!follower_in_step(&seen, 2), "it leads");
    }
}
