//! The server's half: what it answers.

use super::bytes::{
    bad_number, i64_at, id_at, optional_id_at, put, put_id, u16_at, u32_at, u64_at, zeros,
};
use super::client::{read_side, side_number};
use super::frame::{Frame, POSSIBLE_DUPLICATE, begin, cut};
use super::layout::{
    accepted, answer_expired, bad_request, cancelled, end, filled, header, heartbeat, logon_ack,
    logon_reject, mass_cancelled, rejected, replaced, report, restated, sequence_gap, status,
    triggered,
};
use crate::BadField;
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, Event, LogSeq, OrderId, OrderState,
    OrderView, OutSeq, Outbound, Price, Quantity, Report, SessionId, SymbolId, TradeId, UnixMicros,
};

/// Why a server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCode {
    /// This replica does not serve, or no longer: connect to another and log on.
    NotServing,
    /// What came cannot be read, and where the next frame begins is not known.
    NotAFrame,
    /// The session is not spoken as it should be: no logon first, or a second one.
    OutOfOrder,
    /// No logon came in time.
    TooLate,
    /// As many connections are open as may be.
    Full,
    /// The session has logged on through another connection.
    TakenOver,
}

impl EndCode {
    const ALL: [Self; 6] = [
        Self::NotServing,
        Self::NotAFrame,
        Self::OutOfOrder,
        Self::TooLate,
        Self::Full,
        Self::TakenOver,
    ];

    fn number(self) -> u16 {
        match self {
            Self::NotServing => 1,
            Self::NotAFrame => 2,
            Self::OutOfOrder => 3,
            Self::TooLate => 4,
            Self::Full => 5,
            Self::TakenOver => 6,
        }
    }
}

/// What a server said. Texts lie in the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// The session is open.
    LogonAck {
        /// The session.
        session: SessionId,
        /// The number that its next request must carry.
        next_client_seq: ClientSeq,
        /// The number that the next message to it will carry.
        next_out_seq: OutSeq,
        /// Messages not seen and no longer kept.
        replay_missing: u64,
        /// So many reports follow, which the client had missed.
        replay_frames: u32,
    },
    /// The session is not let in.
    LogonReject {
        /// The reason's code.
        code: u16,
        /// The reason.
        text: &'a str,
    },
    /// What happened to a request or an order.
    Report(ReportHead, ReportBody<'a>),
    /// A request's number is ahead of the next; it did not take effect.
    SequenceGap {
        /// The number that came.
        received: ClientSeq,
        /// The number that is accepted next.
        expected: ClientSeq,
    },
    /// A frame that could not be read; it consumed no number and had no effect.
    BadRequest {
        /// The number that it carried.
        client_seq: u64,
        /// The field.
        field: &'a str,
        /// The value and what is accepted.
        text: &'a str,
    },
    /// A sign of life.
    Heartbeat {
        /// The server's clock.
        sent_at: UnixMicros,
    },
    /// Nothing more will come on this connection.
    End {
        /// Why.
        code: EndCode,
        /// Why, in words.
        text: &'a str,
    },
}

/// What all reports begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportHead {
    /// The message's number; 0 with [`ReportBody::AnswerExpired`].
    pub out_seq: OutSeq,
    /// The request that it answers.
    pub in_reply_to: Option<ClientSeq>,
    /// The command that caused it.
    pub log_seq: LogSeq,
    /// The epoch that caused it.
    pub epoch: Epoch,
    /// It was sent before.
    pub possible_duplicate: bool,
}

