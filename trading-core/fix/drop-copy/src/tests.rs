//! A small log, read from several places.

use super::{Copy, Position, ReadError, Reader};
use types::{
    AccountId, Batch, ClOrdId, ClientCommand, ClientSeq, Command, Control, Epoch, LogIndex, Logon,
    Money, NewOrder, OutSeq, Price, Quantity, Request, SessionId, Side, SymbolDefinition, SymbolId,
    UnixMicros, encode_batch,
};

const SYMBOL: SymbolId = SymbolId(600_000);

fn client(session: u64, client_seq: u64, request: Request) -> Command {
    Command::Client(ClientCommand {
        session: SessionId(session),
        client_seq: ClientSeq(client_seq),
        request,
    })
}

fn order(id: &str, side: Side, quantity: u64) -> Request {
    let id = ClOrdId::new(id).unwrap();
    let (quantity, price) = (Quantity(quantity), Price(100_000));
    Request::New(NewOrder::limit(id, SYMBOL, side, quantity, price))
}

/// Account 7 buys from account 8; 9 only looks on. One entry a list.
fn log() -> Vec<Vec<u8>> {
    let open = |account| {
        Command::Control(Control::OpenAccount {
            account: AccountId(account),
            cash: Money(1_000_000_000_000),
            positions: vec![(SYMBOL, Quantity(10_000))],
        })
    };
    let logon = |session, account| {
        let (session, account) = (SessionId(session), AccountId(account));
        Command::Logon(Logon::new(session, account, OutSeq(0)))
    };
    let share = SymbolDefinition::share(SYMBOL, Price(90_000), Price(110_000));
    let original = ClOrdId::new("B1").unwrap();
    let entries = [
        vec![
            Command::Control(Control::DefineSymbol(share)),
            open(7),
            open(8),
        ],
        vec![logon(70, 7), logon(80, 8)],
        vec![client(70, 1, order("B1", Side::Buy, 300))],
        vec![
            client(80, 1, order("S1", Side::Sell, 100)),
            client(70, 2, Request::Cancel { original }),
        ],
    ];
    let bytes = |commands| {
        let leader_time = UnixMicros(1_795_564_800_000_000);
        encode_batch(&Batch {
            leader_time,
            commands,
        })
        .unwrap()
    };
    entries.into_iter().map(bytes).collect()
}

fn read(accounts: &[u64], after: Position) -> Vec<Copy> {
    let mut reader = Reader::new(accounts.iter().map(|it| AccountId(*it)), after);
    let mut copies = Vec::new();
    // A leader's opening entry comes first.
    reader
        .entry(LogIndex(1), Epoch(1), &[], &mut copies)
        .unwrap();
    for (place, batch) in log().iter().enumerate() {
        let index = LogIndex(place as u64 + 2);
        reader.entry(index, Epoch(1), batch, &mut copies).unwrap();
    }
    assert_eq!(reader.untold(), 0);
    copies
}

fn text(copy: &Copy) -> String {
    let bytes = copy.report.clone().into_bytes();
    String::from_utf8(bytes).unwrap().replace('\x01', "|")
}

#[test]
fn what_happens_to_the_accounts_orders_is_told_as_their_sessions_are_told() {
    let copies = read(&[7], Position::default());
    let texts: Vec<String> = copies.iter().map(text).collect();
    for (told, expected) in texts.iter().zip([
        "37=1|11=B1|17=70.1|150=0|39=0|1=7|55=600000|54=1|38=300|40=2|44=10.0000|59=0|151=300|",
        "37=1|11=B1|17=70.2|150=F|39=1|1=7|55=600000|54=1|38=300|40=2|44=10.0000|59=0|32=100|",
        "37=1|11=B1|17=70.3|150=4|39=4|1=7|55=600000|54=1|38=300|40=2|44=10.0000|59=0|151=0|",
    ]) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!(texts.len(), 3);
    assert!(texts[2].contains("14=100|6=10.0000|"), "{}", texts[2]);
}

#[test]
fn only_the_accounts_asked_for_are_copied() {
    let both = read(&[7, 8], Position::default());
    let of = |account| {
        both.iter()
            .filter(move |it| it.account == AccountId(account))
    };
    assert_eq!((of(7).count(), of(8).count()), (3, 2));
    assert!(read(&[9], Position::default()).is_empty());
}

#[test]
fn from_each_position_on_the_rest_comes_once() {
    let all = read(&[7, 8], Position::default());
    assert!(all.windows(2).all(|two| two[0].position < two[1].position));
    for (place, copy) in all.iter().enumerate() {
        assert_eq!(read(&[7, 8], copy.position), all[place + 1..]);
    }
}

