//! A time of day on the exchanges' own clock.

use crate::decimal::text_in_files;
use std::fmt;

/// Milliseconds since midnight on the exchanges' clock. Text is `09:15` or `09:15:30`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(pub u32);

impl TimeOfDay {
    /// The first time that is no more of the day: 24:00.
    pub const END: Self = Self(24 * 3_600_000);
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        write!(f, "{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)?;
        if !self.0.is_multiple_of(60_000) {
            write!(f, ":{:02}", seconds % 60)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str, below: u32| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let value = part.parse().ok().filter(|value| *value < below);
            if digits { value } else { None }
        };
        let mut parts = text.split(':');
        let hours = parts.next().and_then(|hours| part(hours, 24));
        let minutes = parts.next().and_then(|minutes| part(minutes, 60));
        let seconds = parts.next().map_or(Some(0), |seconds| part(seconds, 60));
        match (hours, minutes, seconds, parts.next()) {
            (Some(h), Some(m), Some(s), None) => Ok(Self(((h * 60 + m) * 60 + s) * 1_000)),
            _ => Err(format!(
                "{text:?} is not accepted: use a time of day as \"09:15\" or \"09:15:30\", quoted"
            )),
        }
    }
}

text_in_files!(TimeOfDay, u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_it_is_written() {
        for (text, ms) in [
            ("00:00", 0),
            ("09:15", 33_300_000),
            ("14:57:30", 53_850_000),
        ] {
            assert_eq!(text.parse(), Ok(TimeOfDay(ms)));
            assert_eq!(TimeOfDay(ms).to_string(), text);
        }
    }

    #[test]
    fn a_time_outside_the_day_is_refused_with_its_text() {
        for bad in [
            "",
            "24:00",
            "9:15",
            "09:60",
            "09:15:60",
            "09:15:00:00",
            "+9:15",
        ] {
            let error = bad.parse::<TimeOfDay>().unwrap_err();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }
}
