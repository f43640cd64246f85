//! A simulated card and the agent as processes: each fault, seen from outside.

use std::io::{Read, Write};
use std::net::TcpStream;

use card_health::{Reason, State};
use card_simulated::Fault;

use crate::world::{World, until};

fn scrape(world: &World) -> Option<String> {
    let mut stream = TcpStream::connect(world.metrics).ok()?;
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_well_card_is_healthy_compared_and_measured() {
    let world = World::start();
    assert!(world.until(State::Healthy, Reason::AsItShouldBe).is_usable);
    let text = until("compared messages", || {
        let text = scrape(&world)?;
        let equal = text
            .lines()
            .find(|line| line.contains("result=\"equal\""))?;
        (!equal.ends_with(" 0")).then_some(text)
    });
    let card = "{address=\"0000:81:00.0\",node=\"n1\"";
    for line in [
        format!("tricenter_card_present{card}}} 1"),
        format!("tricenter_card_state{card},state=\"Healthy\"}} 1"),
        format!("tricenter_card_link_width{card}}} 8"),
        format!("tricenter_card_cross_checks_total{card},result=\"different\"}} 0"),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(
        text.contains("tricenter_card_decode_seconds_bucket"),
        "{text}"
    );
}

#[test]
fn each_fault_is_found_and_what_heals_is_found_healthy_again() {
    let heals = [
        (Fault::OverTemperature, State::Failing, Reason::TooHot),
        (Fault::SensorStuck, State::Degraded, Reason::SensorStuck),
        (Fault::Missing, State::Offline, Reason::CardMissing),
        (Fault::DriverUnbound, State::Offline, Reason::DriverMissing),
        (Fault::ClockUnlocked, State::Failing, Reason::ClockUnlocked),
        (Fault::PtpUnlocked, State::Degraded, Reason::PtpUnlocked),
        (
            Fault::EccUncorrected,
            State::Failing,
            Reason::EccUncorrected,
        ),
        (Fault::PcieFatal, State::Failing, Reason::PcieUncorrected),
        (
            Fault::BitstreamMismatch,
            State::Failing,
            Reason::BitstreamNotApproved,
        ),
        (
            Fault::DecodeMismatch,
            State::Failing,
            Reason::DecodeMismatch,
        ),
    ];
    let world = World::start();
    for (fault, state, reason) in heals {
        world.until(State::Healthy, Reason::AsItShouldBe);
        println!("{fault:?}");
        world.faults(&[fault]);
        let verdict = world.until(state, reason);
        assert_eq!(verdict.is_usable, state.is_usable());
        world.faults(&[]);
    }
    world.until(State::Healthy, Reason::AsItShouldBe);
}

#[test]
fn what_counts_within_a_time_stays_found() {
    for (fault, state, reason) in [
        (Fault::EccCorrected, State::Failing, Reason::EccCorrected),
        (
            Fault::PcieCorrectable,
            State::Degraded,
            Reason::PcieCorrectable,
        ),
        (Fault::LinkRetrain, State::Failing, Reason::LinkRetraining),
        (Fault::DmaStall, State::Failing, Reason::DmaStalled),
        (Fault::Slow, State::Failing, Reason::Slow),
        (Fault::Dropping, State::Degraded, Reason::Dropping),
    ] {
        let world = World::start();
        world.until(State::Healthy, Reason::AsItShouldBe);
        println!("{fault:?}");
        world.faults(&[fault]);
        world.until(state, reason);
    }
}
