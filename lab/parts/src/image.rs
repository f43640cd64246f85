//! Images: one layer in an archive of docker-save's form, the same bytes for the same content.
//!
//! ```text
//!  archive.tar ─┬─ manifest.json     name, and which files below belong to it
//!               ├─ <digest>.json     entrypoint, user, environment, labels
//!               └─ <digest>.tar      the layer: folders, then files, sorted, no times
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::cache::{CacheDir, CacheError, EntryPath, Key, file_digest, file_error, hexadecimal};
use crate::part::Part;
use crate::process::Stop;

/// The sandbox of every pod.
pub const PAUSE_IMAGE: &str = "docker.io/tricenter/pause:1";
/// Cluster DNS.
pub const COREDNS_IMAGE: &str = "docker.io/tricenter/coredns:1.14.7";
/// The proxy; an `EnvoyProxy` object or the gateway's configuration names it.
pub const ENVOY_IMAGE: &str = "docker.io/tricenter/envoy:1.40.0";
/// The gateway's controller, its certificate job and its shutdown manager.
pub const ENVOY_GATEWAY_IMAGE: &str = "docker.io/tricenter/envoy-gateway:1.9.1";
/// User and group of images that need no privilege.
pub const NON_ROOT_USER: &str = "65532:65532";

/// Where our own images are named; nothing is ever pulled from there.
const OWN_PREFIX: &str = "docker.io/tricenter";
/// Where the container runtime looks for a command without a path.
const PATH_VARIABLE: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file that should go in cannot be read.
    #[error("failed to read {} for image {image}: {source}; build it first", path.display())]
    Read {
        /// The image.
        image: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("failed to write the archive of image {image}: {source}")]
    Write {
        /// The image.
        image: String,
        /// What the system said.
        source: io::Error,
    },
    /// A path in the image is not absolute or not plain.
    #[error(
        "failed to place {path:?} in image {image}: an absolute path without `.` or `..` is accepted"
    )]
    Target {
        /// The image.
        image: String,
        /// The path.
        path: String,
    },
    /// The libraries of a binary are not known.
    #[error("failed to find the libraries of {}: {text}; a glibc system with ldd is needed", binary.display())]
    Libraries {
        /// The binary.
        binary: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// A part that the image is made of was not built.
    #[error(
        "failed to make the image of {0}: it is not among the parts that were built; add it to them"
    )]
    NotBuilt(Part),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The images made of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// [`PAUSE_IMAGE`].
    Pause,
    /// [`COREDNS_IMAGE`].
    Coredns,
    /// [`ENVOY_IMAGE`].
    Envoy,
    /// [`ENVOY_GATEWAY_IMAGE`].
    EnvoyGateway,
}

impl Image {
    /// Every image.
    pub const ALL: [Self; 4] = [Self::Pause, Self::Coredns, Self::Envoy, Self::EnvoyGateway];

    /// The part that the image is made of.
    #[must_use]
    pub const fn part(self) -> Part {
        match self {
            Self::Pause => Part::Pause,
            Self::Coredns => Part::Coredns,
            Self::Envoy => Part::Envoy,
            Self::EnvoyGateway => Part::EnvoyGateway,
        }
    }

    /// The full name, as pods name it.
    #[must_use]
    pub const fn reference(self) -> &'static str {
        match self {
            Self::Pause => PAUSE_IMAGE,
            Self::Coredns => COREDNS_IMAGE,
            Self::Envoy => ENVOY_IMAGE,
            Self::EnvoyGateway => ENVOY_GATEWAY_IMAGE,
        }
    }

    /// What goes in. `binary` is the part's, `digest` stands for its content.
    pub(crate) fn spec(self, binary: &Path, digest: &str) -> Result<ImageSpec, ImageError> {
        let (to, user) = match self {
            Self::Pause => ("/pause", NON_ROOT_USER),
            // Port 53 takes a privilege; a pod that grants it otherwise may name another user.
            Self::Coredns => ("/coredns", "0:0"),
            Self::Envoy => ("/usr/local/bin/envoy", NON_ROOT_USER),
            Self::EnvoyGateway => ("/usr/local/bin/envoy-gateway", NON_ROOT_USER),
        };
        let mut files = vec![ImageFile {
            digest: Some(digest.to_owned()),
            ..ImageFile::executable(binary, to)
        }];
        if self == Self::Envoy {
            files.extend(libraries(binary)?);
        }
        let (name, tag) = self
            .reference()
            .rsplit_once(':')
            .unwrap_or((self.reference(), "latest"));
        Ok(ImageSpec {
            name: name.to_owned(),
            tag: Some(tag.to_owned()),
            entrypoint: vec![to.to_owned()],
            files,
            // The shutdown manager tells Envoy's probe through a file in there.
            folders: vec![("/tmp".to_owned(), 0o1777)],
            user: user.to_owned(),
            labels: BTreeMap::new(),
        })
    }
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is on this machine.
    pub from: PathBuf,
    /// Where it is in the image.
    pub to: String,
    /// Its permissions.
    pub mode: u32,
    /// What stands for its content, where that is known without reading it.
    pub(crate) digest: Option<String>,
}

