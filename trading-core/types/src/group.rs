//! The replicated group as records of its own log: who belongs to it, what a commit waits for, and
//! how well the log is protected.
//!
//! ```text
//!   Found ─► members, policy            once, the first entry of the log
//!   Membership ─► one step at a time    rides an entry that the consensus library knows, too
//!   Policy, Degrade, Recover            what commits wait for, from this entry on
//!   Refound                             a forced takeover: other members, the next generation
//! ```

use crate::{CenterName, LogIndex, ReplicaId};
use serde::{Deserialize, Serialize};

/// What an order's commit waits for, named after what it protects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommitPolicy {
    /// A majority of the voters: the loss of any one center loses nothing.
    #[default]
    Metro,
    /// A majority, and voters of two sites: the loss of a site loses nothing. Degrades to `Metro`
    /// when no voter of another site confirms for so long.
    SiteSafe {
        /// How long the leader waits for another site, in milliseconds.
        degrade_after_ms: u32,
    },
}

/// A member's part in decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemberRole {
    /// Receives the log and decides nothing yet.
    Learner,
    /// Votes, and its copy counts.
    Voter,
    /// Votes until the change that replaces it is through.
    Leaving,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MemberDuty {
    /// May lead and serve.
    #[default]
    Data,
    /// Keeps the log and votes; serves nobody, and leads only to hand over what it alone has.
    Witness,
}

/// Where a member that came later is reached; founders are known from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberAddress {
    /// Its replication, `host:port`.
    pub replication: String,
    /// Its orders and administration, `host:port`.
    pub orders: String,
}

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its id, never used again for another disk while it is a member.
    pub replica: ReplicaId,
    /// Its center.
    pub center: CenterName,
    /// Its site: the group that `SiteSafe` wants two of.
    pub site: String,
    /// Its part in decisions.
    pub role: MemberRole,
    /// What it is for.
    pub duty: MemberDuty,
    /// Who of those whose log is complete should lead: higher ones miss a dead leader sooner.
    pub priority: u32,
    /// Where it is reached, when the configuration files may not know.
    pub address: Option<MemberAddress>,
}

/// One step of a change of membership. Each needs the one before to be through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MembershipStep {
    /// Takes in a replica that receives the log and decides nothing.
    AddLearner(Member),
    /// Gives a learner its vote.
    Promote(ReplicaId),
    /// Lets a member go.
    Remove(ReplicaId),
    /// Gives a learner the vote of another. Decisions need both majorities until `Leave`.
    Replace {
        /// Who goes.
        old: ReplicaId,
        /// The learner that comes.
        new: ReplicaId,
    },
    /// Ends what `Replace` began.
    Leave,
}

/// A record about the group itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupChange {
    /// The group begins.
    Found {
        /// Its first members.
        members: Vec<Member>,
        /// Its first policy.
        policy: CommitPolicy,
    },
    /// Another policy, from this entry on. Ends a degradation.
    Policy(CommitPolicy),
    /// No voter of another site confirms: commits wait for a majority only.
    Degrade {
        /// The last entry that another site has confirmed: all up to here survives this site.
        confirmed: LogIndex,
        /// How long none had confirmed anything new, in milliseconds.
        waited_ms: u32,
    },
    /// Another site has caught up: commits wait for it again.
    Recover,
    /// A step of a change of membership.
    Membership(MembershipStep),
    /// A forced takeover formed the group anew out of what survived.
    Refound {
        /// Its members from here on.
        members: Vec<Member>,
        /// One more than the lost group's; whoever has a lower one belongs to that group.
        generation: u64,
    },
}
