//! `$cmp`, `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`: the order of all values, whatever their types.

use std::cmp::Ordering;

use super::arguments::Arguments;
use super::operator::{Arity, Table, listed};
use crate::{Result, Value, order};

pub(super) const OPERATORS: Table = &[
    ("$cmp", listed(Arity::Exactly(2), |arguments| Ok(Value::Int32(compare(arguments)? as i32)))),
    ("$eq", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_eq())))),
    ("$ne", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_ne())))),
    ("$gt", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_gt())))),
    ("$gte", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_ge())))),
    ("$lt", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_lt())))),
    ("$lte", listed(Arity::Exactly(2), |arguments| Ok(Value::Bool(compare(arguments)?.is_le())))),
];

fn compare(arguments: Arguments<'_, '_>) -> Result<Ordering> {
    let (a, b) = arguments.two()?;
    Ok(order::compare(a, b))
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn values_of_all_types_have_an_order() {
        check(bson!({"$cmp": [1, 2.5]}), -1);
        check(bson!({"$cmp": [[1, 2], [1, 2]]}), 0);
        check(bson!({"$cmp": ["a", 99]}), 1);
        check(bson!({"$eq": [1, 1.0]}), true);
        check(bson!({"$ne": [true, 1]}), true);
        check(bson!({"$gt": [Bson::MaxKey, "z"]}), true);
        check(bson!({"$lt": [f64::NAN, f64::NEG_INFINITY]}), true);
        check(bson!({"$gte": [{"a": 1}, {"a": 1i64}]}), true);
        check(bson!({"$lte": [null, 0]}), true);
    }

    #[test]
    fn arrays_and_missing_fields_have_no_magic() {
        let document = doc! {"list": [1, 5]};
        check_on(&document, bson!({"$gt": ["$list", 3]}), true);
        check_on(&document, bson!({"$eq": ["$list", 5]}), false);
        check_on(&document, bson!({"$eq": ["$nope", null]}), false);
        check_on(&document, bson!({"$lt": ["$nope", null]}), true);
    }

    #[test]
    fn two_are_compared() {
        check_error(bson!({"$eq": [1]}), 16020);
        check_error(bson!({"$gt": 1}), 16020);
        check_error(bson!({"$cmp": [1, 2, 3]}), 16020);
    }
}
