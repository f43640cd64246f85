//! The time that the pure parts are given; they read no clock.

/// Microseconds of a clock that never goes back and whose beginning means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic {
    us: u64,
}

impl Monotonic {
    /// A time by its microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self { us }
    }

    /// Microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.us
    }

    /// Later by `us` microseconds; stops at the end of time.
    #[must_use]
    pub const fn after_us(self, us: u64) -> Self {
        Self {
            us: self.us.saturating_add(us),
        }
    }

    /// Microseconds since `earlier`; none when that is not earlier.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> u64 {
        self.us.saturating_sub(earlier.us)
    }
}
