//! A client's session through a gateway: it outlives the leader, and nothing is lost or doubled.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;

use client::OrderSession;
use client::session::{Event, SessionOptions, Timing};
use group::{Gateway, Group, PATIENCE, prepared};
use protocol::order::report::Body;
use std::collections::BTreeSet;
use tokio::time::{Instant, timeout};
use types::{AccountId, ClOrdId, NewOrder, Price, Quantity, Request, SessionId, Side, SymbolId};

fn session(gateway: &Gateway) -> OrderSession {
    let options = SessionOptions {
        session: SessionId(70),
        account: AccountId(7),
        in_flight_max: 64,
        seed: 1,
        timing: Timing::default(),
    };
    OrderSession::new(options, std::slice::from_ref(&gateway.address), 0).unwrap()
}

fn order(number: u64) -> Request {
    Request::New(NewOrder::limit(
        ClOrdId::new(&format!("G{number}")).unwrap(),
        SymbolId(600_000),
        Side::Buy,
        Quantity(100),
        Price(100_000),
    ))
}

/// Sends one order after the other, each when the last is answered; kills the leader on the way.
#[tokio::test]
async fn a_session_goes_on_through_the_loss_of_the_leader() {
    let (mut group, old): (Group, usize) = prepared().await;
    let gateway = Gateway::start(&group);
    let mut session = session(&gateway);
    let (mut sent, mut answered) = (0, BTreeSet::new());
    let mut killed_at = None;
    let mut gap = None;
    let all = timeout(PATIENCE, async {
        while answered.len() < 200 {
            match session.next().await {
                Event::LoggedOn { .. } => {}
                Event::Report {
                    report, answers, ..
                } => {
                    if answers.is_some() {
                        let Some(Body::Accepted(accepted)) = report.body else {
                            panic!("not accepted: {report:?}");
                        };
                        assert!(
                            answered.insert(accepted.order_id),
                            "an order number came twice"
                        );
                        if let Some(killed_at) = killed_at.take() {
                            let passed: Instant = killed_at;
                            gap = Some(passed.elapsed());
                        }
                    }
                }
                Event::Ended { reason } => panic!("ended: {reason}"),
                Event::EntryLost { .. } | Event::SentAgain { .. } => continue,
            }
            if answered.len() == 100 && gap.is_none() && killed_at.is_none() {
                group.kill(old);
                killed_at = Some(Instant::now());
            }
            if session.in_flight() == 0 && session.is_logged_on() {
                sent += 1;
                session.submit(order(sent)).unwrap();
            }
        }
    });
    let ended = all.await;
    let log = std::fs::read_to_string(group.folder.path().join("log-gateway")).unwrap();
    assert!(
        ended.is_ok(),
        "only {} of 200 answered\n{log}",
        answered.len()
    );
    assert!(gap.is_some(), "the leader was never killed");
    group.start_replica(old);
    group.wait_for_equal_states().await;
    let leader = group.leader().await;
    let counters = group.status(leader).await.unwrap().counters.unwrap();
    assert_eq!(counters.orders_accepted, sent);
}
