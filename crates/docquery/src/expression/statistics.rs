//! `$sum`, `$avg`, `$min`, `$max`, `$stdDevPop`, `$stdDevSamp` where they are expressions.

use std::cmp::Ordering;

use super::arguments::Arguments;
use super::operator::{Arity, Evaluate, Operator, Table, listed};
use super::summation::{Deviation, Mean, Total};
use crate::number::Number;
use crate::{Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$sum", over_values(sum)),
    ("$avg", over_values(average)),
    ("$min", over_values(|arguments| extreme(&arguments, Ordering::Less))),
    ("$max", over_values(|arguments| extreme(&arguments, Ordering::Greater))),
    ("$stdDevPop", over_values(|arguments| Ok(or_null(deviation(&arguments)?.population())))),
    ("$stdDevSamp", over_values(|arguments| Ok(or_null(deviation(&arguments)?.sample())))),
];

const fn over_values(evaluate: Evaluate) -> Operator {
    listed(Arity::Any, evaluate)
}

/// Calls `take` with each argument, or with each item of a single one that is an array.
fn each<'a>(arguments: &Arguments<'_, 'a>, mut take: impl FnMut(Value<'a>)) -> Result<()> {
    if arguments.len() == 1 {
        match arguments.get(0)? {
            Value::Array(array) => array.iter().for_each(take),
            single => take(single),
        }
        return Ok(());
    }
    for value in arguments.iter() {
        take(value?);
    }
    Ok(())
}

/// Calls `take` with each number among the values.
fn each_number(arguments: &Arguments<'_, '_>, mut take: impl FnMut(Number)) -> Result<()> {
    each(arguments, |value| {
        if let Some(number) = Number::of(value) {
            take(number);
        }
    })
}

fn sum<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut total = Total::default();
    each_number(&arguments, |number| total.add(number))?;
    Ok(total.value().into())
}

fn average<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut mean = Mean::default();
    each_number(&arguments, |number| mean.add(number))?;
    Ok(mean.value().map_or(Value::Null, Value::from))
}

fn deviation(arguments: &Arguments<'_, '_>) -> Result<Deviation> {
    let mut deviation = Deviation::default();
    each_number(arguments, |number| deviation.add(number))?;
    Ok(deviation)
}

fn or_null(number: Option<f64>) -> Value<'static> {
    number.map_or(Value::Null, Value::Double)
}

/// The first of the values that lies on the `wanted` side of all others; null if all are null.
fn extreme<'a>(arguments: &Arguments<'_, 'a>, wanted: Ordering) -> Result<Value<'a>> {
    let mut found = Value::Null;
    each(arguments, |value| {
        let better = || order::compare(value, found) == wanted;
        if !value.is_nullish() && (found.is_nullish() || better()) {
            found = value;
        }
    })?;
    Ok(found)
}
