//! What is to be told to the core: at most one price a symbol, the newest.

use marketdata::ReferencePrice;
use std::collections::{BTreeMap, VecDeque};
use types::SymbolId;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    price: ReferencePrice,
    is_good: bool,
}

/// Prices that wait, in turn.
#[derive(Debug, Default)]
pub(crate) struct Board {
    waiting: BTreeMap<SymbolId, Waiting>,
    /// Symbols that may be told, first come first; each once.
    turn: VecDeque<SymbolId>,
    replaced: u64,
}

impl Board {
    /// Takes a price; an older one of the symbol is replaced and keeps its turn.
    pub(crate) fn put(&mut self, price: ReferencePrice) {
        let is_good = true;
        let waiting = Waiting { price, is_good };
        if self.waiting.insert(price.symbol, waiting).is_some() {
            self.replaced += 1;
        }
        self.queue(price.symbol);
    }

    /// Notes whether a symbol's book is good: while it is not, its price waits.
    pub(crate) fn mark(&mut self, symbol: SymbolId, is_good: bool) {
        if let Some(waiting) = self.waiting.get_mut(&symbol) {
            waiting.is_good = is_good;
            if is_good {
                self.queue(symbol);
            }
        }
    }

    /// Notes that no book is good.
    pub(crate) fn mark_all_stale(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.is_good = false;
        }
    }

    fn queue(&mut self, symbol: SymbolId) {
        if !self.turn.contains(&symbol) {
            self.turn.push_back(symbol);
        }
    }

    /// The price whose turn it is; it stays until it is [`Board::settled`].
    pub(crate) fn next(&mut self) -> Option<ReferencePrice> {
        while let Some(symbol) = self.turn.front() {
            match self.waiting.get(symbol) {
                Some(waiting) if waiting.is_good => return Some(waiting.price),
                _ => {
                    self.turn.pop_front();
                }
            }
        }
        None
    }

    /// The core has answered about this price; a newer one of the symbol waits on.
    pub(crate) fn settled(&mut self, price: ReferencePrice) {
        let symbol = price.symbol;
        self.turn.retain(|waiting| *waiting != symbol);
        if self
            .waiting
            .get(&symbol)
            .is_some_and(|it| it.price == price)
        {
            self.waiting.remove(&symbol);
        } else if self.waiting.contains_key(&symbol) {
            self.turn.push_back(symbol);
        }
    }

    /// Prices that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Prices that a newer one replaced before they were told.
    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketdata::Basis;
    use types::Price;

    fn price(symbol: u32, price: i64) -> ReferencePrice {
        ReferencePrice {
            symbol: SymbolId(symbol),
            price: Price(price),
            basis: Basis::LastTrade,
        }
    }

    #[test]
    fn only_the_newest_price_of_a_symbol_waits_and_symbols_take_turns() {
        let mut board = Board::default();
        for at in [100, 101, 102] {
            board.put(price(1, at));
        }
        board.put(price(2, 50));
        assert_eq!((board.len(), board.replaced()), (2, 2));
        assert_eq!(board.next(), Some(price(1, 102)));
        assert_eq!(board.next(), Some(price(1, 102)), "until it is settled");
        board.put(price(1, 103));
        board.settled(price(1, 102));
        assert_eq!(board.next(), Some(price(2, 50)));
        board.settled(price(2, 50));
        assert_eq!(
            board.next(),
            Some(price(1, 103)),
            "newer than what was told"
        );
        board.settled(price(1, 103));
        assert_eq!((board.next(), board.len()), (None, 0));
    }

    #[test]
    fn a_price_of_a_stale_book_waits_until_the_book_is_good_again() {
        let mut board = Board::default();
        board.put(price(1, 100));
        board.put(price(2, 50));
        board.mark(SymbolId(1), false);
        assert_eq!(board.next(), Some(price(2, 50)));
        board.mark_all_stale();
        assert_eq!(board.next(), None);
        board.mark(SymbolId(1), true);
        assert_eq!(board.next(), Some(price(1, 100)));
    }
}
