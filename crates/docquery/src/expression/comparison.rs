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
