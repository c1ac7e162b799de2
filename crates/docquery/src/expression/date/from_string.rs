//! `$dateFromString`.

use super::calendar::{DAY_MS, days_in_month, number_of};
use super::{Zone, free_text, pattern, zone};
use crate::expression::arguments::Arguments;
use crate::expression::operator::{Key, NamedErrors, Operator, Table};
use crate::{Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table =
    &[("$dateFromString", Operator::Named { keys: KEYS, errors: ERRORS, evaluate: from_string })];

const KEYS: &[Key] = &[
    Key::required("dateString", 40542),
    Key::optional("timezone"),
    Key::optional("format"),
    Key::optional("onNull"),
    Key::optional("onError"),
];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 40540, unknown_key: 40541 };

/// The parts of a date that were found in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The number of the day since the epoch.
    pub(super) day: Option<i64>,
    pub(super) ms_of_day: Option<i64>,
    /// How far ahead of UTC it is, in seconds.
    pub(super) offset: Option<i64>,
}

/// A day or a time of day, as a number.
pub(super) type Part = Result<i64, Impossible>;

/// The calendar has no such day, or the clock no such time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Impossible;

impl Found {
    /// The day with this date.
    pub(super) fn day_of(year: i64, month: i64, day: i64) -> Part {
        let known = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        if known { Ok(number_of(year, month, day)) } else { Err(Impossible) }
    }

    /// The milliseconds of the day at this time.
    pub(super) fn time_of(hour: i64, minute: i64, second: i64, millisecond: i64) -> Part {
        let known =
            (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        if known {
            Ok(((hour * 60 + minute) * 60 + second) * 1000 + millisecond)
        } else {
            Err(Impossible)
        }
    }
}

/// The date that a text in one of many formats means, in `zone` if it names none.
///
/// # Errors
///
/// [`CONVERSION_FAILURE`](ErrorCode::CONVERSION_FAILURE) if it means none.
pub(crate) fn parse(text: &str, zone: &Zone) -> Result<i64> {
    date_of(text, free_text::parse(text), zone)
}

/// The date of what was found in `text`.
fn date_of(text: &str, found: Option<Found>, zone: &Zone) -> Result<i64> {
    let failure = |what: &str| {
        Error::new(
            ErrorCode::CONVERSION_FAILURE,
            format!("Error parsing date string '{text}'; {what}"),
        )
    };
    let found = found.ok_or_else(|| failure("it has no format that is known, or it is no date"))?;
    let day = found
        .day
        .ok_or_else(|| failure("it is incomplete: a year, a month and a day are needed"))?;
    let local_ms = day * DAY_MS + found.ms_of_day.unwrap_or(0);
    match found.offset {
        None => {
            let second = local_ms.div_euclid(1000);
            Ok(zone.to_utc(second) * 1000 + local_ms.rem_euclid(1000))
        }
        Some(offset) if zone.is_utc() => Ok(local_ms - offset * 1000),
        Some(_) => {
            Err(failure("it names a time zone itself, so no timezone argument may be given"))
        }
    }
}

fn from_string<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let text = arguments.get(0)?;
    // A wrong format or zone is an error even where there is no text.
    let format = match arguments.given(2)? {
        None => None,
        Some(Value::String(format)) => {
            pattern::check(format)?;
            Some(Some(format))
        }
        Some(value) if value.is_nullish() => Some(None),
        Some(value) => {
            let found = value.type_name();
            return Err(Error::location(
                40684,
                format!("$dateFromString requires 'format' to be a string, found: {found}"),
            ));
        }
    };
    let zone = zone(&arguments, 1)?;
    if text.is_nullish() {
        return Ok(arguments.given(3)?.unwrap_or(Value::Null));
    }
    let date = match text {
        Value::String(text) => {
            let (Some(zone), None | Some(Some(_))) = (zone, format) else {
                return Ok(Value::Null);
            };
            match format.flatten() {
                Some(format) => date_of(text, pattern::parse(text, format), &zone),
                None => parse(text, &zone),
            }
        }
        other => Err(Error::new(
            ErrorCode::CONVERSION_FAILURE,
            format!(
                "$dateFromString requires 'dateString' to be a string, found: {}",
                other.type_name()
            ),
        )),
    };
    match date {
        Ok(ms) => Ok(Value::DateTime(ms)),
        Err(error) => arguments.given(4)?.ok_or(error),
    }
}
