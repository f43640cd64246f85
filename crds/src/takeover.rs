//! `Takeover`: forming a core's group anew out of one replica, when no quorum is left.
//!
//! One object is one takeover, applied in the cluster of the center whose replica it is about: only
//! that center's operator can stop the replica and reach its disk. A second action takes a replica of a
//! returned site back in.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Check, Condition, Leg};

const NAME: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

/// A forced move after a site is lost and no quorum is left: checked, approved by two people where
/// orders may be lost, done, measured. The object cannot change, and runs once.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[kube(
    group = "tricenter.dev",
    version = "v1alpha1",
    kind = "Takeover",
    plural = "takeovers",
    category = "tricenter",
    namespaced,
    status = "TakeoverStatus",
    derive = "PartialEq",
    doc = "A forced move after a site is lost and no quorum is left: checked, approved by two people where orders may be lost, done, measured. The object cannot change, and runs once.",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec cannot change: what people approve is this request; apply another Takeover with another name"),
    printcolumn(name = "Core", type_ = "string", json_path = ".spec.core", description = "The core that is formed anew"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action", description = "Form or Rejoin"),
    printcolumn(name = "Center", type_ = "string", json_path = ".spec.center", description = "The center whose replica it is about"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Pending, Predicted, Refused, AwaitingApproval, Running, Succeeded or Failed"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", description = "Why it is where it is, in one word"),
    printcolumn(name = "Approved", type_ = "string", json_path = ".status.approved", description = "Approvals that count, of those needed"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", description = "What came of it", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since it was applied")
)]
#[x_kube(
    validation = Rule::new("!(self.center in self.lost)")
        .message("spec.lost names spec.center: a lost replica cannot become the group"),
    validation = Rule::new("(self.action == 'Form') == (size(self.lost) > 0)")
        .message("spec.lost: Form needs the centers that are gone, Rejoin has none")
)]
#[serde(rename_all = "camelCase")]
pub struct TakeoverSpec {
    /// The TradingCore of the same namespace.
    #[schemars(regex(pattern = NAME), length(max = 40))]
    pub core: String,
    /// What to do: Form makes the center's replica the whole group, in the next generation; Rejoin
    /// keeps the log of the center's replica aside and lets it join the group that was formed.
    #[serde(default)]
    pub action: TakeoverAction,
    /// The center whose replica it is about: the survivor, or the one that has come back. Its own
    /// operator does it, so the object belongs in its cluster.
    #[schemars(regex(pattern = NAME), length(max = 63))]
    pub center: String,
    /// The centers that are gone: powered off, or cut off from every client. No machine can tell a dead
    /// site from one that is not heard; this is the word of people for it, and part of what is approved.
    #[serde(default)]
    #[schemars(length(max = 8), inner(regex(pattern = NAME), length(max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub lost: Vec<String>,
    /// Who asks: the user name by which the API server knows the sender. Another one is refused. Whoever
    /// asks cannot approve.
    #[schemars(length(min = 1, max = 253))]
    pub requested_by: String,
    /// Why, for those who read it later.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// While true nothing is changed: the checks are made, and what would happen is told.
    #[serde(default)]
    pub dry_run: bool,
    /// How long the checks must have passed without a break before anything is done, in seconds. A
    /// partition that heals meanwhile needs no takeover.
    #[serde(default = "silence_seconds")]
    #[schemars(range(max = 3600))]
    pub silence_seconds: u32,
    /// How long approvals are waited for, in seconds from when the object was applied; then it is
    /// refused.
    #[serde(default = "approval_wait_seconds")]
    #[schemars(range(min = 60, max = 86400))]
    pub approval_wait_seconds: u32,
    /// How long it may take once it has begun, in seconds; after that it has failed.
    #[serde(default = "deadline_seconds")]
    #[schemars(range(min = 30, max = 3600))]
    pub deadline_seconds: u32,
}

fn silence_seconds() -> u32 {
    30
}

fn approval_wait_seconds() -> u32 {
    3_600
}

fn deadline_seconds() -> u32 {
    300
}

/// What a takeover does.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Default)]
pub enum TakeoverAction {
    /// Makes the center's replica the whole group.
    #[default]
    Form,
    /// Keeps the replica's log aside and lets it join the group that was formed.
    Rejoin,
}

