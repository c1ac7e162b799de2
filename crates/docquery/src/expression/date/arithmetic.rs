//! `$dateAdd`, `$dateSubtract`, `$dateDiff`.

use super::calendar::{DAY_MS, Date, Moment, days_in_month, number_of};
use super::unit::{Unit, weekday};
use super::{Zone, zone};
use crate::expression::arguments::Arguments;
use crate::expression::coerce;
use crate::expression::operator::{Key, NamedErrors, Operator, Table};
use crate::{Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table = &[
    (
        "$dateAdd",
        Operator::Named {
            keys: ADD_KEYS,
            errors: ADD_ERRORS,
            evaluate: |arguments| shift(&arguments, 1),
        },
    ),
    (
        "$dateSubtract",
        Operator::Named {
            keys: ADD_KEYS,
            errors: ADD_ERRORS,
            evaluate: |arguments| shift(&arguments, -1),
        },
    ),
    ("$dateDiff", Operator::Named { keys: DIFF_KEYS, errors: DIFF_ERRORS, evaluate: difference }),
];

const ADD_KEYS: &[Key] = &[
    Key::required("startDate", 5_166_402),
    Key::required("unit", 5_166_402),
    Key::required("amount", 5_166_402),
    Key::optional("timezone"),
];
const ADD_ERRORS: NamedErrors = NamedErrors { not_an_object: 5_166_400, unknown_key: 5_166_401 };

/// `{$dateAdd: {startDate, unit, amount, timezone}}`, in the direction `sign`.
fn shift<'a>(arguments: &Arguments<'_, 'a>, sign: i64) -> Result<Value<'a>> {
    let operator = arguments.operator();
    let mut values = [Value::Null; 3];
    for (index, value) in values.iter_mut().enumerate() {
        *value = arguments.get(index)?;
        if value.is_nullish() {
            return Ok(Value::Null);
        }
    }
    let Some(zone) = zone(arguments, 3)? else {
        return Ok(Value::Null);
    };
    let [date, unit, amount] = values;
    let date = coerce::date(date).ok_or_else(|| {
        let found = date.type_name();
        Error::location(
            5_166_403,
            format!("{operator} requires startDate to be a date, but got {found}"),
        )
    })?;
    let unit = Unit::of_duration(unit, operator)?;
    let amount = coerce::int64(amount).ok_or_else(|| {
        let found = amount.type_name();
        Error::location(
            5_166_405,
            format!("{operator} expects an integer amount of time units, but got {found}"),
        )
    })?;
    let amount = amount.checked_mul(sign).ok_or_else(|| {
        Error::location(6_045_000, format!("invalid {operator} 'amount' parameter value: {amount}"))
    })?;
    add(date, unit, amount, &zone).map(Value::DateTime)
}

/// The date that lies `amount` of `unit` after `ms`. Days and months are those of the calendar in the zone: the clock
/// shows the same time of day. A day that the month does not have becomes its last.
///
/// # Errors
///
/// The amount, or the date, is beyond all dates.
pub(crate) fn add(ms: i64, unit: Unit, amount: i64, zone: &Zone) -> Result<i64> {
    let days = match unit {
        Unit::Milliseconds(1) => {
            return ms.checked_add(amount).ok_or_else(|| {
                Error::new(
                    ErrorCode::DURATION_OVERFLOW,
                    "Overflow casting from a lower-precision duration",
                )
            });
        }
        Unit::Milliseconds(factor) => {
            check_amount(amount, MAX_DAYS * (DAY_MS / factor))?;
            let sum = i128::from(whole_second_less(ms)?) + i128::from(amount) * i128::from(factor);
            return i64::try_from(sum).map_err(|_| overflow());
        }
        Unit::Days(1) => {
            check_amount(amount, MAX_DAYS)?;
            amount
        }
        Unit::Days(factor) => {
            check_amount(amount, MAX_DAYS / factor)?;
            amount * factor
        }
        Unit::Months(factor) => {
            check_amount(amount, (MAX_DAYS / 365 + 1) * (12 / factor))?;
            days_of_months(zone.moment(ms).date, amount * factor)
        }
    };
    let ms = whole_second_less(ms)?;
    if days == 0 {
        return Ok(ms);
    }
    let Moment { date, ms_of_day, .. } = zone.moment(ms);
    let local_second = (date.number() + days) * (DAY_MS / 1000) + ms_of_day / 1000;
    let second = i128::from(zone.to_utc(local_second));
    i64::try_from(second * 1000 + i128::from(ms_of_day % 1000)).map_err(|_| overflow())
}

/// The server takes a date before 1970 that has a part of a second for one a second earlier, when it adds anything but milliseconds.
fn whole_second_less(ms: i64) -> Result<i64> {
    let is_early = ms < 0 && ms % 1000 != 0;
    ms.checked_sub(if is_early { 1000 } else { 0 }).ok_or_else(overflow)
}

/// How many days the day after so many months is away.
fn days_of_months(day: Date, months: i64) -> i64 {
    let (year, month) = (day.year, i64::from(day.month) + months);
    let target = i64::from(day.day).min(days_in_month(year, month));
    number_of(year, month, target) - day.number()
}

/// What the server takes for more than any date is away from any other.
fn check_amount(amount: i64, limit: i64) -> Result<()> {
    if -limit < amount && amount < limit {
        return Ok(());
    }
    Err(Error::location(5_976_500, format!("invalid dateAdd 'amount' parameter value: {amount}")))
}

fn overflow() -> Error {
    Error::location(5_166_406, "dateAdd overflowed")
}

/// The days that 64 bits of milliseconds hold.
const MAX_DAYS: i64 = 213_503_982_335;

const DIFF_KEYS: &[Key] = &[
    Key::required("startDate", 5_166_303),
    Key::required("endDate", 5_166_304),
    Key::required("unit", 5_166_305),
    Key::optional("timezone"),
    Key::optional("startOfWeek"),
];
const DIFF_ERRORS: NamedErrors = NamedErrors { not_an_object: 5_166_301, unknown_key: 5_166_302 };

fn difference<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let operator = arguments.operator();
    let start = arguments.get(0)?;
    if start.is_nullish() {
        return Ok(Value::Null);
    }
    let end = arguments.get(1)?;
    if end.is_nullish() {
        return Ok(Value::Null);
    }
    let unit = arguments.get(2)?;
    if unit.is_nullish() {
        return Ok(Value::Null);
    }
    let Some(start_of_week) = start_of_week(&arguments, 4, unit)? else {
        return Ok(Value::Null);
    };
    let Some(zone) = zone(&arguments, 3)? else {
        return Ok(Value::Null);
    };
    let start = named_date(start, operator, "startDate", 5_166_307)?;
    let end = named_date(end, operator, "endDate", 5_166_307)?;
    let unit = Unit::of_calendar(unit, operator)?;
    let first_weekday = weekday(start_of_week, operator)?;
    if unit == Unit::Milliseconds(1) {
        let difference = end
            .checked_sub(start)
            .ok_or_else(|| Error::location(5_166_308, "dateDiff overflowed"))?;
        return Ok(Value::Int64(difference));
    }
    Ok(Value::Int64(boundaries(zone.moment(start), zone.moment(end), unit, first_weekday)))
}

