//! `$arrayElemAt`, `$first`, `$last`, `$size`, `$isArray`, `$in`, `$concatArrays`, `$reverseArray`, `$indexOfArray`.

use super::arguments::Arguments;
use super::coerce;
use super::operator::{Arity, Table, listed};
use super::strings::count;
use super::substrings::bound;
use crate::{Array, Error, Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$arrayElemAt", listed(Arity::Exactly(2), element_at)),
    ("$first", listed(Arity::Exactly(1), |arguments| element(&arguments, Value::Int32(0)))),
    ("$last", listed(Arity::Exactly(1), |arguments| element(&arguments, Value::Int32(-1)))),
    ("$size", listed(Arity::Exactly(1), size)),
    ("$isArray", listed(Arity::Exactly(1), is_array)),
    ("$in", listed(Arity::Exactly(2), contains)),
    ("$concatArrays", listed(Arity::Any, concat)),
    ("$reverseArray", listed(Arity::Exactly(1), reverse)),
    ("$indexOfArray", listed(Arity::Between(2, 4), index_of)),
];

/// The array that an argument has to be.
pub(super) fn array<'a>(
    arguments: &Arguments<'_, 'a>,
    value: Value<'a>,
    otherwise: i32,
) -> Result<Array<'a>> {
    value.as_array().ok_or_else(|| {
        let (operator, found) = (arguments.operator(), value.type_name());
        Error::location(otherwise, format!("{operator} requires an array, found: {found}"))
    })
}

fn element_at<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let index = arguments.get(1)?;
    element(&arguments, index)
}

/// The item at `index` of the first argument, counted from the end if it is negative.
fn element<'a>(arguments: &Arguments<'_, 'a>, index: Value<'a>) -> Result<Value<'a>> {
    let value = arguments.get(0)?;
    if value.is_nullish() || index.is_nullish() {
        return Ok(Value::Null);
    }
    let array = array(arguments, value, 28689)?;
    let operator = arguments.operator();
    if !index.is_number() {
        let found = index.type_name();
        return Err(Error::location(
            28690,
            format!("{operator}'s second argument must be a number, but is {found}"),
        ));
    }
    let Some(index) = coerce::int32(index) else {
        return Err(Error::location(
            28691,
            format!("{operator}'s second argument must be a 32-bit integer, but is {index:?}"),
        ));
    };
    let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let place = if index < 0 { array.len().checked_sub(from_end) } else { Some(from_end) };
    Ok(place.map_or(Value::Missing, |place| array.get(place)))
}

fn size<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(count(array(&arguments, arguments.get(0)?, 17124)?.len()))
}

fn is_array<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(Value::Bool(arguments.get(0)?.as_array().is_some()))
}

fn contains<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (wanted, array_value) = arguments.two()?;
    let array = array(&arguments, array_value, 40081)?;
    Ok(Value::Bool(array.iter().any(|item| order::equal(item, wanted))))
}

fn concat<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut items = Vec::new();
    for value in arguments.iter() {
        let value = value?;
        if value.is_nullish() {
            return Ok(Value::Null);
        }
        items.extend(array(&arguments, value, 28664)?);
    }
    arguments.arena().array(&items)
}

fn reverse<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let value = arguments.get(0)?;
    if value.is_nullish() {
        return Ok(Value::Null);
    }
    let mut items: Vec<_> = array(&arguments, value, 34435)?.iter().collect();
    items.reverse();
    arguments.arena().array(&items)
}

fn index_of<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let value = arguments.get(0)?;
    if value.is_nullish() {
        return Ok(Value::Null);
    }
    let array = array(&arguments, value, 40090)?;
    let start = bound(&arguments, 2, "starting index")?.unwrap_or(0);
    let end = bound(&arguments, 3, "ending index")?.unwrap_or(usize::MAX);
    let wanted = arguments.get(1)?;
    let mut places = array.iter().enumerate().take(end).skip(start);
    let found = places.find(|(_, item)| order::equal(*item, wanted));
    Ok(found.map_or(Value::Int32(-1), |(place, _)| count(place)))
}
