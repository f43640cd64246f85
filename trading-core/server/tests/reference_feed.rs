//! A reference feed over real processes: what an exchange's level 2 or ITCH says of prices stands in
//! the core's log, also after the leader was killed, and no faster than the configuration allows.

#![allow(clippy::unwrap_used, clippy::panic)]

mod group;
mod trader;

use group::{Group, prepared_keeping_all};
use marketdata::itch::{
    Code, Header, MatchNumber, Number, OrderReference, Price4, Shares, Stock, StockLocate, Text,
    fields,
};
use marketdata::level2::{Publisher, PublisherSettings, Stream};
use marketdata::mold::{PacketBuilder, Request, Session};
use marketdata::{MarketEvent, Trade};
use marketdata_udp::{Clock, Groups, Interface, Lines, check_multicast, sender};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use trader::logged;
use types::{Control, Epoch, Price, Quantity, ReferencePrice, Side, SymbolId, TradeId};

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
    fn start(group: &Group, source: &serde_json::Value) -> Self {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = held.local_addr().unwrap();
        drop(held);
        let orders = group
            .ports
            .iter()
            .map(|ports| format!("127.0.0.1:{}", ports[1]));
        let config = serde_json::json!({
            "http": http, "replicas": orders.collect::<Vec<String>>(),
            "source": source, "interface": "127.0.0.1", "symbol_interval_ms": 100,
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
    let source = serde_json::json!({
        "kind": "level2", "incremental": groups.incremental, "snapshot": groups.snapshot,
    });
    let _feed = Feed::start(&group, &source);
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

const SESSION: Session = Session(*b"2026112501");

fn header() -> Header {
    Header {
        locate: StockLocate(1),
        ..Header::default()
    }
}

fn stock() -> Stock {
    Stock::new("TRICEN").unwrap()
}

fn directory() -> fields::Message {
    fields::StockDirectory {
        header: header(),
        stock: stock(),
        market_category: Code(b'Q'),
        financial_status: Code(b'N'),
        round_lot: Shares(100),
        round_lots_only: Code(b'N'),
        issue_classification: Code(b'C'),
        issue_subtype: Text::new("Z").unwrap(),
        authenticity: Code(b'P'),
        short_sale_threshold: Code(b'N'),
        ipo_flag: Code(b'N'),
        luld_tier: Code(b'1'),
        etp_flag: Code(b'N'),
        etp_leverage: Number(0),
        inverse: Code(b'N'),
    }
    .into()
}

/// An exchange that speaks ITCH on two lines, and again to who asks for it.
struct ItchExchange {
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
    lines: [SocketAddrV4; 2],
    sockets: [UdpSocket; 2],
    retransmission: std::net::SocketAddr,
    /// The retransmission server answers.
    answers: Arc<AtomicBool>,
    /// Requests that came, answered or not.
    requests: Arc<AtomicU64>,
}

impl ItchExchange {
    async fn open() -> Self {
        let port = groups().incremental[0].port();
        let lines = [5, 6].map(|last| SocketAddrV4::new(Ipv4Addr::new(239, 192, 80, last), port));
        check_multicast(lines[0], Interface::default())
            .await
            .expect("this test needs multicast on loopback");
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let exchange = Self {
            messages: Arc::default(),
            lines,
            sockets: lines.map(|line| sender(line, Interface::default()).unwrap()),
            retransmission: server.local_addr().unwrap(),
            answers: Arc::new(AtomicBool::new(true)),
            requests: Arc::default(),
        };
        exchange.serve(server);
        exchange
    }

    fn serve(&self, server: UdpSocket) {
        let messages = self.messages.clone();
        let (answers, requests) = (self.answers.clone(), self.requests.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            loop {
                let (length, asker) = server.recv_from(&mut buffer).await.unwrap();
                let request = Request::read(&buffer[..length]).unwrap();
                assert_eq!(request.session, SESSION);
                requests.fetch_add(1, Ordering::Relaxed);
                if answers.load(Ordering::Relaxed) {
                    let packet = packet(&messages.lock().unwrap(), request.sequence, request.count);
                    server.send_to(&packet, asker).await.unwrap();
                }
            }
        });
    }

    /// Makes a message and sends it on both lines, unless it is dropped on them.
    async fn send(&self, message: fields::Message, is_dropped: bool) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let packet = {
            let mut messages = self.messages.lock().unwrap();
            messages.push(bytes);
            packet(&messages, messages.len() as u64, 1)
        };
        if !is_dropped {
            for socket in &self.sockets {
                socket.send(&packet).await.unwrap();
            }
        }
    }

    /// Says the next number on both lines until what is asked for has come about.
    async fn beat(&self) {
        loop {
            let next = self.messages.lock().unwrap().len() as u64 + 1;
            let heartbeat = PacketBuilder::new(SESSION, next, 20).finish();
            for socket in &self.sockets {
                socket.send(&heartbeat).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn trade(&self, price: u32, is_dropped: bool) {
        let number = self.messages.lock().unwrap().len() as u64;
        let trade = fields::Trade {
            header: header(),
            order: OrderReference(0),
            side: Side::Buy,
            shares: Shares(100),
            stock: stock(),
            price: Price4(price),
            match_number: MatchNumber(number),
        };
        self.send(trade.into(), is_dropped).await;
    }
}

fn packet(messages: &[Vec<u8>], first: u64, count: u16) -> Vec<u8> {
    let mut packet = PacketBuilder::new(SESSION, first, 1_400);
    let begin = usize::try_from(first).unwrap() - 1;
    for message in messages.iter().skip(begin).take(count.into()) {
        if !packet.push(message) {
            break;
        }
    }
    packet.finish()
}

#[tokio::test]
async fn prices_of_itch_stand_in_the_log_and_none_of_them_while_a_message_is_missing() {
    let exchange = ItchExchange::open().await;
    let (group, _) = prepared_keeping_all().await;
    let source = serde_json::json!({
        "kind": "itch", "lines": exchange.lines, "retransmission": exchange.retransmission,
        "listing": {"TRICEN": 600_000}, "restart_ms": 300,
    });
    // What was said before the feed listens is asked for.
    exchange.send(directory(), false).await;
    exchange.trade(100_300, false).await;
    let _feed = Feed::start(&group, &source);
    let test = async {
        wait_for_price(&group, 100_300).await;
        // A hole that is filled: the price behind it comes, and is the one of the message behind it.
        exchange.trade(101_000, true).await;
        exchange.trade(102_000, false).await;
        wait_for_price(&group, 102_000).await;
        // A hole that nobody fills: asked for as often as allowed, then lost; nothing is told.
        exchange.answers.store(false, Ordering::Relaxed);
        let before = exchange.requests.load(Ordering::Relaxed);
        exchange.trade(103_000, true).await;
        exchange.trade(104_000, false).await;
        group
            .wait_for(
                "requests in vain, and those of a new beginning",
                async |_| {
                    let requests = exchange.requests.load(Ordering::Relaxed);
                    (requests > before + 5).then_some(())
                },
            )
            .await;
        assert_eq!(prices(&group, 600_000).await.last(), Some(&102_000));
        // The server is back: all comes again from the first message, and the newest price is told.
        exchange.answers.store(true, Ordering::Relaxed);
        wait_for_price(&group, 104_000).await;
    };
    tokio::select! {
        () = test => {}
        () = exchange.beat() => {}
    }
    let mut seen = prices(&group, 600_000).await;
    seen.dedup();
    assert_eq!(seen, [100_300, 102_000, 104_000]);
}
