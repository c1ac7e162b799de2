//! The names that an expression may use, while it is parsed.

use crate::Environment;

/// The variables that are known where an expression stands.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'s> {
    environment: &'s Environment,
    /// The innermost variable.
    innermost: Option<&'s Name<'s>>,
}

/// A variable that somebody around the expression binds.
#[derive(Clone, Copy, Debug)]
struct Name<'s> {
    name: &'s str,
    slot: Slot,
    next: Option<&'s Name<'s>>,
}

/// Tells the variables of one expression tree apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl<'s> Scope<'s> {
    /// The outermost scope: the system's variables, and those of the command's `let`.
    pub fn new(environment: &'s Environment) -> Self {
        Self { environment, innermost: None }
    }
}
