//! Expressions: values that are computed from a document.
//!
//! An expression is parsed once into a tree of [`Node`]s. The operators stand in tables, one for each file of
//! operators (see [`operator`]); most are a name, what arguments they take, and a small function.

mod arguments;
mod arithmetic;
mod arrays;
mod boolean;
mod coerce;
mod comparison;
mod conditional;
mod context;
mod conversion;
pub(crate) mod date;
mod field_path;
mod first_n;
mod fold;
mod iteration;
mod metadata;
mod node;
mod number_text;
mod objects;
mod operator;
mod powers;
mod regex_search;
mod rounding;
mod scope;
mod sets;
mod sizes;
mod slices;
mod sort_array;
mod statistics;
mod strings;
mod substrings;
pub(crate) mod summation;
#[cfg(test)]
mod testing;
mod trigonometry;
mod trim;
mod types;
mod variable;
mod variables;

use std::sync::Arc;

pub use context::Context;
pub use scope::{Scope, Slot};

use crate::{Result, Value};
pub(crate) use arithmetic::division_by_zero;
use node::Node;
pub(crate) use variable::check_bound_name;

/// Whether there is an operator with this name, dollar sign included.
pub(crate) fn is_operator(name: &str) -> bool {
    operator::named(name).is_some()
}

/// An expression, parsed. A copy shares the tree.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Node>);

impl Expression {
    /// Parses an expression, and computes those of its parts that depend on nothing.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no expression; those of evaluation for parts that can only fail, `{$divide: [1, 0]}`, as
    /// the server's optimizer finds them before it looks at a document.
    pub fn parse(expression: Value<'_>, scope: &Scope<'_>) -> Result<Self> {
        let mut node = Node::parse(expression, scope)?;
        if scope.environment().folds() {
            node.fold()?;
        }
        Ok(Self(Arc::new(node)))
    }

    /// The value in `context`; `Missing` where there is none.
    ///
    /// # Errors
    ///
    /// MongoDB's, for values that an operator does not take.
    pub fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        self.0.evaluate(context)
    }

    /// Its value, if it is the same for every document.
    pub fn constant(&self) -> Option<Value<'_>> {
        self.0.constant()
    }
}
