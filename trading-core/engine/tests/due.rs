//! What a leader's clock brings about: phases by the calendar, and graces that run out in silence.

#![allow(
    clippy::unwrap_used,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use engine::{EntryContext, Limits, State};
use std::path::PathBuf;
use types::{
    AccountId, Board, Command, Control, Epoch, LogIndex, Logon, Money, OutSeq, Phase, PhaseScope,
    Price, Security, SessionId, SymbolDefinition, SymbolId, UnixMicros,
};

const MAIN: SymbolId = SymbolId(600_000);
const STAR: SymbolId = SymbolId(688_001);
/// 2026-11-25, a Wednesday, 00:00 in China.
const MIDNIGHT: u64 = 1_795_536_000_000_000;

fn at(hour: u64, minute: u64) -> UnixMicros {
    UnixMicros(MIDNIGHT + (hour * 60 + minute) * 60_000_000)
}

fn shipped_rules() -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/data");
    let files = ["beijing", "calendar", "conduct", "shanghai", "shenzhen"]
        .map(|name| folder.join(name).with_extension("yaml"));
    rules::encode(&rules_file::read(&files).unwrap()).unwrap()
}

fn apply(state: &mut State, now: UnixMicros, command: &Command) {
    let last = state.last_entry();
    let context = EntryContext {
        epoch: Epoch(1),
        index: LogIndex(last.index.0 + 1),
        leader_time: now,
    };
    state.apply(context, command, &mut Vec::new());
}

fn market() -> State {
    let mut state = State::with_limits(Limits::small());
    for (symbol, board) in [(MAIN, Board::ShanghaiMain), (STAR, Board::ShanghaiStar)] {
        let definition = SymbolDefinition {
            board,
            security: Security::Share,
            ..SymbolDefinition::share(symbol, Price(80_000), Price(120_000))
        };
        let define = Command::Control(Control::DefineSymbol(definition));
        apply(&mut state, at(0, 0), &define);
    }
    state
}

fn with_rules() -> State {
    let mut state = market();
    let document = shipped_rules();
    let load = Command::Control(Control::LoadRules { document });
    apply(&mut state, at(0, 0), &load);
    state
}

/// Does what is due, and gives back whether anything was.
fn ring(state: &mut State, now: UnixMicros) -> bool {
    let due = state.due(now);
    for command in &due.commands {
        apply(state, now, command);
    }
    let again = state.due(now);
    assert!(again.commands.is_empty(), "what is done is not due again");
    !due.commands.is_empty()
}

#[test]
fn without_rules_nothing_moves_a_phase() {
    let state = market();
    assert_eq!(state.due(at(12, 0)), engine::Due::default());
}

#[test]
fn a_day_passes_through_its_phases() {
    let mut state = with_rules();
    let day = [
        (at(8, 0), Phase::Closed),
        (at(9, 15), Phase::OpeningCall),
        (at(9, 20), Phase::OpeningCallNoCancel),
        (at(9, 25), Phase::PreContinuous),
        (at(9, 30), Phase::Continuous),
        (at(11, 30), Phase::LunchBreak),
        (at(13, 0), Phase::Continuous),
        (at(14, 57), Phase::ClosingCall),
    ];
    for (now, phase) in day {
        assert!(ring(&mut state, now), "{phase:?}");
        assert_eq!(state.phase(MAIN), Some(phase));
        assert_eq!(state.phase(STAR), Some(phase));
    }
}

#[test]
fn the_next_change_is_told_and_nothing_is_due_before_it() {
    let mut state = with_rules();
    ring(&mut state, at(8, 0));
    let due = state.due(at(8, 30));
    assert!(due.commands.is_empty());
    assert_eq!(due.next, Some(at(9, 15)));
}

#[test]
fn a_leader_that_was_away_goes_straight_to_the_phase_that_holds() {
    let mut state = with_rules();
    ring(&mut state, at(8, 0));
    ring(&mut state, at(13, 30));
    assert_eq!(state.phase(MAIN), Some(Phase::Continuous));
}

#[test]
fn a_halted_symbol_stays_halted() {
    let mut state = with_rules();
    ring(&mut state, at(9, 30));
    let halt = Command::Control(Control::SetPhase {
        scope: PhaseScope::Symbol(STAR),
        phase: Phase::Halted,
    });
    apply(&mut state, at(10, 0), &halt);
    assert!(state.due(at(10, 0)).commands.is_empty());
    ring(&mut state, at(11, 30));
    assert_eq!(state.phase(MAIN), Some(Phase::LunchBreak));
    assert_eq!(state.phase(STAR), Some(Phase::Halted));
}

#[test]
fn outside_the_calendar_phases_are_held() {
    let mut state = with_rules();
    ring(&mut state, at(9, 30));
    let years = 20 * 366 * 24 * 3_600 * 1_000_000;
    let due = state.due(UnixMicros(MIDNIGHT + years));
    assert!(due.commands.is_empty() && due.outside_calendar.is_some());
}

#[test]
fn a_grace_that_ran_out_in_silence_asks_for_a_tick() {
    let mut state = market();
    let open = Command::Control(Control::OpenAccount {
        account: AccountId(1),
        cash: Money(1),
        positions: vec![],
    });
    apply(&mut state, at(10, 0), &open);
    let logon = Logon {
        cancel_on_disconnect_ms: Some(5_000),
        ..Logon::new(SessionId(1), AccountId(1), OutSeq(0))
    };
    apply(&mut state, at(10, 0), &Command::Logon(logon));
    let held: Vec<_> = state.sessions_held_by_connections().collect();
    assert_eq!(held, [SessionId(1)]);

    let session = SessionId(1);
    apply(&mut state, at(10, 1), &Command::Disconnect { session });
    assert_eq!(state.sessions_held_by_connections().count(), 0);
    let until = UnixMicros(at(10, 1).0 + 5_000_000);
    let due = state.due(at(10, 1));
    assert_eq!((due.commands.len(), due.next), (0, Some(until)));
    assert_eq!(state.due(until).commands, [Command::Tick]);
    assert!(ring(&mut state, until));
    assert_eq!(state.due(until).next, None);
}
