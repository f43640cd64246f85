//! Reading scenarios. The only module that knows YAML.
//!
//! YAML is read into plain values first and into types from there, so that an error can name the
//! field by its path, and a fault that exists elsewhere and not here can be refused by its name.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fault::REFUSED;
use crate::scenario::Scenario;

/// Why a file is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or folder cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not YAML.
    #[error("failed to read {}: not YAML: {source}", file.display())]
    NotYaml {
        /// The file.
        file: PathBuf,
        /// Where it stopped.
        source: serde_yaml::Error,
    },
    /// A field or its value is not known.
    #[error("failed to read {}: field {field}: {source}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The path to the field.
        field: String,
        /// What it met and what is accepted.
        source: serde_json::Error,
    },
    /// A fault that this ground cannot do.
    #[error("failed to read {}: field {field}: {value:?} is refused: {instead}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The path to the field.
        field: String,
        /// The fault.
        value: String,
        /// Why, and what to use.
        instead: &'static str,
    },
}

/// A scenario and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The file.
    pub file: PathBuf,
    /// What it says.
    pub scenario: Scenario,
}

/// Reads one scenario from text; `file` is for errors.
///
/// # Errors
/// [`CatalogError`], naming file, field and value.
pub fn parse(file: &Path, text: &str) -> Result<Scenario, CatalogError> {
    let value: Value = serde_yaml::from_str(text).map_err(|source| CatalogError::NotYaml {
        file: file.to_owned(),
        source,
    })?;
    refuse_by_name(file, &value)?;
    serde_path_to_error::deserialize(value).map_err(|error| CatalogError::Malformed {
        file: file.to_owned(),
        field: error.path().to_string(),
        source: error.into_inner(),
    })
}

fn refuse_by_name(file: &Path, value: &Value) -> Result<(), CatalogError> {
    let faults = value["faults"].as_array();
    for (index, fault) in faults.into_iter().flatten().enumerate() {
        let Some(kinds) = fault["fault"].as_object() else {
            continue;
        };
        for kind in kinds.keys() {
            if let Some((name, instead)) = REFUSED.iter().find(|(name, _)| name == kind) {
                return Err(CatalogError::Refused {
                    file: file.to_owned(),
                    field: format!("faults[{index}].fault"),
                    value: (*name).to_owned(),
                    instead,
                });
            }
        }
    }
    Ok(())
}

/// Reads every `.yaml` file of a folder, in the order of their names. Each file that is bad has its
/// own error; the others are read all the same.
///
/// # Errors
/// When the folder itself cannot be read.
#[allow(
    clippy::type_complexity,
    reason = "the good and the bad, both wanted by every caller"
)]
pub fn read_folder(folder: &Path) -> Result<(Vec<Entry>, Vec<CatalogError>), CatalogError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CatalogError::Unreadable { path, source }
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unreadable(folder))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        let read = std::fs::read_to_string(&file)
            .map_err(unreadable(&file))
            .and_then(|text| parse(&file, &text));
        match read {
            Ok(scenario) => entries.push(Entry { file, scenario }),
            Err(error) => errors.push(error),
        }
    }
    Ok((entries, errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../tests/good.yaml");

    fn refused(text: &str) -> String {
        parse(Path::new("NET-001.yaml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_scenario_reads_back_as_it_was_written() {
        let scenario = parse(Path::new("NET-001.yaml"), GOOD).unwrap();
        let again = serde_yaml::to_string(&serde_json::to_value(&scenario).unwrap()).unwrap();
        assert_eq!(parse(Path::new("x"), &again).unwrap(), scenario);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_file_and_what_is_accepted() {
        let error = refused(&GOOD.replace("durationMs", "durationSeconds"));
        assert!(error.contains("NET-001.yaml"), "{error}");
        assert!(error.contains("faults[0]"), "{error}");
        assert!(
            error.contains("durationSeconds") && error.contains("durationMs"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_deep_inside_is_named_by_its_path() {
        let error = refused(&GOOD.replace("latencyMs: 80", "latencyMs: soon"));
        assert!(error.contains("faults[0].fault.link.toxic"), "{error}");
        assert!(error.contains("soon"), "{error}");
    }

    #[test]
    fn a_fault_that_the_kernel_lacks_is_refused_with_what_to_use_instead() {
        let error = refused(&GOOD.replace(
            "link: {on: {from: leader, to: nearFollower}, toxic: {latency: {latencyMs: 80}}}",
            "netem: {}",
        ));
        assert!(error.contains("\"netem\" is refused"), "{error}");
        assert!(error.contains("use `link`"), "{error}");
    }

    #[test]
    fn a_bad_id_says_what_one_looks_like() {
        let error = refused(&GOOD.replace("NET-001", "net-1"));
        assert!(
            error.contains("net-1") && error.contains("NET-001"),
            "{error}"
        );
    }

    #[test]
    fn one_bad_file_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("NET-001.yaml"), GOOD).unwrap();
        std::fs::write(folder.path().join("NET-002.yaml"), "id: 7").unwrap();
        let (entries, errors) = read_folder(folder.path()).unwrap();
        assert_eq!((entries.len(), errors.len()), (1, 1));
    }
}
