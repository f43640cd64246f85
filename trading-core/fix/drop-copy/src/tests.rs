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
        let profile = Profile {
            comp_id: "TRICENTER".into(),
            counterparty: "COPY".into(),
            password_sha256: None,
            heartbeat_s_min: 1,
            heartbeat_s_max: 60,
            sending_time_s_max: 120,
            resend_messages_max: 100,
        };
        let accounts = [AccountId(7)].into();
        Desk::new(DeskOptions { profile, accounts }, records)
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
