//! The terminal UI.
//!
//! ```text
//!   watch (tasks) ──Message──► bounded queue ──► update ──► Model ──► view ──► screen
//!     replicas, API servers,                       │
//!     Toxiproxy, the lab's files                   └─Effect──► terminal (the shell)
//! ```
//!
//! [`model`], [`update`] and [`view`] are pure; [`watch`] and [`terminal`] are the shell.

pub mod forced_move;
pub mod language;
pub mod model;
pub mod planned_move;
pub mod report;
pub mod sources;
pub mod status;
pub mod terminal;
pub mod update;
pub mod view;
pub mod watch;

#[cfg(test)]
mod scenes;
