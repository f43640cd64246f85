//! What is written reads as it was written; any other bytes are refused, never a panic.

use super::*;
use crate::order_entry::{Inbound, Logon};
use crate::samples::{any_event, any_request};
use proptest::prelude::*;
use types::{
    AccountId, ClientSeq, Epoch, Event, OutSeq, Outbound, Report, Request, SessionId, TraderId,
    UnixMicros,
};

fn only(bytes: &[u8]) -> Frame<'_> {
    let (frame, taken) = split(bytes).unwrap().unwrap();
    assert_eq!(taken, bytes.len());
    frame
}

fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, taken)) = split(bytes).unwrap() {
        frames.push(frame);
        bytes = &bytes[taken..];
    }
    assert!(bytes.is_empty());
    frames
}

/// What the bytes of a message to a session must say.
fn told(outbound: &Outbound, again: bool) -> (ReportHead, String) {
    let head = ReportHead {
        out_seq: outbound.out_seq,
        in_reply_to: outbound.in_reply_to,
        log_seq: outbound.log_seq,
        epoch: outbound.epoch,
        possible_duplicate: again,
    };
    // A report and its body have the same names and fields; only a reject's reason is told as code
    // and text.
    let body = match &outbound.report {
        Report::Rejected { cl_ord_id, reason } => {
            let (code, text) = (reason.code(), reason.to_string());
            let text = frame::cut(&text);
            format!("Rejected {{ cl_ord_id: {cl_ord_id:?}, code: {code}, text: {text:?} }}")
        }
        other => format!("{other:?}"),
    };
    (head, body)
}

