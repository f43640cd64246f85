//! A drop copy over real processes: who listens gets every report of its accounts once, though the
//! leader, its own connection and the gateway are lost on the way.

#![allow(clippy::unwrap_used, clippy::panic)]

mod counterparty;
mod group;
mod trader;

use counterparty::{Counterparty, FixGateway};
use drop_copy::{Position, Reader};
use fix::dictionary::Field;
use group::{Group, PATIENCE, prepare, prepared_keeping_all};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{
    ControlRequest, LoadRules, LogChunk, ReadLogRequest, control_request, log_chunk,
};
use tokio::time::timeout;
use tonic::Streaming;
use types::{AccountId, Epoch, LogIndex};

/// A replica's log from its first entry or snapshot on.
async fn log_of(group: &Group, replica: usize) -> Streaming<LogChunk> {
    let mut admin =
        AdminClient::new(group.channel(replica).await.unwrap()).max_decoding_message_size(1 << 28);
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    admin.read_log(request).await.unwrap().into_inner()
}

/// The `ExecID`s of account 7 in the promoted log, in its order.
async fn logged(group: &Group) -> Vec<String> {
    let mut chunks = log_of(group, group.leader().await).await;
    let mut reader = Reader::new([AccountId(7)], Position::default());
    let mut copies = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        if let Some(log_chunk::Body::Entry(entry)) = chunk.body {
            let (index, epoch) = (LogIndex(entry.index), Epoch(entry.epoch));
            reader
                .entry(index, epoch, &entry.batch, &mut copies)
                .unwrap();
        }
    }
    let exec_id = format!("{}=", Field::ExecID.tag());
    let of = |body: Vec<u8>| {
        let text = String::from_utf8(body).unwrap();
        let mut fields = text.split('\x01');
        fields
            .find_map(|it| it.strip_prefix(&exec_id).map(str::to_owned))
            .unwrap()
    };
    copies
        .into_iter()
        .map(|copy| of(copy.report.into_bytes()))
        .collect()
}

fn ids(copies: &[(String, bool)]) -> Vec<String> {
    copies.iter().map(|(id, _)| id.clone()).collect()
}

#[tokio::test]
async fn every_report_is_copied_once_though_leader_connection_and_gateway_are_lost() {
    let (mut group, leader) = prepared_keeping_all().await;
    trader::open_account(&group, 8).await;
    let mut gateway = FixGateway::start(&group);
    let mut client = Counterparty::new(gateway.address.clone());
    let mut listener = Counterparty::listener(gateway.address.clone());
    let all = timeout(2 * PATIENCE, async {
        client.log_on().await;
        client.order_until_accepted("FIRST").await;
        // Of another account: not for this listener.
        group.log_on_and_order(leader, 8, "OTHER").await;
        listener.log_on().await;
        for number in 0..20 {
            client.order(&format!("A{number}")).await;
        }
        client.all_answered().await;
        listener.copies_at_least(logged(&group).await.len()).await;

        group.kill(leader);
        for number in 0..20 {
            client.order(&format!("B{number}")).await;
        }
        client.all_answered().await;
        listener.copies_at_least(logged(&group).await.len()).await;

        // Away while things happen: the log waits.
        listener.disconnect();
        for number in 0..20 {
            client.order(&format!("C{number}")).await;
        }
        client.all_answered().await;
        listener.log_on().await;
        listener.copies_at_least(logged(&group).await.len()).await;

        gateway.kill_and_start_again(&group);
        client.log_on().await;
        client.order_until_accepted("LAST").await;
        listener.log_on().await;
        listener.copies_at_least(logged(&group).await.len()).await;
    });
    let ended = all.await;
    assert!(ended.is_ok(), "{listener:?}\n{}", gateway.log(&group));
    let logged = logged(&group).await;
    assert_eq!(ids(&listener.copies), logged, "{}", gateway.log(&group));

    // Another center's gateway cannot know what was told: all comes again, said to be so.
    let other = FixGateway::start_as(&group, "other");
    listener.copies.clear();
    let again = timeout(PATIENCE, async {
        listener.log_on_anew_at(other.address.clone()).await;
        listener.copies_at_least(logged.len()).await;
    });
    let ended = again.await;
    assert!(ended.is_ok(), "{listener:?}\n{}", other.log(&group));
    assert_eq!(ids(&listener.copies), logged);
    assert!(listener.copies.iter().all(|(_, is_marked)| *is_marked));
}

