//! `FpgaCard`: one card that decodes market data, as the agent of its node sees it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// A card that decodes market data, on one node. The node's card agent makes the object and writes
/// its status; nobody else needs to.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[kube(
    group = "tricenter.dev",
    version = "v1alpha1",
    kind = "FpgaCard",
    plural = "fpgacards",
    shortname = "fpga",
    category = "tricenter",
    status = "FpgaCardStatus",
    derive = "PartialEq",
    doc = "A card that decodes market data, on one node. The node's card agent makes the object and writes its status; nobody else needs to.",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("spec cannot change: a card is where it is; delete the object, and the agent of the node makes it anew"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node", description = "The node it is in"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address", description = "Its PCI address"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state", description = "Healthy, Degraded, Failing or Offline"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", description = "Why, in one word"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since", description = "Time in this state"),
    printcolumn(name = "m°C", type_ = "integer", json_path = ".status.temperatureMillidegrees", description = "Temperature in thousandths of a degree Celsius"),
    printcolumn(name = "P99 ns", type_ = "integer", json_path = ".status.decodeLatencyP99Ns", description = "What 99 of 100 messages did not exceed, in nanoseconds"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", description = "Why, in one sentence", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct FpgaCardSpec {
    /// The node it is in, by its Kubernetes name.
    #[schemars(length(min = 1, max = 253))]
    pub node: String,
    /// Its PCI address as the kernel writes it, such as 0000:81:00.0.
    #[schemars(regex(pattern = r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$"))]
    pub address: String,
}

/// How a card is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum FpgaCardState {
    /// All is as it should be.
    Healthy,
    /// It may be used, and somebody should plan to look at it.
    Degraded,
    /// It must not be used.
    Failing,
    /// It is not there, or nothing drives it.
    Offline,
}

/// One thing that is wrong with a card.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FpgaCardFinding {
    /// What it makes of the card.
    pub state: FpgaCardState,
    /// Why, in one word for programs.
    pub reason: String,
    /// Why, in one sentence for people.
    pub message: String,
}

/// A PCI Express link.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FpgaCardLink {
    /// Speed of a lane, in megatransfers a second.
    pub speed_mts: u32,
    /// How many lanes there are.
    pub width: u32,
}

/// What is known of a card. A figure that could not be read is absent.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct FpgaCardStatus {
    /// The generation of the object that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How it is: Healthy, Degraded, Failing or Offline. Absent before it was read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<FpgaCardState>,
    /// Why, in one word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in one sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is in this state (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// When it was read last (RFC 3339); written with the other figures, every few seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub read_at: Option<String>,
    /// All that is wrong now, the worst first.
    pub findings: Vec<FpgaCardFinding>,
    /// The driver bound to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What the FPGA manager says of its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager_state: Option<String>,
    /// The bitstream that is loaded, by its region's compatibility id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitstream: Option<String>,
    /// Its temperature, in thousandths of a degree Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_millidegrees: Option<i64>,
    /// The power it draws, in milliwatts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_milliwatts: Option<i64>,
    /// Its supply, in millivolts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voltage_millivolts: Option<i64>,
    /// The PCI Express link as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<FpgaCardLink>,
    /// The link as it could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_best: Option<FpgaCardLink>,
    /// PCI Express errors that were corrected, since the card started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correctable_errors: Option<u64>,
    /// PCI Express errors that were not corrected, since the card started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrectable_errors: Option<u64>,
    /// Memory errors that were corrected, since the driver took the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecc_corrected: Option<u64>,
    /// Memory errors that were not corrected, since the driver took the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecc_uncorrected: Option<u64>,
    /// Whether its clock follows the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_locked: Option<bool>,
    /// Whether its time follows the PTP grandmaster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptp_locked: Option<bool>,
    /// What 99 of 100 messages did not exceed since the driver took the card, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_latency_p99_ns: Option<u64>,
    /// Messages decoded since the driver took the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Messages dropped since the driver took the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drops: Option<u64>,
    /// Messages compared with the software decoder since the agent started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<u64>,
    /// Those of them that differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatches: Option<u64>,
    /// The conditions: Ready (it may be used) and Healthy (nothing is wrong), and Stalled while it
    /// must not be used.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
