//! What the ground is built of: programs, images and manifests, all from the cache of parts.
//!
//! ```text
//!   lab-parts ──► programs ──────────► bound into every center
//!            ├──► image archives ────► imported by every center
//!            └──► chart manifests ───► applied to every center
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lab_parts::{
    Built, CacheDir, Event, ImageArchive, Part, Parts, Purpose, Stop, build_own, check,
    install_packages, own_image,
};

use super::components::Programs;
use super::images::Image;
use crate::progress::Detail;

/// Where containerd's network plugins may be: Debian's folder, then that of everybody else.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Everything that the centers are made of, but for our own images.
#[derive(Debug, Clone)]
pub struct Materials {
    /// The programs that a center runs.
    pub programs: Programs,
    /// The images that every center has.
    pub images: Vec<Image>,
    /// The proxy of each link.
    pub toxiproxy: PathBuf,
    /// Renders our chart.
    pub helm: PathBuf,
    /// Envoy Gateway: its definitions, then itself.
    pub gateway: lab_parts::GatewayManifests,
    cache: CacheDir,
}

/// Our own images, by what runs in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnImages {
    /// Replicas and gateways.
    pub trading_core: Image,
    /// The operator.
    pub operator: Image,
}

impl OwnImages {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [Image; 2] {
        [self.trading_core.clone(), self.operator.clone()]
    }
}

/// Tells the parts' progress as a step's detail.
struct AsDetail(Detail);

impl lab_parts::Progress for AsDetail {
    fn report(&self, event: Event<'_>) {
        if let Event::Started {
            step,
            number,
            of,
            left,
        } = event
        {
            let left = left.map_or_else(String::new, |left: Duration| {
                format!(", about {} left", crate::progress::span(left))
            });
            self.0.set(format!("{step} ({number} of {of}{left})"));
        }
    }
}

/// Installs missing Debian packages and checks the machine. Blocks. The error lists all that is
/// missing and how to get it. Without `check_room` memory and disk are taken for enough, as where
/// a lab already runs.
pub fn check_machine(check_room: bool, detail: &Detail) -> anyhow::Result<Vec<&'static str>> {
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "failed to start the lab: not root; it makes namespaces, bridges and control groups, so \
         run it again with sudo"
    );
    detail.set("Debian packages");
    let installed = install_packages(Purpose::Lab)?;
    if !check_room {
        return Ok(installed);
    }
    let cache = CacheDir::from_environment()?;
    // Without Go nothing is known to be built, and the missing Go is among what is found.
    let to_build = Parts::open(cache.clone())
        .map_or_else(|_| Part::ALL.to_vec(), |parts| parts.missing(&Part::ALL));
    let missing = check(Purpose::Lab, &cache, &to_build);
    if missing.is_empty() {
        return Ok(installed);
    }
    let lines: Vec<String> = missing.iter().map(|it| format!("  {it}")).collect();
    anyhow::bail!(
        "failed to find all that the lab needs; missing:\n{}",
        lines.join("\n")
    )
}

/// Builds what the cache does not have yet; a warm call only compares keys. Blocks.
pub fn gather(detail: &Detail, stop: &Stop) -> anyhow::Result<Materials> {
    let cache = CacheDir::from_environment()?;
    let parts = Parts::open(cache.clone())?;
    let built = parts.build(&Part::ALL, &AsDetail(detail.clone()), stop)?;
    detail.set("images");
    let archives = lab_parts::Image::ALL
        .into_iter()
        .map(|image| built.image(image))
        .collect::<Result<Vec<_>, _>>()?;
    detail.set("manifests of Envoy Gateway");
    let gateway = built.envoy_gateway_manifests(stop)?;
    let programs = programs(&cache, &built)?;
    let images = archives
        .into_iter()
        .map(|archive| as_image(&programs, archive))
        .collect();
    Ok(Materials {
        images,
        toxiproxy: built.path(Part::Toxiproxy)?.to_owned(),
        helm: built.path(Part::Helm)?.to_owned(),
        gateway,
        programs,
        cache,
    })
}

/// kubectl from the cache, built if need be. Blocks.
pub fn kubectl(detail: &Detail, stop: &Stop) -> anyhow::Result<PathBuf> {
    let parts = Parts::open(CacheDir::from_environment()?)?;
    let built = parts.build(&[Part::Kubectl], &AsDetail(detail.clone()), stop)?;
    Ok(built.path(Part::Kubectl)?.to_owned())
}

fn programs(cache: &CacheDir, built: &Built) -> anyhow::Result<Programs> {
    let part = |part| built.path(part).map(Path::to_owned);
    let cni_folder = CNI_FOLDERS
        .into_iter()
        .map(PathBuf::from)
        .find(|folder| folder.join("ptp").exists() && folder.join("host-local").exists())
        .with_context(|| {
            format!(
                "failed to find the network plugins ptp and host-local in {}; install \
                 containernetworking-plugins",
                CNI_FOLDERS.join(" or ")
            )
        })?;
    Ok(Programs {
        parts_folder: cache.path().to_owned(),
        etcd: part(Part::Etcd)?,
        apiserver: part(Part::KubeApiserver)?,
        controller_manager: part(Part::KubeControllerManager)?,
        scheduler: part(Part::KubeScheduler)?,
        kubelet: part(Part::Kubelet)?,
        kube_proxy: part(Part::KubeProxy)?,
        containerd: find_program("containerd")?,
        cni_folder,
        pause_image: lab_parts::PAUSE_IMAGE.to_owned(),
    })
}

fn find_program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("failed to find {name} on PATH; install its package"))
}

fn as_image(programs: &Programs, archive: ImageArchive) -> Image {
    Image {
        reference: archive.reference,
        archive: programs.inside(&archive.path),
    }
}

impl Materials {
    /// Builds our own programs, static and optimised, and their images. Blocks; waits for other
    /// cargo runs in the same target folder.
    pub fn own_images(&self, detail: &Detail, stop: &Stop) -> anyhow::Result<OwnImages> {
        detail.set("trading-core and operator (cargo)");
        let built = build_own(
            &self.cache,
            workspace(),
            &["server", "operator"],
            &["trading-core", "tricenter-operator"],
            stop,
        )?;
        let image = |name: &str, binary: &str| {
            let path = built
                .path(binary)
                .with_context(|| format!("failed to find the binary {binary} that cargo built"))?;
            let mut spec = own_image(binary, path);
            spec.name = format!("docker.io/tricenter/{name}");
            anyhow::Ok(as_image(&self.programs, spec.archive(&self.cache)?))
        };
        detail.set("images");
        Ok(OwnImages {
            trading_core: image("trading-core", "trading-core")?,
            operator: image("operator", "tricenter-operator")?,
        })
    }
}

/// The workspace that this program was built from; its sources make the images and the chart.
#[must_use]
pub fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
