//! Calls that are looked at once their constant operands are known.

use super::context::Context;
use super::node::{Node, Special};
use crate::{Result, Value};

/// A call that is checked when it is folded: an operand that can only be wrong is an error though no document comes to it.
#[derive(Debug)]
pub(super) struct Checked {
    call: Node,
    check: fn(&Node) -> Result<()>,
}

impl Checked {
    pub(super) fn node(call: Node, check: fn(&Node) -> Result<()>) -> Node {
        Node::special(Self { call, check })
    }
}

impl Special for Checked {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        self.call.evaluate(context)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.call.fold()?;
        if self.call.constant().is_some() {
            return Ok(Some(self.call.take()));
        }
        (self.check)(&self.call)?;
        Ok(None)
    }
}
