//! Why a message cannot be read.

/// A field whose value cannot be read. The message had no effect and consumed no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read {field}: {text}")]
pub struct BadField {
    /// Path of the field in the message, such as `new_order.side`.
    pub field: &'static str,
    /// The value that came and what is accepted.
    pub text: String,
}

impl BadField {
    pub(crate) fn new(field: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { field, text }
    }

    pub(crate) fn missing(field: &'static str, accepted: &str) -> Self {
        Self::new(field, format!("it is absent: {accepted}"))
    }
}

/// Ids that count from 1: 0 is what a forgotten field reads as.
pub(crate) fn from_one(field: &'static str, value: u64) -> Result<u64, BadField> {
    if value == 0 {
        return Err(BadField::new(
            field,
            "0 is not accepted: numbers begin at 1",
        ));
    }
    Ok(value)
}

/// A number that must fit a narrower type.
pub(crate) fn up_to<T: TryFrom<u32>>(field: &'static str, value: u32) -> Result<T, BadField> {
    T::try_from(value).map_err(|_| {
        let bits = 8 * size_of::<T>();
        let text = format!("{value} is not accepted: use a number of at most {bits} bits");
        BadField::new(field, text)
    })
}
