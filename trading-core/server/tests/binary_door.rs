//! The binary door under load: the leader is killed, and nothing that was acknowledged is lost,
//! nothing doubled.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

mod binary_client;
mod group;

use binary_client::{Client, Wire};
use client::OrderSession;
use client::admin::AdminConnection;
use client::session::{Event, SessionOptions, Timing};
use group::{Group, PATIENCE, prepared};
use history::{History, Log, check};
use protocol::admin::{OpenAccount, Position, control_request, log_chunk};
use protocol::binary::{EndCode, Said};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::timeout;
use types::{AccountId, ClOrdId, ClientSeq, Epoch, LogIndex, Request, SessionId};

const SESSIONS: u64 = 4;
const REQUESTS: u64 = 600;
/// Requests of one session without an answer.
const IN_FLIGHT: usize = 50;

async fn log_of(group: &Group, replica: usize) -> Log {
    let address = format!("127.0.0.1:{}", group.ports[replica - 1][1]);
    let admin = AdminConnection::connect(&address).await.unwrap();
    let mut reader = admin.read_log(LogIndex(1)).await.unwrap();
    let mut log = Log::new();
    let mut ended = false;
    while let Some(chunk) = reader.next(10_000).await.unwrap() {
        match chunk.body {
            Some(log_chunk::Body::Snapshot(snapshot)) => {
                log = Log::from_snapshot(LogIndex(snapshot.index), &snapshot.state).unwrap();
            }
            Some(log_chunk::Body::Entry(entry)) => {
                let epoch = Epoch(entry.epoch);
                log.entry(LogIndex(entry.index), epoch, &entry.batch)
                    .unwrap();
            }
            Some(log_chunk::Body::End(end)) => {
                log.compare(&end.history_hash).unwrap();
                ended = true;
            }
            None => {}
        }
    }
    assert!(ended, "the log breaks off");
    log
}

#[tokio::test]
async fn a_leader_killed_under_binary_load_loses_no_answer_and_doubles_nothing() {
    let (mut group, old) = prepared().await;
    // Two accounts, for one does not trade with itself.
    let other = control_request::Body::OpenAccount(OpenAccount {
        account: 8,
        cash: 1_000_000_000_000,
        positions: vec![Position {
            symbol: 600_000,
            quantity: 1_000_000,
        }],
    });
    group.control(old, other).await;
    let doors: Vec<_> = group.ports.iter().map(|ports| ports[3]).collect();
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..SESSIONS)
        .map(|n| {
            let (doors, answered) = (doors.clone(), answered.clone());
            std::thread::spawn(move || {
                let client = Client::new(100 + n, 7 + n % 2, doors);
                client.trade(REQUESTS, IN_FLIGHT, |done| {
                    answered.fetch_add(done, Ordering::Relaxed);
                })
            })
        })
        .collect();
    // In the middle of it, by what was answered and not by a clock.
    let half = (SESSIONS * REQUESTS / 2) as usize;
    group
        .wait_for("half of the answers", async |_| {
            (answered.load(Ordering::Relaxed) >= half).then_some(())
        })
        .await;
    group.kill(old);
    let new = group.leader().await;
    let mut logons = 0;
    let mut histories = Vec::new();
    for client in clients {
        let done = tokio::task::spawn_blocking(|| client.join().unwrap());
        let done = done.await.unwrap();
        logons += done.logons;
        histories.push(History {
            client: format!("client-{}", histories.len()),
            records: done.records,
            torn_lines: 0,
        });
    }
    assert!(logons > SESSIONS, "nobody had to log on again");
    let log = log_of(&group, new).await;
    let verdict = check(&log, &histories);
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!(verdict.acknowledged, SESSIONS * REQUESTS);
    group.start_replica(old);
    group.wait_for_equal_states().await;
}

