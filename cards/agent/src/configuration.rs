//! The agent's configuration file.

use std::path::{Path, PathBuf};

use card_health::{CardAddress, Settings, SettingsError};
use serde::{Deserialize, Serialize};

/// Which PCI devices are cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Model {
    /// The vendor as the kernel writes it, such as 0x1172.
    pub vendor: String,
    /// The device, such as 0x7c01.
    pub device: String,
}

/// What the agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Configuration {
    /// The models that are cards.
    pub models: Vec<Model>,
    /// Cards that must be there, even if they are not now. Others are known once they were seen.
    pub expected: Vec<CardAddress>,
    /// Time between two readings of a card, in milliseconds.
    pub read_every_ms: u64,
    /// How cards are judged.
    pub health: Settings,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            models: vec![Model {
                vendor: "0x1172".to_owned(),
                device: "0x7c01".to_owned(),
            }],
            expected: Vec::new(),
            read_every_ms: 100,
            health: Settings::default(),
        }
    }
}

/// Why the configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not the YAML of a configuration.
    #[error("failed to read {path}: {source}")]
    Form {
        /// Which.
        path: PathBuf,
        /// Why.
        source: crds::yaml::YamlError,
    },
    /// A setting of the health part is not accepted.
    #[error("health: {0}")]
    Health(#[from] SettingsError),
    /// Another setting is not accepted.
    #[error("failed to take the configuration: {field} = {value} is not accepted; {accepted}")]
    Setting {
        /// Which.
        field: String,
        /// What it is.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
}

impl Configuration {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigurationError`], which names what is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigurationError::File {
            path: path.to_owned(),
            source,
        })?;
        let read: Self =
            crds::yaml::read_one(&text).map_err(|source| ConfigurationError::Form {
                path: path.to_owned(),
                source,
            })?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let refuse = |field: String, value: &dyn ToString, accepted| {
            Err(ConfigurationError::Setting {
                field,
                value: value.to_string(),
                accepted,
            })
        };
        if !(10..=10_000).contains(&self.read_every_ms) {
            let accepted = "use 10 to 10000 milliseconds";
            return refuse("readEveryMs".to_owned(), &self.read_every_ms, accepted);
        }
        for (place, model) in self.models.iter().enumerate() {
            for (field, text) in [("vendor", &model.vendor), ("device", &model.device)] {
                let digits = text.strip_prefix("0x").unwrap_or_default();
                let is_id = digits.len() == 4
                    && digits
                        .bytes()
                        .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
                if !is_id {
                    let accepted = "use the kernel's form, 0x and four digits in lower case";
                    return refuse(format!("models[{place}].{field}"), text, accepted);
                }
            }
        }
        Ok(self.health.check()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cards.yaml");
        std::fs::write(&path, text).unwrap();
        Configuration::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let read = read("health: {approvedBitstreams: [b1], recoverMs: 100}").unwrap();
        assert_eq!(read.health.recover_ms, 100);
        assert_eq!(read.models, Configuration::default().models);
    }

    #[test]
    fn a_bad_field_is_named_with_what_is_accepted() {
        for (text, expected) in [
            (
                "readEveryMs: 1",
                "readEveryMs = 1 is not accepted; use 10 to 10000",
            ),
            (
                "models: [{vendor: '1172', device: '0x7c01'}]",
                "models[0].vendor = 1172",
            ),
            ("expected: ['81:00.0']", "domain:bus:device.function"),
            (
                "health: {stallMs: 1}",
                "stallMs = 1 is not accepted; use 10 to 60000",
            ),
            (
                "health: {limits: [{signal: temperature, bad: above}]}",
                "unknown variant `temperature`",
            ),
            ("colour: red", "unknown field `colour`, expected one of"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
