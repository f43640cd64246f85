//! A drop copy over real processes: who listens gets every report of its accounts once, though the
//! leader, its own connection and the gateway are lost on the way.

#![allow(clippy::unwrap_used, clippy::panic)]

mod counterparty;
mod group;
mod trader;

use counterparty::{Counterparty, FixGateway};
use drop_copy::{Position, Reader};
use fix::dictionary::Field;
use group::{Group, PATIENCE, prepared_keeping_all};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{ReadLogRequest, log_chunk};
use tokio::time::timeout;
use types::{AccountId, Epoch, LogIndex};

/// The `ExecID`s of account 7 in the promoted log, in its order.
async fn logged(group: &Group) -> Vec<String> {
    let leader = group.leader().await;
    let mut admin =
        AdminClient::new(group.channel(leader).await.unwrap()).max_decoding_message_size(1 << 28);
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    let mut chunks = admin.read_log(request).await.unwrap().into_inner();
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
