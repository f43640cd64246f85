//! Models for tests, made by messages as the watchers would send them.

use protocol::admin::{Counters, ElectionRecord, Latency, PeerProgress, ReplicaStatus, Role};

use crate::language::Language;
use crate::model::{Center, ConditionView, Link, LinkFacts, Model, ObjectView, ReplicaAddress};
use crate::report::{EXAMPLE, RunReport};
use crate::update::{Message, update};

/// 2025-11-24 12:00:00 UTC.
pub(crate) const START_US: u64 = 1_763_985_600_000_000;
pub(crate) const SECOND_US: u64 = 1_000_000;

const CENTERS: [(&str, &str, u64); 3] = [("a1", "A", 1), ("a2", "A", 2), ("b1", "B", 3)];

pub(crate) fn send(model: &mut Model, message: Message) {
    update(model, message);
}

pub(crate) fn tick(model: &mut Model, now_us: u64) {
    send(model, Message::Tick { now_us, dropped: 0 });
}

pub(crate) fn see(model: &mut Model, center: usize, at_us: u64, status: ReplicaStatus) {
    send(
        model,
        Message::ReplicaSeen {
            center,
            at_us,
            status: Box::new(status),
        },
    );
}

/// A replica that follows `leader` in `epoch` and has counted so many orders.
pub(crate) fn follower(center: usize, leader: u64, epoch: u64, orders: u64) -> ReplicaStatus {
    let (name, site, replica) = CENTERS[center];
    ReplicaStatus {
        cluster: "lab".into(),
        replica,
        center: name.into(),
        site: site.into(),
        version: "0.1.0".into(),
        started_at_us: START_US - 600 * SECOND_US,
        role: Role::Follower.into(),
        epoch,
        leader,
        last_index: 1_000 + orders / 8,
        commit_index: 1_000 + orders / 8,
        applied_index: 1_000 + orders / 8,
        counters: Some(Counters {
            commands: orders,
            orders_accepted: orders - orders / 100,
            orders_rejected: orders / 100,
            trades: orders / 3,
            open_orders: 812,
            sessions: 6,
            ..Counters::default()
        }),
        journal_bytes: 48 << 20,
        disk_free_bytes: 12 << 30,
        ..ReplicaStatus::default()
    }
}

/// A leader that serves and hears both others.
pub(crate) fn leader(center: usize, epoch: u64, orders: u64) -> ReplicaStatus {
    let replica = CENTERS[center].2;
    let peers = CENTERS
        .iter()
        .filter(|(_, _, other)| *other != replica)
        .map(|(name, _, other)| PeerProgress {
            replica: *other,
            center: (*name).into(),
            lag_entries: if *name == "b1" { 3 } else { 0 },
            recently_active: true,
            round_trip_us: if *name == "b1" { 30_412 } else { 1_250 },
            ..PeerProgress::default()
        });
    ReplicaStatus {
        role: Role::Leader.into(),
        serving: true,
        all_voters_in_step: true,
        peers: peers.collect(),
        commit_latency: Some(Latency {
            count: 900,
            p50_us: 2_140,
            p99_us: 4_870,
            max_us: 11_020,
        }),
        ..follower(center, replica, epoch, orders)
    }
}

fn object(is_ready: bool) -> ObjectView {
    let condition = |name: &str, holds, reason: &str, message: &str| ConditionView {
        name: name.into(),
        holds: Some(holds),
        reason: reason.into(),
        message: message.into(),
    };
    ObjectView {
        name: "trading/core".into(),
        replicas: Vec::new(),
        conditions: vec![
            if is_ready {
                condition("Ready", true, "AllGood", "")
            } else {
                condition("Ready", false, "ReplicaSilent", "replica 1 cannot be asked")
            },
            condition("Available", true, "LeaderServes", ""),
            condition("LeaderKnown", true, "Heard", ""),
        ],
        is_observed: true,
    }
}

fn see_cluster(model: &mut Model, center: usize, at_us: u64, is_ready: bool) {
    send(
        model,
        Message::ClusterSeen {
            center,
            at_us,
            object: Some(Box::new(object(is_ready))),
        },
    );
}

fn see_links(model: &mut Model, at_us: u64, cut: &[&str]) {
    for link in 0..model.links.len() {
        let name = model.links[link].name.clone();
        let round_trip_ms = match name.as_str() {
            "a1-a2" => 1,
            name if name.starts_with("clients") => 0,
            _ => 30,
        };
        let facts = LinkFacts {
            round_trip_ms,
            is_cut: cut.contains(&name.as_str()),
            ..LinkFacts::default()
        };
        send(model, Message::LinkSeen { link, at_us, facts });
    }
}

/// Nothing was heard yet.
pub(crate) fn no_data(language: Language) -> Model {
    let centers = CENTERS.map(|(name, site, replica)| Center {
        site: Some(site.into()),
        address: Some(format!("10.99.0.{}:30702", 10 + replica)),
        has_cluster: true,
        ..Center::named(name)
    });
    let links = [
        "a1-a2",
        "a1-b1",
        "a2-b1",
        "clients-a1",
        "clients-a2",
        "clients-b1",
    ];
    let links = links.map(|name| Link {
        name: name.into(),
        facts: crate::model::Observed::default(),
    });
    Model::new(centers.into(), links.into(), language, false, START_US)
}

