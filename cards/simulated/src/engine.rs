//! The decoding half of the card: packets in, messages and statistics out. Pure.

use std::collections::VecDeque;

use card_health::{LatencyHistogram, Sample, Statistics};
use marketdata::mold::{Contents, Packet, ReceiverSettings};
use marketdata::{Decode, DecodeEvent, Monotonic, SoftwareDecoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::frame::append_frame;
use crate::{Fault, Faults};

/// Samples shown at once.
const SAMPLES_MAX: usize = 32;
/// One message in so many is a sample; odd, so that it meets every kind of message.
const SAMPLE_EVERY: u64 = 7;
/// Messages that may wait to be written to memory.
const QUEUE_CAPACITY: u64 = 4_096;

/// Latencies, in nanoseconds, that the card tells of: p50, p90, p99 and the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyProfile {
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

/// A latency profile that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read the latency profile: {text:?} is not accepted; use p50,p90,p99,max in \
     nanoseconds, none below the one before it, such as 1500,1900,2600,4200"
)]
pub struct ProfileError {
    text: String,
}

impl std::str::FromStr for LatencyProfile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let parts: Result<Vec<u64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        match parts.as_deref() {
            Ok(&[p50_ns, p90_ns, p99_ns, max_ns])
                if p50_ns <= p90_ns && p90_ns <= p99_ns && p99_ns <= max_ns =>
            {
                Ok(Self {
                    p50_ns,
                    p90_ns,
                    p99_ns,
                    max_ns,
                })
            }
            _ => Err(ProfileError {
                text: text.to_owned(),
            }),
        }
    }
}

impl LatencyProfile {
    fn draw(&self, random: &mut ChaCha8Rng) -> u64 {
        let (low, high) = match random.random_range(0..100_u32) {
            0..50 => (self.p50_ns / 2, self.p50_ns),
            50..90 => (self.p50_ns, self.p90_ns),
            90..99 => (self.p90_ns, self.p99_ns),
            _ => (self.p99_ns, self.max_ns),
        };
        random.random_range(low..=high)
    }
}

/// The decoder and its counters.
#[derive(Debug)]
pub struct Engine {
    decoder: SoftwareDecoder,
    profile: LatencyProfile,
    random: ChaCha8Rng,
    counted: Statistics,
    samples: VecDeque<Sample>,
    wire: Vec<(u64, Vec<u8>)>,
}

impl Engine {
    /// A card that has seen nothing; equal seeds draw equal latencies.
    #[must_use]
    pub fn new(profile: LatencyProfile, seed: u64) -> Self {
        Self {
            decoder: SoftwareDecoder::new(ReceiverSettings::default()),
            profile,
            random: ChaCha8Rng::seed_from_u64(seed),
            counted: Statistics {
                dma_queue_capacity: QUEUE_CAPACITY,
                is_clock_locked: true,
                is_ptp_locked: true,
                ..Statistics::default()
            },
            samples: VecDeque::new(),
            wire: Vec::new(),
        }
    }

    /// Takes a packet in; appends frames of what is written to memory. A packet that cannot be read
    /// is passed over and counted by the decoder.
    pub fn packet(&mut self, bytes: &[u8], now: Monotonic, faults: &Faults, out: &mut Vec<u8>) {
        self.counted.packets += 1;
        if faults.contains(&Fault::ClockUnlocked) || faults.contains(&Fault::DriverUnbound) {
            // Frames cannot be recovered from the line without its clock.
            return;
        }
        self.wire.clear();
        if let Ok(Packet {
            contents: Contents::Messages(blocks),
            ..
        }) = Packet::read(bytes)
        {
            let sampled = blocks.filter(|block| block.sequence % SAMPLE_EVERY == 0);
            self.wire
                .extend(sampled.map(|block| (block.sequence, block.bytes.to_vec())));
        }
        let mut writer = Writer {
            profile: self.profile,
            random: &mut self.random,
            counted: &mut self.counted,
            samples: &mut self.samples,
            wire: &self.wire,
            faults,
            out,
            message: Vec::new(),
        };
        let mut sink = |event: DecodeEvent<'_>| {
            if let DecodeEvent::Message { sequence, message } = event {
                message.fields().encode(&mut writer.message);
                writer.write(sequence);
            }
        };
        let result = self.decoder.decode(bytes, now, &mut sink);
        self.decoder.tick(now, &mut sink);
        self.counted.drops += u64::from(result.is_err());
        self.counted.sequence_gaps = self.decoder.counts().sequence_gaps;
    }

    /// Lets a tenth of a second pass: what a fault adds up by itself.
    pub fn tick(&mut self, faults: &Faults) {
        let counted = &mut self.counted;
        let has = |fault| u64::from(faults.contains(&fault));
        counted.is_clock_locked = has(Fault::ClockUnlocked) == 0;
        counted.is_ptp_locked = has(Fault::PtpUnlocked) == 0;
        counted.ptp_offset_ns = if counted.is_ptp_locked { -35 } else { 48_000 };
        counted.ecc_corrected += 2 * has(Fault::EccCorrected);
        counted.link_retrains += has(Fault::LinkRetrain);
        // One that stays: it happened.
        counted.ecc_uncorrected = counted.ecc_uncorrected.max(has(Fault::EccUncorrected));
        if has(Fault::DmaStall) == 0 && counted.dma_queue_depth > 0 {
            // The ring was reset: what waited in it is lost.
            counted.drops += counted.dma_queue_depth;
            counted.dma_queue_depth = 0;
        }
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.counted
    }

    /// The newest samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }
}

