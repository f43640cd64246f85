//! The leader's market over real multicast on loopback: what a reader has is what the log says, also
//! after the leader was killed or froze, and it is told which streams there were.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;
mod trader;

use group::{Group, PATIENCE, prepare};
use marketdata::level2::{Effect, Freshness, Ladder, Receiver, ReceiverSettings};
use marketdata::{MarketEvent, TrackerSettings, Trade};
use marketdata_udp::{
    Groups, Interface, Metrics, Observed, ReceiveOptions, check_multicast, receive,
};
use protocol::order::Side;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::{CancellationToken, DropGuard};
use trader::{Trader, logged, open_account};
use types::SymbolId;

const SYMBOL: SymbolId = SymbolId(600_000);

/// A port of this test's own: two on one machine must not hear each other.
fn groups() -> Groups {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let group = |last| SocketAddrV4::new(Ipv4Addr::new(239, 192, 79, last), port);
    Groups {
        incremental: [group(1), group(2)],
        snapshot: [group(3), group(4)],
    }
}

/// Fails, and says why, where loopback has no multicast: without it nothing here is tested.
async fn needs_multicast(groups: Groups) {
    check_multicast(groups.incremental[0], Interface::default())
        .await
        .expect("this test needs multicast on loopback");
}

/// What a reader has heard.
#[derive(Debug, Default)]
struct Heard {
    ladder: Option<Ladder>,
    epochs: Vec<u64>,
    trades: Vec<Trade>,
}

struct Reader {
    heard: Arc<Mutex<Heard>>,
    _stop: DropGuard,
}

impl Reader {
    fn start(groups: Groups) -> Self {
        let options = ReceiveOptions {
            groups,
            interface: Interface::default(),
            settings: ReceiverSettings::default(),
            tracker: TrackerSettings::default(),
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stop = CancellationToken::new();
        let (seen, metrics) = (heard.clone(), Arc::new(Metrics::new().unwrap()));
        let observe = move |receiver: &Receiver, observed: Observed<'_>| {
            let mut heard = seen.lock().unwrap();
            match observed {
                Observed::Effect(Effect::StreamBegan(stream)) => heard.epochs.push(stream.epoch.0),
                Observed::Effect(Effect::Traded(trade)) => heard.trades.push(*trade),
                Observed::Unreadable(error) => panic!("{error}"),
                _ => {}
            }
            let view = receiver.view(SYMBOL);
            let good = view.filter(|view| view.freshness == Freshness::Good);
            heard.ladder = good.map(|view| view.ladder.clone());
        };
        tokio::spawn(receive(options, metrics, stop.clone(), observe));
        Self {
            heard,
            _stop: stop.drop_guard(),
        }
    }
}

/// A group whose leader publishes, with accounts 7 and 8.
async fn publishing(groups: Groups) -> Group {
    let extra = serde_json::json!({"market_data": {
        "incremental": groups.incremental, "snapshot": groups.snapshot,
        "interface": "127.0.0.1", "snapshot_interval_ms": 200,
    }});
    let (group, _) = prepare(Group::start_with(1_000_000, extra)).await;
    open_account(&group, 8).await;
    group
}

/// Buys and sells: each pair trades once and leaves one order.
async fn trade(group: &Group, round: i64) {
    let mut buyer = Trader::log_on(group, 7).await;
    let mut seller = Trader::log_on(group, 8).await;
    for number in 0..5 {
        let price = 100_000 + 100 * number;
        buyer
            .order(&format!("B{round}-{number}"), Side::Buy, price)
            .await;
        seller
            .order(&format!("S{round}-{number}"), Side::Sell, price)
            .await;
        let (below, above) = (
            98_000 - 100 * (round + number),
            104_000 + 100 * (round * number),
        );
        buyer
            .order(&format!("b{round}-{number}"), Side::Buy, below)
            .await;
        seller
            .order(&format!("s{round}-{number}"), Side::Sell, above)
            .await;
    }
}

