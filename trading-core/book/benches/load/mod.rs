//! Streams of commands by seed. `exchange-core/…/DirectBook.java` makes the same ones: whoever changes
//! an order of draws here changes it there, and the sums that both print show whether that was done.

use book::{Book, Ending, Fill, Incoming, NaiveBook, Remainder};
use types::{AccountId, OrderId, Price, Quantity, SelfTradePrevention, Side};

/// One command in the form of a message: 32 bytes, decoded inside the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub order: u64,
    pub price: i64,
    pub quantity: u32,
    pub account: u32,
    pub book: u32,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Buy,
    Sell,
    Cancel,
}

impl Command {
    #[inline]
    pub fn incoming(&self) -> Incoming {
        Incoming {
            order: OrderId(self.order),
            account: AccountId(u64::from(self.account)),
            side: if self.kind == Kind::Buy {
                Side::Buy
            } else {
                Side::Sell
            },
            quantity: Quantity(u64::from(self.quantity)),
            limit: Some(Price(self.price)),
            remainder: Remainder::Rests,
            levels_max: None,
            display: None,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
        }
    }
}

/// Marsaglia's xorshift with 64 bits: the same few operations in any language.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`, from the upper 31 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % bound
    }
}

/// What a stream looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    /// Orders that rest in each book, before and about ever after.
    pub resting: usize,
    /// Prices a side on which they rest.
    pub ticks: u64,
    /// Books, each met with the same chance.
    pub books: u64,
    pub commands: usize,
    /// The middle moves by this many ticks back and forth, once each `commands / 20`.
    pub swing: i64,
    /// Shares of a crossing order, in lots: few, and many when more rest than should.
    pub crossing_lots: (u64, u64),
}

/// The load that the figures are about: 20,000 orders over 1,000 prices; 60 % new orders, of which a
/// quarter cross, and 40 % cancels of any order that rests.
pub const STATED: Shape = Shape {
    seed: 4,
    resting: 20_000,
    ticks: 500,
    books: 1,
    commands: 4_000_000,
    swing: 0,
    crossing_lots: (1, 5),
};

pub const TICK: i64 = 100;
/// 100 yuan.
pub const MIDDLE: i64 = 1_000_000;
const LOT: u64 = 100;

/// Orders to start with, and the commands to measure.
pub struct Stream {
    pub opening: Vec<Command>,
    pub load: Vec<Command>,
}

/// Draws a stream, with a book at hand to know which orders still rest.
pub fn draw(shape: Shape) -> Stream {
    let mut drawer = Drawer {
        shape,
        random: Random::new(shape.seed),
        books: vec![NaiveBook::default(); shape.books as usize],
        live: vec![Vec::new(); shape.books as usize],
        places: vec![0],
        fills: Vec::new(),
    };
    let total = shape.resting * shape.books as usize;
    let opening = (0..total)
        .map(|n| drawer.passive(n as u64 % shape.books, 0))
        .collect();
    let load = (0..shape.commands).map(|n| drawer.next(n)).collect();
    Stream { opening, load }
}

struct Drawer {
    shape: Shape,
    random: Random,
    books: Vec<NaiveBook>,
    /// By book: orders that rest, in no order that means anything.
    live: Vec<Vec<u64>>,
    /// By order: where it stands in `live`.
    places: Vec<u32>,
    fills: Vec<Fill>,
}

impl Drawer {
    fn next(&mut self, n: usize) -> Command {
        let book = if self.shape.books == 1 {
            0
        } else {
            self.random.below(self.shape.books)
        };
        let moved = self.moved(n);
        match self.random.below(100) {
            0..45 => self.passive(book, moved),
            45..60 => self.crossing(book, moved),
            _ if self.live[book as usize].is_empty() => self.passive(book, moved),
            _ => self.cancel(book),
        }
    }

    /// How many ticks the middle is away from where it was.
    fn moved(&self, n: usize) -> i64 {
        let period = (self.shape.commands / 20).max(2);
        let phase = (n % period) as i64;
        let half = (period / 2) as i64;
        let up = if phase < half {
            phase
        } else {
            2 * half - phase
        };
        self.shape.swing * up / half
    }

    fn passive(&mut self, book: u64, moved: i64) -> Command {
        let buys = self.random.below(2) == 0;
        let one = self.random.below(self.shape.ticks);
        let other = self.random.below(self.shape.ticks);
        let away = (1 + one.min(other)) as i64;
        let price = MIDDLE + (moved + if buys { -away } else { away }) * TICK;
        let lots = 1 + self.random.below(10);
        self.new_order(book, buys, price, lots)
    }

    fn crossing(&mut self, book: u64, moved: i64) -> Command {
        let buys = self.random.below(2) == 0;
        let away = self.shape.ticks as i64;
        let price = MIDDLE + (moved + if buys { away } else { -away }) * TICK;
        let (few, many) = self.shape.crossing_lots;
        let lots = if self.live[book as usize].len() > self.shape.resting {
            many
        } else {
            few
        };
        let lots = 1 + self.random.below(lots);
        self.new_order(book, buys, price, lots)
    }

    fn new_order(&mut self, book: u64, buys: bool, price: i64, lots: u64) -> Command {
        // Buyers and sellers are different accounts: nobody meets himself.
        let account = self.random.below(500) + if buys { 1 } else { 501 };
        let command = Command {
            order: self.places.len() as u64,
            price,
            quantity: (lots * LOT) as u32,
            account: account as u32,
            book: book as u32,
            kind: if buys { Kind::Buy } else { Kind::Sell },
        };
        self.fills.clear();
        let at = book as usize;
        let outcome = self.books[at].submit(command.incoming(), &mut self.fills);
        self.places.push(self.live[at].len() as u32);
        if outcome.ending == Ending::Rested {
            self.live[at].push(command.order);
        }
        for fill in std::mem::take(&mut self.fills) {
            if let Fill::Trade {
                maker,
                maker_remaining: Quantity(0),
                ..
            } = fill
            {
                self.forget(at, maker.0);
            }
        }
        command
    }

    fn cancel(&mut self, book: u64) -> Command {
        let at = book as usize;
        let place = self.random.below(self.live[at].len() as u64);
        let order = self.live[at][place as usize];
        self.books[at].cancel(OrderId(order));
        self.forget(at, order);
        Command {
            order,
            price: 0,
            quantity: 0,
            account: 0,
            book: book as u32,
            kind: Kind::Cancel,
        }
    }

    fn forget(&mut self, book: usize, order: u64) {
        let place = self.places[order as usize];
        let live = &mut self.live[book];
        live.swap_remove(place as usize);
        if let Some(moved) = live.get(place as usize) {
            self.places[*moved as usize] = place;
        }
    }
}
