//! `$merge`: each document of a pipeline goes to the one that it belongs to.
//!
//! As many as one task of the writer takes go together, with one commit: those that belong to none are inserted, and what becomes
//! of the others is worked out on one reading, and done where they are still the same. A document for which that has come to
//! nothing, since others write too, is merged once more, alone.

use std::collections::HashSet;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::pipeline::{Documents, Matched, Merge, WhenNotMatched};
use docquery::{Document, Error, ErrorCode, Update};

use super::Place;
use super::insert::{InsertRequest, completed};
use super::modify::{Change, ModifyRequest};
use super::select::{Candidates, Selector};
use crate::documents::plan::Query;
use crate::documents::{
    Apply, Ask, Attempt, BYTES_PER_TASK, CollectionId, DOCUMENTS_PER_TASK, Index, Modification,
    RecordId,
};
use crate::error::DocumentError;

/// Documents that are merged together.
#[derive(Debug, Default)]
struct Batch {
    inserts: Vec<RawDocumentBuf>,
    updates: Vec<Planned>,
    bytes: usize,
    /// What tells to which document each belongs.
    keys: HashSet<Vec<u8>>,
}

/// What is done with a document.
#[derive(Debug)]
enum Decision {
    Nothing,
    Insert,
    Update(Box<Planned>),
}

/// A document and the one that it belongs to.
#[derive(Debug)]
struct Planned {
    document: RawDocumentBuf,
    selector: Selector,
    update: Arc<Update>,
    query: Query,
    collection: CollectionId,
    record: RecordId,
}

/// Merges the documents of one pipeline.
#[derive(Debug)]
struct Merging<'p, 's> {
    place: &'p Place<'s>,
    merge: &'p Merge,
    /// Whether the order of insertions and updates counts: another unique index may refuse what comes first or last.
    keeps_order: bool,
    batch: Batch,
    /// The first error of those that are merged at this time.
    failed: Option<DocumentError>,
}

impl Place<'_> {
    /// Merges what `source` gives, so many at a time: an error of one does not keep the others of its time from being merged.
    pub(super) fn merge_all(
        &self,
        merge: &Merge,
        source: impl FnOnce() -> docquery::Result<Documents>,
    ) -> Result<(), DocumentError> {
        let mut merging = Merging {
            place: self,
            merge,
            keeps_order: self.check_fields(merge)?,
            batch: Batch::default(),
            failed: None,
        };
        let mut documents = source()?;
        loop {
            let (mut count, mut bytes) = (0, 0);
            while count < MERGED_TOGETHER && bytes < BYTES_PER_TASK {
                let Some(document) = documents.next()? else { break };
                self.check_time()?;
                count += 1;
                bytes += document.as_bytes().len();
                let added = merging.add(&document);
                merging.note(added)?;
            }
            merging.write()?;
            match merging.failed {
                Some(error) => return Err(error),
                None if count == 0 => return Ok(()),
                None => {}
            }
        }
    }

    /// Checks that a unique index tells which document each belongs to. Answers whether there are others that are unique.
    fn check_fields(&self, merge: &Merge) -> Result<bool, DocumentError> {
        let tells = |index: &Index| {
            let key = Document::from(index.key());
            index.is_ready()
                && index.is_unique()
                && index.partial_filter().is_none()
                && key.len() == merge.on().len()
                && merge.on().all(|field| !key.get(field).is_missing())
        };
        let is_id = merge.on().eq(["_id"]);
        let collection = self.collection()?;
        let indexes = || collection.iter().flat_map(|collection| collection.indexes());
        if is_id || indexes().any(|index| tells(index)) {
            return Ok(indexes().any(|index| index.is_unique() && !tells(index)));
        }
        let message = "Cannot find index to verify that join fields will be unique";
        Err(Error::location(51183, message).into())
    }

    /// What is to be done with `document`, as things are now.
    fn decide(&self, merge: &Merge, document: &RawDocument) -> Result<Decision, DocumentError> {
        if let Some(filter) = merge.filter(Document::from(document))? {
            let selector = Selector::about(filter);
            let query = self.query(&selector)?;
            let Candidates { collection, records, error, .. } = self.candidates(&query, Some(1))?;
            if let Some(error) = error {
                return Err(error);
            }
            if let (Some(collection), Some(&record)) = (collection, records.first()) {
                return match merge.matched(Document::from(document))? {
                    Matched::Keep => Ok(Decision::Nothing),
                    Matched::Fail => {
                        let message = "$merge with whenMatched: fail found an existing document with the same values for the 'on' field(s)";
                        Err(Error::new(ErrorCode::DUPLICATE_KEY, message).into())
                    }
                    Matched::Update(update) => {
                        let (update, document) = (Arc::from(update), document.to_owned());
                        Ok(Decision::Update(Box::new(Planned {
                            document,
                            selector,
                            update,
                            query,
                            collection,
                            record,
                        })))
                    }
                };
            }
        }
        match merge.not_matched() {
            WhenNotMatched::Insert => Ok(Decision::Insert),
            WhenNotMatched::Discard => Ok(Decision::Nothing),
            WhenNotMatched::Fail => {
                let message = "$merge could not find a matching document in the target collection for at least one document";
                Err(Error::location(13113, message).into())
            }
        }
    }

    /// Merges one document alone: what has changed meanwhile is looked at anew.
    fn merge_alone(&self, merge: &Merge, document: &RawDocument) -> Result<(), DocumentError> {
        loop {
            self.check_time()?;
            match self.decide(merge, document)? {
                Decision::Nothing => return Ok(()),
                Decision::Insert => {
                    let documents = vec![completed(document, || self.timestamp())?];
                    let outcome = self.insert(InsertRequest { documents, ordered: true });
                    return outcome
                        .errors
                        .into_iter()
                        .next()
                        .map_or(Ok(()), |(_, error)| Err(error));
                }
                Decision::Update(planned) => {
                    let Planned { selector, update, .. } = *planned;
                    let change = Change::Update { update, upsert: false };
                    let outcome = self.modify(&ModifyRequest { selector, change, many: false })?;
                    match outcome.error {
                        Some(error) => return Err(error),
                        None if outcome.matched > 0 => return Ok(()),
                        // It is gone.
                        None => {}
                    }
                }
            }
        }
    }
}

