//! The parts as one asks for them: make sure that they are built, then take their paths.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cache::{CacheDir, CacheError, EntryPath, Made, file_digest, file_error};
use crate::chart::{self, ChartError, GatewayManifests};
use crate::download::{DownloadError, envoy_key, fetch_envoy};
use crate::golang::{Go, GoError};
use crate::image::{Image, ImageArchive, ImageError};
use crate::part::Part;
use crate::process::{RunError, Stop};
use crate::progress::{Event, Progress};
use crate::recipe::{Source, source_of};
use crate::room::{Shortage, shortages};

/// Why the parts are not there.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// Go is missing or failed.
    #[error(transparent)]
    Go(#[from] GoError),
    /// Envoy could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A disk is too small.
    #[error(
        "failed to find room to build: the disk of {} has {free_mib} MiB free, {needed_mib} MiB \
         are needed; free some, or set TRICENTER_CACHE, GOCACHE or GOMODCACHE to a folder elsewhere",
        folder.display()
    )]
    Room {
        /// A folder on the disk.
        folder: PathBuf,
        /// What all that is to be built needs there.
        needed_mib: u64,
        /// What is free.
        free_mib: u64,
    },
    /// One was asked for that was not built.
    #[error(
        "failed to find the part {part}: it was not asked for (built are: {}); add it to the list \
         given to `Parts::build`",
        names(built)
    )]
    NotBuilt {
        /// The one asked for.
        part: Part,
        /// Those that were built.
        built: Vec<Part>,
    },
}

fn names(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| part.name())
        .collect::<Vec<_>>()
        .join(", ")
}

impl PartsError {
    /// Whether it was [`Stop`] that ended the work, not a failure.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(
            self,
            Self::Cache(CacheError::Stopped { .. })
                | Self::Go(
                    GoError::Run(RunError::Stopped) | GoError::Cache(CacheError::Stopped { .. })
                )
                | Self::Download(
                    DownloadError::Run(RunError::Stopped)
                        | DownloadError::Cache(CacheError::Stopped { .. })
                )
        )
    }
}

/// What is known of a part in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its pinned version.
    pub version: &'static str,
    /// The digest of its recipe.
    pub key: String,
    /// Where its binary is, or will be.
    pub path: PathBuf,
    /// Whether it is there.
    pub built: bool,
    /// What was noted when it was made.
    #[serde(flatten)]
    pub note: Option<Note>,
}

/// What is noted of a part when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// SHA-256 of the binary.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// How long it took to make.
    pub seconds: u64,
}

/// The cache and the means to fill it.
#[derive(Debug, Clone)]
pub struct Parts {
    cache: CacheDir,
    go: Go,
}

impl Parts {
    /// Opens the cache; nothing is built yet.
    pub fn open(cache: CacheDir) -> Result<Self, PartsError> {
        Ok(Self {
            cache,
            go: Go::find()?,
        })
    }

    /// The cache.
    #[must_use]
    pub const fn cache(&self) -> &CacheDir {
        &self.cache
    }

    fn key(&self, part: Part) -> String {
        match source_of(part) {
            Source::Go(recipe, target) => self.go.key(recipe, target),
            Source::Wheel => envoy_key(),
        }
    }

    fn entry(&self, part: Part) -> EntryPath {
        self.cache.entry("parts", part.name(), &self.key(part))
    }

    /// What is known of every part.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let describe = |part: Part| {
            let entry = self.entry(part);
            Entry {
                name: part.name(),
                version: part.version(),
                key: self.key(part),
                path: entry.path.join(part.name()),
                built: entry.exists(),
                note: read_note(&entry),
            }
        };
        Part::ALL.map(describe).to_vec()
    }

    /// Those of `parts` that are not in the cache, each once, in the order of building.
    #[must_use]
    pub fn missing(&self, parts: &[Part]) -> Vec<Part> {
        let wanted = |part: &Part| parts.contains(part) && !self.entry(*part).exists();
        Part::ALL.into_iter().filter(wanted).collect()
    }

    /// Makes those of `parts` that are not in the cache, one after the other.
    pub fn build(
        &self,
        parts: &[Part],
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Built, PartsError> {
        let missing = self.missing(parts);
        if let Some(Shortage {
            folder,
            needed_mib,
            free_mib,
        }) = shortages(&missing, self.cache.path(), &self.go)
            .into_iter()
            .next()
        {
            return Err(PartsError::Room {
                folder,
                needed_mib,
                free_mib,
            });
        }
        let seconds = self.cache.seconds();
        for (index, part) in missing.iter().enumerate() {
            let (step, number, of) = (part.name(), index + 1, missing.len());
            let left = time_left(&missing[index..], &seconds);
            progress.report(Event::Started {
                step,
                number,
                of,
                left,
            });
            let start = Instant::now();
            self.make(*part, stop)?;
            progress.report(Event::Finished {
                step,
                number,
                of,
                took: start.elapsed(),
            });
        }
        let paths = Part::ALL
            .into_iter()
            .filter(|part| parts.contains(part))
            .map(|part| (part, self.entry(part).path.join(part.name())))
            .collect();
        Ok(Built {
            parts: self.clone(),
            paths,
        })
    }

    fn make(&self, part: Part, stop: &Stop) -> Result<(), PartsError> {
        let entry = self.entry(part);
        let start = Instant::now();
        let made = entry.make(stop, |entry| -> Result<(), PartsError> {
            match source_of(part) {
                Source::Go(recipe, target) => self.go.build(recipe, target, entry, stop)?,
                Source::Wheel => fetch_envoy(entry, stop)?,
            }
            write_note(entry, part, start.elapsed().as_secs())?;
            Ok(())
        })?;
        if made == Made::Now {
            self.cache
                .remember_seconds(part.name(), start.elapsed().as_secs())?;
        }
        Ok(())
    }
}