fn read_report(frame: Frame<'_>) -> (ReportHead, String) {
    match read_server(frame).unwrap() {
        (Epoch(9), Said::Report(head, body)) => (head, format!("{body:?}")),
        other => panic!("no report: {other:?}"),
    }
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written(seq in 1_u64.., request in any_request()) {
        let mut bytes = Vec::new();
        write_request(ClientSeq(seq), &request, &mut bytes);
        let client_seq = ClientSeq(seq);
        prop_assert_eq!(
            read_client(only(&bytes)),
            Ok(Inbound::Request { client_seq, request })
        );
    }

    #[test]
    fn a_logon_reads_as_it_was_written(
        session in 1_u64.., account in 1_u64.., seen: u64, trader: u64, grace: Option<u32>,
    ) {
        let logon = Logon {
            trader: TraderId(trader),
            cancel_on_disconnect_ms: grace,
            ..Logon::new(SessionId(session), AccountId(account), OutSeq(seen))
        };
        let mut bytes = Vec::new();
        write_logon(logon, &mut bytes);
        prop_assert_eq!(read_client(only(&bytes)), Ok(Inbound::Logon(logon)));
    }

    #[test]
    fn an_event_reads_as_it_was_written(event in any_event()) {
        let mut bytes = Vec::new();
        let session = write_event(Epoch(9), &event, &mut bytes).unwrap();
        let frames = frames(&bytes);
        let first = read_server(frames[0]).unwrap();
        prop_assert_eq!(first.0, Epoch(9));
        match event {
            Event::ToSession(outbound) => {
                prop_assert_eq!(session, outbound.session);
                prop_assert_eq!(read_report(frames[0]), told(&outbound, false));
            }
            Event::Duplicate { original: Some(outbound), .. } => {
                prop_assert_eq!(read_report(frames[0]), told(&outbound, true));
            }
            Event::Duplicate { client_seq, original: None, .. } => {
                let (head, body) = read_report(frames[0]);
                prop_assert_eq!(head.in_reply_to, Some(client_seq));
                prop_assert_eq!((head.out_seq, head.possible_duplicate), (OutSeq(0), true));
                prop_assert_eq!(body, "AnswerExpired");
            }
            Event::LoggedOn { session, next_client_seq, next_out_seq, replay, replay_missing } => {
                let replay_frames = replay.len() as u32;
                prop_assert_eq!(first.1, Said::LogonAck {
                    session, next_client_seq, next_out_seq, replay_missing, replay_frames,
                });
                let again: Vec<_> = frames[1..].iter().map(|frame| read_report(*frame)).collect();
                let sent: Vec<_> = replay.iter().map(|message| told(message, true)).collect();
                prop_assert_eq!(again, sent);
            }
            Event::LogonRefused { reason, .. } => {
                let (code, text) = (reason.code(), reason.to_string());
                let text = frame::cut(&text);
                prop_assert_eq!(first.1, Said::LogonReject { code, text });
            }
            Event::SequenceGap { received, expected, .. } => {
                prop_assert_eq!(first.1, Said::SequenceGap { received, expected });
            }
            Event::Control(_) | Event::Trade(_) | Event::Alert(_) => {
                unreachable!("no client is told of it")
            }
        }
    }

    /// Any bytes, and any single change to a good frame, decode to something or to an error.
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
        // The same bytes behind a header that is right, for every kind there is.
        for layout in layout::LAYOUTS.iter().filter(|layout| layout.kind > 0) {
            let mut frame = Vec::new();
            frame::begin(&mut frame, layout.kind, layout.bytes, 1);
            let from = layout::HEADER_BYTES;
            for (at, byte) in frame[from..].iter_mut().zip(&bytes) {
                *at = *byte;
            }
            read_all(&frame);
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_lengthens_a_frame(
        request in any_request(), event in any_event(), at: prop::sample::Index, value: u8,
    ) {
        let mut bytes = Vec::new();
        write_request(ClientSeq(1), &request, &mut bytes);
        write_event(Epoch(9), &event, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = value;
        read_all(&bytes);
    }
}

/// Reads what there is to read, by both halves, until the bytes end or are no frames.
fn read_all(mut bytes: &[u8]) {
    while let Ok(Some((frame, taken))) = split(bytes) {
        assert!(taken == frame.bytes().len() && taken <= FRAME_BYTES_MAX);
        let _ = read_client(frame);
        let _ = read_server(frame);
        bytes = &bytes[taken..];
    }
}

/// A frame with one field changed, as the client's reader sees it.
fn refused(request: &Request, at: usize, value: u8) -> crate::BadField {
    let mut bytes = Vec::new();
    write_request(ClientSeq(1), request, &mut bytes);
    bytes[at] = value;
    read_client(only(&bytes)).unwrap_err()
}

#[test]
fn what_cannot_be_read_is_named_by_field_and_value() {
    let id = types::ClOrdId::new("A1").unwrap();
    let limit = types::NewOrder::limit(
        id,
        types::SymbolId(600_000),
        types::Side::Buy,
        types::Quantity(100),
        types::Price(0),
    );
    let new = Request::New(limit);
    let market = Request::New(types::NewOrder {
        kind: types::OrderKind::Market {
            style: types::MarketStyle::OwnBest,
            protection: None,
        },
        ..limit
    });
    let mass = Request::MassCancel { symbol: None };
    for (request, at, value, field, told) in [
        (&new, layout::header::FLAGS, 1, "header.zeros", "1"),
        (&new, layout::header::NUMBER, 0, "client_seq", "0"),
        (
            &new,
            layout::new_order::CL_ORD_ID,
            b' ',
            "new_order.cl_ord_id",
            "\" 1\\x00",
        ),
        (
            &new,
            layout::new_order::CL_ORD_ID + 9,
            b'B',
            "new_order.cl_ord_id",
            "A1\\x00",
        ),
        (&new, layout::new_order::SIDE, 3, "new_order.side", "3"),
        (
            &new,
            layout::new_order::ORDER_KIND,
            0,
            "new_order.order_kind",
            "0",
        ),
        (&market, layout::new_order::PRICE, 7, "new_order.price", "7"),
        (
            &new,
            layout::new_order::TRIGGER,
            7,
            "new_order.trigger",
            "7",
        ),
        (
            &new,
            layout::new_order::DISPLAY,
            7,
            "new_order.display",
            "7",
        ),
        (
            &new,
            layout::new_order::MARKET_STYLE,
            1,
            "new_order.market_style",
            "1",
        ),
        (
            &market,
            layout::new_order::MARKET_STYLE,
            7,
            "new_order.market_style",
            "7",
        ),
        (&new, layout::new_order::TERMS, 4, "new_order.terms", "4"),
        (&new, layout::new_order::TERMS, 8, "new_order.terms", "8"),
        (
            &new,
            layout::new_order::TIME_IN_FORCE,
            9,
            "new_order.time_in_force",
            "9",
        ),
        (
            &new,
            layout::new_order::SELF_TRADE_PREVENTION,
            8,
            "new_order.self_trade_prevention",
            "8",
        ),
        (
            &mass,
            layout::mass_cancel::SYMBOL,
            5,
            "mass_cancel.symbol",
            "5",
        ),
        (
            &mass,
            layout::mass_cancel::ONE_SYMBOL,
            2,
            "mass_cancel.one_symbol",
            "2",
        ),
    ] {
        let error = refused(request, at, value);
        assert_eq!(error.field, field);
        assert!(
            error.text.starts_with(told) || error.text.contains(told),
            "{error}"
        );
        assert!(error.text.contains("not accepted"), "{error}");
    }
}

#[test]
fn signs_of_life_and_endings_read_as_they_were_written() {
    let mut bytes = Vec::new();
    write_heartbeat(Epoch(9), UnixMicros(5), &mut bytes);
    let bad = crate::BadField::new("new_order.side", "3 is not accepted");
    write_bad_request(Epoch(9), 4, &bad, &mut bytes);
    write_end(
        Epoch(9),
        EndCode::NotServing,
        "the leader is replica 2",
        &mut bytes,
    );
    let said: Vec<_> = frames(&bytes)
        .into_iter()
        .map(|frame| read_server(frame).unwrap().1)
        .collect();
    let expected = [
        Said::Heartbeat {
            sent_at: UnixMicros(5),
        },
        Said::BadRequest {
            client_seq: 4,
            field: "new_order.side",
            text: "3 is not accepted",
        },
        Said::End {
            code: EndCode::NotServing,
            text: "the leader is replica 2",
        },
    ];
    assert_eq!(said, expected);
    let mut bytes = Vec::new();
    write_client_heartbeat(UnixMicros(6), &mut bytes);
    let sent_at = UnixMicros(6);
    assert_eq!(
        read_client(only(&bytes)),
        Ok(Inbound::Heartbeat { sent_at })
    );
}

#[test]
fn the_answer_to_a_control_record_goes_to_no_client() {
    let mut bytes = Vec::new();
    let event = Event::Control(types::ControlOutcome::Done);
    assert_eq!(write_event(Epoch(1), &event, &mut bytes), None);
    assert!(bytes.is_empty());
}
