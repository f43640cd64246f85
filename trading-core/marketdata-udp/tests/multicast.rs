//! A publisher and a receiver over real multicast sockets on loopback, with a bad network between.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test"
)]

use marketdata::level2::{
    Datagram, Freshness, Group, Publisher, PublisherSettings, ReceiverCounts, ReceiverSettings,
    Stream,
};
use marketdata::{Damage, MarketSource, TrackerSettings};
use marketdata_udp::{
    Clock, Groups, ImpairedSender, Interface, Metrics, Observed, ReceiveOptions, SyntheticMarket,
    check_multicast, receive, sender,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use types::{Epoch, SymbolId};

const SYMBOLS: u32 = 20;
/// Everything must be there by then; it takes about a second on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn group(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(239, 192, 78, last), port)
}

/// A port of this run's own: two runs on one machine must not hear each other.
fn groups() -> Groups {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    Groups {
        incremental: [group(1, port), group(2, port)],
        snapshot: [group(3, port), group(4, port)],
    }
}

struct Sending {
    lines: Vec<(Group, ImpairedSender)>,
}

impl Sending {
    fn open(groups: Groups, damage: Damage, clock: Clock) -> Self {
        let targets = groups
            .incremental
            .map(|it| (Group::Incremental, it))
            .into_iter()
            .chain(groups.snapshot.map(|it| (Group::Snapshot, it)));
        let open = |(seed, (group, address))| {
            let socket = sender(address, Interface::default()).unwrap();
            let line = ImpairedSender::new(socket, seed, damage, clock).unwrap();
            (group, line)
        };
        Self {
            lines: (1..).zip(targets).map(open).collect(),
        }
    }

    async fn send(&mut self, datagrams: &mut Vec<Datagram>) {
        for datagram in datagrams.drain(..) {
            let lines = self.lines.iter_mut();
            for (_, line) in lines.filter(|(group, _)| *group == datagram.group) {
                line.send(&datagram.bytes).await.unwrap();
            }
        }
        for (_, line) in &mut self.lines {
            line.send_due().await.unwrap();
        }
    }
}

type Books = BTreeMap<SymbolId, (Freshness, marketdata::level2::Ladder)>;

/// Publishes with damage for a while, then without, until the receiver has what was published.
async fn publish_until_equal(
    groups: Groups,
    damage: Damage,
    books: &Mutex<Books>,
) -> Result<(), String> {
    let clock = Clock::start();
    let stream = Stream {
        epoch: Epoch(3),
        started: Clock::wall(),
    };
    let settings = PublisherSettings {
        snapshot_interval_us: 100_000,
        ..PublisherSettings::default()
    };
    let mut publisher = Publisher::new(settings, stream).unwrap();
    let mut source = SyntheticMarket::new(5, SYMBOLS, Epoch(3));
    let mut sending = Sending::open(groups, damage, clock);
    let (mut events, mut datagrams) = (Vec::new(), Vec::new());
    let mut polls = tokio::time::interval(Duration::from_millis(5));
    let deadline = tokio::time::Instant::now() + DEADLINE;
    for round in 0_u32.. {
        polls.tick().await;
        if round < 300 {
            source.take(40, &mut events);
        } else if round == 300 {
            for (_, line) in &mut sending.lines {
                line.set(Damage::default()).unwrap();
            }
        } else if is_equal(&publisher, &books.lock().unwrap()) {
            return Ok(());
        }
        for event in events.drain(..) {
            publisher.offer(&event, clock.now()).unwrap();
        }
        publisher.poll(clock.now(), Clock::wall(), &mut datagrams);
        sending.send(&mut datagrams).await;
        if tokio::time::Instant::now() > deadline {
            return Err(format!("not equal after {DEADLINE:?}: {:?}", books.lock()));
        }
    }
    unreachable!("the rounds end by return")
}

fn is_equal(publisher: &Publisher, books: &Books) -> bool {
    (0..SYMBOLS).map(|it| SymbolId(600_000 + it)).all(|id| {
        let (published, received) = (publisher.published(id), books.get(&id));
        matches!(
            (published, received),
            (Some(published), Some((Freshness::Good, received))) if published == received
        )
    })
}

async fn run(damage: Damage) -> (ReceiverCounts, usize) {
    let groups = groups();
    let options = ReceiveOptions {
        groups,
        interface: Interface::default(),
        settings: ReceiverSettings::default(),
        tracker: TrackerSettings::default(),
    };
    let books = Arc::new(Mutex::new(Books::new()));
    let seen = books.clone();
    let records = Arc::new(Mutex::new(0));
    let told = records.clone();
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::new().unwrap());
    let receiving = tokio::spawn(receive(
        options,
        metrics.clone(),
        stop.clone(),
        move |receiver, observed| match observed {
            Observed::Reference(_) => *told.lock().unwrap() += 1,
            Observed::Unreadable(error) => panic!("{error}"),
            Observed::Effect(_) => {
                let mut books = seen.lock().unwrap();
                for id in receiver.symbols() {
                    let view = receiver.view(id).unwrap();
                    books.insert(id, (view.freshness, view.ladder.clone()));
                }
            }
        },
    ));
    publish_until_equal(groups, damage, &books).await.unwrap();
    stop.cancel();
    let counts = receiving.await.unwrap().unwrap();
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    assert!(text.contains("marketdata_epoch 3\n"), "{text}");
    let records = *records.lock().unwrap();
    (counts, records)
}

/// Fails, and says why, where loopback has no multicast: without it nothing here is tested.
async fn needs_multicast() {
    let group = groups().incremental[0];
    check_multicast(group, Interface::default())
        .await
        .expect("this test needs multicast on loopback");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_on_both_lines_is_recovered_to_the_equal_book() {
    needs_multicast().await;
    let damage = Damage {
        lost_ppm: 300_000,
        doubled_ppm: 50_000,
        jitter_us: 5_000,
        ..Damage::default()
    };
    let (counts, records) = run(damage).await;
    assert!(counts.gaps > 0 && counts.packets_lost > 0, "{counts:?}");
    assert!(counts.recoveries > 0, "{counts:?}");
    assert_eq!(counts.snapshot_mismatches + counts.inconsistent, 0);
    assert!(records > 0, "reference prices reached the core");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_lines_are_heard_and_each_packet_counts_once() {
    needs_multicast().await;
    let (counts, _) = run(Damage::default()).await;
    assert!(counts.duplicates > 0, "both lines are heard: {counts:?}");
    assert_eq!(counts.malformed + counts.stale_stream, 0);
}
