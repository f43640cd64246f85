//! A MoldUDP64 session over lines that lose, double and reorder, with retransmission.

#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use marketdata::mold::{
    Block, Effect, PacketBuilder, Receiver, ReceiverSettings, Request, Session,
};
use marketdata::{Damage, Impairment, Monotonic};
use proptest::prelude::*;

const SESSION: Session = Session(*b"20261125A ");
const STEP_US: u64 = 1_000;

fn message(sequence: u64) -> Vec<u8> {
    format!("message {sequence}").into_bytes()
}

/// Messages `first..end` in packets of a few.
fn packet(first: u64, end: u64) -> Vec<u8> {
    let mut builder = PacketBuilder::new(SESSION, first, 1_400);
    (first..end).for_each(|it| assert!(builder.push(&message(it))));
    builder.finish()
}

fn heartbeat(next: u64) -> Vec<u8> {
    PacketBuilder::new(SESSION, next, 64).finish()
}

/// What the retransmission server answers.
fn again(request: &Request) -> Vec<u8> {
    let end = request.sequence + u64::from(request.count);
    packet(request.sequence, end.min(request.sequence + 20))
}

#[derive(Default)]
struct Heard {
    messages: Vec<u64>,
    effects: Vec<Effect>,
}

impl Heard {
    fn take(&mut self, receiver: &mut Receiver, bytes: &[u8], now_us: u64) {
        let messages = &mut self.messages;
        let mut sink = |block: Block<'_>| {
            assert_eq!(block.bytes, message(block.sequence));
            messages.push(block.sequence);
        };
        let now = Monotonic::from_us(now_us);
        receiver
            .receive(bytes, now, &mut sink, &mut self.effects)
            .unwrap();
    }

    fn tick(&mut self, receiver: &mut Receiver, now_us: u64) {
        let messages = &mut self.messages;
        let mut sink = |block: Block<'_>| messages.push(block.sequence);
        receiver.tick(Monotonic::from_us(now_us), &mut sink, &mut self.effects);
    }

    fn requests(&mut self) -> Vec<Request> {
        let asked = |effect: &Effect| match effect {
            Effect::Ask(request) => Some(*request),
            _ => None,
        };
        let requests = self.effects.iter().filter_map(asked).collect();
        self.effects.retain(|it| asked(it).is_none());
        requests
    }
}

fn receiver() -> Receiver {
    Receiver::new(ReceiverSettings::default())
}

#[test]
fn two_lines_give_each_message_once() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    for bytes in [packet(1, 3), packet(1, 3), packet(3, 5), packet(2, 5)] {
        heard.take(&mut receiver, &bytes, 0);
    }
    assert_eq!(heard.messages, [1, 2, 3, 4]);
    assert_eq!(receiver.counts().duplicates, 5);
    assert_eq!(receiver.counts().gaps, 0);
}

#[test]
fn a_hole_is_asked_for_after_the_wait_and_filled_by_the_answer() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    heard.take(&mut receiver, &packet(1, 3), 0);
    heard.take(&mut receiver, &packet(5, 7), 0);
    heard.tick(&mut receiver, 9_999);
    assert_eq!(heard.requests(), []);
    heard.tick(&mut receiver, 10_000);
    let requests = heard.requests();
    assert_eq!(
        requests,
        [Request {
            session: SESSION,
            sequence: 3,
            count: 2
        }]
    );
    heard.take(&mut receiver, &again(&requests[0]), 11_000);
    assert_eq!(heard.messages, [1, 2, 3, 4, 5, 6]);
    assert!(receiver.is_in_step());
}

#[test]
fn a_heartbeat_tells_of_a_hole_at_the_end() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    heard.take(&mut receiver, &packet(1, 3), 0);
    heard.take(&mut receiver, &heartbeat(5), 0);
    assert!(!receiver.is_in_step());
    heard.tick(&mut receiver, 10_000);
    let requests = heard.requests();
    assert_eq!((requests[0].sequence, requests[0].count), (3, 2));
}

#[test]
fn what_nobody_sends_again_is_lost_said_and_counted() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    heard.take(&mut receiver, &packet(1, 3), 0);
    heard.take(&mut receiver, &packet(6, 7), 0);
    for tick in 1..=6 {
        heard.tick(&mut receiver, tick * 10_000);
    }
    assert_eq!(heard.requests().len(), 5);
    assert!(heard.effects.contains(&Effect::Lost { first: 3, last: 5 }));
    assert_eq!(heard.messages, [1, 2, 6]);
    assert_eq!(receiver.counts().lost, 3);
}

#[test]
fn a_late_packet_of_an_ended_session_does_not_begin_it_again() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    heard.take(&mut receiver, &packet(1, 3), 0);
    let end = PacketBuilder::end_of_session(SESSION, 3);
    heard.take(&mut receiver, &end, 0);
    assert!(heard.effects.contains(&Effect::SessionEnded(SESSION)));
    heard.take(&mut receiver, &packet(1, 3), 1);
    assert_eq!(heard.messages, [1, 2]);
    assert_eq!(receiver.counts().old_session, 1);
}

#[test]
fn a_session_with_a_hole_does_not_end_before_it_is_filled() {
    let (mut receiver, mut heard) = (receiver(), Heard::default());
    heard.take(&mut receiver, &packet(1, 2), 0);
    heard.take(&mut receiver, &PacketBuilder::end_of_session(SESSION, 3), 0);
    assert!(!heard.effects.contains(&Effect::SessionEnded(SESSION)));
    heard.take(&mut receiver, &packet(2, 3), 1);
    assert!(heard.effects.contains(&Effect::SessionEnded(SESSION)));
}

#[test]
fn more_messages_than_may_wait_are_asked_for_in_their_turn() {
    let mut receiver = Receiver::new(ReceiverSettings {
        waiting_max: 3,
        ..ReceiverSettings::default()
    });
    let mut heard = Heard::default();
    heard.take(&mut receiver, &packet(2, 12), 0);
    for tick in 1..=5 {
        heard.tick(&mut receiver, tick * 10_000);
        for request in heard.requests() {
            heard.take(&mut receiver, &again(&request), tick * 10_000);
        }
    }
    assert_eq!(heard.messages, (1..12).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bad_lines_and_a_retransmission_server_give_every_message_once_and_in_order(
        seed in any::<u64>(),
        lost_ppm in 0_u32..500_000,
        doubled_ppm in 0_u32..200_000,
        jitter_us in 0_u64..5_000,
    ) {
        let damage = Damage { lost_ppm, doubled_ppm, jitter_us, ..Damage::default() };
        let mut lines = [seed, !seed].map(|it| Impairment::new(it, damage, 10_000).unwrap());
        let (mut receiver, mut heard) = (receiver(), Heard::default());
        let last = 300;
        for step in 0..1_000_u64 {
            let now_us = step * STEP_US;
            let first = step * 3 + 1;
            let sent = if first < last {
                packet(first, first + 3)
            } else {
                heartbeat(last + 1)
            };
            for line in &mut lines {
                line.offer(sent.clone(), Monotonic::from_us(now_us));
                while let Some(bytes) = line.due(Monotonic::from_us(now_us)) {
                    heard.take(&mut receiver, &bytes, now_us);
                }
            }
            heard.tick(&mut receiver, now_us);
            for request in heard.requests() {
                heard.take(&mut receiver, &again(&request), now_us);
            }
        }
        prop_assert_eq!(&heard.messages, &(1..=last).collect::<Vec<_>>());
        prop_assert_eq!(receiver.counts().lost, 0);
    }
}
