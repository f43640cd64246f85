//! Who is in the group, and its timers.

use types::ReplicaId;

/// A voter of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub replica: ReplicaId,
    /// Who of those whose log is complete should lead: higher ones miss a dead leader sooner.
    pub priority: u32,
}

/// One replica's place in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This replica.
    pub replica: ReplicaId,
    /// All voters, this one among them.
    pub members: Vec<Member>,
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
}

impl Config {
    /// The part of the span between the shortest and the longest timeout in which this replica
    /// draws its own, in ticks: parts do not overlap, so two followers seldom ask for votes at
    /// once, and the preferred one asks first.
    pub(crate) fn election_ticks(&self) -> (usize, usize) {
        let own = self.members.iter().find(|m| m.replica == self.replica);
        let key = own.map_or((0, 0), |m| (m.priority, u64::MAX - m.replica.0));
        let before = self
            .members
            .iter()
            .filter(|m| (m.priority, u64::MAX - m.replica.0) > key)
            .count();
        let (min, max) = (
            self.ticks(self.election_timeout_ms_min),
            self.ticks(self.election_timeout_ms_max),
        );
        let parts = self.members.len().max(1);
        let span = max.saturating_sub(min);
        let from = min + span * before / parts;
        let to = min + span * (before + 1) / parts;
        (from, to.max(from + 1))
    }

    /// This replica's timeout in an epoch, in ticks, inside its own part of the span.
    pub(crate) fn election_timeout(&self, epoch: u64) -> usize {
        let (from, to) = self.election_ticks();
        // SplitMix64 (Steele, Lea, Flood 2014): neighbouring epochs give unrelated draws.
        let mut draw = self
            .election_seed
            .wrapping_add(epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        draw ^= draw >> 31;
        from + (draw % (to - from) as u64) as usize
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

    fn config(replica: u64) -> Config {
        Config {
            replica: ReplicaId(replica),
            members: [(1, 3), (2, 2), (3, 1)]
                .map(|(replica, priority)| Member {
                    replica: ReplicaId(replica),
                    priority,
                })
                .to_vec(),
            tick_ms: 10,
            heartbeat_ms: 100,
            election_timeout_ms_min: 500,
            election_timeout_ms_max: 800,
            election_seed: 1,
            retain_entries: 100,
            snapshot_every_entries: 100,
        }
    }

    #[test]
    fn the_preferred_follower_misses_its_leader_first() {
        assert_eq!(config(1).lease_ticks(), 40);
        assert_eq!(config(1).election_ticks(), (50, 60));
        assert_eq!(config(2).election_ticks(), (60, 70));
        assert_eq!(config(3).election_ticks(), (70, 80));
    }

    #[test]
    fn a_seed_draws_every_timeout_of_its_own_part_and_no_other() {
        let config = Config {
            election_seed: 7,
            ..config(2)
        };
        let drawn: std::collections::BTreeSet<usize> = (0..1_000)
            .map(|epoch| config.election_timeout(epoch))
            .collect();
        assert_eq!(drawn, (60..70).collect());
    }
}
