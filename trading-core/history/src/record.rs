//! What a client writes down: one JSON object a line, the first a [`Header`], each other a [`Record`].
//!
//! ```text
//!   {"history_format":2,"client":"load-0"}
//!   {"LoggedOn":{"at_us":…,"session":7,"account":9,"last_out_seq_seen":0,"leader_epoch":3,…}}
//!   {"Sent":{"at_us":…,"session":7,"client_seq":1,"request":{"New":{…}}}}
//!   {"Received":{"at_us":…,"session":7,"leader_epoch":3,"possible_duplicate":false,"message":{…}}}
//! ```
//!
//! A client that is killed while writing leaves a torn last line: it is dropped and counted.

use serde::{Deserialize, Serialize};
use std::io::BufRead;
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, LogSeq, OrderId, OrderView, OutSeq,
    Outbound, Price, Quantity, Report, Request, SessionId, TradeId, UnixMicros,
};

/// Version of the file's form. A reader refuses a version it does not know.
pub const HISTORY_FORMAT: u32 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`HISTORY_FORMAT`] of the writer.
    pub history_format: u32,
    /// The client's name, for evidence.
    pub client: String,
}

impl Header {
    /// A header of this version.
    #[must_use]
    pub fn new(client: impl Into<String>) -> Self {
        Self {
            history_format: HISTORY_FORMAT,
            client: client.into(),
        }
    }

    /// The line, with its newline.
    ///
    /// # Errors
    /// [`HistoryError::Unwritable`] when the encoder refuses; no header is known for which it does.
    pub fn to_line(&self) -> Result<String, HistoryError> {
        line(self)
    }
}

/// One thing that a client did or saw. Written in the order in which it happened to the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A request is about to be sent; written again, with the same number, when it is sent again.
    Sent {
        /// Before it went out.
        at_us: UnixMicros,
        /// The session.
        session: SessionId,
        /// Its number.
        client_seq: ClientSeq,
        /// The request.
        request: Request,
    },
    /// A message came, the replay after a logon included.
    Received {
        /// After it came.
        at_us: UnixMicros,
        /// The session.
        session: SessionId,
        /// The epoch of the leader that sent it (the envelope's, not the message's).
        leader_epoch: Epoch,
        /// The core marked it as sent before.
        possible_duplicate: bool,
        /// The message.
        message: SeenMessage,
    },
    /// A logon was answered.
    LoggedOn {
        /// After the answer came.
        at_us: UnixMicros,
        /// The session.
        session: SessionId,
        /// Its account.
        account: AccountId,
        /// What the client had said that it has.
        last_out_seq_seen: OutSeq,
        /// The epoch of the leader that answered.
        leader_epoch: Epoch,
        /// The number that the next request must carry.
        next_client_seq: ClientSeq,
        /// The number that the next message will carry.
        next_out_seq: OutSeq,
        /// Messages after `last_out_seq_seen` that are no longer kept.
        replay_missing: u64,
    },
    /// A request was turned away before it reached the log; its number is free again.
    Refused {
        /// After the answer came.
        at_us: UnixMicros,
        /// The session.
        session: SessionId,
        /// Its number.
        client_seq: ClientSeq,
        /// Why.
        text: String,
    },
    /// The client stopped waiting for an answer.
    Unknown {
        /// When it gave up.
        at_us: UnixMicros,
        /// The session.
        session: SessionId,
        /// The request's number.
        client_seq: ClientSeq,
    },
}

/// A message as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMessage {
    /// Its number; 0 with [`SeenReport::AnswerExpired`].
    pub out_seq: OutSeq,
    /// The request that it answers.
    pub in_reply_to: Option<ClientSeq>,
    /// The command that caused it.
    pub log_seq: LogSeq,
    /// The epoch that caused it.
    pub epoch: Epoch,
    /// What happened.
    pub report: SeenReport,
}

