//! Funds between two shards: whatever crashes and repeats, each movement takes effect once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use engine::{EntryContext, Limits, State};
use proptest::prelude::*;
use types::{
    AccountId, Command, Control, ControlOutcome, Epoch, Event, LogIndex, Money, RejectReason,
    ShardId, TransferId, UnixMicros,
};

const ACCOUNT: AccountId = AccountId(7);
const CASH: i64 = 1_000;

/// One shard with its snapshot and the log since: what a replica has on its disk.
struct Shard {
    state: State,
    snapshot: Vec<u8>,
    log: Vec<Control>,
    index: u64,
}

impl Shard {
    fn new() -> Self {
        let state = State::with_limits(Limits::small());
        let snapshot = state.snapshot().unwrap();
        let mut shard = Self {
            state,
            snapshot,
            log: Vec::new(),
            index: 0,
        };
        let opened = shard.apply(Control::OpenAccount {
            account: ACCOUNT,
            cash: Money(CASH),
            positions: Vec::new(),
        });
        assert_eq!(opened, ControlOutcome::Done);
        shard
    }

    fn apply(&mut self, control: Control) -> ControlOutcome {
        self.log.push(control.clone());
        self.index += 1;
        Self::play(&mut self.state, self.index, control)
    }

    fn play(state: &mut State, index: u64, control: Control) -> ControlOutcome {
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(index),
            leader_time: UnixMicros(1_700_000_000_000_000),
        };
        let mut events = Vec::new();
        state.apply(context, &Command::Control(control), &mut events);
        state.check_conservation().unwrap();
        match events.pop() {
            Some(Event::Control(outcome)) => outcome,
            other => panic!("one outcome was expected: {other:?}"),
        }
    }

    fn take_snapshot(&mut self) {
        self.snapshot = self.state.snapshot().unwrap();
        self.log.clear();
    }

    /// The process dies; another begins with the snapshot and the log.
    fn crash(&mut self) {
        let mut state = State::restore(&self.snapshot).unwrap();
        let first = self.index - self.log.len() as u64 + 1;
        for (index, control) in (first..).zip(self.log.clone()) {
            Self::play(&mut state, index, control);
        }
        assert_eq!(state.history_hash(), self.state.history_hash());
        self.state = state;
    }

    fn cash(&self) -> i64 {
        self.state.account(ACCOUNT).unwrap().cash.0
    }
}

fn out(number: u64, amount: i64) -> Control {
    Control::TransferOut {
        transfer: TransferId(number),
        account: ACCOUNT,
        amount: Money(amount),
        to: ShardId(2),
    }
}

fn into(number: u64, amount: i64) -> Control {
    Control::TransferIn {
        transfer: TransferId(number),
        account: ACCOUNT,
        amount: Money(amount),
        from: ShardId(1),
    }
}

fn done(number: u64) -> Control {
    Control::TransferDone {
        transfer: TransferId(number),
    }
}

fn is_refused(outcome: &ControlOutcome) -> bool {
    matches!(
        outcome,
        ControlOutcome::Refused(RejectReason::TransferRules { .. })
    )
}

#[test]
fn funds_arrive_once_and_the_movement_is_forgotten() {
    let (mut sender, mut receiver) = (Shard::new(), Shard::new());
    for _ in 0..3 {
        assert_eq!(sender.apply(out(1, 300)), ControlOutcome::Done);
        assert_eq!(sender.cash(), 700);
    }
    assert_eq!(sender.state.transfers_under_way().count(), 1);
    for _ in 0..3 {
        assert_eq!(receiver.apply(into(1, 300)), ControlOutcome::Done);
        assert_eq!(receiver.cash(), 1_300);
    }
    for _ in 0..3 {
        assert_eq!(sender.apply(done(1)), ControlOutcome::Done);
        assert_eq!(sender.cash(), 700);
    }
    assert_eq!(sender.state.transfers_under_way().count(), 0);
    assert!(is_refused(&sender.apply(out(1, 300))), "it is over");
    assert_eq!(receiver.apply(into(1, 300)), ControlOutcome::Done);
    assert_eq!((sender.cash(), receiver.cash()), (700, 1_300));
}

#[test]
fn a_movement_that_cannot_be_changes_nothing() {
    let mut shard = Shard::new();
    let short = shard.apply(out(1, CASH + 1));
    assert!(
        matches!(
            short,
            ControlOutcome::Refused(RejectReason::InsufficientCash { .. })
        ),
        "{short:?}"
    );
    assert!(is_refused(&shard.apply(out(1, 0))));
    assert!(is_refused(&shard.apply(out(1, -5))));
    assert!(is_refused(&shard.apply(into(1, 0))));
    assert!(
        is_refused(&shard.apply(into(1, i64::MAX))),
        "beyond the range of money"
    );
    assert_eq!(shard.apply(out(5, 10)), ControlOutcome::Done);
    assert!(
        is_refused(&shard.apply(out(5, 11))),
        "the number is another movement's"
    );
    assert!(is_refused(&shard.apply(out(4, 10))), "numbers ascend");
    assert_eq!(
        shard.apply(into(5, 10)),
        ControlOutcome::Done,
        "the other way, its own number"
    );
    assert!(is_refused(&shard.apply(into(5, 11))));
    let stranger = Control::TransferIn {
        transfer: TransferId(9),
        account: AccountId(99),
        amount: Money(1),
        from: ShardId(1),
    };
    assert!(is_refused(&shard.apply(stranger)));
    assert_eq!(shard.cash(), CASH);
}

