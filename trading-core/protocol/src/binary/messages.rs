//! Binary frames as the messages of [`crate::order`], so that one client session speaks both.
//!
//! ```text
//!   frames ─► Joined ─► order::ServerMessage      (a logon's answer waits for its replayed reports)
//!   order::ClientMessage ─► frame
//! ```

use super::client::{write_client_heartbeat, write_logon, write_request};
use super::frame::Frame;
use super::server::{ReportBody, ReportHead, Said, read_server};
use crate::BadField;
use crate::order::report::Body as Told;
use crate::order::server_message::Body as Answered;
use crate::order::{self, ServerMessage};
use crate::order_entry::{self, Inbound};
use types::{Epoch, Outbound, Report, SessionId};

/// Why frames give no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A field is none.
    #[error(transparent)]
    Field(#[from] BadField),
    /// The server said that the connection ends.
    #[error("the entry ended the connection: {text}")]
    Ended {
        /// Why.
        text: String,
    },
    /// Something else came where replayed reports were announced.
    #[error("{missing} more replayed reports were announced, and something else came")]
    ReplayBrokenOff {
        /// How many.
        missing: u32,
    },
}

/// Joins frames to messages.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// A logon's answer, and how many replayed reports are still to come.
    pending: Option<(Epoch, order::LogonAck, u32)>,
}

impl Joined {
    /// Takes the next frame; gives back the message that it completes, if any.
    ///
    /// # Errors
    /// [`JoinError`] after which the connection is of no more use.
    pub fn take(&mut self, frame: Frame<'_>) -> Result<Option<ServerMessage>, JoinError> {
        let (epoch, said) = read_server(frame)?;
        if let Some((_, ack, missing)) = &mut self.pending {
            let Said::Report(head, body) = said else {
                return Err(JoinError::ReplayBrokenOff { missing: *missing });
            };
            ack.replay.push(report(head, &body));
            *missing -= 1;
            return Ok(self.complete());
        }
        let body = match said {
            Said::LogonAck {
                session,
                next_client_seq,
                next_out_seq,
                replay_missing,
                replay_frames,
            } => {
                let ack = order::LogonAck {
                    session: session.0,
                    next_client_seq: next_client_seq.0,
                    next_out_seq: next_out_seq.0,
                    replay: Vec::new(),
                    replay_missing,
                };
                self.pending = Some((epoch, ack, replay_frames));
                return Ok(self.complete());
            }
            Said::LogonReject { code, text } => Answered::LogonReject(order::LogonReject {
                code: code.into(),
                text: text.to_owned(),
            }),
            Said::Report(head, body) => Answered::Report(report(head, &body)),
            Said::SequenceGap { received, expected } => Answered::SequenceGap(order::SequenceGap {
                received: received.0,
                expected: expected.0,
            }),
            Said::BadRequest {
                client_seq,
                field,
                text,
            } => Answered::BadRequest(order::BadRequest {
                client_seq,
                field: field.to_owned(),
                text: text.to_owned(),
            }),
            Said::Heartbeat { sent_at } => Answered::Heartbeat(order::Heartbeat {
                sent_at_us: sent_at.0,
            }),
            Said::End { text, .. } => {
                let text = text.to_owned();
                return Err(JoinError::Ended { text });
            }
        };
        Ok(Some(order_entry::server_message(epoch, body)))
    }

    fn complete(&mut self) -> Option<ServerMessage> {
        let (epoch, ack, _) = self.pending.take_if(|(_, _, missing)| *missing == 0)?;
        Some(order_entry::server_message(epoch, Answered::LogonAck(ack)))
    }
}

fn report(head: ReportHead, body: &ReportBody<'_>) -> order::Report {
    let told = match as_report(body) {
        Some(report) => {
            let outbound = Outbound {
                // No field of the message.
                session: SessionId(0),
                out_seq: head.out_seq,
                in_reply_to: head.in_reply_to,
                log_seq: head.log_seq,
                epoch: head.epoch,
                report,
            };
            return order_entry::report(&outbound, head.possible_duplicate);
        }
        None => match body {
            ReportBody::Rejected {
                cl_ord_id,
                code,
                text,
            } => Told::Rejected(order::Rejected {
                cl_ord_id: cl_ord_id.map_or_else(String::new, |id| id.to_string()),
                code: u32::from(*code),
                text: (*text).to_owned(),
            }),
            _ => Told::AnswerExpired(order::AnswerExpired {}),
        },
    };
    order::Report {
        out_seq: head.out_seq.0,
        in_reply_to: head.in_reply_to.map_or(0, |request| request.0),
        log_seq: head.log_seq.0,
        epoch: head.epoch.0,
        possible_duplicate: head.possible_duplicate,
        body: Some(told),
    }
}

