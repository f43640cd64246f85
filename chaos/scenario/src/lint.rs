//! What types cannot say of a catalog: figures in range, names that agree, no two scenarios alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::catalog::Entry;
use crate::fault::{
    Fault, KubernetesAction, Limit, LinkToxic, PacketFilter, PacketWay, TimedFault,
};
use crate::probe::Probe;
use crate::scenario::Scenario;
use crate::target::{LinkEnd, LinkTraffic, Mode, ProcessKind, Selection};

/// A fault lasts no longer than this, in milliseconds.
const DURATION_MS_MAX: u64 = 600_000;

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The field.
    pub field: String,
    /// Its value, why it is refused and what is accepted.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}: {}",
            self.file.display(),
            self.field,
            self.text
        )
    }
}

/// Checks a whole catalog. `runbooks` are the names that there are.
#[must_use]
pub fn lint(entries: &[Entry], runbooks: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries {
        let mut find = |field: &str, text: String| {
            findings.push(Finding {
                file: entry.file.clone(),
                field: field.to_owned(),
                text,
            });
        };
        check_names(entry, runbooks, &mut find);
        check_faults(&entry.scenario, &mut find);
        check_probes(&entry.scenario, &mut find);
    }
    findings.extend(twins(entries));
    findings
}

fn check_names(entry: &Entry, runbooks: &BTreeSet<String>, find: &mut impl FnMut(&str, String)) {
    let scenario = &entry.scenario;
    let stem = entry.file.file_stem().unwrap_or_default().to_string_lossy();
    if stem != scenario.id.as_str() {
        find(
            "id",
            format!("{} is not the file's name, which is {stem}", scenario.id),
        );
    }
    if scenario.id.family() != scenario.family.name() {
        find(
            "family",
            format!(
                "{} does not belong to {}",
                scenario.family.name(),
                scenario.id
            ),
        );
    }
    let texts = [
        ("title", &scenario.title),
        ("component", &scenario.component),
        ("mechanism", &scenario.mechanism),
        ("hypothesis", &scenario.hypothesis),
        ("expected.behaviour", &scenario.expected.behaviour),
    ];
    for (field, text) in texts {
        if text.trim().is_empty() {
            find(field, "is empty: say it in a few words".to_owned());
        }
    }
    if scenario.steady_state.is_empty() {
        find(
            "steadyState",
            "is empty: name at least one code, such as SS-ACK".to_owned(),
        );
    }
    if let Some(runbook) = &scenario.runbook
        && !runbooks.contains(runbook)
    {
        let known: Vec<&str> = runbooks.iter().map(String::as_str).collect();
        let known = match known.is_empty() {
            true => "there is none yet: leave the field out".to_owned(),
            false => format!("accepted are {}", known.join(", ")),
        };
        find("runbook", format!("{runbook:?} does not exist; {known}"));
    }
}

