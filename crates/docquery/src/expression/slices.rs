//! `$slice`, `$range`, `$zip`.

use super::arguments::Arguments;
use super::arrays::array;
use super::node::Node;
use super::operator::{Arity, Call, Key, NamedErrors, Operator, Table, listed};
use super::scope::Scope;
use super::substrings::int32;
use crate::{Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$slice", listed(Arity::Between(2, 3), slice)),
    ("$range", listed(Arity::Between(2, 3), range)),
    ("$zip", Operator::Parsed(parse_zip)),
];

/// How many items an array may have that is made of less: as many as the server puts into 100 MB.
const ITEMS_MAX: usize = 100 * 1024 * 1024 / 16;

/// Checks how many items an array would have, before it is built.
pub(super) fn check_items(operator: &str, items: usize) -> Result<()> {
    if items > ITEMS_MAX {
        return Err(Error::new(
            ErrorCode::EXCEEDED_MEMORY_LIMIT,
            format!(
                "{operator} would make an array of {items} items; at most {ITEMS_MAX} are allowed"
            ),
        ));
    }
    Ok(())
}

fn slice<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (value, second) = arguments.two()?;
    let third = arguments.given(2)?;
    if value.is_nullish() || second.is_nullish() {
        return Ok(Value::Null);
    }
    let array = array(&arguments, value, 28724)?;
    let second = int32(&arguments, second, "second argument", [28725, 28726])?;
    let length = array.len();
    let from_end = |number: i32| length.saturating_sub(number.unsigned_abs() as usize);
    let (start, wanted) = match third {
        None if second < 0 => (from_end(second), length),
        None => (0, second.unsigned_abs() as usize),
        Some(third) if third.is_nullish() => return Ok(Value::Null),
        Some(third) => {
            let third = int32(&arguments, third, "third argument", [28727, 28728])?;
            if third <= 0 {
                return Err(Error::location(
                    28729,
                    format!("the third argument of $slice must be positive, found: {third}"),
                ));
            }
            let start = if second < 0 { from_end(second) } else { second.unsigned_abs() as usize };
            (start, third.unsigned_abs() as usize)
        }
    };
    let items: Vec<_> = array.iter().skip(start).take(wanted).collect();
    arguments.arena().array(&items)
}

fn range<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (start, end) = arguments.two()?;
    let start = int32(&arguments, start, "starting value", [34443, 34444])?;
    let end = int32(&arguments, end, "ending value", [34445, 34446])?;
    let step = match arguments.given(2)? {
        Some(step) => int32(&arguments, step, "step value", [34447, 34448])?,
        None => 1,
    };
    if step == 0 {
        return Err(Error::location(34449, "$range requires a step value other than 0"));
    }
    let distance = (i64::from(end) - i64::from(start)) * i64::from(step.signum());
    let step_width = i64::from(step).abs();
    let steps = usize::try_from((distance + step_width - 1).div_euclid(step_width)).unwrap_or(0);
    check_items("$range", steps)?;
    let items: Vec<_> = (0..steps)
        .scan(start, |next, _| {
            let item = *next;
            *next = next.wrapping_add(step);
            Some(Value::Int32(item))
        })
        .collect();
    arguments.arena().array(&items)
}

/// `{$zip: {inputs: [array, ...], useLongestLength: bool, defaults: [value, ...]}}`
fn parse_zip(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let keys =
        [Key::optional("inputs"), Key::optional("useLongestLength"), Key::optional("defaults")];
    let errors = NamedErrors { not_an_object: 34460, unknown_key: 34464 };
    let [inputs, longest, defaults] = call.raw_keys(keys, errors)?;
    let list = |name, value: Value<'_>, code| match value {
        Value::Missing => Ok((0, None)),
        Value::Array(array) => Ok((array.len(), Some(Node::parse(value, scope)?))),
        _ => Err(Error::location(
            code,
            format!("'{name}' of $zip must be an array of expressions, not {}", value.type_name()),
        )),
    };
    let (count, inputs) = list("inputs", inputs, 34461)?;
    let (count_of_defaults, defaults) = list("defaults", defaults, 34462)?;
    let longest = match longest {
        Value::Missing => false,
        Value::Bool(longest) => longest,
        value => {
            let found = value.type_name();
            return Err(Error::location(
                34463,
                format!("'useLongestLength' of $zip must be a bool, not {found}"),
            ));
        }
    };
    if count == 0 {
        return Err(Error::location(34465, "$zip requires at least one input array"));
    }
    if count_of_defaults > 0 && !longest {
        return Err(Error::location(
            34466,
            "$zip takes defaults only where useLongestLength is true",
        ));
    }
    if count_of_defaults > 0 && count_of_defaults != count {
        return Err(Error::location(
            34467,
            format!(
                "$zip has {count} inputs and {count_of_defaults} defaults; they must be as many"
            ),
        ));
    }
    let longest = Node::constant_of(Value::Bool(longest));
    Ok(call.node(zip, [inputs, Some(longest), defaults]))
}

