//! Random command streams over few accounts, sessions and symbols, judged after every command.

#![allow(clippy::unwrap_used, clippy::panic)]

mod streams;

use book::Book;
use engine::{EntryContext, Limits, MarketBook, OracleState, Shard, State};
use proptest::prelude::*;
use streams::{SYMBOLS, opening, rich_stream, stream};
use types::{ClientCommand, Command, Epoch, Event, LogIndex, OrderState, Report, Side, UnixMicros};

/// Small bounds, so that random streams reach them.
fn limits() -> Limits {
    Limits {
        sessions_max: 5,
        orders_per_account_max: 15,
        open_orders_per_account_max: 8,
        orders_max: 10,
        quantity_max: 1_000,
        replay_messages_max: 6,
        ..Limits::small()
    }
}

fn context(position: usize) -> EntryContext {
    EntryContext {
        epoch: Epoch(1 + position as u64 / 50),
        index: LogIndex(1 + position as u64 / 3),
        leader_time: UnixMicros(1_700_000_000_000_000 + position as u64 * 250),
    }
}

fn opened<B: MarketBook>() -> Shard<B> {
    let mut state = Shard::with_limits(limits());
    let mut events = Vec::new();
    for command in opening() {
        state.apply(context(0), &command, &mut events);
    }
    state
}

fn apply<B: MarketBook>(state: &mut Shard<B>, position: usize, command: &Command) -> Vec<Event> {
    let mut events = Vec::new();
    state.apply(context(position), command, &mut events);
    events
}

