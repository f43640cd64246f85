//! A flow of requests as a broker's day has them: many accounts, few busy symbols, orders around a
//! price that hardly moves, more cancels than fills.
//!
//! | of a hundred | request |
//! | --- | --- |
//! | 44 | limit order that comes to rest |
//! | 12 | limit order that crosses |
//! | 3 | market or immediate-or-cancel order |
//! | 36 | cancel |
//! | 5 | replace |
//!
//! The same seed gives the same commands. Cancels may come too late, as in life.

use std::collections::VecDeque;
use types::{
    AccountId, ClOrdId, ClientCommand, ClientSeq, Command, Control, Logon, MarketStyle, Money,
    NewOrder, OrderKind, OutSeq, Price, Quantity, Request, SessionId, Side, SymbolDefinition,
    SymbolId, TimeInForce,
};

/// How large the flow is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub accounts: u64,
    pub symbols: u32,
    /// Orders that a session has open before it cancels its oldest.
    pub open_per_session: usize,
}

const MIDDLE: i64 = 100_000;
const TICK: i64 = 100;

/// SplitMix64: a few instructions, good enough to choose by.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

#[derive(Default)]
struct Trader {
    next_seq: u64,
    next_id: u64,
    open: VecDeque<ClOrdId>,
}

pub struct Flow {
    size: Size,
    dice: Dice,
    traders: Vec<Trader>,
}

impl Flow {
    pub fn new(size: Size, seed: u64) -> Self {
        let traders = (0..size.accounts).map(|_| Trader::default()).collect();
        Self {
            size,
            dice: Dice(seed),
            traders,
        }
    }

    /// Symbols, accounts and logons.
    pub fn opening(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        for symbol in 0..self.size.symbols {
            let definition =
                SymbolDefinition::share(SymbolId(600_000 + symbol), Price(90_000), Price(110_000));
            commands.push(Command::Control(Control::DefineSymbol(definition)));
        }
        let symbols: Vec<_> = (0..self.size.symbols)
            .map(|symbol| (SymbolId(600_000 + symbol), Quantity(10_000_000)))
            .collect();
        for account in 1..=self.size.accounts {
            commands.push(Command::Control(Control::OpenAccount {
                account: AccountId(account),
                cash: Money(10_000_000_000_000),
                positions: symbols.clone(),
            }));
            commands.push(Command::Logon(Logon::new(
                SessionId(account),
                AccountId(account),
                OutSeq(0),
            )));
        }
        commands
    }

    pub fn commands(&mut self, count: usize) -> Vec<Command> {
        (0..count).map(|_| self.command()).collect()
    }

    /// Every trader cancels all.
    #[allow(dead_code, reason = "only one of those who share this module needs it")]
    pub fn cancel_all(&mut self) -> Vec<Command> {
        let traders = 0..self.traders.len();
        let mass_cancel = Request::MassCancel { symbol: None };
        traders
            .map(|trader| {
                self.traders[trader].open.clear();
                self.numbered(trader, mass_cancel)
            })
            .collect()
    }

    fn command(&mut self) -> Command {
        let trader = self.dice.below(self.size.accounts) as usize;
        let request = self.request(trader);
        self.numbered(trader, request)
    }

    fn numbered(&mut self, trader: usize, request: Request) -> Command {
        let trader_state = &mut self.traders[trader];
        trader_state.next_seq += 1;
        Command::Client(ClientCommand {
            session: SessionId(trader as u64 + 1),
            client_seq: ClientSeq(trader_state.next_seq),
            request,
        })
    }

    fn request(&mut self, trader: usize) -> Request {
        let full = self.traders[trader].open.len() >= self.size.open_per_session;
        match self.dice.below(100) {
            0..44 if !full => {
                let away = 1 + self.dice.below(12) as i64;
                self.limit(trader, -away, TimeInForce::Day)
            }
            44..56 => {
                let through = self.dice.below(4) as i64;
                self.limit(trader, through, TimeInForce::Day)
            }
            56..58 => self.limit(trader, 2, TimeInForce::ImmediateOrCancel),
            58 => self.market(trader),
            59..64 => self.replace(trader),
            _ => self.cancel(trader),
        }
    }

    fn id(&mut self, trader: usize) -> ClOrdId {
        let trader = &mut self.traders[trader];
        trader.next_id += 1;
        ClOrdId::new(&format!("A{:09}", trader.next_id)).expect("ten characters are an id")
    }

    fn new_order(&mut self, trader: usize, kind: OrderKind, side: Side) -> NewOrder {
        // Half of the flow is in a tenth of the symbols.
        let symbols = u64::from(self.size.symbols);
        let busy = if self.dice.below(2) == 0 {
            symbols.div_ceil(10)
        } else {
            symbols
        };
        let symbol = SymbolId(600_000 + self.dice.below(busy) as u32);
        let quantity = Quantity((1 + self.dice.below(10)) * 100);
        NewOrder {
            kind,
            ..NewOrder::limit(self.id(trader), symbol, side, quantity, Price(0))
        }
    }

    fn side(&mut self) -> Side {
        if self.dice.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    /// A limit order `through` ticks beyond the middle, or that far away from it.
    fn limit(&mut self, trader: usize, through: i64, time_in_force: TimeInForce) -> Request {
        let side = self.side();
        let beyond = match side {
            Side::Buy => through,
            Side::Sell => -through,
        };
        let price = Price(MIDDLE + beyond * TICK);
        let new = self.new_order(trader, OrderKind::Limit { price }, side);
        if time_in_force == TimeInForce::Day {
            self.traders[trader].open.push_back(new.cl_ord_id);
        }
        Request::New(NewOrder {
            time_in_force,
            ..new
        })
    }

    fn market(&mut self, trader: usize) -> Request {
        let kind = OrderKind::Market {
            style: MarketStyle::ImmediateOrCancel,
            protection: None,
        };
        let side = self.side();
        Request::New(self.new_order(trader, kind, side))
    }

    fn replace(&mut self, trader: usize) -> Request {
        let Some(original) = self.traders[trader].open.pop_back() else {
            return self.limit(trader, -3, TimeInForce::Day);
        };
        let replacement = self.id(trader);
        self.traders[trader].open.push_back(replacement);
        Request::Replace {
            original,
            replacement,
            price: Price(MIDDLE - (1 + self.dice.below(12) as i64) * TICK),
            quantity: Quantity(100),
        }
    }

    fn cancel(&mut self, trader: usize) -> Request {
        match self.traders[trader].open.pop_front() {
            Some(original) => Request::Cancel { original },
            None => self.limit(trader, -2, TimeInForce::Day),
        }
    }
}
