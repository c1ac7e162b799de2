//! `$sortArray`, and the order of items that `$push` sorts by too.

use std::cmp::Ordering;

use super::arguments::Arguments;
use super::arrays::array;
use super::node::Node;
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::number::Number;
use crate::{Document, Error, Result, Value, order};

pub(super) const OPERATORS: Table = &[("$sortArray", Operator::Parsed(parse))];

/// An order of the items of an array: of whole values, or of the fields of documents.
#[derive(Clone, Debug)]
pub(crate) enum ItemOrder {
    Whole(Direction),
    /// By dotted paths, the first of them first.
    Fields(Box<[(Box<str>, Direction)]>),
}

/// Which of two values comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

impl ItemOrder {
    /// Parses `1`, `-1`, or `{path: 1, ...}`.
    ///
    /// # Errors
    ///
    /// `not_one` for what is neither 1 nor -1 nor an object; [`BAD_VALUE`](crate::ErrorCode::BAD_VALUE) for an empty object, for
    /// other values in it, and for paths with empty parts.
    pub(crate) fn parse(order: Value<'_>, not_one: i32) -> Result<Self> {
        let Value::Document(fields) = order else {
            let direction = Direction::of(order).ok_or_else(|| {
                Error::location(
                    not_one,
                    format!("the sort order of whole values must be 1 or -1, not {order:?}"),
                )
            })?;
            return Ok(Self::Whole(direction));
        };
        let fields = fields.iter().map(|(path, order)| {
            let direction = Direction::of(order).ok_or_else(|| {
                Error::bad_value(format!(
                    "the sort order of the field '{path}' must be 1 or -1, not {order:?}"
                ))
            })?;
            if path.split('.').any(str::is_empty) {
                return Err(Error::bad_value(format!("the sort field '{path}' has an empty part")));
            }
            Ok((path.into(), direction))
        });
        let fields = fields.collect::<Result<Box<[_]>>>()?;
        if fields.is_empty() {
            return Err(Error::bad_value("the sort pattern is empty; it must have a field"));
        }
        Ok(Self::Fields(fields))
    }

    /// Sorts items; those that are equal in this order keep theirs.
    pub(crate) fn sort(&self, items: &mut Vec<Value<'_>>) {
        match self {
            Self::Whole(direction) => items.sort_by(|a, b| direction.compare(*a, *b)),
            Self::Fields(fields) => {
                let key = |item| -> Vec<_> {
                    fields.iter().map(|(path, _)| value_at(item, path)).collect()
                };
                let mut keyed: Vec<_> = items.iter().map(|item| (key(*item), *item)).collect();
                keyed.sort_by(|(a, _), (b, _)| {
                    let orders = fields.iter().zip(a.iter().zip(b));
                    orders
                        .map(|((_, direction), (a, b))| direction.compare(*a, *b))
                        .find(|order| order.is_ne())
                        .unwrap_or(Ordering::Equal)
                });
                *items = keyed.into_iter().map(|(_, item)| item).collect();
            }
        }
    }
}

impl Direction {
    /// Any number that is 1 or -1.
    fn of(value: Value<'_>) -> Option<Self> {
        match Number::of(value)?.as_exact_i64()? {
            1 => Some(Self::Ascending),
            -1 => Some(Self::Descending),
            _ => None,
        }
    }

    fn compare(self, a: Value<'_>, b: Value<'_>) -> Ordering {
        let order = order::compare(a, b);
        if self == Self::Descending { order.reverse() } else { order }
    }
}

/// What stands at `path` in an item, null if there is nothing. In arrays the parts of the path are indices.
fn value_at<'a>(item: Value<'a>, path: &str) -> Value<'a> {
    match item {
        Value::Document(document) => match found_at(document, path) {
            Value::Missing => Value::Null,
            value => value,
        },
        _ => Value::Null,
    }
}

fn found_at<'a>(document: Document<'a>, path: &str) -> Value<'a> {
    let mut value = Value::Document(document);
    let mut rest = path;
    loop {
        let whole = child(value, rest);
        let Some((part, after)) = rest.split_once('.') else {
            return whole;
        };
        if !whole.is_missing() {
            return whole;
        }
        value = child(value, part);
        rest = after;
    }
}

fn child<'a>(value: Value<'a>, name: &str) -> Value<'a> {
    match value {
        Value::Document(document) => document.get(name),
        Value::Array(array) => {
            crate::path::array_index(name).map_or(Value::Missing, |index| array.get(index))
        }
        _ => Value::Missing,
    }
}

/// `{$sortArray: {input: array, sortBy: order}}`. The order is no expression.
fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let keys = [Key::required("input", 2_942_502), Key::required("sortBy", 2_942_503)];
    let errors = NamedErrors { not_an_object: 2_942_500, unknown_key: 2_942_501 };
    let [input, sort_by] = call.raw_keys(keys, errors)?;
    let input = Node::parse(input, scope)?;
    ItemOrder::parse(sort_by, NOT_ONE)?;
    Ok(call.node(sort_array, [Some(input), Some(Node::constant_of(sort_by))]))
}

/// The code of the error for an order that is neither 1 nor -1 nor an object.
const NOT_ONE: i32 = 2_942_506;

fn sort_array<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let input = arguments.get(0)?;
    if input.is_nullish() {
        return Ok(Value::Null);
    }
    let mut items: Vec<_> = array(&arguments, input, 2_942_504)?.iter().collect();
    ItemOrder::parse(arguments.get(1)?, NOT_ONE)?.sort(&mut items);
    arguments.arena().array(&items)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    fn sorted(input: Bson, sort_by: Bson) -> Bson {
        bson!({"$sortArray": {"input": input, "sortBy": sort_by}})
    }

    #[test]
    fn whole_values() {
        check(sorted(bson!([2, "a", null, 1]), bson!(1)), bson!([null, 1, 2, "a"]));
        check(sorted(bson!([1, 3, 2]), bson!(-1.0)), bson!([3, 2, 1]));
        check(sorted(bson!(null), bson!(1)), bson!(null));
    }

    #[test]
    fn fields() {
        let items = bson!([{"a": 1, "b": 2}, {"a": 1, "b": 3}, 5, {"a": 0}]);
        check(
            sorted(items, bson!({"a": 1, "b": -1})),
            bson!([5, {"a": 0}, {"a": 1, "b": 3}, {"a": 1, "b": 2}]),
        );
        check(
            sorted(bson!([{"a": {"b": 2}}, {"a": [{"b": 3}]}, {"a": {"b": 1}}]), bson!({"a.b": 1})),
            bson!([{"a": [{"b": 3}]}, {"a": {"b": 1}}, {"a": {"b": 2}}]),
        );
    }

    #[test]
    fn errors() {
        check_error(bson!({"$sortArray": 1}), 2_942_500);
        check_error(bson!({"$sortArray": {"input": [], "sortBy": 1, "x": 1}}), 2_942_501);
        check_error(bson!({"$sortArray": {"sortBy": 1}}), 2_942_502);
        check_error(bson!({"$sortArray": {"input": []}}), 2_942_503);
        check_error(sorted(bson!(1), bson!(1)), 2_942_504);
        check_error(sorted(bson!([]), bson!(2)), 2_942_506);
        check_error(sorted(bson!([]), bson!({})), 2);
        check_error(sorted(bson!([]), bson!({"a..b": 1})), 2);
        check_error(sorted(bson!([]), bson!({"a": "x"})), 2);
    }
}
