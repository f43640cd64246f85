//! What the exchange's rules make of one symbol on one day: its limits, the first days of its listing,
//! and suspension where there are no limits.
//!
//! ```text
//!   a day begins, previous close or issue price is told ─► limits: close × (1 ± ratio), or none
//!   without limits:  a trade 30 % from the opening price ─► Halted, orders gather ─► 10 minutes later,
//!                    and again at 60 %                       (or the closing call)    one auction price
//! ```
//! A definition says the limits itself and holds until the next of these; nothing here acts before rules
//! of format 2 are loaded. "No limit" has to be a number all the same, for sums must stay in range: one
//! tick to [`UNLIMITED_TIMES`] the close before.

use crate::Shard;
use crate::listing::MarketBook;
use serde::{Deserialize, Serialize};
use types::{
    CancelCause, Event, MarketStyle, NewOrder, OrderKind, Phase, Price, RejectReason,
    SymbolDefinition, SymbolId, UnixMicros,
};

/// Where a price ends that has no limit, in times of the close before.
const UNLIMITED_TIMES: i64 = 100;

/// What is remembered of a symbol for its rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarketDay {
    /// Its trading days, that of its listing and today included; 0 when its issue price was not told.
    pub listed_days: u32,
    /// It has no price limits today.
    pub is_unlimited: bool,
    /// The first price of a day without limits.
    pub opened_at: Option<Price>,
    /// How many distances from the opening price were reached.
    pub steps_taken: u8,
    /// Trading is suspended for a while.
    pub suspended: Option<Suspended>,
}

/// A suspension that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspended {
    pub until: UnixMicros,
    /// The phase that its board is in meanwhile.
    pub into: Phase,
}

impl<B: MarketBook> Shard<B> {
    /// Whether a symbol has no price limits today, and its trading is suspended until when.
    #[must_use]
    pub fn unlimited_today(&self, symbol: SymbolId) -> Option<(bool, Option<UnixMicros>)> {
        let today = self.listing(self.listing_row(symbol)?).today;
        let until = today.suspended.map(|suspended| suspended.until);
        Some((today.is_unlimited, until))
    }

    /// Begins a day for every symbol: another day of its listing, other limits. Orders that stayed and
    /// stand outside of these are cancelled, by number.
    pub(crate) fn begin_market_day(&mut self, events: &mut Vec<Event>) {
        if !self.facts.risk.is_whole {
            return;
        }
        for row in 0..self.listings.len() as u32 {
            let today = &mut self.listing_mut(row).today;
            if today.listed_days > 0 {
                today.listed_days = today.listed_days.saturating_add(1);
            }
            today.opened_at = None;
            today.steps_taken = 0;
            self.work_out_limits(row);
        }
        for row in self.orders.open_rows() {
            let order = self.orders.at(row);
            if !crate::check::is_within_limits(self.listing(order.symbol), order) {
                self.expel(row, CancelCause::OutsideLimits, events);
            }
        }
    }

    /// A price was told that limits are reckoned from: they are others, unless the day has trades.
    pub(crate) fn reckon_limits_anew(&mut self, symbol: u32, events: &mut Vec<Event>) {
        let name = self.listing(symbol).definition.symbol;
        if !self.facts.risk.is_whole || self.day_tally(name).trades > 0 {
            return;
        }
        if self.work_out_limits(symbol) {
            self.listing_mut(symbol).awaits_limits = true;
            self.apply_new_limits(symbol, events);
        }
    }

