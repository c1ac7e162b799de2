//! `$and`, `$or`, `$not`: what comes behind the operand that decides is not evaluated.

use super::arguments::Arguments;
use super::fold::Regrouping;
use super::operator::{Arity, Table, listed, regrouped};
use crate::{Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$and", regrouped(Regrouping::Deciding(false), |arguments| junction(&arguments, false))),
    ("$or", regrouped(Regrouping::Deciding(true), |arguments| junction(&arguments, true))),
    ("$not", listed(Arity::Exactly(1), not)),
];

/// `$and` or `$or`, by the truth of an operand that decides whatever the others are.
fn junction<'a>(arguments: &Arguments<'_, 'a>, deciding: bool) -> Result<Value<'a>> {
    for operand in arguments.iter() {
        if operand?.is_truthy() == deciding {
            return Ok(Value::Bool(deciding));
        }
    }
    Ok(Value::Bool(!deciding))
}

fn not<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(Value::Bool(!arguments.get(0)?.is_truthy()))
}
