//! Every driver on the running lab: what it applies is seen to act, and is gone afterwards.
//!
//! Needs root and a lab that is up (`lab up`); the faults strike the center or link named in each case.

#![cfg(feature = "e2e")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use chaos_faults::{Ground, Strike, strikes};
use chaos_scenario::{Acted, Driver, PlannedFault, Proof, Victim, parse};
use lab::ground::state::Folder;

const SECONDS: Duration = Duration::from_secs(1);

/// A fault as a scenario writes it, and its victim.
const CASES: &[(&str, &str)] = &[
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 60}}}}",
        "a1>a2",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {bandwidth: {kilobytesPerSecond: 10}}}}",
        "a1>a2",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {slowClose: {delayMs: 1500}}}}",
        "a1>a2",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {timeout: {afterMs: 0}}}}",
        "a1>b1",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {resetPeer: {afterMs: 0}}}}",
        "a2>b1",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {slicer: {meanBytes: 64, pauseUs: 500}}}}",
        "a1>a2",
    ),
    (
        "{link: {on: {from: leader, to: nearFollower}, toxic: {limitData: {bytes: 2000}}}}",
        "a1>a2",
    ),
    (
        "{link: {on: {from: clients, to: leader}, toxic: {down: {}}}}",
        "clients>b1",
    ),
    (
        "{packets: {of: {pool: all}, filter: {drop: {}}, traffic: replication}}",
        "b1",
    ),
    (
        "{packets: {of: {pool: all}, filter: {loss: {percent: 40}}}}",
        "b1",
    ),
    (
        "{packets: {of: {pool: all}, filter: {reject: {}}, traffic: replication, way: in}}",
        "b1",
    ),
    (
        "{process: {of: {pool: all}, process: replica, action: {pause: {}}}}",
        "b1",
    ),
    (
        "{process: {of: {pool: all}, process: replica, action: {flap: {pausedMs: 100, runningMs: 100}}}}",
        "b1",
    ),
    (
        "{process: {of: {pool: all}, process: gateway, action: {end: {signal: kill}}}}",
        "b1",
    ),
    (
        "{limit: {of: {pool: all}, process: replica, limit: {processor: {millicores: 10}}}}",
        "b1",
    ),
    (
        "{limit: {of: {pool: all}, process: replica, limit: {openFilesHeadroom: {count: 4}}}}",
        "b1",
    ),
    (
        "{kubernetes: {of: {pool: all}, action: {cordon: {}}}}",
        "b1",
    ),
    (
        "{kubernetes: {of: {pool: all}, action: {taint: {evicts: false}}}}",
        "b1",
    ),
    ("{kubernetes: {of: {pool: all}, action: {quota: {}}}}", "b1"),
    (
        "{kubernetes: {of: {pool: all}, action: {revokeRole: {process: operator}}}}",
        "b1",
    ),
    (
        "{kubernetes: {of: {pool: all}, action: {scale: {process: clusterDns, replicas: 0}}}}",
        "b1",
    ),
    (
        "{kubernetes: {of: {pool: all}, action: {deletePod: {process: gateway, graceSeconds: 0}}}}",
        "b1",
    ),
    (
        "{controlPlane: {of: {pool: all}, parts: [scheduler, apiServer], action: stop}}",
        "b1",
    ),
    (
        "{controlPlane: {of: {pool: all}, parts: [kubelet], action: pause}}",
        "b1",
    ),
    ("{journal: {of: {pool: all}, damage: bitRot}}", "b1"),
    ("{power: {of: {pool: all}}}", "b1"),
];

fn case(fault: &str, victim: &str) -> Strike {
    let text = include_str!("../../scenario/tests/good.yaml").replace(
        "{link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 80}}}}",
        fault,
    );
    let scenario = parse(Path::new("case.yaml"), &text).unwrap();
    let victim = match victim.split_once('>') {
        Some((from, to)) => Victim::Link {
            from: from.to_owned(),
            to: to.to_owned(),
        },
        None => Victim::Center(victim.to_owned()),
    };
    let planned = PlannedFault {
        fault: scenario.faults[0].clone(),
        victims: vec![victim],
    };
    strikes(&planned, "e2e").unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_driver_acts_and_leaves_nothing_behind() {
    let ground = Ground::new(Folder::from_environment());
    let mut drivers = std::collections::BTreeSet::new();
    for (fault, victim) in CASES {
        let strike = case(fault, victim);
        drivers.insert(strike.driver());
        let inverse = strike.prepare(&ground).await.unwrap();
        let applied = strike.apply(&inverse, &ground).await;
        let acted = match &applied {
            Ok(background) => {
                strike
                    .observe(&inverse, background, &ground, 15 * SECONDS)
                    .await
            }
            Err(error) => Acted::NotSeen(error.to_string()),
        };
        drop(applied);
        // Taken back before anything is judged, so that a failing case leaves a whole lab.
        let recovered = strike.recover(&inverse, &ground).await;
        let proof = strike.prove(&inverse, &ground, 90 * SECONDS).await;
        println!("{fault} on {victim}: {acted:?}; {proof:?}");
        recovered.unwrap();
        assert!(matches!(acted, Acted::Seen(_)), "{fault}: {acted:?}");
        assert!(matches!(proof, Proof::Gone(_)), "{fault}: {proof:?}");
        // A second time is as good as the first.
        strike.recover(&inverse, &ground).await.unwrap();
    }
    assert_eq!(
        drivers.len(),
        Driver::ALL.len(),
        "every driver has a case: {drivers:?}"
    );
}
