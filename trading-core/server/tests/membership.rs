//! A replica takes another's place while orders flow: real processes, real disks.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;

use group::prepared;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::change_membership_request::Change;
use protocol::admin::{
    ChangeMembershipRequest, CommitPolicy, Member, PolicyName, ReplaceMember, SetCommitPolicy,
    control_request,
};

#[tokio::test]
async fn a_fourth_replica_catches_up_and_takes_the_place_of_the_third() {
    let (mut group, _) = prepared().await;
    group.transfer(1).await;
    let ports = group.add_place();
    let mut admin = AdminClient::new(group.channel(1).await.unwrap());
    let change = |change| ChangeMembershipRequest {
        change: Some(change),
    };
    let newcomer = Member {
        replica: 4,
        center: "b1".into(),
        site: "B".into(),
        priority: 1,
        replication: format!("127.0.0.1:{}", ports[0]),
        orders: format!("127.0.0.1:{}", ports[1]),
        ..Member::default()
    };
    let replace = Change::Replace(ReplaceMember { old: 3, new: 4 });
    let early = admin.change_membership(change(replace.clone())).await;
    let early = early.unwrap_err();
    assert_eq!(early.code(), tonic::Code::FailedPrecondition);
    assert!(early.message().contains("no learner"), "{early}");
    let added = admin.change_membership(change(Change::AddLearner(newcomer)));
    added.await.unwrap();
    group.start_replica(4);
    group
        .wait_for("replica 4 in the place of 3", async |group| {
            let mut admin = AdminClient::new(group.channel(1).await?);
            let replaced = admin.change_membership(change(replace.clone())).await;
            replaced.ok().map(|_| ())
        })
        .await;
    group
        .wait_for("the old configuration left", async |group| {
            let members = group.status(4).await?.group?;
            let ids: Vec<u64> = members.members.iter().map(|m| m.replica).collect();
            (!members.joint && ids == [1, 2, 4]).then_some(())
        })
        .await;
    group.kill(3);
    // The newcomer's vote counts: with one of the old gone the group goes on.
    group.kill(2);
    let policy = control_request::Body::SetCommitPolicy(SetCommitPolicy {
        policy: Some(CommitPolicy {
            name: PolicyName::SiteSafe.into(),
            degrade_after_ms: 5_000,
        }),
    });
    let leader = group.leader().await;
    group.control(leader, policy).await;
    group
        .wait_for("the policy from the log", async |group| {
            let told = group.status(leader).await?.group?;
            let protected = !told.protection?.degraded;
            (told.policy?.name() == PolicyName::SiteSafe && protected).then_some(())
        })
        .await;
}