#[test]
fn a_missing_entry_and_a_damaged_one_are_refused() {
    let mut reader = Reader::new([AccountId(7)], Position::default());
    let gap = reader.entry(LogIndex(2), Epoch(1), &[], &mut Vec::new());
    assert!(matches!(gap, Err(ReadError::Gap { .. })));
    let damaged = reader.entry(LogIndex(1), Epoch(1), &[0xff, 1], &mut Vec::new());
    assert!(matches!(damaged, Err(ReadError::Entry { .. })));
    assert_eq!(reader.last_index(), LogIndex(0));
}

#[test]
fn a_snapshot_tells_how_many_entries_it_hides() {
    let mut state = engine::State::new();
    let mut events = Vec::new();
    let context = engine::EntryContext {
        epoch: Epoch(1),
        index: LogIndex(5),
        leader_time: UnixMicros(1),
    };
    let share = SymbolDefinition::share(SYMBOL, Price(90_000), Price(110_000));
    let define = Command::Control(Control::DefineSymbol(share));
    state.apply(context, &define, &mut events);
    let bytes = state.snapshot().unwrap();
    let seen = |index, message| Position {
        index: LogIndex(index),
        message,
    };
    for (after, hidden) in [(seen(0, 0), 5), (seen(3, 2), 2), (seen(6, 1), 0)] {
        let mut reader = Reader::new([AccountId(7)], after);
        assert_eq!(reader.snapshot(LogIndex(5), &bytes).unwrap(), hidden);
        assert_eq!(reader.last_index(), LogIndex(5));
    }
}

mod desk {
    use super::{Position, read};
    use crate::{Desk, DeskOptions};
    use fix::dictionary::{Field, Kind};
    use fix::message::Message;
    use fix::session::{Now, Profile};
    use fix::write::{Body, Header, message};
    use fix::{Effect, Record};
    use types::{AccountId, UnixMicros};

    const NOW: Now = Now {
        wall: UnixMicros(1_795_564_800_000_000),
        ms: 0,
    };

    fn desk(records: Vec<Record>) -> Desk {
        desk_that_keeps(100, 100, records)
    }

    fn desk_that_keeps(kept: usize, placed: usize, records: Vec<Record>) -> Desk {
        let profile = Profile {
            comp_id: "TRICENTER".into(),
            counterparty: "COPY".into(),
            password_sha256: None,
            heartbeat_s_min: 1,
            heartbeat_s_max: 60,
            sending_time_s_max: 120,
            resend_messages_max: kept,
        };
        desk_of(profile, placed, records)
    }

    fn desk_of(profile: Profile, recall_messages_max: usize, records: Vec<Record>) -> Desk {
        let options = DeskOptions {
            profile,
            accounts: [AccountId(7)].into(),
            recall_messages_max,
        };
        Desk::new(options, records)
    }

    fn says(desk: &mut Desk, kind: Kind, number: u64, body: Body, effects: &mut Vec<Effect>) {
        let header = Header {
            kind,
            sender: "COPY",
            target: "TRICENTER",
            msg_seq_num: number,
            sending_time: NOW.wall,
            orig_sending_time: None,
            poss_resend: false,
        };
        let mut bytes = Vec::new();
        message(&mut bytes, &header, &body.into_bytes());
        desk.receive(&bytes, NOW, effects);
    }

    fn log_on(desk: &mut Desk, number: u64, effects: &mut Vec<Effect>) {
        desk.connected(NOW);
        let body = Body::new()
            .character(Field::EncryptMethod, b'0')
            .count(Field::HeartBtInt, 30);
        says(desk, Kind::Logon, number, body, effects);
    }

    fn records(effects: &[Effect]) -> Vec<Record> {
        let kept = effects.iter().filter_map(|effect| match effect {
            Effect::Keep(record) => Some(record.clone()),
            _ => None,
        });
        kept.collect()
    }

    /// `ExecID` and `PossResend` of each report sent.
    fn reports(effects: &[Effect]) -> Vec<(String, bool)> {
        let mut reports = Vec::new();
        for effect in effects {
            if let Effect::Transmit(bytes) = effect {
                let message = Message::read(bytes).unwrap();
                if message.kind() == Some(Kind::ExecutionReport) {
                    let id = message.text(Field::ExecID).unwrap().to_owned();
                    reports.push((id, message.flag(Field::PossResend)));
                }
            }
        }
        reports
    }

    #[test]
    fn a_desk_that_starts_again_goes_on_behind_the_last_copy_it_kept() {
        let copies = read(&[7], Position::default());
        let mut effects = Vec::new();
        let mut before = desk(Vec::new());
        log_on(&mut before, 1, &mut effects);
        for copy in &copies[..2] {
            before.copy(copy.clone(), false, NOW, &mut effects);
        }
        let mut again = desk(records(&effects));
        assert_eq!(again.told(), copies[1].position);
        let mut later = Vec::new();
        log_on(&mut again, 2, &mut later);
        for copy in &copies {
            again.copy(copy.clone(), true, NOW, &mut later);
        }
        let told: Vec<_> = reports(&effects)
            .into_iter()
            .chain(reports(&later))
            .collect();
        let all = ["70.1", "70.2", "70.3"].map(|id| (id.to_owned(), false));
        assert_eq!(told, all);
        assert_eq!(desk(again.records()).told(), copies[2].position);
    }

