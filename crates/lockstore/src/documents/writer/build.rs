//! The building of indexes, step by step.
//!
//! An index that is being built stands in the catalogue, and every write maintains it from the moment it is there. The
//! steps add what was there before. Neither refuses a document: where two have one key of a unique index, or a
//! document has no keys that could be, a doubt is noted, and the last step looks whether it still holds. So it is the
//! build that fails, and never a write.

use std::collections::BTreeSet;
use std::sync::Arc;

use docquery::{Error, ErrorCode};

use super::DocumentWriter;
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::{
    BUILD_RECORDS_PER_TASK, BYTES_PER_TASK, BuildStep, Built, DocumentAnswer, Steps,
};
use crate::documents::write_set::Doubt;
use crate::documents::{Collection, CollectionId, Index, IndexId, RecordId, duplicate};
use crate::error::DocumentError;

/// What may keep an index from becoming ready.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// What has to be looked at once more.
    open: BTreeSet<Doubt>,
    /// Whether there were more than [`DOUBTS_MAX`].
    too_many: bool,
}

impl DocumentWriter {
    pub(super) fn build(&mut self, steps: &Steps, ground: &Ground<'_>) -> DocumentAnswer {
        let built = match &steps.step {
            BuildStep::Add { records } => self.add(steps, records, ground),
            BuildStep::Finish => self.finish(steps, ground),
            BuildStep::Abort => {
                self.abandon_build(steps);
                Ok(Built::Aborted)
            }
        };
        match built {
            Ok(built) => DocumentAnswer::Built(built),
            Err(error) => {
                self.abandon_build(steps);
                DocumentAnswer::Failed(error)
            }
        }
    }

    /// Adds documents that were there before the index, as they are now.
    fn add(
        &mut self,
        steps: &Steps,
        records: &[RecordId],
        ground: &Ground<'_>,
    ) -> Result<Built, DocumentError> {
        let (collection, indexes) = self.being_built(steps)?;
        let (mut taken, mut bytes) = (0, 0);
        for record in records {
            if taken >= BUILD_RECORDS_PER_TASK || bytes >= BYTES_PER_TASK {
                break;
            }
            taken += 1;
            let document = self.batch.overlay.document(collection.id(), *record, ground)?;
            let Some(document) = document.map(|document| document.raw().to_owned()) else {
                continue;
            };
            bytes += document.as_bytes().len();
            for index in &indexes {
                let keys = contained(|| Ok(index.keys(&document)?))?;
                for key in &keys.keys {
                    let overlay = &self.batch.overlay;
                    let other = if index.is_unique() {
                        overlay.other_with_key(index.id(), key, *record, ground)?
                    } else {
                        None
                    };
                    if other.is_some() {
                        self.note_doubt(index.id(), Doubt::Key(key.clone()));
                    }
                    self.batch.overlay.put_entry(index.id(), key, *record, true);
                }
                self.note_multikey(collection.id(), index.id(), keys.multikey);
            }
        }
        // Building is long, and others have their share of each batch.
        self.batch.documents += taken;
        Ok(Built::Added { taken })
    }

    /// Makes the indexes ready, if nothing is in doubt any more.
    fn finish(&mut self, steps: &Steps, ground: &Ground<'_>) -> Result<Built, DocumentError> {
        let (collection, indexes) = self.being_built(steps)?;
        for index in &indexes {
            self.settle_doubts(&collection, index, ground)?;
        }
        let mut ready = Arc::clone(&collection);
        for index in &indexes {
            self.doubts.remove(&index.id());
            ready = self.redefine(ready.with_index(index.made_ready()));
        }
        Ok(Built::Ready(ready))
    }

    fn settle_doubts(
        &self,
        collection: &Collection,
        index: &Index,
        ground: &Ground<'_>,
    ) -> Result<(), DocumentError> {
        let Some(doubts) = self.doubts.get(&index.id()) else { return Ok(()) };
        let overlay = &self.batch.overlay;
        for doubt in &doubts.open {
            match doubt {
                Doubt::Key(key) => {
                    let one = overlay.other_with_key(index.id(), key, RecordId::MAX, ground)?;
                    let Some(one) = one else { continue };
                    let two = overlay.other_with_key(index.id(), key, one, ground)?;
                    let Some(two) = two else { continue };
                    let document = overlay.document(collection.id(), two, ground)?;
                    let document = document.ok_or_else(|| entry_without_document(index))?;
                    return Err(duplicate::error(collection, index, document.raw(), key).into());
                }
                Doubt::Record(record) => {
                    if let Some(document) = overlay.document(collection.id(), *record, ground)? {
                        contained(|| Ok(index.keys(document.raw())?))?;
                    }
                }
            }
        }
        if doubts.too_many {
            let message = format!(
                "the index '{}' was not built: while it was, more than {DOUBTS_MAX} documents could not be in it; try again",
                index.name()
            );
            return Err(Error::new(ErrorCode::new(INDEX_BUILD_ABORTED), message).into());
        }
        Ok(())
    }

    /// The indexes of a build that are not ready yet.
    ///
    /// # Errors
    ///
    /// One of them was dropped, or its collection.
    fn being_built(
        &self,
        steps: &Steps,
    ) -> Result<(Arc<Collection>, Vec<Arc<Index>>), DocumentError> {
        let aborted = || {
            let message = "the index build was aborted: an index or its collection was dropped";
            Error::new(ErrorCode::new(INDEX_BUILD_ABORTED), message)
        };
        let collection = self.catalog.collection_with(steps.collection).ok_or_else(aborted)?;
        let mut indexes = Vec::with_capacity(steps.indexes.len());
        for id in &*steps.indexes {
            let index = collection.index_with(*id).ok_or_else(aborted)?;
            // Who else asked for it has finished it.
            if !index.is_ready() {
                indexes.push(Arc::clone(index));
            }
        }
        Ok((Arc::clone(collection), indexes))
    }

    /// Drops what a build has not made ready.
    fn abandon_build(&mut self, steps: &Steps) {
        let Some(collection) = self.catalog.collection_with(steps.collection).cloned() else {
            return;
        };
        let unfinished = collection.indexes().iter().filter(|index| !index.is_ready());
        let ids = unfinished.map(|index| index.id()).filter(|id| steps.indexes.contains(id));
        let ids: Vec<_> = ids.collect();
        self.remove_indexes(&collection, &ids);
    }

    pub(super) fn note_doubt(&mut self, index: IndexId, doubt: Doubt) {
        let doubts = self.doubts.entry(index).or_default();
        if doubts.open.len() < DOUBTS_MAX {
            doubts.open.insert(doubt);
        } else if !doubts.open.contains(&doubt) {
            doubts.too_many = true;
        }
    }

    pub(super) fn note_multikey(
        &mut self,
        collection: CollectionId,
        index: IndexId,
        multikey: u64,
    ) {
        let known = self.catalog.collection_with(collection).expect("its documents were changed");
        let index = known.index_with(index).expect("its entries were changed");
        if multikey & !index.multikey() != 0 {
            let known = known.with_index(index.with_multikey(multikey));
            self.redefine(known);
        }
    }
}

fn entry_without_document(index: &Index) -> DocumentError {
    let message = format!("the index '{}' has an entry of a document that is gone", index.name());
    Error::new(ErrorCode::INTERNAL_ERROR, message).into()
}

/// How many doubts of one index are kept until its build ends.
const DOUBTS_MAX: usize = 1_024;

/// MongoDB's code for a build that somebody else has ended.
const INDEX_BUILD_ABORTED: i32 = 276;
