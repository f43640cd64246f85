//! A card as the kernel shows it: files under a root.
//!
//! ```text
//!   ROOT/sys/bus/pci/devices/ADDRESS/
//!     vendor device numa_node driver ─► …/NAME
//!     current_link_speed …_width max_link_speed …_width
//!     aer_dev_correctable aer_dev_nonfatal aer_dev_fatal      (their TOTAL_ lines)
//!     hwmon/hwmon*/temp1_input power1_input|power1_average in0_input
//!     fpga_manager/fpga*/state   fpga_region/region*/compat_id
//!     decoder/…                  the driver's statistics, one figure a file
//! ```
//!
//! Sources: the kernel's ABI documents of sysfs-bus-pci, sysfs-bus-pci-devices-aer_stats, hwmon,
//! fpga-manager and fpga-region. The folder `decoder` is what our driver shows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use card_health::{
    Card, CardAddress, LATENCY_BOUNDS_NS, LatencyHistogram, Link, Reading, Sample, Statistics,
};

use crate::configuration::Model;

/// No file of these is longer; a longer one is cut, and then not in form.
const FILE_BYTES_MAX: u64 = 64 * 1_024;
/// Microwatts in a milliwatt.
const MICROWATTS: i64 = 1_000;

fn devices_folder(root: &Path) -> PathBuf {
    root.join("sys/bus/pci/devices")
}

/// The addresses of all devices of these models, in order.
///
/// # Errors
/// When the folder of devices cannot be listed.
pub fn discover(root: &Path, models: &[Model]) -> io::Result<Vec<CardAddress>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(devices_folder(root))? {
        let entry = entry?;
        let Some(address) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let word = |name: &str| read_text(&entry.path().join(name)).unwrap_or_default();
        let (vendor, device) = (word("vendor"), word("device"));
        if models
            .iter()
            .any(|model| model.vendor == vendor && model.device == device)
        {
            found.push(address);
        }
    }
    found.sort();
    Ok(found)
}

