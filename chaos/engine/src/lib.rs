//! Runs chaos experiments on the lab and writes down what happened.
//!
//! ```text
//!   Scenario ─► plan ─► Experiment (pure) ──effects──► faults, probes, load
//!                           ▲                              │
//!                           └───────────events─────────────┘
//!                                 │ verdict
//!                                 ▼
//!             evidence.json ─► reports over many: Markdown, JUnit
//! ```

pub mod button;
pub mod evidence;
pub mod probes;
pub mod report;
pub mod residue;
pub mod run;

pub use evidence::Evidence;
pub use run::{Settings, look_at_world, run};
