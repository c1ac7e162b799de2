//! `$arrayElemAt`, `$first`, `$last`, `$size`, `$isArray`, `$in`, `$concatArrays`, `$reverseArray`, `$indexOfArray`.

use super::arguments::Arguments;
use super::checked::Checked;
use super::coerce;
use super::fold::Regrouping;
use super::node::Node;
use super::operator::{Arity, Call, Operator, Table, listed, regrouped};
use super::scope::Scope;
use super::strings::count;
use super::substrings::bound;
use crate::{Array, Error, Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$arrayElemAt", listed(Arity::Exactly(2), element_at)),
    ("$first", listed(Arity::Exactly(1), |arguments| element_of_one(&arguments, 0))),
    ("$last", listed(Arity::Exactly(1), |arguments| element_of_one(&arguments, -1))),
    ("$size", listed(Arity::Exactly(1), size)),
    ("$isArray", listed(Arity::Exactly(1), is_array)),
    ("$in", listed(Arity::Exactly(2), contains)),
    ("$concatArrays", regrouped(Regrouping::Neighbours, concat)),
    ("$reverseArray", listed(Arity::Exactly(1), reverse)),
    ("$indexOfArray", Operator::Parsed(parse_index_of)),
];

/// The array that an argument has to be.
pub(super) fn array<'a>(
    arguments: &Arguments<'_, 'a>,
    value: Value<'a>,
    otherwise: i32,
) -> Result<Array<'a>> {
    value.as_array().ok_or_else(|| no_array(arguments.operator(), value, otherwise))
}

/// The error for an argument that has to be an array, and is not.
pub(super) fn no_array(operator: &str, value: Value<'_>, code: i32) -> Error {
    let found = value.type_name();
    Error::location(code, format!("{operator} requires an array, found: {found}"))
}

fn element_at<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (value, index) = arguments.two()?;
    element(&arguments, value, index)
}

fn element_of_one<'a>(arguments: &Arguments<'_, 'a>, index: i32) -> Result<Value<'a>> {
    element(arguments, arguments.get(0)?, Value::Int32(index))
}

/// The item of `value` at `index`, counted from the end if it is negative.
fn element<'a>(
    arguments: &Arguments<'_, 'a>,
    value: Value<'a>,
    index: Value<'a>,
) -> Result<Value<'a>> {
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

/// `{$indexOfArray: [array, value, start, end]}`. A constant array is checked when it is folded.
fn parse_index_of(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let operands = call.list(scope)?;
    if !(2..=4).contains(&operands.len()) {
        return Err(call.wrong_count("2 to 4", operands.len(), 28667));
    }
    let call = call.node(index_of, operands.into_iter().map(Some));
    Ok(Checked::node(call, |call| match call.argument(0).and_then(Node::constant) {
        Some(value) if !value.is_nullish() && value.as_array().is_none() => {
            Err(no_array("$indexOfArray", value, 50809))
        }
        _ => Ok(()),
    }))
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

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    #[test]
    fn elements() {
        let at = |array: Bson, index: Bson| bson!({"$arrayElemAt": [array, index]});
        check(at(bson!([1, 2, 3]), bson!(-1.0)), 3);
        check(at(bson!([1, 2, 3]), bson!(3)), bson!(null));
        check(at(bson!([1, 2, 3]), bson!(-4)), bson!(null));
        check(at(bson!([1]), bson!(i32::MIN)), bson!(null));
        check(at(bson!(null), bson!("x")), bson!(null));
        check_error(at(bson!(5), bson!(0)), 28689);
        check_error(at(bson!([1]), bson!("x")), 28690);
        check_error(at(bson!([1]), bson!(1.5)), 28691);
        check(bson!({"$first": [[1, 2]]}), 1);
        check(bson!({"$last": [[1, 2]]}), 2);
        check(bson!({"$last": [[]]}), bson!(null));
        check_error(bson!({"$first": 5}), 28689);
    }

    #[test]
    fn whole_arrays() {
        check(bson!({"$size": [[1, 2]]}), 2);
        check_error(bson!({"$size": null}), 17124);
        check(bson!({"$isArray": [[1]]}), true);
        check(bson!({"$isArray": 1}), false);
        check(bson!({"$concatArrays": [[1], [[2]]]}), bson!([1, [2]]));
        check(bson!({"$concatArrays": [[1], null, 5]}), bson!(null));
        check_error(bson!({"$concatArrays": [[1], 5]}), 28664);
        check(bson!({"$reverseArray": [[1, 2]]}), bson!([2, 1]));
        check_error(bson!({"$reverseArray": 1}), 34435);
    }

    #[test]
    fn searches() {
        check(bson!({"$in": [1.0, [2, 1]]}), true);
        check(bson!({"$in": [null, []]}), false);
        check_error(bson!({"$in": [1, null]}), 40081);
        let index = |arguments: Bson| bson!({"$indexOfArray": arguments});
        check(index(bson!([[1, 2, 1], 1.0, 1])), 2);
        check(index(bson!([[1, 2, 1], 1, 1, 2])), -1);
        check(index(bson!([[1, 2], 2, 0, i32::MAX])), 1);
        check(index(bson!([null, 1])), bson!(null));
        check_error(index(bson!([1, 1])), 40090);
        check_error(index(bson!([[1], 1, "x"])), 40096);
        check_error(index(bson!([[1], 1, -1])), 40097);
    }
}
