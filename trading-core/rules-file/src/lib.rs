//! Rule files: YAML to a checked [`RuleSet`]. The only crate of the core that knows YAML.
//!
//! ```text
//!   calendar.yaml ─┐
//!   shanghai.yaml ─┼─► read each, check each (the error names the file) ─► join ─► check all
//!   conduct.yaml ──┘
//! ```
//!
//! The engine takes rules in their compact form (`rules::encode`), so neither this crate nor the
//! YAML library is in its tree. The format is described in `trading-core/rules/README.md`.

use rules::{Calendar, Conduct, Enforcement, Market, RuleError, RuleSet, check_conduct};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of the file format. A reader refuses one that it does not know.
pub const FILE_FORMAT: u32 = 1;

/// Why files are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// A file cannot be read.
    #[error("failed to read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not YAML, or has a field or a value that is not known.
    #[error("{}: {path}: {source}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where the reader was.
        path: String,
        /// What it met, with line and column where it knows them.
        source: serde_yaml::Error,
    },
    /// A file is of another format.
    #[error(
        "{}: rules_format: {found} is not accepted: use {FILE_FORMAT}, or the tool of the version \
         that the file was written for",
        file.display()
    )]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// The format that stands there.
        found: u32,
    },
    /// A value cannot be.
    #[error("{}: {source}", file.display())]
    Unsound {
        /// The file.
        file: PathBuf,
        /// The value.
        source: RuleError,
    },
    /// The files contradict one another.
    #[error("the files together: {0}")]
    Contradiction(#[from] RuleError),
    /// Nothing or two files say what exactly one must.
    #[error("{section}: found in {found:?}: give it in exactly one file")]
    NotOnce {
        /// The section.
        section: &'static str,
        /// The files that have it.
        found: Vec<PathBuf>,
    },
}

/// One file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rules_format: u32,
    calendar: Option<Calendar>,
    #[serde(default)]
    markets: Vec<Market>,
    conduct: Option<Vec<Conduct>>,
}

/// Reads the files of one set of rules.
///
/// # Errors
/// [`RuleFileError`] with the file, the place, the value and what is accepted.
pub fn read(files: &[PathBuf]) -> Result<RuleSet, RuleFileError> {
    let texts: Result<Vec<_>, _> = files
        .iter()
        .map(|file| match std::fs::read_to_string(file) {
            Ok(text) => Ok((file.clone(), text)),
            Err(source) => Err(RuleFileError::Unreadable {
                file: file.clone(),
                source,
            }),
        })
        .collect();
    join(&texts?)
}

/// Joins files that are in memory, each with its name.
///
/// # Errors
/// As [`read`].
pub fn join(files: &[(PathBuf, String)]) -> Result<RuleSet, RuleFileError> {
    let mut calendars = Vec::new();
    let mut conducts = Vec::new();
    let mut markets = Vec::new();
    for (file, text) in files {
        let document = parse(file, text)?;
        calendars.extend(document.calendar.map(|calendar| (file, calendar)));
        conducts.extend(document.conduct.map(|conduct| (file, conduct)));
        markets.extend(document.markets);
    }
    let rules = RuleSet {
        calendar: only("calendar", calendars)?,
        markets,
        conduct: only("conduct", conducts)?,
        enforcement: Enforcement::Whole,
    };
    rules.check()?;
    Ok(rules)
}

fn parse(file: &Path, text: &str) -> Result<Document, RuleFileError> {
    let file = || file.to_owned();
    let reader = serde_yaml::Deserializer::from_str(text);
    let document: Document =
        serde_path_to_error::deserialize(reader).map_err(|error| RuleFileError::Malformed {
            file: file(),
            path: error.path().to_string(),
            source: error.into_inner(),
        })?;
    if document.rules_format != FILE_FORMAT {
        return Err(RuleFileError::UnknownFormat {
            file: file(),
            found: document.rules_format,
        });
    }
    let sound = || {
        if let Some(calendar) = &document.calendar {
            calendar.check("calendar")?;
        }
        for (index, market) in document.markets.iter().enumerate() {
            market.check(&format!("markets[{index}]"))?;
        }
        match &document.conduct {
            Some(conduct) => check_conduct(conduct, "conduct"),
            None => Ok(()),
        }
    };
    sound().map_err(|source| RuleFileError::Unsound {
        file: file(),
        source,
    })?;
    Ok(document)
}

fn only<T>(section: &'static str, found: Vec<(&PathBuf, T)>) -> Result<T, RuleFileError> {
    let (files, mut values): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    match (values.pop(), values.len()) {
        (Some(value), 0) => Ok(value),
        _ => Err(RuleFileError::NotOnce {
            section,
            found: files.into_iter().cloned().collect(),
        }),
    }
}
