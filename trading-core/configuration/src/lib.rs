//! A process's configuration file: read, checked, and refused in words that say what to do.
//!
//! ```text
//!   file ─► bytes ─► form (JSON, known fields only) ─► values (Checked::check) ─► the configuration
//!             │               │                             │
//!        Unreadable       Malformed: the field          Value: the field, what stands there,
//!                                                       what would be accepted
//! ```

use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A configuration that knows which values it accepts.
pub trait Checked: DeserializeOwned {
    /// Checks what the file's form cannot.
    ///
    /// # Errors
    /// [`BadValue`] for the first field that cannot be.
    fn check(&self) -> Result<(), BadValue>;
}

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value} is not accepted: {accepted}")]
pub struct BadValue {
    /// The field's path.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error(
        "failed to read the configuration {path}: {source}: name a file that is there and readable"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("failed to read the configuration {path}: field {field}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The field at which reading ended; `.` for the whole.
        field: String,
        /// Why, with line, column and what is accepted.
        source: serde_json::Error,
    },
    /// A value cannot be.
    #[error("failed to accept the configuration {path}: {bad}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which value, and what would be accepted.
        bad: BadValue,
    },
}

/// Reads and checks a file.
///
/// # Errors
/// [`ConfigurationError`], naming the file and the field.
pub fn read<C: Checked>(path: &Path) -> Result<C, ConfigurationError> {
    Ok(read_with_bytes(path)?.0)
}

/// The same, with the file's bytes, for who keeps their digest.
///
/// # Errors
/// As [`read`].
pub fn read_with_bytes<C: Checked>(path: &Path) -> Result<(C, Vec<u8>), ConfigurationError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigurationError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let configuration: C = parse(path, &bytes)?;
    configuration
        .check()
        .map_err(|bad| ConfigurationError::Value {
            path: path.to_owned(),
            bad,
        })?;
    Ok((configuration, bytes))
}

fn parse<C: Checked>(path: &Path, bytes: &[u8]) -> Result<C, ConfigurationError> {
    let malformed = |field: String, source| ConfigurationError::Malformed {
        path: path.to_owned(),
        field,
        source,
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let configuration = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| malformed(error.path().to_string(), error.into_inner()))?;
    json.end().map_err(|error| malformed(".".into(), error))?;
    Ok(configuration)
}

/// Refuses a field's value, saying what would be accepted.
///
/// # Errors
/// Always: [`BadValue`].
pub fn refuse(
    field: impl Into<String>,
    value: impl Display,
    accepted: impl Into<String>,
) -> Result<(), BadValue> {
    Err(BadValue {
        field: field.into(),
        value: value.to_string(),
        accepted: accepted.into(),
    })
}

/// Accepts a number within bounds.
///
/// # Errors
/// [`BadValue`] that names the bounds.
pub fn within(field: &str, value: u64, bounds: RangeInclusive<u64>) -> Result<(), BadValue> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let accepted = format!("use {} to {}", bounds.start(), bounds.end());
    refuse(field, value, accepted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Kettle {
        limits: Limits,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        cups_max: u64,
    }

    impl Checked for Kettle {
        fn check(&self) -> Result<(), BadValue> {
            within("limits.cups_max", self.limits.cups_max, 1..=9)
        }
    }

    fn read_text(text: &str) -> (PathBuf, Result<Kettle, ConfigurationError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kettle.json");
        std::fs::write(&path, text).unwrap();
        let read = read(&path);
        (path, read)
    }

    #[test]
    fn what_is_good_is_read_and_its_bytes_are_given() {
        let (_, kettle) = read_text(r#"{"limits": {"cups_max": 4}}"#);
        assert_eq!(kettle.unwrap().limits.cups_max, 4);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kettle.json");
        let text = br#" {"limits": {"cups_max": 4}} "#;
        std::fs::write(&path, text).unwrap();
        let (_, bytes) = read_with_bytes::<Kettle>(&path).unwrap();
        assert_eq!(bytes, text);
    }

    #[test]
    fn a_bad_value_is_told_with_file_field_value_and_what_is_accepted() {
        let (path, read) = read_text(r#"{"limits": {"cups_max": 10}}"#);
        assert_eq!(
            read.unwrap_err().to_string(),
            format!(
                "failed to accept the configuration {}: limits.cups_max 10 is not accepted: \
                 use 1 to 9",
                path.display()
            )
        );
    }

    #[test]
    fn a_wrong_form_is_told_with_file_field_and_place() {
        for (text, field, why) in [
            (
                r#"{"limits": {"cups_max": "four"}}"#,
                "field limits.cups_max: ",
                "line 1",
            ),
            (
                r#"{"limits": {"cups": 4}}"#,
                "field limits.cups: ",
                "unknown field `cups`, expected `cups_max`",
            ),
            (
                r#"{"limits": {"cups_max": 4}} {}"#,
                "field .: ",
                "trailing characters",
            ),
            ("", "field .: ", "EOF"),
        ] {
            let (path, read) = read_text(text);
            let error = read.unwrap_err().to_string();
            let begin = format!("failed to read the configuration {}: ", path.display());
            assert!(error.starts_with(&begin), "{error}");
            assert!(error.contains(field) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told_with_its_path() {
        let path = Path::new("/nowhere/kettle.json");
        let error = read::<Kettle>(path).unwrap_err().to_string();
        assert!(error.contains("/nowhere/kettle.json: "), "{error}");
        assert!(
            error.ends_with("name a file that is there and readable"),
            "{error}"
        );
    }
}
