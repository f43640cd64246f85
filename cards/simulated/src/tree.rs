//! The kernel's files of the card, as a driver of its kind shows them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use card_health::{CardAddress, LATENCY_BOUNDS_NS, Sample, Statistics};

use crate::{Fault, Faults};

/// The bitstream that the card is loaded with.
pub const BITSTREAM: &str = "7c1e5b0d92a44c0f8f3a6be1d40c7a15";
const OTHER_BITSTREAM: &str = "00000000000000000000000000000bad";
const DRIVER: &str = "tricenter_decoder";
const AMBIENT_MILLIDEGREES: i64 = 61_000;
const HOT_MILLIDEGREES: i64 = 98_000;
/// The card heats and cools by so much in a tenth of a second.
const STEP_MILLIDEGREES: i64 = 4_000;

/// The device's folder.
#[must_use]
pub fn device_folder(root: &Path, address: &CardAddress) -> PathBuf {
    root.join("sys/bus/pci/devices").join(address.as_str())
}

/// Where the card hands messages on.
#[must_use]
pub fn socket_path(root: &Path, address: &CardAddress) -> PathBuf {
    root.join("dev")
        .join(format!("decoder-{}", address.dashed()))
}

/// Replaces a file whole: who reads it sees the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, content)?;
    fs::rename(&new, path)
}

/// What the card's other half tells.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Its counters.
    pub statistics: &'a Statistics,
    /// Its samples.
    pub samples: Vec<&'a Sample>,
}

/// The files of one card.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    device: PathBuf,
    written: HashMap<&'static str, String>,
    temperature_millidegrees: i64,
    steps: i64,
    correctable: u64,
    fatal: u64,
    is_there: bool,
    is_bound: bool,
}

impl Tree {
    /// A card that is not shown yet. What an earlier card left at the same place is removed.
    ///
    /// # Errors
    /// When that cannot be removed.
    pub fn new(root: &Path, address: &CardAddress) -> io::Result<Self> {
        let device = device_folder(root, address);
        if device.exists() {
            fs::remove_dir_all(&device)?;
        }
        fs::create_dir_all(root.join("dev"))?;
        fs::create_dir_all(root.join("sys/bus/pci/drivers").join(DRIVER))?;
        Ok(Self {
            root: root.to_owned(),
            device,
            written: HashMap::new(),
            temperature_millidegrees: AMBIENT_MILLIDEGREES,
            steps: 0,
            correctable: 0,
            fatal: 0,
            is_there: false,
            is_bound: false,
        })
    }

