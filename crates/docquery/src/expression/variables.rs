//! `$literal`, which is no expression inside, and `$let`, which binds variables.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::{Scope, Slot};
use super::variable::check_bound_name;
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$literal", Operator::Parsed(parse_literal)),
    ("$const", Operator::Parsed(parse_literal)),
    ("$let", Operator::Parsed(Let::parse)),
];

#[expect(clippy::unnecessary_wraps, reason = "one of the functions that parse operators")]
fn parse_literal(call: Call<'_>, _scope: &Scope<'_>) -> Result<Node> {
    Ok(Node::constant_of(call.arguments))
}

/// `{$let: {vars: {a: expression, ...}, in: expression}}`
#[derive(Debug)]
struct Let {
    first: Slot,
    values: Box<[Node]>,
    body: Node,
}

impl Let {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let [variables, body] = call.raw_keys(
            [Key::required("vars", 16876), Key::required("in", 16877)],
            NamedErrors { not_an_object: 16874, unknown_key: 16875 },
        )?;
        let variables = variables.as_document().ok_or_else(|| {
            Error::location(
                10065,
                format!("'vars' of $let must be an object, not {}", variables.type_name()),
            )
        })?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, value) in variables {
            check_bound_name(name)?;
            names.push(name);
            values.push(Node::parse(value, scope)?);
        }
        let (inner, first) = scope.with(&names);
        let body = Node::parse(body, &inner)?;
        Ok(Node::special(Self { first, values: values.into(), body }))
    }
}

impl Special for Let {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let values: Result<Vec<_>> =
            self.values.iter().map(|node| node.evaluate(context)).collect();
        self.body.evaluate(context.with(self.first, &values?))
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.values.iter_mut().try_for_each(Node::fold)?;
        self.body.fold()?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn a_literal_is_not_looked_into() {
        check(bson!({"$literal": {"$add": ["$a", 1]}}), bson!({"$add": ["$a", 1]}));
        check(bson!({"$literal": "$a"}), "$a");
    }

    #[test]
    fn variables_are_bound_and_hidden() {
        check(bson!({"$let": {"vars": {"a": 1, "b": 2}, "in": ["$$a", "$$b"]}}), bson!([1, 2]));
        let inner = bson!({"$let": {"vars": {"a": {"$add": ["$$a", 1]}}, "in": "$$a"}});
        check(bson!({"$let": {"vars": {"a": 1}, "in": ["$$a", inner]}}), bson!([1, 2]));
        check(bson!({"$let": {"vars": {}, "in": 1}}), 1);
        let document = doc! {"a": {"b": 5}, "b": 6};
        check_on(&document, bson!({"$let": {"vars": {"CURRENT": "$a"}, "in": "$b"}}), 5);
        check_on(&document, bson!({"$let": {"vars": {"CURRENT": "$a"}, "in": "$$ROOT.b"}}), 6);
        check_on(
            &document,
            bson!({"$let": {"vars": {"v": "$$REMOVE"}, "in": {"x": "$$v"}}}),
            bson!({}),
        );
    }

    #[test]
    fn a_let_is_written_right() {
        check_error(bson!({"$let": 1}), 16874);
        check_error(bson!({"$let": {"vars": {}, "in": 1, "other": 1}}), 16875);
        check_error(bson!({"$let": {"in": 1}}), 16876);
        check_error(bson!({"$let": {"vars": {}}}), 16877);
        check_error(bson!({"$let": {"vars": 1, "in": 1}}), 10065);
        check_error(bson!({"$let": {"vars": {"a": 1, "b": "$$a"}, "in": 1}}), 17276);
    }
}
