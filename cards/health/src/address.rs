//! Where a card sits: its PCI address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A PCI address as the kernel writes it: `domain:bus:device.function`, such as `0000:81:00.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CardAddress(String);

/// A text that is no PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read a card's address: {text:?} is not accepted; use the kernel's form, \
     domain:bus:device.function in lower-case hexadecimal, such as 0000:81:00.0"
)]
pub struct AddressError {
    /// The text.
    pub text: String,
}

impl CardAddress {
    /// The kernel's form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same in letters that names of Kubernetes objects and devices accept.
    #[must_use]
    pub fn dashed(&self) -> String {
        self.0.replace([':', '.'], "-")
    }
}

impl fmt::Display for CardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CardAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // The places of the separators; every other place is a hexadecimal digit.
        let is_address = text.len() == 12
            && text.bytes().enumerate().all(|(place, byte)| match place {
                4 | 7 => byte == b':',
                10 => byte == b'.',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        if is_address {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressError {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for CardAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<CardAddress> for String {
    fn from(address: CardAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_s_form_is_an_address() {
        let address: CardAddress = "0000:81:00.0".parse().unwrap();
        assert_eq!(address.dashed(), "0000-81-00-0");
        for text in [
            "81:00.0",
            "0000:81:00:0",
            "0000:8G:00.0",
            "../../etc/passwd",
        ] {
            let error = text.parse::<CardAddress>().unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("0000:81:00.0"),
                "{error}"
            );
        }
    }
}
