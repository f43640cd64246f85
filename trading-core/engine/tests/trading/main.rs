//! What each kind of order does and what each phase allows, case by case.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

mod kinds;
mod market;
mod phases;
