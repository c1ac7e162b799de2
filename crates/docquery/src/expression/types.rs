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

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use crate::expression::testing::check;

    #[test]
    fn values_have_types() {
        check(bson!({"$type": "$nope"}), "missing");
        check(bson!({"$type": [[]]}), "array");
        check(bson!({"$type": Bson::MinKey}), "minKey");
        check(bson!({"$type": {"$add": [1, 1i64]}}), "long");
        check(bson!({"$isNumber": 1.5}), true);
        check(bson!({"$isNumber": "1"}), false);
        check(bson!({"$isNumber": "$nope"}), false);
    }
}
