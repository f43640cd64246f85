//! Envoy Gateway's manifests: its own chart, which its module carries, rendered by Helm.
//!
//! ```text
//!  module's charts/gateway-helm ──copy──► values.tmpl.yaml, ${…} filled ──► values.yaml
//!                                                                   │
//!        charts/envoy-gateway-values.yaml (what the lab sets) ──────┴──► helm ──► crds.yaml
//!                                                                            └──► gateway.yaml
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cache::{CacheDir, CacheError, EntryPath, Key, file_error};
use crate::golang::{Go, write_sources};
use crate::image::ENVOY_GATEWAY_IMAGE;
use crate::part::Part;
use crate::process::{RunError, Stop, run_captured, tied_command};
use crate::recipe::{RECIPES, Recipe};

/// What the lab sets in the chart.
const VALUES: &str = include_str!("../charts/envoy-gateway-values.yaml");
/// The module that carries the chart, and where in it.
const MODULE: &str = "github.com/envoyproxy/gateway";
const CHART_IN_MODULE: &str = "charts/gateway-helm";
/// Where Envoy Gateway runs.
const NAMESPACE: &str = "envoy-gateway-system";

/// Why the manifests could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The pinned module has no such chart, or it cannot be read.
    #[error("failed to copy the chart from {}: {source}; does the pinned module still carry it?", path.display())]
    Copy {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The chart has a placeholder that we do not know.
    #[error(
        "failed to fill the chart's values: {placeholder} is unknown (known are ${{GatewayImage}} \
         and ${{GatewayImagePullPolicy}}); was the pinned version changed?"
    )]
    Placeholder {
        /// The unknown one.
        placeholder: String,
    },
    /// Go did not say where the module is.
    #[error("failed to find the folder of module {MODULE}: {0}")]
    Module(serde_json::Error),
    /// Helm or Go failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Envoy Gateway as files for `kubectl apply --server-side`, to be applied in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayManifests {
    /// The definitions of Gateway API's and Envoy Gateway's kinds.
    pub crds: PathBuf,
    /// Everything else: namespace first, certificate job last.
    pub gateway: PathBuf,
    /// The namespace in which it runs.
    pub namespace: &'static str,
}

/// Renders the manifests unless they are in the cache.
pub(crate) fn render(
    cache: &CacheDir,
    go: &Go,
    helm: &Path,
    stop: &Stop,
) -> Result<GatewayManifests, ChartError> {
    let entry = cache.entry("charts", "envoy-gateway", &key());
    entry.make(stop, |entry| render_into(entry, go, helm, stop))?;
    Ok(GatewayManifests {
        crds: entry.path.join("crds.yaml"),
        gateway: entry.path.join("gateway.yaml"),
        namespace: NAMESPACE,
    })
}

fn key() -> String {
    Key::default()
        .field("helm template 1")
        .field(Part::EnvoyGateway.version())
        .field(Part::Helm.version())
        .field(Part::KubeApiserver.version())
        .field(VALUES)
        .finish()
}

fn render_into(entry: &EntryPath, go: &Go, helm: &Path, stop: &Stop) -> Result<(), ChartError> {
    let work = entry.staging.join("work");
    fs::create_dir(&work).map_err(file_error("create", &work))?;
    let source = module_folder(&work, entry, go, stop)?.join(CHART_IN_MODULE);
    let chart = work.join("chart");
    copy_folder(&source, &chart).map_err(|error| ChartError::Copy {
        path: source,
        source: error,
    })?;

    let template = chart.join("values.tmpl.yaml");
    let text = fs::read_to_string(&template).map_err(|source| ChartError::Copy {
        path: template,
        source,
    })?;
    write(&chart.join("values.yaml"), &fill(&text)?)?;
    let values = work.join("lab.yaml");
    write(&values, VALUES)?;

    // `helm show crds` and `helm template` end with the same objects as one `helm template
    // --include-crds`, but apart: definitions must be known before objects of their kinds.
    let mut crds = helm_command(helm, &work);
    crds.args(["show", "crds"]).arg(&chart);
    run_captured(
        "helm show crds",
        crds,
        Some(&entry.staging.join("crds.yaml")),
        &entry.log,
        stop,
    )?;
    let mut gateway = helm_command(helm, &work);
    gateway
        .args(["template", "envoy-gateway"])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--skip-crds"])
        .args(["--kube-version", Part::KubeApiserver.version(), "--values"])
        .arg(&values);
    let rendered = work.join("gateway.yaml");
    run_captured("helm template", gateway, Some(&rendered), &entry.log, stop)?;
    let text = fs::read_to_string(&rendered).map_err(file_error("read", &rendered))?;
    write(&entry.staging.join("gateway.yaml"), &in_order(&text))?;
    fs::remove_dir_all(&work).map_err(file_error("remove", &work))?;
    Ok(())
}

