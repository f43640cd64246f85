//! Two shards of three real replicas each on one machine, one entry in front of both: orders find
//! their shard, a shard without a leader is nobody else's trouble, and funds move between the two
//! exactly once, whatever dies on the way.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;

use client::session::{EndReason, Event, SessionOptions, Timing};
use client::{OrderSession, ShardedSession};
use group::{Gateway, Group, PATIENCE};
use history::Log;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{DefineSymbol, OpenAccount, ReadLogRequest, control_request, log_chunk};
use protocol::order::report::Body;
use protocol::order_entry::WRONG_SHARD_CODE;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tokio::time::timeout;
use types::{
    AccountId, ClOrdId, Epoch, LogIndex, NewOrder, Price, Quantity, Request, SessionId, ShardId,
    Side, SymbolId, shard_of,
};

const SHARDS: [ShardId; 2] = [ShardId(1), ShardId(2)];
/// Of two shards, the first is the first one's and the second the second one's.
const SYMBOLS: [SymbolId; 2] = [SymbolId(300_750), SymbolId(600_000)];
const ACCOUNT: AccountId = AccountId(7);
const CASH: i64 = 1_000_000_000_000;

/// One shard: three replicas, its own symbol, and the account.
async fn shard(place: usize) -> Group {
    let number = SHARDS[place].0;
    let group = Group::start_with(1_000_000, serde_json::json!({"shard": number}));
    let leader = group.leader().await;
    let symbol = control_request::Body::DefineSymbol(DefineSymbol {
        symbol: SYMBOLS[place].0,
        tick: 100,
        lot: 100,
        limit_down: 90_000,
        limit_up: 110_000,
        ..DefineSymbol::default()
    });
    group.control(leader, symbol).await;
    let account = control_request::Body::OpenAccount(OpenAccount {
        account: ACCOUNT.0,
        cash: CASH,
        positions: Vec::new(),
    });
    group.control(leader, account).await;
    group
}

async fn both() -> [Group; 2] {
    let (first, second) = tokio::join!(shard(0), shard(1));
    [first, second]
}

fn options() -> SessionOptions {
    SessionOptions {
        session: SessionId(70),
        account: ACCOUNT,
        in_flight_max: 64,
        seed: 1,
        timing: Timing::default(),
    }
}

fn order(symbol: SymbolId, number: usize) -> Request {
    let id = ClOrdId::new(&format!("S{}-{number}", symbol.0)).unwrap();
    let (quantity, price) = (Quantity(100), Price(100_000));
    Request::New(NewOrder::limit(id, symbol, Side::Buy, quantity, price))
}

#[test]
fn the_two_symbols_belong_to_the_two_shards() {
    assert_eq!(
        SYMBOLS.map(|it| shard_of(it, &SHARDS)),
        SHARDS.map(Some),
        "the tests here need a symbol of each"
    );
}

/// What one client saw of each shard.
#[derive(Default)]
struct Seen {
    sent: [usize; 2],
    answered: [BTreeSet<u64>; 2],
    /// Times that the first shard's entry was lost after its leader's death.
    entries_lost: u32,
    /// Orders that the second shard answered while the first could have no leader.
    answered_meanwhile: usize,
}

