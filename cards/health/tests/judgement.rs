//! What a judge makes of a card, fault by fault.
#![allow(clippy::unwrap_used)]

use card_health::{
    Judge, Judgement, LatencyHistogram, Link, Mismatch, Reading, Reason, Settings, State,
    Statistics,
};
use proptest::prelude::*;

const STEP_MS: u64 = 200;

fn settings() -> Settings {
    Settings {
        approved_bitstreams: vec!["b1".to_owned()],
        ..Settings::default()
    }
}

/// A card that works, as it reads after `step` steps of 200 ms with 100 messages each.
fn well(step: u64) -> Reading {
    let mut latency = LatencyHistogram::default();
    latency.counts[3] = step * 100;
    Reading {
        is_present: true,
        driver: Some("tricenter_decoder".to_owned()),
        numa_node: Some(0),
        link: Some(Link {
            speed_mts: 8_000,
            width: 8,
        }),
        link_best: Some(Link {
            speed_mts: 8_000,
            width: 8,
        }),
        correctable_errors: Some(0),
        nonfatal_errors: Some(0),
        fatal_errors: Some(0),
        temperature_millidegrees: Some(61_000 + i64::from(step.is_multiple_of(2)) * 125),
        power_milliwatts: Some(41_000),
        voltage_millivolts: Some(12_020),
        manager_state: Some("operating".to_owned()),
        bitstream: Some("b1".to_owned()),
        statistics: Some(Statistics {
            packets: step * 10,
            messages: step * 100,
            last_sequence: step * 100,
            dma_queue_capacity: 4_096,
            dma_completed: step * 100,
            is_clock_locked: true,
            is_ptp_locked: true,
            ptp_offset_ns: -40,
            latency,
            ..Statistics::default()
        }),
        unreadable: Vec::new(),
    }
}

struct Watch {
    judge: Judge,
    step: u64,
}

impl Watch {
    fn new() -> Self {
        let mut watch = Self {
            judge: Judge::new(settings()),
            step: 0,
        };
        assert_eq!(watch.run(10, |_, _| ()).state, State::Healthy);
        watch
    }

    fn run(&mut self, steps: u64, change: impl Fn(u64, &mut Reading)) -> Judgement {
        for done in 0..steps {
            self.step += 1;
            let mut reading = well(self.step);
            change(done, &mut reading);
            self.judge.judge(self.step * STEP_MS, &reading, None);
        }
        self.judge.judgement().unwrap().clone()
    }
}

fn statistics(reading: &mut Reading) -> &mut Statistics {
    reading.statistics.as_mut().unwrap()
}

#[test]
fn each_fault_has_its_state_and_its_reason_at_once() {
    type Change = fn(&mut Reading);
    let cases: [(Change, State, Reason); 17] = [
        (
            |it| *it = Reading::default(),
            State::Offline,
            Reason::CardMissing,
        ),
        (|it| it.driver = None, State::Offline, Reason::DriverMissing),
        (
            |it| it.driver = Some("vfio-pci".into()),
            State::Offline,
            Reason::DriverMissing,
        ),
        (
            |it| it.temperature_millidegrees = Some(86_000),
            State::Degraded,
            Reason::TooHot,
        ),
        (
            |it| it.temperature_millidegrees = Some(96_000),
            State::Failing,
            Reason::TooHot,
        ),
        (
            |it| it.voltage_millivolts = Some(10_900),
            State::Failing,
            Reason::VoltageOut,
        ),
        (
            |it| it.manager_state = Some("write error".into()),
            State::Failing,
            Reason::NotConfigured,
        ),
        (
            |it| it.bitstream = Some("b0".into()),
            State::Failing,
            Reason::BitstreamNotApproved,
        ),
        (
            |it| {
                it.link = Some(Link {
                    speed_mts: 2_500,
                    width: 4,
                })
            },
            State::Degraded,
            Reason::LinkReduced,
        ),
        (
            |it| it.fatal_errors = Some(1),
            State::Failing,
            Reason::PcieUncorrected,
        ),
        (
            |it| it.correctable_errors = Some(12),
            State::Degraded,
            Reason::PcieCorrectable,
        ),
        (
            |it| statistics(it).is_clock_locked = false,
            State::Failing,
            Reason::ClockUnlocked,
        ),
        (
            |it| statistics(it).is_ptp_locked = false,
            State::Degraded,
            Reason::PtpUnlocked,
        ),
        (
            |it| statistics(it).ecc_uncorrected = 1,
            State::Failing,
            Reason::EccUncorrected,
        ),
        (
            |it| statistics(it).ecc_corrected = 6,
            State::Degraded,
            Reason::EccCorrected,
        ),
        (
            |it| statistics(it).drops = 1,
            State::Degraded,
            Reason::Dropping,
        ),
        (
            |it| it.temperature_millidegrees = None,
            State::Degraded,
            Reason::NoData,
        ),
    ];
    for (change, state, reason) in cases {
        let judgement = Watch::new().run(1, |_, reading| change(reading));
        assert_eq!(
            (judgement.state, judgement.reason),
            (state, reason),
            "{judgement:?}"
        );
        assert_eq!(judgement.since_ms, 11 * STEP_MS);
    }
}

#[test]
fn a_card_that_was_never_read_is_not_judged_and_one_that_hangs_is_not_relied_on() {
    let mut judge = Judge::new(settings());
    assert!(judge.no_reading(0).is_none());
    let blind = judge.no_reading(1_000).unwrap();
    assert_eq!(
        (blind.state, blind.reason),
        (State::Failing, Reason::NoData)
    );

    let mut watch = Watch::new();
    let last_ms = watch.step * STEP_MS;
    assert_eq!(
        watch.judge.no_reading(last_ms + 999).unwrap().state,
        State::Healthy
    );
    assert_eq!(
        watch.judge.no_reading(last_ms + 1_000).unwrap().state,
        State::Failing
    );
}

