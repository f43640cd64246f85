//! The ground that the lab stands on: three centers and the network between them.

pub mod address_plan;
pub mod certificates;
pub mod cgroup;
pub mod components;
pub mod control;
pub mod images;
pub mod init;
pub mod invocation;
pub mod links;
pub mod network;
pub mod probe;
pub mod state;
pub mod supervisor;
pub mod volumes;
