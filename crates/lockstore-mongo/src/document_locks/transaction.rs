//! Transactions in which a document and its side grant change together.

use bson::raw::CStr;
use bson::{RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::remote::serving;
use lockstore::remote::serving::document_locks::Finding;
use lockstore::{DocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::side_grant::Place;
use super::update::Update;
use crate::documents::{Failed, Limit, Tries, abort_in, number};
use crate::failure::{self, Failure};

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is refused, with this reply.
    Refused(RawDocumentBuf),
    /// There is no reply.
    Store(StoreError),
}

impl Ended {
    /// What whoever has asked is told.
    pub(super) fn reply(self) -> Result<RawDocumentBuf, StoreError> {
        match self {
            Self::Refused(reply) => Ok(reply),
            Self::Store(error) => Err(error),
        }
    }

    /// Whether the same would be refused once more.
    pub(super) fn is_refused(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Store(error) => {
                !matches!(error, StoreError::Unreachable { .. } | StoreError::OutcomeUnknown { .. })
            }
        }
    }
}

/// A change of a document and its side grant, in one transaction.
pub(super) trait Change: Send {
    /// What is done.
    type Done: Send;
    /// Why nothing is done.
    type Left: Send;

    /// Makes it, in a transaction that this begins.
    fn attempt(
        &mut self,
        locks: &DocumentLocks,
        session: &mut ClientSession,
    ) -> impl Future<Output = Result<Tried<Self::Done, Self::Left>, Failed>> + Send;

