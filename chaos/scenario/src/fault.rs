//! The faults, each with what it may strike: a fault on the wrong kind of target cannot be written.

use serde::{Deserialize, Serialize};

use crate::target::{LinkTarget, ProcessKind, Selection};

/// A fault, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimedFault {
    /// Its name within the scenario.
    pub name: String,
    /// After the injection's beginning, in milliseconds.
    #[serde(default)]
    pub start_after_ms: u64,
    /// How long it stays, in milliseconds; then it is taken back.
    pub duration_ms: u64,
    /// What it is.
    pub fault: Fault,
}

impl TimedFault {
    /// When it is taken back, in milliseconds after the injection's beginning.
    #[must_use]
    pub const fn end_ms(&self) -> u64 {
        self.start_after_ms.saturating_add(self.duration_ms)
    }
}

/// What is done to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// A link's Toxiproxy spoils its connections.
    Link {
        /// Which link.
        on: LinkTarget,
        /// How.
        toxic: LinkToxic,
    },
    /// The packet filter of a center's network namespace drops or refuses packets.
    Packets {
        /// In which centers.
        of: Selection,
        /// What it does.
        filter: PacketFilter,
        /// With which packets.
        #[serde(default)]
        traffic: PacketTraffic,
        /// Which way they go, as the center sees it.
        #[serde(default)]
        way: PacketWay,
    },
    /// A process gets a signal.
    Process {
        /// In which centers.
        of: Selection,
        /// Which process.
        process: ProcessKind,
        /// What is done.
        action: ProcessAction,
    },
    /// A process' control group, or the process itself, gets a tighter limit.
    Limit {
        /// In which centers.
        of: Selection,
        /// Which process.
        process: ProcessKind,
        /// The limit.
        limit: Limit,
    },
    /// Something is done through a center's Kubernetes API.
    Kubernetes {
        /// In which centers.
        of: Selection,
        /// What.
        action: KubernetesAction,
    },
    /// A part of a center's control plane stops or freezes.
    ControlPlane {
        /// In which centers.
        of: Selection,
        /// Which parts, in this order.
        parts: Vec<ControlPlanePart>,
        /// What is done to them.
        action: ComponentAction,
    },
    /// A center loses its power: silence first, then all its processes at once.
    Power {
        /// Which centers.
        of: Selection,
    },
    /// A replica is killed and its journal is damaged while it is down.
    Journal {
        /// In which centers.
        of: Selection,
        /// How.
        damage: JournalDamage,
    },
}

/// How a link is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum LinkToxic {
    /// Data comes later.
    Latency {
        /// By so many milliseconds each way struck.
        #[serde(rename = "latencyMs")]
        latency_ms: u64,
        /// Give or take.
        #[serde(rename = "jitterMs", default)]
        jitter_ms: u64,
    },
    /// Data comes slowly.
    Bandwidth {
        /// So many thousand bytes a second.
        #[serde(rename = "kilobytesPerSecond")]
        kilobytes_per_second: u64,
    },
    /// Closing a connection takes long.
    SlowClose {
        /// So many milliseconds.
        #[serde(rename = "delayMs")]
        delay_ms: u64,
    },
    /// Data is swallowed and connections stay open.
    Timeout {
        /// After so many milliseconds the connection is closed; 0 never closes it.
        #[serde(rename = "afterMs")]
        after_ms: u64,
    },
    /// Connections are reset.
    ResetPeer {
        /// So many milliseconds after the first data.
        #[serde(rename = "afterMs")]
        after_ms: u64,
    },
    /// Data comes in small pieces.
    Slicer {
        /// Mean size of a piece, in bytes.
        #[serde(rename = "meanBytes")]
        mean_bytes: u32,
        /// Pause between pieces, in microseconds.
        #[serde(rename = "pauseUs")]
        pause_us: u32,
    },
    /// A connection is closed after so much data.
    LimitData {
        /// In bytes.
        bytes: u64,
    },
    /// Connections are closed and new ones refused.
    Down {},
}

/// What the packet filter does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PacketFilter {
    /// Swallows them.
    Drop {},
    /// Refuses them, with a TCP reset. Only on the way in.
    Reject {},
    /// Swallows some, at random.
    Loss {
        /// In a hundred, 1 to 99.
        percent: u8,
    },
}

/// Which packets of a center.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PacketTraffic {
    /// All that pass its leg to the wide area network: a partition of the whole center.
    #[default]
    All,
    /// Those of replication.
    Replication,
    /// Those from gateways to replicas.
    Orders,
    /// Those of clients.
    Entry,
}

/// Which way packets go, as the center sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PacketWay {
    /// Both.
    #[default]
    Both,
    /// Into the center.
    In,
    /// Out of it.
    Out,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ProcessAction {
    /// It gets a signal that ends it, once.
    End {
        /// Which.
        signal: Signal,
    },
    /// It is stopped, and goes on at the fault's end.
    Pause {},
    /// It is stopped and goes on, over and over.
    Flap {
        /// Stopped so long, in milliseconds.
        #[serde(rename = "pausedMs")]
        paused_ms: u64,
        /// Running so long in between, in milliseconds.
        #[serde(rename = "runningMs")]
        running_ms: u64,
    },
    /// It is killed whenever it runs again.
    CrashLoop {
        /// It is looked for so often, in milliseconds.
        #[serde(rename = "everyMs")]
        every_ms: u64,
    },
}

/// Signals that end a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// At once.
    Kill,
    /// Asks it to end.
    Terminate,
    /// As a failed assertion does.
    Abort,
    /// As a wild pointer does.
    SegmentationFault,
}

