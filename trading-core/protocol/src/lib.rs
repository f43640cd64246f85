//! The core's gRPC protocols, and their conversion from and to [`types`].
//!
//! `order` is what clients and gateways speak; `admin` is what operators, gateways, the lab and the
//! terminal UI ask of a replica. The `.proto` files under `proto/` are the reference.

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
