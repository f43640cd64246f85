//! One reading of a card: what the kernel and the driver say at one moment.

use crate::{CardAddress, LatencyHistogram, Sample};

/// A PCI Express link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Speed of a lane, in megatransfers a second.
    pub speed_mts: u32,
    /// Lanes.
    pub width: u32,
}

/// What the driver counts since it took the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets that came in from the feed.
    pub packets: u64,
    /// Messages decoded.
    pub messages: u64,
    /// Messages dropped for want of room.
    pub drops: u64,
    /// Holes in the feed's numbers.
    pub sequence_gaps: u64,
    /// The number of the last message decoded.
    pub last_sequence: u64,
    /// Messages that wait to be written to memory.
    pub dma_queue_depth: u64,
    /// How many may wait.
    pub dma_queue_capacity: u64,
    /// Messages written to memory.
    pub dma_completed: u64,
    /// Memory errors that were corrected.
    pub ecc_corrected: u64,
    /// Memory errors that were not.
    pub ecc_uncorrected: u64,
    /// Times the link was trained anew.
    pub link_retrains: u64,
    /// Whether the card's clock follows its reference.
    pub is_clock_locked: bool,
    /// Whether the time follows the PTP grandmaster.
    pub is_ptp_locked: bool,
    /// The distance to the grandmaster's time, in nanoseconds.
    pub ptp_offset_ns: i64,
    /// Time from packet to decoded message.
    pub latency: LatencyHistogram,
}

/// What is known of a card at one moment. What could not be read is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Whether the kernel has the device.
    pub is_present: bool,
    /// The driver bound to it.
    pub driver: Option<String>,
    /// The NUMA node it hangs at.
    pub numa_node: Option<u32>,
    /// The link as it is.
    pub link: Option<Link>,
    /// The link as it could be.
    pub link_best: Option<Link>,
    /// PCI Express errors that were corrected, from Advanced Error Reporting.
    pub correctable_errors: Option<u64>,
    /// Errors that were not, and lost a transaction.
    pub nonfatal_errors: Option<u64>,
    /// Errors that were not, and made the link unreliable.
    pub fatal_errors: Option<u64>,
    /// Temperature, in thousandths of a degree Celsius.
    pub temperature_millidegrees: Option<i64>,
    /// Power drawn, in milliwatts.
    pub power_milliwatts: Option<i64>,
    /// The supply, in millivolts.
    pub voltage_millivolts: Option<i64>,
    /// What the FPGA manager says of the configuration; `operating` is as it should be.
    pub manager_state: Option<String>,
    /// What is loaded: the region's compatibility id.
    pub bitstream: Option<String>,
    /// The driver's statistics, whole or not at all.
    pub statistics: Option<Statistics>,
    /// What could not be read of a card that is there: the file and why.
    pub unreadable: Vec<String>,
}

/// A card, real or simulated: the one place through which it is seen.
pub trait Card: Send {
    /// Where it sits.
    fn address(&self) -> &CardAddress;

    /// What it says now. What cannot be read is told in the reading.
    fn read(&mut self) -> Reading;

    /// Messages that it decoded lately, with what came in for each. None while the card is gone.
    fn samples(&mut self) -> Vec<Sample>;
}
