//! Moving what is in one store to another: a file's locks and documents to a replica set, and back.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use lockstore_mongo::migration::{Endpoint, Migration};
//!
//! let file = Endpoint::file(lockstore_mongo::connect("jobs.redb")?, "jobs.redb");
//! let set = lockstore_mongo::connect("mongodb://a,b,c/?replicaSet=rs0")?;
//! let set = Endpoint::replica_set(set, "a,b,c", "lockstore");
//! Migration::new(file, set).run(&mut |_step| ControlFlow::Continue(()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is copied
//!
//! - **Documents** of all databases that are the user's, or of those that are named, each byte of them; and the collections' options, as far as the
//!   target can have them: what it cannot have is refused before anything is done.
//! - **Indexes** with all their options. Those by which documents expire are made last, when all is compared.
//! - **Locks** that are held: acquired in the target by the same holders, in the same mode, for what is left of their leases, in the order of their
//!   tokens.
//! - **Locks of documents**: in the fields of the documents, as they are. Behind those that lockstore has taken stands a grant in the target, for
//!   what is left of the lease; the holder gets it by locking the document with the same `lock_id` again.
//! - **Tokens** go on above all that the source has given, of whatever lock, also of those that are free.
//!
//! # What is not
//!
//! Locks that end with sessions are of processes that live, and so is a place in a queue: a store that is in use is not migrated,
//! unless these are to be [left behind](Migration::leave_behind). The records of breaks stay where they are, and so does the time since when a lock is
//! held.
//!
//! # What becomes of one that is cut short
//!
//! How far it is stands in the target, in the collection `migrations` of its own database. However it was ended, the next run goes on there, and copies at most one
//! batch of documents once more, under the same `_id`s. Nothing in the target is overwritten that was there before: a collection
//! that has other documents in it is refused.

mod comparing;
mod copying;
mod difference;
mod differences;
mod document_locks;
mod endpoint;
mod error;
mod expired;
mod indexes;
mod journal;
mod locks;
mod plan;
mod progress;
mod repairing;
mod selection;

use bson::{DateTime, Document, rawdoc};
use lockstore::Token;

use comparing::Comparison;
pub use difference::{Difference, How};
pub use endpoint::{Endpoint, Namespace};
pub use error::{Bound, MigrationError};
use indexes::When;
use journal::{Filled, Head, Journal, State};
pub use plan::{Plan, PlannedCollection};
use progress::Observed;
pub use progress::{Observer, Step};
pub use selection::Selection;

/// A migration from one store to another.
#[derive(Clone, Debug)]
pub struct Migration {
    source: Endpoint,
    target: Endpoint,
    selection: Selection,
    leaves_behind: bool,
    again: bool,
}

/// What a migration has come to: all of it is in the target, and was compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Collections.
    pub collections: usize,
    /// Documents.
    pub documents: u64,
    /// Indexes, but for those on `_id`.
    pub indexes: usize,
    /// Holders of locks.
    pub locks: u64,
    /// Locks of documents with a grant behind them.
    pub document_locks: u64,
    /// The lowest token that the target can give from now on.
    pub next_token: Token,
    /// What ends with sessions, and was left behind.
    pub left_behind: Vec<Bound>,
    /// Records of breaks that stay in the source.
    pub breaks: u64,
}

/// What a run has done.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// All that was left to do.
    Migrated(Report),
    /// Nothing: earlier runs have migrated all of it, the last of them at that time.
    Already(DateTime),
}

impl Migration {
    /// Of everything in one store to another.
    pub fn new(source: Endpoint, target: Endpoint) -> Self {
        let selection = Selection::default();
        Self { source, target, selection, leaves_behind: false, again: false }
    }

