//! How long nobody serves: after a crash of the leader, after its silence, and in a hand-over. Real
//! processes on loopback, real disks.
//!
//! ```text
//!   cargo bench -p server --bench failover -- [runs] [transfers]
//! ```
//!
//! A crash is a SIGKILL, which resets the leader's connections; a silence is a SIGSTOP, which leaves
//! them open. Both end with the first order accepted by the new leader, asked for without a pause.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/group/mod.rs"]
mod group;

use group::{Group, prepared};
use protocol::admin::TransferLeaderRequest;
use protocol::admin::admin_client::AdminClient;
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args().filter_map(|word| word.parse::<usize>().ok());
    let runs = numbers.next().unwrap_or(20);
    let transfers = numbers.next().unwrap_or(100);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("3 replicas as processes on one machine, {cores} cores, policy Metro, default timers");
    let (mut group, mut leader) = prepared().await;
    let (mut crashes, mut silences, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        let began = Instant::now();
        group.kill(leader);
        let old = leader;
        leader = first_order(&group, old, &format!("C{run}")).await;
        crashes.push(began.elapsed());
        group.start_replica(old);
        group.wait_for_equal_states().await;
    }
    report("crash to first order accepted", &mut crashes);
    for run in 0..runs {
        let began = Instant::now();
        group.pause(leader);
        let old = leader;
        leader = first_order(&group, old, &format!("S{run}")).await;
        silences.push(began.elapsed());
        group.resume(old);
        group.wait_for_equal_states().await;
    }
    report("silence to first order accepted", &mut silences);
    for _ in 0..transfers {
        let to = leader % 3 + 1;
        let mut admin = AdminClient::new(group.channel(leader).await.unwrap());
        let request = TransferLeaderRequest {
            to: to as u64,
            timeout_ms: 0,
        };
        let moved = admin.transfer_leader(request).await.unwrap().into_inner();
        gaps.push(Duration::from_micros(moved.gap_us));
        leader = group.leader().await;
        group.wait_for_equal_states().await;
    }
    report("hand-over, no command accepted", &mut gaps);
}

/// Asks the others for an order until one accepts it; says who.
async fn first_order(group: &Group, gone: usize, cl_ord_id: &str) -> usize {
    let others: Vec<usize> = (1..=3).filter(|replica| *replica != gone).collect();
    loop {
        for replica in &others {
            if group.try_order(*replica, 7, cl_ord_id).await {
                return *replica;
            }
        }
    }
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return;
    };
    let at = |percent: usize| times[last * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{what}: n {} min {:.1} p50 {:.1} p90 {:.1} p99 {:.1} max {:.1} ms",
        times.len(),
        at(0),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}
