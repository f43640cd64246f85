//! Which shard a symbol belongs to: rendezvous hashing (Thaler and Ravishankar, 1998).
//!
//! ```text
//!   symbol ─► weight(symbol, shard 1) ─┐
//!          ─► weight(symbol, shard 2) ─┼─► the shard of the greatest weight
//!          ─► weight(symbol, shard 3) ─┘
//! ```
//!
//! A shard that is added takes its symbols from all others, about 1/N of each, and none moves between
//! the others; a shard that is taken away gives its symbols to all others. Everyone who knows the same
//! shards finds the same one, without a table to keep in step.

use crate::{ShardId, SymbolId};

/// The shard of a symbol; `None` when there are no shards. The order of `shards` does not matter.
///
/// Linear in the number of shards: who asks for every order keeps a table of the answers.
#[must_use]
pub fn shard_of(symbol: SymbolId, shards: &[ShardId]) -> Option<ShardId> {
    (shards.iter().copied()).max_by_key(|shard| (weight(symbol, *shard), *shard))
}

/// The weight of a pair: the finalizer of `SplitMix64` (Steele, Lea and Flood, 2014) over the shard in
/// the upper 32 bits and the symbol in the lower. A client in any language computes the same.
fn weight(symbol: SymbolId, shard: ShardId) -> u64 {
    let mut mixed = u64::from(shard.0) << 32 | u64::from(symbol.0);
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16) -> Vec<ShardId> {
        (1..=count).map(ShardId).collect()
    }

    /// The codes that the exchanges use, roughly.
    fn symbols() -> impl Iterator<Item = SymbolId> {
        let ranges = [
            1..2_500,
            300_000..301_500,
            600_000..602_000,
            688_000..688_900,
        ];
        ranges.into_iter().flatten().map(SymbolId)
    }

    #[test]
    fn a_symbol_keeps_its_shard_over_versions() {
        let found = [1, 300_750, 510_300, 600_000, 688_981].map(|code| {
            let shard = |count| shard_of(SymbolId(code), &shards(count)).unwrap().0;
            [shard(2), shard(3), shard(8)]
        });
        assert_eq!(found, GOLDEN);
        assert_eq!(shard_of(SymbolId(1), &[]), None);
    }

    /// Of two, three and eight shards.
    const GOLDEN: [[u16; 3]; 5] = [[2, 2, 6], [1, 1, 1], [2, 3, 4], [2, 3, 4], [2, 3, 7]];

    #[test]
    fn the_order_of_the_shards_does_not_matter() {
        let mut reversed = shards(7);
        reversed.reverse();
        assert!(symbols().all(|it| shard_of(it, &shards(7)) == shard_of(it, &reversed)));
    }

    #[test]
    fn a_new_shard_takes_its_part_and_nothing_else_moves() {
        for count in 1..12_u16 {
            let new = ShardId(count + 1);
            let (mut all, mut moved) = (0, 0);
            for symbol in symbols() {
                let before = shard_of(symbol, &shards(count));
                let after = shard_of(symbol, &shards(count + 1));
                all += 1;
                if before != after {
                    assert_eq!(after, Some(new), "{symbol}");
                    moved += 1;
                }
            }
            let fair = all / (usize::from(count) + 1);
            let bounds = fair * 85 / 100..=fair * 115 / 100;
            assert!(
                bounds.contains(&moved),
                "{moved} of {all} moved to shard {new}"
            );
        }
    }

    #[test]
    fn every_shard_has_about_as_many_symbols() {
        let mut held = [0_usize; 8];
        for symbol in symbols() {
            held[usize::from(shard_of(symbol, &shards(8)).unwrap().0) - 1] += 1;
        }
        let fair = symbols().count() / 8;
        assert!(
            held.iter()
                .all(|n| (fair * 85 / 100..=fair * 115 / 100).contains(n)),
            "{held:?}"
        );
    }
}
