//! The typed tree of an expression.

use std::collections::HashSet;
use std::fmt;

use super::arguments::Arguments;
use super::context::Context;
use super::field_path::{FieldPath, check_field_name};
use super::fold::Regrouping;
use super::operator::{self, Evaluate};
use super::scope::Scope;
use crate::{Document, Error, ErrorCode, OwnedValue, Result, Value};

/// A part of an expression.
pub(crate) enum Node {
    /// A value that is known.
    Constant(OwnedValue),
    /// `$a.b`, `$$variable.a`.
    Path(FieldPath),
    /// `{a: expression, ...}`
    Document(Box<[(Box<str>, Node)]>),
    /// `[expression, ...]`
    Array(Box<[Node]>),
    /// An operator whose arguments are expressions, and whose value depends on theirs only. One that was not given is
    /// `None`.
    Call {
        /// Its name, with the dollar sign.
        name: &'static str,
        evaluate: Evaluate,
        arguments: Box<[Option<Node>]>,
        regrouping: Regrouping,
    },
    /// An operator with a tree of its own.
    Special(Box<dyn Special>),
}

/// An operator with a tree of its own: one that binds variables, or remembers what it has made of constant arguments.
pub(crate) trait Special: fmt::Debug + Send + Sync {
    /// The value in `context`.
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>>;

    /// Folds the expressions inside, see [`Node::fold`]. Gives the node that takes its place, if there is a simpler one.
    fn fold(&mut self) -> Result<Option<Node>>;
}

impl Node {
    /// Parses an operand: anything that stands where a value is expected.
    pub(crate) fn parse(expression: Value<'_>, scope: &Scope<'_>) -> Result<Self> {
        match expression {
            Value::String(text) if text.starts_with('$') => Self::path(text, scope),
            Value::Document(document) => Self::parse_document(document, &scope.deeper()?),
            Value::Array(array) => {
                let scope = scope.deeper()?;
                let items = array.iter().map(|item| Self::parse(item, &scope));
                Ok(Self::Array(items.collect::<Result<_>>()?))
            }
            constant => Ok(Self::constant_of(constant)),
        }
    }

    /// A constant.
    pub(crate) fn constant_of(value: Value<'_>) -> Self {
        Self::Constant(value.into())
    }

    /// An operator with a tree of its own.
    pub(crate) fn special(special: impl Special + 'static) -> Self {
        Self::Special(Box::new(special))
    }

    /// The arguments of an operator.
    pub(crate) fn arguments_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let arguments = match self {
            Self::Call { arguments, .. } => arguments.iter_mut(),
            _ => [].iter_mut(),
        };
        arguments.flatten()
    }

    /// The argument of an operator at `place`.
    pub(crate) fn argument(&self, place: usize) -> Option<&Self> {
        match self {
            Self::Call { arguments, .. } => arguments.get(place)?.as_ref(),
            _ => None,
        }
    }

    /// The node, and null in its place.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::constant_of(Value::Null))
    }

    fn path(text: &str, scope: &Scope<'_>) -> Result<Self> {
        let path = FieldPath::parse(text, scope)?;
        Ok(Self::Path(path))
    }

    fn parse_document(document: Document<'_>, scope: &Scope<'_>) -> Result<Self> {
        match document.first() {
            Some((name, arguments)) if name.starts_with('$') => {
                if document.len() != 1 {
                    return Err(Error::location(
                        15983,
                        format!(
                            "an object with the operator '{name}' is an expression, and must have exactly \
                             one field"
                        ),
                    ));
                }
                match operator::named(name) {
                    Some((name, operator)) => operator.parse(name, arguments, scope),
                    None => Err(Error::new(
                        ErrorCode::INVALID_PIPELINE_OPERATOR,
                        format!("unrecognized expression '{name}'"),
                    )),
                }
            }
            _ => Self::parse_fields(document, scope),
        }
    }

    fn parse_fields(document: Document<'_>, scope: &Scope<'_>) -> Result<Self> {
        let mut names = HashSet::new();
        let mut fields = Vec::new();
        for (name, value) in document {
            check_field_name(name)?;
            if !names.insert(name) {
                return Err(Error::location(
                    16406,
                    format!("the field '{name}' stands twice in an object expression"),
                ));
            }
            fields.push((name.into(), Self::parse(value, scope)?));
        }
        Ok(Self::Document(fields.into()))
    }

    /// The value in `context`.
    pub(crate) fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        match self {
            Self::Constant(value) => Ok(value.get()),
            Self::Path(path) => path.evaluate(&context),
            Self::Document(fields) => evaluate_document(fields, context),
            Self::Array(items) => evaluate_array(items, context),
            Self::Call { evaluate, arguments, name, .. } => {
                evaluate(Arguments::new(name, arguments, context))
            }
            Self::Special(special) => special.evaluate(context),
        }
    }

    /// Its value, if it is constant.
    pub(crate) fn constant(&self) -> Option<Value<'_>> {
        if let Self::Constant(value) = self { Some(value.get()) } else { None }
    }
}

#[inline(never)]
fn evaluate_document<'a>(
    fields: &'a [(Box<str>, Node)],
    context: Context<'_, 'a>,
) -> Result<Value<'a>> {
    let mut values = Vec::with_capacity(fields.len());
    for (name, node) in fields {
        values.push((&**name, node.evaluate(context)?));
    }
    context.arena.document(&values)
}

#[inline(never)]
fn evaluate_array<'a>(items: &'a [Node], context: Context<'_, 'a>) -> Result<Value<'a>> {
    let mut values = Vec::with_capacity(items.len());
    for node in items {
        values.push(node.evaluate(context)?);
    }
    context.arena.array(&values)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => value.fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Document(fields) => {
                f.debug_map().entries(fields.iter().map(|(name, node)| (name, node))).finish()
            }
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Call { name, arguments, .. } => f.debug_tuple(name).field(arguments).finish(),
            Self::Special(special) => special.fmt(f),
        }
    }
}