/// The session numbers a client would use: each request its session's next one.
fn numbered<B: MarketBook>(state: &Shard<B>, command: &Command) -> Command {
    match command {
        Command::Client(client) => Command::Client(ClientCommand {
            client_seq: state
                .next_client_seq(client.session)
                .unwrap_or(client.client_seq),
            ..*client
        }),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cash_and_shares_are_conserved_and_no_book_is_crossed(commands in rich_stream(160)) {
        let mut state: State = opened();
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&state, command);
            apply(&mut state, position, &command);
            if let Err(unbalanced) = state.check_conservation() {
                return Err(TestCaseError::fail(format!("{unbalanced} after {command:?}")));
            }
            for symbol in SYMBOLS.into_iter().filter(|symbol| !state.is_gathering(*symbol)) {
                let book = state.book(symbol).expect("listed");
                if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
                    prop_assert!(bid < ask);
                }
            }
        }
    }

    #[test]
    fn two_replicas_agree_command_by_command(commands in rich_stream(160)) {
        let (mut one, mut other): (State, State) = (opened(), opened());
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&one, command);
            let left = apply(&mut one, position, &command);
            let right = apply(&mut other, position, &command);
            prop_assert_eq!(left, right);
            prop_assert_eq!(one.history_hash(), other.history_hash());
        }
        prop_assert_eq!(one.snapshot(), other.snapshot());
    }

    /// The fast book and the obvious one: the same events, hashes and snapshots.
    #[test]
    fn the_product_agrees_with_the_oracle_command_by_command(commands in rich_stream(240)) {
        let (mut product, mut oracle): (State, OracleState) = (opened(), opened());
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&product, command);
            let told = apply(&mut product, position, &command);
            let expected = apply(&mut oracle, position, &command);
            prop_assert_eq!(told, expected, "{:?}", command);
            prop_assert_eq!(product.history_hash(), oracle.history_hash());
        }
        prop_assert_eq!(product.snapshot(), oracle.snapshot());
    }

    #[test]
    fn a_restored_state_is_equal_and_continues_identically(
        commands in rich_stream(160),
        cut in 0_usize..160,
    ) {
        let mut state: State = opened();
        let (before, after) = commands.split_at(cut.min(commands.len()));
        for (position, command) in before.iter().enumerate() {
            let command = numbered(&state, command);
            apply(&mut state, position, &command);
        }
        let bytes = state.snapshot().unwrap();
        let mut restored: State = State::restore(&bytes).unwrap();
        prop_assert_eq!(&restored, &state);
        prop_assert_eq!(restored.snapshot().unwrap(), bytes);
        for (position, command) in after.iter().enumerate() {
            let command = numbered(&state, command);
            let position = cut + position;
            prop_assert_eq!(
                apply(&mut restored, position, &command),
                apply(&mut state, position, &command)
            );
        }
        prop_assert_eq!(restored.history_hash(), state.history_hash());
        prop_assert_eq!(restored, state);
    }

    /// What a client does after a failover: it sends again what it is not sure of.
    #[test]
    fn requests_sent_twice_take_effect_once(commands in stream(100), cut in 0_usize..100) {
        let (mut once, mut twice): (State, State) = (opened(), opened());
        let mut sent = Vec::new();
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&once, command);
            apply(&mut once, position, &command);
            apply(&mut twice, position, &command);
            if let Command::Client(client) = &command
                && once.next_client_seq(client.session).is_some()
            {
                sent.push((position, command.clone()));
            }
            if position != cut {
                continue;
            }
            for (_, repeated) in &sent {
                let events = apply(&mut twice, position, repeated);
                prop_assert!(matches!(events[..], [Event::Duplicate { .. }]), "{:?}", events);
            }
        }
        for symbol in SYMBOLS {
            prop_assert_eq!(once.book(symbol), twice.book(symbol));
        }
        for account in streams::ACCOUNTS {
            prop_assert_eq!(once.account(account), twice.account(account));
        }
        prop_assert_eq!(once.counters().trades, twice.counters().trades);
        prop_assert_eq!(once.counters().orders_accepted, twice.counters().orders_accepted);
    }

    /// The answer to a repeated request is the first answer, word for word, or none.
    #[test]
    fn a_repeated_request_gets_its_first_answer(commands in stream(100)) {
        let mut state: State = opened();
        let mut answers = Vec::new();
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&state, command);
            let events = apply(&mut state, position, &command);
            let Command::Client(client) = &command else { continue };
            let answer = events.into_iter().find_map(|event| match event {
                Event::ToSession(outbound)
                    if outbound.session == client.session
                        && outbound.in_reply_to == Some(client.client_seq) => Some(outbound),
                _ => None,
            });
            if let Some(answer) = answer {
                answers.push((command.clone(), answer));
            }
        }
        let mut kept = 0;
        for (command, answer) in &answers {
            match apply(&mut state, 200, command).as_slice() {
                [Event::Duplicate { original: Some(original), .. }] => {
                    prop_assert_eq!(original, answer);
                    kept += 1;
                }
                [Event::Duplicate { original: None, .. }] => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(answers.is_empty() || kept > 0);
    }

    /// No client order id names two orders of an account, whatever is sent.
    #[test]
    fn a_client_order_id_takes_effect_at_most_once(commands in stream(160)) {
        let mut state: State = opened();
        let mut accepted = std::collections::BTreeSet::new();
        for (position, command) in commands.iter().enumerate() {
            let command = numbered(&state, command);
            for event in apply(&mut state, position, &command) {
                let Event::ToSession(outbound) = event else { continue };
                if outbound.in_reply_to.is_none() {
                    continue;
                }
                let claimed = match outbound.report {
                    Report::Accepted { cl_ord_id, .. } => cl_ord_id,
                    Report::Replaced { replacement, .. } => replacement,
                    Report::Status(view) => {
                        prop_assert!(view.filled <= view.quantity);
                        prop_assert_eq!(
                            view.state == OrderState::Open,
                            view.remaining.0 > 0
                        );
                        continue;
                    }
                    _ => continue,
                };
                let account = streams::account_of(outbound.session);
                prop_assert!(accepted.insert((account, claimed)), "{} twice", claimed);
            }
        }
    }
}

#[test]
fn random_streams_reach_what_they_are_meant_to_reach() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut codes = std::collections::BTreeSet::new();
    let (mut trades, mut duplicates, mut dropped) = (0, 0, 0);
    for round in 0..600 {
        let commands = if round % 2 == 0 {
            stream(160).new_tree(&mut runner).unwrap().current()
        } else {
            rich_stream(160).new_tree(&mut runner).unwrap().current()
        };
        let mut state: State = opened();
        for (position, command) in commands.iter().enumerate() {
            // Numbers as they come for a while, then right ones: both paths are walked.
            let command = if position % 8 == 0 {
                command.clone()
            } else {
                numbered(&state, command)
            };
            apply(&mut state, position, &command);
        }
        let counters = state.counters();
        codes.extend(counters.rejected_by_code.keys().copied());
        trades += counters.trades;
        duplicates += counters.duplicates;
        dropped += counters.replay_dropped;
    }
    let wanted = [
        105, 201, 202, 203, 301, 302, 303, 304, 305, 306, 307, 401, 402, 403, 501, 502, 601, 602,
        801, 802,
    ];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), wanted);
    assert!(trades > 100, "{trades}");
    assert!(duplicates > 100, "{duplicates}");
    assert!(dropped > 100, "{dropped}");
}
