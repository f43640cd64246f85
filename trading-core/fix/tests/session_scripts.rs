//! Session behaviour as tables: what the counterparty sends, what it gets.
//!
//! ```text
//!   > 35=A|34=1|98=0|108=30|    the counterparty sends this (fields that every message has are added)
//!   < 35=A|34=1|98=0|108=30|    it gets this, and nothing else before
//!   + 30000                     so many milliseconds pass
//!   x                           its connection is ended
//!   c                           it connects
//!   d                           it breaks the connection
//! ```
//!
//! A field of the header that is given is sent as given; `52` and `122` are left out of what is
//! compared, for they hold the time.

#![allow(clippy::unwrap_used, clippy::panic)]

use fix::frame::checksum;
use fix::message::Message;
use fix::session::{Now, Profile, Session, Verdict, password_digest};
use fix::write::Body;
use fix::{Effect, Record};
use types::UnixMicros;

const START_US: u64 = 1_795_564_800_000_000;

fn profile() -> Profile {
    Profile {
        comp_id: "TRICENTER".to_owned(),
        counterparty: "CLIENT".to_owned(),
        password_sha256: None,
        heartbeat_s_min: 5,
        heartbeat_s_max: 60,
        sending_time_s_max: 120,
        resend_messages_max: 4,
    }
}

/// A session, its clock, and what went out and was not looked at yet.
struct Stage {
    session: Session,
    ms: u64,
    out: Vec<String>,
    records: Vec<Record>,
}

impl Stage {
    fn new(profile: Profile) -> Self {
        Self {
            session: Session::new(profile),
            ms: 0,
            out: Vec::new(),
            records: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: UnixMicros(START_US + self.ms * 1_000),
            ms: self.ms,
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Transmit(bytes) => self.out.push(compared(&bytes)),
                Effect::Disconnect => self.out.push("x".to_owned()),
                Effect::Keep(record) => self.records.push(record),
                Effect::Count(_) => {}
                Effect::Submit { .. } => panic!("a session submits nothing"),
            }
        }
    }

    fn run(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
            let (what, rest) = line.split_at(1);
            let rest = rest.trim();
            let mut effects = Vec::new();
            match what {
                ">" => {
                    let bytes = sent(rest, self.now().wall);
                    let message = Message::read(&bytes).unwrap();
                    let now = self.now();
                    let verdict = self.session.receive(&message, now, &mut effects);
                    self.take(effects);
                    if let Verdict::Deliver {
                        msg_seq_num,
                        is_doubtful,
                    } = verdict
                    {
                        let doubt = if is_doubtful { " doubtful" } else { "" };
                        self.out.push(format!("! {msg_seq_num}{doubt}"));
                    }
                    continue;
                }
                // An application message of ours.
                "*" => {
                    let body = Body::new().text(fix::dictionary::Field::Text, rest);
                    let kind = fix::dictionary::Kind::ExecutionReport;
                    let now = self.now();
                    self.session.send(kind, body, now, &mut effects);
                }
                "+" => {
                    self.ms += rest.parse::<u64>().unwrap();
                    let now = self.now();
                    self.session.tick(now, &mut effects);
                }
                "c" => {
                    let now = self.now();
                    self.session.connected(now);
                }
                "d" => self.session.disconnected(),
                "~" => self.session.garbled(&mut effects),
                "l" => {
                    let now = self.now();
                    self.session.log_out(rest, now, &mut effects);
                }
                "<" | "x" | "!" => {
                    let expected = if what == "<" { rest } else { line };
                    assert!(!self.out.is_empty(), "nothing came for: {line}\n{script}");
                    assert_eq!(self.out.remove(0), expected, "in\n{script}");
                    continue;
                }
                "#" => continue,
                other => panic!("no such step: {other}"),
            }
            self.take(effects);
        }
        assert_eq!(self.out, Vec::<String>::new(), "more came in\n{script}");
    }
}

