//! Commits of transactions: all that one has changed, or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::{Document, ErrorCode};

use super::define::make;
use super::{Becomes, DocumentWriter};
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::{Write, Writes};
use crate::documents::trial::Trial;
use crate::documents::write_set::WriteSet;
use crate::documents::{Collection, CollectionId, RecordId};
use crate::error::DocumentError;

/// A write whose document is about to become `new`. What goes with it has gone already.
struct Staged {
    collection: Arc<Collection>,
    record: RecordId,
    new: Option<RawDocumentBuf>,
    was_there: bool,
    set: WriteSet,
}

impl DocumentWriter {
    /// Does all writes of a transaction, in the batch, or none.
    ///
    /// # Errors
    ///
    /// A conflict: a document is not what it was, or is to have a key that another has got meanwhile; a collection is gone, or
    /// has come. Or there may be no more collections.
    pub(crate) fn commit(
        &mut self,
        writes: Writes,
        ground: &Ground<'_>,
    ) -> Result<(), DocumentError> {
        let mut ids = self.ids;
        let mut made = BTreeMap::new();
        for (id, namespace, new) in writes.collections {
            if self.catalog.collection(namespace.as_str()).is_some() {
                let what = format!("the collection {namespace} has come into being");
                return Err(DocumentError::write_conflict(what));
            }
            let collection = make(&namespace, new, &mut ids, self.catalog.len() + made.len())?;
            made.insert(id, Arc::new(collection));
        }

        // Nothing is changed from here on but the overlay, on trial, until nothing can fail any more.
        let mut overlay = std::mem::take(&mut self.batch.overlay);
        let mut trial = Trial::new(&mut overlay);
        let tried = self.try_out(writes.documents, &made, &mut trial, ground);
        if tried.is_ok() {
            trial.keep();
        } else {
            drop(trial);
        }
        self.batch.overlay = overlay;
        let (written, next_records) = tried?;

        if !made.is_empty() {
            self.ids = ids;
            self.batch.numbered = true;
        }
        for collection in made.into_values() {
            self.redefine(Collection::clone(&collection));
        }
        self.next_records.extend(next_records);
        for (collection, record, becomes, set) in written {
            self.note(collection, record, becomes, set);
        }
        Ok(())
    }

    /// Makes the documents what they are to be, on trial. Gives what is to be noted of it.
    fn try_out(
        &self,
        writes: Vec<(CollectionId, Write)>,
        made: &BTreeMap<CollectionId, Arc<Collection>>,
        trial: &mut Trial<'_>,
        ground: &Ground<'_>,
    ) -> Result<Tried, DocumentError> {
        let mut next_records = BTreeMap::new();
        let mut staged = Vec::with_capacity(writes.len());
        // What goes goes first: a key may pass from one document of the transaction to another.
        for (id, write) in writes {
            let collection = self.catalog.collection_with(id).or_else(|| made.get(&id)).cloned();
            let collection = collection.ok_or_else(|| {
                DocumentError::write_conflict("a collection that it changes was dropped")
            })?;
            let (record, before, new) = match write {
                Write::Insert(document) => {
                    let known = next_records.get(&collection.id()).copied();
                    let record =
                        known.map_or_else(|| self.next_record(collection.id(), ground), Ok)?;
                    next_records.insert(collection.id(), record.next());
                    (record, None, Some(document))
                }
                Write::Change { record, before, after } => {
                    let current = trial.overlay().document(collection.id(), record, ground)?;
                    if current.is_none_or(|current| current.raw() != &*before) {
                        return Err(changed(&collection, &before));
                    }
                    (record, Some(before), after)
                }
            };
            let documents = (before.as_deref(), new.as_deref());
            let set = contained(|| WriteSet::unchecked(&collection, record, documents));
            let set = set.map_err(of_commit)?;
            for (index, key) in &set.removed {
                trial.put_entry(*index, key, record, false);
            }
            staged.push(Staged { collection, record, new, was_there: before.is_some(), set });
        }
        let mut written = Vec::with_capacity(staged.len());
        for Staged { collection, record, new, was_there, mut set } in staged {
            let checked = contained(|| {
                set.check(&collection, (record, new.as_deref()), trial.overlay(), ground)
            });
            checked.map_err(of_commit)?;
            for (index, key) in &set.added {
                trial.put_entry(*index, key, record, true);
            }
            let becomes = Becomes::of(new.as_deref(), was_there);
            trial.put_document(collection.id(), record, new);
            written.push((collection.id(), record, becomes, set));
        }
        Ok((written, next_records))
    }
}

/// What was written, and the records that collections give next.
type Tried = (Vec<(CollectionId, RecordId, Becomes, WriteSet)>, BTreeMap<CollectionId, RecordId>);

fn changed(collection: &Collection, before: &RawDocumentBuf) -> DocumentError {
    let id = Document::from(&**before).get("_id");
    let what = format!("the document with _id {id:?} of {} has changed", collection.namespace());
    DocumentError::write_conflict(what)
}

/// What the transaction has seen for itself would have been an error there. So this has come meanwhile: another's key, or an
/// index.
fn of_commit(error: DocumentError) -> DocumentError {
    match error {
        DocumentError::DuplicateKey(duplicate) => DocumentError::write_conflict(format!(
            "another document has got a key of its own: {duplicate}"
        )),
        DocumentError::Refused(error) if error.code() != ErrorCode::INTERNAL_ERROR => {
            DocumentError::write_conflict(format!("an index has come: {error}"))
        }
        error => error,
    }
}
