//! The desk between a counterparty and a core that the tests play.

use super::{Desk, DeskOptions};
use crate::effect::Effect;
use crate::message::Message;
use crate::record::Record;
use crate::session::{Now, Profile};
use crate::testing::{message, shown};
use crate::told::{Happened, Told};
use types::{
    AccountId, CancelCause, ClOrdId, ClientSeq, Epoch, LogSeq, OrderId, OrderState, OrderView,
    OutSeq, Price, Quantity, Request, SessionId, Side, SymbolId, TradeId, UnixMicros,
};

const WALL: UnixMicros = UnixMicros(1_795_564_800_000_000);
const CLOCK: &str = "20261125-00:00:00.000";

fn options() -> DeskOptions {
    DeskOptions {
        profile: Profile {
            comp_id: "TRICENTER".to_owned(),
            counterparty: "CLIENT".to_owned(),
            password_sha256: None,
            heartbeat_s_min: 5,
            heartbeat_s_max: 60,
            sending_time_s_max: 120,
            resend_messages_max: 100,
        },
        session: SessionId(70),
        account: AccountId(7),
        in_flight_max: 2,
        pending_after_ms: 500,
        refuse_after_ms: 5_000,
    }
}

/// A desk, the time, what was kept, and what it did since it was last looked at.
struct Table {
    desk: Desk,
    ms: u64,
    next_in: u64,
    next_told: u64,
    records: Vec<Record>,
    effects: Vec<Effect>,
}

impl Table {
    fn new(records: Vec<Record>) -> Self {
        Self {
            desk: Desk::new(options(), records.clone()),
            ms: 0,
            next_in: 1,
            next_told: 1,
            records,
            effects: Vec::new(),
        }
    }

    /// Both sides logged on, the core expecting request 1.
    fn open() -> Self {
        let mut table = Self::new(Vec::new());
        table.core(1, 1);
        table.connect();
        table
    }

    /// The process is killed; the next one has its records.
    fn killed(self) -> Self {
        let mut next = Self::new(self.records);
        next.next_in = self.next_in;
        next.next_told = self.next_told;
        next
    }

    fn now(&self) -> Now {
        Now {
            wall: WALL,
            ms: self.ms,
        }
    }

    fn core(&mut self, next_client_seq: u64, next_out_seq: u64) {
        let now = self.now();
        let effects = &mut self.effects;
        let (seq, out) = (ClientSeq(next_client_seq), OutSeq(next_out_seq));
        self.desk.core_logged_on(seq, out, 0, now, effects);
    }

    fn connect(&mut self) {
        let now = self.now();
        self.desk.connected(now);
        self.say("35=A", "98=0|108=60|");
        assert!(self.sent().iter().any(|sent| sent.starts_with("35=A|")));
    }

    fn say(&mut self, kind: &str, rest: &str) {
        let number = self.next_in;
        self.next_in += 1;
        self.say_as(number, "", kind, rest);
    }

    fn say_as(&mut self, number: u64, mark: &str, kind: &str, rest: &str) {
        let text = format!("{kind}|49=CLIENT|56=TRICENTER|34={number}|{mark}52={CLOCK}|{rest}");
        let bytes = message(&text);
        let now = self.now();
        self.desk.receive(&bytes, now, &mut self.effects);
    }

    fn order(&mut self, id: &str) {
        self.say("35=D", &order(id));
    }

    /// The core answers request `in_reply_to`, or none by 0.
    fn told(&mut self, in_reply_to: u64, happened: Happened) {
        let out_seq = self.next_told;
        self.next_told += 1;
        self.told_as(out_seq, in_reply_to, happened);
    }

    fn told_as(&mut self, out_seq: u64, in_reply_to: u64, happened: Happened) {
        let told = Told {
            out_seq: OutSeq(out_seq),
            in_reply_to: (in_reply_to > 0).then_some(ClientSeq(in_reply_to)),
            log_seq: LogSeq(1),
            epoch: Epoch(1),
            happened,
        };
        let now = self.now();
        self.desk.told(told, now, &mut self.effects);
    }

