//! The replicas' disks: local persistent volumes on a center's own disk, which outlive its power.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::address_plan::Center;

/// Below the center's disk.
pub const FOLDER: &str = "volumes";
/// The storage class that replicas ask for.
pub const STORAGE_CLASS: &str = "lab-local";
/// Volumes a center: one for its replica, two for versions that run beside it.
const VOLUMES_PER_CENTER: u32 = 3;
/// The user that our images run as.
const OWNER: u32 = 65_532;
/// What a volume says of its size. Local volumes enforce none.
const CAPACITY: &str = "10Gi";

/// A volume's folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make volume {path}: {source}")]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

fn name(center: Center, number: u32) -> String {
    format!("{center}-volume-{number}")
}

/// Makes the folders, leaving what is in them.
pub fn create_folders(center: Center, disk: &Path) -> Result<(), Error> {
    for number in 1..=VOLUMES_PER_CENTER {
        let path = disk.join(FOLDER).join(name(center, number));
        let made = fs::create_dir_all(&path)
            .and_then(|()| chown(&path, Some(OWNER), Some(OWNER)))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o770)));
        made.map_err(|source| Error { path, source })?;
    }
    Ok(())
}

/// The storage class and the volumes, as objects for the center's API server.
#[must_use]
pub fn manifests(center: Center) -> Vec<Value> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    });
    std::iter::once(class)
        .chain((1..=VOLUMES_PER_CENTER).map(|number| volume(center, number)))
        .collect()
}

fn volume(center: Center, number: u32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name(center, number)},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            // As the kubelet of the center sees it.
            "local": {"path": format!("/var/{FOLDER}/{}", name(center, number))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{
                "key": "kubernetes.io/hostname",
                "operator": "In",
                "values": [center.node_name()],
            }]}]}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_belong_to_their_center() {
        let objects = manifests(Center::B1);
        assert_eq!(objects.len(), 4);
        let text = objects[3].to_string();
        assert!(
            text.contains("node-b1") && text.contains("/var/volumes/b1-volume-3"),
            "{text}"
        );
    }
}