#[tokio::test]
async fn a_follower_says_who_leads_and_ends() {
    let (group, leader) = prepared().await;
    let follower = (1..=3).find(|replica| *replica != leader).unwrap();
    let mut wire = Wire::connect(group.ports[follower - 1][3], PATIENCE).unwrap();
    wire.log_on(7, 7, 0);
    let told = wire.next(|said| match said {
        Said::End { code, text } => Some((*code, (*text).to_owned())),
        _ => None,
    });
    let (code, text) = told.unwrap();
    assert_eq!(code, EndCode::NotServing);
    assert!(text.contains(&format!("replica {leader}")), "{text}");
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_consumes_no_number() {
    let (group, leader) = prepared().await;
    let mut wire = Wire::connect(group.ports[leader - 1][3], PATIENCE).unwrap();
    wire.log_on(7, 7, 0);
    let next = wire.logged_on().unwrap();
    assert_eq!(next, ClientSeq(1));
    let mut order = binary_client::order(1);
    // The side.
    order[72] = 9;
    wire.send(&order).unwrap();
    let told = wire.next(|said| match said {
        Said::BadRequest {
            client_seq, field, ..
        } => Some((*client_seq, (*field).to_owned())),
        _ => None,
    });
    assert_eq!(told.unwrap(), (1, "new_order.side".to_owned()));
    wire.send(&binary_client::order(1)).unwrap();
    assert_eq!(wire.answer().unwrap(), ClientSeq(1));
    // And what is no frame at all ends the connection, with the reason.
    wire.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let told = wire.next(|said| match said {
        Said::End { code, text } => Some((*code, (*text).to_owned())),
        _ => None,
    });
    let (code, text) = told.unwrap();
    assert_eq!(code, EndCode::NotAFrame);
    assert!(text.contains("version 32"), "{text}");
}

#[tokio::test]
async fn a_second_logon_takes_the_session_over_and_has_missed_reports_replayed() {
    let (group, leader) = prepared().await;
    let door = group.ports[leader - 1][3];
    let mut first = Wire::connect(door, PATIENCE).unwrap();
    first.log_on(7, 7, 0);
    first.logged_on().unwrap();
    first.send(&binary_client::order(1)).unwrap();
    first.answer().unwrap();
    let mut second = Wire::connect(door, PATIENCE).unwrap();
    second.log_on(7, 7, 0);
    assert_eq!(second.logged_on().unwrap(), ClientSeq(2));
    let again = second.next(|said| match said {
        Said::Report(head, _) => Some(head.possible_duplicate),
        _ => None,
    });
    assert!(again.unwrap());
    let told = first.next(|said| match said {
        Said::End { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(told.unwrap(), EndCode::TakenOver);
}

#[tokio::test]
async fn the_client_session_goes_on_through_the_loss_of_the_leader() {
    let (mut group, old) = prepared().await;
    let entries: Vec<String> = group
        .ports
        .iter()
        .map(|ports| format!("127.0.0.1:{}", ports[3]))
        .collect();
    let options = SessionOptions {
        session: SessionId(7),
        account: AccountId(7),
        in_flight_max: 4,
        seed: 1,
        timing: Timing::default(),
    };
    let mut session = OrderSession::binary(options, &entries, 0).unwrap();
    let (mut sent, mut answered) = (0, BTreeSet::new());
    let all = timeout(PATIENCE, async {
        while answered.len() < 100 {
            match session.next().await {
                Event::Report {
                    answers: Some(number),
                    ..
                } => {
                    assert!(answered.insert(number), "{number} was answered twice");
                    if answered.len() == 50 {
                        group.kill(old);
                    }
                }
                Event::Ended { reason } => panic!("ended: {reason}"),
                _ => {}
            }
            if session.in_flight() == 0 && session.is_logged_on() {
                sent += 1;
                let original = ClOrdId::new(&format!("S{sent}")).unwrap();
                session.submit(Request::Status { original }).unwrap();
            }
        }
    });
    all.await.unwrap();
    assert!(session.counters().logons > 1);
}
