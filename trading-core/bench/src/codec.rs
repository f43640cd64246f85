//! Reading and writing one message of the binary protocol, in nanoseconds.

use crate::flow::Flow;
use crate::machine::Watch;
use crate::report::{Row, Target};
use anyhow::{Context, Result};
use protocol::binary;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;
use types::{
    ClOrdId, ClientSeq, Epoch, Event, LogSeq, OrderId, OutSeq, Outbound, Report, SessionId,
};

/// Messages of one pass; small enough to stay in the second cache.
const MESSAGES: u64 = 4_096;
/// Passes; the median counts.
const PASSES: usize = 400;

/// Four rows: the client's and the server's side of a request and of its answer.
///
/// # Errors
/// Not known to happen.
pub fn rows() -> Result<Vec<Row>> {
    let watch = Watch::begin()?;
    let mut flow = Flow::new(1, 1);
    let requests = (0..MESSAGES)
        .map(|_| flow.next())
        .collect::<Result<Vec<_>>>()?;
    let events: Vec<Event> = (1..=MESSAGES)
        .map(|n| {
            Ok(Event::ToSession(Outbound {
                session: SessionId(1),
                out_seq: OutSeq(n),
                in_reply_to: Some(ClientSeq(n)),
                log_seq: LogSeq(n),
                epoch: Epoch(3),
                report: Report::Accepted {
                    cl_ord_id: ClOrdId::new(&n.to_string())?,
                    order_id: OrderId(n),
                },
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    let write_requests = median(|| {
        asked.clear();
        for (n, request) in requests.iter().enumerate() {
            binary::write_request(ClientSeq(n as u64 + 1), black_box(request), &mut asked);
        }
        Ok(())
    })?;
    let read_requests = median(|| {
        each(&asked, |frame| {
            black_box(binary::read_client(frame)?);
            Ok(())
        })
    })?;
    let write_reports = median(|| {
        told.clear();
        for event in &events {
            black_box(binary::write_event(Epoch(4), black_box(event), &mut told));
        }
        Ok(())
    })?;
    let read_reports = median(|| {
        each(&told, |frame| {
            black_box(binary::read_server(frame)?);
            Ok(())
        })
    })?;
    let conditions = watch.conditions()?;
    let row = |id: &str, what: &str, figure: f64| Row {
        id: format!("codec.{id}"),
        what: format!("binary protocol: {what}"),
        target: Target::AtMost(50.0),
        figure: Some(figure),
        unit: "ns".to_owned(),
        details: BTreeMap::new(),
        conditions,
        how: format!("one thread, median of {PASSES} passes over {MESSAGES} messages; own aim"),
    };
    Ok(vec![
        row("write_request", "write a request", write_requests),
        row("read_request", "read and check a request", read_requests),
        row("write_report", "write a report", write_reports),
        row("read_report", "read and check a report", read_reports),
    ])
}

fn each(mut bytes: &[u8], mut read: impl FnMut(binary::Frame<'_>) -> Result<()>) -> Result<()> {
    while let Some((frame, taken)) = binary::split(bytes)? {
        read(frame)?;
        bytes = &bytes[taken..];
    }
    Ok(())
}

/// Nanoseconds a message, the median of all passes.
fn median(mut pass: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut passes = Vec::with_capacity(PASSES);
    for _ in 0..PASSES {
        let began = Instant::now();
        pass()?;
        passes.push(began.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    passes.sort_by(f64::total_cmp);
    let middle = passes.get(PASSES / 2).context("no pass ran")?;
    Ok((middle * 10.0).round() / 10.0)
}
