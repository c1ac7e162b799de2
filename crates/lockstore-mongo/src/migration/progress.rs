//! How far a migration is, for whoever watches it.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;

use super::endpoint::Namespace;
use super::error::MigrationError;
use super::plan::Plan;

/// What a migration is about to do, or has done just now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'s> {
    /// It is known what there is to do. Nothing has been changed.
    Planned {
        /// What there is.
        plan: &'s Plan,
        /// Whether it goes on where an earlier run was ended.
        resumed: bool,
    },
    /// The documents of a collection are copied from here on.
    Copying {
        /// The collection.
        namespace: &'s Namespace,
        /// How many documents were copied by earlier runs.
        already: u64,
    },
    /// So many more are copied.
    Copied {
        /// Documents.
        documents: u64,
    },
    /// The indexes of a collection are made.
    Indexing {
        /// The collection.
        namespace: &'s Namespace,
        /// How many.
        indexes: usize,
    },
    /// Locks are acquired in the target from here on.
    Locking {
        /// How many holders there are.
        locks: u64,
    },
    /// One more lock, or lock of a document, is acquired.
    Locked,
    /// All is compared from here on.
    Comparing {
        /// About how many documents there are, in both directions.
        documents: u64,
    },
    /// So many more are compared.
    Compared {
        /// Documents.
        documents: u64,
    },
}

/// Who is told of each step of a migration, and breaks it to have it end there.
pub type Observer<'o> = dyn FnMut(Step<'_>) -> ControlFlow<()> + 'o;

/// Who watches: told of each step, and asked whether to go on.
pub(super) struct Observed<'o> {
    tell: RefCell<&'o mut Observer<'o>>,
}

impl<'o> Observed<'o> {
    pub(super) fn new(tell: &'o mut Observer<'o>) -> Self {
        Self { tell: RefCell::new(tell) }
    }

    pub(super) fn tell(&self, step: Step<'_>) -> Result<(), MigrationError> {
        match (self.tell.borrow_mut())(step) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MigrationError::Stopped),
        }
    }
}

impl fmt::Debug for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").finish_non_exhaustive()
    }
}
