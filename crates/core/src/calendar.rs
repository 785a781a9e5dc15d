//! Days and months, in UTC.

use crate::ids::UnixMs;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ms of a day.
const DAY_MS: u64 = 86_400_000;

/// A day, by how many lie between it and 1970-01-01.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Day(pub u64);

impl Day {
    /// The day of a moment.
    pub fn of(at: UnixMs) -> Day {
        Day(at.0 / DAY_MS)
    }

    /// Its first moment.
    pub fn begins(self) -> UnixMs {
        UnixMs(self.0.saturating_mul(DAY_MS))
    }

    /// The day after it.
    #[must_use]
    pub fn next(self) -> Day {
        Day(self.0.saturating_add(1))
    }

    /// The first days of its month, and of the month after.
    pub fn month(self) -> (Day, Day) {
        let (year, month, _) = self.parts();
        let (after, following) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        (Day::at(year, month, 1), Day::at(after, following, 1))
    }

    /// Reads `2026-11-28`; `None` where there is no such day since 1970.
    pub fn parse(text: &str) -> Option<Day> {
        let is_shaped = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_shaped {
            return None;
        }
        let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let found = Day::at(year, month, day);
        // A day that the month does not have is one of the next month.
        (found.parts() == (year, month, day)).then_some(found)
    }

    /// Year, month from 1 and day from 1 (Hinnant, "chrono-compatible low-level date algorithms").
    fn parts(self) -> (u64, u64, u64) {
        let shifted = self.0 + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        (year_of_era + era * 400 + u64::from(month <= 2), month, day)
    }

    fn at(year: u64, month: u64, day: u64) -> Day {
        let year = year - u64::from(month <= 2);
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let (era, of_era) = (year / 400, year % 400);
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        Day(days.saturating_sub(719_468))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(Day::parse(text).map(|day| day.0), expected, "{text:?}");
    }

    #[test]
    fn a_day_is_read_where_there_is_one() {
        check("1970-01-01", Some(0));
        check("2024-02-29", Some(19_782));
        check("2026-11-28", Some(20_785));
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-11-31",
            "2026-11-00",
            "1969-12-31",
            "2026-1-1",
            "26-11-28",
            "2026/11/28",
            "2026-11-2八",
            "",
            "2026-11-28T00:00:00Z",
        ] {
            check(wrong, None);
        }
        assert_eq!(Day::of(UnixMs(1_795_824_000_000)).to_string(), "2026-11-28");
    }

    proptest! {
        #[test]
        fn days_follow_each_other(day in 0_u64..2_900_000) {
            let day = Day(day);
            prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
            prop_assert!(day.to_string() < day.next().to_string());
            let (first, next) = day.month();
            prop_assert!(first <= day && day < next);
            prop_assert!((28..=31).contains(&(next.0 - first.0)));
            prop_assert_eq!(first.to_string()[..8].to_owned(), day.to_string()[..8].to_owned());
        }
    }
}