fn read_text(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// A card behind the kernel's files.
#[derive(Debug, Clone)]
pub struct KernelCard {
    address: CardAddress,
    device: PathBuf,
}

impl KernelCard {
    /// The card at an address, whether it is there or not.
    #[must_use]
    pub fn new(root: &Path, address: CardAddress) -> Self {
        Self {
            device: devices_folder(root).join(address.as_str()),
            address,
        }
    }
}

impl Card for KernelCard {
    fn address(&self) -> &CardAddress {
        &self.address
    }

    fn read(&mut self) -> Reading {
        let mut files = Files {
            device: &self.device,
            unreadable: Vec::new(),
        };
        if !self.device.exists() {
            return Reading::default();
        }
        let mut reading = files.reading();
        // What goes while it is read is gone, not half there.
        if !self.device.exists() {
            return Reading::default();
        }
        reading.unreadable = files.unreadable;
        reading
    }

    fn samples(&mut self) -> Vec<Sample> {
        let text = read_text(&self.device.join("decoder/samples")).unwrap_or_default();
        text.lines().filter_map(parse_sample).collect()
    }
}

/// `sequence wire decoded`, the bytes in hexadecimal.
fn parse_sample(line: &str) -> Option<Sample> {
    let mut parts = line.split_ascii_whitespace();
    Some(Sample {
        sequence: parts.next()?.parse().ok()?,
        wire: parse_hex(parts.next()?)?,
        decoded: parse_hex(parts.next()?)?,
    })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

struct Files<'a> {
    device: &'a Path,
    unreadable: Vec<String>,
}

impl Files<'_> {
    fn reading(&mut self) -> Reading {
        let driver = fs::read_link(self.device.join("driver"))
            .ok()
            .and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
        Reading {
            is_present: true,
            numa_node: self.text("numa_node").and_then(|text| text.parse().ok()),
            link: self.link("current"),
            link_best: self.link("max"),
            correctable_errors: self.parsed("aer_dev_correctable", total_of),
            nonfatal_errors: self.parsed("aer_dev_nonfatal", total_of),
            fatal_errors: self.parsed("aer_dev_fatal", total_of),
            temperature_millidegrees: self.in_folder("hwmon", "temp1_input", integer),
            power_milliwatts: self.power(),
            voltage_millivolts: self.in_folder("hwmon", "in0_input", integer),
            manager_state: self.in_folder("fpga_manager", "state", text),
            bitstream: self.in_folder("fpga_region", "compat_id", text),
            statistics: driver.is_some().then(|| self.statistics()).flatten(),
            driver,
            unreadable: Vec::new(),
        }
    }

    /// A file that need not be there.
    fn text(&self, name: &str) -> Option<String> {
        read_text(&self.device.join(name)).ok()
    }

    /// A file that must be there and in form.
    fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let failed = match read_text(&self.device.join(name)) {
            Ok(text) => match parse(&text) {
                Some(value) => return Some(value),
                None => format!("{name} holds {:?}", &text[..text.floor_char_boundary(80)]),
            },
            Err(error) => format!("{name}: {error}"),
        };
        self.unreadable.push(failed);
        None
    }

    /// A file in the first folder of a class, such as `hwmon/hwmon3`.
    fn in_folder<T>(
        &mut self,
        class: &str,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut folders: Vec<String> = fs::read_dir(self.device.join(class))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        folders.sort();
        match folders.first() {
            Some(folder) => self.parsed(&format!("{class}/{folder}/{name}"), parse),
            None => {
                self.unreadable.push(format!("{class}: no such device"));
                None
            }
        }
    }

    /// Some sensors give the power of the moment, others only an average.
    fn power(&mut self) -> Option<i64> {
        let before = self.unreadable.len();
        let power = self
            .in_folder("hwmon", "power1_input", integer)
            .or_else(|| self.in_folder("hwmon", "power1_average", integer))?;
        self.unreadable.truncate(before);
        Some(power / MICROWATTS)
    }

    fn link(&mut self, which: &str) -> Option<Link> {
        let speed_mts = self.parsed(&format!("{which}_link_speed"), megatransfers)?;
        let width = self.parsed(&format!("{which}_link_width"), |text| text.parse().ok())?;
        Some(Link { speed_mts, width })
    }

    fn statistics(&mut self) -> Option<Statistics> {
        let mut count = |name: &str| self.parsed(&format!("decoder/{name}"), |it| it.parse().ok());
        Some(Statistics {
            packets: count("packets")?,
            messages: count("messages")?,
            drops: count("drops")?,
            sequence_gaps: count("sequence_gaps")?,
            last_sequence: count("last_sequence")?,
            dma_queue_depth: count("dma_queue_depth")?,
            dma_queue_capacity: count("dma_queue_capacity")?,
            dma_completed: count("dma_completed")?,
            ecc_corrected: count("ecc_corrected")?,
            ecc_uncorrected: count("ecc_uncorrected")?,
            link_retrains: count("link_retrains")?,
            is_clock_locked: self.parsed("decoder/clock_locked", flag)?,
            is_ptp_locked: self.parsed("decoder/ptp_locked", flag)?,
            ptp_offset_ns: self.parsed("decoder/ptp_offset_ns", integer)?,
            latency: self.parsed("decoder/latency_ns", latency)?,
        })
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// `8.0 GT/s PCIe` in megatransfers.
fn megatransfers(text: &str) -> Option<u32> {
    let (number, _) = text.split_once(" GT/s")?;
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths: u32 = tenths.get(..1)?.parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(tenths * 100)
}

/// The number behind `TOTAL_…`, the last line of the kernel's error counters.
fn total_of(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("TOTAL_"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `bound count` lines with exactly the bounds that are known, the last one `+Inf`.
fn latency(text: &str) -> Option<LatencyHistogram> {
    let mut histogram = LatencyHistogram::default();
    let bounds = LATENCY_BOUNDS_NS.iter().map(u64::to_string);
    let mut lines = text.lines();
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&mut histogram.counts) {
        let (found, number) = lines.next()?.split_once(' ')?;
        *count = number.parse().ok().filter(|_| found == bound)?;
    }
    lines.next().is_none().then_some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_forms_are_read() {
        assert_eq!(megatransfers("8.0 GT/s PCIe"), Some(8_000));
        assert_eq!(megatransfers("2.5 GT/s PCIe"), Some(2_500));
        assert_eq!(megatransfers("16 GT/s"), Some(16_000));
        assert_eq!(megatransfers("Unknown"), None);
        assert_eq!(total_of("RxErr 3\nBadTLP 1\nTOTAL_ERR_COR 4"), Some(4));
        assert_eq!(total_of("RxErr 3"), None);
        assert_eq!(parse_hex("0aff"), Some(vec![10, 255]));
        assert_eq!(parse_hex("0af"), None);
        assert!(latency("250 1").is_none());
    }

    #[test]
    fn a_file_out_of_form_is_told_with_what_it_holds() {
        let root = tempfile::tempdir().unwrap();
        let address: CardAddress = "0000:81:00.0".parse().unwrap();
        let device = devices_folder(root.path()).join(address.as_str());
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("current_link_speed"), "Unknown\n").unwrap();
        let reading = KernelCard::new(root.path(), address).read();
        assert!(reading.is_present && reading.link.is_none());
        let told = reading.unreadable.join("; ");
        assert!(
            told.contains("current_link_speed holds \"Unknown\""),
            "{told}"
        );
        assert!(told.contains("hwmon: no such device"), "{told}");
    }
}
