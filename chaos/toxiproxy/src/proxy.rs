//! A proxy: a listening address, where it leads, and the toxics on it.

use serde::{Deserialize, Serialize};

use crate::Toxic;

/// What is needed to make a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewProxy {
    /// Unique in its server.
    pub name: String,
    /// `address:port` that clients dial. Port 0 takes a free one; the answer tells which.
    pub listen: String,
    /// `host:port` that is dialled for each client.
    pub upstream: String,
    /// Whether it listens at once.
    pub enabled: bool,
}

impl NewProxy {
    /// An enabled proxy.
    pub fn new(
        name: impl Into<String>,
        listen: impl Into<String>,
        upstream: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            listen: listen.into(),
            upstream: upstream.into(),
            enabled: true,
        }
    }
}

/// A proxy as the server has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    /// Unique in its server.
    pub name: String,
    /// The address it really listens on.
    pub listen: String,
    /// Where it leads.
    pub upstream: String,
    /// A disabled proxy refuses new connections and has closed its old ones.
    pub enabled: bool,
    /// What spoils its connections now; empty on a healthy proxy.
    #[serde(default)]
    pub toxics: Vec<Toxic>,
}

impl Proxy {
    /// The toxic of that name, if the proxy carries it.
    #[must_use]
    pub fn toxic(&self, name: &str) -> Option<&Toxic> {
        self.toxics.iter().find(|toxic| toxic.name == name)
    }
}
