//! `$mergeObjects`, `$objectToArray`, `$arrayToObject`, `$getField`, `$setField`, `$unsetField`.

use std::collections::HashMap;

use super::arguments::Arguments;
use super::context::Context;
use super::fold::Regrouping;
use super::node::{Node, Special};
use super::operator::{Arity, Call, Key, NamedErrors, Operator, Table, listed, regrouped};
use super::scope::Scope;
use crate::{Array, Document, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$mergeObjects", regrouped(Regrouping::Neighbours, merge_objects)),
    ("$objectToArray", listed(Arity::Exactly(1), object_to_array)),
    ("$arrayToObject", listed(Arity::Exactly(1), array_to_object)),
    ("$getField", Operator::Parsed(GetField::parse)),
    ("$setField", Operator::Parsed(SetField::parse)),
    ("$unsetField", Operator::Parsed(SetField::parse)),
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

/// `{$getField: name}`, `{$getField: {field: name, input: object}}`
#[derive(Debug)]
struct GetField {
    field: Box<str>,
    input: Node,
}

impl GetField {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let named = match call.arguments {
            Value::Document(document) => {
                document.first().is_none_or(|(name, _)| !name.starts_with('$'))
            }
            _ => false,
        };
        let (field, input) = if named {
            let [field, input] = call.raw_keys(
                [Key::required("field", 3_041_702), Key::required("input", 3_041_703)],
                NamedErrors { not_an_object: 3_041_701, unknown_key: 3_041_701 },
            )?;
            (Node::parse(field, scope)?, Node::parse(input, scope)?)
        } else {
            let current = Node::parse(Value::String("$$CURRENT"), scope)?;
            (Node::parse(call.arguments, scope)?, current)
        };
        let errors = FieldErrors { path: 5_654_600, variable: 5_654_601, no_string: 5_654_602 };
        Ok(Node::special(Self { field: constant_field(call, &field, &errors)?, input }))
    }
}

impl Special for GetField {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        Ok(match self.input.evaluate(context)? {
            Value::Document(document) => document.get(&self.field),
            Value::Null | Value::Undefined => Value::Null,
            _ => Value::Missing,
        })
    }

    /// As the server leaves it: what is constant inside fails only when a document is looked at.
    fn fold(&mut self) -> Result<Option<Node>> {
        Ok(None)
    }
}

/// `{$setField: {field: name, input: object, value: expression}}`, and `$unsetField` without the value.
#[derive(Debug)]
struct SetField {
    operator: &'static str,
    field: Box<str>,
    input: Node,
    value: Node,
}

impl SetField {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let errors = NamedErrors { not_an_object: 4_161_100, unknown_key: 4_161_101 };
        let field = Key::required("field", 4_161_102);
        let input = Key::required("input", 4_161_109);
        let [field, value, input] = if call.name == "$unsetField" {
            let [field, input] = call.raw_keys([field, input], errors)?;
            [field, Value::String("$$REMOVE"), input]
        } else {
            call.raw_keys([field, Key::required("value", 4_161_103), input], errors)?
        };
        let field = Node::parse(field, scope)?;
        let input = Node::parse(input, scope)?;
        let value = Node::parse(value, scope)?;
        let errors = FieldErrors { path: 4_161_108, variable: 4_161_106, no_string: 4_161_107 };
        let field = constant_field(call, &field, &errors)?;
        Ok(Node::special(Self { operator: call.name, field, input, value }))
    }
}

impl Special for SetField {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let document = match self.input.evaluate(context)? {
            Value::Document(document) => document,
            input if input.is_nullish() => return Ok(Value::Null),
            input => {
                return Err(Error::location(
                    4_161_105,
                    format!(
                        "the input of {} is an object, not {}",
                        self.operator,
                        input.type_name()
                    ),
                ));
            }
        };
        let value = self.value.evaluate(context)?;
        let mut fields: Vec<_> = document.slots().collect();
        match fields.iter_mut().find(|(name, _)| **name == *self.field) {
            Some(field) => field.1 = value,
            None => fields.push((&self.field, value)),
        }
        context.arena.document(&fields)
    }

    /// As with `$getField`.
    fn fold(&mut self) -> Result<Option<Node>> {
        Ok(None)
    }
}

