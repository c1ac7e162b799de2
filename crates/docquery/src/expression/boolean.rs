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

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn truth_is_that_of_expressions() {
        check(bson!({"$and": []}), true);
        check(bson!({"$or": []}), false);
        check(bson!({"$and": [1, "", [], {}]}), true);
        check(bson!({"$or": [0, null, 0.0]}), false);
        check(bson!({"$and": "x"}), true);
        check(bson!({"$not": [null]}), true);
        check(bson!({"$not": [[false]]}), false);
        check_error(bson!({"$not": []}), 16020);
        check_error(bson!({"$not": [1, 2]}), 16020);
    }

    #[test]
    fn what_comes_behind_the_deciding_operand_is_not_evaluated() {
        let document = doc! {"zero": 0, "one": 1};
        let fails = bson!({"$divide": [1, "$zero"]});
        check_on(&document, bson!({"$and": ["$zero", fails.clone()]}), false);
        check_on(&document, bson!({"$or": ["$one", fails]}), true);
    }
}
