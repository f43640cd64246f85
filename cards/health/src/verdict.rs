//! What the agent tells the decoder on the same node, without any cluster between them.

use serde::{Deserialize, Serialize};

use crate::{CardAddress, Judgement};

/// May this card be used? Written anew with every reading, into a file of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Verdict {
    /// Which card.
    pub address: CardAddress,
    /// Whether its messages may be used.
    pub is_usable: bool,
    /// Its state, for people.
    pub state: String,
    /// The reason, for people.
    pub reason: String,
    /// Grows with every reading: a verdict that does not change says that its writer is gone.
    pub beat: u64,
}

impl Verdict {
    /// A verdict from a judgement. A card that was never judged may not be used.
    #[must_use]
    pub fn new(address: CardAddress, judgement: Option<&Judgement>, beat: u64) -> Self {
        Self {
            address,
            is_usable: judgement.is_some_and(|it| it.state.is_usable()),
            state: judgement
                .map_or("Unknown", |it| it.state.as_str())
                .to_owned(),
            reason: judgement
                .map_or("NoData", |it| it.reason.as_str())
                .to_owned(),
            beat,
        }
    }
}
