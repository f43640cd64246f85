//! A client of the binary door that writes its history down, over blocking sockets.

use history::{Record, SeenMessage, SeenReport};
use protocol::binary::{self, ReportBody, ReportHead, Said};
use protocol::order_entry::Logon;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use types::{
    AccountId, ClOrdId, ClientSeq, Epoch, NewOrder, OutSeq, Price, Quantity, Request, SessionId,
    Side, SymbolId, UnixMicros,
};

/// An entry that says nothing for so long is given up; heartbeats come each 200 ms.
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

fn now() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMicros(since.as_micros() as u64)
}

fn request(session: u64, number: u64) -> Request {
    let cl_ord_id = |number: u64| ClOrdId::new(&format!("{session}-{number}")).unwrap();
    if number.is_multiple_of(5) {
        return Request::Cancel {
            original: cl_ord_id(number - 1),
        };
    }
    let side = if number.is_multiple_of(2) {
        Side::Buy
    } else {
        Side::Sell
    };
    Request::New(NewOrder::limit(
        cl_ord_id(number),
        SymbolId(600_000),
        side,
        Quantity(100),
        Price(100_000),
    ))
}

/// An order's frame, with this number.
#[allow(dead_code, reason = "not every test sends one by itself")]
pub fn order(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    binary::write_request(ClientSeq(number), &request(1, 1), &mut bytes);
    bytes
}

/// One connection.
pub struct Wire {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub fn connect(port: u16, silence: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(silence))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            received: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    pub fn log_on(&mut self, session: u64, account: u64, seen: u64) {
        let mut bytes = Vec::new();
        let logon = Logon::new(SessionId(session), AccountId(account), OutSeq(seen));
        binary::write_logon(logon, &mut bytes);
        // A server that ends the connection says why, and that is still to be read.
        let _ = self.send(&bytes);
    }

    /// The first thing said that `find` finds something in.
    pub fn next<T>(&mut self, find: impl Fn(&Said<'_>) -> Option<T>) -> io::Result<T> {
        self.next_of(|_, said| find(said))
    }

    fn next_of<T>(&mut self, mut find: impl FnMut(Epoch, &Said<'_>) -> Option<T>) -> io::Result<T> {
        loop {
            let split = binary::split(&self.received).map_err(io::Error::other)?;
            if let Some((frame, taken)) = split {
                let (epoch, said) = binary::read_server(frame).map_err(io::Error::other)?;
                let found = find(epoch, &said);
                self.received.drain(..taken);
                if let Some(found) = found {
                    return Ok(found);
                }
                continue;
            }
            let mut some = [0; 16_384];
            match self.socket.read(&mut some)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&some[..count]),
            }
        }
    }

    #[allow(dead_code, reason = "not every test asks")]
    pub fn logged_on(&mut self) -> io::Result<ClientSeq> {
        self.next(|said| match said {
            Said::LogonAck {
                next_client_seq, ..
            } => Some(*next_client_seq),
            _ => None,
        })
    }

    #[allow(dead_code, reason = "not every test asks")]
    pub fn answer(&mut self) -> io::Result<ClientSeq> {
        self.next(|said| match said {
            Said::Report(head, _) => head.in_reply_to,
            _ => None,
        })
    }
}

/// What a client has done and seen.
#[derive(Default)]
pub struct Done {
    pub records: Vec<Record>,
    pub logons: u64,
}

/// One session that goes on through other entries.
pub struct Client {
    session: SessionId,
    account: AccountId,
    doors: Vec<u16>,
    entry: usize,
    open: BTreeMap<ClientSeq, Request>,
    next_number: u64,
    last_out_seq: OutSeq,
    done: Done,
}

impl Client {
    pub fn new(session: u64, account: u64, doors: Vec<u16>) -> Self {
        Self {
            session: SessionId(session),
            account: AccountId(account),
            entry: session as usize % doors.len(),
            doors,
            open: BTreeMap::new(),
            next_number: 1,
            last_out_seq: OutSeq(0),
            done: Done::default(),
        }
    }

