//! Dates as text.

use std::fmt::Write;

use super::Moment;
use crate::{Error, Result};

/// A format of `$dateToString`, split into its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format<'t>(&'t str);

impl<'t> Format<'t> {
    /// Checks a format.
    ///
    /// # Errors
    ///
    /// 18535 where it ends with a single `%`, 18536 for a letter that stands for nothing.
    pub(crate) fn of(text: &'t str) -> Result<Self> {
        check_letters(text, "%dGHjLmMSuUVwYzZ")?;
        Ok(Self(text))
    }

    /// The text of a moment.
    ///
    /// # Errors
    ///
    /// 18537 for years before 0 and after 9999, where the format asks for them.
    pub(crate) fn text(self, moment: Moment) -> Result<String> {
        let mut text = String::new();
        let mut rest = self.0;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let mut letters = after.chars();
            if let Some(letter) = letters.next() {
                write_part(&mut text, letter, moment)?;
            }
            rest = letters.as_str();
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// Checks that each `%` in a format is followed by one of `letters`.
pub(super) fn check_letters(format: &str, letters: &str) -> Result<()> {
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        match characters.next() {
            Some(letter) if letters.contains(letter) => {}
            Some(letter) => {
                return Err(Error::location(
                    18536,
                    format!(
                        "Invalid format character '%{letter}' in format string; allowed after % are {letters}"
                    ),
                ));
            }
            None => return Err(Error::location(18535, "Unmatched '%' at end of format string")),
        }
    }
    Ok(())
}

/// A moment as ISO 8601 writes one of UTC, with milliseconds.
///
/// # Errors
///
/// 18537 for years before 0 and after 9999.
pub(crate) fn iso(moment: Moment) -> Result<String> {
    let date = moment.date;
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        four_digits(date.year)?,
        date.month,
        date.day,
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.millisecond(),
    ))
}

/// A year that is written with four digits.
fn four_digits(year: i64) -> Result<i64> {
    if (0..=9999).contains(&year) {
        return Ok(year);
    }
    Err(Error::location(
        18537,
        format!("Could not convert date to string: the year {year} is outside the range 0-9999"),
    ))
}

fn write_part(text: &mut String, letter: char, moment: Moment) -> Result<()> {
    let date = moment.date;
    let (number, width) = match letter {
        'd' => (date.day.into(), 2),
        'G' => (four_digits(date.iso_week().0)?, 4),
        'H' => (moment.hour(), 2),
        'j' => (date.day_of_year(), 3),
        'L' => (moment.millisecond(), 3),
        'm' => (date.month.into(), 2),
        'M' => (moment.minute(), 2),
        'S' => (moment.second(), 2),
        'u' => (date.weekday() + 1, 1),
        'U' => (date.week(), 2),
        'V' => (date.iso_week().1, 2),
        'w' => ((date.weekday() + 1) % 7 + 1, 1),
        'Y' => (four_digits(date.year)?, 4),
        'z' => {
            let minutes = moment.offset.abs() / 60;
            text.push(if moment.offset < 0 { '-' } else { '+' });
            (minutes / 60 * 100 + minutes % 60, 4)
        }
        'Z' => (moment.offset / 60, 1),
        other => {
            text.push(other);
            return Ok(());
        }
    };
    write!(text, "{number:0width$}").expect("a string takes any text");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, expected: &str) {
        // 2024-06-15T10:30:45.123 in a zone half an hour behind UTC.
        let moment = Moment::at(1_718_449_245_123, -1800);
        assert_eq!(Format::of(format).unwrap().text(moment).unwrap(), expected);
    }

    #[test]
    fn each_letter_has_its_part() {
        check("%Y-%m-%dT%H:%M:%S.%L", "2024-06-15T10:30:45.123");
        check("%G-W%V-%u", "2024-W24-6");
        check("%j %U %w", "167 23 7");
        check("%z %Z", "-0030 -30");
        check("100%% é", "100% é");
        check("", "");
    }

    #[test]
    fn what_stands_for_nothing_is_an_error() {
        assert_eq!(Format::of("%x").unwrap_err().code().value(), 18536);
        assert_eq!(Format::of("%").unwrap_err().code().value(), 18535);
        assert_eq!(Format::of("%é").unwrap_err().code().value(), 18536);
    }

    #[test]
    fn years_have_four_digits() {
        let year_0 = Moment::utc(-62_167_219_200_000);
        assert_eq!(iso(year_0).unwrap(), "0000-01-01T00:00:00.000Z");
        for ms in [-62_167_219_200_001, 253_402_300_800_000, i64::MIN, i64::MAX] {
            assert_eq!(iso(Moment::utc(ms)).unwrap_err().code().value(), 18537);
        }
    }
}