fn check_faults(scenario: &Scenario, find: &mut impl FnMut(&str, String)) {
    if scenario.faults.is_empty() {
        find(
            "faults",
            "is empty: an experiment without a fault shows nothing".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    for (index, fault) in scenario.faults.iter().enumerate() {
        let field = |name: &str| format!("faults[{index}].{name}");
        if !names.insert(&fault.name) {
            find(&field("name"), format!("{:?} is used twice", fault.name));
        }
        if !(100..=DURATION_MS_MAX).contains(&fault.duration_ms) {
            find(
                &field("durationMs"),
                format!(
                    "{} is not accepted: use 100 to {DURATION_MS_MAX}",
                    fault.duration_ms
                ),
            );
        }
        if fault.start_after_ms > DURATION_MS_MAX {
            find(
                &field("startAfterMs"),
                format!(
                    "{} is not accepted: use 0 to {DURATION_MS_MAX}",
                    fault.start_after_ms
                ),
            );
        }
        if let Some(text) = unsound(fault) {
            find(&field("fault"), text);
        }
    }
}

fn unsound(timed: &TimedFault) -> Option<String> {
    match &timed.fault {
        Fault::Link { on, toxic } => {
            if on.from == on.to {
                return Some("the two ends of the link are the same".to_owned());
            }
            if on.to == LinkEnd::Clients {
                return Some("`to: clients` is not accepted: nobody dials the clients; swap the ends".to_owned());
            }
            if on.from == LinkEnd::Clients && on.traffic != LinkTraffic::All {
                return Some("a link of clients carries one kind of traffic: leave `traffic` out".to_owned());
            }
            unsound_toxic(*toxic)
        }
        Fault::Packets { of, filter, way, .. } => match filter {
            PacketFilter::Loss { percent } if !(1..=99).contains(percent) => Some(format!(
                "percent {percent} is not accepted: use 1 to 99; for all of them use drop"
            )),
            PacketFilter::Reject {} if *way != PacketWay::In => Some(
                "reject is only accepted with `way: in`: the kernel refuses what arrives, not what leaves"
                    .to_owned(),
            ),
            _ => unsound_selection(of),
        },
        Fault::Limit { of, limit, .. } => match limit {
            Limit::Processor { millicores } if !(10..=2_000).contains(millicores) => {
                Some(format!("millicores {millicores} is not accepted: use 10 to 2000"))
            }
            Limit::FileSize { bytes: 0 } => {
                Some("bytes 0 is not accepted: use 1 or more".to_owned())
            }
            _ => unsound_selection(of),
        },
        Fault::Kubernetes { of, action } => {
            let deployment = match action {
                KubernetesAction::Scale { process, .. }
                | KubernetesAction::MissingImage { process } => Some(process),
                _ => None,
            };
            if deployment == Some(&ProcessKind::Replica) {
                return Some(
                    "the replica is no Deployment: use gateway, entry, operator, entryController \
                     or clusterDns"
                        .to_owned(),
                );
            }
            unsound_selection(of)
        }
        Fault::ControlPlane { of, parts, .. } => {
            if parts.is_empty() {
                return Some("parts is empty: name at least one, such as apiServer".to_owned());
            }
            unsound_selection(of)
        }
        Fault::Process { of, .. } | Fault::Power { of } | Fault::Journal { of, .. } => {
            unsound_selection(of)
        }
    }
}

fn unsound_selection(of: &Selection) -> Option<String> {
    match of.mode {
        Mode::Fixed(0) => Some("fixed 0 is not accepted: use 1 or more".to_owned()),
        Mode::Percent(percent) if !(1..=100).contains(&percent) => {
            Some(format!("percent {percent} is not accepted: use 1 to 100"))
        }
        _ => None,
    }
}

fn unsound_toxic(toxic: LinkToxic) -> Option<String> {
    match toxic {
        LinkToxic::Latency {
            latency_ms,
            jitter_ms,
        } if jitter_ms > latency_ms => Some(format!(
            "jitterMs {jitter_ms} is not accepted: use 0 to latencyMs, which is {latency_ms}"
        )),
        LinkToxic::Latency { latency_ms: 0, .. } => {
            Some("latencyMs 0 is no fault: use 1 or more".to_owned())
        }
        LinkToxic::Bandwidth {
            kilobytes_per_second: 0,
        } => Some(
            "kilobytesPerSecond 0 is not accepted: use 1 or more; to stop all use timeout with \
             afterMs 0"
                .to_owned(),
        ),
        LinkToxic::Slicer { mean_bytes, .. } if mean_bytes < 2 => Some(format!(
            "meanBytes {mean_bytes} is not accepted: use 2 or more"
        )),
        _ => None,
    }
}

fn check_probes(scenario: &Scenario, find: &mut impl FnMut(&str, String)) {
    let mut names = BTreeSet::new();
    for probe in scenario.all_probes() {
        if !names.insert(probe.name.clone()) {
            find(
                "probes",
                format!(
                    "{:?} is used twice, or is the name of a built-in probe",
                    probe.name
                ),
            );
        }
        if probe.probe.needs_the_end() && probe.when != crate::experiment::When::After {
            find(
                "probes",
                format!(
                    "{:?}: {} is judged at the end: use `when: after`",
                    probe.name,
                    probe.probe.kind()
                ),
            );
        }
        if let Probe::LeaderChanges { min, max } = probe.probe
            && min > max
        {
            find(
                "probes",
                format!("{:?}: min {min} is above max {max}", probe.name),
            );
        }
    }
}

/// Two scenarios with the same component, scope, phase and mechanism are one.
fn twins(entries: &[Entry]) -> Vec<Finding> {
    let mut seen: BTreeMap<_, &Entry> = BTreeMap::new();
    let mut ids: BTreeMap<_, &Entry> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries {
        let scenario = &entry.scenario;
        let key = (
            scenario.component.to_lowercase(),
            scenario.scope,
            scenario.phase,
            scenario.mechanism.to_lowercase(),
        );
        let mut twin = |field: &str, other: Option<&Entry>, text: &str| {
            if let Some(other) = other {
                findings.push(Finding {
                    file: entry.file.clone(),
                    field: field.to_owned(),
                    text: format!("{text} {}", other.file.display()),
                });
            }
        };
        twin(
            "mechanism",
            seen.insert(key, entry),
            "component, scope, phase and mechanism are those of",
        );
        twin("id", ids.insert(&scenario.id, entry), "is that of");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;

    const GOOD: &str = include_str!("../tests/good.yaml");

    fn entry(file: &str, text: &str) -> Entry {
        Entry {
            file: PathBuf::from(file),
            scenario: parse(std::path::Path::new(file), text).unwrap(),
        }
    }

    fn findings(text: &str) -> String {
        let all = lint(&[entry("NET-001.yaml", text)], &BTreeSet::new());
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        all.join("\n")
    }

    #[test]
    fn a_good_scenario_has_no_findings() {
        assert_eq!(findings(GOOD), "");
    }

    #[test]
    fn two_scenarios_of_one_mechanism_are_twins() {
        let other = GOOD
            .replace("NET-001", "NET-002")
            .replace("latencyMs: 80", "latencyMs: 90");
        let all = lint(
            &[entry("NET-001.yaml", GOOD), entry("NET-002.yaml", &other)],
            &BTreeSet::new(),
        );
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].to_string().contains("NET-001.yaml"), "{}", all[0]);
    }

    #[test]
    fn a_file_and_its_id_agree() {
        let all = lint(&[entry("NET-009.yaml", GOOD)], &BTreeSet::new());
        assert!(all[0].to_string().contains("NET-009"), "{all:?}");
        assert!(findings(&GOOD.replace("family: NET", "family: RES")).contains("RES"));
    }

    #[test]
    fn figures_out_of_range_name_what_is_accepted() {
        let long = findings(&GOOD.replace("durationMs: 6000", "durationMs: 9999999"));
        assert!(
            long.contains("9999999") && long.contains("600000"),
            "{long}"
        );
        let jitter = GOOD.replace("latencyMs: 80", "latencyMs: 80, jitterMs: 90");
        assert!(findings(&jitter).contains("jitterMs 90"));
    }

    #[test]
    fn a_runbook_must_exist() {
        let text = format!("{GOOD}runbook: link-slow\n");
        assert!(findings(&text).contains("there is none yet"));
        let known = BTreeSet::from(["link-slow".to_owned()]);
        assert_eq!(lint(&[entry("NET-001.yaml", &text)], &known), []);
    }

    #[test]
    fn what_is_judged_at_the_end_is_asked_for_at_the_end() {
        let text = GOOD.replace(
            "{latency: {p99MsMax: 400}}",
            "{longestSilence: {msMax: 400}}",
        );
        assert!(findings(&text).contains("when: after"));
    }

    #[test]
    fn the_replica_is_no_deployment() {
        let text = GOOD.replace(
            "link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 80}}}",
            "kubernetes: {of: {pool: leader}, action: {scale: {process: replica, replicas: 0}}}",
        );
        assert!(findings(&text).contains("no Deployment"));
    }
}