    fn pass(&mut self, ms: u64) {
        self.ms += ms;
        let now = self.now();
        self.desk.tick(now, &mut self.effects);
    }

    /// Requests that went to the core, by number.
    fn submitted(&mut self) -> Vec<(u64, Request)> {
        let submitted = self.effects.iter().filter_map(|effect| match effect {
            Effect::Submit {
                client_seq,
                request,
            } => Some((client_seq.0, *request)),
            _ => None,
        });
        submitted.collect()
    }

    /// What went to the counterparty, without what is the same in all; forgets all effects.
    fn sent(&mut self) -> Vec<String> {
        let effects = std::mem::take(&mut self.effects);
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                Effect::Keep(record) => self.records.push(record),
                Effect::Transmit(bytes) => {
                    Message::read(&bytes).unwrap().check().unwrap();
                    sent.push(without_what_all_have(&shown(&bytes)));
                }
                _ => {}
            }
        }
        sent
    }

    fn sends(&mut self, expected: &[&str]) {
        assert_eq!(self.sent(), expected);
    }
}

fn without_what_all_have(text: &str) -> String {
    let skipped = ["8", "9", "49", "56", "52", "122", "10", "60", "1"];
    text.split('|')
        .filter(|field| !field.is_empty())
        .filter(|field| !skipped.contains(&field.split('=').next().unwrap()))
        .map(|field| format!("{field}|"))
        .collect()
}

fn order(id: &str) -> String {
    format!("11={id}|55=600000|54=1|60={CLOCK}|38=300|40=2|44=10|59=0|")
}

fn id(text: &str) -> ClOrdId {
    ClOrdId::new(text).unwrap()
}

fn accepted(name: &str) -> Happened {
    Happened::Accepted {
        cl_ord_id: id(name),
        order_id: OrderId(5),
    }
}

fn filled(name: &str, price: i64, quantity: u64, remaining: u64) -> Happened {
    Happened::Filled {
        cl_ord_id: id(name),
        order_id: OrderId(5),
        trade_id: TradeId(1),
        price: Price(price),
        quantity: Quantity(quantity),
        remaining: Quantity(remaining),
    }
}

fn rejected(name: &str, code: u32) -> Happened {
    Happened::Rejected {
        cl_ord_id: Some(id(name)),
        code,
        text: "why".to_owned(),
    }
}

fn view(name: &str) -> OrderView {
    OrderView {
        cl_ord_id: id(name),
        order_id: OrderId(5),
        account: AccountId(7),
        symbol: SymbolId(600_000),
        side: Side::Buy,
        state: OrderState::Open,
        quantity: Quantity(300),
        filled: Quantity(0),
        remaining: Quantity(300),
    }
}

const TERMS: &str = "55=600000|54=1|38=300|40=2|44=10.0000|59=0|";

#[test]
fn an_order_is_accepted_filled_in_parts_and_told_with_its_average_price() {
    let mut table = Table::open();
    table.order("A");
    assert!(matches!(table.submitted()[..], [(1, Request::New(_))]));
    table.sends(&[]);
    table.told(1, accepted("A"));
    table.told(1, filled("A", 100_000, 100, 200));
    table.told(0, filled("A", 99_000, 200, 0));
    table.sends(&[
        &format!("35=8|34=2|37=5|11=A|17=70.1|150=0|39=0|{TERMS}151=300|14=0|6=0.0000|"),
        &format!(
            "35=8|34=3|37=5|11=A|17=70.2|150=F|39=1|{TERMS}32=100|31=10.0000|151=200|14=100|6=10.0000|"
        ),
        &format!(
            "35=8|34=4|37=5|11=A|17=70.3|150=F|39=2|{TERMS}32=200|31=9.9000|151=0|14=300|6=9.9333|"
        ),
    ]);
    assert_eq!(table.desk.in_flight(), 0);
}

#[test]
fn a_rejected_order_says_why_by_number_and_text() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, rejected("A", 501));
    table.sends(&[&format!(
        "35=8|34=2|37=NONE|11=A|17=70.1|150=8|39=8|103=3|{TERMS}151=0|14=0|6=0.0000|58=501: why|"
    )]);
}

