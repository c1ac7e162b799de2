//! Comparing all documents of two collections.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use bson::{Bson, RawDocument, RawDocumentBuf, doc};
use lockstore::{
    Cursor, DocumentError, LOCK_EXPIRES_AT_KEY, LOCK_KEY, LOCK_TIME_KEY, LOCK_TOKEN_KEY,
};

use super::copying::id_of;
use super::difference::{Difference, How};
use super::document_locks::{bytes, find};
use super::endpoint::{Endpoint, Namespace};
use super::error::{Bound, MigrationError};
use super::expired::is_due;
use super::plan::PlannedCollection;
use super::progress::{Observed, Step};

/// What is done about a document that differs, by its `_id`, and whether more are looked for.
pub(super) type Visit<'v> =
    dyn FnMut(&Bson, Difference) -> Result<ControlFlow<()>, MigrationError> + 'v;

/// A comparison of documents, byte for byte, by their `_id`s, in both directions.
#[derive(Debug)]
pub(super) struct Comparison<'c, 'o> {
    pub(super) source: &'c Endpoint,
    pub(super) target: &'c Endpoint,
    observed: &'c Observed<'o>,
    /// The documents whose locks stay behind.
    left_behind: HashSet<(Namespace, Vec<u8>)>,
}

impl<'c, 'o> Comparison<'c, 'o> {
    pub(super) fn new(
        source: &'c Endpoint,
        target: &'c Endpoint,
        observed: &'c Observed<'o>,
        bound: &[Bound],
    ) -> Self {
        let left_behind = bound.iter().filter_map(|bound| match bound {
            Bound::Document { namespace, id, .. } => Some((namespace.clone(), bytes(id))),
            Bound::Lock { .. } => None,
        });
        Self { source, target, observed, left_behind: left_behind.collect() }
    }