/// Helm with folders of its own, so that a user's repositories and plugins do not matter.
fn helm_command(helm: &Path, work: &Path) -> std::process::Command {
    let mut command = tied_command(helm);
    let folders = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"];
    command.envs(folders.map(|name| (name, work.join("helm"))));
    command
}

/// The module's folder in Go's module cache; Go fetches it if it is not there.
fn module_folder(
    work: &Path,
    entry: &EntryPath,
    go: &Go,
    stop: &Stop,
) -> Result<PathBuf, ChartError> {
    #[derive(Deserialize)]
    struct Module {
        #[serde(rename = "Dir")]
        folder: PathBuf,
    }
    let sources = match recipe() {
        Some(recipe) => write_sources(recipe, work)?,
        None => work.to_owned(),
    };
    let mut command = go.command(&sources);
    command.args(["mod", "download", "-json", MODULE]);
    let answer = work.join("module.json");
    run_captured("go mod download", command, Some(&answer), &entry.log, stop)?;
    let bytes = fs::read(&answer).map_err(file_error("read", &answer))?;
    let module: Module = serde_json::from_slice(&bytes).map_err(ChartError::Module)?;
    Ok(module.folder)
}

fn recipe() -> Option<&'static Recipe> {
    RECIPES
        .iter()
        .find(|recipe| recipe.name == Part::EnvoyGateway.name())
}

/// Copies files' content only: the module cache is read-only, and the copy must not be.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CacheError> {
    fs::write(path, text).map_err(file_error("write", path))
}

/// Fills the template's placeholders; one that is not known is an error.
fn fill(template: &str) -> Result<String, ChartError> {
    let filled = template
        .replace("${GatewayImage}", ENVOY_GATEWAY_IMAGE)
        .replace("${GatewayImagePullPolicy}", "IfNotPresent");
    match filled.find("${") {
        None => Ok(filled),
        Some(start) => {
            let end = filled[start..]
                .find('}')
                .map_or(filled.len(), |length| start + length + 1);
            Err(ChartError::Placeholder {
                placeholder: filled[start..end].to_owned(),
            })
        }
    }
}

/// Puts the documents into an order in which each finds what it needs: the certificate job is
/// tried only twice, so its account and its rights must be there first. Helm leaves this to its
/// hooks, which nobody runs here.
fn in_order(text: &str) -> String {
    let mut documents: Vec<&str> = text
        .split("\n---\n")
        .map(|document| {
            document
                .strip_prefix("---\n")
                .unwrap_or(document)
                .trim_end()
        })
        .filter(|document| kind_of(document).is_some())
        .collect();
    documents.sort_by_key(|document| match kind_of(document) {
        Some("Namespace") => 0,
        Some("ServiceAccount") => 1,
        Some("Role" | "ClusterRole") => 2,
        Some("RoleBinding" | "ClusterRoleBinding") => 3,
        Some("Job") => 5,
        _ => 4,
    });
    documents.iter().fold(String::new(), |all, document| {
        all + "---\n" + document + "\n"
    })
}

fn kind_of(document: &str) -> Option<&str> {
    document
        .lines()
        .find_map(|line| line.strip_prefix("kind: "))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ENVOY_IMAGE;

    #[test]
    fn the_values_name_the_images_that_we_make() {
        for image in [ENVOY_GATEWAY_IMAGE, ENVOY_IMAGE] {
            assert!(VALUES.contains(&format!("image: {image}\n")), "{image}");
        }
    }

    #[test]
    fn placeholders_are_filled_and_unknown_ones_refused() {
        let filled = fill("image: ${GatewayImage}\n").expect("known");
        assert_eq!(filled, format!("image: {ENVOY_GATEWAY_IMAGE}\n"));
        let error = fill("x: ${NewThing}\n").expect_err("unknown").to_string();
        assert!(error.contains("${NewThing} is unknown"), "{error}");
    }

    #[test]
    fn documents_are_ordered_by_what_they_need_and_empty_ones_dropped() {
        let text = "---\n# Source: a\nkind: Job\nname: j\n---\n# nothing\n---\nkind: Role\n\
                    ---\nkind: Namespace\n---\nkind: Service\n---\nkind: ServiceAccount\n";
        let kinds: Vec<String> = in_order(text)
            .lines()
            .filter_map(|line| line.strip_prefix("kind: ").map(str::to_owned))
            .collect();
        assert_eq!(
            kinds,
            ["Namespace", "ServiceAccount", "Role", "Service", "Job"]
        );
    }
}