#[test]
fn a_cancel_and_a_replace_are_told_with_both_ids() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, accepted("A"));
    table.sent();
    let rest = format!("11=B|41=A|55=600000|54=1|60={CLOCK}|38=500|40=2|44=11|");
    table.say("35=G", &rest);
    let replaced = Happened::Replaced {
        original: id("A"),
        replacement: id("B"),
        order_id: OrderId(5),
        remaining: Quantity(500),
    };
    table.told(2, replaced);
    table.say("35=F", &format!("11=C|41=B|55=600000|54=1|60={CLOCK}|"));
    let cancelled = Happened::Cancelled {
        cl_ord_id: id("B"),
        order_id: OrderId(5),
        quantity: Quantity(500),
        cause: CancelCause::Requested,
    };
    table.told(3, cancelled);
    let terms = "55=600000|54=1|38=500|40=2|44=11.0000|59=0|";
    table.sends(&[
        &format!("35=8|34=3|37=5|11=B|41=A|17=70.2|150=5|39=0|{terms}151=500|14=0|6=0.0000|"),
        &format!(
            "35=8|34=4|37=5|11=C|41=B|17=70.3|150=4|39=4|{terms}151=0|14=0|6=0.0000|58=cancelled \
             by its owner|"
        ),
    ]);
}

#[test]
fn a_cancel_that_comes_too_late_is_rejected_with_the_orders_status() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, accepted("A"));
    table.told(0, filled("A", 100_000, 300, 0));
    table.say("35=F", &format!("11=C|41=A|55=600000|54=1|60={CLOCK}|"));
    table.say("35=F", &format!("11=D|41=X|55=600000|54=1|60={CLOCK}|"));
    table.sent();
    table.told(2, rejected("A", 203));
    table.told(3, rejected("X", 202));
    table.sends(&[
        "35=9|34=4|37=5|11=C|41=A|39=2|434=1|102=0|58=203: why|",
        "35=9|34=5|37=NONE|11=D|41=X|39=8|434=1|102=1|58=202: why|",
    ]);
}

#[test]
fn a_mass_cancel_is_told_order_by_order_and_then_counted() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, accepted("A"));
    table.sent();
    table.say("35=q", &format!("11=M|530=7|60={CLOCK}|"));
    let cancelled = Happened::Cancelled {
        cl_ord_id: id("A"),
        order_id: OrderId(5),
        quantity: Quantity(300),
        cause: CancelCause::MassCancel,
    };
    table.told(0, cancelled);
    table.told(2, Happened::MassCancelled { orders: 1 });
    let sent = table.sent();
    assert!(sent[0].contains("|150=4|39=4|"), "{sent:?}");
    assert_eq!(sent[1], "35=r|34=4|11=M|37=M|530=7|531=7|533=1|");
}

#[test]
fn a_status_is_told_with_the_requests_own_id() {
    let mut table = Table::open();
    table.say("35=H", "11=A|55=600000|54=1|790=Q1|");
    table.say("35=H", "11=X|55=600000|54=1|");
    table.told(1, Happened::Status(view("A")));
    table.told(2, rejected("X", 202));
    table.sends(&[
        "35=8|34=2|37=5|11=A|17=70.1|790=Q1|150=I|39=0|55=600000|54=1|38=300|151=300|14=0|6=0.0000|",
        "35=8|34=3|37=NONE|11=X|17=70.2|150=I|39=8|103=5|55=[N/A]|54=1|151=0|14=0|6=0|58=202: why|",
    ]);
}