fn elections() -> Vec<ElectionRecord> {
    let first = ElectionRecord {
        epoch: 2,
        suspected_at_us: START_US - 500 * SECOND_US,
        campaigned_at_us: START_US - 500 * SECOND_US + 1_400,
        elected_at_us: START_US - 500 * SECOND_US + 33_000,
        serving_at_us: START_US - 500 * SECOND_US + 36_500,
        first_order_at_us: START_US - 450 * SECOND_US,
        ..ElectionRecord::default()
    };
    let planned = ElectionRecord {
        epoch: 3,
        suspected_at_us: START_US - 300 * SECOND_US,
        campaigned_at_us: START_US - 300 * SECOND_US + 300,
        elected_at_us: START_US - 300 * SECOND_US + 3_100,
        serving_at_us: START_US - 300 * SECOND_US + 6_200,
        first_order_at_us: START_US - 300 * SECOND_US + 12_900,
        previous_leader: 2,
        planned: true,
    };
    vec![planned, first]
}

/// Half a minute of trading, led by a1.
pub(crate) fn healthy(language: Language) -> Model {
    let mut model = no_data(language);
    for step in 0..=150u64 {
        let at_us = START_US + step * 200_000;
        // The load swells and ebbs, so that its curve shows a shape.
        let orders = 40_000 + step * 400 + (step / 25) * (step % 25) * 12;
        let mut status = leader(0, 3, orders);
        status.elections = elections();
        see(&mut model, 0, at_us, status);
        see(&mut model, 1, at_us, follower(1, 1, 3, orders));
        see(&mut model, 2, at_us, follower(2, 1, 3, orders - 24));
        tick(&mut model, at_us);
    }
    let now_us = model.now_us;
    for center in 0..3 {
        see_cluster(&mut model, center, now_us, true);
    }
    see_links(&mut model, now_us, &[]);
    model
}

/// a1 fell silent 2.2 s ago; a2 asks for votes.
pub(crate) fn electing(language: Language) -> Model {
    let mut model = healthy(language);
    let at_us = model.now_us + 2_200_000;
    send(
        &mut model,
        Message::ReplicaLost {
            center: 0,
            at_us: at_us - 200_000,
            reason: "failed to hear from 10.99.0.11:30702: it was silent for 2000 ms".into(),
        },
    );
    let candidate = ReplicaStatus {
        role: Role::Candidate.into(),
        leader: 0,
        ..follower(1, 0, 4, 100_000)
    };
    see(&mut model, 1, at_us, candidate);
    see(&mut model, 2, at_us, follower(2, 0, 4, 100_000));
    tick(&mut model, at_us);
    model
}

/// a1 lost its power; a2 leads, and the run left its report.
pub(crate) fn dark(language: Language) -> Model {
    let mut model = healthy(language);
    let lost_us = model.now_us + 2 * SECOND_US;
    send(
        &mut model,
        Message::ReplicaLost {
            center: 0,
            at_us: lost_us,
            reason: "failed to hear from 10.99.0.11:30702: it was silent for 2000 ms".into(),
        },
    );
    send(
        &mut model,
        Message::ClusterLost {
            center: 0,
            at_us: lost_us,
            reason: "no answer within 2 s".into(),
        },
    );
    send(
        &mut model,
        Message::PowerSeen {
            off: vec!["a1".into()],
        },
    );
    let base = model.now_us;
    for step in 5..=60u64 {
        let at_us = base + step * 200_000;
        let orders = 102_000 + step * 400;
        let mut status = leader(1, 4, orders);
        status.all_voters_in_step = false;
        status.peers[0].recently_active = false;
        status.peers[0].lag_entries = 1_480;
        see(&mut model, 1, at_us, status);
        see(&mut model, 2, at_us, follower(2, 2, 4, orders));
        tick(&mut model, at_us);
    }
    let now_us = model.now_us;
    see_cluster(&mut model, 1, now_us, false);
    see_cluster(&mut model, 2, now_us, false);
    see_links(&mut model, now_us, &["a1-a2", "a1-b1", "clients-a1"]);
    send(
        &mut model,
        Message::ReportRead {
            at_us: now_us,
            report: Box::new(RunReport::read(EXAMPLE).unwrap()),
        },
    );
    model
}

/// Every API server is dead; trading goes on.
pub(crate) fn blind(language: Language) -> Model {
    let mut model = healthy(language);
    let at_us = model.now_us;
    for center in 0..3 {
        send(
            &mut model,
            Message::ClusterLost {
                center,
                at_us,
                reason: "no answer within 2 s".into(),
            },
        );
    }
    model
}

/// Where an object of a cluster says that the replicas are.
pub(crate) fn addresses() -> ObjectView {
    let replicas = CENTERS.map(|(center, site, replica)| ReplicaAddress {
        center: center.into(),
        site: site.into(),
        replica,
        address: format!("10.99.0.{}:30702", 10 + replica),
    });
    ObjectView {
        replicas: replicas.into(),
        ..object(true)
    }
}
