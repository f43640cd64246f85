//! All rules together, and how the ones that hold on a day are found.

use crate::phase::Change;
use crate::{
    Calendar, CodeRange, Conduct, DayKind, Fees, LotRule, NowHolds, OutsideCalendar, PhaseRule,
    PriceCage, PriceLimits, Schedule, SizeMax, Suspension, TieRule, TimeOfDay, Yuan,
};
use serde::{Deserialize, Serialize};
use types::{Board, MarketStyle, Phase, Security, SymbolId, TradingDay, UnixMicros};

use crate::calendar::Moment;
use crate::phase::Allowance;

/// All rules of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSet {
    /// Which days trade.
    pub calendar: Calendar,
    /// The markets, each with its editions.
    pub markets: Vec<Market>,
    /// Levels of conduct, ascending by day.
    pub conduct: Vec<Conduct>,
    /// What is done by them. Not part of the form: the format that they are written in says it.
    #[serde(skip)]
    pub enforcement: Enforcement,
}

/// How much of a set of rules the engine acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Enforcement {
    /// Orders are checked, phases follow the calendar, conduct is watched: format 1.
    #[default]
    Checks,
    /// As well, fees are charged, the day's limits are worked out, cages hold, trading is suspended
    /// where there are no limits, call auctions break ties as the data says, and trading goes on at
    /// the closing price after hours: format 2.
    Whole,
}

/// The securities of one kind on one board: what shares rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Market {
    /// The board.
    pub board: Board,
    /// The styles of securities.
    pub securities: Vec<Security>,
    /// The codes that its symbols have.
    pub codes: Vec<CodeRange>,
    /// How they trade, ascending by day.
    pub trading: Vec<Trading>,
    /// What a trade costs, ascending by day.
    pub fees: Vec<Fees>,
}

/// How a market trades from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trading {
    /// The first day on which it holds.
    pub from: TradingDay,
    /// Prices are multiples of it.
    pub tick: Yuan,
    /// How far a day's prices may go.
    pub price_limits: PriceLimits,
    /// The price cage, where there is one.
    pub cage: Option<PriceCage>,
    /// How many shares an order may have.
    pub lot: LotRule,
    /// The largest orders.
    pub size_max: SizeMax,
    /// When what was bought can be sold, by kind; a kind that is not named: the next trading day.
    pub sellable_same_day: Vec<Security>,
    /// What each phase allows.
    pub phases: Vec<PhaseRule>,
    /// The phases of a whole day.
    pub schedule: Schedule,
    /// The phases of half a day; none where there are no half days.
    pub half_day_schedule: Option<Schedule>,
    /// Market orders that are accepted.
    pub market_styles: Vec<MarketStyle>,
    /// Whether market orders must carry the worst price that they take.
    pub market_orders_need_limit: bool,
    /// How a call auction breaks ties.
    pub auction_tie: TieRule,
    /// Suspension on days without price limits, where there is any.
    pub suspension: Option<Suspension>,
}

/// When shares that were bought can be sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// On the next trading day (T+1).
    NextDay,
    /// At once (T+0).
    SameDay,
}

/// What has a first day.
trait Dated {
    fn from(&self) -> TradingDay;
}

impl Dated for Trading {
    fn from(&self) -> TradingDay {
        self.from
    }
}

impl Dated for Fees {
    fn from(&self) -> TradingDay {
        self.from
    }
}

impl Dated for Conduct {
    fn from(&self) -> TradingDay {
        self.from
    }
}

/// The last edition that does not begin after the day.
fn edition<T: Dated>(editions: &[T], day: TradingDay) -> Option<&T> {
    editions.iter().rev().find(|edition| edition.from() <= day)
}

impl RuleSet {
    /// The market of a kind of security on a board.
    #[must_use]
    pub fn market(&self, board: Board, security: Security) -> Option<&Market> {
        (self.markets.iter())
            .find(|market| market.board == board && market.securities.contains(&security))
    }

    /// The market that a symbol's code belongs to.
    #[must_use]
    pub fn market_of(&self, symbol: SymbolId) -> Option<&Market> {
        (self.markets.iter()).find(|market| market.codes.iter().any(|codes| codes.contains(symbol)))
    }

    /// The levels of conduct on a day.
    #[must_use]
    pub fn conduct_on(&self, day: TradingDay) -> Option<&Conduct> {
        edition(&self.conduct, day)
    }

    /// The phase that should hold in a market at a time, and the next change.
    ///
    /// The leader asks with its clock and sends what differs through the log; replicas obey the log
    /// alone.
    ///
    /// # Errors
    /// [`OutsideCalendar`] when the calendar does not cover the day. The phase is then to be held.
    pub fn now_holds(&self, market: &Market, at: UnixMicros) -> Result<NowHolds, OutsideCalendar> {
        let now = self.calendar.moment(at)?;
        let kind = self.calendar.kind(now.day)?;
        let today = market.schedule_on(now.day, kind);
        let phase = today.map_or(Phase::Closed, |schedule| schedule.phase(now.time));
        let later_today = today.and_then(|schedule| {
            let window = schedule.next(now.time)?;
            Some((now.day, window))
        });
        let next = later_today.or_else(|| {
            let (day, kind) = self.calendar.next_trading_day(now.day)?;
            let first = market.schedule_on(day, kind)?.windows.first()?;
            Some((day, *first))
        });
        let next = next.and_then(|(day, window)| {
            let at = self.calendar.unix(Moment {
                day,
                time: window.at,
            })?;
            Some(Change {
                at,
                phase: window.phase,
            })
        });
        Ok(NowHolds { phase, next })
    }
}

impl Market {
    /// How it trades on a day.
    #[must_use]
    pub fn trading_on(&self, day: TradingDay) -> Option<&Trading> {
        edition(&self.trading, day)
    }

    /// What a trade costs on a day.
    #[must_use]
    pub fn fees_on(&self, day: TradingDay) -> Option<&Fees> {
        edition(&self.fees, day)
    }

    /// Its phases on a day of a kind; `None` on a closed day and before its first edition.
    #[must_use]
    pub fn schedule_on(&self, day: TradingDay, kind: DayKind) -> Option<&Schedule> {
        let trading = self.trading_on(day)?;
        match kind {
            DayKind::Closed => None,
            DayKind::Full => Some(&trading.schedule),
            DayKind::Half => trading.half_day_schedule.as_ref(),
        }
    }
}

impl Trading {
    /// Whether a phase allows something.
    #[must_use]
    pub fn allows(&self, phase: Phase, what: Allowance) -> bool {
        (self.phases.iter()).any(|rule| rule.phase == phase && rule.allows.contains(&what))
    }

    /// When shares that were bought can be sold.
    #[must_use]
    pub fn settlement(&self, security: Security) -> Settlement {
        if self.sellable_same_day.contains(&security) {
            Settlement::SameDay
        } else {
            Settlement::NextDay
        }
    }

    /// The first time of the day that its schedule names.
    #[must_use]
    pub fn opens_at(&self) -> TimeOfDay {
        self.schedule
            .windows
            .first()
            .map_or(TimeOfDay::END, |window| window.at)
    }
}
