//! A containerd folder with all images in it, made once, then linked into every new center: so a
//! boot imports nothing, and the page cache holds each program once for three centers.
//!
//! ```text
//!   archives ─import─▶ cache/image-stores/<key>/ ─hard links─▶ a1, a2, b1: /var/lib/containerd
//! ```
//!
//! What is linked is never written again: containerd names content by its digest and puts a
//! container's own files into a layer above. Its databases are copied.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::net::UnixStream;

use super::components::Programs;
use super::images::{self, Image};
use super::invocation::Invocation;
use crate::progress::Detail;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// A large image on a slow disk.
const IMPORT_LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

/// The store of these images, made unless it is there; older ones are removed.
pub async fn prepare(
    programs: &Programs,
    images: &[Image],
    detail: &Detail,
) -> anyhow::Result<PathBuf> {
    let folder = programs.parts_folder.join("image-stores");
    let key = key(images);
    let store = folder.join(&key);
    if store.exists() {
        return Ok(store);
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("failed to remove old stores in {}", folder.display()));
        }
        _ => {}
    }
    let staging = folder.join(format!("{key}.staging"));
    fs::create_dir_all(&staging)
        .with_context(|| format!("failed to create {}", staging.display()))?;
    fill(&staging, programs, images, detail).await?;
    fs::rename(staging.join("root"), &store)
        .with_context(|| format!("failed to finish {}", store.display()))?;
    fs::remove_dir_all(&staging)
        .with_context(|| format!("failed to remove {}", staging.display()))?;
    Ok(store)
}

fn key(images: &[Image]) -> String {
    let mut digest = Sha256::new();
    for image in images {
        // An archive's name carries a digest of its content.
        digest.update(format!("{} {}\n", image.reference, image.archive.display()));
    }
    digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn fill(
    staging: &Path,
    programs: &Programs,
    images: &[Image],
    detail: &Detail,
) -> anyhow::Result<()> {
    let (root, state) = (staging.join("root"), staging.join("run"));
    let socket = state.join("containerd.sock");
    let configuration = staging.join("containerd.toml");
    fs::write(
        &configuration,
        format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n"
        ),
    )?;
    let log = fs::File::create(staging.join("containerd.log"))?;
    // In a mount namespace of its own, so that whatever it mounts ends with it.
    let mut child = tokio::process::Command::new(crate::own_program()?)
        .args(["in-group", "image-store", "--", "unshare", "--mount"])
        .arg(&programs.containerd)
        .arg("--config")
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("failed to start containerd")?;
    let deadline = Instant::now() + START_LIMIT;
    while UnixStream::connect(&socket).await.is_err() {
        let ended = child.try_wait()?;
        anyhow::ensure!(
            ended.is_none() && Instant::now() < deadline,
            "failed to see containerd serve; its log is {}",
            staging.join("containerd.log").display()
        );
        tokio::time::sleep(POLL).await;
    }
    let mut imported = BTreeMap::new();
    for image in images {
        detail.set(&image.reference);
        let archive = programs.outside(&image.archive);
        Invocation::new(
            "ctr",
            [
                "--address",
                &socket.display().to_string(),
                "--namespace",
                "k8s.io",
                "images",
                "import",
                "--digests=false",
                &archive.display().to_string(),
            ],
        )
        .within(IMPORT_LIMIT)
        .perform()
        .await?;
        imported.insert(image.reference.clone(), image.archive.clone());
    }
    images::write_note(&root, &imported)?;
    if let Some(pid) = child.id() {
        Invocation::new("kill", ["-TERM", &pid.to_string()])
            .perform()
            .await?;
    }
    tokio::time::timeout(STOP_LIMIT, child.wait())
        .await
        .context("failed to see containerd end after its last import")??;
    Ok(())
}

/// Gives a center that has no images yet those of a store. Where links cannot be made, as between
/// file systems, copies.
pub fn furnish(store: &Path, containerd_folder: &Path) -> anyhow::Result<()> {
    if containerd_folder.exists() {
        return Ok(());
    }
    let draft = containerd_folder.with_extension("draft");
    clone_tree(store, &draft)
        .and_then(|()| fs::rename(&draft, containerd_folder))
        .with_context(|| {
            format!(
                "failed to bring the images of {} to {}",
                store.display(),
                containerd_folder.display()
            )
        })
}

fn clone_tree(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if metadata.is_dir() {
        fs::create_dir_all(to)?;
        lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
        fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            clone_tree(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let is_database = from.extension().is_some_and(|extension| extension == "db");
    if is_database || fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
        lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_shared_and_databases_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let store = scratch.path().join("store");
        fs::create_dir_all(store.join("blobs")).unwrap();
        fs::set_permissions(store.join("blobs"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(store.join("blobs/one"), "1").unwrap();
        fs::write(store.join("meta.db"), "2").unwrap();
        let center = scratch.path().join("center");
        furnish(&store, &center).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(
            inode(&center.join("blobs/one")),
            inode(&store.join("blobs/one"))
        );
        assert_ne!(
            inode(&center.join("meta.db")),
            inode(&store.join("meta.db"))
        );
        let mode = fs::metadata(center.join("blobs")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o1777);
    }

    #[test]
    fn other_content_makes_another_store() {
        let image = |archive: &str| Image {
            reference: "a:1".into(),
            archive: archive.into(),
        };
        assert_ne!(key(&[image("/x/1.tar")]), key(&[image("/x/2.tar")]));
        assert_eq!(key(&[image("/x/1.tar")]), key(&[image("/x/1.tar")]));
    }
}