/// What the counterparty sends, with the fields that it does not give itself.
fn sent(fields: &str, wall: UnixMicros) -> Vec<u8> {
    let given = |tag: &str| {
        fields
            .split('|')
            .find_map(|field| field.strip_prefix(&format!("{tag}=")))
    };
    let or = |tag, default: &str| given(tag).unwrap_or(default).to_owned();
    let clock = clock(wall);
    let header = ["8", "35", "49", "56", "34", "43", "97", "52", "122"];
    let rest: String = fields
        .split('|')
        .filter(|field| !field.is_empty())
        .filter(|field| !header.contains(&field.split('=').next().unwrap()))
        .map(|field| format!("{field}|"))
        .collect();
    let optional = |tag: &str| given(tag).map_or(String::new(), |it| format!("{tag}={it}|"));
    let number = given("34").map_or(String::new(), |it| format!("34={it}|"));
    let body = format!(
        "35={}|49={}|56={}|{number}{}{}52={}|{}{rest}",
        or("35", "?"),
        or("49", "CLIENT"),
        or("56", "TRICENTER"),
        optional("43"),
        optional("97"),
        or("52", &clock),
        given("122").map_or(String::new(), |it| format!(
            "122={}|",
            if it == "now" { &clock } else { it }
        )),
    )
    .replace('|', "\x01");
    let begin = or("8", "FIX.4.4");
    let mut bytes = format!("8={begin}\x019={}\x01{body}", body.len()).into_bytes();
    let sum = checksum(&bytes);
    bytes.extend_from_slice(format!("10={sum:03}\x01").as_bytes());
    bytes
}

fn clock(wall: UnixMicros) -> String {
    let seconds = wall.0 / 1_000_000 - START_US / 1_000_000;
    format!(
        "20261125-{:02}:{:02}:{:02}.{:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        wall.0 / 1_000 % 1_000
    )
}

/// A message of ours without what is the same in all, and without times; it must be right by the
/// dictionary (but for the bodies that this test makes up).
fn compared(bytes: &[u8]) -> String {
    let message = Message::read(bytes).unwrap();
    if message.kind() != Some(fix::dictionary::Kind::ExecutionReport) {
        message.check().unwrap();
    }
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let skipped = ["8", "9", "49", "56", "52", "122", "10"];
    text.split('\x01')
        .filter(|field| !field.is_empty())
        .filter(|field| !skipped.contains(&field.split('=').next().unwrap()))
        .map(|field| format!("{field}|"))
        .collect()
}

fn plays(script: &str) {
    Stage::new(profile()).run(script);
}

/// Logged on with next numbers 2 and 2, a heartbeat of 30 s.
fn logged_on() -> Stage {
    let mut stage = Stage::new(profile());
    stage.run("c\n > 35=A|34=1|98=0|108=30|\n < 35=A|34=1|98=0|108=30|");
    stage
}

#[test]
fn a_logon_is_answered_with_its_own_heartbeat_interval() {
    logged_on();
}

#[test]
fn a_logon_that_cannot_be_accepted_says_which_field_is_wrong() {
    for (logon, text) in [
        (
            "35=A|34=1|98=0|108=4|",
            "HeartBtInt (108) 4 is not accepted: use 5 to 60 seconds",
        ),
        ("35=A|34=1|98=0|", "HeartBtInt (108) is missing"),
        (
            "35=A|34=1|98=1|108=30|",
            "EncryptMethod (98) is not accepted: use 0",
        ),
        (
            "35=A|34=2|98=0|108=30|141=Y|",
            "MsgSeqNum (34) 2 is not accepted with ResetSeqNumFlag (141): use 1",
        ),
        (
            "35=A|34=1|98=0|108=30|789=9|",
            "NextExpectedMsgSeqNum (789) 9 is not accepted: our next number is 1",
        ),
        (
            "35=A|34=1|56=OTHER|98=0|108=30|",
            "TargetCompID (56) \"OTHER\" is not the one of this session's logon",
        ),
        (
            "35=A|34=1|52=20261124-00:00:00.000|98=0|108=30|",
            "SendingTime (52) \"20261124-00:00:00.000\" is not within 120 s of our clock",
        ),
        (
            "8=FIX.4.2|35=A|34=1|98=0|108=30|",
            "BeginString (8) \"FIX.4.2\" is not accepted: use FIX.4.4",
        ),
    ] {
        plays(&format!("c\n> {logon}\n< 35=5|34=1|58={text}|\nx"));
    }
}

#[test]
fn a_first_message_that_is_no_logon_ends_the_connection_without_a_word() {
    plays("c\n> 35=0|34=1|\nx");
}

#[test]
fn a_connection_that_does_not_log_on_is_ended() {
    plays("c\n+ 9999\n+ 1\nx");
}

#[test]
fn a_password_is_asked_for_where_there_is_one() {
    let secret = Profile {
        password_sha256: Some(password_digest(b"secret")),
        ..profile()
    };
    let refused = "< 35=5|34=1|58=Password (554) is missing or not the one of this session|\nx";
    for bad in ["", "554=wrong|"] {
        let script = format!("c\n> 35=A|34=1|98=0|108=30|{bad}\n{refused}");
        Stage::new(secret.clone()).run(&script);
    }
    Stage::new(secret).run("c\n> 35=A|34=1|98=0|108=30|554=secret|\n< 35=A|34=1|98=0|108=30|");
}

