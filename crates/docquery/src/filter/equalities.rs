//! The values that a filter fixes: what an upsert begins with.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::predicate::{Comparison, Predicate, Test};
use crate::path::Path;
use crate::{Error, ErrorCode, Result, Value};

/// Collects the equalities that must hold, by path: `$eq`, `$in` and `$all` of one value, in `$and` and in `$or` of one branch.
/// The tree has no others of these left: they are equalities in it.
pub(super) fn equalities(root: &Predicate) -> Result<Vec<(&Path, Value<'_>)>> {
    let mut found = BTreeMap::new();
    collect(root, &mut found)?;
    Ok(found.into_values().collect())
}

fn collect<'a>(
    predicate: &'a Predicate,
    found: &mut BTreeMap<&'a str, (&'a Path, Value<'a>)>,
) -> Result<()> {
    match predicate {
        Predicate::And(parts) => parts.iter().try_for_each(|part| collect(part, found)),
        Predicate::Field(field) => {
            let Test::Compare(Comparison::Equal, value) = &field.test else { return Ok(()) };
            if let Some(other) = conflict(&field.path, found) {
                return Err(Error::new(
                    ErrorCode::NOT_SINGLE_VALUE_FIELD,
                    format!(
                        "cannot infer the fields of the document to insert: '{}' and '{other}' are both given a value by the filter",
                        field.path
                    ),
                ));
            }
            found.insert(field.path.as_str(), (&field.path, value.get()));
            Ok(())
        }
        Predicate::Or(_)
        | Predicate::Nor(_)
        | Predicate::Not(_)
        | Predicate::Expression(_)
        | Predicate::Always(_) => Ok(()),
    }
}

/// The path among those found that is `path`, or a part of it, or of which it is a part.
fn conflict<'a>(path: &Path, found: &BTreeMap<&'a str, (&'a Path, Value<'a>)>) -> Option<&'a Path> {
    let prefixes = path.as_str().match_indices('.').map(|(end, _)| &path.as_str()[..end]);
    let above = prefixes.chain([path.as_str()]).find_map(|prefix| found.get(prefix));
    let below = || {
        let start = format!("{}.", path.as_str());
        let behind = (Bound::Included(start.as_str()), Bound::Unbounded);
        let next = found.range::<str, _>(behind).next();
        next.filter(|(other, _)| other.starts_with(&start)).map(|(_, found)| found)
    };
    above.or_else(below).map(|(other, _)| *other)
}