/// [`types::Report`] as a client sees it: a reject comes as its code and text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of types::Report")]
pub enum ReportBody<'a> {
    Accepted {
        cl_ord_id: ClOrdId,
        order_id: OrderId,
    },
    Rejected {
        cl_ord_id: Option<ClOrdId>,
        code: u16,
        text: &'a str,
    },
    Filled {
        cl_ord_id: ClOrdId,
        order_id: OrderId,
        trade_id: TradeId,
        price: Price,
        quantity: Quantity,
        remaining: Quantity,
    },
    Cancelled {
        cl_ord_id: ClOrdId,
        order_id: OrderId,
        quantity: Quantity,
        cause: CancelCause,
    },
    Replaced {
        original: ClOrdId,
        replacement: ClOrdId,
        order_id: OrderId,
        remaining: Quantity,
        kept_priority: bool,
    },
    MassCancelled {
        orders: u32,
    },
    Status(OrderView),
    AnswerExpired,
    Triggered {
        cl_ord_id: ClOrdId,
        order_id: OrderId,
        last: Price,
    },
    Restated {
        cl_ord_id: ClOrdId,
        order_id: OrderId,
        price: Price,
        remaining: Quantity,
    },
}

/// Reads what a server said, with the epoch of the leader that spoke.
///
/// # Errors
/// [`BadField`]: the server is of another make; the connection should end.
pub fn read_server(frame: Frame<'_>) -> Result<(Epoch, Said<'_>), BadField> {
    let bytes = frame.bytes();
    zeros(bytes, header::ZEROS, 3, "header.zeros")?;
    let is_report = frame.kind() >= accepted::KIND;
    let flags_known = if is_report { POSSIBLE_DUPLICATE } else { 0 };
    if frame.flags() & !flags_known != 0 {
        let accepted = "use 0, or 1 in a report that was sent before";
        return Err(bad_number("header.flags", frame.flags().into(), accepted));
    }
    let said = if is_report {
        Said::Report(read_head(frame), read_body(frame)?)
    } else {
        read_other(frame)?
    };
    Ok((Epoch(frame.number()), said))
}

