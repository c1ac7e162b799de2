//! What a store did wrong, in words and with the operations that show it.

use std::fmt;

use crate::history::Operation;

/// Why no correct store can have answered like this.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// What was broken.
    pub rule: Rule,
    /// How, in a sentence.
    pub explanation: String,
    /// The operations that contradict each other, by the time of their call.
    pub operations: Vec<Operation>,
}

/// What a correct store never does. Where an answer breaks several rules, the one named is the
/// likeliest: a lock that is granted while a lease on it runs may count as [`Rule::Overlap`] or as
/// [`Rule::EarlyExpiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// One token for two grants.
    TokenReused,
    /// A later grant has a smaller token.
    TokensFall,
    /// A token that was granted to nobody.
    TokenFromNowhere,
    /// Two grants held at a time, and one of them was exclusive.
    Overlap,
    /// A lease ended before the time its holder was promised.
    EarlyExpiry,
    /// A release, renewal or break succeeded on a grant that did not hold.
    NotHolder,
    /// What was read, refused or told had not been true at any time of the operation.
    StaleRead,
    /// A grant that somebody was told of is gone, and nobody ended it.
    LostGrant,
    /// A waiter waited although the lock was free.
    LostWaiter,
    /// A waiter was not answered by its deadline.
    Overdue,
    /// Not the store's fault: the history has an answer that does not belong to its call, or a
    /// return before its call.
    Malformed,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.explanation)?;
        for operation in &self.operations {
            write!(f, "\n  {operation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}