    /// The day's limits by the rules; false where these or the close before are not known.
    fn work_out_limits(&mut self, row: u32) -> bool {
        let listing = self.listing(row);
        let (definition, today) = (listing.definition, listing.today);
        let (Some(trading), Some(close)) = (self.facts.risk.trading(row), listing.previous_close)
        else {
            return false;
        };
        let days = match today.listed_days {
            0 => u32::MAX,
            days => days,
        };
        let tick = definition.tick;
        let band = trading.price_limits.band(definition.security, days);
        let limits = match band {
            Some(band) => band.limits(close, tick),
            None => (close.0.checked_mul(UNLIMITED_TIMES))
                .map(|far| (tick, Price(far - far % tick.0.max(1)))),
        };
        let Some((limit_down, limit_up)) = limits else {
            return false;
        };
        let definition = SymbolDefinition {
            limit_down,
            limit_up,
            ..definition
        };
        if !self.are_sound(&definition) {
            return false;
        }
        let listing = self.listing_mut(row);
        listing.definition = definition;
        listing.book.symbol_changed(&definition);
        listing.today.is_unlimited = band.is_none();
        self.facts.risk.redefine(row, &definition);
        true
    }

    /// Market orders stop at the day's limit. Where there is none, they say themselves where they stop,
    /// on boards that ask for it always; others take none.
    #[inline]
    pub(crate) fn check_unlimited(&self, symbol: u32, new: &NewOrder) -> Result<(), RejectReason> {
        let listing = self.listing(symbol);
        if !listing.today.is_unlimited {
            return Ok(());
        }
        let OrderKind::Market { style, protection } = new.kind else {
            return Ok(());
        };
        let day = self.facts.risk.enforced(symbol);
        match (
            day.is_some_and(|day| day.market_orders_need_limit),
            protection,
        ) {
            (true, Some(_)) => Ok(()),
            (true, None) => Err(RejectReason::ProtectionNeeded { style }),
            (false, _) => Err(not_accepted(style, &listing.definition)),
        }
    }

    /// Looks at a price that was traded at on a day without limits, and suspends trading where it is as
    /// far from the opening price as the rules say. What the command that traded still does, it does.
    #[inline(never)]
    pub(crate) fn watch_distance(&mut self, row: u32, price: Price) {
        let listing = self.listing(row);
        let today = listing.today;
        let Some(opened_at) = today.opened_at else {
            self.listing_mut(row).today.opened_at = Some(price);
            return;
        };
        let Some(suspension) = (self.facts.risk.trading(row))
            .and_then(|trading| trading.suspension.as_ref())
            .filter(|_| listing.phase == Phase::Continuous)
        else {
            return;
        };
        let (far, from) = (price.0.abs_diff(opened_at.0), opened_at.0.unsigned_abs());
        let reached = (suspension.steps.iter())
            .filter(|step| step.is_reached(far, from))
            .count() as u8;
        if reached <= today.steps_taken {
            return;
        }
        let micros = u64::from(suspension.minutes) * 60_000_000;
        let until = UnixMicros(self.facts.context.leader_time.0.saturating_add(micros));
        let listing = self.listing_mut(row);
        listing.today.steps_taken = reached;
        listing.today.suspended = Some(Suspended {
            until,
            into: listing.phase,
        });
        listing.phase = Phase::Halted;
        self.suspensions.insert((until, row));
    }

    /// Lets trading go on where a suspension is over, the earliest first: what has gathered trades at one
    /// price, as at the end of any call.
    #[inline(never)]
    pub(crate) fn end_suspensions(&mut self, events: &mut Vec<Event>) {
        while let Some((until, row)) = self.suspensions.first().copied() {
            if until > self.facts.context.leader_time {
                return;
            }
            if let Some(suspended) = self.forget_suspension(row) {
                self.pass_into(row, suspended.into, events);
            }
        }
    }

    /// Ends a suspension without going on: whoever asks says what comes.
    pub(crate) fn forget_suspension(&mut self, row: u32) -> Option<Suspended> {
        let suspended = self.listing_mut(row).today.suspended.take()?;
        self.suspensions.remove(&(suspended.until, row));
        Some(suspended)
    }
}

fn not_accepted(style: MarketStyle, definition: &SymbolDefinition) -> RejectReason {
    let board = definition.board;
    RejectReason::MarketStyleNotAccepted { style, board }
}