impl ImageFile {
    /// A program or a library.
    #[must_use]
    pub fn executable(from: impl Into<PathBuf>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            mode: 0o755,
            digest: None,
        }
    }

    /// A file to be read.
    #[must_use]
    pub fn plain(from: impl Into<PathBuf>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            mode: 0o644,
            digest: None,
        }
    }
}

/// What an image is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// Full name without tag, registry included.
    pub name: String,
    /// The tag; none for one that stands for the content, so that a rebuild rolls out.
    pub tag: Option<String>,
    /// Program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The files.
    pub files: Vec<ImageFile>,
    /// Folders that must be there with certain permissions, beside those of the files.
    pub folders: Vec<(String, u32)>,
    /// User and group, as numbers.
    pub user: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// An image of one static binary of ours: `docker.io/tricenter/<name>:<digest of the content>`,
/// the binary as `/<name>`, not root, with a `/tmp`.
#[must_use]
pub fn own_image(name: &str, binary: &Path) -> ImageSpec {
    let to = format!("/{name}");
    ImageSpec {
        name: format!("{OWN_PREFIX}/{name}"),
        tag: None,
        entrypoint: vec![to.clone()],
        files: vec![ImageFile::executable(binary, to)],
        folders: vec![("/tmp".to_owned(), 0o1777)],
        user: NON_ROOT_USER.to_owned(),
        labels: BTreeMap::new(),
    }
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageArchive {
    /// Full name with tag, as pods name it.
    pub reference: String,
    /// The archive, for `ctr images import`.
    pub path: PathBuf,
}

impl ImageSpec {
    /// Makes the archive unless the cache has it.
    pub fn archive(&self, cache: &CacheDir) -> Result<ImageArchive, ImageError> {
        let key = self.key()?;
        let tag = self.tag.as_deref().unwrap_or(&key);
        let reference = format!("{}:{tag}", self.name);
        let short_name = self.name.rsplit('/').next().unwrap_or(&self.name);
        let entry = cache.entry("images", short_name, &key);
        entry.make(&Stop::default(), |entry| self.write(entry, &reference))?;
        Ok(ImageArchive {
            reference,
            path: entry.path.join("archive.tar"),
        })
    }

    /// The digest of everything that goes in.
    fn key(&self) -> Result<String, ImageError> {
        let mut key = Key::default()
            .field("archive 1")
            .field(&self.name)
            .field(self.tag.as_deref().unwrap_or_default())
            .field(&self.user);
        for argument in &self.entrypoint {
            key = key.field("argument").field(argument);
        }
        for (path, mode) in &self.folders {
            key = key.field("folder").field(path).field(mode.to_be_bytes());
        }
        for (name, value) in &self.labels {
            key = key.field("label").field(name).field(value);
        }
        for file in &self.files {
            let digest = match &file.digest {
                Some(digest) => digest.clone(),
                None => file_digest(&file.from).map_err(|error| self.read_error(file, error))?,
            };
            key = key
                .field("file")
                .field(&file.to)
                .field(file.mode.to_be_bytes())
                .field(digest);
        }
        Ok(key.finish())
    }

    fn read_error(&self, file: &ImageFile, source: io::Error) -> ImageError {
        ImageError::Read {
            image: self.name.clone(),
            path: file.from.clone(),
            source,
        }
    }

    fn write_error(&self) -> impl Fn(io::Error) -> ImageError {
        |source| ImageError::Write {
            image: self.name.clone(),
            source,
        }
    }

    fn write(&self, entry: &EntryPath, reference: &str) -> Result<(), ImageError> {
        let layer_path = entry.staging.join("layer.tar");
        self.write_layer(&layer_path)?;
        let layer_digest = file_digest(&layer_path).map_err(self.write_error())?;
        let config = self.config(&layer_digest).to_string();
        let config_name = format!("{}.json", hexadecimal(&Sha256::digest(&config)));
        let layer_name = format!("{layer_digest}.tar");
        let manifest =
            json!([{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]);
        let write = || -> io::Result<()> {
            let mut archive = Builder::new(File::create(entry.staging.join("archive.tar"))?);
            append_bytes(
                &mut archive,
                "manifest.json",
                manifest.to_string().as_bytes(),
            )?;
            append_bytes(&mut archive, &config_name, config.as_bytes())?;
            let mut layer = File::open(&layer_path)?;
            let mut header = header(EntryType::Regular, 0o644, layer.metadata()?.len());
            archive.append_data(&mut header, &layer_name, &mut layer)?;
            archive.finish()
        };
        write().map_err(self.write_error())?;
        fs::remove_file(&layer_path).map_err(file_error("remove", &layer_path))?;
        Ok(())
    }

    fn config(&self, layer_digest: &str) -> serde_json::Value {
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": self.user,
                "Entrypoint": self.entrypoint,
                "Env": [PATH_VARIABLE],
                "WorkingDir": "/",
                "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        })
    }

    fn write_layer(&self, path: &Path) -> Result<(), ImageError> {
        let mut folders: BTreeMap<String, u32> = BTreeMap::new();
        for file in &self.files {
            for parent in parents(self.inside(&file.to)?) {
                folders.entry(parent.to_owned()).or_insert(0o755);
            }
        }
        for (folder, mode) in &self.folders {
            let folder = self.inside(folder)?;
            for parent in parents(folder) {
                folders.entry(parent.to_owned()).or_insert(0o755);
            }
            folders.insert(folder.to_owned(), *mode);
        }
        let mut files: Vec<&ImageFile> = self.files.iter().collect();
        files.sort_by(|left, right| left.to.cmp(&right.to));

        let mut layer = Builder::new(File::create(path).map_err(self.write_error())?);
        for (folder, mode) in &folders {
            let mut header = header(EntryType::Directory, *mode, 0);
            layer
                .append_data(&mut header, format!("{folder}/"), io::empty())
                .map_err(self.write_error())?;
        }
        for file in files {
            let target = self.inside(&file.to)?;
            let mut source =
                File::open(&file.from).map_err(|error| self.read_error(file, error))?;
            let size = source
                .metadata()
                .map_err(|error| self.read_error(file, error))?
                .len();
            let mut header = header(EntryType::Regular, file.mode, size);
            layer
                .append_data(&mut header, target, &mut source)
                .map_err(self.write_error())?;
        }
        layer.finish().map_err(self.write_error())
    }

    /// A path in the image as it is in the layer: without the leading slash.
    fn inside<'a>(&self, path: &'a str) -> Result<&'a str, ImageError> {
        path.strip_prefix('/')
            .filter(|rest| rest.split('/').all(|name| !matches!(name, "" | "." | "..")))
            .ok_or_else(|| ImageError::Target {
                image: self.name.clone(),
                path: path.to_owned(),
            })
    }
}

