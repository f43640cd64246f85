//! Where the screen's figures come from: clusters that were named, or the lab on this machine.
//!
//! ```text
//!   --kubeconfig a1=… --kubeconfig a2=…  ─► API servers ─► TradingCore ─► replicas' addresses
//!   lab.json of the lab's state folder   ─► kubeconfigs, replicas, Toxiproxy, power, report.json
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::language::Language;
use crate::model::{Center, Link, Model};

/// The environment variable that names the lab's state folder.
pub const FOLDER_VARIABLE: &str = "TRICENTER_LAB_STATE";
/// The lab's state folder otherwise.
pub const FOLDER_DEFAULT: &str = "/var/lib/tricenter-lab";
/// The form of `lab.json` that is understood here.
const FORM: u32 = 1;

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No lab, no kubeconfig.
    #[error(
        "failed to find a lab: there is no {path}\n\n  make lab                          \
         starts three centers on this machine\n  tricenter tui --kubeconfig a1=FILE --kubeconfig \
         a2=FILE --kubeconfig b1=FILE\n                                    looks at clusters that \
         exist already"
    )]
    NoLab {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The lab's state cannot be read.
    #[error(
        "failed to read {path}: {source}; it is root's, so try `sudo make tui`, or give \
         --kubeconfig CENTER=FILE"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The lab's state is torn.
    #[error("failed to understand {path}: {source}; `make lab-down` and `make lab` make it anew")]
    Torn {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The lab's state is of another version.
    #[error(
        "failed to understand {path}: its form is {form}, accepted is {FORM}; use the `tricenter` \
         and the lab of the same version"
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// Its form.
        form: u32,
    },
    /// A `--kubeconfig` that is not `CENTER=FILE`.
    #[error(
        "failed to read --kubeconfig {value:?}: {reason}; accepted is CENTER=FILE, such as \
         a1=/etc/tricenter/a1.conf, each center once"
    )]
    Kubeconfig {
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A center and where it can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CenterSource {
    /// Its name.
    pub name: String,
    /// Its site, if already known.
    pub site: Option<String>,
    /// Its cluster.
    pub kubeconfig: PathBuf,
    /// Its replica's admin service, if already known.
    pub address: Option<String>,
}

/// A link and where its Toxiproxy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSource {
    /// Such as `a1-b1`.
    pub name: String,
    /// `host:port` of the control API.
    pub api_address: String,
}

/// Everything to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The centers, in the order in which they are shown.
    pub centers: Vec<CenterSource>,
    /// The lab's links.
    pub links: Vec<LinkSource>,
    /// The lab's state folder, when there is a lab.
    pub folder: Option<PathBuf>,
}

/// The parts of `lab.json` that are used here.
#[derive(Debug, Clone, Deserialize)]
pub struct LabFile {
    form: u32,
    centers: Vec<LabCenter>,
    links: Vec<LabLink>,
}

#[derive(Debug, Clone, Deserialize)]
struct LabCenter {
    name: String,
    site: String,
    kubeconfig: PathBuf,
    admin_address: String,
    process: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
struct LabLink {
    name: String,
    api_address: String,
}

impl LabFile {
    /// Where the file is in a state folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("lab.json")
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is not there, not readable, torn, or of another form.
    pub fn read(folder: &Path) -> Result<Self, SourceError> {
        let path = Self::path(folder);
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SourceError::NoLab { path: path.clone() },
            _ => SourceError::Unreadable {
                path: path.clone(),
                source,
            },
        })?;
        let file: Self = serde_json::from_str(&text).map_err(|source| SourceError::Torn {
            path: path.clone(),
            source,
        })?;
        if file.form != FORM {
            let form = file.form;
            return Err(SourceError::Form { path, form });
        }
        Ok(file)
    }

    /// The centers whose power is off, by name.
    #[must_use]
    pub fn powered_off(&self) -> Vec<String> {
        self.centers
            .iter()
            .filter(|center| center.process.is_none())
            .map(|center| center.name.clone())
            .collect()
    }
}

