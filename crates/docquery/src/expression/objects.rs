//! `$mergeObjects`, `$objectToArray`, `$arrayToObject`.

use std::collections::HashMap;

use super::arguments::Arguments;
use super::operator::{Arity, Table, listed};
use crate::{Array, Document, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$mergeObjects", listed(Arity::Any, merge_objects)),
    ("$objectToArray", listed(Arity::Exactly(1), object_to_array)),
    ("$arrayToObject", listed(Arity::Exactly(1), array_to_object)),
];

/// Fields in the order in which their names came first, each with its last value.
#[derive(Debug, Default)]
pub(crate) struct Merged<'a> {
    fields: Vec<(&'a str, Value<'a>)>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Merged<'a> {
    /// Sets a field.
    pub(crate) fn set(&mut self, name: &'a str, value: Value<'a>) {
        let place = *self.places.entry(name).or_insert(self.fields.len());
        match self.fields.get_mut(place) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Sets the fields of an operand of `$mergeObjects`; null has none.
    ///
    /// # Errors
    ///
    /// It is no object (40400).
    pub(crate) fn merge(&mut self, operand: Value<'a>) -> Result<()> {
        match operand {
            Value::Document(document) => {
                document.iter().for_each(|(name, value)| self.set(name, value));
                Ok(())
            }
            operand if operand.is_nullish() => Ok(()),
            operand => Err(Error::location(
                40400,
                format!("$mergeObjects takes objects, not {}", operand.type_name()),
            )),
        }
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &[(&'a str, Value<'a>)] {
        &self.fields
    }
}

fn merge_objects<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut merged = Merged::default();
    if arguments.len() == 1 {
        match arguments.get(0)? {
            Value::Array(array) => array.iter().try_for_each(|item| merged.merge(item))?,
            single => merged.merge(single)?,
        }
    } else {
        for operand in arguments.iter() {
            merged.merge(operand?)?;
        }
    }
    arguments.arena().document(merged.fields())
}

fn object_to_array<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let document = match arguments.get(0)? {
        Value::Document(document) => document,
        value if value.is_nullish() => return Ok(Value::Null),
        value => {
            return Err(Error::location(
                40390,
                format!("$objectToArray takes an object, not {}", value.type_name()),
            ));
        }
    };
    let mut items = Vec::new();
    for (name, value) in document {
        items.push(arguments.arena().document(&[("k", Value::String(name)), ("v", value)])?);
    }
    arguments.arena().array(&items)
}

fn array_to_object<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let array = match arguments.get(0)? {
        Value::Array(array) => array,
        value if value.is_nullish() => return Ok(Value::Null),
        value => {
            return Err(Error::location(
                40386,
                format!("$arrayToObject takes an array, not {}", value.type_name()),
            ));
        }
    };
    let field = match array.get(0) {
        Value::Missing => return Ok(Value::Document(Document::EMPTY)),
        Value::Array(_) => pair_of_array,
        Value::Document(_) => pair_of_object,
        value => {
            return Err(Error::location(
                40398,
                format!(
                    "$arrayToObject takes items that are arrays or objects, not {}",
                    value.type_name()
                ),
            ));
        }
    };
    let mut merged = Merged::default();
    for item in array {
        let (name, value) = field(item)?;
        merged.set(name, value);
    }
    arguments.arena().document(merged.fields())
}

/// The field that `[name, value]` stands for.
fn pair_of_array(item: Value<'_>) -> Result<(&str, Value<'_>)> {
    let Value::Array(pair) = item else {
        return Err(inconsistent(40396, "arrays", item));
    };
    check_pair(pair)?;
    Ok((name_of(pair.get(0), 40395, 4_940_400)?, pair.get(1)))
}

fn check_pair(pair: Array<'_>) -> Result<()> {
    let length = pair.len();
    if length == 2 {
        return Ok(());
    }
    Err(Error::location(
        40397,
        format!(
            "an item of $arrayToObject is an array of a name and a value, not of {length} values"
        ),
    ))
}

