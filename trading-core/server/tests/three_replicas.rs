//! Three real processes on loopback, real sockets, real disks; killed with SIGKILL.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;

use group::{Group, PATIENCE, prepared};
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{
    LoadRules, ReadLogRequest, TransferLeaderRequest, control_request, log_chunk,
};
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::server_message::Body as Answered;
use protocol::order::{
    ClientMessage, Logon, NewOrder, ServerMessage, Side, client_message, report,
};
use rules::Holiday;
use std::path::Path;
use std::process;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use types::{Board, Command, Control, Phase, PhaseScope, TradingDay, decode_batch};

struct Session {
    sender: mpsc::Sender<ClientMessage>,
    answers: Streaming<ServerMessage>,
    next_client_seq: u64,
}

impl Session {
    async fn log_on(group: &Group, leader: usize, account: u64) -> Self {
        let logon = Logon {
            session: account,
            account,
            ..Logon::default()
        };
        Self::log_on_by(group, leader, logon).await
    }

    async fn log_on_by(group: &Group, leader: usize, logon: Logon) -> Self {
        let mut client = OrderEntryClient::new(group.channel(leader).await.unwrap());
        let (sender, receiver) = mpsc::channel(1_024);
        let message = ClientMessage {
            client_seq: 0,
            body: Some(client_message::Body::Logon(logon)),
        };
        sender.send(message).await.unwrap();
        let answers = client.trade(ReceiverStream::new(receiver)).await.unwrap();
        let mut session = Self {
            sender,
            answers: answers.into_inner(),
            next_client_seq: 0,
        };
        match session.next().await {
            Answered::LogonAck(ack) => session.next_client_seq = ack.next_client_seq,
            other => panic!("not logged on: {other:?}"),
        }
        session
    }

    async fn next(&mut self) -> Answered {
        loop {
            let message = timeout(PATIENCE, self.answers.message()).await.unwrap();
            match message.unwrap().unwrap().body.unwrap() {
                Answered::Heartbeat(_) => {}
                body => return body,
            }
        }
    }

    async fn send(&mut self, client_seq: u64, cl_ord_id: &str, price: i64) {
        let order = client_message::Body::NewOrder(NewOrder {
            cl_ord_id: cl_ord_id.into(),
            symbol: 600_000,
            side: Side::Buy.into(),
            quantity: 100,
            price: Some(price),
            ..NewOrder::default()
        });
        let message = ClientMessage {
            client_seq,
            body: Some(order),
        };
        self.sender.send(message).await.unwrap();
    }

    /// Sends an order and gives back its number in the shard.
    async fn order(&mut self, cl_ord_id: &str) -> u64 {
        let client_seq = self.next_client_seq;
        self.next_client_seq += 1;
        self.send(client_seq, cl_ord_id, 100_000).await;
        self.accepted().await
    }