#[tokio::test]
async fn orders_of_both_shards_flow_through_one_entry_though_one_shard_loses_its_leader() {
    const ORDERS: usize = 40;
    /// Orders of the second shard that are answered while the first has no leader.
    const MEANWHILE: usize = 10;
    let [mut first, second] = both().await;
    let old = first.leader().await;
    let stopped = old % 3 + 1;
    let gateway = Gateway::in_front_of(&[(1, &first), (2, &second)]);
    let entries = [gateway.address.clone()];
    let mut session = ShardedSession::new(&options(), &SHARDS, &entries, 0).unwrap();
    let mut seen = Seen::default();
    let mut has_killed = false;
    let mut is_leaderless = false;
    let all = timeout(3 * PATIENCE, async {
        // The second goes on for as long as the first needs.
        while is_leaderless || seen.answered.iter().any(|it| it.len() < ORDERS) {
            let (shard, event) = session.next().await;
            let place = usize::from(shard.0 - 1);
            match event {
                Event::Report {
                    report,
                    answers: Some(_),
                    ..
                } => {
                    let Some(Body::Accepted(accepted)) = report.body else {
                        panic!("not accepted: {report:?}");
                    };
                    let is_new = seen.answered[place].insert(accepted.order_id);
                    assert!(is_new, "an order number came twice");
                    assert!(place == 1 || !is_leaderless, "it had no quorum");
                    seen.answered_meanwhile += usize::from(is_leaderless);
                }
                Event::EntryLost { .. } => {
                    seen.entries_lost += u32::from(has_killed && place == 0);
                }
                Event::Ended { reason } => panic!("shard {shard} ended: {reason}"),
                Event::Report { .. } | Event::LoggedOn { .. } | Event::SentAgain { .. } => {}
            }
            if !has_killed && seen.answered[0].len() >= ORDERS / 2 {
                first.kill(old);
                // With one of the others stopped nobody can be elected, however fast it would be.
                first.pause(stopped);
                (has_killed, is_leaderless) = (true, true);
            }
            if is_leaderless && seen.answered_meanwhile >= MEANWHILE {
                first.resume(stopped);
                is_leaderless = false;
            }
            let idle: Vec<ShardId> = (session.sessions())
                .filter(|(_, session)| session.is_logged_on() && session.in_flight() == 0)
                .map(|(shard, _)| shard)
                .collect();
            for shard in idle {
                let place = usize::from(shard.0 - 1);
                let symbol = SYMBOLS[place];
                let submitted = session.submit(symbol, order(symbol, seen.sent[place]));
                assert_eq!(submitted.unwrap().0, shard, "by its symbol");
                seen.sent[place] += 1;
            }
        }
    });
    let ended = all.await;
    let log = std::fs::read_to_string(first.folder.path().join("log-gateway")).unwrap();
    let answered = seen.answered.each_ref().map(BTreeSet::len);
    assert!(ended.is_ok(), "only {answered:?} answered\n{log}");
    assert!(
        has_killed && seen.entries_lost > 0,
        "it was to lose its leader"
    );
    // What was sent and not answered yet is in flight, one a shard at most.
    first.start_replica(old);
    for (place, group) in [&first, &second].into_iter().enumerate() {
        group.wait_for_equal_states().await;
        let log = replayed(group).await;
        for number in 0..answered[place] {
            let Request::New(new) = order(SYMBOLS[place], number) else {
                unreachable!("order() makes new orders");
            };
            assert_eq!(
                log.times_accepted(ACCOUNT, new.cl_ord_id),
                1,
                "order {number}"
            );
        }
        let elsewhere = log.state().symbol(SYMBOLS[1 - place]);
        assert_eq!(elsewhere, None, "a symbol trades on one shard");
        log.state().check_conservation().unwrap();
    }
}

/// How a session ends that asks for what it may not.
async fn end_of(mut session: OrderSession, request: Option<Request>) -> EndReason {
    let ended = timeout(PATIENCE, async {
        loop {
            match session.next().await {
                Event::LoggedOn { .. } => {
                    session
                        .submit(request.expect("no logon was expected"))
                        .unwrap();
                }
                Event::Ended { reason } => return reason,
                _ => {}
            }
        }
    });
    ended.await.unwrap()
}

