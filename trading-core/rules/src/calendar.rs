//! The trading calendar: which days trade, and which only for half a day.

use crate::TimeOfDay;
use crate::day::{day_after_1970, days_since_1970, is_weekend, next_day};
use serde::{Deserialize, Serialize};
use types::{TradingDay, UnixMicros};

/// The days that are known. Outside of them nothing is said, and the phase is to be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// The exchanges' clock ahead of UTC, in minutes.
    pub utc_offset_minutes: u32,
    /// First day that is known.
    pub from: TradingDay,
    /// Last day that is known.
    pub to: TradingDay,
    /// Closed beside Saturdays and Sundays, ascending.
    pub holidays: Vec<Holiday>,
    /// Days that trade by the schedule of half days, ascending.
    pub half_days: Vec<TradingDay>,
}

/// Closed days in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    /// What it is called.
    pub name: String,
    /// First closed day.
    pub from: TradingDay,
    /// Last closed day.
    pub to: TradingDay,
}

/// What a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// A weekend or a holiday.
    Closed,
    /// A whole trading day.
    Full,
    /// Half a trading day.
    Half,
}

/// A time on the exchanges' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The date.
    pub day: TradingDay,
    /// The time of day.
    pub time: TimeOfDay,
}

/// A day of which the calendar says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the calendar says nothing of {at}: it covers {from} to {to}; hold the phase and load rules \
     whose calendar goes on"
)]
pub struct OutsideCalendar {
    /// The day or time.
    pub at: String,
    /// The first day that is known.
    pub from: TradingDay,
    /// The last.
    pub to: TradingDay,
}

const MICROS_PER_DAY: u64 = 24 * 3_600 * 1_000_000;

impl Calendar {
    /// What a day is.
    ///
    /// # Errors
    /// [`OutsideCalendar`] when it is not covered.
    pub fn kind(&self, day: TradingDay) -> Result<DayKind, OutsideCalendar> {
        let weekend = is_weekend(day).filter(|_| (self.from..=self.to).contains(&day));
        let weekend = weekend.ok_or_else(|| self.outside(day.to_string()))?;
        let holiday = (self.holidays.iter()).any(|it| (it.from..=it.to).contains(&day));
        Ok(if weekend || holiday {
            DayKind::Closed
        } else if self.half_days.contains(&day) {
            DayKind::Half
        } else {
            DayKind::Full
        })
    }

    /// The first trading day after a day, with its kind; `None` when the calendar ends before it.
    #[must_use]
    pub fn next_trading_day(&self, after: TradingDay) -> Option<(TradingDay, DayKind)> {
        let mut day =
            next_day(after.max(TradingDay(self.from.0.saturating_sub(1)))).unwrap_or(self.from);
        // Bounded by the calendar's own length.
        while day <= self.to {
            match self.kind(day) {
                Ok(DayKind::Closed) => day = next_day(day)?,
                Ok(kind) => return Some((day, kind)),
                Err(_) => return None,
            }
        }
        None
    }

    /// A time on the exchanges' clock, to the millisecond below.
    ///
    /// # Errors
    /// [`OutsideCalendar`] when it is in no year that is reckoned with.
    pub fn moment(&self, at: UnixMicros) -> Result<Moment, OutsideCalendar> {
        let offset = u64::from(self.utc_offset_minutes) * 60_000_000;
        let local = at.0.checked_add(offset);
        let moment = local.and_then(|local| {
            let day = day_after_1970((local / MICROS_PER_DAY).try_into().ok()?)?;
            // A day's milliseconds are far below 2^32.
            let time = TimeOfDay((local % MICROS_PER_DAY / 1_000) as u32);
            Some(Moment { day, time })
        });
        moment.ok_or_else(|| self.outside(format!("{at} µs after 1970")))
    }

    /// When a moment is, as the log counts time; `None` when its date does not exist or it was
    /// before 1970 in UTC.
    #[must_use]
    pub fn unix(&self, moment: Moment) -> Option<UnixMicros> {
        let days = u64::from(days_since_1970(moment.day)?);
        let local = days * MICROS_PER_DAY + u64::from(moment.time.0) * 1_000;
        let offset = u64::from(self.utc_offset_minutes) * 60_000_000;
        local.checked_sub(offset).map(UnixMicros)
    }

    pub(crate) fn outside(&self, at: String) -> OutsideCalendar {
        OutsideCalendar {
            at,
            from: self.from,
            to: self.to,
        }
    }
}