    /// Lets a tenth of a second pass and brings the files up to date.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn step(&mut self, faults: &Faults, shown: &Shown<'_>) -> io::Result<()> {
        let has = |fault| faults.contains(&fault);
        self.steps += 1;
        if has(Fault::Missing) {
            return self.vanish();
        }
        let aim = if has(Fault::OverTemperature) {
            HOT_MILLIDEGREES
        } else {
            AMBIENT_MILLIDEGREES
        };
        if !has(Fault::SensorStuck) {
            let away =
                (aim - self.temperature_millidegrees).clamp(-STEP_MILLIDEGREES, STEP_MILLIDEGREES);
            // Sensors tremble by a step of theirs.
            let tremble = if self.steps % 2 == 0 { 125 } else { -125 };
            self.temperature_millidegrees += away + tremble;
        }
        self.correctable += 5 * u64::from(has(Fault::PcieCorrectable));
        self.fatal = self.fatal.max(u64::from(has(Fault::PcieFatal)));
        let (speed, width) = if has(Fault::LinkRetrain) {
            ("2.5 GT/s PCIe", "4")
        } else {
            ("8.0 GT/s PCIe", "8")
        };
        let bitstream = if has(Fault::BitstreamMismatch) {
            OTHER_BITSTREAM
        } else {
            BITSTREAM
        };
        self.appear()?;
        self.bind(!has(Fault::DriverUnbound))?;
        for (name, text) in [
            ("vendor", "0x1172".to_owned()),
            ("device", "0x7c01".to_owned()),
            ("class", "0x120000".to_owned()),
            ("numa_node", "0".to_owned()),
            ("current_link_speed", speed.to_owned()),
            ("current_link_width", width.to_owned()),
            ("max_link_speed", "8.0 GT/s PCIe".to_owned()),
            ("max_link_width", "8".to_owned()),
            (
                "aer_dev_correctable",
                format!("RxErr {0}\nTOTAL_ERR_COR {0}", self.correctable),
            ),
            ("aer_dev_nonfatal", "TOTAL_ERR_NONFATAL 0".to_owned()),
            (
                "aer_dev_fatal",
                format!("DLP {0}\nTOTAL_ERR_FATAL {0}", self.fatal),
            ),
            ("hwmon/hwmon0/name", DRIVER.to_owned()),
            (
                "hwmon/hwmon0/temp1_input",
                self.temperature_millidegrees.to_string(),
            ),
            ("hwmon/hwmon0/power1_input", "41500000".to_owned()),
            ("hwmon/hwmon0/in0_input", "12020".to_owned()),
            ("fpga_manager/fpga0/name", "Tricenter decoder".to_owned()),
            ("fpga_manager/fpga0/state", "operating".to_owned()),
            ("fpga_region/region0/compat_id", bitstream.to_owned()),
        ] {
            self.put(name, text)?;
        }
        if self.is_bound {
            self.put_statistics(shown)?;
        }
        Ok(())
    }

    fn put_statistics(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let it = shown.statistics;
        for (name, value) in [
            ("decoder/packets", it.packets),
            ("decoder/messages", it.messages),
            ("decoder/drops", it.drops),
            ("decoder/sequence_gaps", it.sequence_gaps),
            ("decoder/last_sequence", it.last_sequence),
            ("decoder/dma_queue_depth", it.dma_queue_depth),
            ("decoder/dma_queue_capacity", it.dma_queue_capacity),
            ("decoder/dma_completed", it.dma_completed),
            ("decoder/ecc_corrected", it.ecc_corrected),
            ("decoder/ecc_uncorrected", it.ecc_uncorrected),
            ("decoder/link_retrains", it.link_retrains),
            ("decoder/clock_locked", u64::from(it.is_clock_locked)),
            ("decoder/ptp_locked", u64::from(it.is_ptp_locked)),
        ] {
            self.put(name, value.to_string())?;
        }
        self.put("decoder/ptp_offset_ns", it.ptp_offset_ns.to_string())?;
        let mut latency = String::new();
        let bounds = LATENCY_BOUNDS_NS.iter().map(u64::to_string);
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(it.latency.counts) {
            let _ = writeln!(latency, "{bound} {count}");
        }
        self.put("decoder/latency_ns", latency.trim_end().to_owned())?;
        let mut samples = String::new();
        for sample in &shown.samples {
            let _ = writeln!(
                samples,
                "{} {} {}",
                sample.sequence,
                hex(&sample.wire),
                hex(&sample.decoded)
            );
        }
        self.put("decoder/samples", samples.trim_end().to_owned())
    }

    fn put(&mut self, name: &'static str, text: String) -> io::Result<()> {
        if self.written.get(name) == Some(&text) {
            return Ok(());
        }
        replace(&self.device.join(name), format!("{text}\n").as_bytes())?;
        self.written.insert(name, text);
        Ok(())
    }

    fn appear(&mut self) -> io::Result<()> {
        if self.is_there {
            return Ok(());
        }
        for folder in ["hwmon/hwmon0", "fpga_manager/fpga0", "fpga_region/region0"] {
            fs::create_dir_all(self.device.join(folder))?;
        }
        self.is_there = true;
        Ok(())
    }

    fn vanish(&mut self) -> io::Result<()> {
        if self.is_there {
            fs::remove_dir_all(&self.device)?;
        }
        // A card that comes back has been reset.
        (self.is_there, self.is_bound) = (false, false);
        (self.correctable, self.fatal) = (0, 0);
        self.written.clear();
        Ok(())
    }

    fn bind(&mut self, is_wanted: bool) -> io::Result<()> {
        let (link, statistics) = (self.device.join("driver"), self.device.join("decoder"));
        if is_wanted && !self.is_bound {
            fs::create_dir_all(&statistics)?;
            symlink(self.root.join("sys/bus/pci/drivers").join(DRIVER), &link)?;
        } else if !is_wanted && self.is_bound {
            fs::remove_file(&link)?;
            fs::remove_dir_all(&statistics)?;
            self.written.retain(|name, _| !name.starts_with("decoder/"));
        }
        self.is_bound = is_wanted;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
