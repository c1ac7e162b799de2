//! Where the documents of a pipeline go; and `$out`, which fills a collection with them.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::pipeline::{Database, Documents, Output, Target, all_at_once};
use docquery::{Error, ErrorCode};
use uuid::Uuid;

use super::insert::{InsertRequest, completed};
use super::{Place, new_collection};
use crate::documents::{
    BYTES_PER_TASK, Collection, DOCUMENTS_PER_TASK, Definition, Namespace, TEMPORARY,
};
use crate::error::DocumentError;

/// Documents that are to be inserted together.
#[derive(Debug, Default)]
struct Batch {
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
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
            Output::Merge(merge) => target.merge_all(merge, || {
                // What is written would be read again.
                let own = target.namespace() == self.namespace();
                if own { all_at_once(documents, &**database) } else { Ok(documents) }
            }),
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
        if documents.is_empty() {
            return Ok(());
        }
        place.check_time()?;
        let outcome = place.insert(InsertRequest { documents, ordered: true });
        match outcome.errors.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}
