//! A typed client of the [Toxiproxy](https://github.com/Shopify/toxiproxy) 2.x control API.
//!
//! One Toxiproxy server carries named *proxies* (a listening address and where it leads); each
//! proxy carries *toxics* that spoil one direction of its connections.
//!
//! ```text
//!              upstream  ─────toxics────▶
//!  client ──▶ [ listen    proxy          ] ──▶ upstream server
//!              ◀────toxics─────  downstream
//! ```
//!
//! Plain HTTP only: the control API has no TLS and no authentication, so a server's API belongs on
//! a loopback address. The crates of the registry for this either come with OpenSSL through an old
//! HTTP client or with the whole proxy server; this one needs neither.

mod client;
mod error;
mod proxy;
mod toxic;

pub use client::Toxiproxy;
pub use error::Error;
pub use proxy::{NewProxy, Proxy};
pub use toxic::{Stream, Toxic, ToxicKind, Toxicity};