/// The codes of the errors for a name of a field that is no constant string.
struct FieldErrors {
    path: i32,
    variable: i32,
    no_string: i32,
}

/// The name of a field: an expression that is a constant string, `"a.b"` or `{$literal: "$a"}`.
fn constant_field(call: Call<'_>, node: &Node, errors: &FieldErrors) -> Result<Box<str>> {
    let name = call.name;
    if let Node::Path(_) = node {
        return Err(Error::location(
            errors.path,
            format!(
                "'field' of {name} is a constant, and a field path is none; a name that begins with '$' is \
                 written as {{$literal: ...}}"
            ),
        ));
    }
    match node.constant() {
        Some(Value::String(field)) if !field.contains('\0') => Ok(field.into()),
        Some(value) => Err(Error::location(
            errors.no_string,
            format!("'field' of {name} is a string without null bytes, not {}", value.type_name()),
        )),
        None => Err(Error::location(
            errors.variable,
            format!("'field' of {name} is a constant, and no expression"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

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

    #[test]
    fn a_field_of_any_name_is_read() {
        let document = doc! {"a.b": 1, "$c": 2, "d": {"e": 3}};
        check_on(&document, bson!({"$getField": "a.b"}), 1);
        check_on(&document, bson!({"$getField": {"$literal": "$c"}}), 2);
        check_on(&document, bson!({"$getField": {"field": "e", "input": "$d"}}), 3);
        check_on(&document, bson!({"$getField": {"field": "e", "input": 5}}), bson!(null));
        check_error(bson!({"$getField": {"other": 1}}), 3_041_701);
        check_error(bson!({"$getField": {"input": 1}}), 3_041_702);
        check_error(bson!({"$getField": {"field": "a"}}), 3_041_703);
        check_error(bson!({"$getField": "$a"}), 5_654_600);
        check_error(bson!({"$getField": {"$concat": ["a", "b"]}}), 5_654_601);
        check_error(bson!({"$getField": 5}), 5_654_602);
    }

    #[test]
    fn a_field_of_any_name_is_set() {
        let set = |field, input, value| bson!({"$setField": {"field": field, "input": input, "value": value}});
        check(set("a.b", bson!({"x": 1}), bson!(2)), bson!({"x": 1, "a.b": 2}));
        check(set("x", bson!({"x": 1, "y": 1}), bson!(2)), bson!({"x": 2, "y": 1}));
        check(set("x", bson!({"x": 1, "y": 1}), bson!("$$REMOVE")), bson!({"y": 1}));
        check(set("x", bson!(null), bson!(2)), bson!(null));
        check(bson!({"$unsetField": {"field": "x", "input": {"x": 1}}}), bson!({}));
        check_error(set("x", bson!(1), bson!(2)), 4_161_105);
        check_error(set("$x", bson!({}), bson!(2)), 4_161_108);
        check_error(bson!({"$setField": 1}), 4_161_100);
        check_error(bson!({"$unsetField": {"field": "x", "input": {}, "value": 1}}), 4_161_101);
        check_error(bson!({"$setField": {"input": {}, "value": 1}}), 4_161_102);
        check_error(bson!({"$setField": {"field": "x", "input": {}}}), 4_161_103);
        check_error(bson!({"$setField": {"field": "x", "value": 1}}), 4_161_109);
        check_error(bson!({"$setField": {"field": 1, "input": {}, "value": 1}}), 4_161_107);
    }

    #[test]
    fn a_field_that_was_removed_comes_back_where_it_was() {
        let removed = bson!({"$unsetField": {"field": "x", "input": "$$ROOT"}});
        let set = bson!({"$setField": {"field": "x", "input": removed, "value": 3}});
        check_on(&doc! {"x": 1, "y": 2}, set, bson!({"x": 3, "y": 2}));
        let set = bson!({"$setField": {"field": "x", "input": {"x": "$nope", "y": 2}, "value": 3}});
        check_on(&doc! {}, set, bson!({"x": 3, "y": 2}));
    }
}
