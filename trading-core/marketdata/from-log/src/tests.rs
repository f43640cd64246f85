//! Small logs, read as a market.

use super::{CoreMarket, ReadError};
use marketdata::level2::Ladder;
use marketdata::{MarketEvent, Trade};
use std::collections::BTreeMap;
use types::{
    AccountId, Batch, ClOrdId, ClientCommand, ClientSeq, Command, Control, Epoch, LogIndex, Logon,
    Money, NewOrder, OutSeq, Price, Quantity, Request, SessionId, Side, SymbolDefinition, SymbolId,
    TradeId, UnixMicros, encode_batch,
};

const SYMBOL: SymbolId = SymbolId(600_000);
const OTHER: SymbolId = SymbolId(600_001);

/// Two accounts that may trade two symbols, and their commands, one entry each.
struct Log {
    market: CoreMarket,
    seqs: BTreeMap<u64, u64>,
    now: u64,
}

impl Log {
    fn new() -> Self {
        let mut log = Self {
            market: CoreMarket::new(25),
            seqs: BTreeMap::new(),
            now: 1_795_564_800_000_000,
        };
        for symbol in [SYMBOL, OTHER] {
            let share = SymbolDefinition::share(symbol, Price(90_000), Price(110_000));
            log.command(Command::Control(Control::DefineSymbol(share)));
        }
        for account in [7, 8] {
            log.command(Command::Control(Control::OpenAccount {
                account: AccountId(account),
                cash: Money(1_000_000_000_000),
                positions: vec![(SYMBOL, Quantity(100_000)), (OTHER, Quantity(100_000))],
            }));
            let logon = Logon::new(SessionId(account), AccountId(account), OutSeq(0));
            log.command(Command::Logon(logon));
        }
        log
    }

    fn command(&mut self, command: Command) {
        self.now += 1_000;
        let batch = encode_batch(&Batch {
            leader_time: UnixMicros(self.now),
            commands: vec![command],
        });
        let index = LogIndex(self.market.last_index().0 + 1);
        self.market.entry(index, Epoch(1), &batch.unwrap()).unwrap();
    }

    fn request(&mut self, session: u64, request: Request) {
        let seq = self.seqs.entry(session).or_insert(0);
        *seq += 1;
        let command = ClientCommand {
            session: SessionId(session),
            client_seq: ClientSeq(*seq),
            request,
        };
        self.command(Command::Client(command));
    }

    fn order(&mut self, account: u64, id: &str, symbol: SymbolId, side: Side, price: i64) {
        let id = ClOrdId::new(id).unwrap();
        let new = NewOrder::limit(id, symbol, side, Quantity(100), Price(price));
        self.request(account, Request::New(new));
    }

    fn take(&mut self) -> Vec<MarketEvent> {
        let mut out = Vec::new();
        self.market.take(&mut out);
        out
    }
}

/// What somebody has who heard all events.
#[derive(Default)]
struct Heard {
    ladders: BTreeMap<SymbolId, Ladder>,
    trades: Vec<Trade>,
}

impl Heard {
    fn hear(&mut self, events: Vec<MarketEvent>) {
        for event in events {
            match event {
                MarketEvent::Level {
                    symbol,
                    side,
                    level,
                } => {
                    let ladder = self.ladders.entry(symbol).or_default();
                    if level.price > Price(0) {
                        let change = marketdata::level2::Change { side, level };
                        ladder.apply(&[change]).unwrap();
                    }
                }
                MarketEvent::Trade(trade) => self.trades.push(trade),
                MarketEvent::PreviousClose { .. } => {}
            }
        }
    }

    fn assert_equals(&self, market: &CoreMarket) {
        for symbol in [SYMBOL, OTHER] {
            let heard = self.ladders.get(&symbol).cloned().unwrap_or_default();
            assert_eq!(Some(heard), market.ladder(symbol), "{symbol}");
        }
    }
}

#[test]
fn who_hears_all_changes_has_the_books_after_every_entry() {
    let mut log = Log::new();
    let mut heard = Heard::default();
    for step in 0..400_u64 {
        let (account, symbol) = (7 + step % 2, SymbolId(SYMBOL.0 + (step / 7 % 2) as u32));
        let price = 100_000 + 100 * (step * 31 % 9) as i64 - 400;
        let side = if step * 17 % 5 < 2 {
            Side::Buy
        } else {
            Side::Sell
        };
        match step % 11 {
            9 => {
                let original = ClOrdId::new(&format!("O{}", step - 2)).unwrap();
                log.request(7 + step % 2, Request::Cancel { original });
            }
            10 if step % 3 == 0 => log.request(account, Request::MassCancel { symbol: None }),
            _ => log.order(account, &format!("O{step}"), symbol, side, price),
        }
        heard.hear(log.take());
        heard.assert_equals(&log.market);
    }
    assert!(heard.trades.len() > 20, "{}", heard.trades.len());
    let numbers: Vec<u64> = heard.trades.iter().map(|it| it.trade.0).collect();
    assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]));
}

#[test]
fn who_publishes_next_tells_all_books_and_the_last_trades_again() {
    let mut log = Log::new();
    log.order(7, "A1", SYMBOL, Side::Buy, 100_000);
    log.order(8, "B1", SYMBOL, Side::Sell, 100_000);
    log.now += super::OVERLAP_US + 1;
    log.order(7, "A2", SYMBOL, Side::Buy, 100_100);
    log.order(8, "B2", SYMBOL, Side::Sell, 100_100);
    log.order(8, "B3", SYMBOL, Side::Sell, 100_500);
    let mut whole = Vec::new();
    log.market.whole(&mut whole);
    let mut heard = Heard::default();
    heard.hear(whole);
    heard.assert_equals(&log.market);
    assert!(heard.ladders.contains_key(&OTHER), "an empty book is named");
    let again: Vec<TradeId> = heard.trades.iter().map(|it| it.trade).collect();
    assert_eq!(again, [TradeId(2)], "the first is too long ago");
    assert_eq!(log.take(), [], "all was told");
}

/// Found over real processes: a symbol listed after the stream had begun was not known to its readers
/// before its first order.
#[test]
fn a_symbol_that_is_listed_later_is_named_though_nothing_rests() {
    let mut log = Log::new();
    let mut whole = Vec::new();
    log.market.whole(&mut whole);
    let listed = SymbolId(600_002);
    let share = SymbolDefinition::share(listed, Price(90_000), Price(110_000));
    log.command(Command::Control(Control::DefineSymbol(share)));
    let named: Vec<SymbolId> = log.take().iter().map(MarketEvent::symbol).collect();
    assert_eq!(named, [listed]);
}

#[test]
fn a_snapshot_stands_for_what_came_before_it() {
    let mut log = Log::new();
    log.order(7, "A1", SYMBOL, Side::Buy, 100_000);
    let bytes = log.market.state().snapshot().unwrap();
    let index = log.market.last_index();
    let mut restored = CoreMarket::from_snapshot(25, index, &bytes).unwrap();
    assert_eq!(restored.ladder(SYMBOL), log.market.ladder(SYMBOL));
    let gap = restored.entry(LogIndex(index.0 + 2), Epoch(1), &[]);
    assert!(matches!(gap, Err(ReadError::Gap { .. })), "{gap:?}");
}
