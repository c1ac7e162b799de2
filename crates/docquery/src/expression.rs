//! Expressions: values that are computed from a document.
//!
//! An expression is parsed once into a tree of nodes. The operators stand in tables, one for each file of
//! operators (see `operator.rs`); most are a name, what arguments they take, and a small function.

mod arguments;
mod arithmetic;
mod arrays;
mod boolean;
mod checked;
mod coerce;
mod comparison;
mod conditional;
mod context;
mod conversion;
pub(crate) mod date;
mod field_path;
mod fields;
mod first_n;
mod fold;
mod implied;
mod iteration;
mod metadata;
mod node;
mod number_text;
mod objects;
mod operator;
mod powers;
mod random;
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
pub use implied::Implied;
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

#[cfg(test)]
mod tests {
    use bson::{Bson, RawBson, bson, rawdoc};

    use super::testing::{check, check_error};
    use super::*;
    use crate::{Arena, Environment, ErrorCode, OwnedValue, limits};

    #[test]
    fn values_are_built() {
        check(bson!([1, "$nope", {"a": "$nope", "b": []}]), bson!([1, null, {"b": []}]));
        check(bson!({}), bson!({}));
        check("text", "text");
    }

    #[test]
    fn expressions_are_written_right() {
        check_error(bson!({"$nope": 1}), 168);
        check_error(bson!({"$add": [], "$abs": 1}), 15983);
        check_error(bson!({"$add": [], "a": 1}), 15983);
        check_error(bson!({"a": {"$literal": 1, "b": 1}}), 15983);
    }

    /// Wraps an expression as often as the depth allows, and parses, evaluates and drops it on a thread whose stack is
    /// small: threads of the store have 2 MiB, and need some of it for themselves.
    #[track_caller]
    fn check_depth(wrap: fn(Bson) -> Bson) {
        let written = |levels: usize| {
            let nested = (0..levels).fold(bson!("$a"), |inner, _| wrap(inner));
            OwnedValue::from(RawBson::try_from(nested).unwrap().as_raw_bson_ref())
        };
        let environment = Environment::new(0);
        let too_deep = |value: &OwnedValue| {
            let parsed = Node::parse(value.get(), &Scope::new(&environment));
            parsed.is_err_and(|error| error.code() == ErrorCode::OVERFLOW)
        };
        let levels = (1..=limits::EXPRESSION_DEPTH_MAX + 1).find(|&n| too_deep(&written(n)));
        let value = written(levels.expect("the depth is bounded") - 1);
        let run = move || {
            let scope = Scope::new(&environment);
            let expression = Expression::parse(value.get(), &scope).unwrap();
            let (arena, document) = (Arena::new(), rawdoc! {"a": 1});
            let value = expression.evaluate(Context::new(&arena, Value::from(&*document)));
            drop(value);
            drop(expression);
        };
        let stack = std::thread::Builder::new().stack_size(STACK_BYTES);
        stack.spawn(run).unwrap().join().unwrap();
    }

    const STACK_BYTES: usize = 1024 * 1024;

    #[test]
    fn nesting_is_bounded_and_fits_the_stack() {
        check_depth(|inner| bson!({"$abs": inner}));
        check_depth(|inner| bson!({"$abs": [inner]}));
        check_depth(|inner| bson!([inner]));
        check_depth(|inner| bson!({"x": inner}));
        check_depth(|inner| bson!({"$not": inner}));
        check_depth(|inner| bson!({"$and": [1, inner]}));
        check_depth(|inner| bson!({"$mergeObjects": inner}));
        check_depth(|inner| bson!({"$ifNull": [inner, 1]}));
        check_depth(|inner| bson!({"$cond": {"if": inner, "then": 1, "else": 2}}));
        check_depth(|inner| bson!({"$switch": {"branches": [{"case": inner, "then": 1}]}}));
        check_depth(|inner| bson!({"$let": {"vars": {"v": inner}, "in": "$$v"}}));
        check_depth(|inner| bson!({"$let": {"vars": {"v": 1}, "in": inner}}));
        check_depth(|inner| bson!({"$map": {"input": [1], "in": inner}}));
        check_depth(|inner| bson!({"$filter": {"input": ["$a"], "cond": inner}}));
        check_depth(|inner| bson!({"$reduce": {"input": ["$a"], "initialValue": 1, "in": inner}}));
        check_depth(|inner| bson!({"$setField": {"field": "x", "input": {}, "value": inner}}));
        check_depth(|inner| bson!({"$getField": {"field": "x", "input": inner}}));
        check_depth(|inner| bson!({"$convert": {"input": inner, "to": "string"}}));
        check_depth(|inner| bson!({"$concat": ["a", inner]}));
        check_depth(|inner| bson!({"$trim": {"input": inner}}));
        check_depth(|inner| bson!({"$sortArray": {"input": [inner], "sortBy": 1}}));
        check_depth(|inner| bson!({"$dateToString": {"date": inner}}));
    }
}
