//! Changes of an overlay that can be taken back.

use bson::RawDocumentBuf;

use super::overlay::{Became, Overlay};
use super::{CollectionId, IndexId, RecordId};
use crate::rows::RowKey;

/// Changes an overlay on trial: unless they are kept, all changes are taken back when it is dropped.
#[derive(Debug)]
pub(super) struct Trial<'o> {
    overlay: &'o mut Overlay,
    /// What was to become of documents and entries before, the first change first.
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Document(CollectionId, RecordId, Option<Became<RawDocumentBuf>>),
    Row(Box<[u8]>, Option<bool>),
}

impl<'o> Trial<'o> {
    pub(super) fn new(overlay: &'o mut Overlay) -> Self {
        Self { overlay, undo: Vec::new() }
    }

    /// Everything as it is with the changes.
    pub(super) fn overlay(&self) -> &Overlay {
        self.overlay
    }

    /// As [`Overlay::put_document`].
    pub(super) fn put_document(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        document: Option<RawDocumentBuf>,
    ) {
        let before = self.overlay.put_document(collection, record, document);
        self.undo.push(Undo::Document(collection, record, before));
    }

    /// As [`Overlay::put_entry`].
    pub(super) fn put_entry(
        &mut self,
        index: IndexId,
        key: &[u8],
        record: RecordId,
        is_there: bool,
    ) {
        let row: Box<[u8]> = RowKey::entry(index, key, record).as_bytes().into();
        let before = self.overlay.put_row(row.clone(), is_there);
        self.undo.push(Undo::Row(row, before));
    }

    /// The changes stay.
    pub(super) fn keep(mut self) {
        self.undo.clear();
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        for undo in self.undo.drain(..).rev() {
            match undo {
                Undo::Document(collection, record, Some(Became(before))) => {
                    self.overlay.put_document(collection, record, before);
                }
                Undo::Document(collection, record, None) => {
                    self.overlay.forget_document(collection, record);
                }
                Undo::Row(row, Some(before)) => {
                    self.overlay.put_row(row, before);
                }
                Undo::Row(row, None) => self.overlay.forget_row(&row),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn what_is_not_kept_leaves_the_overlay_as_it_was() {
        let (collection, index) = (CollectionId::new(1), IndexId::new(1));
        let record = RecordId::new;
        let mut overlay = Overlay::default();
        overlay.put_document(collection, record(1), Some(rawdoc! { "a": 1 }));
        overlay.put_document(collection, record(2), None);
        overlay.put_entry(index, b"k", record(1), true);
        let shown = format!("{overlay:?}");
        let change = |trial: &mut Trial<'_>| {
            trial.put_document(collection, record(1), None);
            trial.put_document(collection, record(1), Some(rawdoc! { "a": 2 }));
            trial.put_document(collection, record(2), Some(rawdoc! { "a": 3 }));
            trial.put_document(collection, record(3), Some(rawdoc! { "a": 4 }));
            trial.put_entry(index, b"k", record(1), false);
            trial.put_entry(index, b"l", record(1), true);
            trial.put_entry(index, b"l", record(1), false);
        };
        let mut trial = Trial::new(&mut overlay);
        change(&mut trial);
        drop(trial);
        assert_eq!(format!("{overlay:?}"), shown);
        let mut trial = Trial::new(&mut overlay);
        change(&mut trial);
        trial.keep();
        assert_eq!(
            overlay.written(collection, record(1)),
            Some(Became(Some(&*rawdoc! { "a": 2 })))
        );
        assert!(overlay.has_removed(RowKey::entry(index, b"k", record(1)).as_bytes()));
    }
}
