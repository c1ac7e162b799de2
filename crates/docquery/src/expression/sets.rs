//! `$setEquals`, `$setIntersection`, `$setUnion`, `$setDifference`, `$setIsSubset`, `$anyElementTrue`,
//! `$allElementsTrue`: arrays taken as sets. Values are equal as in the order of all values: 1 and 1.0 are one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::arguments::Arguments;
use super::arrays::{array, no_array};
use super::checked::Checked;
use super::context::Context;
use super::fold::Regrouping;
use super::node::{Node, Special};
use super::operator::{Arity, Call, Operator, Table, listed, regrouped};
use super::scope::Scope;
use crate::{Array, Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$setEquals", Operator::Parsed(Equals::parse)),
    ("$setIntersection", regrouped(Regrouping::Any, intersection)),
    ("$setUnion", regrouped(Regrouping::Any, union)),
    ("$setDifference", listed(Arity::Exactly(2), difference)),
    ("$setIsSubset", Operator::Parsed(parse_is_subset)),
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

/// The values of an array; of those that are equal, the first.
fn set(array: Array<'_>) -> Set<'_> {
    let mut set = Set::new();
    set.extend(array.iter().map(Ordered));
    set
}

/// `{$setEquals: [array, ...]}`. Constants among the operands are checked when it is folded.
#[derive(Debug)]
struct Equals(Node);

impl Equals {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let operands = call.list(scope)?;
        if operands.len() < 2 {
            return Err(call.wrong_count("at least 2", operands.len(), 17045));
        }
        Ok(Node::special(Self(call.node(equals, operands.into_iter().map(Some)))))
    }
}

impl Special for Equals {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        self.0.evaluate(context)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        for operand in self.0.arguments_mut() {
            operand.fold()?;
            check_constant("$setEquals", operand, 5_887_502)?;
        }
        self.0.fold()?;
        Ok(self.0.constant().is_some().then(|| self.0.take()))
    }
}

/// `{$setIsSubset: [array, array]}`. A constant second operand is checked when it is folded.
fn parse_is_subset(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let operands = call.list(scope)?;
    if operands.len() != 2 {
        return Err(call.wrong_count("exactly 2", operands.len(), 16020));
    }
    let call = call.node(is_subset, operands.into_iter().map(Some));
    Ok(Checked::node(call, |call| match call.argument(1) {
        Some(second) => check_constant("$setIsSubset", second, 17311),
        None => Ok(()),
    }))
}

/// Checks that an operand is an array, if it is constant.
fn check_constant(operator: &str, operand: &Node, otherwise: i32) -> Result<()> {
    match operand.constant() {
        None | Some(Value::Array(_)) => Ok(()),
        Some(value) => Err(no_array(operator, value, otherwise)),
    }
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
    let (part, whole) = arguments.two()?;
    let part = array(&arguments, part, 17046)?;
    let whole = set(array(&arguments, whole, 17042)?);
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

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::bson;

    #[test]
    fn sets_have_each_value_once() {
        check(bson!({"$setUnion": [[3, 1], [1.0, 2]]}), bson!([1, 2, 3]));
        check(bson!({"$setUnion": []}), bson!([]));
        check(bson!({"$setUnion": [[1], null]}), bson!(null));
        check(bson!({"$setIntersection": [[1, 2, 2], [2.0, 3]]}), bson!([2]));
        check(bson!({"$setIntersection": [[1, 1.0], [1i64]]}), bson!([1]));
        check(bson!({"$setIntersection": [null, 5]}), bson!(null));
        check(bson!({"$setDifference": [[3, 1, 3, 2], [1.0]]}), bson!([3, 2]));
        check(bson!({"$setDifference": [5, null]}), bson!(null));
        check(bson!({"$setEquals": [[1, 2, 1], [2, 1.0], [1, 2]]}), true);
        check(bson!({"$setEquals": [[1], [2], [1]]}), false);
        check(bson!({"$setIsSubset": [[1, 1], [2, 1]]}), true);
        check(bson!({"$setIsSubset": [[[1]], [1]]}), false);
    }

    #[test]
    fn truth() {
        check(bson!({"$anyElementTrue": [[0, false, null]]}), false);
        check(bson!({"$anyElementTrue": [["", 0]]}), true);
        check(bson!({"$allElementsTrue": [[]]}), true);
        check(bson!({"$allElementsTrue": [[1, 0]]}), false);
    }

    #[test]
    fn errors() {
        check_error(bson!({"$setUnion": [[1], 5]}), 17043);
        check_error(bson!({"$setIntersection": [[1], 5]}), 17047);
        check_error(bson!({"$setDifference": [5, []]}), 17048);
        check_error(bson!({"$setDifference": [[], 5]}), 17049);
        check_error(bson!({"$setEquals": [[1]]}), 17045);
        check_error(bson!({"$setEquals": [[1], 5]}), 5_887_502);
        check_error(bson!({"$setEquals": [[1], "$missing"]}), 17044);
        check_error(bson!({"$setIsSubset": [5, 5]}), 17046);
        check_error(bson!({"$setIsSubset": [[], 5]}), 17042);
        check_error(bson!({"$setIsSubset": ["$missing", 5]}), 17311);
        check_error(bson!({"$anyElementTrue": [5]}), 17041);
        check_error(bson!({"$allElementsTrue": 5}), 17040);
    }
}
