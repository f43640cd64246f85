//! Reckoning with days: which dates exist, which come next, which are weekends.
//!
//! [`TradingDay`] is a date in digits, `20260706`; here it becomes a count of days and back.

use types::TradingDay;

/// Years that are reckoned with: the exchanges opened in 1990.
const YEARS: std::ops::RangeInclusive<u32> = 1990..=2199;

/// Days from 0000-03-01, where the sums below begin, to 1970-01-01.
const DAYS_TO_1970: u32 = 719_468;

/// Days since 1970-01-01; `None` when the digits are no date of the years 1990 to 2199.
///
/// Whole years of 365 days, their leap days, and the days of this year's months: with March as the
/// first month the leap day comes last, and the days before month m are (153 m + 2) / 5.
#[must_use]
pub fn days_since_1970(day: TradingDay) -> Option<u32> {
    let (year, month, date) = (day.0 / 10_000, day.0 / 100 % 100, day.0 % 100);
    let exists = YEARS.contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&date);
    if !exists {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    Some(before_year + (153 * month + 2) / 5 + date - 1 - DAYS_TO_1970)
}

/// The day that many days after 1970-01-01; the inverse of [`days_since_1970`].
#[must_use]
pub fn day_after_1970(days: u32) -> Option<TradingDay> {
    let since_year_0 = days.checked_add(DAYS_TO_1970)?;
    // 400 years have 146,097 days, 100 years 36,524, 4 years 1,461.
    let (eras, in_era) = (since_year_0 / 146_097, since_year_0 % 146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let date = in_year - (153 * month_from_march + 2) / 5 + 1;
    let year = eras.checked_mul(400)? + year_of_era;
    let (year, month) = if month_from_march < 10 {
        (year, month_from_march + 3)
    } else {
        (year + 1, month_from_march - 9)
    };
    let in_range = YEARS.contains(&year);
    in_range.then_some(TradingDay(year * 10_000 + month * 100 + date))
}

/// The date after; `None` when the digits are no date or the years end.
#[must_use]
pub fn next_day(day: TradingDay) -> Option<TradingDay> {
    day_after_1970(days_since_1970(day)? + 1)
}

/// Whether it is a Saturday or Sunday; `None` when the digits are no date.
#[must_use]
pub fn is_weekend(day: TradingDay) -> Option<bool> {
    // 1970-01-01 was a Thursday.
    Some(matches!(days_since_1970(day)? % 7, 2 | 3))
}

fn days_in(year: u32, month: u32) -> u32 {
    let is_leap_year =
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_every_date_without_a_gap() {
        let mut today = TradingDay(19_900_101);
        assert_eq!(days_since_1970(today), Some(7_305));
        while let Some(next) = next_day(today) {
            assert!(next > today);
            assert_eq!(
                days_since_1970(next).unwrap(),
                days_since_1970(today).unwrap() + 1
            );
            today = next;
        }
        assert_eq!(today, TradingDay(21_991_231));
    }

    #[test]
    fn digits_that_are_no_date_are_told() {
        for digits in [0, 20_260_229, 20_261_301, 20_260_001, 19_891_231, u32::MAX] {
            assert_eq!(days_since_1970(TradingDay(digits)), None, "{digits}");
        }
        assert!(days_since_1970(TradingDay(20_240_229)).is_some());
        assert_eq!(day_after_1970(0), None);
        assert_eq!(day_after_1970(u32::MAX), None);
    }

    #[test]
    fn weekends_are_known() {
        // A Friday to a Monday.
        let weekend = [20_261_127, 20_261_128, 20_261_129, 20_261_130]
            .map(|digits| is_weekend(TradingDay(digits)));
        assert_eq!(weekend, [Some(false), Some(true), Some(true), Some(false)]);
    }
}
