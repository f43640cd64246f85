//! `Switchover`: a planned move of a core's leader to another center.
//!
//! One object is one move. It is enough in one center's cluster: whichever operator sees it runs it,
//! under a lease in the core's own log. The same object in several clusters is the same move.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

const NAME: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

/// A planned move of a core's leader to another center: checked, moved, verified, measured. The
/// object cannot change, and runs once: apply another, with another name, for another move.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[kube(
    group = "tricenter.dev",
    version = "v1alpha1",
    kind = "Switchover",
    plural = "switchovers",
    shortname = "swo",
    category = "tricenter",
    namespaced,
    status = "SwitchoverStatus",
    derive = "PartialEq",
    doc = "A planned move of a core's leader to another center: checked, moved, verified, measured. The object cannot change, and runs once: apply another, with another name, for another move.",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec cannot change: a move runs once; apply another Switchover with another name"),
    printcolumn(name = "Core", type_ = "string", json_path = ".spec.core", description = "The core that is moved"),
    printcolumn(name = "From", type_ = "string", json_path = ".status.from", description = "The center that led"),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.to", description = "The center that shall lead"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Pending, Predicted, Refused, Running, Succeeded or Failed"),
    printcolumn(name = "Gap ms", type_ = "number", json_path = ".status.gapMs", description = "Time without service, in milliseconds"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", description = "What came of it", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since it was applied")
)]
#[serde(rename_all = "camelCase")]
pub struct SwitchoverSpec {
    /// The TradingCore of the same namespace whose leader moves.
    #[schemars(regex(pattern = NAME), length(max = 40))]
    pub core: String,
    /// The center whose replica shall lead, one of the core's spec.centers.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub to: String,
    /// Why, for those who read it later.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// While true nothing is moved: the checks are made, and what would happen is told.
    #[serde(default)]
    pub dry_run: bool,
    /// Accept the move while a call auction runs, in which clients can least bear a gap.
    #[serde(default)]
    pub allow_in_auction: bool,
    /// How long checks that do not pass may be waited for, in seconds. 0 refuses at once.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    pub wait_seconds: u32,
    /// How long the move may take once it has begun, in seconds; after that it has failed.
    #[serde(default = "deadline_seconds")]
    #[schemars(range(min = 5, max = 300))]
    pub deadline_seconds: u32,
    /// The longest time without service that is in order, in milliseconds. A longer one is told by
    /// the condition GapWithinObjective; the move stands all the same.
    #[serde(default = "gap_ms_max")]
    #[schemars(range(min = 1, max = 60000))]
    pub gap_ms_max: u32,
}

fn deadline_seconds() -> u32 {
    30
}

fn gap_ms_max() -> u32 {
    50
}

/// Where a move is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum SwitchoverPhase {
    /// Checks do not pass yet, and are waited for.
    Pending,
    /// A dry run has told what would happen. Final.
    Predicted,
    /// A check did not pass, and nothing was moved. Final.
    Refused,
    /// It has begun.
    Running,
    /// The center leads, serves and has the same content. Final.
    Succeeded,
    /// It had begun and did not come to its end. Final.
    Failed,
}

impl SwitchoverPhase {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Predicted => "Predicted",
            Self::Refused => "Refused",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// Whether a check passed.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum Verdict {
    /// It did.
    Passed,
    /// It did not.
    Failed,
    /// There is no data, which is no pass.
    Unknown,
}

/// One check made before the move.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name, for programs.
    pub name: String,
    /// Whether it passed.
    pub verdict: Verdict,
    /// What was found, for people.
    pub message: String,
}

/// One measured part of the move.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leg {
    /// Its name: begin, transfer, verify.
    pub name: String,
    /// How long it took, in milliseconds, by the clock of the core's leader in the log.
    pub took_ms: f64,
}

/// What is known of a move.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SwitchoverStatus {
    /// The generation of the object that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the move is: Pending, Predicted, Refused, Running, Succeeded or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<SwitchoverPhase>,
    /// What came of it, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The center that led when the move was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The name of the operation in the core's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The operator that runs it or ran it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by: Option<String>,
    /// The epoch before the move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_before: Option<u64>,
    /// The epoch that the move began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_after: Option<u64>,
    /// Time without service, in milliseconds: from the last command that the old leader took until it
    /// had applied an entry of the new epoch. Absent when nobody measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<f64>,
    /// The checks made before the move, in the order in which they count.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<Check>,
    /// The parts of the move as they were measured.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub legs: Vec<Leg>,
    /// When the move began, by the clock of the core's leader (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, by the same clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The conditions: Ready, and Reconciling or Stalled only while they hold; GapWithinObjective once
    /// a gap was measured.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
