//! The compact binary order protocol: the same sessions, requests and reports as order entry over
//! gRPC ([`crate::order_entry`]), in frames of fixed layout over one TCP connection a session.
//!
//! ```text
//!   0        2      3         4       5       8                16
//!   │ length │ kind │ version │ flags │ zeros │ number         │ fields of the kind … │
//!                                               client_seq (client) or epoch (server)
//! ```
//!
//! `BINARY.md` beside this crate documents each byte. Numbers are little-endian. Reading takes
//! frames where they lie and allocates nothing but the text of an error; no bytes make it panic.
//!
//! - [`split`] finds the next whole frame in what a connection has received;
//! - [`read_client`] and [`write_logon`], [`write_request`], [`write_client_heartbeat`] are the
//!   client's half;
//! - [`read_server`] and [`write_event`] with its companions are the server's;
//! - [`Joined`] and [`write_message`] turn frames into the messages of gRPC and back, for a client
//!   session that speaks both.

mod bytes;
mod client;
mod frame;
mod layout;
mod messages;
mod server;
#[cfg(test)]
mod tests;

pub use client::{read_client, write_client_heartbeat, write_logon, write_request};
pub use frame::{FRAME_BYTES_MAX, Frame, FrameError, VERSION, split};
pub use messages::{JoinError, Joined, write_message};
pub use server::{
    EndCode, ReportBody, ReportHead, Said, read_server, write_bad_request, write_end, write_event,
    write_heartbeat,
};
