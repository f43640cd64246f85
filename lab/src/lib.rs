//! Three real centers on one Linux machine: Kubernetes clusters, the links between them, and what
//! can be done to both.

pub mod ground;
pub mod load;
pub mod progress;
pub mod run;