    /// Has so many requests answered, `in_flight` at a time; tells how many were each time.
    pub fn trade(mut self, requests: u64, in_flight: usize, answered: impl Fn(usize)) -> Done {
        let until = Instant::now() + PATIENCE;
        while self.next_number <= requests || !self.open.is_empty() {
            assert!(
                Instant::now() < until,
                "{} requests are open",
                self.open.len()
            );
            if self.one_connection(requests, in_flight, &answered).is_err() {
                self.entry = (self.entry + 1) % self.doors.len();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.done
    }

    fn one_connection(
        &mut self,
        requests: u64,
        in_flight: usize,
        answered: &impl Fn(usize),
    ) -> io::Result<()> {
        let mut wire = Wire::connect(self.doors[self.entry], SILENCE)?;
        wire.log_on(self.session.0, self.account.0, self.last_out_seq.0);
        self.logged_on(&mut wire)?;
        // What was not answered goes out again, with its number.
        let mut bytes = Vec::new();
        for (number, request) in self.open.clone() {
            self.write(number, request, &mut bytes);
        }
        loop {
            while self.open.len() < in_flight && self.next_number <= requests {
                let number = ClientSeq(self.next_number);
                let request = request(self.session.0, self.next_number);
                self.open.insert(number, request);
                self.next_number += 1;
                self.write(number, request, &mut bytes);
            }
            wire.send(&bytes)?;
            bytes.clear();
            if self.open.is_empty() {
                return Ok(());
            }
            let open = self.open.len();
            self.read(&mut wire)?;
            answered(open - self.open.len());
        }
    }

    fn write(&mut self, client_seq: ClientSeq, request: Request, bytes: &mut Vec<u8>) {
        self.done.records.push(Record::Sent {
            at_us: now(),
            session: self.session,
            client_seq,
            request,
        });
        binary::write_request(client_seq, &request, bytes);
    }

    fn logged_on(&mut self, wire: &mut Wire) -> io::Result<()> {
        let (session, account, last_out_seq_seen) = (self.session, self.account, self.last_out_seq);
        let record = wire.next_of(|epoch, said| match said {
            Said::LogonAck {
                next_client_seq,
                next_out_seq,
                replay_missing,
                ..
            } => Some(Ok(Record::LoggedOn {
                at_us: now(),
                session,
                account,
                last_out_seq_seen,
                leader_epoch: epoch,
                next_client_seq: *next_client_seq,
                next_out_seq: *next_out_seq,
                replay_missing: *replay_missing,
            })),
            Said::End { text, .. } => Some(Err(io::Error::other(*text))),
            other => panic!("instead of the logon's answer: {other:?}"),
        })??;
        self.done.records.push(record);
        self.done.logons += 1;
        Ok(())
    }

    fn read(&mut self, wire: &mut Wire) -> io::Result<()> {
        let session = self.session;
        let record = wire.next_of(|epoch, said| match said {
            Said::Report(head, body) => Some(Ok(Record::Received {
                at_us: now(),
                session,
                leader_epoch: epoch,
                possible_duplicate: head.possible_duplicate,
                message: seen(head, body),
            })),
            Said::End { text, .. } => Some(Err(io::Error::other(*text))),
            Said::Heartbeat { .. } => None,
            other => panic!("{other:?}"),
        })??;
        if let Record::Received { message, .. } = &record {
            if let Some(number) = message.in_reply_to {
                self.open.remove(&number);
            }
            self.last_out_seq = self.last_out_seq.max(message.out_seq);
        }
        self.done.records.push(record);
        Ok(())
    }
}

fn seen(head: &ReportHead, body: &ReportBody<'_>) -> SeenMessage {
    SeenMessage {
        out_seq: head.out_seq,
        in_reply_to: head.in_reply_to,
        log_seq: head.log_seq,
        epoch: head.epoch,
        report: match body {
            ReportBody::Accepted {
                cl_ord_id,
                order_id,
            } => SeenReport::Accepted {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
            },
            ReportBody::Rejected {
                cl_ord_id, code, ..
            } => SeenReport::Rejected {
                cl_ord_id: *cl_ord_id,
                code: *code,
            },
            ReportBody::Filled {
                cl_ord_id,
                order_id,
                trade_id,
                price,
                quantity,
                remaining,
            } => SeenReport::Filled {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
                trade_id: *trade_id,
                price: *price,
                quantity: *quantity,
                remaining: *remaining,
            },
            ReportBody::Cancelled {
                cl_ord_id,
                order_id,
                quantity,
                cause,
            } => SeenReport::Cancelled {
                cl_ord_id: *cl_ord_id,
                order_id: *order_id,
                quantity: *quantity,
                cause: *cause,
            },
            other => panic!("not asked for: {other:?}"),
        },
    }
}
