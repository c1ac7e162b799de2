//! Reading what `$set` and `$addFields` compute.

use super::tree::{Branch, Node};
use crate::expression::Scope;
use crate::path::Path;
use crate::{Document, Environment, Error, Expression, Result, Value};

/// Reads `{path: expression, ...}`; an object without operators names the fields inside.
///
/// The whole is looked at before an expression is parsed: paths that collide come first among the errors.
pub(crate) fn parse(spec: Document<'_>, environment: &Environment) -> Result<Branch> {
    let mut found = Found::default();
    for (name, value) in spec {
        found.field(Path::field(name)?, value)?;
    }
    let scope = Scope::new(environment);
    let mut tree = Branch::default();
    for (path, value) in found.values {
        tree.insert(&path, 0, Node::Compute(Expression::parse(value, &scope)?))?;
    }
    tree.finish();
    Ok(tree)
}

/// The paths that are set, and to what.
#[derive(Default)]
struct Found<'v> {
    values: Vec<(Path, Value<'v>)>,
    paths: Branch,
}

impl<'v> Found<'v> {
    fn field(&mut self, path: Path, value: Value<'v>) -> Result<()> {
        let Value::Document(object) = value else {
            return self.value(path, value);
        };
        let Some((first, _)) = object.first() else {
            return self.value(path, value);
        };
        for (name, inner) in object {
            if name.starts_with('$') && object.len() != 1 {
                let message = format!(
                    "'{path}': an object with the operator '{name}' is an expression, and must have exactly one field"
                );
                return Err(Error::location(40181, message));
            }
            if name.starts_with('$') {
                continue;
            }
            if name.contains('.') {
                let message =
                    format!("'{path}': the name '{name}' must not have a dot in an inner object");
                return Err(Error::location(40183, message));
            }
            self.field(Path::field(&format!("{path}.{name}"))?, inner)?;
        }
        if first.starts_with('$') { self.value(path, value) } else { Ok(()) }
    }

    fn value(&mut self, path: Path, value: Value<'v>) -> Result<()> {
        self.paths.insert(&path, 0, Node::Keep).map_err(|_| {
            let message = format!("'{path}' collides with another path that is set");
            Error::location(40176, message)
        })?;
        self.values.push((path, value));
        Ok(())
    }
}