fn zip<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut inputs = Vec::new();
    for input in array(&arguments, arguments.get(0)?, 34468)? {
        if input.is_nullish() {
            return Ok(Value::Null);
        }
        inputs.push(array(&arguments, input, 34468)?.iter().collect::<Vec<_>>());
    }
    let lengths = inputs.iter().map(Vec::len);
    let longest = arguments.get(1)?.is_truthy();
    let length = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    check_items("$zip", length.saturating_mul(inputs.len()))?;
    let defaults = match arguments.given(2)? {
        Some(defaults) => array(&arguments, defaults, 34462)?.iter().collect(),
        None => Vec::new(),
    };
    let mut rows = Vec::with_capacity(length);
    for place in 0..length {
        let row: Vec<_> = inputs
            .iter()
            .enumerate()
            .map(|(column, items)| {
                let default = || defaults.get(column).copied().unwrap_or(Value::Null);
                items.get(place).copied().unwrap_or_else(default)
            })
            .collect();
        rows.push(arguments.arena().array(&row)?);
    }
    arguments.arena().array(&rows)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    #[test]
    fn slices() {
        let slice = |rest: &[i32]| {
            let mut arguments = vec![bson!([1, 2, 3])];
            arguments.extend(rest.iter().map(|number| bson!(*number)));
            bson!({"$slice": arguments})
        };
        check(slice(&[2]), bson!([1, 2]));
        check(slice(&[-2]), bson!([2, 3]));
        check(slice(&[0]), bson!([]));
        check(slice(&[i32::MIN]), bson!([1, 2, 3]));
        check(slice(&[-2, 1]), bson!([2]));
        check(slice(&[1, i32::MAX]), bson!([2, 3]));
        check(slice(&[5, 1]), bson!([]));
        check(bson!({"$slice": [[1], null]}), bson!(null));
        check(bson!({"$slice": [[1], 1, null]}), bson!(null));
        check(bson!({"$slice": [1, null]}), bson!(null));
        check_error(bson!({"$slice": [1, 1, null]}), 28724);
        check_error(bson!({"$slice": [[1], "x", null]}), 28725);
        check_error(slice(&[1, 0]), 28729);
        check_error(bson!({"$slice": [1, 1]}), 28724);
        check_error(bson!({"$slice": [[1], "x"]}), 28725);
        check_error(bson!({"$slice": [[1], 1.5]}), 28726);
        check_error(bson!({"$slice": [[1], 1, "x"]}), 28727);
        check_error(bson!({"$slice": [[1], 1, 1.5]}), 28728);
    }

    #[test]
    fn ranges() {
        check(bson!({"$range": [0, 5, 2]}), bson!([0, 2, 4]));
        check(bson!({"$range": [5, 0, -2]}), bson!([5, 3, 1]));
        check(bson!({"$range": [0, -5]}), bson!([]));
        check(bson!({"$range": [i32::MAX - 1, i32::MAX, i32::MAX]}), bson!([i32::MAX - 1]));
        check(
            bson!({"$range": [i32::MIN, i32::MAX, i32::MAX]}),
            bson!([i32::MIN, -1, i32::MAX - 1]),
        );
        check_error(bson!({"$range": [i32::MIN, i32::MAX]}), 146);
        check_error(bson!({"$range": ["x", 1]}), 34443);
        check_error(bson!({"$range": [0.5, 1]}), 34444);
        check_error(bson!({"$range": [0, "x"]}), 34445);
        check_error(bson!({"$range": [0, 0.5]}), 34446);
        check_error(bson!({"$range": [0, 1, "x"]}), 34447);
        check_error(bson!({"$range": [0, 1, 0.5]}), 34448);
        check_error(bson!({"$range": [0, 1, 0]}), 34449);
    }

    #[test]
    fn zips() {
        let zip = |inputs: Bson| bson!({"$zip": {"inputs": inputs}});
        check(zip(bson!([[1, 2], ["a"]])), bson!([[1, "a"]]));
        check(zip(bson!([[1], null])), bson!(null));
        check(
            bson!({"$zip": {"inputs": [[1, 2], []], "useLongestLength": true}}),
            bson!([[1, null], [2, null]]),
        );
        check(
            bson!({"$zip": {"inputs": [[], [1]], "useLongestLength": true, "defaults": ["x", 0]}}),
            bson!([["x", 1]]),
        );
        check_error(bson!({"$zip": 1}), 34460);
        check_error(zip(bson!(1)), 34461);
        check_error(bson!({"$zip": {"inputs": [[1]], "defaults": 1}}), 34462);
        check_error(bson!({"$zip": {"inputs": [[1]], "useLongestLength": 1}}), 34463);
        check_error(bson!({"$zip": {"inputs": [[1]], "x": 1}}), 34464);
        check_error(bson!({"$zip": {}}), 34465);
        check_error(bson!({"$zip": {"inputs": [[1]], "defaults": [1]}}), 34466);
        check_error(
            bson!({"$zip": {"inputs": [[1]], "useLongestLength": true, "defaults": [1, 2]}}),
            34467,
        );
        check_error(zip(bson!([1])), 34468);
    }
}
