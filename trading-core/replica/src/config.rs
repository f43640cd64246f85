//! Who is in the group, its timers, and the bounds of its state.

use engine::Limits;
use types::{CommitPolicy, Member, MemberDuty, ReplicaId};

/// One replica's place in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This replica.
    pub replica: ReplicaId,
    /// The founders, this one among them. They only seed an empty group: from then on the log says
    /// who belongs to it; but their priorities stand.
    pub members: Vec<Member>,
    /// The policy with which an empty group begins.
    pub policy: CommitPolicy,
    /// This replica joins a group that is there: an empty disk founds nothing and waits to be sent a
    /// snapshot.
    pub joins: bool,
    /// How often [`crate::Replica::tick`] is called, in milliseconds.
    pub tick_ms: u32,
    /// How often a leader speaks when it has nothing to say, in milliseconds.
    pub heartbeat_ms: u32,
    /// How long the preferred follower waits for a silent leader at least, in milliseconds. For four
    /// fifths of it a follower that heard its leader votes for nobody else.
    pub election_timeout_ms_min: u32,
    /// How long the least preferred follower waits at most, in milliseconds.
    pub election_timeout_ms_max: u32,
    /// Seed of the election timeouts; should differ from replica to replica and from start to start.
    pub election_seed: u64,
    /// Entries kept in memory for followers that lag; whoever lags more gets a snapshot.
    pub retain_entries: u64,
    /// A snapshot is due after so many entries.
    pub snapshot_every_entries: u64,
    /// The bounds with which an empty state begins. They are part of it: all replicas of a group must
    /// have the same ones, and a snapshot brings its own.
    pub limits: Limits,
}

impl Config {
    /// The part of the span between the shortest and the longest timeout in which this replica
    /// draws its own, in ticks: parts do not overlap, so two followers seldom ask for votes at
    /// once, and the preferred one asks first. A witness' part lies behind all others'.
    pub(crate) fn election_ticks(&self, members: &[Member]) -> (usize, usize) {
        let (min, max) = (
            self.ticks(self.election_timeout_ms_min),
            self.ticks(self.election_timeout_ms_max),
        );
        let parts = members.len().max(1);
        let span = max.saturating_sub(min);
        let before = self.preferred_before(members);
        let from = min + span * before / parts;
        let to = min + span * (before + 1) / parts;
        let witness = members
            .iter()
            .any(|m| m.replica == self.replica && m.duty == MemberDuty::Witness);
        let later = if witness { max - from } else { 0 };
        (from + later, to.max(from + 1) + later)
    }

    /// A timeout for an epoch, in ticks, inside this replica's own part of the span.
    pub(crate) fn election_timeout(&self, (from, to): (usize, usize), epoch: u64) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014): neighbouring epochs give unrelated draws.
        let mut draw = self
            .election_seed
            .wrapping_add(epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        draw ^= draw >> 31;
        from + (draw % (to - from) as u64) as usize
    }

    /// How many of `members` should lead rather than this one.
    pub(crate) fn preferred_before(&self, members: &[Member]) -> usize {
        let key = |m: &Member| {
            let data = m.duty == MemberDuty::Data;
            (data, self.priority(m), u64::MAX - m.replica.0)
        };
        let own = members.iter().find(|m| m.replica == self.replica);
        let own = own.map_or((false, 0, 0), key);
        members.iter().filter(|m| key(m) > own).count()
    }

    /// A member's priority: what the configuration says stands before what the log says.
    pub(crate) fn priority(&self, member: &Member) -> u32 {
        let own = self.members.iter().find(|m| m.replica == member.replica);
        own.unwrap_or(member).priority
    }

    /// For how long a follower that heard its leader votes for nobody else, in ticks: a fifth less
    /// than the shortest timeout. Were it as long, the first to miss a dead leader would be refused
    /// by one that heard it a moment later, and a whole timeout would pass before it asked again.
    pub(crate) fn lease_ticks(&self) -> usize {
        (self.ticks(self.election_timeout_ms_min) * 4 / 5).max(self.ticks(self.heartbeat_ms) + 1)
    }

    pub(crate) fn ticks(&self, milliseconds: u32) -> usize {
        (milliseconds / self.tick_ms.max(1)).max(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(replica: u64, duty: MemberDuty) -> Member {
        Member {
            replica: ReplicaId(replica),
            center: types::CenterName::new("a1").unwrap(),
            site: "A".into(),
            role: types::MemberRole::Voter,
            duty,
            priority: 4 - replica as u32,
            address: None,
        }
    }

    fn config(replica: u64, members: &[Member]) -> Config {
        Config {
            replica: ReplicaId(replica),
            members: members.to_vec(),
            policy: CommitPolicy::Metro,
            joins: false,
            tick_ms: 10,
            heartbeat_ms: 100,
            election_timeout_ms_min: 500,
            election_timeout_ms_max: 800,
            election_seed: 1,
            retain_entries: 100,
            snapshot_every_entries: 100,
            limits: Limits::small(),
        }
    }

    #[test]
    fn the_preferred_follower_misses_its_leader_first() {
        let members = [1, 2, 3].map(|replica| member(replica, MemberDuty::Data));
        let ticks = |replica| config(replica, &members).election_ticks(&members);
        assert_eq!(config(1, &members).lease_ticks(), 40);
        assert_eq!([1, 2, 3].map(ticks), [(50, 60), (60, 70), (70, 80)]);
    }

    #[test]
    fn a_seed_draws_every_timeout_of_its_own_part_and_no_other() {
        let config = Config {
            election_seed: 7,
            ..config(
                2,
                &[1, 2, 3].map(|replica| member(replica, MemberDuty::Data)),
            )
        };
        let drawn: std::collections::BTreeSet<usize> = (0..1_000)
            .map(|epoch| config.election_timeout((60, 70), epoch))
            .collect();
        assert_eq!(drawn, (60..70).collect());
    }

    #[test]
    fn a_witness_waits_until_all_others_have_tried() {
        let mut members = [1, 2, 3].map(|replica| member(replica, MemberDuty::Data));
        members[0].duty = MemberDuty::Witness;
        let ticks = |replica| config(replica, &members).election_ticks(&members);
        assert_eq!([1, 2, 3].map(ticks), [(80, 90), (50, 60), (60, 70)]);
    }
}
