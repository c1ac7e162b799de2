//! `$setEquals`, `$setIntersection`, `$setUnion`, `$setDifference`, `$setIsSubset`, `$anyElementTrue`,
//! `$allElementsTrue`: arrays taken as sets. Values are equal as in the order of all values: 1 and 1.0 are one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::arguments::Arguments;
use super::operator::{Arity, Table, listed};
use crate::{Array, Error, Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$setEquals", listed(Arity::AtLeast { least: 2, otherwise: 17045 }, equals)),
    ("$setIntersection", listed(Arity::Any, intersection)),
    ("$setUnion", listed(Arity::Any, union)),
    ("$setDifference", listed(Arity::Exactly(2), difference)),
    ("$setIsSubset", listed(Arity::Exactly(2), is_subset)),
    ("$anyElementTrue", listed(Arity::Exactly(1), any_true)),
    ("$allElementsTrue", listed(Arity::Exactly(1), all_true)),
];

/// A value in the order of all values.
#[derive(Clone, Copy)]
struct Ordered<'a>(Value<'a>);

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        order::compare(self.0, other.0)
    }
}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered<'_> {}

type Set<'a> = BTreeSet<Ordered<'a>>;

fn set(array: Array<'_>) -> Set<'_> {
    array.iter().map(Ordered).collect()
}

/// The array that an argument has to be.
fn array<'a>(arguments: &Arguments<'_, 'a>, value: Value<'a>, otherwise: i32) -> Result<Array<'a>> {
    value.as_array().ok_or_else(|| {
        let (operator, found) = (arguments.operator(), value.type_name());
        Error::location(
            otherwise,
            format!("all operands of {operator} must be arrays, not {found}"),
        )
    })
}

fn equals<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let first = set(array(&arguments, arguments.get(0)?, 17044)?);
    for other in arguments.iter().skip(1) {
        if set(array(&arguments, other?, 17044)?) != first {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn intersection<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut common: Option<Set<'a>> = None;
    for value in arguments.iter() {
        let value = value?;
        if value.is_nullish() {
            return Ok(Value::Null);
        }
        let mut next = set(array(&arguments, value, 17047)?);
        common = Some(match common {
            None => next,
            Some(mut common) => {
                // Of values that are equal, those of the smaller set stay, and the earlier ones if they are of one size.
                if common.len() > next.len() {
                    std::mem::swap(&mut common, &mut next);
                }
                common.retain(|value| next.contains(value));
                common
            }
        });
    }
    built(&arguments, common.unwrap_or_default())
}

fn union<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut all = Set::new();
    for value in arguments.iter() {
        let value = value?;
        if value.is_nullish() {
            return Ok(Value::Null);
        }
        all.extend(array(&arguments, value, 17043)?.iter().map(Ordered));
    }
    built(&arguments, all)
}

fn built<'a>(arguments: &Arguments<'_, 'a>, set: Set<'a>) -> Result<Value<'a>> {
    let items: Vec<_> = set.into_iter().map(|Ordered(value)| value).collect();
    arguments.arena().array(&items)
}

fn difference<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (from, without) = arguments.two()?;
    if from.is_nullish() || without.is_nullish() {
        return Ok(Value::Null);
    }
    let from = array(&arguments, from, 17048)?;
    let mut seen = set(array(&arguments, without, 17049)?);
    let left: Vec<_> = from.iter().filter(|value| seen.insert(Ordered(*value))).collect();
    arguments.arena().array(&left)
}

fn is_subset<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let part = array(&arguments, arguments.get(0)?, 17046)?;
    let whole = set(array(&arguments, arguments.get(1)?, 17042)?);
    Ok(Value::Bool(part.iter().all(|value| whole.contains(&Ordered(value)))))
}

fn any_true<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let array = array(&arguments, arguments.get(0)?, 17041)?;
    Ok(Value::Bool(array.iter().any(|value| value.is_truthy())))
}

fn all_true<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let array = array(&arguments, arguments.get(0)?, 17040)?;
    Ok(Value::Bool(array.iter().all(|value| value.is_truthy())))
}