#[test]
fn what_the_core_has_not_is_refused_as_its_message_wants_it() {
    let mut table = Table::open();
    let head = |id| format!("11={id}|55=600000|54=1|60={CLOCK}|38=300|");
    table.say("35=D", &format!("{}40=2|", head("A")));
    table.say("35=D", &format!("{}40=2|44=10|18=1|", head("B")));
    table.say("35=D", &format!("1=8|{}40=1|", head("C")));
    table.say("35=F", &format!("11=E|41=A|55=600000|54=5|60={CLOCK}|"));
    table.say("35=q", &format!("11=F|530=3|60={CLOCK}|"));
    table.say("35=V", "");
    assert_eq!(table.submitted(), []);
    table.sends(&[
        "35=j|34=2|45=2|372=D|379=A|380=5|58=Price (44) is missing: this OrdType (40) needs it|",
        "35=8|34=3|37=NONE|11=B|17=70.refused.3|150=8|39=8|103=11|55=600000|54=1|38=300|151=0|\
         14=0|6=0|58=ExecInst (18) \"1\" is not supported: use 6 (participate, do not initiate) \
         or leave it out|",
        "35=j|34=4|45=4|372=D|379=C|380=6|58=Account (1) \"8\" is not accepted: use 7 or leave it \
         out|",
        "35=9|34=5|37=NONE|11=E|41=A|39=8|434=1|102=99|58=Side (54) \"5\" is not supported: use 1 \
         (buy) or 2 (sell)|",
        "35=r|34=6|11=F|37=F|530=3|531=0|532=0|58=MassCancelRequestType (530) \"3\" is not \
         supported: use 1 (a symbol) or 7 (all)|",
        "35=j|34=7|45=7|372=V|380=3|58=MsgType (35) \"V\" is not supported|",
    ]);
}

#[test]
fn each_kind_of_order_reaches_the_core_as_what_it_is() {
    use types::{MarketStyle, NewOrder, OrderKind, TimeInForce};
    let limit = NewOrder::limit(
        id("A"),
        SymbolId(600_000),
        Side::Buy,
        Quantity(300),
        Price(100_000),
    );
    let price = Price(100_000);
    let market = |style, protection| OrderKind::Market { style, protection };
    let cases = [
        ("40=2|44=10|", limit),
        (
            "40=2|44=10|59=1|",
            NewOrder {
                time_in_force: TimeInForce::GoodTillCancel,
                ..limit
            },
        ),
        (
            "40=2|44=10|59=3|",
            NewOrder {
                time_in_force: TimeInForce::ImmediateOrCancel,
                ..limit
            },
        ),
        (
            "40=2|44=10|59=4|",
            NewOrder {
                time_in_force: TimeInForce::FillOrKill,
                ..limit
            },
        ),
        (
            "18=6|40=2|44=10|",
            NewOrder {
                post_only: true,
                ..limit
            },
        ),
        (
            "111=100|40=2|44=10|",
            NewOrder {
                display: Some(Quantity(100)),
                ..limit
            },
        ),
        (
            "40=1|",
            NewOrder {
                kind: market(MarketStyle::ImmediateOrCancel, None),
                ..limit
            },
        ),
        (
            "40=1|44=10|59=4|",
            NewOrder {
                kind: market(MarketStyle::FillOrKill, Some(price)),
                time_in_force: TimeInForce::FillOrKill,
                ..limit
            },
        ),
        (
            "40=3|99=10|",
            NewOrder {
                kind: OrderKind::Stop { trigger: price },
                ..limit
            },
        ),
        (
            "40=4|44=10|99=10.5|",
            NewOrder {
                kind: OrderKind::StopLimit {
                    trigger: Price(105_000),
                    price,
                },
                ..limit
            },
        ),
    ];
    for (rest, expected) in cases {
        let mut table = Table::open();
        let head = format!("11=A|55=600000|54=1|60={CLOCK}|38=300|");
        table.say("35=D", &format!("{head}{rest}"));
        assert_eq!(table.submitted(), [(1, Request::New(expected))], "{rest}");
    }
}

#[test]
fn without_an_answer_an_order_is_told_to_be_pending_and_its_outcome_follows() {
    let mut table = Table::open();
    table.order("A");
    table.pass(499);
    table.sends(&[]);
    assert_eq!(table.desk.deadline_ms(), Some(500));
    table.pass(1);
    let sent = table.sent();
    assert!(sent[0].starts_with("35=8|34=2|37=NONE|11=A|17=70.pending.1|150=A|39=A|"));
    assert!(sent[0].ends_with("58=no answer yet: its outcome is unknown and will follow|"));
    table.pass(500);
    table.sends(&[]);
    table.told(1, accepted("A"));
    assert!(table.sent()[0].contains("|150=0|39=0|"));
}

