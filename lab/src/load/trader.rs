//! One session that trades.

use super::generator::Generator;
use crate::ground::power::now_us;
use anyhow::{Result, bail};
use client::OrderSession;
use client::session::{Event, SessionOptions, SubmitError};
use history::{Record, seen};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use types::{AccountId, ClientSeq, Request, SessionId, UnixMicros};

/// Orders that are due and cannot be sent; more are given up and counted.
const BACKLOG_MAX: usize = 16_384;
/// How long open requests are waited for at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// Something to be written down or shown.
#[derive(Debug)]
pub(super) struct Note {
    pub record: Option<Record>,
    /// From when the order was due, for the first answer.
    pub latency_us: Option<u64>,
    pub entry: Option<String>,
}

pub(super) struct Trader {
    session: OrderSession,
    id: SessionId,
    account: AccountId,
    generator: Generator,
    notes: mpsc::Sender<Note>,
    backlog: VecDeque<(Instant, Request)>,
    due: HashMap<ClientSeq, Instant>,
    given_up: u64,
}

impl Trader {
    pub(super) fn new(
        options: SessionOptions,
        entries: &[String],
        generator: Generator,
        notes: mpsc::Sender<Note>,
    ) -> Result<Self> {
        let (id, account) = (options.session, options.account);
        Ok(Self {
            session: OrderSession::new(options, entries, 0)?,
            id,
            account,
            generator,
            notes,
            backlog: VecDeque::new(),
            due: HashMap::new(),
            given_up: 0,
        })
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        // Open loop begins when the session is open for the first time.
        let mut next_due = None;
        let mut drain_until = None;
        loop {
            if drain_until.is_some() && self.session.in_flight() == 0 {
                break;
            }
            tokio::select! {
                event = self.session.next() => {
                    if matches!(event, Event::LoggedOn { .. }) && next_due.is_none() {
                        next_due = Some(Instant::now() + self.generator.gap());
                    }
                    self.told(event).await?;
                }
                () = at(next_due), if drain_until.is_none() => {
                    if let Some(due) = next_due {
                        self.order(due);
                        // From when it was due, not from now: what is late stays due.
                        next_due = Some(due + self.generator.gap());
                    }
                }
                () = stop.cancelled(), if drain_until.is_none() => {
                    drain_until = Some(Instant::now() + DRAIN);
                    self.backlog.clear();
                }
                () = at(drain_until), if drain_until.is_some() => break,
            }
            self.send().await?;
        }
        let open: Vec<ClientSeq> = self.session.open_requests().collect();
        for client_seq in open {
            let record = Record::Unknown {
                at_us: now(),
                session: self.id,
                client_seq,
            };
            self.note(record, None).await?;
        }
        if self.given_up > 0 {
            tracing::warn!(session = %self.id, orders = self.given_up, "orders were never sent: the backlog was full");
        }
        Ok(())
    }

    fn order(&mut self, due: Instant) {
        let request = self.generator.request();
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back((due, request));
        } else {
            self.given_up += 1;
        }
    }

    /// Sends what is due, as far as the session takes it. Each is written down before.
    async fn send(&mut self) -> Result<()> {
        while let Some((due, request)) = self.backlog.front() {
            let client_seq = match self.session.next_client_seq() {
                Ok(client_seq) => client_seq,
                Err(SubmitError::NotLoggedOn { .. } | SubmitError::Full { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let (due, request) = (*due, *request);
            let record = Record::Sent {
                at_us: now(),
                session: self.id,
                client_seq,
                request,
            };
            self.note(record, None).await?;
            self.due.insert(client_seq, due);
            self.session.submit(request)?;
            self.backlog.pop_front();
        }
        Ok(())
    }

    async fn told(&mut self, event: Event) -> Result<()> {
        match event {
            Event::LoggedOn {
                epoch,
                last_out_seq_seen,
                next_client_seq,
                next_out_seq,
                replay_missing,
                ..
            } => {
                let record = Record::LoggedOn {
                    at_us: now(),
                    session: self.id,
                    account: self.account,
                    last_out_seq_seen,
                    leader_epoch: epoch,
                    next_client_seq,
                    next_out_seq,
                    replay_missing,
                };
                let entry = self.session.entry().to_owned();
                self.put(Note {
                    record: Some(record),
                    latency_us: None,
                    entry: Some(entry),
                })
                .await
            }
            Event::Report {
                epoch,
                report,
                answers,
            } => {
                let latency_us = answers
                    .and_then(|client_seq| self.due.remove(&client_seq))
                    .map(|due| due.elapsed().as_micros() as u64);
                let record = Record::Received {
                    at_us: now(),
                    session: self.id,
                    leader_epoch: epoch,
                    possible_duplicate: report.possible_duplicate,
                    message: seen(&report)?,
                };
                self.note(record, latency_us).await
            }
            Event::SentAgain {
                client_seq,
                request,
            } => {
                let record = Record::Sent {
                    at_us: now(),
                    session: self.id,
                    client_seq,
                    request,
                };
                self.note(record, None).await
            }
            Event::EntryLost { reason, .. } => {
                tracing::info!(session = %self.id, reason, "entry lost");
                Ok(())
            }
            Event::Ended { reason } => bail!("session {} ended: {reason}", self.id),
        }
    }

    async fn note(&mut self, record: Record, latency_us: Option<u64>) -> Result<()> {
        self.put(Note {
            record: Some(record),
            latency_us,
            entry: None,
        })
        .await
    }

    async fn put(&mut self, note: Note) -> Result<()> {
        if self.notes.send(note).await.is_err() {
            bail!("the history is no longer written");
        }
        Ok(())
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn now() -> UnixMicros {
    UnixMicros(now_us())
}
