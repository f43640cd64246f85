//! Which of the two decoders is listened to. Pure: events and times in, messages and changes out.
//!
//! ```text
//!            verdict, silence, difference, hole          soaked: messages and time
//!   OnCard ───────────────────────────────► OnSoftware ◄─── relapse ─── Soaking ──► OnCard
//!                                               └──── verdict usable ────►┘
//! ```

use std::collections::VecDeque;

/// How a takeover works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The card is this far behind the software decoder: it has stopped. In milliseconds.
    pub silence_ms: u64,
    /// A card that comes back is compared for at least this long, in milliseconds.
    pub soak_ms: u64,
    /// And over at least so many messages.
    pub soak_messages: u64,
    /// Each relapse doubles the soak, at most so many times.
    pub doublings_max: u32,
    /// Messages kept of each decoder until the other has them too. Beyond it the card is left.
    pub kept_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            silence_ms: 100,
            soak_ms: 30_000,
            soak_messages: 10_000,
            doublings_max: 6,
            kept_max: 65_536,
        }
    }
}

/// A setting that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to take the settings: {field} = {value} is not accepted; use {min} to {max}")]
pub struct SettingsError {
    field: &'static str,
    value: u64,
    min: u64,
    max: u64,
}

impl Settings {
    /// Checks what types alone cannot.
    ///
    /// # Errors
    /// The first setting that is not accepted.
    pub fn check(&self) -> Result<(), SettingsError> {
        let kept_max = self.kept_max as u64;
        for (field, value, min, max) in [
            // Software has to have taken over within a second.
            ("silence_ms", self.silence_ms, 10, 900),
            ("soak_ms", self.soak_ms, 0, 86_400_000),
            ("soak_messages", self.soak_messages, 1, 1_000_000_000),
            ("doublings_max", u64::from(self.doublings_max), 0, 16),
            ("kept_max", kept_max, 16, 16_777_216),
        ] {
            if !(min..=max).contains(&value) {
                return Err(SettingsError {
                    field,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

/// Whose messages are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The card's.
    OnCard,
    /// The software decoder's.
    OnSoftware,
    /// The software decoder's, while the card's are compared with them.
    Soaking,
}

/// Why the card was left, or its soak begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The agent says that it may not be used.
    Verdict,
    /// It stopped while the feed goes on.
    Silence,
    /// A message differs from the software decoder's.
    Difference,
    /// It left a message out.
    Hole,
    /// It cannot be heard any more.
    Closed,
    /// More messages wait than are kept.
    TooFarApart,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The card handed a message on.
    Card {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        message: &'a [u8],
    },
    /// The software decoder did.
    Software {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        message: &'a [u8],
    },
    /// The feed lost messages for good, up to this one: both decoders go on behind it.
    Lost {
        /// The last one lost.
        last: u64,
    },
    /// The agent says whether the card may be used.
    Verdict {
        /// Whether it may.
        is_usable: bool,
    },
    /// The card cannot be heard any more.
    Closed,
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hand this message on.
    Deliver {
        /// Its number: one more than the last one's, but for what the feed lost.
        sequence: u64,
        /// Its bytes.
        message: Vec<u8>,
    },
    /// The mode changed.
    Now {
        /// To this.
        mode: Mode,
        /// Why the card was left; none when it is better off than before.
        why: Option<Why>,
        /// The first message that comes from there.
        from: u64,
    },
    /// The message of this number was handed on as the card decoded it, and was wrong. Whoever built
    /// on it has to begin anew from there.
    Distrust {
        /// The first number that cannot be relied on.
        from: u64,
    },
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages handed on.
    pub delivered: u64,
    /// Those of them that the card decoded.
    pub by_card: u64,
    /// Messages of both decoders that were compared.
    pub compared: u64,
    /// Times the card was left.
    pub takeovers: u64,
}

/// Which decoder is listened to, and what each has that the other has not.
#[derive(Debug, Clone)]
pub struct Takeover {
    settings: Settings,
    mode: Mode,
    /// The last message of the software decoder.
    heard: u64,
    /// The number of the message to be handed on next.
    next: u64,
    /// The software decoder's messages that the card has not handed on yet, in order.
    software: VecDeque<(u64, Vec<u8>)>,
    /// The card's messages that the software decoder has not, in order.
    card: VecDeque<(u64, Vec<u8>)>,
    /// Since when the software decoder is ahead of the card.
    behind_since_ms: Option<u64>,
    soak_since_ms: u64,
    soaked: u64,
    relapses: u32,
    counts: Counts,
}

impl Takeover {
    /// Begins in software: a card earns its way in too.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            mode: Mode::OnSoftware,
            heard: 0,
            next: 1,
            software: VecDeque::new(),
            card: VecDeque::new(),
            behind_since_ms: None,
            soak_since_ms: 0,
            soaked: 0,
            relapses: 0,
            counts: Counts::default(),
        }
    }

    /// Whose messages are handed on.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes what happened in, at `at_ms` of a clock that never goes back.
    pub fn take(&mut self, at_ms: u64, event: Event<'_>, effects: &mut Vec<Effect>) {
        match event {
            Event::Card { sequence, message } => {
                self.card_message(at_ms, sequence, message, effects)
            }
            Event::Software { sequence, message } => {
                self.software_message(at_ms, sequence, message, effects)
            }
            Event::Lost { last } => self.lost(last),
            Event::Verdict { is_usable } => self.verdict(at_ms, is_usable, effects),
            Event::Closed => self.leave(Why::Closed, effects),
            Event::Tick => {}
        }
        self.watch(at_ms, effects);
    }

    fn deliver(&mut self, sequence: u64, message: Vec<u8>, effects: &mut Vec<Effect>) {
        self.next = sequence + 1;
        self.counts.delivered += 1;
        self.counts.by_card += u64::from(self.mode == Mode::OnCard);
        effects.push(Effect::Deliver { sequence, message });
    }

    fn card_message(
        &mut self,
        at_ms: u64,
        sequence: u64,
        message: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        if self.mode == Mode::OnSoftware {
            return;
        }
        let has_begun = self.mode == Mode::OnCard || self.soaked > 0;
        let expected = self.card.back().map(|(number, _)| number + 1);
        // Messages that wait to be handed on must have no hole, or it would be handed on with them.
        let waiting = expected.filter(|number| *number > self.next);
        let left_out = (has_begun
            && self
                .software
                .front()
                .is_some_and(|(number, _)| *number < sequence))
            || waiting.is_some_and(|number| number < sequence)
            || (self.mode == Mode::OnCard && self.next < sequence);
        if left_out {
            return self.leave(Why::Hole, effects);
        }
        // Before its first message in a soak a card has not heard all that was.
        while self
            .software
            .front()
            .is_some_and(|(number, _)| *number < sequence)
        {
            self.software.pop_front();
        }
        if self
            .software
            .front()
            .is_some_and(|(number, _)| *number == sequence)
        {
            self.counts.compared += 1;
            if self
                .software
                .front()
                .is_some_and(|(_, expected)| expected != message)
            {
                return self.leave(Why::Difference, effects);
            }
            self.software.pop_front();
            // What is left is waited for from now on.
            self.behind_since_ms = (!self.software.is_empty()).then_some(at_ms);
            self.soaked += 1;
        } else if sequence > self.heard && expected.is_none_or(|number| number <= sequence) {
            if self.card.len() >= self.settings.kept_max {
                return self.leave(Why::TooFarApart, effects);
            }
            self.card.push_back((sequence, message.to_vec()));
        }
        // A ring that shows an old message again changes nothing: it was handed on.
        if self.mode == Mode::OnCard && sequence == self.next {
            self.deliver(sequence, message.to_vec(), effects);
        }
        self.end_of_soak(at_ms, effects);
    }

    fn software_message(
        &mut self,
        at_ms: u64,
        sequence: u64,
        message: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        self.heard = sequence;
        while self
            .card
            .front()
            .is_some_and(|(number, _)| *number < sequence)
        {
            self.card.pop_front();
        }
        let is_known = self
            .card
            .front()
            .is_some_and(|(number, _)| *number == sequence);
        if is_known && let Some((_, decoded)) = self.card.pop_front() {
            let was_handed_on = sequence < self.next;
            self.counts.compared += 1;
            if decoded != message {
                if was_handed_on {
                    effects.push(Effect::Distrust { from: sequence });
                }
                self.leave(Why::Difference, effects);
            } else if !was_handed_on || self.mode == Mode::OnCard {
                self.soaked += 1;
            }
        } else if self.mode != Mode::OnSoftware {
            self.software.push_back((sequence, message.to_vec()));
            self.behind_since_ms.get_or_insert(at_ms);
        }
        if self.mode != Mode::OnCard && sequence >= self.next {
            self.deliver(sequence, message.to_vec(), effects);
        }
        if self.software.len() > self.settings.kept_max {
            self.leave(Why::TooFarApart, effects);
        }
        self.end_of_soak(at_ms, effects);
    }

    fn lost(&mut self, last: u64) {
        // On the card, what it has of them may still come; in software it never will.
        if self.mode != Mode::OnCard {
            self.next = self.next.max(last + 1);
        }
    }

    fn verdict(&mut self, at_ms: u64, is_usable: bool, effects: &mut Vec<Effect>) {
        if !is_usable {
            self.leave(Why::Verdict, effects);
        } else if self.mode == Mode::OnSoftware {
            (self.soak_since_ms, self.soaked) = (at_ms, 0);
            self.mode = Mode::Soaking;
            effects.push(Effect::Now {
                mode: self.mode,
                why: None,
                from: self.next,
            });
        }
    }

    /// Goes on in software, from the first message that was not handed on: it is kept here.
    fn leave(&mut self, why: Why, effects: &mut Vec<Effect>) {
        if self.mode == Mode::OnSoftware {
            return;
        }
        let was_on_card = self.mode == Mode::OnCard;
        self.relapses = (self.relapses + 1).min(self.settings.doublings_max);
        // What it handed on and nobody has compared yet is compared when its turn comes.
        let next = self.next;
        self.card.retain(|(sequence, _)| *sequence < next);
        self.behind_since_ms = None;
        let kept = std::mem::take(&mut self.software);
        // Only the agent's word lets a card that was found wrong soak again.
        self.mode = Mode::OnSoftware;
        if was_on_card {
            self.counts.takeovers += 1;
        }
        effects.push(Effect::Now {
            mode: self.mode,
            why: Some(why),
            from: self.next,
        });
        for (sequence, message) in kept {
            if sequence >= self.next {
                self.deliver(sequence, message, effects);
            }
        }
    }

    fn end_of_soak(&mut self, at_ms: u64, effects: &mut Vec<Effect>) {
        if self.mode != Mode::Soaking {
            return;
        }
        let doublings = self.relapses.saturating_sub(1);
        let soak_ms = self.settings.soak_ms << doublings;
        let is_long = at_ms - self.soak_since_ms >= soak_ms
            && self.soaked >= self.settings.soak_messages << doublings;
        if !is_long {
            return;
        }
        let ahead: Vec<_> = (self.card.iter())
            .filter(|(number, _)| *number >= self.next)
            .cloned()
            .collect();
        let follows = ahead.first().is_none_or(|(number, _)| *number == self.next);
        if follows {
            self.mode = Mode::OnCard;
            effects.push(Effect::Now {
                mode: self.mode,
                why: None,
                from: self.next,
            });
            // Where the card is ahead, what it has is handed on now, and compared when its turn comes.
            for (sequence, message) in ahead {
                self.deliver(sequence, message, effects);
            }
        }
    }

    fn watch(&mut self, at_ms: u64, effects: &mut Vec<Effect>) {
        if self.software.is_empty() {
            self.behind_since_ms = None;
        }
        if let Some(since_ms) = self.behind_since_ms
            && at_ms - since_ms >= self.settings.silence_ms
        {
            self.leave(Why::Silence, effects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings() -> Settings {
        Settings {
            soak_ms: 0,
            soak_messages: 3,
            ..Settings::default()
        }
    }

    struct Run {
        takeover: Takeover,
        effects: Vec<Effect>,
        now_ms: u64,
    }

    impl Run {
        fn new() -> Self {
            Self {
                takeover: Takeover::new(settings()),
                effects: Vec::new(),
                now_ms: 0,
            }
        }

        fn take(&mut self, event: Event<'_>) {
            self.takeover.take(self.now_ms, event, &mut self.effects);
        }

        fn software(&mut self, sequence: u64) {
            self.take(Event::Software {
                sequence,
                message: &sequence.to_be_bytes(),
            });
        }

        fn card(&mut self, sequence: u64) {
            self.take(Event::Card {
                sequence,
                message: &sequence.to_be_bytes(),
            });
        }

        /// Soaked in over messages 1 to 3, by the agent's leave.
        fn on_card() -> Self {
            let mut run = Self::new();
            run.take(Event::Verdict { is_usable: true });
            for sequence in 1..=3 {
                run.software(sequence);
                run.card(sequence);
            }
            assert_eq!(run.takeover.mode(), Mode::OnCard);
            run
        }

        fn delivered(&self) -> Vec<u64> {
            let numbers = self.effects.iter().filter_map(|effect| match effect {
                Effect::Deliver { sequence, .. } => Some(*sequence),
                _ => None,
            });
            numbers.collect()
        }

        fn why(&self) -> Option<Why> {
            self.effects.iter().rev().find_map(|effect| match effect {
                Effect::Now { why, .. } => *why,
                _ => None,
            })
        }
    }

    #[test]
    fn a_card_that_stops_is_left_within_its_time_and_nothing_is_missing() {
        let mut run = Run::on_card();
        for sequence in 4..=6 {
            run.software(sequence);
        }
        run.now_ms = settings().silence_ms - 1;
        run.take(Event::Tick);
        assert_eq!(run.delivered(), [1, 2, 3]);
        run.now_ms += 1;
        run.take(Event::Tick);
        assert_eq!(run.delivered(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(
            (run.takeover.mode(), run.why()),
            (Mode::OnSoftware, Some(Why::Silence))
        );
    }

    #[test]
    fn an_agent_s_word_is_enough_and_late_messages_of_the_card_are_not_handed_on_twice() {
        let mut run = Run::on_card();
        run.card(4);
        run.software(4);
        run.software(5);
        run.take(Event::Verdict { is_usable: false });
        run.card(5);
        run.software(6);
        assert_eq!(run.delivered(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_silent_feed_is_no_reason() {
        let mut run = Run::on_card();
        run.now_ms = 1_000_000;
        run.take(Event::Tick);
        assert_eq!(run.takeover.mode(), Mode::OnCard);
    }

    #[test]
    fn a_wrong_message_is_not_handed_on_where_software_was_faster() {
        let mut run = Run::on_card();
        run.software(4);
        run.take(Event::Card {
            sequence: 4,
            message: b"wrong",
        });
        let right = Effect::Deliver {
            sequence: 4,
            message: 4_u64.to_be_bytes().to_vec(),
        };
        assert_eq!(run.effects.last(), Some(&right));
        assert_eq!(run.why(), Some(Why::Difference));
    }

    #[test]
    fn a_wrong_message_that_was_handed_on_is_told() {
        let mut run = Run::on_card();
        run.take(Event::Card {
            sequence: 4,
            message: b"wrong",
        });
        run.software(4);
        assert!(run.effects.contains(&Effect::Distrust { from: 4 }));
        assert_eq!(run.takeover.mode(), Mode::OnSoftware);
    }

    /// Found by `every_message_comes_once_and_in_order`: the card's messages were forgotten with it.
    #[test]
    fn what_a_card_handed_on_is_compared_even_after_it_was_left() {
        let mut run = Run::on_card();
        run.take(Event::Card {
            sequence: 4,
            message: b"wrong",
        });
        run.take(Event::Verdict { is_usable: false });
        run.software(4);
        assert_eq!(run.effects.last(), Some(&Effect::Distrust { from: 4 }));
        assert_eq!(run.delivered(), [1, 2, 3, 4]);
    }

    /// Found by the same: what a soaking card had decoded ahead was handed on with its hole.
    #[test]
    fn a_hole_in_what_a_card_has_ahead_ends_its_soak() {
        let mut run = Run::new();
        run.take(Event::Verdict { is_usable: true });
        [1, 2, 3, 5]
            .into_iter()
            .for_each(|sequence| run.card(sequence));
        (1..=5).for_each(|sequence| run.software(sequence));
        assert_eq!(
            (run.delivered(), run.why()),
            (vec![1, 2, 3, 4, 5], Some(Why::Hole))
        );
    }

    #[test]
    fn a_hole_is_filled_from_software() {
        let mut run = Run::on_card();
        run.software(4);
        run.software(5);
        run.card(5);
        assert_eq!(
            (run.delivered(), run.why()),
            (vec![1, 2, 3, 4, 5], Some(Why::Hole))
        );
    }

    #[test]
    fn a_card_that_comes_back_soaks_longer_each_time() {
        let mut run = Run::on_card();
        let mut next = 4;
        for messages in [3, 6, 12] {
            run.take(Event::Verdict { is_usable: false });
            run.take(Event::Verdict { is_usable: true });
            for done in 0..messages {
                assert_eq!(
                    run.takeover.mode(),
                    Mode::Soaking,
                    "after {done} of {messages}"
                );
                run.software(next);
                run.card(next);
                next += 1;
            }
            assert_eq!(run.takeover.mode(), Mode::OnCard);
        }
    }

    #[test]
    fn a_bad_setting_is_named() {
        let settings = Settings {
            silence_ms: 5_000,
            ..settings()
        };
        let error = settings.check().unwrap_err().to_string();
        assert!(
            error.contains("silence_ms = 5000 is not accepted; use 10 to 900"),
            "{error}"
        );
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Software,
        Card,
        /// The card writes the next message wrongly.
        Wrong,
        /// The card leaves the next message out.
        Skip,
        /// The card shows the last message again.
        Again,
        Usable(bool),
        Wait,
    }

    proptest! {
        /// Whatever the card and the agent do, every message is handed on once and in order, and
        /// rightly, or told to be wrong.
        #[test]
        fn every_message_comes_once_and_in_order(steps in prop::collection::vec(prop_oneof![
            6 => Just(Step::Software), 6 => Just(Step::Card), 1 => Just(Step::Wrong),
            1 => Just(Step::Skip), 1 => Just(Step::Again), 1 => Just(Step::Wait),
            2 => any::<bool>().prop_map(Step::Usable),
        ], 0..400)) {
            let mut run = Run::new();
            let (mut software, mut card) = (0_u64, 0_u64);
            for step in steps {
                match step {
                    Step::Software => { software += 1; run.software(software); }
                    Step::Card => { card += 1; run.card(card); }
                    Step::Wrong => { card += 1; run.take(Event::Card { sequence: card, message: b"wrong" }); }
                    Step::Skip => card += 1,
                    Step::Again => run.card(card.max(1)),
                    Step::Usable(is_usable) => run.take(Event::Verdict { is_usable }),
                    Step::Wait => { run.now_ms += 60; run.take(Event::Tick); }
                }
            }
            // The software decoder comes to the end of all that was handed on.
            let furthest = run.delivered().last().copied().unwrap_or(0).max(software);
            while software < furthest { software += 1; run.software(software); }
            run.take(Event::Verdict { is_usable: false });
            let all: Vec<u64> = (1..=software).collect();
            prop_assert_eq!(run.delivered(), all);
            let mut wrong = Vec::new();
            for effect in &run.effects {
                match effect {
                    Effect::Deliver { sequence, message } if message == b"wrong" => wrong.push(*sequence),
                    Effect::Distrust { from } => wrong.retain(|number| number < from),
                    _ => {}
                }
            }
            prop_assert_eq!(wrong, Vec::<u64>::new());
        }
    }
}
