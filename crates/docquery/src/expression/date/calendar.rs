//! The Gregorian calendar, without an end in either direction, and a year 0.
//!
//! jiff's calendar ends with the year 9999; dates of BSON do not, so days are counted here.

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// From 1 to 12.
    pub(crate) month: u8,
    /// From 1 to 31.
    pub(crate) day: u8,
}

/// What calendar and clock show at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) date: Date,
    /// The milliseconds since the day began.
    pub(crate) ms_of_day: i64,
    /// How far ahead of UTC the clock is, in seconds.
    pub(crate) offset: i64,
}

impl Date {
    /// The day that is `days` after 1970-01-01.
    pub(crate) fn of_number(days: i64) -> Self {
        // Years are counted from March here, so that a leap day is the last of its year, and in cycles of 400 years.
        let days = days + DAYS_TO_1970;
        let (cycle, day_of_cycle) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
        Self { year, month: small(month), day: small(day) }
    }

    /// How many days after 1970-01-01 it is.
    pub(crate) fn number(self) -> i64 {
        number_of(self.year, self.month.into(), self.day.into())
    }

    /// The day of the week: 0 for Monday, 6 for Sunday.
    pub(crate) fn weekday(self) -> i64 {
        // 1970-01-01 is a Thursday.
        (self.number() + 3).rem_euclid(7)
    }

    /// The day of the week: 1 for Monday, 7 for Sunday.
    pub(crate) fn weekday_from_monday(self) -> i64 {
        self.weekday() + 1
    }

    /// The day of the week: 1 for Sunday, 7 for Saturday.
    pub(crate) fn weekday_from_sunday(self) -> i64 {
        (self.weekday() + 1) % 7 + 1
    }

    /// The day of the year, from 1.
    pub(crate) fn day_of_year(self) -> i64 {
        self.number() - number_of(self.year, 1, 1) + 1
    }

    /// The week of the year as `strftime` counts them: 0 before the first Sunday.
    pub(crate) fn week(self) -> i64 {
        let days_since_sunday = (self.weekday() + 1) % 7;
        (self.day_of_year() + 6 - days_since_sunday) / 7
    }

    /// The year that the week belongs to, and its number, from 1 to 53, as ISO 8601 counts them.
    pub(crate) fn iso_week(self) -> (i64, i64) {
        // A week belongs to the year of its Thursday.
        let thursday = Self::of_number(self.number() + 3 - self.weekday());
        (thursday.year, (thursday.day_of_year() - 1) / 7 + 1)
    }
}

impl Moment {
    /// What a clock shows that is `offset` seconds ahead of UTC.
    pub(crate) fn at(ms: i64, offset: i64) -> Self {
        // Days first: the milliseconds alone do not leave room for the offset at their ends.
        let ms_of_day = ms.rem_euclid(DAY_MS) + offset * 1000;
        let days = ms.div_euclid(DAY_MS) + ms_of_day.div_euclid(DAY_MS);
        Self { date: Date::of_number(days), ms_of_day: ms_of_day.rem_euclid(DAY_MS), offset }
    }

    /// What a clock in UTC shows.
    pub(crate) fn utc(ms: i64) -> Self {
        Self::at(ms, 0)
    }

    pub(crate) fn hour(self) -> i64 {
        self.ms_of_day / 3_600_000
    }

    pub(crate) fn minute(self) -> i64 {
        self.ms_of_day / 60_000 % 60
    }

    pub(crate) fn second(self) -> i64 {
        self.ms_of_day / 1000 % 60
    }

    pub(crate) fn millisecond(self) -> i64 {
        self.ms_of_day % 1000
    }
}

/// The number of a day whose month and day may lie outside of the calendar: the month 13 is the January after.
pub(crate) fn number_of(year: i64, month: i64, day: i64) -> i64 {
    let months = month - 1;
    let (year, month) = (year + months.div_euclid(12), months.rem_euclid(12) + 1);
    let year_from_march = year - i64::from(month <= 2);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let (cycle, year_of_cycle) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * CYCLE_DAYS + day_of_cycle - DAYS_TO_1970
}

/// How many days a month has.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    number_of(year, month + 1, 1) - number_of(year, month, 1)
}

fn small(number: i64) -> u8 {
    u8::try_from(number).expect("months and days are small")
}

/// The milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The days of 400 years, after which the calendar repeats itself.
pub(crate) const CYCLE_DAYS: i64 = 146_097;

/// The days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(ms: i64, expected: (i64, u8, u8, i64)) {
        let moment = Moment::utc(ms);
        let Date { year, month, day } = moment.date;
        assert_eq!((year, month, day, moment.ms_of_day), expected);
        assert_eq!(moment.date.number() * DAY_MS + moment.ms_of_day, ms);
    }

    #[test]
    fn days_of_the_calendar() {
        check(0, (1970, 1, 1, 0));
        check(-1, (1969, 12, 31, DAY_MS - 1));
        check(951_782_400_000, (2000, 2, 29, 0));
        check(-62_167_219_200_000, (0, 1, 1, 0));
        check(253_402_300_800_000, (10_000, 1, 1, 0));
        check(i64::MAX, (292_278_994, 8, 17, 25_975_807));
        assert_eq!(Moment::utc(i64::MIN).date.year, -292_275_055);
        assert_eq!(Moment::at(i64::MAX, 359_940).date.day, 21);
    }

    #[test]
    fn weeks() {
        let day = |year, month, day| Date { year, month, day };
        assert_eq!(day(2024, 6, 15).weekday(), 5);
        assert_eq!(day(2024, 6, 15).day_of_year(), 167);
        assert_eq!(day(2024, 6, 15).week(), 23);
        assert_eq!(day(2024, 1, 1).week(), 0);
        assert_eq!(day(2023, 1, 1).week(), 1);
        assert_eq!(day(2024, 6, 15).iso_week(), (2024, 24));
        assert_eq!(day(2021, 1, 3).iso_week(), (2020, 53));
        assert_eq!(day(2024, 12, 30).iso_week(), (2025, 1));
    }

    #[test]
    fn months_beyond_a_year_carry_over() {
        assert_eq!(number_of(2024, 13, 1), number_of(2025, 1, 1));
        assert_eq!(number_of(2024, 0, 31), number_of(2023, 12, 31));
        assert_eq!(number_of(2024, 3, 0), number_of(2024, 2, 29));
        assert_eq!(days_in_month(2024, 2), 29);
        assert_eq!(days_in_month(2023, 2), 28);
        assert_eq!(days_in_month(1900, 2), 28);
        assert_eq!(days_in_month(2023, 12), 31);
    }

    proptest! {
        #[test]
        fn days_and_their_numbers_belong_together(days in -110_000_000_000_i64..110_000_000_000) {
            let day = Date::of_number(days);
            prop_assert_eq!(day.number(), days);
            prop_assert!((1..=12).contains(&day.month) && (1..=31).contains(&day.day));
        }
    }
}