/// [`Report`] as a client sees it: a reject comes as its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeenReport {
    /// [`Report::Accepted`].
    Accepted {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
    },
    /// [`Report::Rejected`].
    Rejected {
        /// The client's id, where the request names one.
        cl_ord_id: Option<ClOrdId>,
        /// The reason's stable code.
        code: u16,
    },
    /// [`Report::Filled`].
    Filled {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The trade.
        trade_id: TradeId,
        /// At what price.
        price: Price,
        /// How many shares.
        quantity: Quantity,
        /// How many are left open.
        remaining: Quantity,
    },
    /// [`Report::Cancelled`].
    Cancelled {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// How many shares were still open.
        quantity: Quantity,
        /// Why.
        cause: CancelCause,
    },
    /// [`Report::Replaced`].
    Replaced {
        /// The id it had.
        original: ClOrdId,
        /// The id it has.
        replacement: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// How many shares are open now.
        remaining: Quantity,
        /// Whether it kept its place in the queue.
        kept_priority: bool,
    },
    /// [`Report::MassCancelled`].
    MassCancelled {
        /// How many orders.
        orders: u32,
    },
    /// [`Report::Status`].
    Status(OrderView),
    /// [`Report::Triggered`].
    Triggered {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The last price, which set it off.
        last: Price,
    },
    /// [`Report::Restated`].
    Restated {
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// The shard's id.
        order_id: OrderId,
        /// The limit it took.
        price: Price,
        /// How many shares are open.
        remaining: Quantity,
    },
    /// The request was seen before and its answer is no longer kept.
    AnswerExpired,
}

impl From<&Report> for SeenReport {
    fn from(report: &Report) -> Self {
        match *report {
            Report::Accepted {
                cl_ord_id,
                order_id,
            } => Self::Accepted {
                cl_ord_id,
                order_id,
            },
            Report::Rejected { cl_ord_id, reason } => Self::Rejected {
                cl_ord_id,
                code: reason.code(),
            },
            Report::Filled {
                cl_ord_id,
                order_id,
                trade_id,
                price,
                quantity,
                remaining,
            } => Self::Filled {
                cl_ord_id,
                order_id,
                trade_id,
                price,
                quantity,
                remaining,
            },
            Report::Cancelled {
                cl_ord_id,
                order_id,
                quantity,
                cause,
            } => Self::Cancelled {
                cl_ord_id,
                order_id,
                quantity,
                cause,
            },
            Report::Replaced {
                original,
                replacement,
                order_id,
                remaining,
                kept_priority,
            } => Self::Replaced {
                original,
                replacement,
                order_id,
                remaining,
                kept_priority,
            },
            Report::MassCancelled { orders } => Self::MassCancelled { orders },
            Report::Status(view) => Self::Status(view),
            Report::Triggered {
                cl_ord_id,
                order_id,
                last,
            } => Self::Triggered {
                cl_ord_id,
                order_id,
                last,
            },
            Report::Restated {
                cl_ord_id,
                order_id,
                price,
                remaining,
            } => Self::Restated {
                cl_ord_id,
                order_id,
                price,
                remaining,
            },
        }
    }
}

impl From<&Outbound> for SeenMessage {
    fn from(outbound: &Outbound) -> Self {
        Self {
            out_seq: outbound.out_seq,
            in_reply_to: outbound.in_reply_to,
            log_seq: outbound.log_seq,
            epoch: outbound.epoch,
            report: (&outbound.report).into(),
        }
    }
}

impl Record {
    /// The session that it is about.
    #[must_use]
    pub fn session(&self) -> SessionId {
        match self {
            Self::Sent { session, .. }
            | Self::Received { session, .. }
            | Self::LoggedOn { session, .. }
            | Self::Refused { session, .. }
            | Self::Unknown { session, .. } => *session,
        }
    }

    /// The line, with its newline.
    ///
    /// # Errors
    /// [`HistoryError::Unwritable`] when the encoder refuses; no record is known for which it does.
    pub fn to_line(&self) -> Result<String, HistoryError> {
        line(self)
    }
}

fn line(value: &impl Serialize) -> Result<String, HistoryError> {
    let written = serde_json::to_string(value).map_err(|error| HistoryError::Unwritable {
        detail: error.to_string(),
    });
    Ok(written? + "\n")
}

/// One client's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The client's name.
    pub client: String,
    /// What it did and saw, in order.
    pub records: Vec<Record>,
    /// Torn last lines dropped: 0 or 1.
    pub torn_lines: u64,
}