/// A gateway that keeps few messages, so that most are forgotten soon.
fn forgetful(group: &Group) -> FixGateway {
    FixGateway::start_with(group, "fix", serde_json::json!({"resend_messages_max": 4}))
}

#[tokio::test]
async fn a_listener_that_lost_everything_gets_the_real_messages_again_out_of_the_log() {
    let (mut group, leader) = prepared_keeping_all().await;
    let mut gateway = forgetful(&group);
    let mut client = Counterparty::new(gateway.address.clone());
    let mut listener = Counterparty::listener(gateway.address.clone());
    let all = timeout(2 * PATIENCE, async {
        client.log_on().await;
        client.order_until_accepted("FIRST").await;
        listener.log_on().await;
        for number in 0..30 {
            client.order(&format!("A{number}")).await;
        }
        client.all_answered().await;
        listener.copies_at_least(logged(&group).await.len()).await;
        assert_eq!(listener.duplicates, 0);

        listener.forget();
        listener.log_on().await;
        listener.copies_at_least(logged(&group).await.len()).await;

        // The same from its file, out of another replica's log.
        group.kill(leader);
        gateway.kill_and_start_again(&group);
        client.log_on().await;
        client.order_until_accepted("LAST").await;
        listener.forget();
        listener.log_on().await;
        listener.copies_at_least(logged(&group).await.len()).await;
    });
    let ended = all.await;
    assert!(ended.is_ok(), "{listener:?}\n{}", gateway.log(&group));
    assert_eq!(ids(&listener.copies), logged(&group).await);
    // Those of before came twice under their own numbers.
    assert!(listener.duplicates >= 62, "{}", listener.duplicates);
    assert_eq!(listener.texts, [] as [String; 0]);
}

/// Puts so much into the log that its first segments go, on every replica; gives the greatest entry
/// that is only in a snapshot.
async fn truncate(group: &Group) -> u64 {
    let mut hidden = Vec::new();
    group
        .wait_for("journals without their beginning", async |group| {
            let leader = group.leader().await;
            let mut admin = AdminClient::new(group.channel(leader).await?);
            // It is no rule file, and refused; in the log it is all the same.
            let body = Some(control_request::Body::LoadRules(LoadRules {
                document: vec![0xff; 60_000],
            }));
            let answer = admin.control(ControlRequest { body }).await.ok()?;
            assert!(!answer.into_inner().done);
            hidden.clear();
            for replica in 1..=3 {
                match log_of(group, replica).await.message().await.ok()??.body? {
                    log_chunk::Body::Snapshot(snapshot) => hidden.push(snapshot.index),
                    _ => return None,
                }
            }
            Some(())
        })
        .await;
    hidden.into_iter().max().unwrap()
}

#[tokio::test]
async fn what_the_log_has_lost_is_gap_filled_and_the_listener_is_told() {
    let journal = serde_json::json!({
        "segment_bytes": 1 << 16, "snapshot_every_entries": 10, "retain_entries": 5,
        "retain_bytes": 0,
    });
    let extra = serde_json::json!({"journal": journal});
    let (group, _) = prepare(Group::start_with(10, extra)).await;
    let gateway = forgetful(&group);
    let mut client = Counterparty::new(gateway.address.clone());
    let mut listener = Counterparty::listener(gateway.address.clone());
    let all = timeout(2 * PATIENCE, async {
        client.log_on().await;
        client.order_until_accepted("FIRST").await;
        listener.log_on().await;
        listener.copies_at_least(1).await;
        truncate(&group).await;
        for number in 0..10 {
            client.order(&format!("A{number}")).await;
        }
        client.all_answered().await;
        listener.copies_at_least(11).await;
        let all = ids(&listener.copies);

        listener.forget();
        listener.log_on().await;
        let text = listener.text().await;
        // The first order's is inside the snapshot of every replica; all others came.
        assert!(text.contains("1 are no longer in the log"), "{text}");
        assert_eq!(ids(&listener.copies), all[1..]);
    });
    let ended = all.await;
    assert!(ended.is_ok(), "{listener:?}\n{}", gateway.log(&group));
}