/// The report that a body tells; none for a reject, whose reason comes only as code and text, and
/// for an answer that is no longer kept.
fn as_report(body: &ReportBody<'_>) -> Option<Report> {
    Some(match *body {
        ReportBody::Accepted {
            cl_ord_id,
            order_id,
        } => Report::Accepted {
            cl_ord_id,
            order_id,
        },
        ReportBody::Filled {
            cl_ord_id,
            order_id,
            trade_id,
            price,
            quantity,
            remaining,
        } => Report::Filled {
            cl_ord_id,
            order_id,
            trade_id,
            price,
            quantity,
            remaining,
        },
        ReportBody::Cancelled {
            cl_ord_id,
            order_id,
            quantity,
            cause,
        } => Report::Cancelled {
            cl_ord_id,
            order_id,
            quantity,
            cause,
        },
        ReportBody::Replaced {
            original,
            replacement,
            order_id,
            remaining,
            kept_priority,
        } => Report::Replaced {
            original,
            replacement,
            order_id,
            remaining,
            kept_priority,
        },
        ReportBody::MassCancelled { orders } => Report::MassCancelled { orders },
        ReportBody::Status(view) => Report::Status(view),
        ReportBody::Triggered {
            cl_ord_id,
            order_id,
            last,
        } => Report::Triggered {
            cl_ord_id,
            order_id,
            last,
        },
        ReportBody::Restated {
            cl_ord_id,
            order_id,
            price,
            remaining,
        } => Report::Restated {
            cl_ord_id,
            order_id,
            price,
            remaining,
        },
        ReportBody::Rejected { .. } | ReportBody::AnswerExpired => return None,
    })
}

/// Appends the frame of a client's message.
///
/// # Errors
/// [`BadField`] for a message that cannot be read.
pub fn write_message(message: &order::ClientMessage, out: &mut Vec<u8>) -> Result<(), BadField> {
    match order_entry::read(message)? {
        Inbound::Logon(logon) => write_logon(logon, out),
        Inbound::Request {
            client_seq,
            request,
        } => write_request(client_seq, &request, out),
        Inbound::Heartbeat { sent_at } => write_client_heartbeat(sent_at, out),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{split, write_end, write_event};
    use super::*;
    use crate::samples::{any_event, any_request};
    use proptest::prelude::*;
    use types::{ClientSeq, Event, OutSeq};

    fn joined(mut bytes: &[u8]) -> Vec<ServerMessage> {
        let mut joined = Joined::default();
        let mut messages = Vec::new();
        while let Some((frame, taken)) = split(bytes).unwrap() {
            messages.extend(joined.take(frame).unwrap());
            bytes = &bytes[taken..];
        }
        messages
    }

    proptest! {
        /// Both protocols tell the same of an event.
        #[test]
        fn a_client_is_told_the_same_over_either_protocol(event in any_event()) {
            let mut bytes = Vec::new();
            write_event(Epoch(9), &event, &mut bytes);
            let (_, message) = order_entry::answer(Epoch(9), &event).unwrap();
            prop_assert_eq!(joined(&bytes), vec![message]);
        }

        #[test]
        fn a_request_is_the_same_over_either_protocol(request in any_request()) {
            let message = order_entry::request_message(ClientSeq(5), &request);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            write_message(&message, &mut one).unwrap();
            write_request(ClientSeq(5), &request, &mut other);
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn an_announced_replay_that_breaks_off_is_no_answer() {
        let mut bytes = Vec::new();
        let logged_on = Event::LoggedOn {
            session: SessionId(7),
            next_client_seq: ClientSeq(1),
            next_out_seq: OutSeq(2),
            replay: vec![Outbound {
                session: SessionId(7),
                out_seq: OutSeq(1),
                in_reply_to: None,
                log_seq: types::LogSeq(1),
                epoch: Epoch(1),
                report: Report::MassCancelled { orders: 1 },
            }],
            replay_missing: 0,
        };
        write_event(Epoch(9), &logged_on, &mut bytes);
        let (ack, taken) = split(&bytes).unwrap().unwrap();
        let mut joined = Joined::default();
        assert_eq!(joined.take(ack), Ok(None));
        let mut end = Vec::new();
        write_end(
            Epoch(9),
            super::super::EndCode::NotServing,
            "gone",
            &mut end,
        );
        let (end, _) = split(&end).unwrap().unwrap();
        let broken = joined.take(end).unwrap_err();
        assert_eq!(broken, JoinError::ReplayBrokenOff { missing: 1 });
        let (replayed, _) = split(&bytes[taken..]).unwrap().unwrap();
        assert!(joined.take(replayed).unwrap().is_some());
    }
}
