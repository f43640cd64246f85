//! Whether there is room on the disks for what is about to be built.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::golang::Go;
use crate::part::Part;
use crate::recipe::{Source, source_of};

const MIB: u64 = 1024 * 1024;

/// Room that a recipe takes when nothing is there yet, as measured on an empty machine and
/// rounded up by about a quarter.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Modules that Go fetches.
    modules_mib: u64,
    /// What Go keeps of the compilation.
    compiled_mib: u64,
    /// What stays in our cache, images included.
    kept_mib: u64,
}

/// A disk that is too small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// A folder on it.
    pub folder: PathBuf,
    pub needed_mib: u64,
    pub free_mib: u64,
}

/// The disks that are too small to build `parts` on, nothing being there yet.
pub(crate) fn shortages(parts: &[Part], cache: &Path, go: &Go) -> Vec<Shortage> {
    let needs = needs(parts);
    let folders = [
        (cache, needs.kept_mib),
        (go.build_cache(), needs.compiled_mib),
        (go.module_cache(), needs.modules_mib),
    ];
    // Folders on one disk need their room together.
    let mut disks: BTreeMap<u64, Shortage> = BTreeMap::new();
    for (folder, needed_mib) in folders {
        let existing = existing(folder);
        let Ok(metadata) = fs::metadata(existing) else {
            continue;
        };
        let Ok(disk) = rustix::fs::statvfs(existing) else {
            continue;
        };
        let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) / MIB;
        let new = Shortage {
            folder: folder.to_owned(),
            needed_mib: 0,
            free_mib,
        };
        disks.entry(metadata.dev()).or_insert(new).needed_mib += needed_mib;
    }
    disks
        .into_values()
        .filter(|disk| disk.needed_mib > disk.free_mib)
        .collect()
}

/// The room of all recipes that the parts come from, each counted once.
fn needs(parts: &[Part]) -> Room {
    let mut recipes: Vec<Option<&str>> = parts
        .iter()
        .map(|part| match source_of(*part) {
            Source::Go(recipe, _) => Some(recipe.name),
            Source::Wheel => None,
        })
        .collect();
    recipes.sort_unstable();
    recipes.dedup();
    let none = Room {
        modules_mib: 0,
        compiled_mib: 0,
        kept_mib: 0,
    };
    recipes
        .into_iter()
        .map(measured)
        .fold(none, |sum, room| Room {
            modules_mib: sum.modules_mib + room.modules_mib,
            compiled_mib: sum.compiled_mib + room.compiled_mib,
            kept_mib: sum.kept_mib + room.kept_mib,
        })
}

fn measured(recipe: Option<&str>) -> Room {
    let (modules_mib, compiled_mib, kept_mib) = match recipe {
        Some("kubernetes") => (700, 2000, 600),
        Some("etcd") => (100, 300, 60),
        Some("coredns") => (300, 600, 120),
        Some("envoy-gateway") => (700, 1800, 300),
        Some("helm") => (500, 1200, 80),
        Some("toxiproxy") => (30, 100, 20),
        Some(_) => (0, 60, 20),
        None => (0, 0, 400),
    };
    Room {
        modules_mib,
        compiled_mib,
        kept_mib,
    }
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_counts_once_however_many_of_its_parts_are_built() {
        let one = needs(&[Part::Kubelet]);
        let two = needs(&[Part::Kubelet, Part::Etcd, Part::Kubectl]);
        let etcd = needs(&[Part::Etcd]);
        assert_eq!(two.compiled_mib, one.compiled_mib + etcd.compiled_mib);
        assert_eq!(needs(&[]).kept_mib, 0);
    }

    #[test]
    fn the_nearest_folder_that_exists_is_asked() {
        let folder = tempfile::tempdir().expect("temp dir");
        assert_eq!(existing(&folder.path().join("not/yet")), folder.path());
    }
}
