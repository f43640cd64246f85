//! Writes the definitions of all kinds into `deploy/helm/tricenter/crds` (or the folder given).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../deploy/helm/tricenter/crds"
            ))
        },
        PathBuf::from,
    );
    fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create folder {}", folder.display()))?;
    for file in crds::definitions() {
        let path = folder.join(file.name);
        fs::write(&path, crds::definition_text(&file.definition)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
