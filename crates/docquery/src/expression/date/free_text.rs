//! Texts with dates in the formats that people use: `2017-07-04T11:23:45.123Z`, `July 4, 2017 11:23 PM`, `20170704`.

use super::calendar::number_of;
use super::from_parts::iso_day;
use super::from_string::{Found, Impossible, Part};
use super::scanner::{Scanner, zone};

/// What `text` says; `None` if something in it is not understood, or there is no such day or time.
pub(super) fn parse(text: &str) -> Option<Found> {
    let mut scanner = Scanner::of(text);
    let mut found = Found::default();
    scanner.skip(SPACE);
    while !scanner.is_done() {
        read_part(&mut scanner, &mut found)?;
        scanner.skip(SPACE);
    }
    Some(found)
}

const SPACE: &str = " \t\n,\0";

/// Reads a date, a time or a zone, each of which may come once.
fn read_part(scanner: &mut Scanner<'_>, found: &mut Found) -> Option<()> {
    if let Some(parts) = scanner.attempt(seconds_since_epoch) {
        return found.take_whole(parts);
    }
    if let Some(time) = scanner.attempt(time) {
        return put(&mut found.ms_of_day, time.ok()?);
    }
    if let Some(date) = scanner.attempt(date) {
        put(&mut found.day, date.ok()?)?;
        // A time may follow without a space, and then behind a T without colons too.
        if let Some(time) = scanner.attempt(time_after_t) {
            put(&mut found.ms_of_day, time.ok()?)?;
        }
        return Some(());
    }
    let anything = found.day.is_some() || found.ms_of_day.is_some();
    if let Some(offset) = if anything { zone(scanner) } else { None } {
        return put(&mut found.offset, offset);
    }
    // The day of the week says nothing that the date does not.
    scanner.attempt(weekday)
}

/// Notes a part that is there for the first time.
fn put(part: &mut Option<i64>, value: i64) -> Option<()> {
    part.replace(value).is_none().then_some(())
}

impl Found {
    fn take_whole(&mut self, ms: i64) -> Option<()> {
        put(&mut self.day, ms.div_euclid(86_400_000))?;
        put(&mut self.ms_of_day, ms.rem_euclid(86_400_000))?;
        put(&mut self.offset, 0)
    }
}

/// `@1499166225`
fn seconds_since_epoch(scanner: &mut Scanner<'_>) -> Option<i64> {
    scanner.one_of("@")?;
    let sign = if scanner.one_of("-").is_some() { -1 } else { 1 };
    Some(sign * scanner.number(1, 12)? * 1000)
}

