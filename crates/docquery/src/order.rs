//! The order of BSON values.
//!
//! Types come first: `MinKey` < missing, undefined < null < numbers < strings, symbols < documents < arrays < binary < object ids <
//! booleans < dates < timestamps < regexes < pointers < code < code with scope < `MaxKey`. Then values: strings by their bytes,
//! binary by length, subtype and bytes, documents field by field by type, name and value, arrays item by item.

use std::cmp::Ordering;

use crate::number::Number;
use crate::{Array, Document, Value};

/// Compares two values of any types. Nesting is bounded by what a document may have, so the recursion is too.
pub fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| compare_in_bracket(a, b))
}

/// Whether two values are equal in this order: 1 and 1.0 are.
pub fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    compare(a, b) == Ordering::Equal
}

/// The place of a value's type in the order. Types of one rank are compared by value: they share a *bracket*.
pub fn rank(value: Value<'_>) -> u8 {
    match value {
        Value::MinKey => 0,
        Value::Missing | Value::Undefined => 1,
        Value::Null => 2,
        Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => 3,
        Value::String(_) | Value::Symbol(_) => 4,
        Value::Document(_) => 5,
        Value::Array(_) => 6,
        Value::Binary { .. } => 7,
        Value::ObjectId(_) => 8,
        Value::Bool(_) => 9,
        Value::DateTime(_) => 10,
        Value::Timestamp(_) => 11,
        Value::Regex { .. } => 12,
        Value::DbPointer { .. } => 13,
        Value::JavaScript(_) => 14,
        Value::JavaScriptWithScope { .. } => 15,
        Value::MaxKey => 16,
    }
}

/// Compares two values of one bracket.
fn compare_in_bracket(a: Value<'_>, b: Value<'_>) -> Ordering {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return a.compare(b);
    }
    match (a, b) {
        (Value::String(a) | Value::Symbol(a), Value::String(b) | Value::Symbol(b))
        | (Value::JavaScript(a), Value::JavaScript(b)) => a.cmp(b),
        (Value::Document(a), Value::Document(b)) => compare_documents(a, b),
        (Value::Array(a), Value::Array(b)) => compare_arrays(a, b),
        (
            Value::Binary { subtype: subtype_a, bytes: a },
            Value::Binary { subtype: subtype_b, bytes: b },
        ) => (a.len(), subtype_a, a).cmp(&(b.len(), subtype_b, b)),
        (Value::ObjectId(a), Value::ObjectId(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(&b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(&b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(&b),
        (
            Value::Regex { pattern: a, options: options_a },
            Value::Regex { pattern: b, options: options_b },
        ) => (a, options_a).cmp(&(b, options_b)),
        (
            Value::DbPointer { namespace: a, id: id_a },
            Value::DbPointer { namespace: b, id: id_b },
        ) => (a.len(), a, id_a).cmp(&(b.len(), b, id_b)),
        (
            Value::JavaScriptWithScope { code: a, scope: scope_a },
            Value::JavaScriptWithScope { code: b, scope: scope_b },
        ) => a.cmp(b).then_with(|| compare_documents(scope_a, scope_b)),
        // The types that have one value, and those of different brackets, which do not come here.
        _ => Ordering::Equal,
    }
}

/// Compares field by field: the types, the names, the values.
pub fn compare_documents(a: Document<'_>, b: Document<'_>) -> Ordering {
    let (mut fields_a, mut fields_b) = (a.iter(), b.iter());
    loop {
        let ((name_a, a), (name_b, b)) = match (fields_a.next(), fields_b.next()) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        let order = rank(a)
            .cmp(&rank(b))
            .then_with(|| name_a.cmp(name_b))
            .then_with(|| compare_in_bracket(a, b));
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare_arrays(a: Array<'_>, b: Array<'_>) -> Ordering {
    let (mut items_a, mut items_b) = (a.iter(), b.iter());
    loop {
        let order = match (items_a.next(), items_b.next()) {
            (Some(a), Some(b)) => compare(a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}