#[test]
fn heartbeats_go_out_when_nothing_else_does_and_silence_is_asked_about_and_then_ended() {
    logged_on().run(
        "+ 29999
         + 1
         < 35=0|34=2|
         + 6000
         < 35=1|34=3|112=TEST-3|
         + 30000
         < 35=0|34=4|
         + 6000
         x",
    );
}

#[test]
fn a_test_request_is_answered_with_its_id_and_any_message_ends_ours() {
    logged_on().run(
        "> 35=1|34=2|112=are you there|
         < 35=0|34=2|112=are you there|
         + 36000
         < 35=1|34=3|112=TEST-3|
         > 35=0|34=3|112=TEST-3|
         + 30000
         < 35=0|34=4|
         + 5999
         + 1
         < 35=1|34=5|112=TEST-5|",
    );
}

#[test]
fn application_messages_are_delivered_in_turn() {
    logged_on().run(
        "> 35=H|34=2|11=A|55=600000|54=1|
         ! 2
         > 35=H|34=3|97=Y|11=A|55=600000|54=1|
         ! 3 doubtful",
    );
}

#[test]
fn a_number_too_high_is_asked_for_once_and_what_comes_meanwhile_is_dropped() {
    logged_on().run(
        "> 35=H|34=4|11=C|55=600000|54=1|
         < 35=2|34=2|7=2|16=0|
         > 35=H|34=5|11=D|55=600000|54=1|
         > 35=H|34=2|43=Y|122=now|11=A|55=600000|54=1|
         ! 2 doubtful
         > 35=4|34=3|43=Y|122=now|123=Y|36=5|
         > 35=H|34=5|43=Y|122=now|11=D|55=600000|54=1|
         ! 5 doubtful
         # all is there: the next gap is asked for at once
         > 35=0|34=8|
         < 35=2|34=3|7=6|16=0|",
    );
}

#[test]
fn a_gap_that_is_not_filled_is_asked_for_again_after_a_heartbeats_time() {
    logged_on().run(
        "> 35=0|34=4|
         < 35=2|34=2|7=2|16=0|
         + 20000
         > 35=0|34=5|
         + 10000
         < 35=0|34=3|
         > 35=0|34=6|
         < 35=2|34=4|7=2|16=0|",
    );
}

#[test]
fn a_number_too_low_ends_the_session_unless_it_is_a_possible_duplicate() {
    logged_on().run(
        "> 35=0|34=1|43=Y|122=now|
         > 35=0|34=1|43=Y|
         < 35=3|34=2|45=1|371=122|372=0|373=1|58=OrigSendingTime (122) is missing|
         > 35=0|34=1|
         < 35=5|34=3|58=MsgSeqNum (34) too low: expecting 2, received 1|
         x",
    );
    plays(
        "c
         > 35=A|34=1|98=0|108=30|
         < 35=A|34=1|98=0|108=30|
         d
         c
         > 35=A|34=1|98=0|108=30|
         < 35=5|34=2|58=MsgSeqNum (34) too low: expecting 2, received 1|
         x",
    );
}

#[test]
fn a_duplicate_older_than_its_first_sending_is_rejected() {
    logged_on().run(
        "> 35=H|34=2|43=Y|122=20261125-00:00:01.000|11=A|55=600000|54=1|
         < 35=3|34=2|45=2|371=52|372=H|373=10|58=SendingTime (52) \"20261125-00:00:00.000\" is \
         too far from our clock or before OrigSendingTime (122)|",
    );
}

#[test]
fn what_is_sent_again_has_its_number_and_administrative_messages_are_gap_filled() {
    logged_on().run(
        "* one
         < 35=8|34=2|58=one|
         > 35=1|34=2|112=T|
         < 35=0|34=3|112=T|
         * two
         < 35=8|34=4|58=two|
         > 35=2|34=3|7=1|16=0|
         < 35=4|34=1|43=Y|123=Y|36=2|
         < 35=8|34=2|43=Y|58=one|
         < 35=4|34=3|43=Y|123=Y|36=4|
         < 35=8|34=4|43=Y|58=two|
         > 35=2|34=4|7=2|16=2|
         < 35=8|34=2|43=Y|58=one|
         > 35=2|34=5|7=3|16=999|
         < 35=4|34=3|43=Y|123=Y|36=4|
         < 35=8|34=4|43=Y|58=two|
         > 35=2|34=6|7=3|16=2|
         < 35=3|34=5|45=6|371=16|372=2|373=5|58=EndSeqNo (16) \"2\" is not accepted: use digits, \
         at most 18|",
    );
}