/// A tighter limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Limit {
    /// Processor time.
    Processor {
        /// In thousandths of one processor, 10 to 2000.
        millicores: u32,
    },
    /// Memory on top of what is in use when the fault begins.
    MemoryHeadroom {
        /// In KiB.
        #[serde(rename = "kibibytes")]
        kibibytes: u64,
    },
    /// Threads and processes on top of those there when the fault begins.
    ProcessHeadroom {
        /// How many.
        count: u32,
    },
    /// Open files of the process on top of those open when the fault begins.
    OpenFilesHeadroom {
        /// How many.
        count: u32,
    },
    /// The largest file that the process may write; beyond it a write fails, as on a full disk.
    FileSize {
        /// In bytes.
        bytes: u64,
    },
}

/// What is done through the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum KubernetesAction {
    /// A pod is deleted.
    DeletePod {
        /// Which.
        process: ProcessKind,
        /// Seconds it may take to end; 0 takes it away by force.
        #[serde(rename = "graceSeconds")]
        grace_seconds: u32,
    },
    /// A pod is evicted, which disruption budgets may refuse.
    EvictPod {
        /// Which.
        process: ProcessKind,
    },
    /// The node takes no new pods.
    Cordon {},
    /// The node takes no new pods and its trading pods are evicted.
    Drain {},
    /// The node gets a taint.
    Taint {
        /// Whether pods that do not tolerate it are thrown out, or only kept away.
        evicts: bool,
    },
    /// A Deployment is set to so many pods.
    Scale {
        /// Which; the replica is no Deployment.
        process: ProcessKind,
        /// How many.
        replicas: i32,
    },
    /// The trading namespace may hold no more pods than it does.
    Quota {},
    /// A part of the control plane loses its right: its binding is taken away.
    RevokeRole {
        /// Whose.
        process: ProcessKind,
    },
    /// A Deployment names an image that is nowhere.
    MissingImage {
        /// Which; the replica is no Deployment.
        process: ProcessKind,
    },
    /// A Service is deleted.
    DeleteService {
        /// Whose.
        process: ProcessKind,
    },
    /// A ConfigMap is deleted.
    DeleteConfiguration {
        /// Whose.
        process: ProcessKind,
    },
}

/// A part of a center's control plane or node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ControlPlanePart {
    /// The store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The node's agent.
    Kubelet,
    /// Service addresses.
    KubeProxy,
    /// The container runtime.
    Containerd,
}

/// What is done to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComponentAction {
    /// It is killed and stays dead.
    Stop,
    /// It is frozen: its sockets take connections and nothing answers.
    Pause,
}

/// How a journal is damaged while its replica is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JournalDamage {
    /// Bits in the middle of what was synced are turned over.
    BitRot,
    /// The end of what was written is overwritten with zeros, as a lost write leaves it.
    LostTail,
    /// The newest segment is gone.
    MissingSegment,
    /// All files are gone.
    EmptyDisk,
    /// The newest snapshot is damaged.
    DamagedSnapshot,
}

/// Who performs a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Driver {
    /// Toxiproxy on links.
    Toxiproxy,
    /// nftables in network namespaces.
    Nftables,
    /// Signals.
    Process,
    /// Control groups and process limits.
    Limit,
    /// The Kubernetes API.
    Kubernetes,
    /// A center's supervisor of its own components.
    ControlPlane,
    /// A center's power switch.
    Power,
    /// Files of a journal.
    Journal,
}

impl Driver {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Toxiproxy,
        Self::Nftables,
        Self::Process,
        Self::Limit,
        Self::Kubernetes,
        Self::ControlPlane,
        Self::Power,
        Self::Journal,
    ];

    /// Its name in plans and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toxiproxy => "toxiproxy",
            Self::Nftables => "nftables",
            Self::Process => "process",
            Self::Limit => "limit",
            Self::Kubernetes => "kubernetes",
            Self::ControlPlane => "control plane",
            Self::Power => "power",
            Self::Journal => "journal",
        }
    }
}

impl Fault {
    /// Who performs it.
    #[must_use]
    pub const fn driver(&self) -> Driver {
        match self {
            Self::Link { .. } => Driver::Toxiproxy,
            Self::Packets { .. } => Driver::Nftables,
            Self::Process { .. } => Driver::Process,
            Self::Limit { .. } => Driver::Limit,
            Self::Kubernetes { .. } => Driver::Kubernetes,
            Self::ControlPlane { .. } => Driver::ControlPlane,
            Self::Power { .. } => Driver::Power,
            Self::Journal { .. } => Driver::Journal,
        }
    }
}

/// Faults that other tools have and this ground cannot do: the word for each, why, and what to use.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    (
        "netem",
        "the kernels that this runs on lack sch_netem: use `link` with the toxic latency for delay \
         and jitter of TCP, and `packets` with the filter loss for loss",
    ),
    (
        "fuse",
        "there is no FUSE layer under the journals yet: use `limit` with fileSize for a disk that \
         is full, and `journal` for bits that are wrong",
    ),
    (
        "diskFull",
        "the volumes of the lab are folders without a bound, and filling the machine's disk would \
         strike everybody: use `limit` with fileSize",
    ),
    (
        "ioThrottle",
        "buffered writes escape control groups of version 1: use `limit` with processor to slow a \
         process down",
    ),
    (
        "clock",
        "the machine's clock is everybody's, and time namespaces do not move it: there is no \
         driver for clocks yet",
    ),
    (
        "networkPolicy",
        "the lab's network plugin enforces none, so the fault would never act: use `packets`",
    ),
    (
        "shell",
        "no driver runs a shell: name the fault by its type",
    ),
];
