//! What a replica reports of itself, on the wire.

use crate::admin::Identity;
use crate::clock::now;
use crate::core::Published;
use protocol::admin::{self as wire, ReplicaStatus};
use protocol::{administration, membership, operations};
use replica::{Election, Group, HashPoint, Peer, ProtectionLevel, Role, Status};

/// A replica's status on the wire; free disk and round trips are filled in by who knows them.
pub(crate) fn status(identity: &Identity, shown: &Published) -> ReplicaStatus {
    let status = &shown.status;
    let counters = &status.counters;
    let config = &identity.config;
    let role = match status.role {
        Role::Follower => wire::Role::Follower,
        Role::PreCandidate => wire::Role::PreCandidate,
        Role::Candidate => wire::Role::Candidate,
        Role::Leader => wire::Role::Leader,
    };
    let latency = shown.commit_latency;
    ReplicaStatus {
        cluster: config.cluster.clone(),
        shard: config.shard.into(),
        replica: config.replica,
        center: config.center.to_string(),
        site: config.site.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        now_us: now().0,
        started_at_us: identity.started_at_us,
        role: role.into(),
        epoch: status.epoch.0,
        leader: status.leader.0,
        serving: status.serving,
        last_index: status.last_index.0,
        commit_index: status.commit_index.0,
        applied_index: status.applied_index.0,
        last_seq: status.last_seq.0,
        history_hash: status.history_hash.to_vec(),
        hash_points: status.hash_points.iter().map(hash_point).collect(),
        peers: status.peers.iter().map(|p| peer(status, p)).collect(),
        elections: status.elections.iter().map(election).collect(),
        counters: Some(wire::Counters {
            commands: counters.commands,
            orders_accepted: counters.orders_accepted,
            orders_rejected: counters.orders_rejected,
            trades: counters.trades,
            duplicates: counters.duplicates,
            sequence_gaps: counters.sequence_gaps,
            open_orders: counters.open_orders,
            sessions: counters.sessions,
            accounts: counters.accounts,
            symbols: counters.symbols,
            overflows: status.overflows,
        }),
        commit_latency: Some(wire::Latency {
            count: latency.count,
            p50_us: latency.p50_us,
            p99_us: latency.p99_us,
            max_us: latency.max_us,
        }),
        maintenance: status.maintenance.as_ref().map(administration::maintenance),
        all_voters_in_step: status.all_voters_in_step,
        journal_bytes: shown.journal_bytes,
        disk_free_bytes: 0,
        configuration_digest: identity.digest.clone(),
        group: Some(group(&status.group)),
        operations: Some(wire::Operations {
            running: (status.operations.running.as_ref()).map(operations::operation),
            ended: (status.operations.ended.iter())
                .map(operations::operation)
                .collect(),
            preferred: (status.operations.preferred.as_ref()).map(operations::write_preferred),
        }),
        phases: (status.phases.iter())
            .map(|(board, phase)| administration::board_phase(*board, *phase))
            .collect(),
        last_batch_at_us: status.last_batch_at.0,
        snapshots: Some(wire::Snapshots {
            verified_index: status.snapshots.verified_index.0,
            verified: status.snapshots.verified,
            failed: status.snapshots.failed,
            took_us: shown.snapshot_took_us,
        }),
        handover: status.handover.map(|handover| wire::Handover {
            to: handover.to.0,
            epoch: handover.epoch.0,
            began_at_us: handover.began_at.0,
            gap_us: handover.gap_us,
        }),
    }
}

fn hash_point(point: &HashPoint) -> wire::HashPoint {
    wire::HashPoint {
        index: point.index.0,
        hash: point.hash.to_vec(),
    }
}

fn peer(status: &Status, peer: &Peer) -> wire::PeerProgress {
    let member = status.group.member(peer.replica);
    wire::PeerProgress {
        replica: peer.replica.0,
        center: member.map_or_else(String::new, |member| member.center.to_string()),
        matched_index: peer.matched_index.0,
        lag_entries: peer.lag_entries,
        silent_ms: peer.silent_ms,
        recently_active: peer.silent_ms <= Peer::SILENT_MS_MAX,
        round_trip_us: 0,
        learner: peer.learner,
    }
}

fn election(election: &Election) -> wire::ElectionRecord {
    wire::ElectionRecord {
        epoch: election.epoch.0,
        suspected_at_us: election.suspected_at.0,
        campaigned_at_us: election.campaigned_at.0,
        elected_at_us: election.elected_at.0,
        serving_at_us: election.serving_at.0,
        first_order_at_us: election.first_order_at.0,
        previous_leader: election.previous_leader.0,
        planned: election.planned,
    }
}

/// The group on the wire.
pub(crate) fn group(group: &Group) -> wire::Group {
    let protection = &group.protection;
    let (degraded, confirmed_index, waited_ms) = match protection.level {
        ProtectionLevel::Full => (false, 0, 0),
        ProtectionLevel::Degraded {
            confirmed,
            waited_ms,
        } => (true, confirmed.0, waited_ms),
    };
    wire::Group {
        generation: group.generation,
        formed_at_index: group.formed_at.0,
        members: group.members.iter().map(membership::member).collect(),
        joint: !group.outgoing.is_empty(),
        policy: Some(membership::policy(group.policy)),
        protection: Some(wire::ProtectionState {
            degraded,
            since_us: protection.since.0,
            since_index: protection.since_index.0,
            confirmed_index,
            waited_ms,
        }),
    }
}