/// Why a file is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file ends before its header does.
    #[error(
        "failed to read a history: it has no header: its first line must be \
         {{\"history_format\":{HISTORY_FORMAT},\"client\":\"…\"}}"
    )]
    NoHeader,
    /// Another version wrote it.
    #[error(
        "failed to read a history: history_format {found} is not known, this version reads \
         {HISTORY_FORMAT}"
    )]
    UnknownFormat {
        /// What the header says.
        found: u32,
    },
    /// A line is no record, and it is not the torn last one.
    #[error("failed to read a history: line {number} is no record: {detail}")]
    Malformed {
        /// Counted from 1.
        number: u64,
        /// What the decoder met.
        detail: String,
    },
    /// The file cannot be read.
    #[error("failed to read a history at line {number}: {source}")]
    Unreadable {
        /// The line that was being read.
        number: u64,
        /// Why.
        source: std::io::Error,
    },
    /// A record has no written form.
    #[error("failed to write a history: {detail}")]
    Unwritable {
        /// What the encoder met.
        detail: String,
    },
}

/// Reads one client's file.
///
/// # Errors
/// [`HistoryError`]; a last line without its newline that does not read is no error but counted.
pub fn read_history(mut reader: impl BufRead) -> Result<History, HistoryError> {
    let mut line = Vec::new();
    read_line(&mut reader, &mut line, 1)?;
    let header: Header = match serde_json::from_slice(&line) {
        Ok(header) => header,
        Err(_) if !line.ends_with(b"\n") => return Err(HistoryError::NoHeader),
        Err(error) => return Err(malformed(1, &error)),
    };
    if header.history_format != HISTORY_FORMAT {
        return Err(HistoryError::UnknownFormat {
            found: header.history_format,
        });
    }
    let mut history = History {
        client: header.client,
        records: Vec::new(),
        torn_lines: 0,
    };
    for number in 2.. {
        read_line(&mut reader, &mut line, number)?;
        if line.is_empty() {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => history.records.push(record),
            Err(_) if !line.ends_with(b"\n") => history.torn_lines += 1,
            Err(error) => return Err(malformed(number, &error)),
        }
    }
    Ok(history)
}

fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    number: u64,
) -> Result<usize, HistoryError> {
    line.clear();
    reader
        .read_until(b'\n', line)
        .map_err(|source| HistoryError::Unreadable { number, source })
}

fn malformed(number: u64, error: &serde_json::Error) -> HistoryError {
    HistoryError::Malformed {
        number,
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(client_seq: u64) -> Record {
        Record::Unknown {
            at_us: UnixMicros(5),
            session: SessionId(7),
            client_seq: ClientSeq(client_seq),
        }
    }

    fn file(records: &[Record]) -> String {
        let header = Header::new("load-0").to_line().unwrap();
        let lines = records.iter().map(|record| record.to_line().unwrap());
        header + &lines.collect::<String>()
    }

    #[test]
    fn a_history_reads_as_it_was_written() {
        let records = vec![
            Record::Sent {
                at_us: UnixMicros(1),
                session: SessionId(7),
                client_seq: ClientSeq(1),
                request: Request::Cancel {
                    original: ClOrdId::new("A-\"1\"").unwrap(),
                },
            },
            Record::Received {
                at_us: UnixMicros(2),
                session: SessionId(7),
                leader_epoch: Epoch(3),
                possible_duplicate: true,
                message: SeenMessage {
                    out_seq: OutSeq(1),
                    in_reply_to: None,
                    log_seq: LogSeq(9),
                    epoch: Epoch(2),
                    report: SeenReport::Rejected {
                        cl_ord_id: None,
                        code: 202,
                    },
                },
            },
            unknown(1),
        ];
        let history = read_history(file(&records).as_bytes()).unwrap();
        assert_eq!(history.client, "load-0");
        assert_eq!(history.records, records);
        assert_eq!(history.torn_lines, 0);
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_counted_wherever_it_tore() {
        let whole = file(&[unknown(1), unknown(2)]);
        let last = whole.trim_end().rfind('\n').unwrap() + 1;
        for end in last + 1..whole.len() - 1 {
            let history = read_history(&whole.as_bytes()[..end]).unwrap();
            assert_eq!(history.records, [unknown(1)], "cut at {end}");
            assert_eq!(history.torn_lines, 1, "cut at {end}");
        }
    }

    #[test]
    fn damage_before_the_last_line_names_the_line() {
        let damaged = file(&[unknown(1), unknown(2)]).replacen("Unknown", "Unkn", 1);
        let error = read_history(damaged.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_file_without_a_header_of_this_version_is_refused() {
        assert!(matches!(
            read_history(&b""[..]),
            Err(HistoryError::NoHeader)
        ));
        let newer = file(&[]).replace(":2,", ":3,");
        assert!(matches!(
            read_history(newer.as_bytes()),
            Err(HistoryError::UnknownFormat { found: 3 })
        ));
    }
}
