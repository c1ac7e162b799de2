//! The arguments of an operator, while it is evaluated.

use super::context::Context;
use super::node::Node;
use crate::{Arena, Result, Value};

/// The arguments of an operator. Each is evaluated when it is asked for, and again each time: what is not asked for
/// cannot fail.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'s, 'a> {
    name: &'static str,
    nodes: &'a [Option<Node>],
    context: Context<'s, 'a>,
}

impl<'s, 'a> Arguments<'s, 'a> {
    pub(super) fn new(
        name: &'static str,
        nodes: &'a [Option<Node>],
        context: Context<'s, 'a>,
    ) -> Self {
        Self { name, nodes, context }
    }

    /// The operator's name, with the dollar sign, for errors.
    pub(crate) fn operator(&self) -> &'static str {
        self.name
    }

    /// Where computed values go.
    pub(crate) fn arena(&self) -> &'a Arena {
        self.context.arena
    }

    /// How many there are; for named ones, how many there may be.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The value of the argument at `index`; `Missing` if it was not given.
    pub(crate) fn get(&self, index: usize) -> Result<Value<'a>> {
        match self.nodes.get(index) {
            Some(Some(node)) => node.evaluate(self.context),
            _ => Ok(Value::Missing),
        }
    }

    /// Whether the argument at `index` was given.
    pub(crate) fn is_given(&self, index: usize) -> bool {
        matches!(self.nodes.get(index), Some(Some(_)))
    }

    /// The value of the argument at `index` if it was given.
    pub(crate) fn given(&self, index: usize) -> Result<Option<Value<'a>>> {
        if self.is_given(index) { self.get(index).map(Some) } else { Ok(None) }
    }

    /// The values of the first two arguments.
    pub(crate) fn two(&self) -> Result<(Value<'a>, Value<'a>)> {
        Ok((self.get(0)?, self.get(1)?))
    }

    /// The same, the second evaluated before the first: of two errors it is the second's.
    pub(crate) fn two_backwards(&self) -> Result<(Value<'a>, Value<'a>)> {
        let second = self.get(1)?;
        Ok((self.get(0)?, second))
    }

    /// The values of all arguments, each evaluated when the iteration comes to it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Value<'a>>> {
        let arguments = *self;
        (0..self.len()).map(move |index| arguments.get(index))
    }
}