/// Waits until a reader has the book of the log, said to be good, and every trade once.
async fn wait_for_the_truth(group: &Group, reader: &Reader) {
    let (mut market, _) = logged(group).await;
    let ladder = market.ladder(SYMBOL);
    assert!(ladder.as_ref().is_some_and(|it| it.len() > 5));
    let mut events = Vec::new();
    market.take(&mut events);
    let trades = events.iter().filter_map(|event| match event {
        MarketEvent::Trade(trade) => Some(*trade),
        _ => None,
    });
    let trades: Vec<Trade> = trades.collect();
    group
        .wait_for("a reader with the book and trades of the log", async |_| {
            let heard = reader.heard.lock().unwrap();
            (heard.ladder == ladder && heard.trades.len() >= trades.len()).then_some(())
        })
        .await;
    assert_eq!(reader.heard.lock().unwrap().trades, trades);
}

async fn metric(group: &Group, replica: usize, name: &str) -> Option<u64> {
    let address = ("127.0.0.1", group.ports[replica - 1][2]);
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(&format!("{name} "))?.parse().ok())
}

#[tokio::test]
async fn a_reader_has_the_book_and_the_trades_of_the_log_and_one_who_comes_late_the_book() {
    let groups = groups();
    needs_multicast(groups).await;
    let group = publishing(groups).await;
    let reader = Reader::start(groups);
    group
        .wait_for("a stream", async |_| {
            let heard = reader.heard.lock().unwrap();
            heard.ladder.as_ref().map(|_| ())
        })
        .await;
    trade(&group, 0).await;
    wait_for_the_truth(&group, &reader).await;
    assert_eq!(reader.heard.lock().unwrap().epochs.len(), 1);

    let late = Reader::start(groups);
    let ladder = reader.heard.lock().unwrap().ladder.clone();
    group
        .wait_for("the book at a reader who came late", async |_| {
            (late.heard.lock().unwrap().ladder == ladder).then_some(())
        })
        .await;

    let leader = group.leader().await;
    for replica in 1..=3 {
        let packets = "trading_core_market_data_incremental_packets_total";
        let packets = metric(&group, replica, packets).await.unwrap();
        assert_eq!(
            packets > 0,
            replica == leader,
            "replica {replica}: {packets}"
        );
    }
}

#[tokio::test]
async fn a_killed_leader_costs_a_reader_a_new_stream_and_no_trade_lost_or_twice() {
    let groups = groups();
    needs_multicast(groups).await;
    let mut group = publishing(groups).await;
    let reader = Reader::start(groups);
    group
        .wait_for("a stream", async |_| {
            let heard = reader.heard.lock().unwrap();
            heard.ladder.as_ref().map(|_| ())
        })
        .await;
    for round in 0..3 {
        trade(&group, round).await;
        let old = group.leader().await;
        // At once: what was acknowledged may not have been published yet.
        group.kill(old);
        let new = group.leader().await;
        assert_ne!(new, old);
        wait_for_the_truth(&group, &reader).await;
        group.start_replica(old);
        group.wait_for_equal_states().await;
    }
    let epochs = reader.heard.lock().unwrap().epochs.clone();
    assert!(epochs.len() >= 4, "{epochs:?}");
    assert!(epochs.windows(2).all(|two| two[0] < two[1]), "{epochs:?}");
}

#[tokio::test]
async fn a_leader_that_froze_publishes_no_more_when_it_goes_on() {
    let groups = groups();
    needs_multicast(groups).await;
    let mut group = publishing(groups).await;
    let reader = Reader::start(groups);
    trade(&group, 0).await;
    let old = group.leader().await;
    group.pause(old);
    let new = tokio::time::timeout(PATIENCE, async {
        loop {
            let others = (1..=3).filter(|replica| *replica != old);
            for replica in others {
                if group.status(replica).await.is_some_and(|it| it.serving) {
                    return replica;
                }
            }
        }
    });
    let new = new.await.unwrap();
    group.resume(old);
    group
        .wait_for("the old stream's end", async |group| {
            let epoch = "trading_core_market_data_epoch";
            let (ended, begun) = (
                metric(group, old, epoch).await?,
                metric(group, new, epoch).await?,
            );
            (ended == 0 && begun > 0).then_some(())
        })
        .await;
    group.kill(old);
    trade(&group, 1).await;
    wait_for_the_truth(&group, &reader).await;
    let epochs = reader.heard.lock().unwrap().epochs.clone();
    assert!(epochs.windows(2).all(|two| two[0] < two[1]), "{epochs:?}");
}
