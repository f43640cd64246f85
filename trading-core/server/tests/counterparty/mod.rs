//! A small FIX client, written for the tests only, and the gateway that it speaks to.

#![allow(dead_code, reason = "not every test does all of it")]

use crate::group::Group;
use fix::dictionary::{Field, Kind};
use fix::frame::{Frame, next};
use fix::message::Message;
use fix::write::{Body, Header, message};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use types::{Price, UnixMicros};

/// A FIX gateway in front of the group, on loopback.
pub struct FixGateway {
    child: Child,
    name: &'static str,
    pub address: String,
}

impl FixGateway {
    pub fn start(group: &Group) -> Self {
        Self::start_as(group, "fix")
    }

    /// One with a store of its own.
    pub fn start_as(group: &Group, name: &'static str) -> Self {
        Self::start_with(group, name, serde_json::json!({}))
    }

    /// One with other bounds.
    pub fn start_with(group: &Group, name: &'static str, limits: serde_json::Value) -> Self {
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [fix, http] = [0, 1].map(|n: usize| held[n].local_addr().unwrap());
        drop(held);
        let entries: Vec<String> = (1..=3)
            .map(|id: usize| format!("127.0.0.1:{}", group.ports[id - 1][1]))
            .collect();
        let config = serde_json::json!({
            "comp_id": "TRICENTER",
            "listen": {"fix": fix.to_string(), "http": http.to_string()},
            "entries": entries,
            "store": group.folder.path().join(name),
            "sessions": [{"comp_id": "CLIENT", "session": 70, "account": 7}],
            "drop_copies": [{"comp_id": "BACKOFFICE", "accounts": [7]}],
            "log_replicas": entries, "limits": limits,
        });
        let path = group.folder.path().join(format!("{name}.json"));
        std::fs::write(path, config.to_string()).unwrap();
        Self {
            child: spawn(group, name),
            name,
            address: fix.to_string(),
        }
    }

    pub fn kill_and_start_again(&mut self, group: &Group) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(group, self.name);
    }

    pub fn log(&self, group: &Group) -> String {
        let path = group.folder.path().join(format!("log-{}", self.name));
        std::fs::read_to_string(path).unwrap()
    }
}

fn spawn(group: &Group, name: &str) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(group.folder.path().join(format!("log-{name}")))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_trading-core"))
        .args(["fix-gateway", "--config"])
        .arg(group.folder.path().join(format!("{name}.json")))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for FixGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    None,
    Accepted,
    TurnedAway,
}

/// A counterparty with the numbers and messages that a FIX engine keeps.
#[derive(Debug)]
pub struct Counterparty {
    address: String,
    comp_id: &'static str,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    next_in: u64,
    next_out: u64,
    /// What was sent, by number; administrative messages are not sent again.
    sent: BTreeMap<u64, (Kind, Vec<u8>)>,
    answers: BTreeMap<String, Answer>,
    is_logged_on: bool,
    pub connections: usize,
    pub turned_away: Vec<String>,
    /// What a listener was told: `ExecID`, and whether it may have been told before.
    pub copies: Vec<(String, bool)>,
    /// What a listener was told beside.
    pub texts: Vec<String>,
    /// Copies that came as sent before, under their old numbers.
    pub duplicates: usize,
}

fn now() -> UnixMicros {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMicros(u64::try_from(passed.as_micros()).unwrap())
}

impl Counterparty {
    pub fn new(address: String) -> Self {
        Self::named("CLIENT", address)
    }

    /// The one that only listens.
    pub fn listener(address: String) -> Self {
        Self::named("BACKOFFICE", address)
    }

    fn named(comp_id: &'static str, address: String) -> Self {
        Self {
            address,
            comp_id,
            stream: None,
            received: Vec::new(),
            next_in: 1,
            next_out: 1,
            sent: BTreeMap::new(),
            answers: BTreeMap::new(),
            is_logged_on: false,
            connections: 0,
            turned_away: Vec::new(),
            copies: Vec::new(),
            texts: Vec::new(),
            duplicates: 0,
        }
    }

