//! `$getField`, `$setField`, `$unsetField`: single fields, whose names may be any.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$getField", Operator::Parsed(GetField::parse)),
    ("$setField", Operator::Parsed(SetField::parse)),
    ("$unsetField", Operator::Parsed(SetField::parse)),
];

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
