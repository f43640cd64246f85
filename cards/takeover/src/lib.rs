//! Messages of a feed from a card or from software: each once and in order, whatever becomes of the
//! card.
//!
//! ```text
//!   card's ring ───────────────► ┌──────────┐
//!                                │ Takeover │──► messages 1, 2, 3 … each once
//!   feed ─► software decoder ──► └──────────┘
//!             (kept warm)             ▲
//!   agent's verdict, own progress ────┘
//! ```
//!
//! The software decoder hears the feed all the time, and what it decoded is kept until the card has
//! handed on the same message: so a takeover is no start, it only stops to wait for the card.

mod takeover;

pub use takeover::{Counts, Effect, Event, Mode, Settings, SettingsError, Takeover, Why};
