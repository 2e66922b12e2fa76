//! Days since 1970 and dates of the Gregorian calendar, each from the other.

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
}

/// As HTTP (RFC 9110, section 5.6.7) and C's `asctime` write them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
pub const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// The days in 400 years, after which the calendar repeats itself.
const DAYS_OF_AN_ERA: i64 = 146_097;

/// From the first of March of the year 0 to 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

impl Date {
    /// None if the calendar has no such day.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let date = Self { year, month, day };
        (Self::of_days(date.days()) == date).then_some(date)
    }

    /// Days since 1970. Years are counted from March here: the leap day is the last one of its year.
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * DAYS_OF_AN_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_BEFORE_1970
    }

    pub fn of_days(days: i64) -> Self {
        let days = days + DAYS_BEFORE_1970;
        let (era, of_era) = (days.div_euclid(DAYS_OF_AN_ERA), days.rem_euclid(DAYS_OF_AN_ERA));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        Self { year: year + era * 400 + i64::from(month <= 2), month, day: of_year - (153 * from_march + 2) / 5 + 1 }
    }

    pub fn weekday(self) -> &'static str {
        WEEKDAYS[self.days().rem_euclid(7) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_found_again() {
        for days in -800_000..3_000_000 {
            let date = Date::of_days(days);
            assert_eq!((date.days(), Date::new(date.year, date.month, date.day)), (days, Some(date)));
        }
        assert_eq!(Date { year: 2020, month: 9, day: 13 }.days(), 1_600_000_000 / 86_400);
        assert_eq!(Date { year: 2026, month: 11, day: 25 }.weekday(), "Wed");
        assert_eq!((Date::new(2025, 2, 29), Date::new(2024, 13, 1), Date::new(2024, 4, 0)), (None, None, None));
    }
}
