//! The load: sessions over the binary protocol, one thread, open loop.
//!
//! ```text
//!   n-th order is due at start + n / rate ─► session n mod sessions ─► one write a session and turn
//!   answer ─► latency = now - when it was due                       ◄─ one read a session and turn
//! ```
//!
//! When an order is due does not depend on answers. A server that falls behind is charged for all
//! that was due meanwhile; nothing is left out ("coordinated omission").

use crate::flow::{Flow, Told};
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use protocol::binary::{self, ReportBody, Said};
use protocol::order_entry::Logon;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use types::{AccountId, ClientSeq, OutSeq, SessionId};

/// Longest latency told apart, in nanoseconds.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Requests of one session without an answer.
const IN_FLIGHT_MAX: usize = 8_192;
/// After the last order was due, answers may take this long.
const DRAIN: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 256 << 10;
/// The load sleeps at most this long, so that what is due soon is not late.
const TURN: Duration = Duration::from_micros(100);

/// How much, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Sessions, one connection each.
    pub sessions: usize,
    /// The first session's number; its account has the same.
    pub first_session: u64,
    /// Orders due a second over all sessions; none: as many as `in_flight` allows.
    pub rate_per_s: Option<u64>,
    /// Requests without an answer that each session may have.
    pub in_flight: usize,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub duration: Duration,
}

/// Latencies, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Longest.
    pub max_us: f64,
}

impl Latency {
    /// Reads a histogram of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let us = |ns: u64| (ns as f64 / 100.0).round() / 10.0;
        Self {
            count: histogram.len(),
            p50_us: us(histogram.value_at_quantile(0.5)),
            p99_us: us(histogram.value_at_quantile(0.99)),
            p999_us: us(histogram.value_at_quantile(0.999)),
            max_us: us(histogram.max()),
        }
    }
}

/// A histogram of nanoseconds.
///
/// # Errors
/// Not known to happen.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?)
}

/// What came of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests answered a second, over the measured time.
    pub answered_per_s: u64,
    /// From when each was due (or, without a rate, was sent) to its answer.
    pub latency: Latency,
    /// Requests that the core refused, of all.
    pub rejected: u64,
    /// All requests sent.
    pub sent: u64,
}

struct Session {
    socket: TcpStream,
    flow: Flow,
    next_client_seq: u64,
    out: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// When each request without an answer was due, oldest first.
    due: VecDeque<Instant>,
    answered: u64,
}

/// Runs a plan against a leader's binary door.
///
/// # Errors
/// When a connection ends or a session is refused.
pub fn run(leader: SocketAddr, plan: Plan) -> Result<Measured> {
    let mut sessions = (0..plan.sessions)
        .map(|n| Session::log_on(leader, plan.first_session + n as u64))
        .collect::<Result<Vec<_>>>()?;
    let mut run = Run {
        plan,
        histogram: histogram()?,
        issued: 0,
        rejected: 0,
        answered: 0,
        scratch: vec![0; READ_BYTES],
        measure_from: Instant::now() + plan.warm_up,
    };
    run.drive(&mut sessions)?;
    Ok(Measured {
        answered_per_s: (run.answered as f64 / plan.duration.as_secs_f64()) as u64,
        latency: Latency::of(&run.histogram),
        rejected: run.rejected,
        sent: run.issued,
    })
}

struct Run {
    plan: Plan,
    histogram: Histogram<u64>,
    issued: u64,
    rejected: u64,
    /// In the measured time.
    answered: u64,
    scratch: Vec<u8>,
    measure_from: Instant,
}

impl Run {
    fn drive(&mut self, sessions: &mut [Session]) -> Result<()> {
        let start = Instant::now();
        let end = self.measure_from + self.plan.duration;
        loop {
            let now = Instant::now();
            if now < end {
                self.issue(sessions, start, now)?;
            }
            for session in sessions.iter_mut() {
                session.write()?;
            }
            let mut open = 0;
            for session in sessions.iter_mut() {
                self.read(session)?;
                open += session.due.len();
            }
            if now >= end && open == 0 {
                return Ok(());
            }
            ensure!(
                now < end + DRAIN,
                "{open} requests have no answer after 5 s"
            );
            wait(sessions)?;
        }
    }

