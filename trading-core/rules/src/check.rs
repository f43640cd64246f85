//! Whether rules are sound. Each finding names the place, the value and what is accepted.

use crate::day::days_since_1970;
use crate::{
    Band, Calendar, Conduct, Fees, Market, PriceCage, Ratio, RuleSet, Schedule, SizeMax, Trading,
};
use std::fmt::Display;
use types::{Phase, TradingDay};

/// A value that cannot be, by the path to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {value} is not accepted: use {accepted}")]
pub struct RuleError {
    /// Where it stands, such as `markets[0].trading[1].tick`.
    pub path: String,
    /// What stands there.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

/// A place in the rules.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
}

impl Place<'_> {
    fn need(self, field: &str, holds: bool, value: impl Display, accepted: &str) -> Checked {
        if holds {
            return Ok(());
        }
        Err(RuleError {
            path: format!("{}{field}", self.path),
            value: value.to_string(),
            accepted: accepted.to_owned(),
        })
    }
}

type Checked = Result<(), RuleError>;

/// One tenth of the largest amount: prices up to it times the largest order stay countable.
const TICK_MAX: i64 = 1_000_000;

impl RuleSet {
    /// Whether the rules are sound: dates exist and ascend, ticks and lots are above 0, schedules
    /// close the day, codes and securities belong to one market only.
    ///
    /// # Errors
    /// The first [`RuleError`] met.
    pub fn check(&self) -> Result<(), RuleError> {
        self.calendar.check("calendar")?;
        for (index, market) in self.markets.iter().enumerate() {
            market.check(&format!("markets[{index}]"))?;
            let place = Place {
                path: &format!("markets[{index}]."),
            };
            let has_half_days = market
                .trading
                .iter()
                .all(|it| it.half_day_schedule.is_some());
            place.need(
                "trading",
                has_half_days || self.calendar.half_days.is_empty(),
                "an edition without half_day_schedule",
                "one in each edition, since the calendar has half days",
            )?;
            for earlier in &self.markets[..index] {
                check_disjoint(place, earlier, market)?;
            }
        }
        check_conduct(&self.conduct, "conduct")
    }
}

fn check_disjoint(place: Place<'_>, earlier: &Market, market: &Market) -> Checked {
    let twice = (market.securities.iter())
        .find(|security| earlier.board == market.board && earlier.securities.contains(security));
    place.need(
        "securities",
        twice.is_none(),
        format_args!("{:?} of {:?}", twice, market.board),
        "each kind of security in one market of a board only",
    )?;
    let overlap =
        (market.codes.iter()).find(|codes| earlier.codes.iter().any(|other| other.overlaps(codes)));
    place.need(
        "codes",
        overlap.is_none(),
        overlap.map_or_else(String::new, ToString::to_string),
        "codes that no other market has",
    )
}

impl Calendar {
    /// Whether it is sound; `path` is where it stands.
    ///
    /// # Errors
    /// The first [`RuleError`] met.
    pub fn check(&self, path: &str) -> Result<(), RuleError> {
        let path = format!("{path}.");
        let place = Place { path: &path };
        place.need(
            "utc_offset_minutes",
            self.utc_offset_minutes < 24 * 60,
            self.utc_offset_minutes,
            "0 to 1439",
        )?;
        check_day(place, "from", self.from)?;
        check_day(place, "to", self.to)?;
        place.need("to", self.from <= self.to, self.to, "a day not before from")?;
        let mut before = TradingDay(0);
        for (index, holiday) in self.holidays.iter().enumerate() {
            let field = format!("holidays[{index}]");
            check_day(place, &format!("{field}.from"), holiday.from)?;
            check_day(place, &format!("{field}.to"), holiday.to)?;
            let ascends = before < holiday.from && holiday.from <= holiday.to;
            let inside = self.from <= holiday.from && holiday.to <= self.to;
            place.need(
                &field,
                ascends && inside,
                format_args!("{} to {}", holiday.from, holiday.to),
                "days inside the calendar, ascending, after the holiday before",
            )?;
            before = holiday.to;
        }
        let mut before = TradingDay(0);
        for (index, day) in self.half_days.iter().enumerate() {
            let field = format!("half_days[{index}]");
            check_day(place, &field, *day)?;
            let inside = before < *day && (self.from..=self.to).contains(day);
            place.need(&field, inside, day, "days inside the calendar, ascending")?;
            before = *day;
        }
        Ok(())
    }
}

