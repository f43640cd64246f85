//! One experiment, as a state machine: events in, effects out.
//!
//! ```text
//!  Pending ─► Baseline ─► Injecting ─► Observing ─► Recovering ─► Verifying ─► Passed │ Failed
//!                │            │            │             │            │        Inconclusive
//!                └────────────┴────────────┴─────────────┴────────────┴──────► Aborted
//! ```
//!
//! # Guarantees
//! - There is one verdict, and only with every applied fault recovered, or said not to be.
//! - A probe without a reading is never a pass, and neither is a fault that nobody saw act.
//! - What failed is never hidden by what is not known: `Failed` outweighs `Inconclusive`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::probe::NamedProbe;
use crate::scenario::Scenario;

/// When a probe must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// Before anything is done.
    Before,
    /// At the end of the faults, just before the last is taken back.
    During,
    /// At every look from the injection to the end of the recovery.
    Continuous,
    /// Within the time for recovery.
    After,
}

/// Where an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Nothing has begun.
    Pending,
    /// Load flows and the system must be well.
    Baseline,
    /// Faults are being applied.
    Injecting,
    /// All are applied.
    Observing,
    /// They are being taken back.
    Recovering,
    /// All are gone; the system must be well again.
    Verifying,
    /// It is over.
    Done(Verdict),
}

/// How an experiment came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The faults acted, are gone, and the hypothesis held.
    Passed,
    /// The hypothesis did not hold, or a fault was left behind.
    Failed,
    /// Not enough is known to judge by.
    Inconclusive,
    /// Somebody, or a condition, ended it early.
    Aborted,
}

/// What one look of a probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// It holds; what was seen.
    Holds(String),
    /// It does not; what was seen.
    Broken(String),
    /// Nothing could be seen; why.
    NoData(String),
}

/// Whether a fault was seen to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Acted {
    /// Yes; what was measured.
    Seen(String),
    /// No; what was looked for.
    NotSeen(String),
}

/// Whether a fault is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// It is; how that was seen.
    Gone(String),
    /// It is not, or nobody can tell; why.
    Unproven(String),
}

/// What happened to one fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRecord {
    /// Its name.
    pub name: String,
    /// Whether it was ordered.
    pub was_ordered: bool,
    /// Whether it was applied, or is being.
    pub was_applied: bool,
    /// What it was seen to do.
    pub acted: Option<Acted>,
    /// Whether it is being taken back.
    pub is_recovering: bool,
    /// Whether it is gone.
    pub proof: Option<Proof>,
}

/// What a probe said over an experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeRecord {
    /// Looks that said something.
    pub looks: u64,
    /// The last look.
    pub last: Option<Reading>,
    /// The first look that did not hold.
    pub first_broken: Option<String>,
}

/// What an experiment is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Begin.
    Begin,
    /// The baseline is over; what the probes of [`When::Before`] said, by their index.
    Baseline(Vec<(usize, Reading)>),
    /// So much time has gone since the injection began, in milliseconds.
    Clock {
        /// Milliseconds.
        at_ms: u64,
    },
    /// A fault is applied.
    Applied(usize),
    /// A fault could not be applied; why. What of it was applied must still be taken back.
    NotApplied(usize, String),
    /// What a fault was seen to do.
    Observed(usize, Acted),
    /// A fault was taken back.
    Recovered(usize, Proof),
    /// Probes were read, by their index.
    Read(When, Vec<(usize, Reading)>),
    /// An abort condition is met, or somebody pressed the button; which or who.
    Stop(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start the load and read the probes of [`When::Before`].
    ReadBaseline,
    /// Apply this fault.
    Apply(usize),
    /// See whether it acts.
    Observe(usize),
    /// Take it back and prove that it is gone.
    Recover(usize),
    /// Read these probes now; those of [`When::After`] are waited for.
    Read(When),
    /// It is over: stop the load and write down what is known.
    Conclude(Verdict),
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Where it stands.
    pub phase: Phase,
    /// The faults.
    pub faults: Vec<FaultRecord>,
    /// All probes.
    pub probes: Vec<NamedProbe>,
    /// What they said.
    pub readings: BTreeMap<usize, ProbeRecord>,
    /// Who or what ended it early.
    pub stopped_by: Option<String>,
    /// What did not hold.
    pub failures: Vec<String>,
    /// What is not known and should be.
    pub doubts: Vec<String>,
    // Bookkeeping of a run that goes on; nothing that evidence is made of.
    #[serde(skip)]
    schedule: Vec<(u64, u64)>,
    #[serde(skip)]
    last_end_ms: u64,
    #[serde(skip)]
    was_read_during: bool,
}

