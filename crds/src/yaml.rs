//! Reading and writing objects as YAML: the only place that knows the YAML library.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why YAML could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// A document is not YAML, or not the kind that was expected.
    #[error("failed to read document {number} of the YAML: {source}")]
    Read {
        /// Which document, counted from 1.
        number: usize,
        /// What the reader said, with line and column where it knows them.
        source: serde_yaml::Error,
    },
    /// There is not exactly one document.
    #[error("failed to read the YAML: it has {count} documents, accepted is exactly one")]
    NotOne {
        /// How many there are.
        count: usize,
    },
    /// A value has no form in YAML.
    #[error("failed to write YAML: {0}")]
    Write(serde_yaml::Error),
}

/// Reads every document that is not empty.
///
/// # Errors
/// When a document is not YAML or not a `T`.
pub fn read_all<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    let mut read = Vec::new();
    for (position, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let failed = |source| YamlError::Read {
            number: position + 1,
            source,
        };
        // Through a value, so that a document of nothing but comments can be told from a bad one.
        let value =
            <serde_yaml::Value as serde::Deserialize>::deserialize(document).map_err(failed)?;
        if !value.is_null() {
            read.push(serde_yaml::from_value(value).map_err(failed)?);
        }
    }
    Ok(read)
}

/// Reads the one document there is.
///
/// # Errors
/// When there is another number of documents, or it is not a `T`.
pub fn read_one<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let mut all = read_all(text)?;
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (last, before) => Err(YamlError::NotOne {
            count: before + usize::from(last.is_some()),
        }),
    }
}

/// Writes one document.
///
/// # Errors
/// When the value has no form in YAML.
pub fn write<T: Serialize>(value: &T) -> Result<String, YamlError> {
    serde_yaml::to_string(value).map_err(YamlError::Write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn empty_documents_are_passed_over() {
        let all: Vec<Value> = read_all("# nothing\n---\na: 1\n---\nb: 2\n").unwrap();
        assert_eq!(all, vec![json!({"a": 1}), json!({"b": 2})]);
    }

    #[test]
    fn two_documents_are_not_one() {
        let error = read_one::<Value>("a: 1\n---\nb: 2\n").unwrap_err();
        assert!(error.to_string().contains("2 documents"), "{error}");
        assert!(read_one::<Value>("").is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let value = json!({"name": "core", "ports": [7001, 7002], "text": "yes"});
        assert_eq!(read_one::<Value>(&write(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn a_bad_document_is_named() {
        let error = read_all::<Value>("a: 1\n---\n[\n").unwrap_err();
        assert!(error.to_string().contains("document 2"), "{error}");
    }
}
