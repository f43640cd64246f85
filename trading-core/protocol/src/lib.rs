//! The core's protocols, and their conversion from and to [`types`]: gRPC, and the binary order
//! protocol beside it.
//!
//! `order` is what clients and gateways speak; `admin` is what operators, gateways, the lab and the
//! terminal UI ask of a replica; their `.proto` files under `proto/` are the reference. [`binary`] is
//! order entry in frames of fixed layout; its reference is `BINARY.md`.
//!
//! ```text
//!   order::ClientMessage ──order_entry::read──► Inbound (types::Request, types::ClientSeq)
//!   order::ServerMessage ◄──order_entry::answer── types::Event
//!   binary::Frame ─────────binary::read_client──► Inbound
//!   bytes of frames ◄──────binary::write_event── types::Event
//!   admin::ControlRequest ◄──administration──► types::Control
//! ```
//!
//! What cannot be read is a [`BadField`]: it names the field, the value and what is accepted.

pub mod administration;
mod bad_field;
pub mod binary;
mod control_words;
pub mod membership;
pub mod operations;
pub mod order_entry;
#[cfg(test)]
mod samples;

pub use bad_field::BadField;

/// Order entry.
pub mod order {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("tricenter.order.v1");
}

/// Administration.
pub mod admin {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("tricenter.admin.v1");
}