fn check_day(place: Place<'_>, field: &str, day: TradingDay) -> Checked {
    let exists = days_since_1970(day).is_some();
    place.need(
        field,
        exists,
        day,
        "a date that exists, of the years 1990 to 2199, in digits such as 20260706",
    )
}

impl Market {
    /// Whether it is sound by itself; `path` is where it stands.
    ///
    /// # Errors
    /// The first [`RuleError`] met.
    pub fn check(&self, path: &str) -> Result<(), RuleError> {
        let path = format!("{path}.");
        let place = Place { path: &path };
        let named = !self.securities.is_empty();
        place.need("securities", named, "none", "at least one kind")?;
        place.need(
            "codes",
            !self.codes.is_empty(),
            "none",
            "at least one range",
        )?;
        for (index, codes) in self.codes.iter().enumerate() {
            let twice = self.codes[..index]
                .iter()
                .any(|other| other.overlaps(codes));
            place.need(
                &format!("codes[{index}]"),
                !twice,
                codes,
                "codes that no other range has",
            )?;
        }
        check_editions(place, "trading", self.trading.iter().map(|it| it.from))?;
        check_editions(place, "fees", self.fees.iter().map(|it| it.from))?;
        for (index, trading) in self.trading.iter().enumerate() {
            trading.check(Place {
                path: &format!("{path}trading[{index}]."),
            })?;
        }
        for (index, fees) in self.fees.iter().enumerate() {
            fees.check(Place {
                path: &format!("{path}fees[{index}]."),
            })?;
        }
        Ok(())
    }
}

fn check_editions(
    place: Place<'_>,
    field: &str,
    days: impl Iterator<Item = TradingDay>,
) -> Checked {
    let mut before = TradingDay(0);
    for (index, day) in days.enumerate() {
        let from = format!("{field}[{index}].from");
        check_day(place, &from, day)?;
        place.need(&from, before < day, day, "a day after the edition before")?;
        before = day;
    }
    let any = before > TradingDay(0);
    place.need(field, any, "none", "at least one edition")
}

impl Trading {
    fn check(&self, place: Place<'_>) -> Checked {
        let tick = self.tick.0;
        place.need(
            "tick",
            (1..=TICK_MAX).contains(&tick),
            self.tick,
            "0.0001 to 100 yuan",
        )?;
        check_band(place, "price_limits.ordinary", self.price_limits.ordinary)?;
        check_band(
            place,
            "price_limits.risk_warning",
            self.price_limits.risk_warning,
        )?;
        if let Some(band) = self.price_limits.first_days.band {
            check_band(place, "price_limits.first_days.band", band)?;
        }
        if let Some(cage) = &self.cage {
            check_cage(place, cage)?;
        }
        let (minimum, step) = (self.lot.minimum, self.lot.step);
        place.need(
            "lot",
            minimum > 0 && (step == 1 || step == minimum),
            format_args!("a minimum of {minimum} in steps of {step}"),
            "a minimum above 0 with a step of 1 or of the minimum",
        )?;
        check_sizes(place, self.size_max, minimum)?;
        check_schedule(place, "schedule", &self.schedule)?;
        if let Some(schedule) = &self.half_day_schedule {
            check_schedule(place, "half_day_schedule", schedule)?;
        }
        for (index, rule) in self.phases.iter().enumerate() {
            let twice = self.phases[..index].iter().any(|it| it.phase == rule.phase);
            place.need(
                &format!("phases[{index}].phase"),
                !twice,
                format_args!("{:?}", rule.phase),
                "each phase once",
            )?;
        }
        let Some(suspension) = &self.suspension else {
            return Ok(());
        };
        let ascend = suspension.steps.is_sorted_by(|a, b| a < b);
        let positive = suspension.steps.first().is_some_and(|step| step.0 > 0);
        place.need(
            "suspension.steps",
            ascend && positive && suspension.minutes > 0,
            format_args!(
                "{} steps of {} minutes",
                suspension.steps.len(),
                suspension.minutes
            ),
            "steps above 0%, ascending, and at least 1 minute",
        )
    }
}

fn check_band(place: Place<'_>, field: &str, band: Band) -> Checked {
    let sound = band.up.0 > 0
        && band.down.0 > 0
        && band.down.0 < Ratio::ONE
        && band.up.0 < u32::MAX - Ratio::ONE;
    place.need(
        field,
        sound,
        format_args!("up {} and down {}", band.up, band.down),
        "up above 0% and below 4194%, down above 0% and below 100%",
    )
}

