//! A client that looks for the new leader.

use anyhow::{Context, Result, bail};
use protocol::binary::{self, ReportBody, Said};
use protocol::order_entry::Logon;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use types::{
    AccountId, ClOrdId, ClientSeq, NewOrder, OutSeq, Price, Quantity, Request, SessionId, Side,
    SymbolId,
};

/// Between two looks at all entries.
const PAUSE: Duration = Duration::from_millis(1);
/// A silent entry is given up after this time.
const SILENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries the entries other than `not` in turn until an order is accepted; gives back when it was.
///
/// # Errors
/// When none is within 20 s.
pub fn first_accepted(doors: &[SocketAddr], not: usize, session: u64) -> Result<Instant> {
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < until {
        for (_, door) in doors.iter().enumerate().filter(|(place, _)| *place != not) {
            match order(*door, session) {
                Ok(at) => return Ok(at),
                Err(error) => last = Some(error),
            }
        }
        std::thread::sleep(PAUSE);
    }
    bail!("no order was accepted within 20 s; the last attempt: {last:?}")
}

fn order(door: SocketAddr, session: u64) -> Result<Instant> {
    let mut socket = TcpStream::connect_timeout(&door, SILENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(SILENCE))?;
    let mut out = Vec::new();
    let logon = Logon::new(SessionId(session), AccountId(session), OutSeq(0));
    binary::write_logon(logon, &mut out);
    socket.write_all(&out)?;
    let mut reader = Reader::new(socket);
    let next = reader.until(|said| match said {
        Said::LogonAck {
            next_client_seq, ..
        } => Some(*next_client_seq),
        _ => None,
    })?;
    let request = Request::New(NewOrder::limit(
        ClOrdId::new(&format!("P{}", next.0))?,
        SymbolId(600_000),
        Side::Buy,
        Quantity(100),
        Price(95_000),
    ));
    let mut out = Vec::new();
    binary::write_request(next, &request, &mut out);
    reader.socket.write_all(&out)?;
    reader.until(|said| match said {
        Said::Report(head, ReportBody::Accepted { .. })
            if head.in_reply_to == Some(ClientSeq(next.0)) =>
        {
            Some(Instant::now())
        }
        _ => None,
    })
}

struct Reader {
    socket: TcpStream,
    received: Vec<u8>,
    taken: usize,
}

impl Reader {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            received: Vec::new(),
            taken: 0,
        }
    }

    /// Reads until something is found in what was said.
    fn until<T>(&mut self, find: impl Fn(&Said<'_>) -> Option<T>) -> Result<T> {
        let mut some = [0; 16_384];
        loop {
            while let Some((frame, taken)) = binary::split(&self.received[self.taken..])? {
                self.taken += taken;
                let (_, said) = binary::read_server(frame)?;
                if let Some(found) = find(&said) {
                    return Ok(found);
                }
                if let Said::End { text, .. } | Said::LogonReject { text, .. } = said {
                    bail!("the entry said: {text}");
                }
            }
            let count = self.socket.read(&mut some).context("the entry is silent")?;
            if count == 0 {
                bail!("the entry ended the connection");
            }
            self.received.extend_from_slice(&some[..count]);
        }
    }
}
