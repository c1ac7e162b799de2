//! `$sum`, `$avg`, `$min`, `$max`, `$stdDevPop`, `$stdDevSamp` where they are expressions.

use std::cmp::Ordering;

use super::arguments::Arguments;
use super::fold::Regrouping;
use super::operator::{Arity, Evaluate, Operator, Table, listed, regrouped};
use super::summation::{Deviation, Mean, Total};
use crate::number::Number;
use crate::{Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$sum", regrouped(Regrouping::Any, sum)),
    ("$avg", over_values(average)),
    ("$min", regrouped(Regrouping::Any, |arguments| extreme(&arguments, Ordering::Less))),
    ("$max", regrouped(Regrouping::Any, |arguments| extreme(&arguments, Ordering::Greater))),
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

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use bson::{Bson, bson};

    #[test]
    fn one_array_is_taken_for_its_items() {
        check(bson!({"$sum": [[1, 2, "x"]]}), 3);
        check(bson!({"$sum": [[1, 2], 4]}), 4);
        check(bson!({"$sum": []}), 0);
        check(bson!({"$avg": [[1, 2]]}), 1.5);
        check(bson!({"$avg": ["x"]}), bson!(null));
        check(bson!({"$stdDevPop": [1, 3]}), 1.0);
        check(bson!({"$stdDevSamp": 1}), bson!(null));
    }

    #[test]
    fn extremes_in_the_order_of_all_values() {
        check(bson!({"$min": [null, 2, 1.0, 1]}), 1.0);
        check(bson!({"$max": [2, "a", null]}), "a");
        check(bson!({"$max": [[]]}), bson!(null));
        check(bson!({"$max": [[1, 2], 5]}), bson!([1, 2]));
        check(bson!({"$min": [f64::NAN, 1]}), Bson::Double(f64::NAN));
    }
}
