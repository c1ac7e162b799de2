//! `$out` and `$merge`: the documents of a pipeline are written.

use std::collections::HashSet;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::pipeline::{
    Database, Documents, Matched, Merge, Output, Target, WhenNotMatched, all_at_once,
};
use docquery::{Document, Error, ErrorCode};
use uuid::Uuid;

use super::insert::{InsertRequest, completed};
use super::modify::{Change, ModifyRequest};
use super::select::Selector;
use super::{Place, new_collection};
use crate::documents::{
    BYTES_PER_TASK, Collection, DOCUMENTS_PER_TASK, Definition, Index, Namespace, TEMPORARY,
};
use crate::error::DocumentError;

/// Documents that are to be inserted together.
#[derive(Debug, Default)]
struct Batch {
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
    /// What tells to which document each belongs.
    keys: HashSet<Vec<u8>>,
    /// Whether those behind one that cannot be inserted are inserted all the same.
    unordered: bool,
}

impl Place<'_> {
    /// Writes what comes out of a pipeline.
    pub(super) fn write_output(
        &self,
        output: &Output,
        documents: Documents,
        database: &Arc<dyn Database>,
    ) -> Result<(), DocumentError> {
        let target = self.target(output.target())?;
        match output {
            Output::Replace(_) => target.replace_all(documents),
            Output::Merge(merge) => {
                target.check_fields(merge)?;
                // What is written would be read again.
                let own = target.namespace() == self.namespace();
                let documents = if own { all_at_once(documents, &**database)? } else { documents };
                target.merge_all(merge, documents)
            }
        }
    }

    /// The collection that is written.
    fn target(&self, target: &Target) -> Result<Place<'_>, DocumentError> {
        let database = target.database.as_deref().unwrap_or(self.namespace().database());
        let namespace = Namespace::new(database, &target.collection);
        let namespace =
            namespace.map_err(|error| Error::new(ErrorCode::ILLEGAL_OPERATION, error.message()))?;
        Ok(self.neighbour(namespace))
    }

    /// Puts `documents` into the place of all that is in the collection, in one commit: they are collected in another
    /// collection, which takes over the name. The indexes are made anew.
    fn replace_all(&self, documents: Documents) -> Result<(), DocumentError> {
        let name = format!("{TEMPORARY}{}", Uuid::new_v4());
        let namespace = Namespace::new(self.namespace().database(), &name)?;
        let temporary = self.neighbour(namespace.clone());
        let filled = temporary.fill(self.collection()?.as_deref(), documents);
        let renamed = filled.and_then(|()| {
            let to = self.namespace().clone();
            self.define(Definition::RenameCollection { from: namespace, to, drop_target: true })
        });
        if renamed.is_err() {
            // It is gone at the next opening at the latest.
            let _ = temporary.drop_collection();
        }
        renamed.map(drop)
    }

    /// Makes the collection like another, and inserts `documents`.
    fn fill(
        &self,
        like: Option<&Collection>,
        mut documents: Documents,
    ) -> Result<(), DocumentError> {
        self.create(like.map(|like| like.options().to_owned()).unwrap_or_default())?;
        let indexes = like.into_iter().flat_map(Collection::indexes).filter(|index| !index.is_id());
        let specs: Vec<_> = indexes.map(|index| index.spec().to_owned()).collect();
        if !specs.is_empty() {
            let (namespace, create) = (self.namespace().clone(), Some(new_collection()));
            self.define(Definition::CreateIndexes { namespace, create, specs })?;
        }
        let mut batch = Batch::default();
        while let Some(document) = documents.next()? {
            batch.push(&document, self)?;
        }
        batch.write(self)
    }

    /// Checks that a unique index tells which document each belongs to.
    fn check_fields(&self, merge: &Merge) -> Result<(), DocumentError> {
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
        let mut indexes = collection.iter().flat_map(|collection| collection.indexes());
        if is_id || indexes.any(|index| tells(index)) {
            return Ok(());
        }
        let message = "Cannot find index to verify that join fields will be unique";
        Err(Error::location(51183, message).into())
    }

    /// Merges documents, so many at a time: an error of one does not keep the others of its time from being merged.
    fn merge_all(&self, merge: &Merge, mut documents: Documents) -> Result<(), DocumentError> {
        loop {
            let (mut together, mut bytes) = (Vec::new(), 0);
            while together.len() < MERGED_TOGETHER && bytes < BYTES_PER_TASK {
                let Some(document) = documents.next()? else { break };
                bytes += document.as_bytes().len();
                together.push(document);
            }
            if together.is_empty() {
                return Ok(());
            }
            let mut failed = None;
            let mut note = |result: Result<(), DocumentError>| match result {
                Err(error @ DocumentError::Store(_)) => Err(error),
                Err(error) => {
                    failed.get_or_insert(error);
                    Ok(())
                }
                Ok(()) => Ok(()),
            };
            let mut batch = Batch { unordered: true, ..Batch::default() };
            for document in together {
                self.check_time()?;
                note(self.merge_one(merge, &document, &mut batch))?;
            }
            note(batch.write(self))?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Gives `document` to the one that it belongs to. Those that belong to none are inserted together, before the next
    /// that belongs to one.
    fn merge_one(
        &self,
        merge: &Merge,
        document: &RawDocument,
        batch: &mut Batch,
    ) -> Result<(), DocumentError> {
        let filter = merge.filter(Document::from(document))?;
        let filter = filter.map(Selector::about);
        let is_there = match &filter {
            // Of two that belong to the same, the first may stand in the batch.
            Some(selector) => {
                if !batch.keys.insert(merge.key(Document::from(document))) {
                    batch.write(self)?;
                }
                self.is_there(selector)?
            }
            None => false,
        };
        let Some(selector) = filter.filter(|_| is_there) else {
            return match merge.not_matched() {
                WhenNotMatched::Insert => batch.push(document, self),
                WhenNotMatched::Discard => Ok(()),
                WhenNotMatched::Fail => {
                    let message = "$merge could not find a matching document in the target collection for at least one document";
                    Err(Error::location(13113, message).into())
                }
            };
        };
        batch.write(self)?;
        match merge.matched(Document::from(document))? {
            Matched::Keep => Ok(()),
            Matched::Fail => {
                let message = "$merge with whenMatched: fail found an existing document with the same values for the 'on' field(s)";
                Err(Error::new(ErrorCode::DUPLICATE_KEY, message).into())
            }
            Matched::Update(update) => {
                let change = Change::Update { update: Arc::from(update), upsert: false };
                let outcome = self.modify(&ModifyRequest { selector, change, many: false })?;
                match outcome.error {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            }
        }
    }

    fn is_there(&self, selector: &Selector) -> Result<bool, DocumentError> {
        let query = self.query(selector)?;
        Ok(!self.candidates(&query, Some(1))?.records.is_empty())
    }
}

impl Batch {
    /// Adds a document; writes them all if they are many.
    fn push(&mut self, document: &RawDocument, place: &Place<'_>) -> Result<(), DocumentError> {
        let document = completed(document, || place.timestamp())?;
        self.bytes += document.as_bytes().len();
        self.documents.push(document);
        let is_full = self.documents.len() >= DOCUMENTS_PER_TASK || self.bytes >= BYTES_PER_TASK;
        if is_full { self.write(place) } else { Ok(()) }
    }

    fn write(&mut self, place: &Place<'_>) -> Result<(), DocumentError> {
        let documents = std::mem::take(&mut self.documents);
        self.bytes = 0;
        self.keys.clear();
        if documents.is_empty() {
            return Ok(());
        }
        place.check_time()?;
        let outcome = place.insert(InsertRequest { documents, ordered: !self.unordered });
        match outcome.errors.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

/// How many documents are merged before an error of one of them ends it.
const MERGED_TOGETHER: usize = 1_000;
