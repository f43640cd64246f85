//! What is read of an FPGA card, and what is thought of it. Pure: no file, no clock, no network.
//!
//! ```text
//!                       thresholds, trends (data)
//!                                  │
//!   Reading ───────────────────────▼
//!   samples ──► cross-check ──► Judge ──► Judgement: state, reason, since, findings
//!                (software decoder)
//! ```
//!
//! A figure that cannot be read is a finding, never a figure in order.

mod address;
mod cross_check;
mod judge;
mod latency;
mod reading;
mod rules;
mod series;
mod settings;
mod state;
mod thresholds;
mod verdict;

pub use address::{AddressError, CardAddress};
pub use cross_check::{CrossCheck, CrossCheckCounts, Mismatch, Sample};
pub use judge::Judge;
pub use latency::{LATENCY_BOUNDS_NS, LatencyHistogram};
pub use reading::{Card, Link, Reading, Statistics};
pub use settings::{EccTrend, Settings, SettingsError, TemperatureTrend};
pub use state::{Finding, Judgement, Reason, State};
pub use thresholds::{Band, Direction, Limit, Signal};
pub use verdict::Verdict;
