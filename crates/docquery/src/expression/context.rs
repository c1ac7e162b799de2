//! The values that an expression may use, while it is evaluated.

use super::scope::Slot;
use crate::{Arena, Value};

/// The document an expression is evaluated on, and the variables that are bound around it. Values live as long as
/// the arena, `'a`; bindings only while what binds them is evaluated, `'s`.
#[derive(Clone, Copy, Debug)]
pub struct Context<'s, 'a> {
    /// Where computed values go.
    pub arena: &'a Arena,
    /// `$$ROOT`, and `$$CURRENT` where nothing else is bound to it.
    pub root: Value<'a>,
    innermost: Option<&'s Binding<'s, 'a>>,
}

/// A variable that is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding<'s, 'a> {
    pub(crate) slot: Slot,
    pub(crate) value: Value<'a>,
    pub(crate) next: Option<&'s Binding<'s, 'a>>,
}

impl<'a> Context<'_, 'a> {
    /// A context without bindings, on the document `root`.
    pub fn new(arena: &'a Arena, root: Value<'a>) -> Self {
        Self { arena, root, innermost: None }
    }
}