/// What the argument at `index` says of the first day of a week, where the unit is weeks: Sunday if it is not given, `None` if it is null.
pub(super) fn start_of_week<'a>(
    arguments: &Arguments<'_, 'a>,
    index: usize,
    unit: Value<'_>,
) -> Result<Option<Value<'a>>> {
    let is_week = matches!(unit, Value::String("week"));
    let given = if is_week { arguments.given(index)? } else { None };
    Ok(given.map_or(Some(Value::String("sunday")), |day| (!day.is_nullish()).then_some(day)))
}

/// The date that an argument has to be.
///
/// # Errors
///
/// It is none: with the code `otherwise`.
pub(super) fn named_date(
    value: Value<'_>,
    operator: &str,
    name: &str,
    otherwise: i32,
) -> Result<i64> {
    coerce::date(value).ok_or_else(|| {
        let found = value.type_name();
        Error::location(
            otherwise,
            format!("{operator} requires '{name}' to be a date, but got {found}"),
        )
    })
}

/// How many boundaries of units lie between two moments: of years, a second may be enough for one.
fn boundaries(start: Moment, end: Moment, unit: Unit, first_weekday: i64) -> i64 {
    match unit {
        Unit::Months(_) | Unit::Days(_) => {
            day_boundaries(start.date, end.date, unit, first_weekday)
        }
        Unit::Milliseconds(factor) => {
            let units = |moment: Moment| moment.ms_of_day / factor;
            let days = end.date.number() - start.date.number();
            let local = units(end) - units(start) + days * (DAY_MS / factor);
            // What the clock was put forward or back in between does not count.
            local + (start.offset - end.offset) * 1000 / factor
        }
    }
}

/// The same for the units of the calendar.
pub(super) fn day_boundaries(start: Date, end: Date, unit: Unit, first_weekday: i64) -> i64 {
    match unit {
        Unit::Months(factor) => {
            let units = |day: Date| day.year * (12 / factor) + (i64::from(day.month) - 1) / factor;
            units(end) - units(start)
        }
        Unit::Days(7) => {
            let week_start =
                |day: Date| day.number() - (day.weekday() - first_weekday).rem_euclid(7);
            (week_start(end) - week_start(start)) / 7
        }
        Unit::Days(_) | Unit::Milliseconds(_) => end.number() - start.number(),
    }
}
