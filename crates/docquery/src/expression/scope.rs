//! The names that an expression may use, while it is parsed.

use crate::{Environment, Error, ErrorCode, Result, limits};

/// The variables that are known where an expression stands.
///
/// Who evaluates an expression under variables of his own tells their names here, and gives their values with the
/// slots in [`Context::with`](super::Context::with):
///
/// ```
/// # use docquery::expression::{Context, Scope};
/// # use docquery::{Arena, Environment, Expression, Value};
/// let environment = Environment::new(0);
/// let outermost = Scope::new(&environment);
/// let (scope, this) = outermost.with(&["this"]);
/// let expression = Expression::parse(Value::String("$$this"), &scope).unwrap();
///
/// let arena = Arena::new();
/// let values = [Value::Int32(5)];
/// let context = Context::new(&arena, Value::Missing);
/// let value = expression.evaluate(context.with(this, &values)).unwrap();
/// assert!(matches!(value, Value::Int32(5)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scope<'s> {
    environment: &'s Environment,
    /// The variables bound innermost; the first has the slot `first`, the next follow it.
    names: &'s [&'s str],
    first: Slot,
    outer: Option<&'s Scope<'s>>,
    /// How many expressions are around this place.
    depth: usize,
}

/// Tells the variables of one expression tree apart: those of inner scopes follow those of the outer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl<'s> Scope<'s> {
    /// The outermost scope: the system's variables, and those of the command's `let`.
    pub fn new(environment: &'s Environment) -> Self {
        Self { environment, names: &[], first: Slot(0), outer: None, depth: 0 }
    }

    /// The scope in which `names`, without dollar signs, stand for variables, and the slot of the first of them.
    /// The next have the slots that follow.
    pub fn with<'b>(&'b self, names: &'b [&'b str]) -> (Scope<'b>, Slot) {
        let first = self.first.after(self.names.len());
        let scope = Scope {
            environment: self.environment,
            names,
            first,
            outer: Some(self),
            depth: self.depth,
        };
        (scope, first)
    }

    /// What the outside gives.
    pub(crate) fn environment(&self) -> &'s Environment {
        self.environment
    }

    /// The variable `name`, if somebody around binds it: of several the innermost.
    pub(super) fn slot(&self, name: &str) -> Option<Slot> {
        let mut scope = Some(self);
        while let Some(Scope { names, first, outer, .. }) = scope {
            if let Some(place) = names.iter().rposition(|known| *known == name) {
                return Some(first.after(place));
            }
            scope = *outer;
        }
        None
    }

    /// The scope one level further inside.
    ///
    /// # Errors
    ///
    /// There are more levels than a document has.
    pub(super) fn deeper(&self) -> Result<Scope<'_>> {
        if self.depth >= limits::EXPRESSION_DEPTH_MAX {
            return Err(Error::new(
                ErrorCode::OVERFLOW,
                format!(
                    "the expression is nested deeper than {} levels",
                    limits::EXPRESSION_DEPTH_MAX
                ),
            ));
        }
        Ok(Scope { depth: self.depth + 1, ..*self })
    }
}

impl Slot {
    /// The slot of variables whose values come later, see [`Environment::declare`]: nothing is ever bound to it.
    pub(super) const LATER: Self = Self(u32::MAX);

    /// The slot that comes `count` after it.
    fn after(self, count: usize) -> Self {
        Self(self.0 + u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// How far it is behind `first`.
    pub(super) fn distance(self, first: Self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(first.0)?).ok()
    }
}
