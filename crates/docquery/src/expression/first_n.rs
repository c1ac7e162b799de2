//! `$firstN`, `$lastN`, `$minN`, `$maxN` where they are expressions.

use super::arguments::Arguments;
use super::coerce;
use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Evaluate, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::{Error, Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$firstN", Operator::Parsed(|call, scope| Several::parse(call, scope, first))),
    ("$lastN", Operator::Parsed(|call, scope| Several::parse(call, scope, last))),
    ("$minN", Operator::Parsed(|call, scope| Several::parse(call, scope, least))),
    ("$maxN", Operator::Parsed(|call, scope| Several::parse(call, scope, greatest))),
];

/// `{$firstN: {n, input}}`, or one of the others. The server folds neither it nor what is inside.
#[derive(Debug)]
struct Several(Node);

impl Several {
    fn parse(call: Call<'_>, scope: &Scope<'_>, evaluate: Evaluate) -> Result<Node> {
        let arguments = call.named(KEYS, ERRORS, scope)?;
        Ok(Node::special(Self(call.node(evaluate, arguments))))
    }
}

impl Special for Several {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        self.0.evaluate(context)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        Ok(None)
    }
}

const KEYS: &[Key] = &[Key::required("n", 5_787_906), Key::required("input", 5_787_907)];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 5_787_900, unknown_key: 5_787_901 };

/// How many values are wanted, of those that `n` has to be.
///
/// # Errors
///
/// It is no whole number above 0: 31109 for a double beyond all of them.
pub(crate) fn wanted(n: Value<'_>) -> Result<usize> {
    if !n.is_number() {
        let found = n.type_name();
        return Err(Error::location(
            5_787_902,
            format!("Value for 'n' must be of integral type, but found {found}"),
        ));
    }
    let Some(number) = coerce::int64(n) else {
        coerce::long(n)?;
        return Err(Error::location(
            5_787_903,
            format!("Value for 'n' must be of integral type, but found {n:?}"),
        ));
    };
    match usize::try_from(number) {
        Ok(wanted) if wanted > 0 => Ok(wanted),
        _ => Err(Error::location(5_787_908, format!("'n' must be greater than 0, found {number}"))),
    }
}

/// The number of values wanted, and the items of the array.
fn arguments_of<'a>(arguments: &Arguments<'_, 'a>) -> Result<(usize, Vec<Value<'a>>)> {
    let wanted = wanted(arguments.get(0)?)?;
    match arguments.get(1)? {
        Value::Array(array) => Ok((wanted, array.iter().collect())),
        value => Err(Error::location(
            5_788_200,
            format!(
                "{} requires 'input' to be an array, found: {}",
                arguments.operator(),
                value.type_name()
            ),
        )),
    }
}

fn first<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (wanted, mut items) = arguments_of(&arguments)?;
    items.truncate(wanted);
    arguments.arena().array(&items)
}

fn last<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (wanted, items) = arguments_of(&arguments)?;
    arguments.arena().array(&items[items.len().saturating_sub(wanted)..])
}

fn least<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (wanted, mut items) = arguments_of(&arguments)?;
    items.retain(|item| !item.is_nullish());
    items.sort_by(|a, b| order::compare(*a, *b));
    items.truncate(wanted);
    arguments.arena().array(&items)
}

fn greatest<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (wanted, mut items) = arguments_of(&arguments)?;
    items.retain(|item| !item.is_nullish());
    items.sort_by(|a, b| order::compare(*b, *a));
    items.truncate(wanted);
    arguments.arena().array(&items)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    fn some(operator: &str, n: impl Into<Bson>) -> Bson {
        bson!({operator: {"input": [3, null, 1, 2], "n": n.into()}})
    }

    #[test]
    fn values() {
        check(some("$firstN", 2), bson!([3, null]));
        check(some("$lastN", 2.0), bson!([1, 2]));
        check(some("$minN", 2), bson!([1, 2]));
        check(some("$maxN", i64::MAX), bson!([3, 2, 1]));
    }

    #[test]
    fn errors() {
        check_error(some("$firstN", "x"), 5_787_902);
        check_error(some("$firstN", 1.5), 5_787_903);
        check_error(some("$firstN", 0), 5_787_908);
        check_error(some("$firstN", f64::NAN), 31109);
        check_error(some("$firstN", 1e30), 31109);
        check_error(bson!({"$minN": {"input": 1, "n": 1}}), 5_788_200);
        check_error(bson!({"$minN": 1}), 5_787_900);
        check_error(bson!({"$minN": {"x": 1}}), 5_787_901);
        check_error(bson!({"$minN": {"input": []}}), 5_787_906);
        check_error(bson!({"$minN": {"n": 1}}), 5_787_907);
    }
}
