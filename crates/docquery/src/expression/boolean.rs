//! `$and`, `$or`, `$not`.

use super::arguments::Arguments;
use super::context::Context;
use super::node::Node;
use super::operator::{Arity, Call, Operator, Table, listed};
use super::scope::Scope;
use crate::{Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$and", Operator::Parsed(|call, scope| parse(call, scope, Connective::And))),
    ("$or", Operator::Parsed(|call, scope| parse(call, scope, Connective::Or))),
    ("$not", listed(Arity::Exactly(1), not)),
];

/// `$and` or `$or` of expressions.
#[derive(Debug)]
pub(super) struct Junction {
    connective: Connective,
    operands: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connective {
    And,
    Or,
}

fn parse(call: Call<'_>, scope: &Scope<'_>, connective: Connective) -> Result<Node> {
    Ok(Node::Junction(Junction { connective, operands: call.list(scope)? }))
}

fn not<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(Value::Bool(!arguments.get(0)?.is_truthy()))
}

impl Connective {
    /// The truth of an operand that decides, whatever the others are.
    fn deciding(self) -> bool {
        match self {
            Self::And => false,
            Self::Or => true,
        }
    }
}

impl Junction {
    pub(super) fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let deciding = self.connective.deciding();
        for operand in &self.operands {
            if operand.evaluate(context)?.is_truthy() == deciding {
                return Ok(Value::Bool(deciding));
            }
        }
        Ok(Value::Bool(!deciding))
    }

    /// Folds the operands as the server does, which moves constants behind the others where there are two or more, and
    /// decides by a constant at the end before any other operand can fail.
    pub(super) fn fold(&mut self) -> Result<Option<Node>> {
        self.operands.iter_mut().try_for_each(Node::fold)?;
        let constants = self.operands.iter().filter(|node| node.constant().is_some()).count();
        if constants > 1 && constants < self.operands.len() {
            self.gather();
        }
        let deciding = self.connective.deciding();
        let truth = |node: &Node| node.constant().map(|value| value.is_truthy());
        if constants == self.operands.len() {
            let decided = self.operands.iter().any(|node| truth(node) == Some(deciding));
            return Ok(Some(Node::constant_of(Value::Bool(decided == deciding))));
        }
        match self.operands.last().and_then(truth) {
            Some(last) if last == deciding => Ok(Some(Node::constant_of(Value::Bool(deciding)))),
            Some(_) => {
                self.operands.pop();
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Takes the operands of inner junctions of the same kind for its own, and puts what all constants together are
    /// behind the others.
    fn gather(&mut self) {
        let deciding = self.connective.deciding();
        let mut rest: Vec<Node> = std::mem::take(&mut self.operands);
        rest.reverse();
        let mut decided = false;
        while let Some(operand) = rest.pop() {
            match operand {
                Node::Junction(inner) if inner.connective == self.connective => {
                    rest.extend(inner.operands.into_iter().rev());
                }
                operand => match operand.constant() {
                    Some(value) => decided |= value.is_truthy() == deciding,
                    None => self.operands.push(operand),
                },
            }
        }
        self.operands.push(Node::constant_of(Value::Bool(decided == deciding)));
    }
}