fn check_cage(place: Place<'_>, cage: &PriceCage) -> Checked {
    let sound = cage.buy_max.0 >= Ratio::ONE && (1..=Ratio::ONE).contains(&cage.sell_min.0);
    place.need(
        "cage",
        sound,
        format_args!("buy_max {} and sell_min {}", cage.buy_max, cage.sell_min),
        "a buy_max of at least 100% and a sell_min above 0% and at most 100%",
    )
}

fn check_sizes(place: Place<'_>, size: SizeMax, minimum: u64) -> Checked {
    for (field, max) in [
        ("size_max.limit", size.limit),
        ("size_max.market", size.market),
        ("size_max.after_hours", size.after_hours),
    ] {
        let sound = max >= minimum && max <= u64::from(u32::MAX);
        place.need(
            field,
            sound,
            max,
            "at least the lot's minimum and at most 4294967295",
        )?;
    }
    Ok(())
}

fn check_schedule(place: Place<'_>, field: &str, schedule: &Schedule) -> Checked {
    let windows = &schedule.windows;
    let ascend = windows.is_sorted_by(|a, b| a.at < b.at);
    place.need(field, ascend, "times out of order", "times that ascend")?;
    let closes = windows.last().map(|window| window.phase) == Some(Phase::Closed);
    place.need(
        field,
        closes && windows.len() > 1,
        format_args!("{} windows", windows.len()),
        "at least two windows, the last of phase Closed",
    )
}

impl Fees {
    fn check(&self, place: Place<'_>) -> Checked {
        for (field, ratio) in [
            ("stamp_duty", self.stamp_duty),
            ("transfer", self.transfer),
            ("handling", self.handling),
            ("regulatory", self.regulatory),
            ("commission", self.commission),
        ] {
            place.need(field, ratio.0 <= Ratio::ONE / 10, ratio, "0% to 10%")?;
        }
        place.need(
            "commission_min",
            (0..=1_000_000).contains(&self.commission_min.0),
            self.commission_min,
            "0 to 100 yuan",
        )
    }
}

/// Whether levels of conduct are sound; `path` is where they stand.
///
/// # Errors
/// The first [`RuleError`] met.
pub fn check_conduct(editions: &[Conduct], path: &str) -> Result<(), RuleError> {
    check_editions(Place { path: "" }, path, editions.iter().map(|it| it.from))?;
    for (index, conduct) in editions.iter().enumerate() {
        let path = format!("{path}[{index}].");
        let place = Place { path: &path };
        let rate = conduct.order_rate;
        for (field, level) in [
            ("order_rate.per_second_warn", rate.per_second_warn),
            ("order_rate.per_day_warn", rate.per_day_warn),
            ("order_rate.per_second_block", rate.per_second_block),
            ("order_rate.burst_block", rate.burst_block),
        ] {
            place.need(field, level > 0, level, "at least 1")?;
        }
        let cancels = conduct.cancels;
        check_levels(
            place,
            "cancels.ratio",
            cancels.ratio_warn,
            cancels.ratio_block,
        )?;
        let concentration = conduct.concentration;
        let (warn, block) = (concentration.float_warn, concentration.float_block);
        check_levels(place, "concentration.float", warn, block)?;
        let (warn, block) = (concentration.equity_warn, concentration.equity_block);
        check_levels(place, "concentration.equity", warn, block)?;
        let bursts = conduct.bursts;
        place.need(
            "bursts",
            bursts.window_ms > 0 && bursts.turnover_warn.0 > 0,
            format_args!("{} ms and {} yuan", bursts.window_ms, bursts.turnover_warn),
            "a window of at least 1 ms and a turnover above 0 yuan",
        )?;
        let collar = conduct.collar.ratio_max;
        place.need(
            "collar.ratio_max",
            collar.0 > 0 && collar.0 < u32::MAX - Ratio::ONE,
            collar,
            "above 0% and below 4194%",
        )?;
    }
    Ok(())
}

fn check_levels(place: Place<'_>, field: &str, warn: Ratio, block: Ratio) -> Checked {
    place.need(
        field,
        warn.0 > 0 && warn <= block,
        format_args!("warn at {warn} and block at {block}"),
        "a warn level above 0% and at most the block level",
    )
}