impl Experiment {
    /// An experiment of a scenario, of which nothing has begun.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let schedule: Vec<(u64, u64)> = scenario
            .faults
            .iter()
            .map(|fault| (fault.start_after_ms, fault.end_ms()))
            .collect();
        Self {
            phase: Phase::Pending,
            faults: scenario
                .faults
                .iter()
                .map(|fault| FaultRecord {
                    name: fault.name.clone(),
                    ..FaultRecord::default()
                })
                .collect(),
            probes: scenario.all_probes(),
            readings: BTreeMap::new(),
            stopped_by: None,
            failures: Vec::new(),
            doubts: Vec::new(),
            last_end_ms: schedule.iter().map(|(_, end)| *end).max().unwrap_or(0),
            schedule,
            was_read_during: false,
        }
    }

    /// The probes of a time, by their index.
    pub fn probes_of(&self, when: When) -> impl Iterator<Item = (usize, &NamedProbe)> {
        self.probes
            .iter()
            .enumerate()
            .filter(move |(_, probe)| probe.when == when)
    }

    /// Whether it is over.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        match self.phase {
            Phase::Done(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// Takes in an event and says what is to be done.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        if self.verdict().is_some() {
            return Vec::new();
        }
        match event {
            Event::Begin => self.begin(),
            Event::Baseline(readings) => self.baseline(readings),
            Event::Clock { at_ms } => self.clock(at_ms),
            Event::Applied(fault) => {
                self.faults[fault].was_applied = true;
                vec![Effect::Observe(fault)]
            }
            Event::NotApplied(fault, reason) => {
                // Part of it may have been applied.
                self.faults[fault].was_applied = true;
                let name = &self.faults[fault].name;
                self.doubts
                    .push(format!("fault {name:?} could not be applied: {reason}"));
                self.faults[fault].acted = Some(Acted::NotSeen(reason));
                self.recover_all()
            }
            Event::Observed(fault, acted) => {
                self.faults[fault].acted = Some(acted);
                let all_seen = self.faults.iter().all(|fault| fault.acted.is_some());
                if self.phase == Phase::Injecting && all_seen {
                    self.phase = Phase::Observing;
                }
                Vec::new()
            }
            Event::Recovered(fault, proof) => self.recovered(fault, proof),
            Event::Read(when, readings) => self.read(when, readings),
            Event::Stop(reason) => self.stop(reason),
        }
    }

    fn begin(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Pending {
            return Vec::new();
        }
        self.phase = Phase::Baseline;
        vec![Effect::ReadBaseline]
    }

    fn baseline(&mut self, readings: Vec<(usize, Reading)>) -> Vec<Effect> {
        if self.phase != Phase::Baseline {
            return Vec::new();
        }
        self.note(readings);
        let unhealthy: Vec<String> = self
            .probes_of(When::Before)
            .filter_map(|(index, probe)| match self.last(index) {
                Some(Reading::Holds(_)) => None,
                Some(Reading::Broken(seen) | Reading::NoData(seen)) => {
                    Some(format!("{}: {seen}", probe.name))
                }
                None => Some(format!("{}: never read", probe.name)),
            })
            .collect();
        if unhealthy.is_empty() {
            self.phase = Phase::Injecting;
            return self.clock(0);
        }
        self.doubts.push(format!(
            "the baseline is unhealthy: {}",
            unhealthy.join("; ")
        ));
        self.conclude()
    }

    fn clock(&mut self, at_ms: u64) -> Vec<Effect> {
        if !matches!(
            self.phase,
            Phase::Injecting | Phase::Observing | Phase::Recovering
        ) || self.stopped_by.is_some()
        {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for (index, (start_ms, _)) in self.schedule.iter().enumerate() {
            let fault = &mut self.faults[index];
            if at_ms >= *start_ms && !fault.was_ordered && !fault.is_recovering {
                fault.was_ordered = true;
                effects.push(Effect::Apply(index));
            }
        }
        if at_ms >= self.last_end_ms && !self.was_read_during {
            self.was_read_during = true;
            effects.push(Effect::Read(When::During));
        }
        for (index, (_, end_ms)) in self.schedule.iter().enumerate() {
            let fault = &mut self.faults[index];
            // One that is still being applied is taken back at the next tick.
            if at_ms >= *end_ms && fault.acted.is_some() && !fault.is_recovering {
                fault.is_recovering = true;
                effects.push(Effect::Recover(index));
            }
        }
        if self.faults.iter().all(|fault| fault.is_recovering) {
            self.phase = Phase::Recovering;
        }
        effects
    }

    fn recover_all(&mut self) -> Vec<Effect> {
        self.phase = Phase::Recovering;
        let mut effects = Vec::new();
        for (index, fault) in self.faults.iter_mut().enumerate() {
            if fault.is_recovering {
                continue;
            }
            fault.is_recovering = true;
            if fault.was_ordered {
                effects.push(Effect::Recover(index));
            } else {
                fault.proof = Some(Proof::Gone("it was never applied".to_owned()));
            }
        }
        if effects.is_empty() {
            effects.extend(self.verify_when_all_gone());
        }
        effects
    }

    fn recovered(&mut self, fault: usize, proof: Proof) -> Vec<Effect> {
        if let Proof::Unproven(reason) = &proof {
            let name = &self.faults[fault].name;
            self.failures
                .push(format!("fault {name:?} may be left behind: {reason}"));
        }
        self.faults[fault].proof = Some(proof);
        self.verify_when_all_gone()
    }

    fn verify_when_all_gone(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Recovering || self.faults.iter().any(|fault| fault.proof.is_none())
        {
            return Vec::new();
        }
        if self.stopped_by.is_some() {
            return self.conclude();
        }
        self.phase = Phase::Verifying;
        vec![Effect::Read(When::After)]
    }

    fn read(&mut self, when: When, readings: Vec<(usize, Reading)>) -> Vec<Effect> {
        self.note(readings);
        if when == When::After && self.phase == Phase::Verifying {
            return self.conclude();
        }
        Vec::new()
    }

    fn stop(&mut self, reason: String) -> Vec<Effect> {
        if self.stopped_by.is_some() {
            return Vec::new();
        }
        self.stopped_by = Some(reason);
        match self.phase {
            Phase::Pending | Phase::Baseline | Phase::Verifying => self.conclude(),
            _ => self.recover_all(),
        }
    }

    fn note(&mut self, readings: Vec<(usize, Reading)>) {
        for (index, reading) in readings {
            let record = self.readings.entry(index).or_default();
            match &reading {
                Reading::Holds(_) => record.looks += 1,
                Reading::Broken(seen) => {
                    record.looks += 1;
                    record.first_broken.get_or_insert_with(|| seen.clone());
                }
                Reading::NoData(_) => {}
            }
            record.last = Some(reading);
        }
    }

    fn last(&self, index: usize) -> Option<&Reading> {
        self.readings.get(&index)?.last.as_ref()
    }

    fn conclude(&mut self) -> Vec<Effect> {
        if self.stopped_by.is_none() && self.faults.iter().any(|fault| fault.was_ordered) {
            self.judge_faults();
            self.judge_probes();
        }
        let verdict = if self.stopped_by.is_some() {
            Verdict::Aborted
        } else if !self.failures.is_empty() {
            Verdict::Failed
        } else if !self.doubts.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Passed
        };
        self.phase = Phase::Done(verdict);
        vec![Effect::Conclude(verdict)]
    }

    fn judge_faults(&mut self) {
        for fault in &self.faults {
            match &fault.acted {
                Some(Acted::Seen(_)) => {}
                Some(Acted::NotSeen(looked)) => self.doubts.push(format!(
                    "fault {:?} was not seen to act: {looked}",
                    fault.name
                )),
                None => self
                    .doubts
                    .push(format!("fault {:?} was not observed at all", fault.name)),
            }
        }
    }

    fn judge_probes(&mut self) {
        for (index, probe) in self.probes.iter().enumerate() {
            let record = self.readings.get(&index).cloned().unwrap_or_default();
            let broken = match probe.when {
                // Every look counts.
                When::Continuous => record.first_broken.clone(),
                When::Before | When::During | When::After => match &record.last {
                    Some(Reading::Broken(seen)) => Some(seen.clone()),
                    _ => None,
                },
            };
            if let Some(seen) = broken {
                self.failures.push(format!("{}: {seen}", probe.name));
                continue;
            }
            match &record.last {
                None => self.doubts.push(format!("{}: never read", probe.name)),
                Some(Reading::NoData(why))
                    if record.looks == 0 || probe.when != When::Continuous =>
                {
                    self.doubts.push(format!("{}: no data: {why}", probe.name));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;
    use std::path::Path;

    const TWO_FAULTS: &str = "
id: NET-901
title: t
family: NET
component: link
scope: link
phase: continuous
mechanism: m
hypothesis: h
steadyState: [SS-ACK]
faults:
  - name: slow
    durationMs: 1000
    fault: {link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 5}}}}
  - name: late
    startAfterMs: 500
    durationMs: 1000
    fault: {power: {of: {pool: farFollower}}}
probes:
  - {name: latency, when: continuous, probe: {latency: {p99MsMax: 100}}}
expected: {behaviour: b, rtoMsMax: 1000, rpoOrdersMax: 0, leader: stays}
";

    fn experiment() -> Experiment {
        Experiment::new(&parse(Path::new("NET-901.yaml"), TWO_FAULTS).unwrap())
    }

    fn all(experiment: &Experiment, when: When, reading: &Reading) -> Vec<(usize, Reading)> {
        experiment
            .probes_of(when)
            .map(|(index, _)| (index, reading.clone()))
            .collect()
    }

    fn holds() -> Reading {
        Reading::Holds("seen".into())
    }

    fn seen() -> Acted {
        Acted::Seen("200 ms instead of 1 ms".into())
    }

    fn gone() -> Proof {
        Proof::Gone("not listed".into())
    }

    /// Brings an experiment to the point where both faults are applied.
    fn with_both_applied() -> Experiment {
        let mut it = experiment();
        assert_eq!(it.update(Event::Begin), [Effect::ReadBaseline]);
        let healthy = all(&it, When::Before, &holds());
        assert_eq!(it.update(Event::Baseline(healthy)), [Effect::Apply(0)]);
        assert_eq!(it.update(Event::Applied(0)), [Effect::Observe(0)]);
        assert_eq!(it.update(Event::Observed(0, seen())), []);
        assert_eq!(it.update(Event::Clock { at_ms: 500 }), [Effect::Apply(1)]);
        assert_eq!(it.update(Event::Applied(1)), [Effect::Observe(1)]);
        it
    }

    /// Ends it with these readings of the probes.
    fn finish(it: &mut Experiment, during: Vec<(usize, Reading)>, after: Vec<(usize, Reading)>) {
        let ended = it.update(Event::Clock { at_ms: 1_500 });
        assert!(ended.contains(&Effect::Read(When::During)), "{ended:?}");
        it.update(Event::Read(When::During, during));
        it.update(Event::Recovered(0, gone()));
        let effects = it.update(Event::Recovered(1, gone()));
        assert_eq!(effects, [Effect::Read(When::After)]);
        it.update(Event::Read(When::After, after));
    }

    #[test]
    fn a_fault_that_acts_and_goes_with_a_hypothesis_that_holds_passes() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, seen()));
        assert_eq!(it.phase, Phase::Observing);
        let continuous = all(&it, When::Continuous, &holds());
        it.update(Event::Read(When::Continuous, continuous));
        let (during, after) = (
            all(&it, When::During, &holds()),
            all(&it, When::After, &holds()),
        );
        finish(&mut it, during, after);
        assert_eq!(
            it.verdict(),
            Some(Verdict::Passed),
            "{:?}{:?}",
            it.failures,
            it.doubts
        );
    }

    #[test]
    fn a_probe_without_data_is_never_a_pass() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, seen()));
        // The continuous probe is never read.
        let (during, after) = (
            all(&it, When::During, &holds()),
            all(&it, When::After, &holds()),
        );
        finish(&mut it, during, after);
        assert_eq!(it.verdict(), Some(Verdict::Inconclusive));
        assert!(it.doubts[0].contains("latency"), "{:?}", it.doubts);
    }

    #[test]
    fn a_fault_that_nobody_saw_act_is_inconclusive() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, Acted::NotSeen("a dead process".into())));
        let continuous = all(&it, When::Continuous, &holds());
        it.update(Event::Read(When::Continuous, continuous));
        let (during, after) = (
            all(&it, When::During, &holds()),
            all(&it, When::After, &holds()),
        );
        finish(&mut it, during, after);
        assert_eq!(it.verdict(), Some(Verdict::Inconclusive));
        assert!(it.doubts[0].contains("\"late\""), "{:?}", it.doubts);
    }

    #[test]
    fn an_unhealthy_baseline_injects_nothing_and_is_inconclusive() {
        let mut it = experiment();
        it.update(Event::Begin);
        let sick = all(&it, When::Before, &Reading::Broken("no leader".into()));
        let effects = it.update(Event::Baseline(sick));
        assert_eq!(effects, [Effect::Conclude(Verdict::Inconclusive)]);
        assert!(it.faults.iter().all(|fault| !fault.was_ordered));
    }

    #[test]
    fn what_failed_is_not_hidden_by_what_is_not_known() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, Acted::NotSeen("x".into())));
        let during = all(&it, When::During, &holds());
        let after = all(&it, When::After, &Reading::Broken("2 orders lost".into()));
        finish(&mut it, during, after);
        assert_eq!(it.verdict(), Some(Verdict::Failed));
    }

    #[test]
    fn one_bad_look_of_a_continuous_probe_fails() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, seen()));
        let bad = all(&it, When::Continuous, &Reading::Broken("900 ms".into()));
        it.update(Event::Read(When::Continuous, bad));
        let good = all(&it, When::Continuous, &holds());
        it.update(Event::Read(When::Continuous, good));
        let (during, after) = (
            all(&it, When::During, &holds()),
            all(&it, When::After, &holds()),
        );
        finish(&mut it, during, after);
        assert_eq!(it.verdict(), Some(Verdict::Failed));
    }

    #[test]
    fn the_button_takes_back_what_was_applied_and_nothing_else() {
        let mut it = experiment();
        it.update(Event::Begin);
        let healthy = all(&it, When::Before, &holds());
        it.update(Event::Baseline(healthy));
        it.update(Event::Applied(0));
        assert_eq!(
            it.update(Event::Stop("button".into())),
            [Effect::Recover(0)]
        );
        assert_eq!(
            it.update(Event::Clock { at_ms: 600 }),
            [],
            "nothing is applied any more"
        );
        let effects = it.update(Event::Recovered(0, gone()));
        assert_eq!(effects, [Effect::Conclude(Verdict::Aborted)]);
    }

    #[test]
    fn a_fault_left_behind_fails_the_experiment() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, seen()));
        let continuous = all(&it, When::Continuous, &holds());
        it.update(Event::Read(When::Continuous, continuous));
        it.update(Event::Clock { at_ms: 1_500 });
        let during = all(&it, When::During, &holds());
        it.update(Event::Read(When::During, during));
        it.update(Event::Recovered(
            0,
            Proof::Unproven("the rule is still listed".into()),
        ));
        it.update(Event::Recovered(1, gone()));
        let after = all(&it, When::After, &holds());
        it.update(Event::Read(When::After, after));
        assert_eq!(it.verdict(), Some(Verdict::Failed));
    }

    #[test]
    fn a_fault_that_cannot_be_applied_ends_it_and_is_still_taken_back() {
        let mut it = experiment();
        it.update(Event::Begin);
        let healthy = all(&it, When::Before, &holds());
        it.update(Event::Baseline(healthy));
        let effects = it.update(Event::NotApplied(0, "refused".into()));
        assert_eq!(effects, [Effect::Recover(0)]);
        let effects = it.update(Event::Recovered(0, gone()));
        assert_eq!(effects, [Effect::Read(When::After)]);
        let after = all(&it, When::After, &holds());
        it.update(Event::Read(When::After, after));
        assert_eq!(it.verdict(), Some(Verdict::Inconclusive));
    }

    #[test]
    fn probes_of_the_fault_are_read_once_before_the_last_one_goes() {
        let mut it = with_both_applied();
        it.update(Event::Observed(1, seen()));
        let first_ends = it.update(Event::Clock { at_ms: 1_000 });
        assert_eq!(first_ends, [Effect::Recover(0)]);
        let last_ends = it.update(Event::Clock { at_ms: 1_500 });
        assert_eq!(last_ends, [Effect::Read(When::During), Effect::Recover(1)]);
        assert_eq!(it.update(Event::Clock { at_ms: 1_700 }), []);
    }

    #[test]
    fn nothing_is_done_after_the_verdict() {
        let mut it = experiment();
        it.update(Event::Stop("button".into()));
        assert_eq!(it.verdict(), Some(Verdict::Aborted));
        assert_eq!(it.update(Event::Begin), []);
    }
}