#[test]
fn a_sender_waits_for_its_oldest_movement() {
    let mut shard = Shard::new();
    assert_eq!(shard.apply(out(1, 1)), ControlOutcome::Done);
    for number in 2..=900 {
        assert_eq!(shard.apply(out(number, 1)), ControlOutcome::Done);
    }
    // All but the oldest end; the window still counts from it.
    for number in 2..=900 {
        shard.apply(done(number));
    }
    let refill = Control::TransferIn {
        transfer: TransferId(1),
        account: ACCOUNT,
        amount: Money(10_000),
        from: ShardId(2),
    };
    assert_eq!(shard.apply(refill), ControlOutcome::Done);
    let mut begun = 900;
    let full = (5_000..).find_map(|number| match shard.apply(out(number, 1)) {
        ControlOutcome::Done => {
            begun += 1;
            None
        }
        refused => Some(refused),
    });
    assert_eq!(begun, engine::TRANSFERS_REMEMBERED);
    assert!(
        matches!(
            full,
            Some(ControlOutcome::Refused(RejectReason::Full { .. }))
        ),
        "{full:?}"
    );
    shard.apply(done(1));
    assert_eq!(shard.apply(out(20_000, 1)), ControlOutcome::Done);
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    /// Someone asks for a movement.
    Begin(i64),
    /// The driver, who keeps nothing, brings one that is under way a step further.
    Drive(usize, bool),
    /// Something that was sent comes again.
    Repeat(usize),
    CrashSender,
    CrashReceiver,
    SnapshotSender,
    SnapshotReceiver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_i64..400).prop_map(Step::Begin),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, twice)| Step::Drive(which, twice)),
        4 => any::<usize>().prop_map(Step::Repeat),
        1 => Just(Step::CrashSender),
        1 => Just(Step::CrashReceiver),
        1 => Just(Step::SnapshotSender),
        1 => Just(Step::SnapshotReceiver),
    ]
}

struct Pair {
    sender: Shard,
    receiver: Shard,
    /// All that was ever sent, with whether it went to the sender.
    sent: Vec<(bool, Control)>,
    numbers: u64,
    begun: i64,
}

impl Pair {
    fn send(&mut self, to_sender: bool, control: Control) -> ControlOutcome {
        self.sent.push((to_sender, control.clone()));
        let shard = if to_sender {
            &mut self.sender
        } else {
            &mut self.receiver
        };
        shard.apply(control)
    }

    /// Into the receiver, and the end at the sender unless the driver dies between the two.
    fn drive(&mut self, which: usize, dies_between: bool) {
        let under_way: Vec<_> = self.sender.state.transfers_under_way().collect();
        if under_way.is_empty() {
            return;
        }
        let it = under_way[which % under_way.len()];
        let arrived = self.send(false, into(it.transfer.0, it.amount.0));
        assert_eq!(arrived, ControlOutcome::Done);
        if !dies_between {
            self.send(true, done(it.transfer.0));
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin(amount) => {
                self.numbers += 1;
                if self.send(true, out(self.numbers, amount)) == ControlOutcome::Done {
                    self.begun += amount;
                }
            }
            Step::Drive(which, dies_between) => self.drive(which, dies_between),
            Step::Repeat(which) if !self.sent.is_empty() => {
                let (to_sender, control) = self.sent[which % self.sent.len()].clone();
                let again = matches!(&control, Control::TransferOut { .. });
                let before = self.sender.cash();
                self.send(to_sender, control);
                // One that was refused for want of cash may begin when its number is still the last;
                // here cash never comes back, so it cannot.
                assert!(!again || self.sender.cash() <= before);
                self.begun += before - self.sender.cash();
            }
            Step::Repeat(_) => {}
            Step::CrashSender => self.sender.crash(),
            Step::CrashReceiver => self.receiver.crash(),
            Step::SnapshotSender => self.sender.take_snapshot(),
            Step::SnapshotReceiver => self.receiver.take_snapshot(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_total_is_conserved_whatever_crashes_and_repeats(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut pair = Pair {
            sender: Shard::new(),
            receiver: Shard::new(),
            sent: Vec::new(),
            numbers: 0,
            begun: 0,
        };
        for step in steps {
            pair.take(step);
            let under_way: i64 = pair.sender.state.transfers_under_way().map(|it| it.amount.0).sum();
            let total = pair.sender.cash() + pair.receiver.cash();
            // What is under way has arrived already or not.
            prop_assert!((2 * CASH - under_way..=2 * CASH).contains(&total));
            prop_assert_eq!(pair.sender.cash(), CASH - pair.begun);
        }
        while pair.sender.state.transfers_under_way().next().is_some() {
            pair.drive(0, false);
        }
        for again in pair.sent.clone() {
            pair.send(again.0, again.1);
        }
        prop_assert_eq!(pair.sender.cash() + pair.receiver.cash(), 2 * CASH);
        prop_assert_eq!(pair.sender.cash(), CASH - pair.begun);
    }
}