    fn asks_again(desk: &mut Desk, number: u64, effects: &mut Vec<Effect>) {
        let body = Body::new()
            .count(Field::BeginSeqNo, 1)
            .count(Field::EndSeqNo, 0);
        says(desk, Kind::ResendRequest, number, body, effects);
    }

    /// Number and body of each report sent, administrative messages as what they say comes next.
    fn sent(effects: &[Effect]) -> Vec<(u64, String)> {
        let mut sent = Vec::new();
        for effect in effects {
            if let Effect::Transmit(bytes) = effect {
                let message = Message::read(bytes).unwrap();
                message.check().unwrap();
                let number = message.count(Field::MsgSeqNum).unwrap();
                let text = match message.kind().unwrap() {
                    Kind::ExecutionReport => message.text(Field::ExecID).unwrap().to_owned(),
                    Kind::SequenceReset => {
                        format!("to {}", message.count(Field::NewSeqNo).unwrap())
                    }
                    Kind::BusinessMessageReject => message.text(Field::Text).unwrap().to_owned(),
                    other => format!("{other:?}"),
                };
                sent.push((number, text));
            }
        }
        sent
    }

    /// Told all three copies, of which one body is kept.
    fn desk_that_forgot(placed: usize) -> (Desk, Vec<Effect>) {
        let mut effects = Vec::new();
        let mut desk = desk_that_keeps(1, placed, Vec::new());
        log_on(&mut desk, 1, &mut effects);
        for copy in read(&[7], Position::default()) {
            desk.copy(copy, false, NOW, &mut effects);
        }
        (desk, effects)
    }

