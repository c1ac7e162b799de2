//! `$literal`, which is no expression inside, and `$let`, which binds variables.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Operator, Table};
use super::scope::{Scope, Slot};
use super::variable::check_bound_name;
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$literal", Operator::Parsed(parse_literal)),
    ("$const", Operator::Parsed(parse_literal)),
    ("$let", Operator::Parsed(Let::parse)),
];

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
        let (mut variables, mut body) = (None, None);
        for (name, value) in call.object(16874)? {
            match name {
                "vars" => variables = Some(value),
                "in" => body = Some(value),
                _ => {
                    return Err(Error::location(
                        16875,
                        format!("$let has no argument '{name}'; it takes vars, in"),
                    ));
                }
            }
        }
        let variables = variables.ok_or_else(|| call.missing_key("vars", 16876))?;
        let body = body.ok_or_else(|| call.missing_key("in", 16877))?;
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
        Ok(Node::Special(Box::new(Self { first, values: values.into(), body })))
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
