//! Rules without a limit: what is wrong as soon as it is so.

use crate::{Finding, Reading, Reason, Settings, State};

/// Why a card does not work at all, if it does not.
pub(crate) fn offline(reading: &Reading, settings: &Settings) -> Option<Finding> {
    let off = |reason, text: String| Some(Finding::new(State::Offline, reason, text));
    if !reading.is_present {
        return off(
            Reason::CardMissing,
            "the kernel does not have the device".to_owned(),
        );
    }
    match reading.driver.as_deref() {
        Some(driver) if driver == settings.driver => None,
        Some(other) => off(
            Reason::DriverMissing,
            format!("driver {other} is bound, expected is {}", settings.driver),
        ),
        None => off(
            Reason::DriverMissing,
            format!("no driver is bound, expected is {}", settings.driver),
        ),
    }
}

/// What is wrong with the configuration, the clocks and the link.
pub(crate) fn plain(reading: &Reading, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |state, reason, text: String| findings.push(Finding::new(state, reason, text));
    if let Some(state) = reading.manager_state.as_deref()
        && state != "operating"
    {
        let text = format!("the FPGA manager says {state:?}, expected is \"operating\"");
        find(State::Failing, Reason::NotConfigured, text);
    }
    if let Some(bitstream) = &reading.bitstream
        && !settings.approved_bitstreams.contains(bitstream)
    {
        let text = format!(
            "bitstream {bitstream} is loaded, approved are {:?}",
            settings.approved_bitstreams
        );
        find(State::Failing, Reason::BitstreamNotApproved, text);
    }
    if let Some(statistics) = &reading.statistics {
        if !statistics.is_clock_locked {
            let text = "the clock does not follow its reference".to_owned();
            find(State::Failing, Reason::ClockUnlocked, text);
        }
        if !statistics.is_ptp_locked {
            let text = "the time does not follow the grandmaster".to_owned();
            find(State::Degraded, Reason::PtpUnlocked, text);
        }
    }
    if let (Some(link), Some(best)) = (reading.link, reading.link_best)
        && (link.speed_mts < best.speed_mts || link.width < best.width)
    {
        let text = format!(
            "the link runs at x{} and {} MT/s, the card could do x{} and {} MT/s",
            link.width, link.speed_mts, best.width, best.speed_mts
        );
        find(State::Degraded, Reason::LinkReduced, text);
    }
    let missing = missing(reading);
    if !missing.is_empty() {
        let text = format!("could not be read: {}", missing.join("; "));
        find(State::Degraded, Reason::NoData, text);
    }
    findings
}

fn missing(reading: &Reading) -> Vec<String> {
    let mut missing = reading.unreadable.clone();
    let mut need = |is_there: bool, name: &str| {
        if !is_there && reading.unreadable.is_empty() {
            missing.push(name.to_owned());
        }
    };
    need(reading.link.is_some(), "link");
    need(reading.correctable_errors.is_some(), "PCI Express errors");
    need(reading.temperature_millidegrees.is_some(), "temperature");
    need(reading.manager_state.is_some(), "FPGA manager");
    need(reading.bitstream.is_some(), "bitstream");
    need(reading.statistics.is_some(), "driver's statistics");
    missing
}
