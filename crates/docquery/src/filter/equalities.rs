//! The values that a filter fixes: what an upsert begins with.

use super::predicate::{Comparison, Predicate, Test};
use crate::Value;
use crate::path::Path;

/// The equalities that must hold: `$eq`, `$in` and `$all` of one value, in `$and` and in `$or` of one branch. The tree has no
/// others of these left: they are equalities in it.
pub(super) fn equalities(root: &Predicate) -> Vec<(&Path, Value<'_>)> {
    match root {
        Predicate::And(parts) => parts.iter().flat_map(equalities).collect(),
        Predicate::Field(field) => match &field.test {
            Test::Compare(Comparison::Equal, value) => vec![(&field.path, value.get())],
            _ => Vec::new(),
        },
        Predicate::Or(_)
        | Predicate::Nor(_)
        | Predicate::Not(_)
        | Predicate::Expression(_)
        | Predicate::Always(_) => Vec::new(),
    }
}
