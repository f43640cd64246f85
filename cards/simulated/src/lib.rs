//! A card that is not there: it keeps the kernel's files of a card alive under a root, and decodes
//! for real, in software, what a MoldUDP64 feed of ITCH sends it.
//!
//! ```text
//!   feed ──UDP──► Engine (software decoder) ──► ROOT/dev/decoder-ADDRESS (a Unix socket: the "ring")
//!                    │
//!   faults file ──►  ▼
//!   (card's own)   Tree ──► ROOT/sys/bus/pci/devices/ADDRESS/… (each file replaced whole)
//! ```
//!
//! A fault changes those files, or how the card decodes. Nobody but the card reads the file of faults.

mod engine;
mod fault;
mod frame;
mod tree;

pub use engine::{Engine, LatencyProfile, ProfileError};
pub use fault::{Fault, FaultError, Faults, read_faults, write_faults};
pub use frame::{FRAME_HEAD_BYTES, FRAME_MAX_BYTES, append_frame, take_frame};
pub use tree::{BITSTREAM, Shown, Tree, device_folder, socket_path};
