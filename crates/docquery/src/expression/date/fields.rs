//! `$year`, `$month`, ...: what calendar and clock show of a date; `$dateToParts`.

use super::{Moment, zone};
use crate::expression::arguments::Arguments;
use crate::expression::coerce;
use crate::expression::node::Node;
use crate::expression::operator::{Call, Evaluate, Key, NamedErrors, Operator, Table};
use crate::expression::scope::Scope;
use crate::{Document, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$year", Operator::Parsed(|call, scope| parse(call, scope, year))),
    ("$month", Operator::Parsed(|call, scope| parse(call, scope, month))),
    ("$dayOfMonth", Operator::Parsed(|call, scope| parse(call, scope, day))),
    ("$dayOfWeek", Operator::Parsed(|call, scope| parse(call, scope, day_of_week))),
    ("$dayOfYear", Operator::Parsed(|call, scope| parse(call, scope, day_of_year))),
    ("$week", Operator::Parsed(|call, scope| parse(call, scope, week))),
    ("$hour", Operator::Parsed(|call, scope| parse(call, scope, hour))),
    ("$minute", Operator::Parsed(|call, scope| parse(call, scope, minute))),
    ("$second", Operator::Parsed(|call, scope| parse(call, scope, second))),
    ("$millisecond", Operator::Parsed(|call, scope| parse(call, scope, millisecond))),
    ("$isoWeekYear", Operator::Parsed(|call, scope| parse(call, scope, iso_week_year))),
    ("$isoWeek", Operator::Parsed(|call, scope| parse(call, scope, iso_week))),
    ("$isoDayOfWeek", Operator::Parsed(|call, scope| parse(call, scope, iso_day_of_week))),
    (
        "$dateToParts",
        Operator::Named { keys: PARTS_KEYS, errors: PARTS_ERRORS, evaluate: to_parts },
    ),
];

const KEYS: &[Key] = &[Key::required("date", 40539), Key::optional("timezone")];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 40539, unknown_key: 40535 };

/// Parses `{$year: date}`, `{$year: [date]}` or `{$year: {date, timezone}}`.
fn parse(call: Call<'_>, scope: &Scope<'_>, evaluate: Evaluate) -> Result<Node> {
    match call.arguments {
        Value::Document(document) if !is_expression(document) => {
            Ok(call.node(evaluate, call.named(KEYS, ERRORS, scope)?))
        }
        Value::Array(array) if array.len() != 1 => Err(Error::location(
            40536,
            format!("{} takes exactly one argument, {} were passed in", call.name, array.len()),
        )),
        _ => Ok(call.node(evaluate, call.list(scope)?.into_iter().map(Some))),
    }
}

/// Whether an object is an expression, and not one with named arguments.
fn is_expression(document: Document<'_>) -> bool {
    document.first().is_some_and(|(name, _)| name.starts_with('$'))
}

/// Shows a part of the date in the first argument, in the zone of the second.
fn show<'a>(
    arguments: &Arguments<'_, 'a>,
    part: impl FnOnce(Moment) -> Value<'a>,
) -> Result<Value<'a>> {
    let date = arguments.get(0)?;
    if date.is_nullish() {
        return Ok(Value::Null);
    }
    let ms = coerce::required_date(date)?;
    Ok(zone(arguments, 1)?.map_or(Value::Null, |zone| part(zone.moment(ms))))
}

/// Years of dates, and all that is smaller, have 32 bits.
fn int(number: i64) -> Value<'static> {
    i32::try_from(number).map_or(Value::Int64(number), Value::Int32)
}

fn year<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.year))
}

fn month<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.month.into()))
}

fn day<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.day.into()))
}

fn day_of_week<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.weekday_from_sunday()))
}

fn day_of_year<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.day_of_year()))
}

fn week<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.week()))
}

fn hour<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.hour()))
}

fn minute<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.minute()))
}

fn second<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.second()))
}

fn millisecond<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.millisecond()))
}

fn iso_week_year<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| Value::Int64(moment.date.iso_week().0))
}

fn iso_week<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.iso_week().1))
}

fn iso_day_of_week<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    show(&arguments, |moment| int(moment.date.weekday_from_monday()))
}

const PARTS_KEYS: &[Key] =
    &[Key::required("date", 40522), Key::optional("timezone"), Key::optional("iso8601")];
const PARTS_ERRORS: NamedErrors = NamedErrors { not_an_object: 40524, unknown_key: 40520 };

fn to_parts<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let date = arguments.get(0)?;
    let Some(zone) = zone(&arguments, 1)? else {
        return Ok(Value::Null);
    };
    let iso = match arguments.given(2)? {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(value) if value.is_nullish() => return Ok(Value::Null),
        Some(value) => {
            return Err(Error::location(
                40521,
                format!("iso8601 must evaluate to a bool, found {}", value.type_name()),
            ));
        }
    };
    if date.is_nullish() {
        return Ok(Value::Null);
    }
    let moment = zone.moment(coerce::required_date(date)?);
    let date = moment.date;
    let [first, second, third] = if iso {
        let (year, week) = date.iso_week();
        [("isoWeekYear", year), ("isoWeek", week), ("isoDayOfWeek", date.weekday_from_monday())]
    } else {
        [("year", date.year), ("month", date.month.into()), ("day", date.day.into())]
    };
    let parts = [
        first,
        second,
        third,
        ("hour", moment.hour()),
        ("minute", moment.minute()),
        ("second", moment.second()),
        ("millisecond", moment.millisecond()),
    ];
    arguments.arena().document(&parts.map(|(name, part)| (name, int(part))))
}
