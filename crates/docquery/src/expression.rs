//! Expressions: values that are computed from a document.

mod context;
mod scope;
pub(crate) mod summation;

pub use context::Context;
pub use scope::Scope;

use crate::{Error, ErrorCode, Result, Value};

/// An expression, parsed.
#[derive(Clone, Debug)]
pub struct Expression {}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no expression.
    pub fn parse(expression: Value<'_>, scope: &Scope<'_>) -> Result<Self> {
        let _ = (expression, scope);
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "expressions are being built"))
    }

    /// The value in `context`; `Missing` where there is none.
    ///
    /// # Errors
    ///
    /// MongoDB's, for values that an operator does not take.
    pub fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let _ = context;
        Ok(Value::Missing)
    }
}
