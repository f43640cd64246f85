//! Holds a sample of what a card decoded against what the software decoder makes of the same bytes.
//!
//! ```text
//!   wire bytes ──► software decoder ──┐
//!                                     ├─► equal, or Mismatch
//!   what the card decoded ────────────┘
//! ```

use marketdata::itch;

/// One message as it came in and as the card decoded it, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its number in the session.
    pub sequence: u64,
    /// The bytes from the wire, tapped before the decoder.
    pub wire: Vec<u8>,
    /// The card's fields, written back in the feed's form.
    pub decoded: Vec<u8>,
}

/// A message that the card decoded wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its number in the session.
    pub sequence: u64,
    /// What differs, for people.
    pub text: String,
}

/// What was compared so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrossCheckCounts {
    /// Messages compared.
    pub compared: u64,
    /// Those that differed.
    pub mismatches: u64,
}

/// Compares each sample once.
#[derive(Debug, Clone, Default)]
pub struct CrossCheck {
    newest: u64,
    counts: CrossCheckCounts,
}

impl CrossCheck {
    /// Compares those samples that have not been; gives the first that differs.
    pub fn check(&mut self, samples: &[Sample]) -> Option<Mismatch> {
        let newest = samples.iter().map(|sample| sample.sequence).max()?;
        if newest < self.newest {
            // Another session counts from 1 again.
            self.newest = 0;
        }
        let mut first = None;
        for sample in samples.iter().filter(|it| it.sequence > self.newest) {
            self.counts.compared += 1;
            if let Some(text) = difference(sample) {
                self.counts.mismatches += 1;
                let sequence = sample.sequence;
                first.get_or_insert(Mismatch { sequence, text });
            }
        }
        self.newest = newest;
        first
    }

    /// What was compared so far.
    #[must_use]
    pub fn counts(&self) -> CrossCheckCounts {
        self.counts
    }
}

fn difference(sample: &Sample) -> Option<String> {
    let expected = itch::decode(&sample.wire, 0);
    let found = itch::decode(&sample.decoded, 0);
    match (expected, found) {
        (Ok(expected), Ok(found)) => (expected.fields() != found.fields())
            .then(|| format!("expected {expected:?}, the card made {found:?}")),
        // What the software cannot read either says nothing about the card.
        (Err(_), Err(_)) => None,
        (Ok(_), Err(error)) => Some(format!("the card made no message of it: {error}")),
        (Err(error), Ok(found)) => Some(format!(
            "the card made {found:?} of bytes that are no message: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketdata::itch::{Generator, Mix};

    fn sample(sequence: u64) -> Sample {
        let mut wire = Vec::new();
        let message = Generator::new(1, 2, Mix::default()).nth(60).unwrap();
        message.encode(&mut wire);
        Sample {
            sequence,
            decoded: wire.clone(),
            wire,
        }
    }

    #[test]
    fn one_wrong_bit_is_found_and_counted_once() {
        let mut check = CrossCheck::default();
        assert_eq!(check.check(&[sample(1), sample(2)]), None);
        let mut wrong = sample(3);
        *wrong.decoded.last_mut().unwrap() ^= 1;
        let samples = [sample(2), wrong];
        assert_eq!(check.check(&samples).map(|it| it.sequence), Some(3));
        assert_eq!(check.check(&samples), None, "the same sample counts once");
        let expected = CrossCheckCounts {
            compared: 3,
            mismatches: 1,
        };
        assert_eq!(check.counts(), expected);
    }

    #[test]
    fn a_new_session_is_compared_too() {
        let mut check = CrossCheck::default();
        check.check(&[sample(900)]);
        check.check(&[sample(1)]);
        assert_eq!(check.counts().compared, 2);
    }
}
