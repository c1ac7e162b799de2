//! `$map`, `$filter`, `$reduce`: an expression for each item of an array.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::{Scope, Slot};
use super::variable::check_bound_name;
use crate::number::Number;
use crate::{Array, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$map", Operator::Parsed(Map::parse)),
    ("$filter", Operator::Parsed(Filter::parse)),
    ("$reduce", Operator::Parsed(Reduce::parse)),
];

/// `{$map: {input: array, as: name, in: expression}}`
#[derive(Debug)]
struct Map {
    input: Node,
    item: Slot,
    body: Node,
}

impl Map {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let [input, name, body] = call.raw_keys(
            [Key::required("input", 16880), Key::optional("as"), Key::required("in", 16882)],
            NamedErrors { not_an_object: 16878, unknown_key: 16879 },
        )?;
        let name = item_name(name)?;
        let input = Node::parse(input, scope)?;
        let names = [name];
        let (inner, item) = scope.with(&names);
        Ok(Node::special(Self { input, item, body: Node::parse(body, &inner)? }))
    }
}

impl Special for Map {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let Some(array) = array("$map", self.input.evaluate(context)?, 16883)? else {
            return Ok(Value::Null);
        };
        let mut items = Vec::new();
        for item in array {
            items.push(self.body.evaluate(context.with(self.item, &[item]))?);
        }
        context.arena.array(&items)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.input.fold()?;
        self.body.fold()?;
        Ok(None)
    }
}

/// `{$filter: {input: array, as: name, cond: expression, limit: number}}`
#[derive(Debug)]
struct Filter {
    input: Node,
    item: Slot,
    condition: Node,
    limit: Option<Node>,
}

impl Filter {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let [input, name, condition, limit] = call.raw_keys(
            [
                Key::required("input", 28648),
                Key::optional("as"),
                Key::required("cond", 28650),
                Key::optional("limit"),
            ],
            NamedErrors { not_an_object: 28646, unknown_key: 28647 },
        )?;
        let name = item_name(name)?;
        let input = Node::parse(input, scope)?;
        let names = [name];
        let (inner, item) = scope.with(&names);
        let condition = Node::parse(condition, &inner)?;
        let limit = if limit.is_missing() { None } else { Some(Node::parse(limit, scope)?) };
        Ok(Node::special(Self { input, item, condition, limit }))
    }

    /// How many items to keep at most.
    fn limit<'a>(&'a self, context: Context<'_, 'a>) -> Result<usize> {
        let Some(limit) = &self.limit else { return Ok(usize::MAX) };
        let limit = limit.evaluate(context)?;
        if limit.is_nullish() {
            return Ok(usize::MAX);
        }
        let whole = Number::of(limit).and_then(Number::as_exact_i64);
        let Some(whole) = whole.and_then(|whole| i32::try_from(whole).ok()) else {
            return Err(Error::location(
                327_391,
                format!("'limit' of $filter is a 32-bit integer, not {limit:?}"),
            ));
        };
        match usize::try_from(whole) {
            Ok(limit) if limit > 0 => Ok(limit),
            _ => Err(Error::location(
                327_392,
                format!("'limit' of $filter is greater than 0, not {whole}"),
            )),
        }
    }
}

impl Special for Filter {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let Some(array) = array("$filter", self.input.evaluate(context)?, 28651)? else {
            return Ok(Value::Null);
        };
        let limit = self.limit(context)?;
        let mut items = Vec::new();
        for item in array {
            if self.condition.evaluate(context.with(self.item, &[item]))?.is_truthy() {
                items.push(item);
                if items.len() == limit {
                    break;
                }
            }
        }
        context.arena.array(&items)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.input.fold()?;
        self.condition.fold()?;
        if let Some(limit) = &mut self.limit {
            limit.fold()?;
        }
        Ok(None)
    }
}

/// `{$reduce: {input: array, initialValue: expression, in: expression}}`
#[derive(Debug)]
struct Reduce {
    input: Node,
    initial: Node,
    /// `$$this`; the next slot is that of `$$value`.
    this: Slot,
    body: Node,
}

impl Reduce {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let [input, initial, body] = call.raw_keys(
            [
                Key::required("input", 40077),
                Key::required("initialValue", 40078),
                Key::required("in", 40079),
            ],
            NamedErrors { not_an_object: 40075, unknown_key: 40076 },
        )?;
        let (inner, this) = scope.with(&["this", "value"]);
        Ok(Node::special(Self {
            input: Node::parse(input, scope)?,
            initial: Node::parse(initial, scope)?,
            this,
            body: Node::parse(body, &inner)?,
        }))
    }
}

impl Special for Reduce {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let Some(array) = array("$reduce", self.input.evaluate(context)?, 40080)? else {
            return Ok(Value::Null);
        };
        let mut value = self.initial.evaluate(context)?;
        for item in array {
            value = self.body.evaluate(context.with(self.this, &[item, value]))?;
        }
        Ok(value)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.input.fold()?;
        self.initial.fold()?;
        self.body.fold()?;
        Ok(None)
    }
}

/// The array that an iteration goes over; `None` for null.
fn array<'a>(operator: &str, input: Value<'a>, code: i32) -> Result<Option<Array<'a>>> {
    match input {
        Value::Array(array) => Ok(Some(array)),
        input if input.is_nullish() => Ok(None),
        input => Err(Error::location(
            code,
            format!("the input of {operator} must be an array, not {}", input.type_name()),
        )),
    }
}

/// The name of the variable for an item: what `as` says, or `this`.
fn item_name(name: Value<'_>) -> Result<&str> {
    let name = match name {
        Value::Missing => "this",
        Value::String(name) => name,
        // As an empty name, for which the server takes it.
        _ => "",
    };
    check_bound_name(name)?;
    Ok(name)
}