    async fn accepted(&mut self) -> u64 {
        match self.next().await {
            Answered::Report(report) => match report.body.unwrap() {
                report::Body::Accepted(accepted) => accepted.order_id,
                other => panic!("not accepted: {other:?}"),
            },
            other => panic!("no report: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_killed_leader_loses_no_answered_order_and_doubles_none() {
    let (mut group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    let mut numbers = Vec::new();
    for n in 0..150 {
        numbers.push(session.order(&format!("A{n}")).await);
    }
    let unanswered = session.next_client_seq;
    session.send(unanswered, "LAST", 100_000).await;
    let epoch = group.status(old).await.unwrap().epoch;
    group.kill(old);

    let new = group.leader().await;
    assert_ne!(new, old);
    let status = group.status(new).await.unwrap();
    assert!(status.epoch > epoch);
    assert_eq!(status.elections[0].previous_leader, old as u64);
    let mut session = Session::log_on(&group, new, 7).await;
    // Whether the last one got through or not: sent again with its number it takes effect once.
    session.send(unanswered, "LAST", 100_000).await;
    let first = session.accepted().await;
    session.send(unanswered, "LAST", 100_000).await;
    assert_eq!(session.accepted().await, first);

    let mut admin = AdminClient::new(group.channel(new).await.unwrap());
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    let mut log = admin.read_log(request).await.unwrap().into_inner();
    let mut ended = false;
    while let Some(chunk) = log.message().await.unwrap() {
        ended = matches!(chunk.body, Some(log_chunk::Body::End(_)));
    }
    assert!(ended, "the log breaks off");

    // The old leader comes back as a follower, from its own disk, and catches up.
    group.start_replica(old);
    group.wait_for_equal_states().await;
    assert!(group.status(new).await.unwrap().serving);
    let counters = group.status(old).await.unwrap().counters.unwrap();
    assert_eq!(counters.orders_accepted, numbers.len() as u64 + 1);
}

/// Its connection ended with the leader that held it, which could not say so any more.
#[tokio::test]
async fn a_session_that_does_not_return_to_the_new_leader_loses_its_orders_as_it_asked() {
    let (mut group, old) = prepared().await;
    let logon = Logon {
        session: 7,
        account: 7,
        cancel_on_disconnect_ms: Some(200),
        ..Logon::default()
    };
    let mut leaves = Session::log_on_by(&group, old, logon).await;
    leaves.order("LEAVES").await;
    group.kill(old);
    let new = group.leader().await;
    // No traffic carries the time: the leader's own clock has to.
    group
        .wait_for("no open order", async |group| {
            let counters = group.status(new).await?.counters?;
            (counters.orders_accepted == 1 && counters.open_orders == 0).then_some(())
        })
        .await;
}

/// The shipped rules, with a calendar on which every day is a holiday.
fn rules_of_closed_days() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    let mut rules = rules_file::read(&files).unwrap();
    let (from, to) = (TradingDay(20_260_101), TradingDay(20_991_231));
    rules.calendar.from = from;
    rules.calendar.to = to;
    rules.calendar.holidays = vec![Holiday {
        name: "all".into(),
        from,
        to,
    }];
    rules::encode(&rules).unwrap()
}

#[tokio::test]
async fn a_running_leader_moves_the_market_to_the_phase_of_the_calendar() {
    let (group, leader) = prepared().await;
    let mut session = Session::log_on(&group, leader, 7).await;
    session.order("OPEN").await;
    let document = rules_of_closed_days();
    let load = control_request::Body::LoadRules(LoadRules { document });
    group.control(leader, load).await;
    let closed = Command::Control(Control::SetPhase {
        scope: PhaseScope::Board(Board::ShanghaiMain),
        phase: Phase::Closed,
    });
    group
        .wait_for("the market's close in the log", async |group| {
            let commands = logged(group, leader).await;
            commands.contains(&closed).then_some(())
        })
        .await;
    session.send(session.next_client_seq, "LATE", 100_000).await;
    match session.next().await {
        Answered::Report(report) => match report.body.unwrap() {
            report::Body::Rejected(rejected) => assert_eq!(rejected.code, 801, "{rejected:?}"),
            other => panic!("not rejected: {other:?}"),
        },
        other => panic!("no report: {other:?}"),
    }
    // Once is enough: what is done is not due again.
    let twice = logged(&group, leader).await;
    let twice = twice.iter().filter(|command| **command == closed);
    assert_eq!(twice.count(), 1);
}

/// All commands that a replica's log still has.
async fn logged(group: &Group, replica: usize) -> Vec<Command> {
    let mut admin = AdminClient::new(group.channel(replica).await.unwrap());
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    let mut log = admin.read_log(request).await.unwrap().into_inner();
    let mut commands = Vec::new();
    while let Some(chunk) = log.message().await.unwrap() {
        if let Some(log_chunk::Body::Entry(entry)) = chunk.body
            && let Ok(batch) = decode_batch(&entry.batch)
        {
            commands.extend(batch.commands);
        }
    }
    commands
}

#[tokio::test]
async fn a_leader_asked_to_stop_hands_over_first() {
    let (mut group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    session.order("BEFORE").await;
    let asked = Instant::now();
    assert!(group.terminate(old).success());
    let ended = asked.elapsed();
    let new = group.leader().await;
    let election = group.status(new).await.unwrap().elections[0];
    assert!(election.planned, "{election:?}");
    assert!(ended < Duration::from_secs(5), "{ended:?}");
    let mut session = Session::log_on(&group, new, 7).await;
    session.order("AFTER").await;
}

#[tokio::test]
async fn leadership_moves_when_asked_and_streams_end() {
    let (group, old) = prepared().await;
    let mut session = Session::log_on(&group, old, 7).await;
    session.order("BEFORE").await;
    let to = if old == 3 { 1 } else { 3 };
    let mut admin = AdminClient::new(group.channel(old).await.unwrap());
    let request = TransferLeaderRequest {
        to: to as u64,
        timeout_ms: 0,
    };
    let moved = admin.transfer_leader(request).await.unwrap().into_inner();
    assert_eq!(moved.leader, to as u64);
    // Heartbeats may still be on their way; then the stream ends with the reason.
    let ended = timeout(PATIENCE, async {
        loop {
            match session.answers.message().await {
                Ok(Some(_)) => {}
                other => return other.unwrap_err(),
            }
        }
    });
    assert_eq!(ended.await.unwrap().code(), tonic::Code::Unavailable);
    let refused = admin.transfer_leader(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test]
async fn a_follower_with_an_empty_disk_is_rebuilt_from_a_snapshot() {
    let (mut group, leader) = prepared().await;
    let away = (1..=3).find(|replica| *replica != leader).unwrap();
    group.kill(away);
    std::fs::remove_dir_all(group.folder.path().join(format!("data-{away}"))).unwrap();
    let mut session = Session::log_on(&group, leader, 7).await;
    for n in 0..400 {
        session.order(&format!("A{n}")).await;
    }
    group.start_replica(away);
    group.wait_for_equal_states().await;
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let (group, _) = prepared().await;
    let config = group.folder.path().join("replica-1.json");
    let mut second: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    for door in ["replication", "orders", "http", "binary"] {
        second["listen"][door] = "127.0.0.1:0".into();
    }
    let path = group.folder.path().join("second.json");
    std::fs::write(&path, second.to_string()).unwrap();
    let output = process::Command::new(env!("CARGO_BIN_EXE_trading-core"))
        .args(["replica", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("another process runs on this data directory"),
        "{said}"
    );
}