impl Merging<'_, '_> {
    /// Adds a document to those that are merged together, once it is clear what is done with it.
    fn add(&mut self, document: &RawDocument) -> Result<(), DocumentError> {
        let key = self.merge.key(Document::from(document));
        if key.as_ref().is_some_and(|key| self.batch.keys.contains(key)) {
            // Of two that belong to the same, the first stands in the batch.
            self.write()?;
        }
        match self.place.decide(self.merge, document)? {
            Decision::Nothing => return Ok(()),
            Decision::Insert => {
                if self.keeps_order && !self.batch.updates.is_empty() {
                    self.write()?;
                }
                let document = completed(document, || self.place.timestamp())?;
                self.batch.inserts.push(document);
            }
            Decision::Update(planned) => {
                if self.keeps_order && !self.batch.inserts.is_empty() {
                    self.write()?;
                }
                self.batch.updates.push(*planned);
            }
        }
        self.batch.keys.extend(key);
        self.batch.bytes += document.as_bytes().len();
        if self.batch.is_full() { self.write() } else { Ok(()) }
    }

    /// Keeps the first error, unless it is one of the store.
    fn note(&mut self, result: Result<(), DocumentError>) -> Result<(), DocumentError> {
        match result {
            Err(error @ DocumentError::Store(_)) => Err(error),
            Err(error) => {
                self.failed.get_or_insert(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn write(&mut self) -> Result<(), DocumentError> {
        let Batch { inserts, updates, .. } = std::mem::take(&mut self.batch);
        self.insert(&inserts)?;
        self.update(&updates)
    }

    fn insert(&mut self, documents: &[RawDocumentBuf]) -> Result<(), DocumentError> {
        if documents.is_empty() {
            return Ok(());
        }
        self.place.check_time()?;
        let request = InsertRequest { documents: documents.to_vec(), ordered: false };
        for (index, error) in self.place.insert(request).errors {
            let result = if error.code() == ErrorCode::DUPLICATE_KEY {
                // Somebody has inserted the one that it belongs to, maybe.
                self.place.merge_alone(self.merge, &documents[index])
            } else {
                Err(error)
            };
            self.note(result)?;
        }
        Ok(())
    }

    /// Makes the updates by as few tasks as it takes.
    fn update(&mut self, planned: &[Planned]) -> Result<(), DocumentError> {
        let mut rest = planned;
        while let Some(first) = rest.first() {
            let (place, collection) = (self.place, first.collection);
            let prepared = place.prepare(rest, |reading, one| {
                let change = Modification::Update(Arc::clone(&one.update));
                let worked_out =
                    place.worked_out(&one.query, &change, reading, collection, one.record)?;
                Ok(worked_out.map(|(_, after)| (one.record, after)))
            });
            let mut settled: HashSet<RecordId> =
                prepared.changes.iter().map(|(record, _)| *record).collect();
            let (looked_at, others) = rest.split_at(prepared.looked_at);
            rest = others;
            if let Some(error) = prepared.error {
                rest = rest.get(1..).unwrap_or_default();
                self.note(Err(error))?;
            }
            let records: Vec<_> = prepared.changes.iter().map(|(record, _)| *record).collect();
            let apply = Apply { collection, seen: prepared.seen, changes: prepared.changes };
            match place.scope().apply(apply)? {
                Attempt::Again => settled.clear(),
                Attempt::Done(done) => {
                    let mut untaken = &records[done.taken..];
                    if let Some(error) = done.error {
                        untaken = untaken.get(1..).unwrap_or_default();
                        self.note(Err(error))?;
                    }
                    for record in untaken.iter().chain(&done.left) {
                        settled.remove(record);
                    }
                }
            }
            for one in looked_at.iter().filter(|one| !settled.contains(&one.record)) {
                let result = place.merge_alone(self.merge, &one.document);
                self.note(result)?;
            }
        }
        Ok(())
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.inserts.len() + self.updates.len() >= DOCUMENTS_PER_TASK
            || self.bytes >= BYTES_PER_TASK
    }
}

/// How many documents are merged before an error of one of them ends it.
const MERGED_TOGETHER: usize = 1_000;
