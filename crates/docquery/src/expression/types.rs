//! `$type`, `$isNumber`.

use super::operator::{Arity, Table, listed};
use crate::Value;

pub(super) const OPERATORS: Table = &[
    (
        "$type",
        listed(Arity::Exactly(1), |arguments| Ok(Value::String(arguments.get(0)?.type_name()))),
    ),
    (
        "$isNumber",
        listed(Arity::Exactly(1), |arguments| Ok(Value::Bool(arguments.get(0)?.is_number()))),
    ),
];