    /// Writes the requests that are due into their sessions' buffers.
    fn issue(&mut self, sessions: &mut [Session], start: Instant, now: Instant) -> Result<()> {
        let Some(rate) = self.plan.rate_per_s else {
            for session in sessions.iter_mut() {
                while session.due.len() < self.plan.in_flight {
                    session.issue(now)?;
                    self.issued += 1;
                }
            }
            return Ok(());
        };
        let count = sessions.len() as u64;
        loop {
            let due = start + Duration::from_nanos(self.issued * 1_000_000_000 / rate);
            if due > now {
                return Ok(());
            }
            let session = &mut sessions[(self.issued % count) as usize];
            if session.due.len() >= IN_FLIGHT_MAX {
                // It stays due, and is charged for the delay.
                return Ok(());
            }
            session.issue(due)?;
            self.issued += 1;
        }
    }

    fn read(&mut self, session: &mut Session) -> Result<()> {
        loop {
            let count = match session.socket.read(&mut self.scratch) {
                Ok(0) => bail!("the server ended a session's connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("failed to read a session's connection"),
            };
            let now = Instant::now();
            session.received.extend_from_slice(&self.scratch[..count]);
            let received = std::mem::take(&mut session.received);
            let mut at = 0;
            while let Some((frame, taken)) = binary::split(&received[at..])? {
                at += taken;
                let (_, said) = binary::read_server(frame)?;
                self.take(session, &said, now)?;
            }
            session.received = received;
            session.received.drain(..at);
            if count < READ_BYTES {
                return Ok(());
            }
        }
    }

    fn take(&mut self, session: &mut Session, said: &Said<'_>, now: Instant) -> Result<()> {
        match said {
            Said::Report(head, body) => {
                let told = match body {
                    ReportBody::Accepted { cl_ord_id, .. } => Told::Accepted(*cl_ord_id),
                    ReportBody::Filled {
                        cl_ord_id,
                        remaining,
                        ..
                    } if remaining.0 == 0 => Told::Gone(*cl_ord_id),
                    ReportBody::Cancelled { cl_ord_id, .. } => Told::Gone(*cl_ord_id),
                    ReportBody::Rejected { .. } => Told::Rejected,
                    _ => Told::Other,
                };
                self.rejected += u64::from(told == Told::Rejected);
                session.flow.told(told);
                // The first report that answers a request is its answer; a fill of it may follow.
                if head.in_reply_to == Some(ClientSeq(session.answered + 1)) {
                    session.answered += 1;
                    let due = session.due.pop_front().context("an answer to nothing")?;
                    if now >= self.measure_from && now < self.measure_from + self.plan.duration {
                        self.answered += 1;
                    }
                    if due >= self.measure_from {
                        let latency = now.saturating_duration_since(due).as_nanos() as u64;
                        self.histogram.saturating_record(latency.max(1));
                    }
                }
                Ok(())
            }
            Said::Heartbeat { .. } => Ok(()),
            other => bail!("the server said: {other:?}"),
        }
    }
}

impl Session {
    /// Connects and logs on; the session's account has its number.
    fn log_on(leader: SocketAddr, number: u64) -> Result<Self> {
        let mut socket = TcpStream::connect(leader).context("failed to reach the binary door")?;
        socket.set_nodelay(true)?;
        let mut out = Vec::new();
        let logon = Logon::new(SessionId(number), AccountId(number), OutSeq(0));
        binary::write_logon(logon, &mut out);
        socket.write_all(&out)?;
        let (mut received, mut some) = (Vec::new(), [0; 4_096]);
        let (next_client_seq, taken) = loop {
            let count = socket.read(&mut some)?;
            ensure!(count > 0, "the connection ended before the logon's answer");
            received.extend_from_slice(&some[..count]);
            if let Some((frame, taken)) = binary::split(&received)? {
                match binary::read_server(frame)?.1 {
                    Said::LogonAck {
                        next_client_seq, ..
                    } => break (next_client_seq.0, taken),
                    other => bail!("the logon was not accepted: {other:?}"),
                }
            }
        };
        received.drain(..taken);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            flow: Flow::new(number, next_client_seq),
            next_client_seq,
            out: Vec::new(),
            sent: 0,
            received,
            due: VecDeque::new(),
            answered: next_client_seq - 1,
        })
    }

    fn issue(&mut self, due: Instant) -> Result<()> {
        let request = self.flow.next()?;
        binary::write_request(ClientSeq(self.next_client_seq), &request, &mut self.out);
        self.next_client_seq += 1;
        self.due.push_back(due);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("failed to write to the binary door"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}

/// Waits until an answer is there or something is due.
fn wait(sessions: &[Session]) -> Result<()> {
    let mut sockets: Vec<PollFd<'_>> = sessions
        .iter()
        .map(|session| PollFd::new(&session.socket, PollFlags::IN))
        .collect();
    let turn = Timespec {
        tv_sec: 0,
        tv_nsec: TURN.as_nanos() as _,
    };
    match poll(&mut sockets, Some(&turn)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
