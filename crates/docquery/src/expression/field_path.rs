//! Field paths: `$a.b`, `$$variable.a.b`.

use super::context::Context;
use super::scope::Scope;
use super::variable::Variable;
use crate::{Array, Error, ErrorCode, Result, Value, limits};

/// A variable, and the way into it.
#[derive(Clone, Debug)]
pub(super) struct FieldPath {
    pub(super) variable: Variable,
    parts: Box<[Box<str>]>,
}

impl FieldPath {
    /// Parses a string that begins with `$`.
    pub(super) fn parse(text: &str, scope: &Scope<'_>) -> Result<Self> {
        let Some(path) = text.strip_prefix('$').filter(|path| !path.is_empty()) else {
            return Err(Error::location(16872, "'$' by itself is not a valid field path"));
        };
        match path.strip_prefix('$') {
            None => {
                let variable = Variable::named("CURRENT", scope)?;
                Ok(Self { variable, parts: split(path)? })
            }
            Some(path) => {
                let (name, rest) = match path.split_once('.') {
                    Some((name, rest)) => (name, Some(rest)),
                    None => (path, None),
                };
                let variable = Variable::named(name, scope)?;
                Ok(Self { variable, parts: rest.map_or(Ok(Box::default()), split)? })
            }
        }
    }

    /// The way into the variable, with dots; `None` if it is the variable itself.
    pub(super) fn dotted(&self) -> Option<String> {
        (!self.parts.is_empty()).then(|| self.parts.join("."))
    }

    /// The value there; `Missing` if there is none.
    pub(super) fn evaluate<'a>(&'a self, context: &Context<'_, 'a>) -> Result<Value<'a>> {
        let start = match &self.variable {
            Variable::Root => context.root,
            Variable::Bound(slot) => context.variable(*slot),
            Variable::Constant(value) => value.get(),
        };
        step(start, &self.parts, context)
    }
}

/// The value at the end of `parts`. Arrays on the way stand for their documents, each of which is asked, and those that
/// have no such value are left out; arrays right in arrays are not entered.
fn step<'a>(start: Value<'a>, parts: &[Box<str>], context: &Context<'_, 'a>) -> Result<Value<'a>> {
    let Some((name, rest)) = parts.split_first() else {
        return Ok(start);
    };
    match start {
        Value::Document(document) => step(document.get(name), rest, context),
        Value::Array(array) => collect(array, parts, context),
        _ => Ok(Value::Missing),
    }
}

fn collect<'a>(
    array: Array<'a>,
    parts: &[Box<str>],
    context: &Context<'_, 'a>,
) -> Result<Value<'a>> {
    let mut found = Vec::new();
    for item in array {
        if let Value::Document(_) = item {
            let value = step(item, parts, context)?;
            if !value.is_missing() {
                found.push(value);
            }
        }
    }
    context.arena.array(&found)
}

fn split(path: &str) -> Result<Box<[Box<str>]>> {
    if path.is_empty() || path.ends_with('.') {
        return Err(Error::location(
            40353,
            format!("the field path '{path}' must not end with '.'"),
        ));
    }
    let parts: Box<[Box<str>]> = path.split('.').map(Box::from).collect();
    if parts.len() >= limits::EXPRESSION_DEPTH_MAX {
        return Err(Error::new(
            ErrorCode::OVERFLOW,
            format!("a field path has at most {} parts", limits::EXPRESSION_DEPTH_MAX - 1),
        ));
    }
    for part in &parts {
        check_field_name(part)?;
    }
    Ok(parts)
}

/// Checks the name of a field in a path or in an object expression.
pub(crate) fn check_field_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::location(15998, "the name of a field in a path must not be empty"));
    }
    if name.starts_with('$') && !matches!(name, "$id" | "$ref" | "$db") {
        return Err(Error::location(
            16410,
            format!(
                "the field name '{name}' must not start with '$' in a path; see $getField and $setField"
            ),
        ));
    }
    if name.contains('\0') {
        return Err(Error::location(
            16411,
            format!("the field name {name:?} must not contain a null byte"),
        ));
    }
    if name.contains('.') {
        return Err(Error::location(
            16412,
            format!(
                "the field name '{name}' must not contain '.' here; see $getField and $setField"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{bson, doc};

    use crate::expression::testing::{check_error, check_on};

    #[test]
    fn arrays_on_the_way_stand_for_their_documents() {
        let document = doc! {
            "a": {"b": 1}, "list": [{"x": 1}, 5, {"y": 2}, {"x": [{"z": 3}]}, [{"x": 4}]], "0": "zero",
        };
        check_on(&document, "$a.b", 1);
        check_on(&document, "$a.b.c", bson!(null));
        check_on(&document, "$list.x", bson!([1, [{"z": 3}]]));
        check_on(&document, "$list.x.z", bson!([[3]]));
        check_on(&document, "$list.nope", bson!([]));
        // A number is the name of a field, never a place in an array.
        check_on(&document, "$list.0", bson!([]));
        check_on(&document, "$0", "zero");
        check_on(&doc! {"a": []}, "$a.b", bson!([]));
    }

    #[test]
    fn paths_are_written_right() {
        check_error("$", 16872);
        check_error("$a.", 40353);
        check_error("$$ROOT.", 40353);
        check_error("$.a", 15998);
        check_error("$a..b", 15998);
        check_error("$a.$b", 16410);
        check_error("$a.b\u{0}", 16411);
        check_error(format!("$a{}", ".a".repeat(200)), 15);
        check_on(&doc! {"a": {"$id": 1}}, "$a.$id", 1);
    }

    #[test]
    fn names_of_fields_in_objects_are_plain() {
        check_error(bson!({"a.b": 1}), 16412);
        check_error(bson!({"a": 1, "$b": 1}), 16410);
        check_error(bson!({"": 1}), 15998);
    }
}
