//! `$dateFromParts`.

use super::calendar::number_of;
use super::zone;
use crate::expression::arguments::Arguments;
use crate::expression::coerce;
use crate::expression::node::Node;
use crate::expression::operator::{Call, Key, NamedErrors, Operator, Table};
use crate::expression::scope::Scope;
use crate::{Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table = &[("$dateFromParts", Operator::Parsed(parse))];

const KEYS: &[Key] = &[
    Key::optional("year"),
    Key::optional("month"),
    Key::optional("day"),
    Key::optional("isoWeekYear"),
    Key::optional("isoWeek"),
    Key::optional("isoDayOfWeek"),
    Key::optional("hour"),
    Key::optional("minute"),
    Key::optional("second"),
    Key::optional("millisecond"),
    Key::optional("timezone"),
];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 40519, unknown_key: 40518 };

fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let parts = call.named(KEYS, ERRORS, scope)?;
    let given = |index: usize| parts[index].is_some();
    if !given(YEAR) && !given(ISO_YEAR) {
        return Err(Error::location(
            40516,
            "$dateFromParts requires either 'year' or 'isoWeekYear' to be present",
        ));
    }
    let of_the_other = if given(YEAR) { ISO_YEAR..ISO_YEAR + 3 } else { YEAR..YEAR + 3 };
    if let Some(index) = of_the_other.into_iter().find(|index| given(*index)) {
        let (code, kind) = if given(YEAR) { (40489, "natural") } else { (40525, "iso 8601") };
        return Err(Error::location(
            code,
            format!(
                "$dateFromParts does not allow mixing {kind} dates with '{}'",
                KEYS[index].name
            ),
        ));
    }
    Ok(call.node(date_of_parts, parts))
}

const YEAR: usize = 0;
const ISO_YEAR: usize = 3;
const HOUR: usize = 6;
const ZONE: usize = 10;

fn date_of_parts<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    // In the server's order: what comes later is not looked at where something is null.
    let mut time = [0; 4];
    for (index, part) in time.iter_mut().enumerate() {
        let bounded = index < 2;
        let Some(number) = number(&arguments, HOUR + index, 0, bounded)? else {
            return Ok(Value::Null);
        };
        *part = number;
    }
    let Some(zone) = zone(&arguments, ZONE)? else {
        return Ok(Value::Null);
    };
    let iso = arguments.is_given(ISO_YEAR);
    let first = if iso { ISO_YEAR } else { YEAR };
    let mut date = [1; 3];
    for (index, part) in date.iter_mut().enumerate() {
        let Some(number) = number(&arguments, first + index, 1, index > 0)? else {
            return Ok(Value::Null);
        };
        *part = number;
    }
    let [year, month, day] = date;
    if !(1..=9999).contains(&year) {
        let (code, name) = if iso { (31095, "isoWeekYear") } else { (40523, "year") };
        return Err(Error::location(
            code,
            format!("'{name}' must evaluate to an integer in the range 1 to 9999, found {year}"),
        ));
    }
    let days = if iso { iso_day(year, month, day) } else { number_of(year, month, day) };
    let [hour, minute, second, millisecond] = time;
    let local_ms = (i128::from(days * 24 + hour) * 60 + i128::from(minute)) * 60_000
        + i128::from(second) * 1000
        + i128::from(millisecond);
    let ms = i64::try_from(local_ms).ok().and_then(|local_ms| {
        let (second, millisecond) = (local_ms.div_euclid(1000), local_ms.rem_euclid(1000));
        zone.to_utc(second).checked_mul(1000)?.checked_add(millisecond)
    });
    ms.map(Value::DateTime).ok_or_else(|| {
        Error::new(ErrorCode::DURATION_OVERFLOW, "$dateFromParts: the date is beyond all dates")
    })
}

/// The number of a day that is given by its week. The first week has the fourth of January.
pub(super) fn iso_day(year: i64, week: i64, weekday: i64) -> i64 {
    let fourth = number_of(year, 1, 4);
    let monday = fourth - (fourth + 3).rem_euclid(7);
    monday + (week - 1) * 7 + weekday - 1
}

/// The number that an argument has to be: `default` if it is not given, `None` if it is null.
fn number(
    arguments: &Arguments<'_, '_>,
    index: usize,
    default: i64,
    bounded: bool,
) -> Result<Option<i64>> {
    let Some(value) = arguments.given(index)? else {
        return Ok(Some(default));
    };
    if value.is_nullish() {
        return Ok(None);
    }
    let name = KEYS[index].name;
    let Some(number) = coerce::int64(value) else {
        let found = value.type_name();
        return Err(Error::location(
            40515,
            format!("'{name}' must evaluate to an integer, found {found} with value {value:?}"),
        ));
    };
    if bounded && i16::try_from(number).is_err() {
        return Err(Error::location(
            31034,
            format!(
                "'{name}' must evaluate to a value in the range [-32768, 32767], found {number}"
            ),
        ));
    }
    Ok(Some(number))
}