    /// Commits it. What is not known of a commit it finds out, as far as that is to be known.
    fn commit(
        &self,
        locks: &DocumentLocks,
        session: &mut ClientSession,
        limit: Limit,
    ) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// What one try of a transaction has come to.
pub(super) enum Tried<D, L> {
    /// It is done when the transaction is committed.
    Done(D),
    /// There is nothing to be committed.
    Left(L),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl DocumentLocks {
    /// Makes a change, again after conflicts, until it is committed or there is nothing to be committed.
    pub(super) async fn make<C: Change>(
        &self,
        change: C,
        limit: Limit,
    ) -> Result<Tried<C::Done, C::Left>, Ended> {
        let mut session = self.documents.session(limit).await?;
        self.make_in(&mut session, change, limit).await
    }

    /// The same in a session. MongoDB aborts what is open in it when the next transaction there has come with its first statement, and commits none
    /// of those before from then on, however late it is asked to.
    pub(super) async fn make_in<C: Change>(
        &self,
        session: &mut ClientSession,
        mut change: C,
        limit: Limit,
    ) -> Result<Tried<C::Done, C::Left>, Ended> {
        let mut tries = limit.tries();
        loop {
            let failed = match change.attempt(self, session).await {
                Ok(Tried::Done(done)) => match change.commit(self, session, limit).await {
                    Ok(()) => return Ok(Tried::Done(done)),
                    Err(failed) => failed,
                },
                Ok(left) => {
                    abort_in(session).await;
                    return Ok(left);
                }
                Err(failed) => {
                    abort_in(session).await;
                    failed
                }
            };
            self.again(failed, &mut tries).await?;
        }
    }

    /// Takes that a transaction has failed. When this returns, it is time for the next.
    pub(super) async fn again(&self, failed: Failed, tries: &mut Tries) -> Result<(), Ended> {
        if let Some(why) = failed.transient() {
            tracing::debug!(%why, "a document and its lock are looked at again");
            if tries.pause().await {
                return Ok(());
            }
            return Err(Ended::Store(self.documents.unreachable(&why)));
        }
        Err(match failed {
            Failed::Reply(reply) => Ended::Refused(reply),
            Failed::Lost(why) => Ended::Store(self.documents.unreachable(&why)),
            Failed::Store(error) => Ended::Store(error),
        })
    }

    /// The first document that is found, in a transaction.
    pub(super) async fn find_in(
        &self,
        session: &mut ClientSession,
        place: &Place,
        command: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, Failed> {
        let reply = self.documents.run_in(session, &place.database, command).await?;
        Ok(first_of(&reply))
    }

    /// Finds a document, changes it, and gives it as it is then, in a transaction.
    pub(super) async fn modify_in(
        &self,
        session: &mut ClientSession,
        place: &Place,
        command: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, Failed> {
        let reply = self.documents.run_in(session, &place.database, command).await?;
        Ok(reply.get_document("value").ok().map(RawDocument::to_owned))
    }

    /// The first document that is found, as most members have it.
    pub(super) async fn read(
        &self,
        place: &Place,
        command: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, Ended> {
        let reply = self.documents.run(&place.database, command, None).await?;
        if number(&reply, "ok") != Some(1) {
            return Err(Ended::Refused(reply));
        }
        Ok(first_of(&reply))
    }
}

/// What went wrong with a lock within a transaction.
pub(super) fn of_lock(failure: Failure) -> Failed {
    match failure {
        Failure::Conflict => Failed::conflict("a lock has changed"),
        Failure::Unknown(error) | Failure::Unreachable(error) => {
            Failed::Lost(failure::reason(&error))
        }
        Failure::Refused(error) => Failed::Store(crate::failure::elsewhere(&error)),
        Failure::Store(error) => Failed::Store(error),
    }
}

/// What a transaction cannot be committed for.
pub(super) fn refused(error: &DocumentError) -> Failed {
    Failed::Reply(serving::failed(error))
}

/// `find` of the first document.
pub(super) fn find(place: &Place, finding: &Finding) -> RawDocumentBuf {
    let mut command = rawdoc! {
        "find": place.collection.as_str(),
        "filter": finding.filter.clone(),
        "limit": 1,
        "singleBatch": true,
    };
    add_ways(&mut command, finding);
    command
}

/// `findAndModify` of the first document, which gives it as it is then.
pub(super) fn modify(place: &Place, finding: &Finding, update: Update) -> RawDocumentBuf {
    let mut command = rawdoc! {
        "findAndModify": place.collection.as_str(),
        "query": finding.filter.clone(),
        "update": update.update,
        "new": true,
    };
    add(&mut command, cstr!("arrayFilters"), update.array_filters);
    add_ways(&mut command, finding);
    command
}

/// What is found by its `_id`.
pub(super) fn alone(filter: RawDocumentBuf) -> Finding {
    let collation = Some(simple().into());
    Finding { filter, sort: None, hint: None, collation, variables: None }
}

/// The same, and this too.
pub(super) fn narrowed(finding: &Finding, more: &[RawDocumentBuf]) -> Finding {
    let mut all = RawArrayBuf::new();
    all.push(finding.filter.clone());
    for filter in more {
        all.push(filter.clone());
    }
    Finding { filter: rawdoc! { "$and": all }, ..finding.clone() }
}

/// Adds a field to a command, if there is one.
pub(super) fn add(command: &mut RawDocumentBuf, name: &CStr, value: Option<impl Into<RawBson>>) {
    if let Some(value) = value {
        command.append(name, value.into());
    }
}

fn add_ways(command: &mut RawDocumentBuf, finding: &Finding) {
    add(command, cstr!("sort"), finding.sort.clone());
    add(command, cstr!("hint"), finding.hint.clone());
    add(command, cstr!("collation"), finding.collation.clone());
    add(command, cstr!("let"), finding.variables.clone());
}

/// Compares strings by their bytes, whatever the collection does by itself.
pub(super) fn simple() -> RawDocumentBuf {
    let mut simple = RawDocumentBuf::new();
    simple.append(cstr!("locale"), "simple");
    simple
}

/// The first document of a reply that has a batch.
pub(crate) fn first_of(reply: &RawDocument) -> Option<RawDocumentBuf> {
    let batch = reply.get_document("cursor").ok()?.get_array("firstBatch").ok()?;
    batch.into_iter().next()?.ok()?.as_document().map(RawDocument::to_owned)
}