#[test]
fn what_is_no_longer_kept_is_gap_filled() {
    let mut stage = logged_on();
    for n in 2..8 {
        stage.run(&format!("* m{n}\n< 35=8|34={n}|58=m{n}|"));
    }
    stage.run(
        "> 35=2|34=2|7=2|16=0|
         < 35=4|34=2|43=Y|123=Y|36=4|
         < 35=8|34=4|43=Y|58=m4|
         < 35=8|34=5|43=Y|58=m5|
         < 35=8|34=6|43=Y|58=m6|
         < 35=8|34=7|43=Y|58=m7|",
    );
}

#[test]
fn both_sides_may_ask_at_once() {
    logged_on().run(
        "* one
         < 35=8|34=2|58=one|
         > 35=2|34=4|7=2|16=0|
         < 35=8|34=2|43=Y|58=one|
         < 35=2|34=3|7=2|16=0|",
    );
}

#[test]
fn a_gap_fill_moves_the_number_up_only() {
    logged_on().run(
        "> 35=4|34=2|123=Y|36=7|
         > 35=4|34=7|123=Y|36=7|
         < 35=3|34=2|45=7|371=36|372=4|373=5|58=NewSeqNo (36) \"7\" is not accepted: use digits, \
         at most 18|
         > 35=4|34=5|43=Y|122=now|123=Y|36=20|
         > 35=0|34=8|",
    );
}

#[test]
fn a_sequence_reset_counts_whatever_its_number_is_and_moves_up_only() {
    logged_on().run(
        "> 35=4|34=99|36=10|
         > 35=0|34=10|
         > 35=4|34=1|123=N|36=11|
         > 35=4|34=1|36=3|
         < 35=3|34=2|45=1|371=36|372=4|373=5|58=NewSeqNo (36) \"3\" is not accepted: use digits, \
         at most 18|
         > 35=0|34=11|",
    );
}

#[test]
fn a_logout_is_answered_and_ours_is_waited_for() {
    logged_on().run("> 35=5|34=2|\n< 35=5|34=2|\nx");
    logged_on().run("> 35=5|34=9|\n< 35=5|34=2|\nx");
    logged_on().run("l bye\n< 35=5|34=2|58=bye|\n> 35=5|34=2|\nx");
    logged_on().run("l bye\n< 35=5|34=2|58=bye|\n+ 1999\n+ 1\nx");
}

#[test]
fn another_comp_id_or_a_far_time_is_rejected_and_ends_the_session() {
    let wrong = "TargetCompID (56) \"OTHER\" is not the one of this session's logon";
    logged_on().run(&format!(
        "> 35=0|34=2|56=OTHER|
         < 35=3|34=2|45=2|371=56|372=0|373=9|58={wrong}|
         < 35=5|34=3|58={wrong}|
         x"
    ));
    let far = "SendingTime (52) \"20261125-00:02:01.000\" is too far from our clock or before \
               OrigSendingTime (122)";
    logged_on().run(&format!(
        "> 35=0|34=2|52=20261125-00:02:01.000|
         < 35=3|34=2|45=2|371=52|372=0|373=10|58={far}|
         < 35=5|34=3|58={far}|
         x"
    ));
    logged_on().run("> 35=0|34=2|52=20261125-00:02:00.000|");
}

#[test]
fn another_version_or_no_number_ends_the_session() {
    logged_on().run(
        "> 8=FIX.4.2|35=0|34=2|
         < 35=5|34=2|58=BeginString (8) \"FIX.4.2\" is not accepted: use FIX.4.4|
         x",
    );
    logged_on().run(
        "> 35=0|
         < 35=5|34=2|58=MsgSeqNum (34) is missing or no number from 1|
         x",
    );
}

#[test]
fn a_message_that_breaks_the_dictionary_takes_its_number_and_is_rejected_with_the_field() {
    logged_on().run(
        "> 35=D|34=2|11=A|
         < 35=3|34=2|45=2|371=38|372=D|373=1|58=OrderQty (38) is missing|
         > 35=*|34=3|
         < 35=3|34=3|45=3|371=35|372=*|373=11|58=MsgType (35) \"*\" is no message of FIX 4.4|
         > 35=AE|34=4|571=x|
         ! 4",
    );
}

