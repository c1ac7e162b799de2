//! `$binarySize`, `$bsonSize`.

use super::arguments::Arguments;
use super::operator::{Arity, Table, listed};
use super::strings::count;
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$binarySize", listed(Arity::Exactly(1), binary_size)),
    ("$bsonSize", listed(Arity::Exactly(1), bson_size)),
];

fn binary_size<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    match arguments.get(0)? {
        Value::String(text) => Ok(count(text.len())),
        Value::Binary { bytes, .. } => Ok(count(bytes.len())),
        value if value.is_nullish() => Ok(Value::Null),
        value => Err(Error::location(
            51276,
            format!("$binarySize requires a string or binary data, found: {}", value.type_name()),
        )),
    }
}

fn bson_size<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    match arguments.get(0)? {
        Value::Document(document) => Ok(count(match document.raw_bytes() {
            Some(bytes) => bytes.len(),
            None => document.to_raw().as_bytes().len(),
        })),
        value if value.is_nullish() => Ok(Value::Null),
        value => Err(Error::location(
            31393,
            format!("$bsonSize requires a document, found: {}", value.type_name()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::spec::BinarySubtype;
    use bson::{Binary, Bson, bson};

    #[test]
    fn sizes() {
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] };
        check(bson!({"$binarySize": Bson::Binary(bytes)}), 3);
        check(bson!({"$binarySize": "é"}), 2);
        check(bson!({"$binarySize": null}), bson!(null));
        check_error(bson!({"$binarySize": 5}), 51276);
        check(bson!({"$bsonSize": {"a": 1}}), 12);
        check(bson!({"$bsonSize": "$missing"}), bson!(null));
        check_error(bson!({"$bsonSize": 5}), 31393);
    }
}