    fn list(sent: &[(u64, &str)]) -> Vec<(u64, String)> {
        sent.iter()
            .map(|(number, text)| (*number, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_no_longer_kept_is_given_again_out_of_the_log_under_its_number() {
        let (desk, told) = desk_that_forgot(100);
        let at_first = told.iter().find_map(|effect| match effect {
            Effect::Transmit(bytes) => {
                let message = Message::read(bytes).unwrap();
                let is_first = message.text(Field::ExecID) == Some("70.1");
                is_first.then(|| message.text(Field::LeavesQty).unwrap().to_owned())
            }
            _ => None,
        });
        // The same from the records of its life and from those of a checkpoint.
        for records in [records(&told), desk.records()] {
            let (mut desk, mut effects) = (desk_that_keeps(1, 100, records), Vec::new());
            log_on(&mut desk, 2, &mut effects);
            effects.clear();
            asks_again(&mut desk, 3, &mut effects);
            assert_eq!(sent(&effects), [], "the log is read first");
            let (_, after) = desk.recalls().unwrap();
            let copies = read(&[7], after);
            for copy in copies {
                desk.recalled(copy, NOW, &mut effects);
            }
            assert_eq!(desk.recalls(), None);
            let all = [
                (1, "to 2"),
                (2, "70.1"),
                (3, "70.2"),
                (4, "70.3"),
                (5, "to 6"),
            ];
            assert_eq!(sent(&effects), list(&all));
            let Some(Effect::Transmit(first)) = effects
                .iter()
                .filter(|it| matches!(it, Effect::Transmit(_)))
                .nth(1)
            else {
                panic!("{effects:?}");
            };
            let first = Message::read(first).unwrap();
            assert!(first.flag(Field::PossDupFlag) && first.has(Field::OrigSendingTime));
            assert_eq!(first.text(Field::LeavesQty).map(str::to_owned), at_first);
        }
    }

    #[test]
    fn what_a_snapshot_hides_is_gap_filled_and_told() {
        let (mut desk, _) = desk_that_forgot(100);
        let mut effects = Vec::new();
        asks_again(&mut desk, 2, &mut effects);
        let copies = read(&[7], Position::default());
        // The first one's entry is inside the snapshot that the log begins with.
        desk.recalled_until(copies[0].position.index, NOW, &mut effects);
        desk.recalled(copies[1].clone(), NOW, &mut effects);
        let sent = sent(&effects);
        let text = sent.last().unwrap().1.clone();
        let given = [(1, "to 3"), (3, "70.2"), (4, "70.3")];
        assert_eq!(sent[..3], list(&given));
        assert!(
            text.starts_with("of the messages asked for up to 4, 1 are no"),
            "{text}"
        );
        let counted = effects.contains(&Effect::Count(fix::Counted::RecallIncomplete));
        assert!(counted);
    }

    #[test]
    fn what_is_too_old_to_have_a_place_is_gap_filled_and_told() {
        let (mut desk, _) = desk_that_forgot(2);
        let mut effects = Vec::new();
        asks_again(&mut desk, 2, &mut effects);
        let (_, after) = desk.recalls().unwrap();
        for copy in read(&[7], after) {
            desk.recalled(copy, NOW, &mut effects);
        }
        let sent = sent(&effects);
        let given = [(1, "to 3"), (3, "70.2"), (4, "70.3")];
        assert_eq!(sent[..3], list(&given));
        assert!(sent[3].1.contains("were gap-filled"), "{sent:?}");
    }

    #[test]
    fn copies_that_took_new_numbers_in_a_reset_are_found_under_them() {
        let (mut desk, told) = desk_that_forgot(100);
        let mut effects = Vec::new();
        desk.disconnected();
        desk.connected(NOW);
        let body = Body::new()
            .character(Field::EncryptMethod, b'0')
            .count(Field::HeartBtInt, 30)
            .yes(Field::ResetSeqNumFlag);
        says(&mut desk, Kind::Logon, 1, body, &mut effects);
        let again = sent(&effects);
        assert_eq!(again, list(&[(1, "Logon"), (2, "70.3")]));
        // Another message takes the place of the only one that is kept.
        let body = Body::new()
            .text(Field::ClOrdID, "X")
            .text(Field::Symbol, "600000")
            .character(Field::Side, b'1')
            .time(Field::TransactTime, NOW.wall)
            .count(Field::OrderQty, 100)
            .character(Field::OrdType, b'1');
        says(&mut desk, Kind::NewOrderSingle, 2, body, &mut effects);
        let all: Vec<Record> = [records(&told), records(&effects)].concat();
        let mut restarted = desk_that_keeps(1, 100, all);
        log_on(&mut restarted, 3, &mut Vec::new());
        let (mut live, mut later) = (Vec::new(), Vec::new());
        for (desk, number, effects) in [(&mut desk, 3, &mut live), (&mut restarted, 4, &mut later)]
        {
            asks_again(desk, number, effects);
            let (_, after) = desk.recalls().unwrap();
            for copy in read(&[7], after) {
                desk.recalled(copy, NOW, effects);
            }
            let sent = sent(effects);
            assert_eq!(sent[..2], list(&[(1, "to 2"), (2, "70.3")]));
            assert_eq!(sent[2].0, 3);
        }
    }

    #[test]
    fn a_log_that_gives_nothing_ends_the_session_and_fills_nothing() {
        let (mut desk, _) = desk_that_forgot(100);
        let mut effects = Vec::new();
        asks_again(&mut desk, 2, &mut effects);
        // Its heartbeats come meanwhile, so that only the log is silent.
        let late = Now {
            ms: NOW.ms + 30_000,
            ..NOW
        };
        assert!(desk.deadline_ms().is_some_and(|due| due <= late.ms));
        desk.tick(late, &mut effects);
        assert_eq!(desk.recalls(), None);
        assert_eq!(sent(&effects), list(&[(5, "Logout")]));
    }

    #[test]
    fn without_records_what_is_old_is_marked_as_perhaps_told_before() {
        let copies = read(&[7], Position::default());
        let (mut desk, mut effects) = (desk(Vec::new()), Vec::new());
        log_on(&mut desk, 1, &mut effects);
        desk.copy(copies[0].clone(), true, NOW, &mut effects);
        desk.copy(copies[1].clone(), false, NOW, &mut effects);
        let marks: Vec<bool> = reports(&effects).iter().map(|it| it.1).collect();
        assert_eq!(marks, [true, false]);
    }

    #[test]
    fn other_accounts_are_not_told_and_requests_are_refused() {
        let (mut desk, mut effects) = (desk(Vec::new()), Vec::new());
        log_on(&mut desk, 1, &mut effects);
        for copy in read(&[8], Position::default()) {
            desk.copy(copy, false, NOW, &mut effects);
        }
        assert_eq!(reports(&effects), []);
        effects.clear();
        let body = Body::new()
            .text(Field::ClOrdID, "X")
            .text(Field::Symbol, "600000")
            .character(Field::Side, b'1')
            .time(Field::TransactTime, NOW.wall)
            .count(Field::OrderQty, 100)
            .character(Field::OrdType, b'1');
        says(&mut desk, Kind::NewOrderSingle, 2, body, &mut effects);
        let refused = effects.iter().any(|effect| match effect {
            Effect::Transmit(bytes) => {
                Message::read(bytes).unwrap().kind() == Some(Kind::BusinessMessageReject)
            }
            _ => false,
        });
        assert!(refused, "{effects:?}");
    }
}
