//! `$dateTrunc`.

use super::arithmetic::{add, day_boundaries, named_date, start_of_week};
use super::calendar::{DAY_MS, Date};
use super::unit::{Unit, weekday};
use super::{Zone, zone};
use crate::expression::arguments::Arguments;
use crate::expression::coerce;
use crate::expression::operator::{Key, NamedErrors, Operator, Table};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table =
    &[("$dateTrunc", Operator::Named { keys: KEYS, errors: ERRORS, evaluate: truncate })];

const KEYS: &[Key] = &[
    Key::required("date", 5_439_009),
    Key::required("unit", 5_439_010),
    Key::optional("binSize"),
    Key::optional("timezone"),
    Key::optional("startOfWeek"),
];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 5_439_007, unknown_key: 5_439_008 };

fn truncate<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let operator = arguments.operator();
    let date = arguments.get(0)?;
    if date.is_nullish() {
        return Ok(Value::Null);
    }
    let bin = arguments.given(2)?.unwrap_or(Value::Int32(1));
    let unit = arguments.get(1)?;
    if bin.is_nullish() || unit.is_nullish() {
        return Ok(Value::Null);
    }
    let Some(start_of_week) = start_of_week(&arguments, 4, unit)? else {
        return Ok(Value::Null);
    };
    let Some(zone) = zone(&arguments, 3)? else {
        return Ok(Value::Null);
    };
    let date = named_date(date, operator, "date", 5_439_012)?;
    let unit = Unit::of_calendar(unit, operator)?;
    let bin = bin_size(bin)?;
    let first_weekday = weekday(start_of_week, operator)?;
    start_of_bin(date, unit, bin, &zone, first_weekday).map(Value::DateTime)
}

fn bin_size(value: Value<'_>) -> Result<i64> {
    let Some(size) = coerce::int64(value) else {
        let found = value.type_name();
        return Err(Error::location(
            5_439_017,
            format!("$dateTrunc requires 'binSize' to be a 64-bit integer, but got {found}"),
        ));
    };
    if size <= 0 {
        return Err(Error::location(
            5_439_018,
            format!("$dateTrunc requires 'binSize' to be greater than 0, but got value {size}"),
        ));
    }
    Ok(size)
}

/// Where the bin of `bin` units begins that the date `ms` falls into. Bins are counted from the start of the year 2000 in
/// the zone, weeks from the first that begins in it.
fn start_of_bin(ms: i64, unit: Unit, bin: i64, zone: &Zone, first_weekday: i64) -> Result<i64> {
    const YEAR_2000: i64 = 946_684_800_000;
    const SATURDAY: i64 = 5;
    let zero = YEAR_2000 - zone.offset(YEAR_2000 / 1000) * 1000;
    let overflow = |code| Error::location(code, "dateTrunc overflowed");
    if let Unit::Milliseconds(factor) = unit {
        let bin = bin.checked_mul(factor).ok_or_else(|| overflow(5_439_002))?;
        let distance = ms.checked_sub(zero).ok_or_else(|| overflow(5_439_000))?;
        return ms.checked_sub(distance.rem_euclid(bin)).ok_or_else(|| overflow(5_439_001));
    }
    if bin > BIN_MAX {
        return Err(Error::location(5_439_006, "dateTrunc unsupported binSize value"));
    }
    let days = if unit.is_week() { (first_weekday - SATURDAY).rem_euclid(7) } else { 0 };
    let zero_day = Date::of_number(YEAR_2000 / DAY_MS + days);
    let distance = day_boundaries(zero_day, zone.moment(ms).date, unit, first_weekday);
    let bin_start = distance - distance.rem_euclid(bin);
    add(zero + days * DAY_MS, unit, bin_start, zone)
}

/// The largest bin of days and more that the server can add.
const BIN_MAX: i64 = 100_000_000_000;