#[tokio::test]
async fn a_stream_without_its_shard_and_an_order_on_the_wrong_one_are_refused() {
    let [first, second] = both().await;
    let gateway = Gateway::in_front_of(&[(1, &first), (2, &second)]);
    let through = |entry: String| OrderSession::new(options(), &[entry], 0).unwrap();
    let refused = |reason: &EndReason| match reason {
        EndReason::LogonRefused { code, text, .. } => (*code, text.clone()),
        EndReason::Unreadable { .. } => panic!("{reason}"),
    };
    let unnamed = end_of(through(gateway.address.clone()), None).await;
    let (code, text) = refused(&unnamed);
    assert_eq!(code, WRONG_SHARD_CODE);
    assert!(text.contains("must name one of 1, 2"), "{text}");
    // A replica refuses by itself what a gateway with wrong addresses would bring it.
    let orders = format!("127.0.0.1:{}", first.ports[first.leader().await - 1][1]);
    let strange = end_of(through(orders).of_shard(ShardId(2)), None).await;
    let (code, text) = refused(&strange);
    assert_eq!(code, WRONG_SHARD_CODE);
    assert!(text.contains("this is shard 1"), "{text}");
    let session = through(gateway.address.clone()).of_shard(ShardId(1));
    let misplaced = end_of(session, Some(order(SYMBOLS[1], 1))).await;
    let EndReason::Unreadable { field, text, .. } = misplaced else {
        panic!("{misplaced}");
    };
    assert_eq!(field, "new_order.symbol");
    assert!(text.contains("belongs to shard 2"), "{text}");
    let log = replayed(&first).await;
    assert_eq!(log.requests(), 0, "it was not carried");
}

