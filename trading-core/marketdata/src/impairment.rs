//! A bad network from a seed: delay, jitter, loss, duplication, reordering, on any datagrams.
//!
//! ```text
//!   offer(packet, now) ─► lost? ─► twice? ─► delay ± jitter ─► waits ─► due(now) ─► packets
//! ```
//!
//! Pure: it holds packets and says when each is due; whoever owns it sends them. Equal seeds, packets
//! and times give equal damage.

use crate::time::Monotonic;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// What is done to packets. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Every packet is late by this, in microseconds.
    pub delay_us: u64,
    /// And by up to this much more, evenly, in microseconds; packets overtake each other by it.
    pub jitter_us: u64,
    /// Packets lost, in a million.
    pub lost_ppm: u32,
    /// Packets that come twice, in a million.
    pub doubled_ppm: u32,
    /// Packets held back, in a million.
    pub held_ppm: u32,
    /// How long those are held back, in microseconds: later ones overtake them.
    pub held_us: u64,
}

/// A share in parts of a million beyond the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value} is not accepted: use 0 to 1000000 parts in a million")]
pub struct DamageError {
    /// The setting.
    pub field: &'static str,
    /// Its value.
    pub value: u32,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpairmentCounts {
    /// Packets that came.
    pub offered: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Of these, doubled.
    pub doubled: u64,
    /// Of these, held back.
    pub held: u64,
    /// Copies dropped because as many as allowed wait. Not part of the damage asked for.
    pub overflowed: u64,
}

const MILLION: u32 = 1_000_000;

/// A bad network between one sender and one receiver.
#[derive(Clone, Debug)]
pub struct Impairment<P> {
    random: ChaCha8Rng,
    damage: Damage,
    waiting_max: usize,
    /// By due time, then by arrival, so that equal times keep their order.
    waiting: BTreeMap<(Monotonic, u64), P>,
    arrivals: u64,
    counts: ImpairmentCounts,
}

impl<P: Clone> Impairment<P> {
    /// A network that does `damage`, decided by `seed`, and holds at most `waiting_max` packets.
    ///
    /// # Errors
    /// [`DamageError`] for a share beyond the whole.
    pub fn new(seed: u64, damage: Damage, waiting_max: usize) -> Result<Self, DamageError> {
        check(&damage)?;
        Ok(Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            damage,
            waiting_max,
            waiting: BTreeMap::new(),
            arrivals: 0,
            counts: ImpairmentCounts::default(),
        })
    }

    /// Does other damage from now on; what waits stays as it was decided.
    ///
    /// # Errors
    /// [`DamageError`] for a share beyond the whole; the damage is then as before.
    pub fn set(&mut self, damage: Damage) -> Result<(), DamageError> {
        check(&damage)?;
        self.damage = damage;
        Ok(())
    }

    /// What became of packets so far.
    #[must_use]
    pub fn counts(&self) -> ImpairmentCounts {
        self.counts
    }

    /// Takes a packet.
    pub fn offer(&mut self, packet: P, now: Monotonic) {
        self.counts.offered += 1;
        if self.happens(self.damage.lost_ppm) {
            self.counts.lost += 1;
            return;
        }
        if self.happens(self.damage.doubled_ppm) {
            self.counts.doubled += 1;
            self.hold(packet.clone(), now);
        }
        self.hold(packet, now);
    }

    fn hold(&mut self, packet: P, now: Monotonic) {
        let mut due = now.after_us(self.damage.delay_us);
        if self.damage.jitter_us > 0 {
            due = due.after_us(self.random.random_range(0..=self.damage.jitter_us));
        }
        if self.happens(self.damage.held_ppm) {
            self.counts.held += 1;
            due = due.after_us(self.damage.held_us);
        }
        if self.waiting.len() >= self.waiting_max {
            self.counts.overflowed += 1;
            return;
        }
        self.arrivals += 1;
        self.waiting.insert((due, self.arrivals), packet);
    }

    /// Draws only where there is something to decide, so that unused kinds of damage do not shift the
    /// others.
    fn happens(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.random.random_range(0..MILLION) < ppm
    }

    /// The next packet that is due.
    pub fn due(&mut self, now: Monotonic) -> Option<P> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next packet is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Monotonic> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }
}

fn check(damage: &Damage) -> Result<(), DamageError> {
    for (field, value) in [
        ("lost_ppm", damage.lost_ppm),
        ("doubled_ppm", damage.doubled_ppm),
        ("held_ppm", damage.held_ppm),
    ] {
        if value > MILLION {
            return Err(DamageError { field, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(network: &mut Impairment<u32>, at: u64) -> Vec<u32> {
        std::iter::from_fn(|| network.due(Monotonic::from_us(at))).collect()
    }

    fn passed(damage: Damage, packets: u32) -> (Vec<u32>, ImpairmentCounts) {
        let mut network = Impairment::new(3, damage, 10_000).unwrap();
        for packet in 0..packets {
            network.offer(packet, Monotonic::from_us(u64::from(packet)));
        }
        (all(&mut network, u64::MAX), network.counts())
    }

    #[test]
    fn a_network_without_damage_changes_nothing() {
        let (out, counts) = passed(Damage::default(), 100);
        assert_eq!(out, (0..100).collect::<Vec<_>>());
        assert_eq!(counts.offered, 100);
    }

    #[test]
    fn every_packet_is_lost_doubled_or_passed_and_counted() {
        let damage = Damage {
            lost_ppm: 200_000,
            doubled_ppm: 100_000,
            ..Damage::default()
        };
        let (out, counts) = passed(damage, 5_000);
        assert_eq!(out.len() as u64, 5_000 - counts.lost + counts.doubled);
        assert!((800..1_200).contains(&counts.lost), "{counts:?}");
        assert!((300..500).contains(&counts.doubled), "{counts:?}");
    }

    #[test]
    fn packets_that_are_held_back_are_overtaken() {
        let damage = Damage {
            held_ppm: 500_000,
            held_us: 3,
            ..Damage::default()
        };
        let (out, counts) = passed(damage, 100);
        assert!(!out.is_sorted() && counts.held > 0);
        assert_eq!(out.len(), 100);
    }

    #[test]
    fn no_packet_comes_before_its_delay() {
        let damage = Damage {
            delay_us: 1_000,
            jitter_us: 500,
            ..Damage::default()
        };
        let mut network = Impairment::new(1, damage, 10).unwrap();
        network.offer(1, Monotonic::from_us(0));
        assert_eq!(all(&mut network, 999), []);
        let due = network.next_due().unwrap();
        assert!((1_000..=1_500).contains(&due.us()));
        assert_eq!(all(&mut network, due.us()), [1]);
    }

    #[test]
    fn equal_seeds_do_equal_damage() {
        let damage = Damage {
            jitter_us: 50,
            lost_ppm: 100_000,
            ..Damage::default()
        };
        assert_eq!(passed(damage, 500), passed(damage, 500));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let damage = Damage {
            delay_us: 1,
            ..Damage::default()
        };
        let mut network = Impairment::new(1, damage, 2).unwrap();
        (0..5).for_each(|packet| network.offer(packet, Monotonic::default()));
        assert_eq!(network.counts().overflowed, 3);
    }

    #[test]
    fn more_than_all_packets_cannot_be_lost() {
        let damage = Damage {
            lost_ppm: 1_000_001,
            ..Damage::default()
        };
        let error = Impairment::<u8>::new(1, damage, 1).unwrap_err();
        assert!(error.to_string().starts_with("lost_ppm 1000001"), "{error}");
    }
}
