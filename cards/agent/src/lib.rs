//! The card agent: one on each node that has FPGA cards.
//!
//! ```text
//!   ROOT/sys/bus/pci/devices/… ─► KernelCard ─► Watcher (judge, cross-check) ─► Cards
//!                                                                                 │
//!       decoder on this node ◄── verdict files ◄──────────────────────────────────┤
//!       Prometheus           ◄── /metrics      ◄──────────────────────────────────┤
//!       API server           ◄── FpgaCard, events ◄───────────────────────────────┤
//!       kubelet              ◄── device plugin ◄──────────────────────────────────┘
//! ```
//!
//! Each of the four readers stands for itself: the verdict for the decoder needs no cluster.

pub mod configuration;
pub mod device_plugin;
pub mod kernel;
pub mod metrics;
pub mod publish;
pub mod verdicts;
pub mod watch;

/// The kubelet's messages and services, generated.
#[allow(missing_docs, rust_2018_idioms, clippy::all, reason = "generated code")]
pub mod kubelet {
    tonic::include_proto!("v1beta1");
}