#[test]
fn a_mismatch_takes_the_card_out_at_once_and_for_a_while() {
    let mut watch = Watch::new();
    watch.step += 1;
    let mismatch = Mismatch {
        sequence: 7,
        text: "another price".to_owned(),
    };
    let at_ms = watch.step * STEP_MS;
    let found = watch.judge.judge(at_ms, &well(watch.step), Some(&mismatch));
    assert_eq!(
        (found.state, found.reason),
        (State::Failing, Reason::DecodeMismatch)
    );
    assert!(found.text.contains("message 7"), "{}", found.text);
    let held = watch.run(settings().hold_ms / STEP_MS, |_, _| ());
    assert_eq!(held.state, State::Failing);
    let back = watch.run(settings().recover_ms / STEP_MS + 2, |_, _| ());
    assert_eq!(back.state, State::Healthy);
}

#[test]
fn a_stalled_ring_is_found_by_its_progress() {
    let mut watch = Watch::new();
    let stuck = |_: u64, reading: &mut Reading| {
        statistics(reading).dma_completed = 1_000;
        statistics(reading).dma_queue_depth = 9;
    };
    assert_eq!(watch.run(2, stuck).state, State::Healthy);
    let judgement = watch.run(2, stuck);
    assert_eq!(
        (judgement.state, judgement.reason),
        (State::Failing, Reason::DmaStalled)
    );
}

#[test]
fn a_silent_feed_is_no_stall() {
    let mut watch = Watch::new();
    let quiet = |_: u64, reading: &mut Reading| {
        statistics(reading).dma_completed = 1_000;
        statistics(reading).packets = 100;
    };
    assert_eq!(watch.run(100, quiet).state, State::Healthy);
}

#[test]
fn a_rising_temperature_warns_before_its_limit() {
    let mut watch = Watch::new();
    // 300 m°C a second from 61 °C: the first limit is 80 s away, the failing one 113 s.
    let heats = |done: u64, reading: &mut Reading| {
        reading.temperature_millidegrees = Some(61_000 + 60 * i64::try_from(done).unwrap());
    };
    let judgement = watch.run(30_000 / STEP_MS, heats);
    assert_eq!(
        (judgement.state, judgement.reason),
        (State::Degraded, Reason::TemperatureRising)
    );
    assert!(
        judgement.text.contains("is reached in"),
        "{}",
        judgement.text
    );
}

#[test]
fn memory_errors_that_double_warn_before_their_limit() {
    let mut watch = Watch::new();
    // At most four a minute: below the limit all the time.
    let judgement = watch.run(660_000 / STEP_MS, |done, reading| {
        let minutes = done * STEP_MS / 60_000;
        statistics(reading).ecc_corrected = minutes * minutes / 10;
    });
    assert_eq!(
        (judgement.state, judgement.reason),
        (State::Degraded, Reason::EccRising)
    );
}

#[test]
fn a_sensor_that_never_moves_is_stuck() {
    let mut watch = Watch::new();
    let judgement = watch.run(601_000 / STEP_MS + 60, |_, reading| {
        reading.temperature_millidegrees = Some(60_000);
    });
    assert_eq!(
        (judgement.state, judgement.reason),
        (State::Degraded, Reason::SensorStuck)
    );
}

#[test]
fn slow_decoding_is_found_from_recent_messages_alone() {
    let mut watch = Watch::new();
    let judgement = watch.run(5, |done, reading| {
        statistics(reading).latency.counts[8] = (done + 1) * 50
    });
    assert_eq!(
        (judgement.state, judgement.reason),
        (State::Degraded, Reason::Slow)
    );
    let kept = watch.run(30_000 / STEP_MS, |_, reading| {
        statistics(reading).latency.counts[8] = 250
    });
    assert_eq!(kept.state, State::Healthy, "{kept:?}");
}

#[test]
fn a_better_state_has_to_last_before_it_is_believed() {
    let mut watch = Watch::new();
    let missing = |_: u64, reading: &mut Reading| *reading = Reading::default();
    watch.run(1, missing);
    let soon = watch.run(settings().recover_ms / STEP_MS, |_, _| ());
    assert_eq!((soon.state, soon.since_ms), (State::Offline, 11 * STEP_MS));
    assert!(
        soon.findings.is_empty(),
        "what is wrong now is told all the same"
    );
    // A relapse within that time starts it anew.
    watch.run(1, missing);
    let again = watch.run(settings().recover_ms / STEP_MS, |_, _| ());
    assert_eq!(
        (again.state, again.since_ms),
        (State::Offline, 11 * STEP_MS)
    );
    assert_eq!(watch.run(2, |_, _| ()).state, State::Healthy);
}

proptest! {
    /// Whatever comes, the state is never better than what was found, and time of a state only moves
    /// with it.
    #[test]
    fn the_state_is_never_better_than_its_findings(temperatures in prop::collection::vec(prop::option::of(50_000_i64..110_000), 1..200)) {
        let mut judge = Judge::new(settings());
        let mut before: Option<Judgement> = None;
        for (temperature, step) in temperatures.into_iter().zip(1..) {
            let mut reading = well(step);
            reading.temperature_millidegrees = temperature;
            let now = judge.judge(step * STEP_MS, &reading, None).clone();
            let worst = now.findings.iter().map(|it| it.state).max().unwrap_or(State::Healthy);
            prop_assert!(now.state >= worst);
            if let Some(before) = before {
                prop_assert_eq!(now.state == before.state, now.since_ms == before.since_ms);
            }
            before = Some(now);
        }
    }
}