    /// In what the documents of a collection differ.
    pub(super) fn differences(
        &self,
        collection: &PlannedCollection,
    ) -> Result<Vec<Difference>, MigrationError> {
        let mut found = Vec::new();
        self.visit(collection, &mut |_, difference| {
            found.push(difference);
            let has_room = found.len() <= TOLD_MAX;
            Ok(if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        if found.len() > TOLD_MAX {
            found.truncate(TOLD_MAX);
            found.push(Difference::TooMany { namespace: collection.namespace.clone() });
        }
        Ok(found)
    }

    /// Shows all documents of a collection that differ.
    pub(super) fn visit(
        &self,
        collection: &PlannedCollection,
        visit: &mut Visit<'_>,
    ) -> Result<(), MigrationError> {
        if collection.is_view() || self.compare_all(collection, visit)?.is_break() {
            return Ok(());
        }
        self.look_for_more(collection, visit).map(drop)
    }

    /// Compares each document of the source with that of the target.
    fn compare_all(
        &self,
        collection: &PlannedCollection,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, MigrationError> {
        let namespace = &collection.namespace;
        let (documents, copies) =
            (self.source.documents(namespace), self.target.documents(namespace));
        let cursor = documents.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(BATCH).run();
        let mut cursor = cursor.map_err(|error| self.source.failed(error))?;
        loop {
            let (mut batch, mut size) = (Vec::new(), 0);
            while batch.len() < BATCH as usize && size < BATCH_BYTES {
                let Some(document) = cursor.next() else { break };
                let document = document.map_err(|error| self.source.failed(error))?;
                size += document.as_bytes().len();
                batch.push(document);
            }
            if batch.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let ids: Vec<Bson> = batch.iter().map(|document| id_of(document)).collect();
            let there = copies.find(doc! { "_id": { "$in": &ids } });
            let there = by_id(there.batch_size(BATCH).run(), self.target)?;
            for (document, id) in batch.iter().zip(ids) {
                let copy = there.get(&bytes(&id)).map(|copy| &**copy);
                if !self.are_same(namespace, Some(document), copy)
                    && self.look_again(collection, &id, visit)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.observed.tell(Step::Compared { documents: batch.len() as u64 })?;
        }
    }

    /// Looks for documents of the target that are not in the source.
    fn look_for_more(
        &self,
        collection: &PlannedCollection,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, MigrationError> {
        let namespace = &collection.namespace;
        let id_only = doc! { "_id": 1 };
        let (documents, copies) =
            (self.source.documents(namespace), self.target.documents(namespace));
        let cursor =
            copies.find(doc! {}).sort(&id_only).projection(&id_only).batch_size(BATCH).run();
        let mut cursor = cursor.map_err(|error| self.target.failed(error))?;
        loop {
            let batch = cursor.by_ref().take(BATCH as usize).collect::<Result<Vec<_>, _>>();
            let batch = batch.map_err(|error| self.target.failed(error))?;
            if batch.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let ids: Vec<Bson> = batch.iter().map(|document| id_of(document)).collect();
            let there = documents.find(doc! { "_id": { "$in": &ids } });
            let there = there.projection(&id_only).batch_size(BATCH).run();
            let there = by_id(there, self.source)?;
            for id in ids {
                if !there.contains_key(&bytes(&id))
                    && self.look_again(collection, &id, visit)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.observed.tell(Step::Compared { documents: batch.len() as u64 })?;
        }
    }

    /// What two reads, one after the other, have shown to differ may have changed between them.
    fn look_again(
        &self,
        collection: &PlannedCollection,
        id: &Bson,
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, MigrationError> {
        match self.look_at(collection, id)? {
            Some(difference) => visit(id, difference),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn look_at(
        &self,
        collection: &PlannedCollection,
        id: &Bson,
    ) -> Result<Option<Difference>, MigrationError> {
        let PlannedCollection { namespace, indexes, .. } = collection;
        let document = find(self.source, namespace, id)?;
        let copy = find(self.target, namespace, id)?;
        if self.are_same(namespace, document.as_deref(), copy.as_deref()) {
            return Ok(None);
        }
        let how = match (&document, &copy) {
            (Some(there), None) if is_due(self.source, namespace, indexes, there)? => {
                return Ok(None);
            }
            (None, Some(there)) if is_due(self.target, namespace, indexes, there)? => {
                return Ok(None);
            }
            (Some(_), None) => How::Missing,
            (None, _) => How::Extra,
            (Some(_), Some(_)) => How::Changed,
        };
        Ok(Some(Difference::Document { namespace: namespace.clone(), id: id.clone(), how }))
    }

    /// Whether a document is in the target as it is in the source. The grant behind a lock is another there, and so are its token and, by an instant,
    /// its end.
    fn are_same(
        &self,
        namespace: &Namespace,
        document: Option<&RawDocument>,
        copy: Option<&RawDocument>,
    ) -> bool {
        let (Some(document), Some(copy)) = (document, copy) else {
            return document.is_none() && copy.is_none();
        };
        if document.as_bytes() == copy.as_bytes() {
            return true;
        }
        let (is_locked, ends) =
            (locked_by(document).is_some(), [document, copy].map(lease_ends).into_iter().flatten());
        let now = i64::try_from(self.source.store().clock().wall().as_millis()).unwrap_or(i64::MAX);
        let is_over = ends.min().is_some_and(|at| at <= now.saturating_add(SLACK_MS));
        let stays_behind =
            || self.left_behind.contains(&(namespace.clone(), bytes(&id_of(document))));
        if is_over || (is_locked && stays_behind()) {
            return without(document, &OF_LOCKS) == without(copy, &OF_LOCKS);
        }
        is_locked
            && locked_by(document) == locked_by(copy)
            && without(document, &OF_GRANTS) == without(copy, &OF_GRANTS)
    }
}

/// The documents that were found, by the bytes of their `_id`s.
fn by_id(
    found: Result<Cursor<RawDocumentBuf>, DocumentError>,
    endpoint: &Endpoint,
) -> Result<HashMap<Vec<u8>, RawDocumentBuf>, MigrationError> {
    let found = found.map_err(|error| endpoint.failed(error))?;
    let found = found.map(|document| document.map(|it| (bytes(&id_of(&it)), it)));
    found.collect::<Result<_, _>>().map_err(|error| endpoint.failed(error))
}

fn locked_by(document: &RawDocument) -> Option<&str> {
    document.get_str(LOCK_KEY).ok()
}

fn lease_ends(document: &RawDocument) -> Option<i64> {
    document.get_datetime(LOCK_EXPIRES_AT_KEY).ok().map(bson::DateTime::timestamp_millis)
}

/// The other fields.
fn without(document: &RawDocument, fields: &[&str]) -> Option<Vec<u8>> {
    let mut others = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.ok()?;
        if !fields.contains(&name.as_str()) {
            others.append(name, value);
        }
    }
    Some(others.into_bytes())
}

/// What a lock writes into its document.
const OF_LOCKS: [&str; 4] = [LOCK_KEY, LOCK_TIME_KEY, LOCK_EXPIRES_AT_KEY, LOCK_TOKEN_KEY];
/// What of that is the grant's.
const OF_GRANTS: [&str; 2] = [LOCK_EXPIRES_AT_KEY, LOCK_TOKEN_KEY];
/// How long before its end a lease may be over in the other store.
const SLACK_MS: i64 = 2_000;
/// How many documents are compared at once, at most.
const BATCH: u32 = 1_000;
/// How many bytes of documents are compared at once, before the last of them.
const BATCH_BYTES: usize = 4 << 20;
/// How many documents are named that differ, of one collection.
const TOLD_MAX: usize = 100;