/// The field that `{k: name, v: value}` stands for.
fn pair_of_object(item: Value<'_>) -> Result<(&str, Value<'_>)> {
    let Value::Document(pair) = item else {
        return Err(inconsistent(40391, "objects", item));
    };
    let count = pair.len();
    if count != 2 {
        return Err(Error::location(
            40392,
            format!("an item of $arrayToObject has the two fields 'k' and 'v', not {count} fields"),
        ));
    }
    let (name, value) = (pair.get("k"), pair.get("v"));
    if name.is_missing() || value.is_missing() {
        return Err(Error::location(40393, "an item of $arrayToObject has the fields 'k' and 'v'"));
    }
    Ok((name_of(name, 40394, 4_940_401)?, value))
}

fn name_of(name: Value<'_>, no_string: i32, null_byte: i32) -> Result<&str> {
    let Value::String(name) = name else {
        return Err(Error::location(
            no_string,
            format!("a name in $arrayToObject is a string, not {}", name.type_name()),
        ));
    };
    if name.contains('\0') {
        return Err(Error::location(null_byte, "a name in $arrayToObject has no null byte"));
    }
    Ok(name)
}

fn inconsistent(code: i32, first: &str, item: Value<'_>) -> Error {
    Error::location(
        code,
        format!(
            "the items of $arrayToObject are all {first}, as the first is, not {}",
            item.type_name()
        ),
    )
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use crate::expression::testing::{check, check_error};

    #[test]
    fn objects_are_merged() {
        check(
            bson!({"$mergeObjects": [{"a": 1, "b": 2}, null, {"c": 3, "a": 4}]}),
            bson!({"a": 4, "b": 2, "c": 3}),
        );
        check(bson!({"$mergeObjects": [[{"a": 1}, {"a": 2}]]}), bson!({"a": 2}));
        check(bson!({"$mergeObjects": []}), bson!({}));
        check(bson!({"$mergeObjects": "$nope"}), bson!({}));
        check_error(bson!({"$mergeObjects": [{}, 1]}), 40400);
        check_error(bson!({"$mergeObjects": [[], {}]}), 40400);
    }

    #[test]
    fn objects_become_arrays_and_back() {
        let list = bson!([{"k": "a", "v": 1}, {"k": "b", "v": [2]}]);
        check(bson!({"$objectToArray": {"a": 1, "b": [2]}}), list.clone());
        check(bson!({"$arrayToObject": [list]}), bson!({"a": 1, "b": [2]}));
        check(bson!({"$arrayToObject": [[["a", 1], ["a", 2]]]}), bson!({"a": 2}));
        check(bson!({"$arrayToObject": [[]]}), bson!({}));
        check(bson!({"$arrayToObject": null}), bson!(null));
        check_error(bson!({"$objectToArray": 1}), 40390);
        check_error(bson!({"$arrayToObject": 1}), 40386);
        check_error(bson!({"$arrayToObject": [[1]]}), 40398);
        check_error(bson!({"$arrayToObject": [[["a", 1], {}]]}), 40396);
        check_error(bson!({"$arrayToObject": [[["a"]]]}), 40397);
        check_error(bson!({"$arrayToObject": [[[1, 1]]]}), 40395);
        check_error(bson!({"$arrayToObject": [[["a\u{0}", 1]]]}), 4_940_400);
        check_error(bson!({"$arrayToObject": [[{"k": "a", "v": 1}, []]]}), 40391);
        check_error(bson!({"$arrayToObject": [[{"k": "a"}]]}), 40392);
        check_error(bson!({"$arrayToObject": [[{"k": "a", "x": 1}]]}), 40393);
        check_error(bson!({"$arrayToObject": [[{"k": 1, "v": 1}]]}), 40394);
        check_error(bson!({"$arrayToObject": [[{"k": "\u{0}", "v": 1}]]}), 4_940_401);
    }
}