    /// Of this only. More may follow in later runs; the locks are migrated by the first run that has them.
    #[must_use]
    pub fn only(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// Whether locks that end with sessions, and those who wait, are left behind. By default a source that has any is not migrated.
    #[must_use]
    pub fn leave_behind(mut self, leaves_behind: bool) -> Self {
        self.leaves_behind = leaves_behind;
        self
    }

    /// Whether one that was finished begins anew, in a target that has none of it any more. By default there is nothing left to do.
    #[must_use]
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// What there is to be migrated. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`MigrationError`].
    pub fn plan(source: &Endpoint, selection: &Selection) -> Result<Plan, MigrationError> {
        Plan::of(source, selection)
    }

    /// Migrates what is not migrated yet, and compares all of it. `observe` is told of each step; when it breaks, the migration ends there, and the next
    /// run goes on.
    ///
    /// # Errors
    ///
    /// [`MigrationError`]. What was copied stays.
    pub fn run(&self, observe: &mut Observer<'_>) -> Result<Ended, MigrationError> {
        let observed = Observed::new(observe);
        let journal = self.journal()?;
        let mut head = journal.head()?;
        let mut selection = self.selection.clone();
        if self.again && head.as_ref().is_some_and(|head| head.state == State::Finished) {
            // What is the target's stays that until it is known that this one may begin.
            let plan = Plan::of(&self.source, &selection)?;
            self.check(&plan, &journal.anew(), selection.has_locks())?;
            journal.forget()?;
            head = None;
        }
        // Those that were migrated once may have been released in the target since.
        let had_locks = head.as_ref().is_some_and(|head| head.has_locks);
        if !had_locks && !journal.taken()?.is_empty() {
            // Some are there already: it is not finished before all are.
            selection = selection.with_locks();
        }
        let with_locks = selection.has_locks() && !had_locks;
        let plan = Plan::of(&self.source, &selection)?.without_finished(&journal)?;
        if let Some(Head { state: State::Finished, finished_at: Some(at), .. }) = head
            && !with_locks
            && plan.collections.is_empty()
        {
            return Ok(Ended::Already(at));
        }
        self.check(&plan, &journal, with_locks)?;
        observed.tell(Step::Planned { plan: &plan, resumed: head.is_some() })?;
        for collection in &plan.collections {
            indexes::try_out(&self.target, collection)?;
        }
        let mut head = head.unwrap_or_else(|| Head {
            from: self.source.to_string(),
            state: State::Copying,
            begun_at: DateTime::now(),
            finished_at: None,
            has_locks: false,
        });
        journal.set_head(&head)?;
        let copied = self.copy(&plan, &journal, &observed, with_locks);
        if let Err(MigrationError::Index { .. }) = &copied {
            // What is to be unique may be there twice, as it was copied before and after a change.
            journal.set_differs(&mut head, &plan)?;
        }
        let mut report = copied?;
        let mut found = self.differences(&plan, &journal, &observed, Some(When::Compared))?;
        if with_locks {
            found.extend(locks::differences(&self.source, &self.target, &journal)?);
        }
        if !found.is_empty() {
            journal.set_differs(&mut head, &plan)?;
            return Err(self.differs(found));
        }
        for collection in &plan.collections {
            report.indexes += indexes::create(&self.target, collection, When::Compared)?;
        }
        let found = self.index_differences(&plan, None)?;
        if !found.is_empty() {
            return Err(self.differs(found));
        }
        // Whoever has used the source meanwhile may have got tokens.
        report.next_token = locks::raise_tokens(&self.source, &self.target)?;
        for collection in &plan.collections {
            journal.finish(&collection.namespace)?;
        }
        head.state = State::Finished;
        head.finished_at = Some(DateTime::now());
        head.has_locks |= with_locks;
        journal.set_head(&head)?;
        Ok(Ended::Migrated(report))
    }

    /// Compares what is in the target with what is in the source, and changes nothing: documents in both directions, indexes, and the locks of the
    /// source. That is for when neither was used since.
    ///
    /// # Errors
    ///
    /// [`MigrationError::Differs`], and others.
    pub fn compare(&self, observe: &mut Observer<'_>) -> Result<Plan, MigrationError> {
        let observed = Observed::new(observe);
        let journal = self.journal()?;
        let plan = Plan::of(&self.source, &self.selection)?;
        let mut found = self.differences(&plan, &journal, &observed, None)?;
        if self.selection.has_locks() {
            found.extend(locks::differences(&self.source, &self.target, &journal)?);
        }
        if found.is_empty() { Ok(plan) } else { Err(self.differs(found)) }
    }

    fn journal(&self) -> Result<Journal<'_>, MigrationError> {
        let id =
            |endpoint: &Endpoint| endpoint.store().id().map_err(|error| endpoint.failed(error));
        let (from, to) = (id(&self.source)?, id(&self.target)?);
        if from == to || self.is_same_server() {
            let (from, to) = (self.source.to_string(), self.target.to_string());
            return Err(MigrationError::SameStore { from, to });
        }
        Ok(Journal::new(&self.target, from))
    }