/// A time of day.
fn time(scanner: &mut Scanner<'_>) -> Option<Part> {
    scanner.one_of("tT");
    let hour = scanner.whole_number(1, 2)?;
    let (mut minute, mut second, mut millisecond) = (None, 0, 0);
    if scanner.one_of(":").is_some() {
        minute = Some(scanner.whole_number(1, 2)?);
        let seconds = scanner.attempt(|scanner| {
            scanner.one_of(":")?;
            scanner.whole_number(1, 2)
        });
        if let Some(seconds) = seconds {
            second = seconds;
            millisecond = scanner.attempt(decimals).unwrap_or(0);
        }
    }
    let half = scanner.attempt(half_of_day);
    let hour = match (half, minute) {
        (None, None) => return None,
        (None, Some(_)) => hour,
        (Some(_), _) if !(1..=12).contains(&hour) => return Some(Err(Impossible)),
        (Some(afternoon), _) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    Some(Found::time_of(hour, minute.unwrap_or(0), second, millisecond))
}

fn decimals(scanner: &mut Scanner<'_>) -> Option<i64> {
    scanner.one_of(".,")?;
    scanner.fraction(usize::MAX)
}

/// `am` and `P.M.`: whether it is the second half.
fn half_of_day(scanner: &mut Scanner<'_>) -> Option<bool> {
    scanner.skip(" \t");
    let letter = scanner.one_of("aApP")?;
    scanner.one_of(".");
    scanner.one_of("mM")?;
    scanner.one_of(".");
    Some("pP".contains(letter))
}

/// A time that follows a date at once: `T11:23:45`, `T112345`, `T1123`, `T11`.
fn time_after_t(scanner: &mut Scanner<'_>) -> Option<Part> {
    if let Some(time) = scanner.attempt(|scanner| {
        matches!(scanner.peek(), Some('t' | 'T')).then_some(())?;
        time(scanner)
    }) {
        return Some(time);
    }
    scanner.one_of("tT")?;
    let digits = scanner.digits(2, 6)?;
    let pair = |place: usize| digits.get(place..place + 2).and_then(|pair| pair.parse().ok());
    if digits.len() % 2 == 1 {
        return None;
    }
    let millisecond = scanner.attempt(decimals).unwrap_or(0);
    Some(Found::time_of(pair(0)?, pair(2).unwrap_or(0), pair(4).unwrap_or(0), millisecond))
}

/// Reads a date in one format, if there is one.
type DateFormat = fn(&mut Scanner<'_>) -> Option<Part>;

/// A date.
fn date(scanner: &mut Scanner<'_>) -> Option<Part> {
    let formats: [DateFormat; 9] = [
        week_of_year,
        year_month_day,
        compact,
        day_of_year,
        month_day_year,
        day_month_year,
        month_in_letters,
        day_and_month_in_letters,
        year_and_month_in_letters,
    ];
    formats.into_iter().find_map(|format| scanner.attempt(format))
}

/// `2017-W27-2`, `2017W272`, `2017W27`
fn week_of_year(scanner: &mut Scanner<'_>) -> Option<Part> {
    let year = scanner.number(4, 4)?;
    scanner.one_of("-");
    scanner.one_of("W")?;
    let week = scanner.number(2, 2)?;
    scanner.one_of("-");
    let day = scanner.number(1, 1).unwrap_or(1);
    let known = (1..=53).contains(&week) && (0..=7).contains(&day);
    Some(if known { Ok(iso_day(year, week, day)) } else { Err(Impossible) })
}

/// `2017-07-04`, `2017/7/4`, `-0044-03-15`, `2017-07`
fn year_month_day(scanner: &mut Scanner<'_>) -> Option<Part> {
    let sign = match scanner.one_of("+-") {
        Some('-') => -1,
        _ => 1,
    };
    let year = sign * scanner.whole_number(4, 4)?;
    let separator = scanner.one_of("-/")?;
    let month = scanner.whole_number(1, 2)?;
    let day = scanner.attempt(|scanner| {
        scanner.one_of(separator.encode_utf8(&mut [0; 4]))?;
        scanner.whole_number(1, 2)
    });
    if day.is_none() && separator == '/' {
        return None;
    }
    Some(Found::day_of(year, month, day.unwrap_or(1)))
}

/// `20170704`
fn compact(scanner: &mut Scanner<'_>) -> Option<Part> {
    let number = scanner.whole_number(8, 8)?;
    Some(Found::day_of(number / 10_000, number / 100 % 100, number % 100))
}

/// `2017-185`, `2017.185`, `2017185`
fn day_of_year(scanner: &mut Scanner<'_>) -> Option<Part> {
    let year = scanner.number(4, 4)?;
    scanner.one_of("-.");
    let day = scanner.whole_number(3, 3)?;
    Some(if (1..=366).contains(&day) { Ok(number_of(year, 1, day)) } else { Err(Impossible) })
}

/// `7/4/2017`
fn month_day_year(scanner: &mut Scanner<'_>) -> Option<Part> {
    let month = scanner.whole_number(1, 2)?;
    scanner.one_of("/")?;
    let day = scanner.whole_number(1, 2)?;
    scanner.one_of("/")?;
    Some(Found::day_of(year(scanner)?, month, day))
}

/// `4-7-2017`, `04.07.2017`
fn day_month_year(scanner: &mut Scanner<'_>) -> Option<Part> {
    let day = scanner.whole_number(1, 2)?;
    scanner.one_of("-.\t")?;
    let month = scanner.whole_number(1, 2)?;
    scanner.one_of("-.")?;
    Some(Found::day_of(scanner.whole_number(4, 4)?, month, day))
}

/// `July 4, 2017`, `Jul-04-2017`, `July 4th 2017`, `July 2017`
fn month_in_letters(scanner: &mut Scanner<'_>) -> Option<Part> {
    let month = month(scanner)?;
    scanner.skip(SEPARATORS);
    let day = scanner.attempt(|scanner| {
        let day = scanner.whole_number(1, 2)?;
        ordinal(scanner);
        scanner.one_of(SEPARATORS)?;
        scanner.skip(SEPARATORS);
        // What follows may be a time instead of a year; then there is none.
        let year = scanner.whole_number(4, 4)?;
        (scanner.peek() != Some(':')).then_some((day, year))
    });
    let (day, year) = match day {
        Some(found) => found,
        None => (1, scanner.whole_number(4, 4)?),
    };
    Some(Found::day_of(year, month, day))
}

/// `4 July 2017`, `04-Jul-17`, `4th of July` is not.
fn day_and_month_in_letters(scanner: &mut Scanner<'_>) -> Option<Part> {
    let day = scanner.whole_number(1, 2)?;
    ordinal(scanner);
    scanner.skip(SEPARATORS);
    let month = month(scanner)?;
    scanner.skip(SEPARATORS);
    Some(Found::day_of(year(scanner)?, month, day))
}

/// `2017-Jul-04`, `2017 July`
fn year_and_month_in_letters(scanner: &mut Scanner<'_>) -> Option<Part> {
    let year = scanner.whole_number(4, 4)?;
    scanner.skip(SEPARATORS);
    let month = month(scanner)?;
    let day = scanner.attempt(|scanner| {
        scanner.one_of("-")?;
        scanner.whole_number(1, 2)
    });
    Some(Found::day_of(year, month, day.unwrap_or(1)))
}

const SEPARATORS: &str = " \t.,-";

/// A year of four digits, or of two: up to 69 they are of this century.
fn year(scanner: &mut Scanner<'_>) -> Option<i64> {
    if let Some(year) = scanner.attempt(|scanner| scanner.whole_number(4, 4)) {
        return Some(year);
    }
    let year = scanner.whole_number(2, 2)?;
    Some(if year < 70 { 2000 + year } else { 1900 + year })
}

fn ordinal(scanner: &mut Scanner<'_>) {
    scanner.attempt(|scanner| {
        let word = scanner.word()?.to_ascii_lowercase();
        ["st", "nd", "rd", "th"].contains(&word.as_str()).then_some(())
    });
}

fn month(scanner: &mut Scanner<'_>) -> Option<i64> {
    scanner.attempt(|scanner| {
        Some(match scanner.word()?.to_ascii_lowercase().as_str() {
            "jan" | "january" | "i" => 1,
            "feb" | "february" | "ii" => 2,
            "mar" | "march" | "iii" => 3,
            "apr" | "april" | "iv" => 4,
            "may" | "v" => 5,
            "jun" | "june" | "vi" => 6,
            "jul" | "july" | "vii" => 7,
            "aug" | "august" | "viii" => 8,
            "sep" | "sept" | "september" | "ix" => 9,
            "oct" | "october" | "x" => 10,
            "nov" | "november" | "xi" => 11,
            "dec" | "december" | "xii" => 12,
            _ => return None,
        })
    })
}

fn weekday(scanner: &mut Scanner<'_>) -> Option<()> {
    let word = scanner.word()?.to_ascii_lowercase();
    let long = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let short = word.len() == 3 && long.iter().any(|name| name.starts_with(&word));
    (short || long.contains(&word.as_str())).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9:+@TtWZzJjulyAaPpMm ,./é-]{0,24}", any in ".{0,12}") {
            parse(&text);
            parse(&any);
        }
    }

    const FOURTH_OF_JULY: i64 = 17_351;

    #[track_caller]
    fn check(text: &str, ms_of_day: i64, offset: Option<i64>) {
        let found = parse(text).unwrap_or_else(|| panic!("'{text}' is a date"));
        assert_eq!(found.day, Some(FOURTH_OF_JULY), "{text}");
        assert_eq!(found.ms_of_day.unwrap_or(0), ms_of_day, "{text}");
        assert_eq!(found.offset, offset, "{text}");
    }

    #[test]
    fn formats_of_days() {
        for text in [
            "2017-07-04",
            "2017/07/04",
            "2017-7-4",
            "20170704",
            "2017-185",
            "2017185",
            "2017W272",
            "2017-W27-2",
            "7/4/2017",
            "04.07.2017",
            "4-7-2017",
            "July 4, 2017",
            "4 July 2017",
            "04-Jul-17",
            "2017-Jul-04",
            "Tue, 4 Jul 2017",
            "  2017-07-04  ",
            "July 4th 2017",
        ] {
            check(text, 0, None);
        }
    }

    #[test]
    fn formats_of_times() {
        let half_past_eleven = 41_400_000;
        check("2017-07-04T11:30:00Z", half_past_eleven, Some(0));
        check("2017-07-04 11:30", half_past_eleven, None);
        check("2017-07-04T11:30:00.25+0530", half_past_eleven + 250, Some(19_800));
        check("2017-07-04T11:30:00,123456 -05:00", half_past_eleven + 123, Some(-18_000));
        check("20170704T113000", half_past_eleven, None);
        check("20170704T1130Z", half_past_eleven, Some(0));
        check("July 4, 2017 11:30 PM", half_past_eleven + 43_200_000, None);
        check("July 4, 2017 11:30am EST", half_past_eleven, Some(-18_000));
        check("11:30 July 4, 2017 UTC", half_past_eleven, Some(0));
        check("2017-07-04 11:30:00 GMT+02:00", half_past_eleven, Some(7200));
        check("@1499167800", half_past_eleven, Some(0));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "x",
            "2017-02-30",
            "2017-13-01",
            "2017-07-04 25:00",
            "2017-07-04 11:60",
            "2017-07-04 2017-07-05",
            "2017-07-04T11:30 Europe/Berlin",
            "2017-07-04 é",
            "2017-07-04T11:30:00ZZ",
            "-",
            "2017-07-04 13 PM",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        for text in ["", "11:30"] {
            assert_eq!(parse(text).unwrap().day, None, "{text}");
        }
    }
}