/// How long the parts took on an earlier run; none if that is not known of one of them.
fn time_left(parts: &[Part], seconds: &BTreeMap<String, u64>) -> Option<Duration> {
    let known: Option<Vec<u64>> = parts
        .iter()
        .map(|part| seconds.get(part.name()).copied())
        .collect();
    known.map(|all| Duration::from_secs(all.iter().sum()))
}

fn write_note(entry: &EntryPath, part: Part, seconds: u64) -> Result<(), CacheError> {
    use std::os::unix::fs::PermissionsExt;
    let binary = entry.staging.join(part.name());
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .map_err(file_error("make executable", &binary))?;
    let sha256 = file_digest(&binary).map_err(file_error("read", &binary))?;
    let size_bytes = fs::metadata(&binary)
        .map_err(file_error("read", &binary))?
        .len();
    let note = Note {
        sha256,
        size_bytes,
        seconds,
    };
    let path = entry.staging.join("part.json");
    let text = serde_json::to_vec_pretty(&note)
        .map_err(|error| file_error("write", &path)(error.into()))?;
    fs::write(&path, text).map_err(file_error("write", &path))
}

fn read_note(entry: &EntryPath) -> Option<Note> {
    serde_json::from_slice(&fs::read(entry.path.join("part.json")).ok()?).ok()
}

/// Parts that are there.
#[derive(Debug, Clone)]
pub struct Built {
    parts: Parts,
    paths: BTreeMap<Part, PathBuf>,
}

impl Built {
    /// The part's binary.
    pub fn path(&self, part: Part) -> Result<&Path, PartsError> {
        let built = || self.paths.keys().copied().collect();
        self.paths
            .get(&part)
            .map(PathBuf::as_path)
            .ok_or_else(|| PartsError::NotBuilt {
                part,
                built: built(),
            })
    }

    /// The image made of a part; made on the first call, found in the cache by later ones.
    pub fn image(&self, image: Image) -> Result<ImageArchive, ImageError> {
        let part = image.part();
        let binary = self.paths.get(&part).ok_or(ImageError::NotBuilt(part))?;
        // The key stands for the binary: an entry of the cache never changes.
        image
            .spec(binary, &self.parts.key(part))?
            .archive(&self.parts.cache)
    }

    /// Envoy Gateway's manifests; rendered on the first call, which takes [`Part::Helm`].
    pub fn envoy_gateway_manifests(&self, stop: &Stop) -> Result<GatewayManifests, ManifestsError> {
        let helm = self.path(Part::Helm)?;
        Ok(chart::render(
            &self.parts.cache,
            &self.parts.go,
            helm,
            stop,
        )?)
    }

    /// The cache that all of this is in.
    #[must_use]
    pub const fn cache(&self) -> &CacheDir {
        &self.parts.cache
    }
}

/// Why there are no manifests.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// Helm is not there.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The chart could not be rendered.
    #[error(transparent)]
    Chart(#[from] ChartError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_known_only_when_that_of_every_part_is() {
        let seconds = BTreeMap::from([("etcd".to_owned(), 30), ("helm".to_owned(), 80)]);
        let left = |parts: &[Part]| time_left(parts, &seconds).map(|left| left.as_secs());
        assert_eq!(left(&[Part::Etcd, Part::Helm]), Some(110));
        assert_eq!(left(&[Part::Etcd, Part::Kubelet]), None);
    }
}