/// The leader's log, replayed from its first entry and held against the leader's own hash.
async fn replayed(group: &Group) -> Log {
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

/// What both shards hold: the account's cash on each, and what is under way from the first.
async fn funds(shards: &[Group; 2]) -> ([i64; 2], Vec<i64>) {
    let mut cash = [0; 2];
    let mut under_way = Vec::new();
    for (place, group) in shards.iter().enumerate() {
        let log = replayed(group).await;
        log.state().check_conservation().unwrap();
        cash[place] = log.state().account(ACCOUNT).unwrap().cash.0;
        under_way.extend(log.state().transfers_under_way().map(|it| it.amount.0));
    }
    (cash, under_way)
}

/// The program that moves funds, as an operator runs it.
struct Movers {
    config: PathBuf,
}

impl Movers {
    fn new(folder: &Path, shards: &[Group; 2]) -> Self {
        let addresses = |group: &Group| -> Vec<String> {
            let each = group.ports.iter();
            each.map(|ports| format!("127.0.0.1:{}", ports[1]))
                .collect()
        };
        let shards: Vec<serde_json::Value> = (SHARDS.iter().zip(shards))
            .map(|(shard, group)| serde_json::json!({"shard": shard.0, "replicas": addresses(group)}))
            .collect();
        let config = folder.join("shards.json");
        let text = serde_json::json!({"cluster": "test", "shards": shards}).to_string();
        std::fs::write(&config, text).unwrap();
        Self { config }
    }

    fn start(&self, transfer: u64, amount_yuan: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_trading-core"))
            .args(["move-funds", "--from-shard", "1", "--to-shard", "2"])
            .args(["--account", "7", "--amount-yuan", amount_yuan])
            .args(["--transfer", &transfer.to_string(), "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    async fn run(&self, transfer: u64, amount_yuan: &str) -> Output {
        let child = self.start(transfer, amount_yuan);
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        timeout(2 * PATIENCE, ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    /// Runs to the end; gives how many records that took.
    async fn finish(&self, transfer: u64, amount_yuan: &str) -> u64 {
        let output = self.run(transfer, amount_yuan).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        let moved: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(moved["transfer"], transfer);
        moved["records"].as_u64().unwrap()
    }

    /// What is under way from the first shard.
    async fn list(&self) -> serde_json::Value {
        let listing = tokio::process::Command::new(env!("CARGO_BIN_EXE_trading-core"))
            .args(["list-transfers", "--from-shard", "1", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .output();
        let output = timeout(2 * PATIENCE, listing).await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts it and kills it as soon as it says `word` of `step`.
    fn kill_at(&self, transfer: u64, word: &str, step: &str) {
        let mut child = self.start(transfer, "5");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.find(|line| {
            let line: serde_json::Value = serde_json::from_str(line.as_ref().unwrap()).unwrap();
            let fields = &line["fields"];
            fields["message"] == word && fields["step"] == step
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said.is_some(), "it never said {word} of {step}");
    }
}

const FIVE_YUAN: i64 = 50_000;

#[tokio::test]
async fn funds_move_exactly_once_though_the_mover_dies_at_each_step() {
    let shards = both().await;
    let folder = tempfile::tempdir().unwrap();
    let movers = Movers::new(folder.path(), &shards);
    assert_eq!(movers.finish(1, "5").await, 3, "out, in, done");
    assert_eq!(movers.finish(1, "5").await, 0, "it is over");
    let (words, steps) = (["sending", "committed"], ["begin", "deliver", "end"]);
    let points = steps
        .iter()
        .flat_map(|step| words.map(|word| (word, *step)));
    let mut moved = FIVE_YUAN;
    for (transfer, (word, step)) in (2..).zip(points) {
        movers.kill_at(transfer, word, step);
        // Wherever it was: what has left and not arrived is under way, and nothing else is missing.
        let (cash, under_way) = funds(&shards).await;
        let left = CASH - cash[0];
        assert!([moved, moved + FIVE_YUAN].contains(&left), "{word} {step}");
        let arrived = cash[1] - CASH;
        let missing = left - arrived;
        assert!(
            missing == 0 || under_way == [missing],
            "{word} {step}: {under_way:?}"
        );
        movers.finish(transfer, "5").await;
        moved += FIVE_YUAN;
        let expected = ([CASH - moved, CASH + moved], Vec::new());
        assert_eq!(funds(&shards).await, expected, "{word} {step}");
    }
    let another = movers.run(3, "6").await;
    let told = String::from_utf8(another.stderr).unwrap();
    assert!(
        !another.status.success() && told.contains("is another movement"),
        "{told}"
    );
    let too_much = movers.run(100, "100000000.0001").await;
    let told = String::from_utf8(too_much.stderr).unwrap();
    assert!(
        !too_much.status.success() && told.contains("refused to begin"),
        "{told}"
    );
    assert_eq!(funds(&shards).await.0.iter().sum::<i64>(), 2 * CASH);
    // The number that was refused is free, for nothing began under it.
    assert_eq!(movers.finish(100, "5").await, 3);
}

/// Puts a record into a shard's log by hand, as a mover that died behind it had.
async fn put(group: &Group, body: control_request::Body) {
    group.control(group.leader().await, body).await;
}

#[tokio::test]
async fn a_movement_is_taken_up_behind_every_step_and_through_the_loss_of_both_leaders() {
    use protocol::admin::{TransferIn, TransferOut};
    let mut shards = both().await;
    let folder = tempfile::tempdir().unwrap();
    let movers = Movers::new(folder.path(), &shards);
    let out = |transfer| {
        control_request::Body::TransferOut(TransferOut {
            transfer,
            account: ACCOUNT.0,
            amount: FIVE_YUAN,
            to_shard: 2,
        })
    };
    let into = |transfer| {
        control_request::Body::TransferIn(TransferIn {
            transfer,
            account: ACCOUNT.0,
            amount: FIVE_YUAN,
            from_shard: 1,
        })
    };
    put(&shards[0], out(1)).await;
    let listed = movers.list().await;
    assert_eq!(listed["next_transfer"], 2);
    let under_way = serde_json::json!([
        {"transfer": 1, "account": ACCOUNT.0, "amount": FIVE_YUAN, "to_shard": 2},
    ]);
    assert_eq!(listed["under_way"], under_way);
    assert_eq!(movers.finish(1, "5").await, 2, "in, done");
    put(&shards[0], out(2)).await;
    put(&shards[1], into(2)).await;
    assert_eq!(movers.finish(2, "5").await, 1, "done");
    // A leader of each shard dies with a movement on its way, and the mover is run against both.
    put(&shards[0], out(3)).await;
    let mut killed = BTreeMap::new();
    for (place, group) in shards.iter_mut().enumerate() {
        let leader = group.leader().await;
        group.kill(leader);
        killed.insert(place, leader);
    }
    assert_eq!(movers.finish(3, "5").await, 2);
    // Late copies of what was sent before: each shard knows it, or refuses it.
    put(&shards[1], into(3)).await;
    for (place, leader) in killed {
        shards[place].start_replica(leader);
        shards[place].wait_for_equal_states().await;
    }
    let moved = 3 * FIVE_YUAN;
    let expected = ([CASH - moved, CASH + moved], Vec::new());
    assert_eq!(funds(&shards).await, expected);
}
