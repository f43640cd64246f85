//! A reference feed over real processes: what an exchange's level 2 says of prices stands in the
//! core's log, also after the leader was killed, and no faster than the configuration allows.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;
mod trader;

use group::{Group, prepared_keeping_all};
use marketdata::level2::{Publisher, PublisherSettings, Stream};
use marketdata::{MarketEvent, Trade};
use marketdata_udp::{Clock, Groups, Interface, Lines, check_multicast};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trader::logged;
use types::{Control, Epoch, Price, Quantity, ReferencePrice, SymbolId, TradeId};

fn groups() -> Groups {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let group = |last| SocketAddrV4::new(Ipv4Addr::new(239, 192, 80, last), port);
    Groups {
        incremental: [group(1), group(2)],
        snapshot: [group(3), group(4)],
    }
}

/// An exchange that publishes the trades it is given.
struct Exchange {
    trades: Arc<Mutex<Vec<Trade>>>,
    number: u64,
}

impl Exchange {
    fn open(groups: Groups) -> Self {
        let trades = Arc::new(Mutex::new(Vec::new()));
        let given = trades.clone();
        let clock = Clock::start();
        let mut lines = Lines::open(groups, Interface::default()).unwrap();
        let stream = Stream {
            epoch: Epoch(1),
            started: Clock::wall(),
        };
        let mut publisher = Publisher::new(PublisherSettings::default(), stream).unwrap();
        tokio::spawn(async move {
            let mut polls = tokio::time::interval(Duration::from_millis(10));
            loop {
                polls.tick().await;
                let trades: Vec<Trade> = std::mem::take(&mut given.lock().unwrap());
                for trade in trades {
                    let event = MarketEvent::Trade(trade);
                    publisher.offer(&event, clock.now()).unwrap();
                }
                let mut datagrams = Vec::new();
                publisher.poll(clock.now(), Clock::wall(), &mut datagrams);
                for datagram in &datagrams {
                    lines.send(datagram).await;
                }
            }
        });
        Self { trades, number: 0 }
    }

    fn trade(&mut self, symbol: u32, price: i64) {
        self.number += 1;
        self.trades.lock().unwrap().push(Trade {
            symbol: SymbolId(symbol),
            trade: TradeId(self.number),
            price: Price(price),
            quantity: Quantity(100),
            at: Clock::wall(),
            aggressor: None,
        });
    }
}

struct Feed(Child);

impl Feed {
    fn start(group: &Group, groups: Groups) -> Self {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = held.local_addr().unwrap();
        drop(held);
        let orders = group
            .ports
            .iter()
            .map(|ports| format!("127.0.0.1:{}", ports[1]));
        let config = serde_json::json!({
            "http": http, "replicas": orders.collect::<Vec<String>>(),
            "incremental": groups.incremental, "snapshot": groups.snapshot,
            "interface": "127.0.0.1", "symbol_interval_ms": 100,
        });
        let path = group.folder.path().join("feed.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let log = std::fs::File::create(group.folder.path().join("log-feed")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_trading-core"))
            .args(["reference-feed", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The prices of a symbol in the log, in its order.
async fn prices(group: &Group, wanted: u32) -> Vec<i64> {
    let (_, controls) = logged(group).await;
    let price = |control| match control {
        Control::SetReferencePrice {
            symbol: SymbolId(symbol),
            reference: ReferencePrice::Market,
            price,
        } if symbol == wanted => Some(price.0),
        _ => None,
    };
    controls.into_iter().filter_map(price).collect()
}

async fn wait_for_price(group: &Group, price: i64) {
    group
        .wait_for("a reference price in the log", async |group| {
            (prices(group, 600_000).await.last() == Some(&price)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn prices_of_a_feed_stand_in_the_log_in_order_though_the_leader_is_lost() {
    let groups = groups();
    check_multicast(groups.incremental[0], Interface::default())
        .await
        .expect("this test needs multicast on loopback");
    let (mut group, leader) = prepared_keeping_all().await;
    let mut exchange = Exchange::open(groups);
    let _feed = Feed::start(&group, groups);
    exchange.trade(600_000, 100_300);
    wait_for_price(&group, 100_300).await;
    // Not listed: refused, and in nobody's way.
    exchange.trade(600_999, 50_000);
    // Less than a tenth of a percent: not told.
    exchange.trade(600_000, 100_310);
    exchange.trade(600_000, 101_000);
    wait_for_price(&group, 101_000).await;
    group.kill(leader);
    exchange.trade(600_000, 102_500);
    wait_for_price(&group, 102_500).await;
    let mut seen = prices(&group, 600_000).await;
    // A record whose answer was lost with the leader is sent again, and sets the same price.
    seen.dedup();
    assert_eq!(seen, [100_300, 101_000, 102_500]);
    assert_eq!(prices(&group, 600_999).await, [50_000], "asked once");
}
