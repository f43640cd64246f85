//! A site is lost for good, the survivor becomes the group, and the lost site comes back: real
//! processes, real disks, and the commands as people run them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;

use group::{Group, prepared};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::change_membership_request::Change;
use protocol::admin::{ChangeMembershipRequest, Member, OpenAccount, control_request};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn takeover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trading-core"))
        .arg("takeover")
        .args(arguments)
        .output()
        .unwrap()
}

fn answer(arguments: &[&str]) -> Value {
    let output = takeover(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    let output = takeover(arguments);
    assert!(!output.status.success(), "it was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn config(group: &Group, replica: usize) -> String {
    let path = group.folder.path().join(format!("replica-{replica}.json"));
    path.to_str().unwrap().to_owned()
}

fn data(group: &Group, replica: usize) -> PathBuf {
    group.folder.path().join(format!("data-{replica}"))
}

async fn open_account(group: &Group, leader: usize, account: u64) {
    let open = OpenAccount {
        account,
        cash: 1,
        positions: vec![],
    };
    let body = control_request::Body::OpenAccount(open);
    group.control(leader, body).await;
}

/// Makes replica 3 the whole group, as two people would after they have seen the plan.
fn take_over_with_3(group: &Group) -> Value {
    let survivor = config(group, 3);
    let plan = answer(&["plan", "--config", &survivor]);
    assert_eq!(plan["refused"], Value::Null, "{plan:#}");
    assert_eq!(plan["lost"], serde_json::json!([1, 2]));
    let wrong = refusal(&["apply", "--config", &survivor, "--digest", "0"]);
    assert!(wrong.contains("plan again"), "{wrong}");
    let digest = plan["digest"].as_str().unwrap();
    answer(&["apply", "--config", &survivor, "--digest", digest])
}

fn salvage(lost: &Path, survivor: &Path) -> Value {
    let (lost, survivor) = (lost.to_str().unwrap(), survivor.to_str().unwrap());
    answer(&["salvage", "--lost", lost, "--survivor", survivor])
}

#[tokio::test]
async fn a_site_that_returns_after_the_takeover_is_refused_until_it_rejoins() {
    let (mut group, _) = prepared().await;
    group.wait_for_equal_states().await;
    group.kill(1);
    group.kill(2);
    group.kill(3);
    let plan = take_over_with_3(&group);
    group.start_replica(3);
    assert_eq!(group.leader().await, 3);
    let status = group.status(3).await.unwrap();
    assert_eq!(status.group.unwrap().generation, 2);
    assert!(status.epoch >= plan["epoch"].as_u64().unwrap());
    open_account(&group, 3, 42).await;

    // The old leader comes back, meets the new group, and ends for good.
    group.start_replica(1);
    assert!(!group.wait_for_end(1).await.success());
    group.start_replica(1);
    assert!(!group.wait_for_end(1).await.success());
    let log = std::fs::read_to_string(group.folder.path().join("log-1")).unwrap();
    assert!(log.contains("generation 2"), "{log}");

    // Nothing was answered there that the survivor does not have.
    let found = salvage(&data(&group, 1), &data(&group, 3));
    assert_eq!(found["requests"], serde_json::json!([]), "{found:#}");
    let kept = answer(&["rejoin", "--config", &config(&group, 1)]);
    assert!(Path::new(kept["kept_in"].as_str().unwrap()).is_dir());
    group.start_replica(1);
    let mut admin = AdminClient::new(group.channel(3).await.unwrap());
    let learner = Member {
        replica: 1,
        center: "a1".into(),
        site: "A".into(),
        priority: 3,
        replication: format!("127.0.0.1:{}", group.ports[0][0]),
        orders: format!("127.0.0.1:{}", group.ports[0][1]),
        ..Member::default()
    };
    let change = |change| ChangeMembershipRequest {
        change: Some(change),
    };
    let added = admin.change_membership(change(Change::AddLearner(learner)));
    added.await.unwrap();
    group
        .wait_for("a vote for replica 1", async |group| {
            let mut admin = AdminClient::new(group.channel(3).await?);
            let promoted = admin.change_membership(change(Change::Promote(1))).await;
            promoted.ok().map(|_| ())
        })
        .await;
    group.wait_for_equal_states().await;
}

#[tokio::test]
async fn a_site_that_still_runs_when_it_is_heard_again_ends_and_its_answers_are_listed() {
    let (mut group, _) = prepared().await;
    group.wait_for_equal_states().await;
    group.kill(3);
    // The other site goes on alone: what it answers now, the survivor does not have.
    let old = group.leader().await;
    let running = format!("127.0.0.1:{}", group.ports[old - 1][1]);
    let survivor = config(&group, 3);
    let asked = answer(&["plan", "--config", &survivor, "--process", &running]);
    let refused = asked["refused"].as_str().unwrap();
    assert!(refused.contains("takes orders"), "{refused}");

    group.log_on_and_order(old, 7, "ONLY-THERE").await;
    take_over_with_3(&group);
    group.start_replica(3);
    for lost in [1, 2] {
        assert!(!group.wait_for_end(lost).await.success());
    }
    assert_eq!(group.leader().await, 3);
    let found = salvage(&data(&group, old), &data(&group, 3));
    let requests = found["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1, "{found:#}");
    assert_eq!(requests[0]["account"], 7);
    assert_eq!(requests[0]["answered"], true, "{found:#}");
    assert!(requests[0]["request"].to_string().contains("ONLY-THERE"));
}

fn form(group: &Group, generation: &str) -> Vec<String> {
    let config = config(group, 3);
    ["form", "--config", &config, "--generation", generation]
        .into_iter()
        .chain(["--lost", "1", "--lost", "2", "--last-index-min", "1"])
        .map(str::to_owned)
        .collect()
}

/// As an operator does it: each command twice, for it may have died after the first.
#[tokio::test]
async fn an_operator_forms_the_group_and_brings_a_replica_back_with_commands_that_may_come_twice() {
    let (mut group, _) = prepared().await;
    group.wait_for_equal_states().await;
    group.kill(3);
    let old = group.leader().await;
    group.log_on_and_order(old, 7, "ONLY-THERE").await;
    group.kill(1);
    group.kill(2);
    let result = group.folder.path().join("result.json");
    let mut arguments = form(&group, "2");
    arguments.extend(["--result".to_owned(), result.to_str().unwrap().to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let first = answer(&arguments);
    assert_eq!(
        (&first["generation"], &first["already"]),
        (&2.into(), &false.into())
    );
    let written: Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
    assert_eq!(written, first);
    let again = answer(&arguments);
    assert_eq!(again["already"], true);
    assert_eq!(again["formed_at_index"], first["formed_at_index"]);
    let later = form(&group, "4");
    let later: Vec<&str> = later.iter().map(String::as_str).collect();
    // One of one is a quorum.
    let refused = refusal(&later);
    assert!(refused.contains("1 of 1 voters are here"), "{refused}");

    group.start_replica(3);
    assert_eq!(group.leader().await, 3);
    open_account(&group, 3, 42).await;
    let leader = format!("127.0.0.1:{}", group.ports[2][1]);
    let returned = config(&group, old);
    let arguments = ["come-back", "--config", &returned, "--leader", &leader];
    let first = answer(&arguments);
    assert_eq!(first["requests"], 1, "{first:#}");
    let listed = Path::new(first["listed_in"].as_str().unwrap()).join("requests.json");
    assert!(
        std::fs::read_to_string(listed)
            .unwrap()
            .contains("ONLY-THERE")
    );
    assert!(Path::new(first["kept_in"].as_str().unwrap()).is_dir());
    let again = answer(&arguments);
    assert_eq!(
        (&again["requests"], &again["already"]),
        (&1.into(), &true.into())
    );
}