/// Where a takeover is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum TakeoverPhase {
    /// The checks pass, and have not for long enough yet.
    Pending,
    /// A dry run has told what would happen. Final.
    Predicted,
    /// It was refused, and nothing was changed. Final.
    Refused,
    /// The checks passed; people must approve.
    AwaitingApproval,
    /// It has begun.
    Running,
    /// It has ended well. Final.
    Succeeded,
    /// It had begun and did not come to its end. Final.
    Failed,
}

impl TakeoverPhase {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::AwaitingApproval | Self::Running)
    }

    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Predicted => "Predicted",
            Self::Refused => "Refused",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// What the loss of the others may have cost.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum LossBound {
    /// Nothing: at this time the lost replicas still had to wait for this site, so all that they
    /// answered is here.
    Zero,
    /// What they answered after lossBegins; until then they waited for this site.
    AfterDegradation,
    /// All that they answered after lossBegins, the last batch that is here.
    AfterLastBatch,
}

/// What the survivor knew when it was last asked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownState {
    /// The replica's number.
    pub replica: u64,
    /// The generation of the group in its log.
    pub generation: u64,
    /// The highest epoch that it has seen.
    pub epoch: u64,
    /// The last entry of its log.
    pub last_index: u64,
    /// The last entry that it knows to be committed.
    pub commit_index: u64,
    /// The leader's clock in the last batch that it applied (RFC 3339); absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_batch_at: Option<String>,
    /// The policy in its log: Metro or SiteSafe.
    pub commit_policy: String,
    /// By the last record that it has, commits waited for a majority only.
    pub degraded: bool,
    /// What the loss of the others may have cost.
    pub loss_bound: LossBound,
    /// From when on answers may be lost, by the leader's clock (RFC 3339); absent when not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_begins: Option<String>,
    /// Why, in one sentence.
    pub loss_reason: String,
}

/// Whether an approval counts.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum ApprovalVerdict {
    /// It does.
    Counts,
    /// It is of another request: the digest or the uid differs.
    OtherRequest,
    /// Whoever asks cannot approve.
    GivenByRequester,
    /// Its time is over.
    Expired,
    /// Another request has used it.
    Used,
    /// The same person has given one that counts.
    SamePerson,
}

/// One approval as it was judged.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JudgedApproval {
    /// The name of the approval.
    pub name: String,
    /// Who gave the approval.
    pub approver: String,
    /// Whether it counts, and if not why.
    pub verdict: ApprovalVerdict,
}

/// One thing that was done.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeoverStep {
    /// Its name: Approved, Fenced, Formed (or KeptAside), Served, Rerouted (or Joined).
    pub name: String,
    /// When it was seen to be done, by the operator's clock (RFC 3339).
    pub at: String,
}

/// What the command on the disk told.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskResult {
    /// Form: the new group's generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Form: the new group's first epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Form: the first entry that is the new group's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formed_at_index: Option<u64>,
    /// Form: entries that were not known to be committed, and are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncommitted_entries_kept: Option<u64>,
    /// Rejoin: the folder on the replica's volume that has its old files and the list of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_in: Option<String>,
    /// Rejoin: requests that only this replica had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_salvaged: Option<u64>,
    /// Rejoin: those of them whose clients were told, for certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_answered: Option<u64>,
}

/// What is known of a takeover.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TakeoverStatus {
    /// The generation of the object that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is: Pending, Predicted, Refused, AwaitingApproval, Running, Succeeded or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<TakeoverPhase>,
    /// Why it is there, in one word; that of the condition Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came of it, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// SHA-256 of the request, in hex: what an Approval must name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What the survivor knew when it was last asked before it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownState>,
    /// The checks, in the order in which they count.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub checks: Vec<Check>,
    /// Since when the checks have passed without a break, by the operator's clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passing_since: Option<String>,
    /// How many people must approve: two where orders may be lost, none where the log proves that none
    /// are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals_needed: Option<u32>,
    /// Approvals that count, of those needed, such as 1/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
    /// Every approval that names this request, as it was judged.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub approvals: Vec<JudgedApproval>,
    /// The operator that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by: Option<String>,
    /// What was done so far, in order.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<TakeoverStep>,
    /// The parts as they were measured.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub legs: Vec<Leg>,
    /// What the command on the disk told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<DiskResult>,
    /// When it began, by the operator's clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, by the same clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The conditions: Ready, and Reconciling or Stalled only while they hold; RpoZero once the survivor
    /// was asked; Approved once approvals are needed.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
