//! A FIX session through the FIX gateway, over real processes: it outlives the leader and the gateway
//! itself, both killed with SIGKILL, and nothing that was acknowledged is lost or doubled.

#![allow(clippy::unwrap_used, clippy::panic)]

mod counterparty;
mod group;

use counterparty::{Counterparty, FixGateway};
use group::{Group, PATIENCE, prepared_keeping_all};
use history::Log;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{ReadLogRequest, log_chunk};
use tokio::time::timeout;
use types::{AccountId, ClOrdId, Epoch, LogIndex};

/// The promoted log, replayed and held against the state that its replica says it has.
async fn promoted_log(group: &Group) -> Log {
    let leader = group.leader().await;
    let mut admin =
        AdminClient::new(group.channel(leader).await.unwrap()).max_decoding_message_size(1 << 28);
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    let mut chunks = admin.read_log(request).await.unwrap().into_inner();
    let mut log = Log::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        match chunk.body.unwrap() {
            log_chunk::Body::Snapshot(_) => panic!("the journal was to keep every entry"),
            log_chunk::Body::Entry(entry) => {
                let (index, epoch) = (LogIndex(entry.index), Epoch(entry.epoch));
                log.entry(index, epoch, &entry.batch).unwrap();
            }
            log_chunk::Body::End(end) => {
                log.compare(&end.history_hash).unwrap();
                return log;
            }
        }
    }
    panic!("the log breaks off");
}

/// Every order that was acknowledged is in the log once, and no other twice.
async fn assert_each_once(group: &Group, counterparty: &Counterparty) {
    let log = promoted_log(group).await;
    for (cl_ord_id, is_acknowledged) in counterparty.orders() {
        let times = log.times_accepted(AccountId(7), ClOrdId::new(&cl_ord_id).unwrap());
        assert!(times <= 1, "{cl_ord_id} took effect {times} times");
        assert!(!is_acknowledged || times == 1, "{cl_ord_id} was lost");
    }
}

#[tokio::test]
async fn a_fix_session_stays_up_through_the_loss_of_the_leader() {
    let (mut group, leader) = prepared_keeping_all().await;
    let gateway = FixGateway::start(&group);
    let mut client = Counterparty::new(gateway.address.clone());
    let all = timeout(PATIENCE, async {
        client.log_on().await;
        client.order_until_accepted("FIRST").await;
        for number in 0..40 {
            client.order(&format!("A{number}")).await;
        }
        client.acknowledged_at_least(10).await;
        group.kill(leader);
        for number in 0..40 {
            client.order(&format!("B{number}")).await;
        }
        client.all_answered().await;
        client.order_until_accepted("LAST").await;
    });
    let ended = all.await;
    assert!(ended.is_ok(), "{client:?}\n{}", gateway.log(&group));
    assert_eq!(client.connections, 1, "the FIX session did not stay up");
    assert_eq!(client.turned_away, Vec::<String>::new());
    assert_each_once(&group, &client).await;
}

#[tokio::test]
async fn a_killed_fix_gateway_goes_on_where_it_was() {
    let (group, _) = prepared_keeping_all().await;
    let mut gateway = FixGateway::start(&group);
    let mut client = Counterparty::new(gateway.address.clone());
    let all = timeout(PATIENCE, async {
        client.log_on().await;
        client.order_until_accepted("FIRST").await;
        for number in 0..40 {
            client.order(&format!("A{number}")).await;
        }
        client.acknowledged_at_least(10).await;
        gateway.kill_and_start_again(&group);
        client.log_on().await;
        client.order_until_accepted("SECOND").await;
        client.all_answered().await;
    });
    let ended = all.await;
    assert!(ended.is_ok(), "{client:?}\n{}", gateway.log(&group));
    assert_each_once(&group, &client).await;
    let unanswered: Vec<(String, bool)> = client.orders().filter(|(_, is)| !is).collect();
    assert_eq!(unanswered, [], "{client:?}");
}
