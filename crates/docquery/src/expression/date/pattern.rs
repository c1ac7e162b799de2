//! Texts with dates in a given format.

use super::calendar::number_of;
use super::format::check_letters;
use super::from_parts::iso_day;
use super::from_string::{Found, Impossible, Part};
use super::scanner::{Scanner, zone};
use crate::Result;

/// Checks a format.
///
/// # Errors
///
/// 18535 where it ends with a single `%`, 18536 for a letter that stands for nothing.
pub(super) fn check(format: &str) -> Result<()> {
    check_letters(format, "%dGHjLmMSuVYzZ")
}

/// What `text` says by `format`; `None` if it does not match, or there is no such day or time.
pub(super) fn parse(text: &str, format: &str) -> Option<Found> {
    let mut scanner = Scanner::of(text);
    let mut parts = Parts::default();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => parts.read(letters.next()?, &mut scanner)?,
            literal => drop(scanner.one_of(literal.encode_utf8(&mut [0; 4]))?),
        }
    }
    if scanner.is_done() { parts.found() } else { None }
}

/// The parts that were read so far.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
    millisecond: Option<i64>,
    offset: Option<i64>,
}

impl Parts {
    /// Reads what `letter` stands for.
    fn read(&mut self, letter: char, scanner: &mut Scanner<'_>) -> Option<()> {
        let (part, value) = match letter {
            'd' => (&mut self.day, scanner.number(1, 2)?),
            'G' => (&mut self.iso_year, scanner.number(4, 4)?),
            'H' => (&mut self.hour, scanner.number(1, 2)?),
            'j' => (&mut self.day_of_year, scanner.number(1, 3)?),
            'L' => (&mut self.millisecond, scanner.fraction(3)?),
            'm' => (&mut self.month, scanner.number(1, 2)?),
            'M' => (&mut self.minute, scanner.number(2, 2)?),
            'S' => (&mut self.second, scanner.number(2, 2)?),
            'u' => (&mut self.iso_day, scanner.number(1, 1)?),
            'V' => (&mut self.iso_week, scanner.number(1, 2)?),
            'Y' => (&mut self.year, scanner.number(4, 4)?),
            'z' => (&mut self.offset, zone(scanner)?),
            'Z' => (&mut self.offset, minutes(scanner)? * 60),
            literal => {
                scanner.one_of(literal.encode_utf8(&mut [0; 4]))?;
                return Some(());
            }
        };
        *part = Some(value);
        Some(())
    }

    /// What the parts say; `None` if there is no such day or time.
    fn found(self) -> Option<Found> {
        let time = [self.hour, self.minute, self.second, self.millisecond];
        let ms_of_day = if time.iter().any(Option::is_some) {
            let [hour, minute, second, millisecond] = time.map(Option::unwrap_or_default);
            Some(Found::time_of(hour, minute, second, millisecond).ok()?)
        } else {
            None
        };
        let day = match self.day() {
            Some(day) => Some(day.ok()?),
            None => None,
        };
        Some(Found { day, ms_of_day, offset: self.offset })
    }

    /// The day, if the parts name one.
    fn day(self) -> Option<Part> {
        let in_year = |known: bool, number: i64| if known { Ok(number) } else { Err(Impossible) };
        Some(match self {
            Self { year: Some(year), month: Some(month), day: Some(day), .. } => {
                Found::day_of(year, month, day)
            }
            Self { year: Some(year), day_of_year: Some(day), .. } => {
                let days = number_of(year + 1, 1, 1) - number_of(year, 1, 1);
                in_year((1..=days).contains(&day), number_of(year, 1, day))
            }
            Self { iso_year: Some(year), iso_week: Some(week), .. } => {
                let day = self.iso_day.unwrap_or(1);
                let known = (1..=53).contains(&week) && (1..=7).contains(&day);
                in_year(known, iso_day(year, week, day))
            }
            _ => return None,
        })
    }
}

/// An offset in minutes, `+330`.
fn minutes(scanner: &mut Scanner<'_>) -> Option<i64> {
    let sign = if scanner.one_of("+-")? == '-' { -1 } else { 1 };
    Some(sign * scanner.number(1, 4)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9+é-]{0,12}", format in "(%[dGHjLmMSuVYzZ%]|-|é){0,6}") {
            super::check(&format).unwrap();
            parse(&text, &format);
        }
    }

    #[track_caller]
    fn check(text: &str, format: &str, expected: Option<(i64, i64, Option<i64>)>) {
        let found = parse(text, format)
            .map(|found| (found.day.unwrap(), found.ms_of_day.unwrap_or(0), found.offset));
        assert_eq!(found, expected, "{text} by {format}");
    }

    #[test]
    fn texts_that_match() {
        check("2017-07-04", "%Y-%m-%d", Some((17_351, 0, None)));
        check("4/7/2017 é", "%d/%m/%Y é", Some((17_351, 0, None)));
        check("2017-W27-2", "%G-W%V-%u", Some((17_351, 0, None)));
        check("2017185 23:59:59.5", "%Y%j %H:%M:%S.%L", Some((17_351, 86_399_500, None)));
        check("2017-07-04+0530", "%Y-%m-%d%z", Some((17_351, 0, Some(19_800))));
        check("2017-07-04 -90%", "%Y-%m-%d %Z%%", Some((17_351, 0, Some(-5400))));
    }

    #[test]
    fn texts_that_do_not() {
        check("2017-02-29", "%Y-%m-%d", None);
        check("2017-07-04x", "%Y-%m-%d", None);
        check("17-07-04", "%Y-%m-%d", None);
        check("2017-07-04 24:00", "%Y-%m-%d %H:%M", None);
        check("2017-07-04 10:5", "%Y-%m-%d %H:%M", None);
        check("2017-07", "%Y-%m-%d", None);
        check("", "%Y", None);
    }
}
