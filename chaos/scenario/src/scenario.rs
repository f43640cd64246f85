//! A scenario of the catalog: one file, one hypothesis.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::TimedFault;
use crate::probe::{AbortCondition, NamedProbe};

/// A scenario's name: its family and a number, such as `NET-001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScenarioId(String);

impl ScenarioId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dash.
    #[must_use]
    pub fn family(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl TryFrom<String> for ScenarioId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_id = text.split_once('-').is_some_and(|(family, number)| {
            !family.is_empty()
                && family
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                && number.len() == 3
                && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if is_id {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is no id: accepted is a family in capitals, a dash and three digits, \
                 such as NET-001"
            ))
        }
    }
}

impl From<ScenarioId> for String {
    fn from(id: ScenarioId) -> Self {
        id.0
    }
}

impl fmt::Display for ScenarioId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Family {
    /// Processes.
    Proc,
    /// Resources.
    Res,
    /// Disks and journals.
    Disk,
    /// Networks.
    Net,
    /// Kubernetes.
    K8s,
    /// The operator.
    Oper,
    /// Load.
    Load,
    /// Centers and sites.
    Site,
    /// Several at once.
    Multi,
    /// Mistakes of people.
    Human,
    /// The chaos lab itself.
    Lab,
}

impl Family {
    /// Its letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proc => "PROC",
            Self::Res => "RES",
            Self::Disk => "DISK",
            Self::Net => "NET",
            Self::K8s => "K8S",
            Self::Oper => "OPER",
            Self::Load => "LOAD",
            Self::Site => "SITE",
            Self::Multi => "MULTI",
            Self::Human => "HUMAN",
            Self::Lab => "LAB",
        }
    }
}

/// What must hold of a system in order, by code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SteadyState {
    /// What was acknowledged is in the log, once.
    #[serde(rename = "SS-ACK")]
    Acknowledged,
    /// No client order id takes effect twice.
    #[serde(rename = "SS-DUP")]
    NoDuplicate,
    /// At most one epoch accepts.
    #[serde(rename = "SS-ONE")]
    OneLeader,
    /// Outputs without a gap, states equal.
    #[serde(rename = "SS-SEQ")]
    Sequence,
    /// Latency within its bound.
    #[serde(rename = "SS-LAT")]
    Latency,
    /// Requests are answered.
    #[serde(rename = "SS-AVL")]
    Available,
    /// Switched in time.
    #[serde(rename = "SS-RTO")]
    RecoveryTime,
    /// The operator reaches what was declared.
    #[serde(rename = "SS-OP")]
    Operator,
    /// Only the target is touched, and all is given back.
    #[serde(rename = "SS-SAFE")]
    Safe,
}

/// In which part of a trading day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TradingPhase {
    /// Orders are collected for the opening auction.
    CallAuction,
    /// The first minutes of trading, with several times the usual orders.
    OpeningBurst,
    /// Orders match as they come.
    Continuous,
    /// Nothing trades.
    LunchBreak,
    /// Orders are collected for the closing auction.
    ClosingAuction,
}

impl TradingPhase {
    /// Its name as in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallAuction => "callAuction",
            Self::OpeningBurst => "openingBurst",
            Self::Continuous => "continuous",
            Self::LunchBreak => "lunchBreak",
            Self::ClosingAuction => "closingAuction",
        }
    }
}

/// What clients do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadProfile {
    /// A quiet market: 100 orders a second over 4 sessions.
    Calm,
    /// A usual day: 200 orders a second over 8 sessions.
    #[default]
    Usual,
    /// An opening: 800 orders a second over 16 sessions.
    Burst,
    /// Many sessions with few orders each: 200 orders a second over 400 sessions.
    Crowd,
}

/// What is expected of the leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaderExpectation {
    /// Another replica leads during the fault.
    Changes,
    /// The same one goes on, in the same epoch.
    Stays,
    /// Either is right.
    Any,
}

/// What should happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    /// In words.
    pub behaviour: String,
    /// The longest time without an accepted order, in milliseconds.
    pub rto_ms_max: u64,
    /// Acknowledged orders that may be lost.
    pub rpo_orders_max: u64,
    /// Of the leadership.
    pub leader: LeaderExpectation,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Its name, which is the file's too.
    pub id: ScenarioId,
    /// One line.
    pub title: String,
    /// What kind of trouble.
    pub family: Family,
    /// What is struck.
    pub component: String,
    /// How far it reaches: process, pod, node, link, center, site, fleet.
    pub scope: Scope,
    /// In which part of the day.
    pub phase: TradingPhase,
    /// How, in a few words that no other scenario of that component, scope and phase has.
    pub mechanism: String,
    /// Why it should hold.
    pub hypothesis: String,
    /// What of the steady state it puts to the test.
    pub steady_state: Vec<SteadyState>,
    /// What clients do.
    #[serde(default)]
    pub load: LoadProfile,
    /// What is done.
    pub faults: Vec<TimedFault>,
    /// What must hold, besides what `expected` implies.
    #[serde(default)]
    pub probes: Vec<NamedProbe>,
    /// What ends it early.
    #[serde(default)]
    pub abort_when: Vec<AbortCondition>,
    /// What should happen.
    pub expected: Expected,
    /// The runbook for the real thing, by name.
    #[serde(default)]
    pub runbook: Option<String>,
}

/// How far a fault reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// One process.
    Process,
    /// A pod.
    Pod,
    /// A node.
    Node,
    /// A link.
    Link,
    /// A center.
    Center,
    /// A site.
    Site,
    /// All.
    Fleet,
}

impl Scenario {
    /// When the last fault ends, in milliseconds after the injection's beginning.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.faults
            .iter()
            .map(TimedFault::end_ms)
            .max()
            .unwrap_or_default()
    }

    /// All probes: those of the file, and those that `expected` implies.
    #[must_use]
    pub fn all_probes(&self) -> Vec<NamedProbe> {
        use crate::experiment::When;
        use crate::probe::Probe;
        let named = |name: &str, when, probe| NamedProbe {
            name: name.to_owned(),
            when,
            probe,
        };
        let mut all = vec![
            named("one leader before", When::Before, Probe::OneLeader {}),
            named(
                "voters in step before",
                When::Before,
                Probe::AllVotersInStep {},
            ),
            named(
                "orders flow before",
                When::Before,
                Probe::AcknowledgedRate { percent_min: 80 },
            ),
        ];
        all.extend(self.probes.iter().cloned());
        all.push(named(
            "orders flow after",
            When::After,
            Probe::AcknowledgedRate { percent_min: 80 },
        ));
        all.push(named(
            "voters in step after",
            When::After,
            Probe::AllVotersInStep {},
        ));
        match self.expected.leader {
            LeaderExpectation::Changes => all.push(named(
                "another leads",
                When::During,
                Probe::LeaderChanges { min: 1, max: 3 },
            )),
            // To the end: a follower that comes back may unseat a leader too.
            LeaderExpectation::Stays => {
                for (name, when) in [
                    ("the leader stays", When::During),
                    ("the leader stayed", When::After),
                ] {
                    all.push(named(name, when, Probe::LeaderChanges { min: 0, max: 0 }));
                }
            }
            LeaderExpectation::Any => {}
        }
        all.push(named(
            "states are equal",
            When::After,
            Probe::EqualStates {},
        ));
        all.push(named("witness", When::After, Probe::Witness {}));
        all.push(named(
            "recovery time",
            When::After,
            Probe::LongestSilence {
                ms_max: self.expected.rto_ms_max,
            },
        ));
        all
    }
}