#[test]
fn with_too_many_open_or_no_leader_a_request_is_turned_away_and_nothing_has_happened() {
    let mut table = Table::open();
    for id in ["A", "B", "C"] {
        table.order(id);
    }
    assert_eq!(table.submitted().len(), 2);
    table.sends(&[
        "35=j|34=2|45=4|372=D|379=C|380=4|58=2 requests have no answer yet, as many as may: \
         nothing has happened, send it again later|",
    ]);
    table.told(1, accepted("A"));
    table.sent();
    let now = table.now();
    table.desk.core_lost(now);
    table.order("D");
    assert_eq!(table.submitted().len(), 1, "it waits for the next leader");
    table.told(2, accepted("B"));
    table.sent();
    table.ms += 5_000;
    table.order("E");
    assert!(table.sent()[0].contains("379=E|380=4|58=no leader has been reached for 5000 ms"));
}

#[test]
fn before_the_first_leader_nothing_is_taken() {
    let mut table = Table::new(Vec::new());
    table.connect();
    table.order("A");
    assert!(table.sent()[0].contains("58=no leader has been reached yet: nothing has happened"));
}

#[test]
fn after_a_kill_a_request_that_did_not_reach_the_log_is_wanted_again() {
    let mut table = Table::open();
    table.order("A");
    table.order("B");
    table.sent();
    let mut table = table.killed();
    // A took effect, B did not, and the answer to A is replayed.
    table.core(2, 2);
    table.told(1, accepted("A"));
    assert!(table.submitted().is_empty());
    table.sent();
    let now = table.now();
    table.desk.connected(now);
    table.say("35=A", "98=0|108=60|");
    table.sends(&["35=A|34=3|98=0|108=60|", "35=2|34=4|7=3|16=0|"]);
    table.say_as(3, &format!("43=Y|122={CLOCK}|"), "35=D", &order("B"));
    let lookup = Request::Status { original: id("B") };
    assert_eq!(table.submitted(), [(2, lookup)]);
    table.effects.clear();
    table.told(2, rejected("B", 202));
    assert!(matches!(table.submitted()[..], [(3, Request::New(new))] if new.cl_ord_id == id("B")));
}

#[test]
fn a_possible_duplicate_that_took_effect_is_not_entered_again() {
    let mut table = Table::open();
    table.say_as(2, "97=Y|", "35=D", &order("A"));
    table.told(1, Happened::Status(view("A")));
    assert_eq!(table.submitted().len(), 1);
    let sent = table.sent();
    assert!(sent[0].contains("|11=A|17=70.1|150=I|39=0|"), "{sent:?}");
    table.say_as(3, "97=Y|", "35=q", &format!("11=M|530=7|60={CLOCK}|"));
    assert!(table.submitted().is_empty());
    assert!(table.sent()[0].contains("531=0|532=99|58=it may have taken effect before"));
}

#[test]
fn what_was_told_before_the_kill_is_not_told_again_and_the_rest_is() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, accepted("A"));
    table.sent();
    let mut table = table.killed();
    assert_eq!(table.desk.last_out_seq(), OutSeq(1));
    table.core(2, 3);
    table.told_as(1, 1, accepted("A"));
    table.told_as(2, 0, filled("A", 100_000, 300, 0));
    table.sends(&[]);
    // It was numbered while the counterparty was away, and is there when it is asked for.
    let now = table.now();
    table.desk.connected(now);
    table.say("35=A", "98=0|108=60|789=3|");
    let sent = table.sent();
    assert!(
        sent[1].starts_with("35=8|34=3|43=Y|37=5|11=A|17=70.2|150=F|39=2|"),
        "{sent:?}"
    );
    assert_eq!(sent.len(), 2);
}

