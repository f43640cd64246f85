//! What can go wrong between us and a Toxiproxy server.

/// A failed call of the control API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server did not answer, or not in time.
    #[error(
        "failed to reach toxiproxy at {url}: {source}; check that toxiproxy-server runs and that \
         its -host and -port are these"
    )]
    Unreachable {
        /// The address that was called.
        url: String,
        /// Why it failed.
        source: reqwest::Error,
    },
    /// The server answered with an error of its own.
    #[error("failed to {action}: toxiproxy answered {status}: {message}")]
    Refused {
        /// What was asked.
        action: String,
        /// The HTTP status: 404 for an unknown name, 409 for one that exists, 400 for a bad field.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// The server's answer could not be read.
    #[error(
        "failed to {action}: the answer is not what toxiproxy 2.x sends ({source}); versions 2.1 \
         and later are accepted"
    )]
    Unreadable {
        /// What was asked.
        action: String,
        /// Where reading stopped.
        source: serde_json::Error,
    },
    /// A value that the server would take and misread.
    #[error("failed to use {field} = {value}: {accepted}")]
    BadValue {
        /// The field at fault.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        accepted: &'static str,
    },
}

impl Error {
    /// Whether the server said that the proxy or toxic does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the server said that the name is taken.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }
}
