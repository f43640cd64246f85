//! Metrics of the group: who belongs to it, how well the log is protected, what snapshots came to.

use crate::core::Published;
use prometheus::{IntGauge, Registry};
use replica::{Peer, ProtectionLevel};
use types::{CommitPolicy, MemberRole};

/// Puts them into a registry.
pub(crate) fn register(registry: &Registry, shown: &Published) -> Result<(), prometheus::Error> {
    let status = &shown.status;
    let group = &status.group;
    let with = |role| group.members.iter().filter(|m| m.role == role).count() as u64;
    let site_safe = matches!(group.policy, CommitPolicy::SiteSafe { .. });
    let degraded = group.protection.level != ProtectionLevel::Full;
    let slowest = status.peers.iter().filter(|peer| peer.learner);
    let learner_lag = slowest.map(|peer: &Peer| peer.lag_entries).max();
    for (name, help, value) in [
        (
            "generation",
            "How often the group has been formed.",
            group.generation,
        ),
        ("voters", "Members that vote.", with(MemberRole::Voter)),
        (
            "learners",
            "Members that catch up.",
            with(MemberRole::Learner),
        ),
        (
            "joint",
            "1 while one replica takes another's place.",
            (!group.outgoing.is_empty()).into(),
        ),
        (
            "site_safe",
            "1 when commits are to reach two sites.",
            site_safe.into(),
        ),
        (
            "protection_degraded",
            "1 while commits wait for a majority only, although they should reach two sites.",
            degraded.into(),
        ),
        (
            "protection_since_microseconds",
            "Log time at which this protection began.",
            group.protection.since.0,
        ),
        (
            "learner_lag_entries",
            "Entries that the slowest learner is behind (leader).",
            learner_lag.unwrap_or(0),
        ),
        (
            "handover_gap_microseconds",
            "The gap of the last hand-over from here.",
            status.handover.map_or(0, |handover| handover.gap_us),
        ),
        (
            "snapshot_verified_index",
            "Last entry of the newest snapshot that was read back, restored and found equal.",
            status.snapshots.verified_index.0,
        ),
        (
            "snapshots_verified",
            "Snapshots verified since the process started.",
            status.snapshots.verified,
        ),
        (
            "snapshots_failed",
            "Snapshots that could not be built, written or verified.",
            status.snapshots.failed,
        ),
        (
            "snapshot_took_microseconds",
            "What the newest took, beside the core.",
            shown.snapshot_took_us,
        ),
    ] {
        let gauge = IntGauge::new(format!("trading_core_{name}"), help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    Ok(())
}