impl Sources {
    /// The sources that `--kubeconfig` names, or the lab's when none is named.
    ///
    /// # Errors
    /// [`SourceError`], which says what to do.
    pub fn find(kubeconfigs: &[String], folder: &Path) -> Result<Self, SourceError> {
        if kubeconfigs.is_empty() {
            return LabFile::read(folder).map(|file| Self::of_lab(file, folder));
        }
        let mut centers: Vec<CenterSource> = Vec::new();
        for value in kubeconfigs {
            let wrong = |reason| SourceError::Kubeconfig {
                value: value.clone(),
                reason,
            };
            let (name, file) = value
                .split_once('=')
                .ok_or_else(|| wrong("there is no `=`"))?;
            if name.is_empty() || file.is_empty() {
                return Err(wrong("the center or the file is empty"));
            }
            if centers.iter().any(|center| center.name == name) {
                return Err(wrong("this center was given before"));
            }
            if !Path::new(file).is_file() {
                return Err(wrong("there is no such file"));
            }
            centers.push(CenterSource {
                name: name.to_owned(),
                site: None,
                kubeconfig: PathBuf::from(file),
                address: None,
            });
        }
        Ok(Self {
            centers,
            links: Vec::new(),
            folder: None,
        })
    }

    fn of_lab(file: LabFile, folder: &Path) -> Self {
        Self {
            centers: file
                .centers
                .into_iter()
                .map(|center| CenterSource {
                    name: center.name,
                    site: Some(center.site),
                    kubeconfig: center.kubeconfig,
                    address: Some(center.admin_address),
                })
                .collect(),
            links: file
                .links
                .into_iter()
                .map(|link| LinkSource {
                    name: link.name,
                    api_address: link.api_address,
                })
                .collect(),
            folder: Some(folder.to_owned()),
        }
    }

    /// A model of these sources before any has spoken.
    #[must_use]
    pub fn model(&self, language: Language, has_colour: bool, now_us: u64) -> Model {
        let centers = self.centers.iter().map(|source| Center {
            site: source.site.clone(),
            address: source.address.clone(),
            has_cluster: true,
            ..Center::named(&source.name)
        });
        let links = self.links.iter().map(|source| Link {
            name: source.name.clone(),
            facts: crate::model::Observed::default(),
        });
        Model::new(
            centers.collect(),
            links.collect(),
            language,
            has_colour,
            now_us,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = r#"{"form": 1, "phase": "up", "since": "2026-11-24T12:00:00Z",
      "centers": [
        {"name": "a1", "site": "A", "kubeconfig": "/lab/a1/admin.conf",
         "admin_address": "10.99.0.11:30702", "process": {"pid": 7, "started_ticks": 9}},
        {"name": "b1", "site": "B", "kubeconfig": "/lab/b1/admin.conf",
         "admin_address": "10.99.0.13:30702", "process": null}],
      "links": [{"name": "a1-b1", "api_address": "127.0.0.1:17475", "proxies": []}]}"#;

    #[test]
    fn the_lab_tells_its_centers_links_and_power() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(LabFile::path(folder.path()), LAB).unwrap();
        let sources = Sources::find(&[], folder.path()).unwrap();
        assert_eq!(
            sources.centers[1].address.as_deref(),
            Some("10.99.0.13:30702")
        );
        assert_eq!(sources.links[0].api_address, "127.0.0.1:17475");
        let file = LabFile::read(folder.path()).unwrap();
        assert_eq!(file.powered_off(), ["b1"]);
    }

    #[test]
    fn without_a_lab_it_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let text = Sources::find(&[], folder.path()).unwrap_err().to_string();
        assert!(
            text.contains("make lab") && text.contains("--kubeconfig"),
            "{text}"
        );
    }

    #[test]
    fn wrong_kubeconfigs_are_refused_with_what_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a1.conf");
        std::fs::write(&file, "").unwrap();
        let good = format!("a1={}", file.display());
        for (values, reason) in [
            (vec!["a1".to_owned()], "no `=`"),
            (vec!["=x".to_owned()], "is empty"),
            (vec!["a1=/nowhere/at/all".to_owned()], "no such file"),
            (vec![good.clone(), good.clone()], "given before"),
        ] {
            let text = Sources::find(&values, folder.path())
                .unwrap_err()
                .to_string();
            assert!(
                text.contains(reason) && text.contains("CENTER=FILE"),
                "{text}"
            );
        }
        assert!(Sources::find(&[good], folder.path()).is_ok());
    }
}
