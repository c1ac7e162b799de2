//! `$tsSecond`, `$tsIncrement`.

use crate::expression::arguments::Arguments;
use crate::expression::operator::{Arity, Table, listed};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$tsSecond", listed(Arity::Exactly(1), |arguments| half(&arguments, 5_687_301, 32))),
    ("$tsIncrement", listed(Arity::Exactly(1), |arguments| half(&arguments, 5_687_302, 0))),
];

/// The 32 bits of a timestamp from `shift` on.
fn half<'a>(arguments: &Arguments<'_, 'a>, otherwise: i32, shift: u32) -> Result<Value<'a>> {
    match arguments.get(0)? {
        Value::Timestamp(stamp) => {
            let half = stamp >> shift & 0xFFFF_FFFF;
            Ok(Value::Int64(i64::try_from(half).expect("32 bits fit")))
        }
        value if value.is_nullish() => Ok(Value::Null),
        value => {
            let (operator, found) = (arguments.operator(), value.type_name());
            Err(Error::location(
                otherwise,
                format!("the argument of {operator} must be a timestamp, but is {found}"),
            ))
        }
    }
}
