//! What is thought of a card.

use std::fmt;

/// How a card is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// All is as it should be.
    Healthy,
    /// It decodes rightly and in time, and somebody should plan to look at it.
    Degraded,
    /// It must not be relied on; decode in software.
    Failing,
    /// It is not there, or nothing drives it.
    Offline,
}

impl State {
    /// Every state, from best to worst.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Degraded, Self::Failing, Self::Offline];

    /// Whether its messages may be used. A degraded card is used until a planned switch.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }

    /// The word in objects and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Failing => "Failing",
            Self::Offline => "Offline",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// Why a card is in its state: one word for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $( $(#[$doc])* $name, )*
        }

        impl Reason {
            /// The word in objects and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }
        }
    };
}

reasons! {
    /// Nothing is wrong.
    AsItShouldBe,
    /// The kernel does not have the device.
    CardMissing,
    /// No driver, or another one, is bound to it.
    DriverMissing,
    /// A decoded message differs from what the software decoder makes of the same bytes.
    DecodeMismatch,
    /// A memory error was not corrected.
    EccUncorrected,
    /// PCI Express reported an error that was not corrected.
    PcieUncorrected,
    /// The FPGA's configuration does not run.
    NotConfigured,
    /// What is loaded is not approved.
    BitstreamNotApproved,
    /// The card's clock does not follow its reference.
    ClockUnlocked,
    /// Packets come in and nothing is written to memory.
    DmaStalled,
    /// Too hot.
    TooHot,
    /// It draws too much power.
    PowerHigh,
    /// The supply is out of its range.
    VoltageOut,
    /// PCI Express corrects errors often.
    PcieCorrectable,
    /// Memory errors are corrected often.
    EccCorrected,
    /// The link is trained anew again and again.
    LinkRetraining,
    /// The link is slower or narrower than it could be.
    LinkReduced,
    /// Messages are dropped.
    Dropping,
    /// The feed's numbers have holes.
    SequenceGaps,
    /// The queue to memory fills up.
    DmaQueueFull,
    /// Decoding takes too long.
    Slow,
    /// The time does not follow the grandmaster, or is far from it.
    PtpUnlocked,
    /// At this pace it will soon be too hot.
    TemperatureRising,
    /// Memory errors come faster and faster.
    EccRising,
    /// The temperature has not moved at all for so long that the sensor must be stuck.
    SensorStuck,
    /// Something could not be read: that is not the same as being in order.
    NoData,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it makes of the card.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// In one sentence, with figures.
    pub text: String,
}

impl Finding {
    /// A finding in one line.
    #[must_use]
    pub fn new(state: State, reason: Reason, text: impl Into<String>) -> Self {
        Self {
            state,
            reason,
            text: text.into(),
        }
    }
}

/// What is thought of a card, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// How it is.
    pub state: State,
    /// Why: the reason of the worst finding, or of the last one while it recovers.
    pub reason: Reason,
    /// The same for people.
    pub text: String,
    /// Since when it is in this state, in milliseconds of the readings' clock.
    pub since_ms: u64,
    /// All that is wrong now, worst first.
    pub findings: Vec<Finding>,
}