#[test]
fn garbled_messages_take_no_number_and_too_many_in_a_row_end_the_connection() {
    let mut stage = logged_on();
    stage.run(&"~\n".repeat(15));
    stage.run("> 35=0|34=2|");
    stage.run(&"~\n".repeat(15));
    stage.run("~\nx");
}

#[test]
fn a_second_logon_is_only_for_setting_the_numbers_anew() {
    logged_on().run(
        "* one
         < 35=8|34=2|58=one|
         > 35=A|34=1|98=0|108=10|141=Y|
         < 35=A|34=1|98=0|108=10|141=Y|
         > 35=0|34=2|
         * two
         < 35=8|34=2|58=two|",
    );
    logged_on().run(
        "> 35=A|34=2|98=0|108=30|
         < 35=5|34=2|58=this session is logged on already: use ResetSeqNumFlag (141) to set the \
         numbers anew|
         x",
    );
}

#[test]
fn what_was_numbered_while_the_counterparty_was_away_waits_for_it() {
    logged_on().run(
        "d
         * while away
         c
         > 35=A|34=2|98=0|108=30|
         < 35=A|34=3|98=0|108=30|
         > 35=2|34=3|7=2|16=0|
         < 35=8|34=2|43=Y|58=while away|
         < 35=4|34=3|43=Y|123=Y|36=4|",
    );
}

#[test]
fn the_next_expected_number_brings_what_is_missing_without_a_resend_request() {
    logged_on().run(
        "d
         * while away
         c
         > 35=A|34=2|98=0|108=30|789=2|
         < 35=A|34=3|98=0|108=30|789=3|
         < 35=8|34=2|43=Y|58=while away|",
    );
}

#[test]
fn a_logon_ahead_is_accepted_and_the_missing_messages_asked_for() {
    plays(
        "c
         > 35=A|34=5|98=0|108=30|
         < 35=A|34=1|98=0|108=30|
         < 35=2|34=2|7=1|16=0|
         > 35=4|34=1|43=Y|122=now|123=Y|36=6|
         > 35=0|34=6|",
    );
}

#[test]
fn a_reset_at_logon_sends_again_what_may_not_have_arrived() {
    logged_on().run(
        "* sent into a connection that broke
         < 35=8|34=2|58=sent into a connection that broke|
         d
         * while away
         c
         > 35=A|34=1|98=0|108=30|141=Y|
         < 35=A|34=1|98=0|108=30|141=Y|
         < 35=8|34=2|97=Y|58=sent into a connection that broke|
         < 35=8|34=3|97=Y|58=while away|",
    );
}

#[test]
fn after_an_orderly_logout_a_reset_repeats_nothing() {
    logged_on().run(
        "* seen
         < 35=8|34=2|58=seen|
         > 35=5|34=2|
         < 35=5|34=3|
         x
         c
         > 35=A|34=1|98=0|108=30|141=Y|
         < 35=A|34=1|98=0|108=30|141=Y|",
    );
}

#[test]
fn folded_again_the_records_give_the_same_numbers_and_messages() {
    let mut stage = logged_on();
    stage.run(
        "* one
         < 35=8|34=2|58=one|
         > 35=0|34=2|
         > 35=1|34=3|112=T|
         < 35=0|34=3|112=T|",
    );
    let checkpoint: Vec<Record> = stage.session.records().collect();
    for records in [stage.records, checkpoint] {
        let mut again = Stage::new(profile());
        for record in &records {
            again.session.fold(record);
        }
        let numbers = |session: &Session| (session.next_in(), session.next_out());
        assert_eq!(numbers(&again.session), numbers(&stage.session));
        again.run(
            "c
             > 35=A|34=4|98=0|108=30|
             < 35=A|34=4|98=0|108=30|
             > 35=2|34=5|7=2|16=0|
             < 35=8|34=2|43=Y|58=one|
             < 35=4|34=3|43=Y|123=Y|36=5|",
        );
    }
}

#[test]
fn numbers_that_may_have_been_used_are_skipped_and_gap_filled() {
    let mut stage = Stage::new(profile());
    let mut effects = Vec::new();
    stage.session.skip_to(1_000, &mut effects);
    stage.run(
        "c
         > 35=A|34=1|98=0|108=30|
         < 35=A|34=1000|98=0|108=30|
         > 35=2|34=2|7=8|16=0|
         < 35=4|34=8|43=Y|123=Y|36=1001|",
    );
}
