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

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn items_are_mapped() {
        check(bson!({"$map": {"input": [1, 2], "in": {"$add": ["$$this", 1]}}}), bson!([2, 3]));
        check(bson!({"$map": {"input": [1], "as": "n", "in": "$$n.x"}}), bson!([null]));
        check(bson!({"$map": {"input": null, "in": 1}}), bson!(null));
        check_on(
            &doc! {"list": [{"x": [1, 2]}, {"x": [3]}], "by": 10},
            bson!({"$map": {"input": "$list", "as": "o", "in": {"$map": {
                "input": "$$o.x", "in": {"$multiply": ["$$this", "$by", {"$size": "$$o.x"}]},
            }}}}),
            bson!([[20, 40], [30]]),
        );
        check_error(bson!({"$map": 1}), 16878);
        check_error(bson!({"$map": {"input": [], "in": 1, "other": 1}}), 16879);
        check_error(bson!({"$map": {"in": 1}}), 16880);
        check_error(bson!({"$map": {"input": []}}), 16882);
        check_error(bson!({"$map": {"input": 1, "in": 1}}), 16883);
        check_error(bson!({"$map": {"input": [], "as": "Big", "in": 1}}), 9);
        check_error(bson!({"$map": {"input": [], "as": 5, "in": 1}}), 9);
        check_error(bson!({"$map": {"input": "$$this", "in": 1}}), 17276);
    }

    #[test]
    fn items_are_filtered() {
        let filter = |limit| {
            bson!({"$filter": {
                "input": [1, 5, 2, 6], "cond": {"$gt": ["$$this", 1]}, "limit": limit,
            }})
        };
        check(filter(bson!(2)), bson!([5, 2]));
        check(filter(bson!(2.0)), bson!([5, 2]));
        check(filter(bson!(null)), bson!([5, 2, 6]));
        check_error(filter(bson!(0)), 327_392);
        check_error(filter(bson!(1.5)), 327_391);
        check_error(filter(bson!("1")), 327_391);
        check_error(filter(bson!(1i64 << 40)), 327_391);
        check_error(bson!({"$filter": []}), 28646);
        check_error(bson!({"$filter": {"input": [], "cond": 1, "other": 1}}), 28647);
        check_error(bson!({"$filter": {"cond": 1}}), 28648);
        check_error(bson!({"$filter": {"input": []}}), 28650);
        check_error(bson!({"$filter": {"input": {}, "cond": 1}}), 28651);
    }

    #[test]
    fn items_are_reduced() {
        let reduce = |input| {
            bson!({"$reduce": {
                "input": input, "initialValue": "x", "in": {"$concat": ["$$value", "$$this"]},
            }})
        };
        check(reduce(bson!(["a", "b"])), "xab");
        check(reduce(bson!([])), "x");
        check(reduce(bson!(null)), bson!(null));
        check_error(reduce(bson!(1)), 40080);
        check_error(bson!({"$reduce": 1}), 40075);
        check_error(bson!({"$reduce": {"other": 1}}), 40076);
        check_error(bson!({"$reduce": {"initialValue": 1, "in": 1}}), 40077);
        check_error(bson!({"$reduce": {"input": [], "in": 1}}), 40078);
        check_error(bson!({"$reduce": {"input": [], "initialValue": 1}}), 40079);
        check_error(bson!({"$reduce": {"input": [], "initialValue": "$$value", "in": 1}}), 17276);
    }
}
