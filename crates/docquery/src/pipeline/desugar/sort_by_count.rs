//! `$sortByCount`: how often each value is met, the most frequent in front.

use crate::{Arena, Document, Error, OwnedValue, Result, Value};

/// `$group` with a count, and `$sort` by it.
pub(super) fn stages(spec: Value<'_>) -> Result<Vec<OwnedValue>> {
    match spec {
        Value::String(text) if text.starts_with('$') => {}
        Value::String(_) => {
            let message =
                "$sortByCount takes a path that begins with '$', or an expression in an object";
            return Err(Error::location(40148, message));
        }
        Value::Document(fields) if begins_as_expression(fields) => {}
        Value::Document(_) => {
            return Err(Error::location(40147, "the object of $sortByCount must be an expression"));
        }
        other => {
            let message =
                format!("$sortByCount takes a string or an object, not {}", other.type_name());
            return Err(Error::location(40149, message));
        }
    }
    let arena = Arena::new();
    let count = arena.document(&[("$sum", Value::Int32(1))])?;
    let group = arena.document(&[("_id", spec), ("count", count)])?;
    let sort = arena.document(&[("count", Value::Int32(-1))])?;
    Ok(vec![
        arena.document(&[("$group", group)])?.into(),
        arena.document(&[("$sort", sort)])?.into(),
    ])
}

/// Whether an object is an expression with an operator.
pub(super) fn begins_as_expression(fields: Document<'_>) -> bool {
    fields.first().is_some_and(|(name, _)| name.starts_with('$'))
}
