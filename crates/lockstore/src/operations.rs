//! What can be done with collections: the one implementation behind the typed interface and the commands.
//!
//! An operation is planned and carried out on its caller's thread. It reads on a [`Reading`](crate::documents::Reading), and asks the
//! writer for what it changes.

mod aggregate;
mod break_locks;
mod catalogue;
mod cursor;
mod distinct;
mod find;
mod find_and_modify;
mod index_spec;
mod indexes;
mod insert;
mod locked;
mod merge;
mod modify;
mod output;
mod prepare;
mod remembering;
mod rivals;
mod select;
mod statement;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Environment, Error};
use uuid::Uuid;

pub(crate) use aggregate::{AggregateRequest, Leading};
pub(crate) use catalogue::{collections, databases, drop_database};
pub(crate) use cursor::{AHEAD, Cursor};
pub(crate) use find::FindRequest;
pub(crate) use find_and_modify::FindAndModifyRequest;
pub(crate) use index_spec::{IndexSpec, check_collation, expire_after_seconds};
pub(crate) use indexes::{Dropped, IndexChange, IndexName};
pub(crate) use insert::{InsertOutcome, InsertRequest, completed, id};
pub(crate) use modify::{Change, ModifyOutcome, ModifyRequest};
pub(crate) use rivals::Rivals;
pub(crate) use select::{Candidates, Selector};
pub(crate) use statement::{Held, Statement, Unparsed};

use crate::client_sessions::Numbered;
use crate::documents::{Deadline, Namespace, NewCollection, Scope};
use crate::engine::Engine;
use crate::error::DocumentError;

/// Where and when one operation runs.
#[derive(Debug)]
pub(crate) struct Place<'s> {
    scope: Scope<'s>,
    namespace: Namespace,
    now_ms: i64,
    deadline: Option<Deadline>,
    unacknowledged: bool,
    /// The statement of a write that may come again.
    statement: Option<Numbered<'s>>,
}

impl<'s> Place<'s> {
    /// An operation on a collection, which may take as long as `max_time`.
    pub(crate) fn new(scope: Scope<'s>, namespace: Namespace, max_time: Option<Duration>) -> Self {
        let clock = &scope.engine().clock;
        let now_ms = i64::try_from(clock.wall().as_millis()).unwrap_or(i64::MAX);
        let deadline = max_time.map(|limit| Deadline::new(clock.now().saturating_add(limit)));
        Self { scope, namespace, now_ms, deadline, unacknowledged: false, statement: None }
    }

    /// A part of an operation that began at `now_ms`.
    fn at(scope: Scope<'s>, namespace: Namespace, now_ms: i64, deadline: Option<Deadline>) -> Self {
        Self { scope, namespace, now_ms, deadline, unacknowledged: false, statement: None }
    }

    /// The same, whose caller does not want to be told what was done.
    pub(crate) fn unacknowledged(self) -> Self {
        Self { unacknowledged: true, ..self }
    }

    pub(crate) fn is_unacknowledged(&self) -> bool {
        self.unacknowledged
    }

    /// The time of the operation, in milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(crate) fn engine(&self) -> &'s Arc<Engine> {
        self.scope.engine()
    }

    /// What it reads on, and whom it asks for what it changes.
    pub(crate) fn scope(&self) -> &Scope<'s> {
        &self.scope
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A timestamp of this moment, greater than all that were given before.
    pub(crate) fn timestamp(&self) -> u64 {
        let now = u64::try_from(self.now_ms / 1_000).unwrap_or(0) << 32 | 1;
        let rise = |last: u64| Some(now.max(last + 1));
        let timestamps = &self.engine().timestamps;
        let last = timestamps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rise);
        now.max(last.unwrap_or(0) + 1)
    }

    /// The time and the variables of the operation.
    pub(crate) fn environment(
        &self,
        variables: Option<&RawDocumentBuf>,
    ) -> Result<Environment, Error> {
        let environment = Environment::new(self.now_ms).with_random(&self.engine().random);
        match variables {
            Some(variables) => environment.with_let(variables),
            None => Ok(environment),
        }
    }

    /// Checks that there is time left.
    pub(crate) fn check_time(&self) -> Result<(), DocumentError> {
        match &self.deadline {
            Some(deadline) => Ok(deadline.check(self.engine().clock.now())?),
            None => Ok(()),
        }
    }

    /// The same operation in another collection.
    fn neighbour(&self, namespace: Namespace) -> Self {
        let (scope, deadline) = (self.scope.clone(), self.deadline.clone());
        Self { scope, namespace, deadline, ..*self }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline.clone()
    }

    fn rivals(&self) -> &'s Rivals {
        &self.engine().rivals
    }
}

/// What a collection that an operation creates is made with.
fn new_collection() -> NewCollection {
    NewCollection { uuid: Uuid::new_v4().into_bytes(), options: RawDocumentBuf::new() }
}

/// The raw document that was given: what an operation is asked for is raw throughout.
pub(crate) fn raw(document: Document<'_>) -> &RawDocument {
    let bytes = document.raw_bytes().expect("what is given is raw");
    RawDocument::from_bytes(bytes).expect("what is given has passed a check")
}
