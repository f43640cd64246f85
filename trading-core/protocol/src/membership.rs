//! Members, policies and changes of membership on the wire.

use crate::admin;
use crate::bad_field::{BadField, from_one};
use types::{CenterName, CommitPolicy, Member, MemberAddress, MemberDuty, MemberRole, ReplicaId};

/// How long a leader may wait for another site, in milliseconds.
const DEGRADE_AFTER_MS: std::ops::RangeInclusive<u32> = 100..=600_000;

/// A policy as it goes over the wire.
#[must_use]
pub fn policy(policy: CommitPolicy) -> admin::CommitPolicy {
    let (name, degrade_after_ms) = match policy {
        CommitPolicy::Metro => (admin::PolicyName::Metro, 0),
        CommitPolicy::SiteSafe { degrade_after_ms } => {
            (admin::PolicyName::SiteSafe, degrade_after_ms)
        }
    };
    admin::CommitPolicy {
        name: name.into(),
        degrade_after_ms,
    }
}

/// Reads a policy; `field` is where it stands.
///
/// # Errors
/// [`BadField`] with what is accepted.
pub fn read_policy(
    field: &'static str,
    policy: &admin::CommitPolicy,
) -> Result<CommitPolicy, BadField> {
    match policy.name() {
        admin::PolicyName::Metro => Ok(CommitPolicy::Metro),
        admin::PolicyName::SiteSafe if DEGRADE_AFTER_MS.contains(&policy.degrade_after_ms) => {
            Ok(CommitPolicy::SiteSafe {
                degrade_after_ms: policy.degrade_after_ms,
            })
        }
        admin::PolicyName::SiteSafe => Err(BadField::new(
            field,
            format!(
                "degrade_after_ms {} is not accepted: use {} to {}",
                policy.degrade_after_ms,
                DEGRADE_AFTER_MS.start(),
                DEGRADE_AFTER_MS.end()
            ),
        )),
        admin::PolicyName::PolicyUnspecified => Err(BadField::new(
            field,
            "no name is given: use METRO or SITE_SAFE",
        )),
    }
}

/// A member as it goes over the wire.
#[must_use]
pub fn member(member: &Member) -> admin::Member {
    let role = match member.role {
        MemberRole::Learner => admin::MemberRole::Learner,
        MemberRole::Voter => admin::MemberRole::Voter,
        MemberRole::Leaving => admin::MemberRole::Leaving,
    };
    let (replication, orders) = member.address.clone().map_or_else(
        || (String::new(), String::new()),
        |address| (address.replication, address.orders),
    );
    admin::Member {
        replica: member.replica.0,
        center: member.center.to_string(),
        site: member.site.clone(),
        role: role.into(),
        witness: member.duty == MemberDuty::Witness,
        priority: member.priority,
        replication,
        orders,
    }
}

/// Reads a member that is to be taken in: it begins as a learner.
///
/// # Errors
/// [`BadField`] naming the field.
pub fn read_newcomer(member: &admin::Member) -> Result<Member, BadField> {
    let center = CenterName::new(&member.center)
        .map_err(|bad| BadField::new("add_learner.center", bad.to_string()))?;
    Ok(Member {
        replica: ReplicaId(from_one("add_learner.replica", member.replica)?),
        center,
        site: member.site.clone(),
        role: MemberRole::Learner,
        duty: if member.witness {
            MemberDuty::Witness
        } else {
            MemberDuty::Data
        },
        priority: member.priority,
        address: Some(MemberAddress {
            replication: member.replication.clone(),
            orders: member.orders.clone(),
        }),
    })
}

/// Reads an id from 1.
///
/// # Errors
/// [`BadField`] when it is 0.
pub fn read_replica(field: &'static str, replica: u64) -> Result<ReplicaId, BadField> {
    Ok(ReplicaId(from_one(field, replica)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_reads_as_it_was_written_and_begins_as_a_learner() {
        let newcomer = Member {
            replica: ReplicaId(4),
            center: CenterName::new("w").unwrap(),
            site: "W".into(),
            role: MemberRole::Learner,
            duty: MemberDuty::Witness,
            priority: 3,
            address: Some(MemberAddress {
                replication: "w:1".into(),
                orders: "w:2".into(),
            }),
        };
        assert_eq!(read_newcomer(&member(&newcomer)), Ok(newcomer));
    }

    #[test]
    fn a_policy_that_cannot_be_names_what_is_accepted() {
        let refused = |name: admin::PolicyName, degrade_after_ms| {
            let policy = admin::CommitPolicy {
                name: name.into(),
                degrade_after_ms,
            };
            read_policy("policy", &policy).unwrap_err().to_string()
        };
        let text = refused(admin::PolicyName::SiteSafe, 5);
        assert!(text.contains("use 100 to 600000"), "{text}");
        let text = refused(admin::PolicyName::PolicyUnspecified, 0);
        assert!(text.contains("METRO or SITE_SAFE"), "{text}");
    }
}
