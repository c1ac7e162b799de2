//! `$replaceRoot` and `$replaceWith`: another document in the place of each.

use super::stage::object;
use crate::expression::{Context, Scope};
use crate::{Arena, Document, Environment, Error, Expression, Result, Value};

/// Reads `{newRoot: expression}`.
pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Expression> {
    let spec = object("$replaceRoot", spec, 40229)?;
    let mut new_root = None;
    for (name, value) in spec {
        if name != "newRoot" {
            let message = format!("$replaceRoot has no option '{name}'; it takes newRoot");
            return Err(Error::location(40415, message));
        }
        if new_root.replace(value).is_some() {
            return Err(Error::location(40413, "$replaceRoot names newRoot twice"));
        }
    }
    let new_root =
        new_root.ok_or_else(|| Error::location(40414, "$replaceRoot needs the option newRoot"))?;
    parse_with(new_root, environment)
}

/// Reads the expression of `$replaceWith`.
pub(crate) fn parse_with(spec: Value<'_>, environment: &Environment) -> Result<Expression> {
    Expression::parse(spec, &Scope::new(environment))
}

/// The document that `expression` makes of `document`.
pub(crate) fn apply<'a>(
    expression: &'a Expression,
    document: Document<'a>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    let value = expression.evaluate(Context::new(arena, Value::Document(document)))?;
    value.as_document().ok_or_else(|| {
        Error::location(
            40228,
            format!("the new root of a document must be an object, not {}", value.type_name()),
        )
    })
}