#[test]
fn after_a_loss_of_power_what_may_have_been_told_is_marked() {
    let mut table = Table::open();
    table.order("A");
    table.sent();
    let mut table = table.killed();
    let mut effects = Vec::new();
    table.desk.records_may_be_missing(4_097, &mut effects);
    table.core(2, 2);
    table.connect_again(4_097);
    table.told(1, accepted("A"));
    table.told(0, filled("A", 100_000, 300, 0));
    let sent = table.sent();
    assert!(sent[0].starts_with("35=8|34=4098|97=Y|"), "{sent:?}");
    assert!(sent[1].starts_with("35=8|34=4099|37=5|"), "{sent:?}");
}

#[test]
fn a_gateway_without_a_record_of_the_session_marks_all_that_is_replayed() {
    let mut table = Table::new(Vec::new());
    table.core(9, 2);
    table.connect();
    table.told(8, accepted("A"));
    assert!(matches!(
        table.submitted()[..],
        [(9, Request::Status { .. })]
    ));
    table.told(9, Happened::Status(view("A")));
    let sent = table.sent();
    assert!(
        sent[0].starts_with("35=8|34=2|97=Y|37=5|11=A|17=70.1|150=0|"),
        "{sent:?}"
    );
}

impl Table {
    fn connect_again(&mut self, our_number: u64) {
        let now = self.now();
        self.desk.connected(now);
        self.say("35=A", "98=0|108=60|");
        let logon = format!("35=A|34={our_number}|98=0|108=60|");
        self.sends(&[&logon]);
    }
}

#[test]
fn an_order_that_is_not_known_here_is_learned_of_before_it_is_told() {
    let mut table = Table::open();
    table.told(0, filled("Z", 100_000, 100, 200));
    table.told(0, filled("Z", 100_000, 100, 100));
    table.sends(&[]);
    let mut table = Table::open();
    table.told(0, filled("Z", 100_000, 100, 200));
    let learn = Request::Status { original: id("Z") };
    assert_eq!(table.submitted(), [(1, learn)]);
    table.told(0, filled("Z", 100_000, 100, 100));
    let mut seen = view("Z");
    seen.filled = Quantity(200);
    table.told(1, Happened::Status(seen));
    let sent = table.sent();
    assert!(
        sent[0].contains(
            "|17=70.1|150=F|39=1|55=600000|54=1|38=300|32=100|31=10.0000|151=200|14=100|"
        )
    );
    assert!(sent[1].contains("|17=70.2|150=F|39=1|"), "{sent:?}");
    assert_eq!(sent.len(), 2);
}

#[test]
fn a_number_that_an_older_process_used_up_is_noticed_by_the_answers_id() {
    let mut table = Table::open();
    table.order("B");
    table.effects.clear();
    table.told(1, accepted("A"));
    table.told(2, Happened::Status(view("A")));
    let lookups = table.submitted();
    let known = |(_, request): &(u64, Request)| matches!(request, Request::Status { original } if *original == id("B"));
    assert!(lookups.iter().any(known), "{lookups:?}");
}

#[test]
fn a_checkpoint_gives_the_same_desk_back() {
    let mut table = Table::open();
    table.order("A");
    table.told(1, accepted("A"));
    table.told(0, filled("A", 100_000, 100, 200));
    table.order("B");
    table.sent();
    table.records = table.desk.records();
    let mut table = table.killed();
    table.core(3, 5);
    table.told(0, filled("A", 98_000, 200, 0));
    table.told(2, accepted("B"));
    table.sent();
    let now = table.now();
    table.desk.connected(now);
    table.say("35=A", "98=0|108=60|789=2|");
    let sent = table.sent();
    let numbers: Vec<&str> = sent
        .iter()
        .map(|it| it.split('|').nth(1).unwrap())
        .collect();
    assert_eq!(
        numbers,
        ["34=6", "34=2", "34=3", "34=4", "34=5"],
        "{sent:?}"
    );
    assert!(
        sent[3].contains("|32=200|31=9.8000|151=0|14=300|6=9.8666|"),
        "{sent:?}"
    );
}

#[test]
fn when_the_core_ends_the_session_the_counterparty_is_told_what_is_unknown() {
    let mut table = Table::open();
    table.order("A");
    table.sent();
    let now = table.now();
    table.desk.core_ended("refused", now, &mut table.effects);
    assert!(table.sent()[0].contains("the outcome of 1 requests is unknown"));
}
