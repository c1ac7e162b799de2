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
    innermost: Option<Binding<'s, 'a>>,
}

/// Variables that are bound: those of the slot `first` and the next.
#[derive(Clone, Copy, Debug)]
struct Binding<'s, 'a> {
    first: Slot,
    values: &'s [Value<'a>],
    outer: Option<&'s Binding<'s, 'a>>,
}

impl<'a> Context<'_, 'a> {
    /// A context without bindings, on the document `root`.
    pub fn new(arena: &'a Arena, root: Value<'a>) -> Self {
        Self { arena, root, innermost: None }
    }

    /// The context in which the variable in the slot `first` has the first of `values`, the next the second, and so on.
    pub fn with<'b>(&'b self, first: Slot, values: &'b [Value<'a>]) -> Context<'b, 'a> {
        let binding = Binding { first, values, outer: self.innermost.as_ref() };
        Context { arena: self.arena, root: self.root, innermost: Some(binding) }
    }

    /// The value of the variable in `slot`; `Missing` where nothing is bound to it.
    pub(super) fn variable(&self, slot: Slot) -> Value<'a> {
        let mut binding = self.innermost.as_ref();
        while let Some(Binding { first, values, outer }) = binding {
            let place = slot.distance(*first);
            if let Some(value) = place.and_then(|place| values.get(place)) {
                return *value;
            }
            binding = *outer;
        }
        Value::Missing
    }
}
