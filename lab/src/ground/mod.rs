//! The ground that the lab stands on: three centers and the network between them.

pub mod address_plan;
pub mod certificates;
pub mod cgroup;
pub mod cluster;
pub mod components;
pub mod control;
pub mod deploy;
pub mod down;
pub mod footprint;
pub mod image_store;
pub mod images;
pub mod init;
pub mod invocation;
pub mod links;
pub mod machine;
pub mod manifests;
pub mod materials;
pub mod network;
pub mod power;
pub mod probe;
pub mod state;
pub mod status;
pub mod supervisor;
pub mod up;
pub mod volumes;

pub use down::down;
pub use footprint::footprint;
pub use power::{
    center_off, center_on, container_processes, kill_container, start_component,
    start_control_plane, stop_component, stop_control_plane,
};
pub use up::{Extent, Outcome, up};