    /// Whether it is one primary that answers for both: two databases of locks may be on one replica set, and the documents are the same then.
    fn is_same_server(&self) -> bool {
        let process = |endpoint: &Endpoint| {
            let hello = endpoint.run("admin", &rawdoc! { "hello": 1 }).ok()?;
            hello.get_document("topologyVersion").ok()?.get_object_id("processId").ok()
        };
        process(&self.source).is_some_and(|source| process(&self.target) == Some(source))
    }

    /// Whether what there is can be migrated.
    fn check(
        &self,
        plan: &Plan,
        journal: &Journal<'_>,
        with_locks: bool,
    ) -> Result<(), MigrationError> {
        if !self.leaves_behind && (!plan.bound.is_empty() || plan.waiters > 0) {
            let (from, waiters) = (self.source.to_string(), plan.waiters);
            return Err(MigrationError::InUse { from, bound: plan.bound.clone(), waiters });
        }
        plan.check(&self.target)?;
        for PlannedCollection { namespace, .. } in &plan.collections {
            if journal.filled(namespace)?.is_none() && self.is_occupied(namespace)? {
                let (to, namespace) = (self.target.to_string(), namespace.clone());
                return Err(MigrationError::Occupied { to, namespace });
            }
        }
        if with_locks { locks::check_free(&self.source, &self.target, journal) } else { Ok(()) }
    }

    /// Whether there are documents in a collection of the target.
    fn is_occupied(&self, namespace: &Namespace) -> Result<bool, MigrationError> {
        let any = self.target.documents(namespace).find_one(Document::new()).run();
        any.map(|document| document.is_some()).map_err(|error| self.target.failed(error))
    }

    /// Copies what is not copied yet, and what was found to differ once more.
    fn copy(
        &self,
        plan: &Plan,
        journal: &Journal<'_>,
        observed: &Observed<'_>,
        with_locks: bool,
    ) -> Result<Report, MigrationError> {
        let Self { source, target, .. } = self;
        let mut report = Report {
            collections: plan.collections.len(),
            documents: 0,
            indexes: 0,
            locks: 0,
            document_locks: 0,
            next_token: Token::FIRST,
            left_behind: plan.bound.clone(),
            breaks: plan.breaks,
        };
        // Before anything is granted there, and before much is copied for nothing.
        report.next_token = locks::raise_tokens(source, target)?;
        for collection in &plan.collections {
            let namespace = &collection.namespace;
            let filled = journal.filled(namespace)?;
            if filled.is_none() {
                journal.set_filled(namespace, &Filled::default())?;
            }
            plan::create(target, collection)?;
            if collection.is_view() {
                journal.set_filled(namespace, &Filled { done: true, ..Filled::default() })?;
            } else {
                let already = filled.map_or(0, |filled| filled.documents.unsigned_abs());
                observed.tell(Step::Copying { namespace, already })?;
                report.documents += copying::copy(source, target, namespace, journal, observed)?;
            }
        }
        let comparison = Comparison::new(source, target, observed, &plan.bound);
        for collection in &plan.collections {
            if journal.filled(&collection.namespace)?.is_some_and(|filled| filled.differs) {
                let documents = collection.documents.saturating_mul(2);
                observed.tell(Step::Comparing { documents })?;
                comparison.repair(collection)?;
            }
        }
        for collection in &plan.collections {
            let (namespace, indexes) = (&collection.namespace, collection.indexes.len());
            if indexes > 0 {
                observed.tell(Step::Indexing { namespace, indexes })?;
                report.indexes += indexes::create(target, collection, When::Full)?;
            }
        }
        if with_locks {
            observed.tell(Step::Locking { locks: plan.locks })?;
            report.locks = locks::copy(source, target, journal, observed)?;
        }
        for collection in plan.collections.iter().filter(|collection| !collection.is_view()) {
            report.document_locks += document_locks::copy(source, target, collection, observed)?;
        }
        Ok(report)
    }
}