fn read_other(frame: Frame<'_>) -> Result<Said<'_>, BadField> {
    let bytes = frame.bytes();
    Ok(match frame.kind() {
        heartbeat::KIND => Said::Heartbeat {
            sent_at: UnixMicros(u64_at(bytes, heartbeat::SENT_AT_US)),
        },
        logon_ack::KIND => {
            zeros(bytes, logon_ack::ZEROS, 4, "logon_ack.zeros")?;
            Said::LogonAck {
                session: SessionId(u64_at(bytes, logon_ack::SESSION)),
                next_client_seq: ClientSeq(u64_at(bytes, logon_ack::NEXT_CLIENT_SEQ)),
                next_out_seq: OutSeq(u64_at(bytes, logon_ack::NEXT_OUT_SEQ)),
                replay_missing: u64_at(bytes, logon_ack::REPLAY_MISSING),
                replay_frames: u32_at(bytes, logon_ack::REPLAY_FRAMES),
            }
        }
        logon_reject::KIND => {
            zeros(bytes, logon_reject::ZEROS, 4, "logon_reject.zeros")?;
            let [text] = tail(
                bytes,
                logon_reject::BYTES,
                [(logon_reject::TEXT_BYTES, "logon_reject.text_bytes")],
            )?;
            Said::LogonReject {
                code: u16_at(bytes, logon_reject::CODE),
                text,
            }
        }
        sequence_gap::KIND => Said::SequenceGap {
            received: ClientSeq(u64_at(bytes, sequence_gap::RECEIVED)),
            expected: ClientSeq(u64_at(bytes, sequence_gap::EXPECTED)),
        },
        bad_request::KIND => {
            zeros(bytes, bad_request::ZEROS, 4, "bad_request.zeros")?;
            let lengths = [
                (bad_request::FIELD_BYTES, "bad_request.field_bytes"),
                (bad_request::TEXT_BYTES, "bad_request.text_bytes"),
            ];
            let [field, text] = tail(bytes, bad_request::BYTES, lengths)?;
            Said::BadRequest {
                client_seq: u64_at(bytes, bad_request::CLIENT_SEQ),
                field,
                text,
            }
        }
        end::KIND => {
            zeros(bytes, end::ZEROS, 4, "end.zeros")?;
            let number = u16_at(bytes, end::CODE);
            let code = EndCode::ALL
                .into_iter()
                .find(|code| code.number() == number);
            let [text] = tail(bytes, end::BYTES, [(end::TEXT_BYTES, "end.text_bytes")])?;
            Said::End {
                code: code.ok_or_else(|| bad_number("end.code", number.into(), "use 1 to 6"))?,
                text,
            }
        }
        other => {
            let accepted = "a server sends kinds 7 (heartbeat), 65 to 69 and 80 to 89";
            return Err(bad_number("header.kind", other.into(), accepted));
        }
    })
}

/// The texts behind the fixed part, whose lengths stand at these places, and nothing after them.
fn tail<'a, const COUNT: usize>(
    bytes: &'a [u8],
    fixed: usize,
    lengths: [(usize, &'static str); COUNT],
) -> Result<[&'a str; COUNT], BadField> {
    let mut texts = [""; COUNT];
    let mut rest = &bytes[fixed..];
    for (text, (at, field)) in texts.iter_mut().zip(lengths) {
        let length = u16_at(bytes, at);
        let Some((own, behind)) = rest.split_at_checked(length.into()) else {
            let accepted = format!("{} bytes are left in the frame", rest.len());
            return Err(bad_number(field, length.into(), &accepted));
        };
        *text = std::str::from_utf8(own)
            .map_err(|error| BadField::new(field, format!("the text is not UTF-8: {error}")))?;
        rest = behind;
    }
    if let (Some((_, field)), false) = (lengths.last(), rest.is_empty()) {
        let accepted = format!("{} more bytes stand behind the text", rest.len());
        return Err(BadField::new(field, accepted));
    }
    Ok(texts)
}

fn read_head(frame: Frame<'_>) -> ReportHead {
    let bytes = frame.bytes();
    let in_reply_to = u64_at(bytes, report::IN_REPLY_TO);
    ReportHead {
        out_seq: OutSeq(u64_at(bytes, report::OUT_SEQ)),
        in_reply_to: (in_reply_to != 0).then_some(ClientSeq(in_reply_to)),
        log_seq: LogSeq(u64_at(bytes, report::LOG_SEQ)),
        epoch: Epoch(u64_at(bytes, report::EPOCH)),
        possible_duplicate: frame.flags() & POSSIBLE_DUPLICATE != 0,
    }
}

fn read_body(frame: Frame<'_>) -> Result<ReportBody<'_>, BadField> {
    let bytes = frame.bytes();
    Ok(match frame.kind() {
        accepted::KIND => {
            zeros(bytes, accepted::ZEROS, 4, "accepted.zeros")?;
            ReportBody::Accepted {
                cl_ord_id: id_at(bytes, accepted::CL_ORD_ID, "accepted.cl_ord_id")?,
                order_id: OrderId(u64_at(bytes, accepted::ORDER_ID)),
            }
        }
        rejected::KIND => {
            let lengths = [(rejected::TEXT_BYTES, "rejected.text_bytes")];
            let [text] = tail(bytes, rejected::BYTES, lengths)?;
            ReportBody::Rejected {
                cl_ord_id: optional_id_at(bytes, rejected::CL_ORD_ID, "rejected.cl_ord_id")?,
                code: u16_at(bytes, rejected::CODE),
                text,
            }
        }
        filled::KIND => {
            zeros(bytes, filled::ZEROS, 4, "filled.zeros")?;
            ReportBody::Filled {
                cl_ord_id: id_at(bytes, filled::CL_ORD_ID, "filled.cl_ord_id")?,
                order_id: OrderId(u64_at(bytes, filled::ORDER_ID)),
                trade_id: TradeId(u64_at(bytes, filled::TRADE_ID)),
                price: Price(i64_at(bytes, filled::PRICE)),
                quantity: Quantity(u64_at(bytes, filled::QUANTITY)),
                remaining: Quantity(u64_at(bytes, filled::REMAINING)),
            }
        }
        cancelled::KIND => {
            zeros(bytes, cancelled::ZEROS, 3, "cancelled.zeros")?;
            ReportBody::Cancelled {
                cl_ord_id: id_at(bytes, cancelled::CL_ORD_ID, "cancelled.cl_ord_id")?,
                order_id: OrderId(u64_at(bytes, cancelled::ORDER_ID)),
                quantity: Quantity(u64_at(bytes, cancelled::QUANTITY)),
                cause: read_cause(bytes[cancelled::CAUSE])?,
            }
        }
        replaced::KIND => read_replaced(bytes)?,
        mass_cancelled::KIND => {
            zeros(bytes, mass_cancelled::ZEROS, 4, "mass_cancelled.zeros")?;
            ReportBody::MassCancelled {
                orders: u32_at(bytes, mass_cancelled::ORDERS),
            }
        }
        status::KIND => ReportBody::Status(read_status(bytes)?),
        answer_expired::KIND => ReportBody::AnswerExpired,
        triggered::KIND => {
            zeros(bytes, triggered::ZEROS, 4, "triggered.zeros")?;
            ReportBody::Triggered {
                cl_ord_id: id_at(bytes, triggered::CL_ORD_ID, "triggered.cl_ord_id")?,
                order_id: OrderId(u64_at(bytes, triggered::ORDER_ID)),
                last: Price(i64_at(bytes, triggered::LAST)),
            }
        }
        restated::KIND => {
            zeros(bytes, restated::ZEROS, 4, "restated.zeros")?;
            ReportBody::Restated {
                cl_ord_id: id_at(bytes, restated::CL_ORD_ID, "restated.cl_ord_id")?,
                order_id: OrderId(u64_at(bytes, restated::ORDER_ID)),
                price: Price(i64_at(bytes, restated::PRICE)),
                remaining: Quantity(u64_at(bytes, restated::REMAINING)),
            }
        }
        other => {
            let accepted = "reports are kinds 80 (accepted) to 89 (restated)";
            return Err(bad_number("header.kind", other.into(), accepted));
        }
    })
}

fn read_replaced(bytes: &[u8]) -> Result<ReportBody<'_>, BadField> {
    zeros(bytes, replaced::ZEROS, 7, "replaced.zeros")?;
    let kept_priority = match bytes[replaced::KEPT_PRIORITY] {
        0 => false,
        1 => true,
        found => {
            let accepted = "use 0 (no) or 1 (yes)";
            return Err(bad_number("replaced.kept_priority", found.into(), accepted));
        }
    };
    let original = replaced::ORIGINAL_CL_ORD_ID;
    Ok(ReportBody::Replaced {
        original: id_at(bytes, original, "replaced.original_cl_ord_id")?,
        replacement: id_at(bytes, replaced::CL_ORD_ID, "replaced.cl_ord_id")?,
        order_id: OrderId(u64_at(bytes, replaced::ORDER_ID)),
        remaining: Quantity(u64_at(bytes, replaced::REMAINING)),
        kept_priority,
    })
}

fn read_status(bytes: &[u8]) -> Result<OrderView, BadField> {
    zeros(bytes, status::ZEROS, 6, "status.zeros")?;
    Ok(OrderView {
        cl_ord_id: id_at(bytes, status::CL_ORD_ID, "status.cl_ord_id")?,
        order_id: OrderId(u64_at(bytes, status::ORDER_ID)),
        account: AccountId(u64_at(bytes, status::ACCOUNT)),
        symbol: SymbolId(u32_at(bytes, status::SYMBOL)),
        side: read_side("status.side", bytes[status::SIDE])?,
        state: match bytes[status::STATE] {
            0 => OrderState::Open,
            1 => OrderState::Filled,
            2 => OrderState::Cancelled,
            3 => OrderState::Rejected,
            found => return Err(bad_number("status.state", found.into(), "use 0 to 3")),
        },
        quantity: Quantity(u64_at(bytes, status::QUANTITY)),
        filled: Quantity(u64_at(bytes, status::FILLED)),
        remaining: Quantity(u64_at(bytes, status::REMAINING)),
    })
}

/// All causes, each at the place of its number.
const CAUSES: [CancelCause; 11] = [
    CancelCause::Requested,
    CancelCause::MassCancel,
    CancelCause::SelfTrade,
    CancelCause::Unfilled,
    CancelCause::NotAtOnce,
    CancelCause::PostOnly,
    CancelCause::Disconnected,
    CancelCause::EndOfDay,
    CancelCause::OutsideLimits,
    CancelCause::KillSwitch,
    CancelCause::Halted,
];

fn read_cause(value: u8) -> Result<CancelCause, BadField> {
    let cause = CAUSES.get(usize::from(value)).copied();
    cause.ok_or_else(|| bad_number("cancelled.cause", value.into(), "use 0 to 10"))
}

fn cause_number(cause: CancelCause) -> u8 {
    match cause {
        CancelCause::Requested => 0,
        CancelCause::MassCancel => 1,
        CancelCause::SelfTrade => 2,
        CancelCause::Unfilled => 3,
        CancelCause::NotAtOnce => 4,
        CancelCause::PostOnly => 5,
        CancelCause::Disconnected => 6,
        CancelCause::EndOfDay => 7,
        CancelCause::OutsideLimits => 8,
        CancelCause::KillSwitch => 9,
        CancelCause::Halted => 10,
    }
}

/// Appends what a client is told of an event, and says whose it is. `None`, and nothing appended,
/// for what no session is told: answers to control records, trades (both sides have their own
/// reports) and alerts.
///
/// `epoch` is the epoch of the leader that speaks, not the one that caused the event.
#[inline]
pub fn write_event(epoch: Epoch, event: &Event, out: &mut Vec<u8>) -> Option<SessionId> {
    Some(match event {
        Event::ToSession(outbound) => {
            write_report(epoch, outbound, false, out);
            outbound.session
        }
        Event::LoggedOn {
            session,
            next_client_seq,
            next_out_seq,
            replay,
            replay_missing,
        } => {
            let frame = begin(out, logon_ack::KIND, logon_ack::BYTES, epoch.0);
            put(frame, logon_ack::SESSION, &session.0.to_le_bytes());
            let next = next_client_seq.0;
            put(frame, logon_ack::NEXT_CLIENT_SEQ, &next.to_le_bytes());
            put(
                frame,
                logon_ack::NEXT_OUT_SEQ,
                &next_out_seq.0.to_le_bytes(),
            );
            put(
                frame,
                logon_ack::REPLAY_MISSING,
                &replay_missing.to_le_bytes(),
            );
            let count = replay.len() as u32;
            put(frame, logon_ack::REPLAY_FRAMES, &count.to_le_bytes());
            for outbound in replay {
                write_report(epoch, outbound, true, out);
            }
            *session
        }
        Event::LogonRefused { session, reason } => {
            let text = reason.to_string();
            let text = cut(&text);
            let bytes = logon_reject::BYTES + text.len();
            let frame = begin(out, logon_reject::KIND, bytes, epoch.0);
            put(frame, logon_reject::CODE, &reason.code().to_le_bytes());
            put_text(frame, logon_reject::TEXT_BYTES, logon_reject::BYTES, text);
            *session
        }
        Event::SequenceGap {
            session,
            received,
            expected,
        } => {
            let frame = begin(out, sequence_gap::KIND, sequence_gap::BYTES, epoch.0);
            put(frame, sequence_gap::RECEIVED, &received.0.to_le_bytes());
            put(frame, sequence_gap::EXPECTED, &expected.0.to_le_bytes());
            *session
        }
        Event::Duplicate {
            session,
            client_seq,
            original,
        } => {
            match original {
                Some(original) => write_report(epoch, original, true, out),
                None => {
                    let frame = begin(out, answer_expired::KIND, answer_expired::BYTES, epoch.0);
                    frame[header::FLAGS] = POSSIBLE_DUPLICATE;
                    put(frame, report::IN_REPLY_TO, &client_seq.0.to_le_bytes());
                }
            }
            *session
        }
        Event::Control(_) | Event::Trade(_) | Event::Alert(_) => return None,
    })
}

/// Appends a server's sign of life.
pub fn write_heartbeat(epoch: Epoch, now: UnixMicros, out: &mut Vec<u8>) {
    let frame = begin(out, heartbeat::KIND, heartbeat::BYTES, epoch.0);
    put(frame, heartbeat::SENT_AT_US, &now.0.to_le_bytes());
}

/// Appends the answer to a frame that cannot be read.
pub fn write_bad_request(epoch: Epoch, client_seq: u64, error: &BadField, out: &mut Vec<u8>) {
    let (field, text) = (cut(error.field), cut(&error.text));
    let bytes = bad_request::BYTES + field.len() + text.len();
    let frame = begin(out, bad_request::KIND, bytes, epoch.0);
    put(frame, bad_request::CLIENT_SEQ, &client_seq.to_le_bytes());
    put_text(frame, bad_request::FIELD_BYTES, bad_request::BYTES, field);
    let behind = bad_request::BYTES + field.len();
    put_text(frame, bad_request::TEXT_BYTES, behind, text);
}

/// Appends the last frame of a connection.
pub fn write_end(epoch: Epoch, code: EndCode, text: &str, out: &mut Vec<u8>) {
    let text = cut(text);
    let frame = begin(out, end::KIND, end::BYTES + text.len(), epoch.0);
    put(frame, end::CODE, &code.number().to_le_bytes());
    put_text(frame, end::TEXT_BYTES, end::BYTES, text);
}

fn put_text(frame: &mut [u8], length_at: usize, at: usize, text: &str) {
    put(frame, length_at, &(text.len() as u16).to_le_bytes());
    put(frame, at, text.as_bytes());
}

#[inline]
fn write_report(epoch: Epoch, outbound: &Outbound, possible_duplicate: bool, out: &mut Vec<u8>) {
    let at = out.len();
    write_body(epoch, &outbound.report, out);
    let frame = &mut out[at..];
    if possible_duplicate {
        frame[header::FLAGS] = POSSIBLE_DUPLICATE;
    }
    put(frame, report::OUT_SEQ, &outbound.out_seq.0.to_le_bytes());
    if let Some(request) = outbound.in_reply_to {
        put(frame, report::IN_REPLY_TO, &request.0.to_le_bytes());
    }
    put(frame, report::LOG_SEQ, &outbound.log_seq.0.to_le_bytes());
    put(frame, report::EPOCH, &outbound.epoch.0.to_le_bytes());
}

#[inline]
fn write_body(epoch: Epoch, report: &Report, out: &mut Vec<u8>) {
    match report {
        Report::Accepted {
            cl_ord_id,
            order_id,
        } => {
            let frame = begin(out, accepted::KIND, accepted::BYTES, epoch.0);
            put_id(frame, accepted::CL_ORD_ID, *cl_ord_id);
            put(frame, accepted::ORDER_ID, &order_id.0.to_le_bytes());
        }
        Report::Rejected { cl_ord_id, reason } => {
            let text = reason.to_string();
            let text = cut(&text);
            let bytes = rejected::BYTES + text.len();
            let frame = begin(out, rejected::KIND, bytes, epoch.0);
            if let Some(id) = cl_ord_id {
                put_id(frame, rejected::CL_ORD_ID, *id);
            }
            put(frame, rejected::CODE, &reason.code().to_le_bytes());
            put_text(frame, rejected::TEXT_BYTES, rejected::BYTES, text);
        }
        Report::Filled {
            cl_ord_id,
            order_id,
            trade_id,
            price,
            quantity,
            remaining,
        } => {
            let frame = begin(out, filled::KIND, filled::BYTES, epoch.0);
            put_id(frame, filled::CL_ORD_ID, *cl_ord_id);
            put(frame, filled::ORDER_ID, &order_id.0.to_le_bytes());
            put(frame, filled::TRADE_ID, &trade_id.0.to_le_bytes());
            put(frame, filled::PRICE, &price.0.to_le_bytes());
            put(frame, filled::QUANTITY, &quantity.0.to_le_bytes());
            put(frame, filled::REMAINING, &remaining.0.to_le_bytes());
        }
        Report::Cancelled {
            cl_ord_id,
            order_id,
            quantity,
            cause,
        } => {
            let frame = begin(out, cancelled::KIND, cancelled::BYTES, epoch.0);
            put_id(frame, cancelled::CL_ORD_ID, *cl_ord_id);
            put(frame, cancelled::ORDER_ID, &order_id.0.to_le_bytes());
            put(frame, cancelled::QUANTITY, &quantity.0.to_le_bytes());
            frame[cancelled::CAUSE] = cause_number(*cause);
        }
        Report::Replaced {
            original,
            replacement,
            order_id,
            remaining,
            kept_priority,
        } => {
            let frame = begin(out, replaced::KIND, replaced::BYTES, epoch.0);
            put_id(frame, replaced::ORIGINAL_CL_ORD_ID, *original);
            put_id(frame, replaced::CL_ORD_ID, *replacement);
            put(frame, replaced::ORDER_ID, &order_id.0.to_le_bytes());
            put(frame, replaced::REMAINING, &remaining.0.to_le_bytes());
            frame[replaced::KEPT_PRIORITY] = (*kept_priority).into();
        }
        Report::MassCancelled { orders } => {
            let frame = begin(out, mass_cancelled::KIND, mass_cancelled::BYTES, epoch.0);
            put(frame, mass_cancelled::ORDERS, &orders.to_le_bytes());
        }
        Report::Status(view) => write_status(epoch, view, out),
        Report::Triggered {
            cl_ord_id,
            order_id,
            last,
        } => {
            let frame = begin(out, triggered::KIND, triggered::BYTES, epoch.0);
            put_id(frame, triggered::CL_ORD_ID, *cl_ord_id);
            put(frame, triggered::ORDER_ID, &order_id.0.to_le_bytes());
            put(frame, triggered::LAST, &last.0.to_le_bytes());
        }
        Report::Restated {
            cl_ord_id,
            order_id,
            price,
            remaining,
        } => {
            let frame = begin(out, restated::KIND, restated::BYTES, epoch.0);
            put_id(frame, restated::CL_ORD_ID, *cl_ord_id);
            put(frame, restated::ORDER_ID, &order_id.0.to_le_bytes());
            put(frame, restated::PRICE, &price.0.to_le_bytes());
            put(frame, restated::REMAINING, &remaining.0.to_le_bytes());
        }
    }
}

fn write_status(epoch: Epoch, view: &OrderView, out: &mut Vec<u8>) {
    let frame = begin(out, status::KIND, status::BYTES, epoch.0);
    put_id(frame, status::CL_ORD_ID, view.cl_ord_id);
    put(frame, status::SYMBOL, &view.symbol.0.to_le_bytes());
    put(frame, status::ORDER_ID, &view.order_id.0.to_le_bytes());
    put(frame, status::ACCOUNT, &view.account.0.to_le_bytes());
    put(frame, status::QUANTITY, &view.quantity.0.to_le_bytes());
    put(frame, status::FILLED, &view.filled.0.to_le_bytes());
    put(frame, status::REMAINING, &view.remaining.0.to_le_bytes());
    frame[status::SIDE] = side_number(view.side);
    frame[status::STATE] = match view.state {
        OrderState::Open => 0,
        OrderState::Filled => 1,
        OrderState::Cancelled => 2,
        OrderState::Rejected => 3,
    };
}
