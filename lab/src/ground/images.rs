//! Brings images into a center's containerd: only those that it does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::components::CONTAINERD_SOCKET;

/// containerd's folder in a center.
const CONTAINERD_FOLDER: &str = "/var/lib/containerd";
/// What was imported from which archive; in containerd's own folder, so that both are lost or kept
/// together.
const IMPORTED: &str = "tricenter-imported.json";

/// An image and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The full name, with registry and tag.
    pub reference: String,
    /// The archive, as the center sees it. Its name carries a digest of its content.
    pub archive: PathBuf,
}

/// Which images of a list must be imported. Pure.
#[must_use]
pub fn missing<'a>(
    wanted: &'a [Image],
    imported: &BTreeMap<String, PathBuf>,
    present: &BTreeSet<String>,
) -> Vec<&'a Image> {
    wanted
        .iter()
        .filter(|image| {
            !present.contains(&image.reference)
                || imported.get(&image.reference) != Some(&image.archive)
        })
        .collect()
}

/// `lab center-images`: the job in a center that imports what is missing.
pub fn import(list: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(list)
        .with_context(|| format!("failed to read {}", list.display()))?;
    let wanted: Vec<Image> = serde_json::from_str(&text)
        .with_context(|| format!("failed to understand {}", list.display()))?;
    let present: BTreeSet<String> = ctr(&["images", "list", "--quiet"])?
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let folder = Path::new(CONTAINERD_FOLDER);
    // Without the note everything is imported again, which only takes time.
    let mut imported: BTreeMap<String, PathBuf> = std::fs::read_to_string(folder.join(IMPORTED))
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    for image in missing(&wanted, &imported.clone(), &present) {
        let started = std::time::Instant::now();
        ctr(&[
            "images",
            "import",
            "--digests=false",
            &image.archive.display().to_string(),
        ])?;
        println!(
            "imported {} in {} ms",
            image.reference,
            started.elapsed().as_millis()
        );
        imported.insert(image.reference.clone(), image.archive.clone());
        write_note(folder, &imported)?;
    }
    Ok(())
}

/// Notes in containerd's folder what was imported from where.
pub fn write_note(
    containerd_folder: &Path,
    imported: &BTreeMap<String, PathBuf>,
) -> anyhow::Result<()> {
    let path = containerd_folder.join(IMPORTED);
    std::fs::write(&path, serde_json::to_string(imported)?)
        .with_context(|| format!("failed to write {}", path.display()))
}

fn ctr(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("ctr")
        .args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"])
        .args(arguments)
        .output()
        .context("failed to run ctr; install containerd")?;
    anyhow::ensure!(
        output.status.success(),
        "failed to run ctr {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_that_are_absent_or_changed_are_imported() {
        let image = |reference: &str, archive: &str| Image {
            reference: reference.into(),
            archive: archive.into(),
        };
        let wanted = [
            image("a:1", "/x/1.tar"),
            image("b:1", "/x/2.tar"),
            image("c:1", "/x/3.tar"),
        ];
        let imported = BTreeMap::from([
            ("a:1".to_owned(), PathBuf::from("/x/1.tar")),
            ("b:1".to_owned(), PathBuf::from("/x/old.tar")),
            ("c:1".to_owned(), PathBuf::from("/x/3.tar")),
        ]);
        // c's note is there but containerd has lost it.
        let present = BTreeSet::from(["a:1".to_owned(), "b:1".to_owned()]);
        let names: Vec<_> = missing(&wanted, &imported, &present)
            .into_iter()
            .map(|image| image.reference.as_str())
            .collect();
        assert_eq!(names, ["b:1", "c:1"]);
    }
}