    /// Breaks the connection, as a network does.
    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    /// Loses all that it had: it asks for everything at its next logon.
    pub fn forget(&mut self) {
        self.disconnect();
        self.next_in = 1;
        self.copies.clear();
    }

    /// Listens until it is told something beside copies.
    pub async fn text(&mut self) -> String {
        while self.texts.is_empty() {
            self.take_some().await;
        }
        self.texts.remove(0)
    }

    /// Goes on at another gateway, which knows nothing of the session.
    pub async fn log_on_anew_at(&mut self, address: String) {
        self.address = address;
        self.next_in = 1;
        self.next_out = 1;
        self.sent.clear();
        self.log_on_with(true).await;
    }

    /// Listens until so many copies have come.
    pub async fn copies_at_least(&mut self, copies: usize) {
        while self.copies.len() < copies {
            self.take_some().await;
        }
    }

    /// Each order that was sent, and whether it was acknowledged.
    pub fn orders(&self) -> impl Iterator<Item = (String, bool)> + '_ {
        let orders = self.answers.iter();
        orders.map(|(id, answer)| (id.clone(), *answer == Answer::Accepted))
    }

    pub async fn log_on(&mut self) {
        self.log_on_with(false).await;
    }

    async fn log_on_with(&mut self, is_reset: bool) {
        // While the gateway has not seen the end of an earlier connection it refuses another.
        while !self.try_to_log_on(is_reset).await {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// False when the connection ends before the logon is answered: its number is free then.
    async fn try_to_log_on(&mut self, is_reset: bool) -> bool {
        let number = self.next_out;
        self.is_logged_on = false;
        self.received.clear();
        self.stream = loop {
            match TcpStream::connect(&self.address).await {
                Ok(stream) => break Some(stream),
                // The process may not listen yet.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        self.connections += 1;
        let mut body = Body::new()
            .character(Field::EncryptMethod, b'0')
            .count(Field::HeartBtInt, 30);
        if is_reset {
            body = body.yes(Field::ResetSeqNumFlag);
        }
        self.send(Kind::Logon, body.into_bytes()).await;
        while !self.is_logged_on {
            if !self.take_what_comes().await {
                self.next_out = number;
                return false;
            }
        }
        true
    }

    async fn send(&mut self, kind: Kind, body: Vec<u8>) {
        let number = self.next_out;
        self.next_out += 1;
        self.sent.insert(number, (kind, body));
        self.write(number, false).await;
    }

    async fn write(&mut self, number: u64, again: bool) {
        let (kind, body) = &self.sent[&number];
        let header = Header {
            kind: *kind,
            sender: self.comp_id,
            target: "TRICENTER",
            msg_seq_num: number,
            sending_time: now(),
            orig_sending_time: again.then(now),
            poss_resend: false,
        };
        let mut bytes = Vec::new();
        message(&mut bytes, &header, body);
        // A connection that broke is noticed by whoever reads it.
        let _ = self.stream.as_mut().unwrap().write_all(&bytes).await;
    }

    pub async fn order(&mut self, cl_ord_id: &str) {
        self.answers.insert(cl_ord_id.to_owned(), Answer::None);
        let body = Body::new()
            .text(Field::ClOrdID, cl_ord_id)
            .text(Field::Symbol, "600000")
            .character(Field::Side, b'1')
            .time(Field::TransactTime, now())
            .count(Field::OrderQty, 100)
            .character(Field::OrdType, b'2')
            .price(Field::Price, Price(100_000));
        self.send(Kind::NewOrderSingle, body.into_bytes()).await;
    }

    /// Sends an order until it is accepted; while there is no leader it is turned away.
    pub async fn order_until_accepted(&mut self, cl_ord_id: &str) {
        loop {
            self.order(cl_ord_id).await;
            while self.answers[cl_ord_id] == Answer::None {
                self.take_some().await;
            }
            if self.answers[cl_ord_id] == Answer::Accepted {
                self.turned_away.retain(|id| id != cl_ord_id);
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn acknowledged_at_least(&mut self, orders: usize) {
        while self.orders().filter(|(_, is)| *is).count() < orders {
            self.take_some().await;
        }
    }

    pub async fn all_answered(&mut self) {
        while self.answers.values().any(|answer| *answer == Answer::None) {
            self.take_some().await;
        }
    }

    async fn take_some(&mut self) {
        assert!(self.take_what_comes().await, "connection lost");
    }

    /// False when the connection has ended.
    async fn take_what_comes(&mut self) -> bool {
        let stream = self.stream.as_mut().unwrap();
        let bytes = stream.read_buf(&mut self.received).await;
        if !bytes.is_ok_and(|bytes| bytes > 0) {
            return false;
        }
        while let Frame::Whole { bytes } = next(&self.received) {
            let whole: Vec<u8> = self.received.drain(..bytes).collect();
            self.take(&whole).await;
        }
        true
    }

    async fn take(&mut self, bytes: &[u8]) {
        let message = Message::read(bytes).unwrap();
        message.check().unwrap();
        let number = message.count(Field::MsgSeqNum).unwrap();
        let kind = message.kind().unwrap();
        if kind == Kind::Logon {
            self.is_logged_on = true;
        }
        if kind == Kind::ResendRequest {
            self.send_again(message.count(Field::BeginSeqNo).unwrap())
                .await;
        }
        if number > self.next_in {
            let body = Body::new()
                .count(Field::BeginSeqNo, self.next_in)
                .count(Field::EndSeqNo, 0);
            return self.send(Kind::ResendRequest, body.into_bytes()).await;
        }
        if number < self.next_in {
            assert!(message.flag(Field::PossDupFlag), "number used twice");
            return;
        }
        self.next_in += 1;
        match kind {
            Kind::SequenceReset => self.next_in = message.count(Field::NewSeqNo).unwrap(),
            Kind::ExecutionReport => self.report(&message),
            Kind::BusinessMessageReject if self.comp_id != "CLIENT" => {
                self.texts
                    .push(message.text(Field::Text).unwrap().to_owned());
            }
            Kind::BusinessMessageReject => {
                let id = message.text(Field::BusinessRejectRefID).unwrap().to_owned();
                self.turned_away.push(id.clone());
                self.answers.insert(id, Answer::TurnedAway);
            }
            Kind::Logon | Kind::Heartbeat | Kind::ResendRequest => {}
            other => panic!("{other:?}: {}", String::from_utf8_lossy(bytes)),
        }
    }

    fn report(&mut self, message: &Message<'_>) {
        if self.comp_id != "CLIENT" {
            let id = message.text(Field::ExecID).unwrap().to_owned();
            let is_marked = message.flag(Field::PossResend);
            self.duplicates += usize::from(message.flag(Field::PossDupFlag));
            return self.copies.push((id, is_marked));
        }
        let id = message.text(Field::ClOrdID).unwrap().to_owned();
        match message.character(Field::ExecType) {
            // Accepted, or known when it was sent again.
            Some(b'0' | b'I') => {
                self.answers.insert(id, Answer::Accepted);
            }
            Some(b'A') => {}
            other => panic!("{id}: {other:?}"),
        }
    }

    async fn send_again(&mut self, from: u64) {
        let numbers: Vec<u64> = self.sent.range(from..).map(|(number, _)| *number).collect();
        for number in numbers {
            if self.sent[&number].0.is_administrative() {
                let body = Body::new()
                    .yes(Field::GapFillFlag)
                    .count(Field::NewSeqNo, number + 1);
                let fill = (Kind::SequenceReset, body.into_bytes());
                let kept = self.sent.insert(number, fill).unwrap();
                self.write(number, true).await;
                self.sent.insert(number, kept);
            } else {
                self.write(number, true).await;
            }
        }
    }
}
