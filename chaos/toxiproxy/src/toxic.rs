//! The toxics, with the units that the server gives their fields.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Which way the spoiled data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// From the client to the upstream server.
    Upstream,
    /// From the upstream server to the client.
    Downstream,
}

/// How the data is spoiled. Times are milliseconds unless the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub enum ToxicKind {
    /// Passes data on after `latency_ms` ± `jitter_ms`, in order.
    Latency {
        /// The delay of each chunk.
        #[serde(rename = "latency")]
        latency_ms: u64,
        /// Drawn evenly from −jitter to +jitter; at most the latency, or it counts as no delay.
        #[serde(rename = "jitter")]
        jitter_ms: u64,
    },
    /// Limits the rate.
    Bandwidth {
        /// Kilobytes (1,000 bytes) a second. 0 stops the server's loop from ever sleeping, that is
        /// no limit at all, so it is refused here.
        #[serde(rename = "rate")]
        rate_kilobytes_per_second: u64,
    },
    /// Holds back the closing of a connection.
    SlowClose {
        /// How long.
        #[serde(rename = "delay")]
        delay_ms: u64,
    },
    /// Swallows all data. The connection stays open and silent, as with a cable pulled out.
    /// Removing the toxic closes the connections that were swallowed, since bytes are missing.
    Timeout {
        /// After this long the connection is closed; 0 never closes it.
        #[serde(rename = "timeout")]
        timeout_ms: u64,
    },
    /// Closes the connection with RST once data came.
    ResetPeer {
        /// How long after the first data; 0 at once.
        #[serde(rename = "timeout")]
        timeout_ms: u64,
    },
    /// Cuts data into small pieces.
    Slicer {
        /// Mean size of a piece.
        #[serde(rename = "average_size")]
        average_size_bytes: u32,
        /// Pieces vary by this much; must be less than the mean.
        #[serde(rename = "size_variation")]
        size_variation_bytes: u32,
        /// Pause between pieces. Microseconds, the only toxic that has them.
        #[serde(rename = "delay")]
        delay_us: u32,
    },
    /// Closes the connection after so much data.
    LimitData {
        /// Passed before the close.
        bytes: u64,
    },
}

impl ToxicKind {
    /// Refuses values that the server would take and act on otherwise than the reader expects.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Latency {
                latency_ms,
                jitter_ms,
            } if jitter_ms > latency_ms => Err(Error::BadValue {
                field: "jitter_ms",
                value: format!("{jitter_ms} with latency_ms {latency_ms}"),
                accepted: "a jitter is at most the latency, since a delay below 0 is none; \
                               raise the latency or lower the jitter",
            }),
            Self::Bandwidth {
                rate_kilobytes_per_second: 0,
            } => Err(Error::BadValue {
                field: "rate_kilobytes_per_second",
                value: "0".into(),
                accepted: "a rate is at least 1; to stop all data use Timeout { timeout_ms: 0 }",
            }),
            Self::Slicer {
                average_size_bytes,
                size_variation_bytes,
                ..
            } if size_variation_bytes >= average_size_bytes => Err(Error::BadValue {
                field: "size_variation_bytes",
                value: format!("{size_variation_bytes} with mean {average_size_bytes}"),
                accepted: "a variation is less than average_size_bytes",
            }),
            _ => Ok(()),
        }
    }
}

/// Which share of new connections a toxic strikes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Toxicity(f32);

impl Toxicity {
    /// Every connection.
    pub const ALL: Self = Self(1.0);

    /// A share from 0 to 100 percent.
    pub fn percent(percent: u8) -> Result<Self, Error> {
        if percent > 100 {
            return Err(Error::BadValue {
                field: "toxicity_percent",
                value: percent.to_string(),
                accepted: "0 to 100 are accepted",
            });
        }
        Ok(Self(f32::from(percent) / 100.0))
    }
}

impl TryFrom<f32> for Toxicity {
    type Error = String;

    fn try_from(share: f32) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("toxicity {share} is not from 0 to 1"))
        }
    }
}

impl From<Toxicity> for f32 {
    fn from(toxicity: Toxicity) -> Self {
        toxicity.0
    }
}

/// One toxic on one direction of a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Toxic {
    /// Unique in its proxy.
    pub name: String,
    /// What it does.
    #[serde(flatten)]
    pub kind: ToxicKind,
    /// The direction that it strikes.
    pub stream: Stream,
    /// The share of connections that it strikes.
    pub toxicity: Toxicity,
}

impl Toxic {
    /// A toxic that strikes every connection.
    pub fn new(name: impl Into<String>, stream: Stream, kind: ToxicKind) -> Self {
        Self {
            name: name.into(),
            kind,
            stream,
            toxicity: Toxicity::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toxic_reads_and_writes_as_the_server_spells_it() {
        let toxic = Toxic::new(
            "delay",
            Stream::Upstream,
            ToxicKind::Latency {
                latency_ms: 15,
                jitter_ms: 2,
            },
        );
        let json = serde_json::to_value(&toxic).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "delay", "type": "latency", "stream": "upstream", "toxicity": 1.0,
                "attributes": {"latency": 15, "jitter": 2},
            })
        );
        assert_eq!(serde_json::from_value::<Toxic>(json).unwrap(), toxic);
    }

    #[test]
    fn a_share_above_all_is_refused() {
        assert!(Toxicity::percent(101).is_err());
        assert!(serde_json::from_str::<Toxicity>("1.5").is_err());
        assert_eq!(
            serde_json::to_string(&Toxicity::percent(50).unwrap()).unwrap(),
            "0.5"
        );
    }

    #[test]
    fn values_that_the_server_would_misread_are_refused() {
        assert!(
            ToxicKind::Latency {
                latency_ms: 1,
                jitter_ms: 2
            }
            .validate()
            .is_err()
        );
        assert!(
            ToxicKind::Bandwidth {
                rate_kilobytes_per_second: 0
            }
            .validate()
            .is_err()
        );
        let slicer = ToxicKind::Slicer {
            average_size_bytes: 8,
            size_variation_bytes: 8,
            delay_us: 0,
        };
        assert!(slicer.validate().is_err());
        assert!(ToxicKind::Timeout { timeout_ms: 0 }.validate().is_ok());
    }
}