struct Writer<'a> {
    profile: LatencyProfile,
    random: &'a mut ChaCha8Rng,
    counted: &'a mut Statistics,
    samples: &'a mut VecDeque<Sample>,
    wire: &'a [(u64, Vec<u8>)],
    faults: &'a Faults,
    out: &'a mut Vec<u8>,
    message: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, sequence: u64) {
        let counted = &mut *self.counted;
        counted.messages += 1;
        counted.last_sequence = sequence;
        let slow = if self.faults.contains(&Fault::Slow) {
            10
        } else {
            1
        };
        let latency: &mut LatencyHistogram = &mut counted.latency;
        latency.record(self.profile.draw(self.random) * slow);
        // An order's price is the end of its message.
        let is_order = self.message.first() == Some(&b'A');
        if self.faults.contains(&Fault::DecodeMismatch)
            && is_order
            && sequence.is_multiple_of(3)
            && let Some(last) = self.message.last_mut()
        {
            *last ^= 1;
        }
        if let Some((_, wire)) = self.wire.iter().find(|(number, _)| *number == sequence) {
            if self.samples.len() == SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                sequence,
                wire: wire.clone(),
                decoded: self.message.clone(),
            });
        }
        if self.faults.contains(&Fault::DmaStall) {
            if counted.dma_queue_depth < counted.dma_queue_capacity {
                counted.dma_queue_depth += 1;
            } else {
                counted.drops += 1;
            }
        } else if self.faults.contains(&Fault::Dropping) && sequence.is_multiple_of(100) {
            counted.drops += 1;
        } else {
            counted.dma_completed += 1;
            append_frame(sequence, &self.message, self.out);
        }
        self.message.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card_health::CrossCheck;
    use marketdata::itch::{Generator, Mix};
    use marketdata::mold::{PacketBuilder, Session};

    fn run(faults: &Faults) -> (Engine, Vec<u8>) {
        let mut engine = Engine::new("1500,1900,2600,4200".parse().unwrap(), 1);
        let (mut out, mut bytes) = (Vec::new(), Vec::new());
        for (message, sequence) in Generator::new(1, 2, Mix::default()).take(3_000).zip(1..) {
            bytes.clear();
            message.encode(&mut bytes);
            let mut packet = PacketBuilder::new(Session(*b"0000000001"), sequence, 1_400);
            assert!(packet.push(&bytes));
            engine.packet(
                &packet.finish(),
                Monotonic::from_us(sequence),
                faults,
                &mut out,
            );
        }
        (engine, out)
    }

    #[test]
    fn a_well_card_decodes_each_message_once_within_its_profile() {
        let (engine, out) = run(&Faults::new());
        let (mut left, mut next) = (out.as_slice(), 1);
        while let Some((sequence, _, rest)) = crate::take_frame(left) {
            assert_eq!(sequence, next);
            (next, left) = (next + 1, rest);
        }
        assert_eq!((next, left.len()), (3_001, 0));
        assert!(engine.statistics().latency.p99_ns().unwrap() <= 5_000);
        let samples: Vec<_> = engine.samples().iter().cloned().collect();
        assert_eq!(CrossCheck::default().check(&samples), None);
    }

    #[test]
    fn wrong_prices_are_seen_in_the_samples() {
        let (engine, _) = run(&Faults::from([Fault::DecodeMismatch]));
        let samples: Vec<_> = engine.samples().iter().cloned().collect();
        assert!(CrossCheck::default().check(&samples).is_some());
    }

    #[test]
    fn a_stalled_ring_writes_nothing_and_counts_what_it_drops() {
        let (engine, out) = run(&Faults::from([Fault::DmaStall]));
        assert!(out.is_empty());
        let statistics = engine.statistics();
        assert_eq!(
            (statistics.dma_queue_depth, statistics.dma_completed),
            (3_000, 0)
        );
    }

    #[test]
    fn a_bad_profile_is_refused() {
        let error = "9,1,2,3".parse::<LatencyProfile>().unwrap_err().to_string();
        assert!(
            error.contains("9,1,2,3") && error.contains("p50,p90"),
            "{error}"
        );
    }
}