/// All folders above a path, outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

/// A header that depends on nothing but what goes in.
fn header(entry_type: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append_bytes(archive: &mut Builder<File>, name: &str, bytes: &[u8]) -> io::Result<()> {
    archive.append_data(
        &mut header(EntryType::Regular, 0o644, bytes.len() as u64),
        name,
        bytes,
    )
}

/// The machine's name in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The libraries that a binary needs, at the paths where its loader looks for them.
fn libraries(binary: &Path) -> Result<Vec<ImageFile>, ImageError> {
    let error = |text: String| ImageError::Libraries {
        binary: binary.to_owned(),
        text,
    };
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .map_err(|source| error(source.to_string()))?;
    if !output.status.success() {
        return Err(error(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let paths = library_paths(&String::from_utf8_lossy(&output.stdout)).map_err(error)?;
    Ok(paths
        .into_iter()
        .map(|path| ImageFile::executable(&path, path.clone()))
        .collect())
}

/// Reads what ldd prints: `libm.so.6 => /lib/libm.so.6 (0x…)`, `/lib64/ld-linux… (0x…)`.
fn library_paths(text: &str) -> Result<BTreeSet<String>, String> {
    let mut paths = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if line.ends_with("not found") {
            return Err(format!("{line} on this machine"));
        }
        let place = line.split_once(" => ").map_or(line, |(_, place)| place);
        // The kernel's own library (linux-vdso) has no file.
        if let Some((path, _)) = place
            .split_once(" (")
            .filter(|(path, _)| path.starts_with('/'))
        {
            paths.insert(path.to_owned());
        }
    }
    if paths.is_empty() {
        Err("ldd named none".to_owned())
    } else {
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn scratch() -> (tempfile::TempDir, CacheDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temp dir");
        let cache = CacheDir::at(folder.path().join("cache"));
        let binary = folder.path().join("program");
        fs::write(&binary, "first").expect("written");
        (folder, cache, binary)
    }

    fn entries(archive: impl Read) -> Vec<(String, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let read = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.expect("entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read");
            assert_eq!(entry.header().mtime().expect("time"), 0);
            let path = entry.path().expect("path").display().to_string();
            (path, entry.header().mode().expect("mode"), bytes)
        };
        archive.entries().expect("entries").map(read).collect()
    }

    #[test]
    fn an_archive_holds_the_manifest_the_configuration_and_one_sorted_layer() {
        let (_folder, cache, binary) = scratch();
        let image = own_image("core", &binary).archive(&cache).expect("made");
        let files = entries(File::open(&image.path).expect("archive"));
        let manifest: serde_json::Value = serde_json::from_slice(&files[0].2).expect("manifest");
        assert_eq!(files[0].0, "manifest.json");
        assert_eq!(manifest[0]["RepoTags"][0], image.reference);
        assert_eq!(manifest[0]["Config"], files[1].0);
        assert_eq!(manifest[0]["Layers"][0], files[2].0);
        let config: serde_json::Value = serde_json::from_slice(&files[1].2).expect("config");
        assert_eq!(config["config"]["User"], NON_ROOT_USER);
        assert_eq!(config["config"]["Entrypoint"][0], "/core");
        let diff = format!("sha256:{}", hexadecimal(&Sha256::digest(&files[2].2)));
        assert_eq!(config["rootfs"]["diff_ids"][0], diff);
        let layer = entries(files[2].2.as_slice());
        let layer: Vec<(&str, u32)> = layer
            .iter()
            .map(|(path, mode, _)| (path.as_str(), *mode))
            .collect();
        assert_eq!(layer, [("tmp/", 0o1777), ("core", 0o755)]);
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_and_other_content_another_tag() {
        let (folder, cache, binary) = scratch();
        let first = own_image("core", &binary).archive(&cache).expect("made");
        let elsewhere = CacheDir::at(folder.path().join("elsewhere"));
        let again = own_image("core", &binary)
            .archive(&elsewhere)
            .expect("made");
        assert_eq!(first.reference, again.reference);
        let bytes = |image: &ImageArchive| fs::read(&image.path).expect("archive");
        assert_eq!(bytes(&first), bytes(&again));
        fs::write(&binary, "second").expect("written");
        let second = own_image("core", &binary).archive(&cache).expect("made");
        assert_ne!(first.reference, second.reference);
    }

    #[test]
    fn parents_come_before_their_files() {
        let (_folder, cache, binary) = scratch();
        let mut spec = own_image("core", &binary);
        spec.files.push(ImageFile::plain(&binary, "/etc/core/file"));
        let image = spec.archive(&cache).expect("made");
        let files = entries(File::open(image.path).expect("archive"));
        let layer = entries(files[2].2.as_slice());
        let paths: Vec<&str> = layer.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(
            paths,
            ["etc/", "etc/core/", "tmp/", "core", "etc/core/file"]
        );
    }

    #[test]
    fn a_path_that_leaves_the_image_is_refused() {
        let (_folder, cache, binary) = scratch();
        for path in ["relative", "/a/../b", "/a//b", "/"] {
            let mut spec = own_image("core", &binary);
            spec.files.push(ImageFile::plain(&binary, path));
            let error = spec.archive(&cache).expect_err(path).to_string();
            assert!(error.contains(&format!("{path:?}")), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let (folder, cache, _) = scratch();
        let spec = own_image("core", &folder.path().join("absent"));
        let error = spec.archive(&cache).expect_err("absent").to_string();
        assert!(
            error.contains("absent") && error.contains("build it first"),
            "{error}"
        );
    }

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths: Vec<String> = library_paths(text).expect("found").into_iter().collect();
        assert_eq!(paths, ["/lib/x/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(library_paths("\tlibx.so => not found\n").is_err());
        assert!(library_paths("\tstatically linked\n").is_err());
    }

    #[test]
    fn tags_are_the_pinned_versions() {
        for image in Image::ALL {
            let tag = image.reference().rsplit_once(':').map(|(_, tag)| tag);
            assert_eq!(tag, Some(image.part().version()));
        }
    }
}
