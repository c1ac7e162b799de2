//! What the change of one document changes besides: computed whole before anything is changed.

use bson::RawDocument;
use docquery::key::Keys;

use super::overlay::{Ground, Overlay};
use super::{Collection, Index, IndexId, RecordId, duplicate};
use crate::error::DocumentError;

/// The entries that come and go with the change of one document.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    /// Entries that come.
    pub(crate) added: Vec<(IndexId, Box<[u8]>)>,
    /// Entries that go.
    pub(crate) removed: Vec<(IndexId, Box<[u8]>)>,
    /// Indexes some of whose fields meet an array for the first time.
    pub(crate) multikey: Vec<(IndexId, u64)>,
    /// What the builders of indexes must look at once more.
    pub(crate) doubts: Vec<(IndexId, Doubt)>,
}

/// What may keep an index that is being built from becoming ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// Two documents had this key.
    Key(Box<[u8]>),
    /// This document had no keys.
    Record(RecordId),
}

impl WriteSet {
    /// What changes when the document of `record` becomes `new`, which was `old`.
    ///
    /// # Errors
    ///
    /// The document may not be so: it would have a key that another has, or keys that cannot be.
    pub(crate) fn new(
        collection: &Collection,
        record: RecordId,
        documents: (Option<&RawDocument>, Option<&RawDocument>),
        overlay: &Overlay,
        ground: &Ground<'_>,
    ) -> Result<Self, DocumentError> {
        let mut set = Self::default();
        for index in collection.indexes() {
            let first = set.added.len();
            set.add(index, record, documents)?;
            set.compare(collection, index, first, (record, documents.1), overlay, ground)?;
        }
        Ok(set)
    }

    /// As [`WriteSet::new`], but not compared with the keys of others yet.
    ///
    /// # Errors
    ///
    /// The document would have keys that cannot be.
    pub(crate) fn unchecked(
        collection: &Collection,
        record: RecordId,
        documents: (Option<&RawDocument>, Option<&RawDocument>),
    ) -> Result<Self, DocumentError> {
        let mut set = Self::default();
        for index in collection.indexes() {
            set.add(index, record, documents)?;
        }
        Ok(set)
    }

    /// Compares the keys that come with those of others.
    ///
    /// # Errors
    ///
    /// The document would have a key that another has.
    pub(crate) fn check(
        &mut self,
        collection: &Collection,
        document: (RecordId, Option<&RawDocument>),
        overlay: &Overlay,
        ground: &Ground<'_>,
    ) -> Result<(), DocumentError> {
        // They stand in the order of the indexes.
        let mut first = 0;
        for index in collection.indexes() {
            first += self.compare(collection, index, first, document, overlay, ground)?;
        }
        Ok(())
    }

    /// Adds what changes in one index.
    fn add(
        &mut self,
        index: &Index,
        record: RecordId,
        (old, new): (Option<&RawDocument>, Option<&RawDocument>),
    ) -> Result<(), DocumentError> {
        let before = keys_before(index, old)?;
        let after = self.keys_after(index, record, new)?;
        if after.multikey & !index.multikey() != 0 {
            self.multikey.push((index.id(), after.multikey));
        }
        let added = difference(&after.keys, &before.keys);
        let removed = difference(&before.keys, &after.keys);
        self.added.extend(added.into_iter().map(|key| (index.id(), key)));
        self.removed.extend(removed.into_iter().map(|key| (index.id(), key)));
        Ok(())
    }

    /// Compares the keys that come into one index, of which the first stands at `first`, with those of others. Answers how
    /// many there are.
    fn compare(
        &mut self,
        collection: &Collection,
        index: &Index,
        first: usize,
        (record, document): (RecordId, Option<&RawDocument>),
        overlay: &Overlay,
        ground: &Ground<'_>,
    ) -> Result<usize, DocumentError> {
        let added = self.added[first..].iter().take_while(|(id, _)| *id == index.id());
        let mut compared = 0;
        for (_, key) in added {
            compared += 1;
            if !(index.is_unique() || index.is_id())
                || overlay.other_with_key(index.id(), key, record, ground)?.is_none()
            {
                continue;
            }
            if index.is_ready() {
                let document = document.expect("a document that is gone has no keys");
                return Err(duplicate::error(collection, index, document, key).into());
            }
            self.doubts.push((index.id(), Doubt::Key(key.clone())));
        }
        Ok(compared)
    }

    fn keys_after(
        &mut self,
        index: &Index,
        record: RecordId,
        new: Option<&RawDocument>,
    ) -> Result<Keys, DocumentError> {
        match new.map(|new| index.keys(new)) {
            None => Ok(Keys::default()),
            Some(Ok(keys)) => Ok(keys),
            // The build of an index fails, and never a write.
            Some(Err(_)) if !index.is_ready() => {
                self.doubts.push((index.id(), Doubt::Record(record)));
                Ok(Keys::default())
            }
            Some(Err(error)) => Err(error.into()),
        }
    }
}

/// The keys that a document has in an index so far.
fn keys_before(index: &Index, old: Option<&RawDocument>) -> Result<Keys, DocumentError> {
    match old.map(|old| index.keys(old)) {
        None => Ok(Keys::default()),
        Some(Ok(keys)) => Ok(keys),
        // It has none in this index, and the builder has been told.
        Some(Err(_)) if !index.is_ready() => Ok(Keys::default()),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Which `keys` are none of `others`. Both are sorted, and have nothing twice.
fn difference(keys: &[Box<[u8]>], others: &[Box<[u8]>]) -> Vec<Box<[u8]>> {
    let mut others = others.iter().peekable();
    let mut left = Vec::new();
    for key in keys {
        while others.next_if(|other| *other < key).is_some() {}
        if others.peek() != Some(&key) {
            left.push(key.clone());
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_difference_of_two_sets_of_keys(keys: BTreeSet<u8>, others: BTreeSet<u8>) {
            let boxed = |set: &BTreeSet<u8>| -> Vec<Box<[u8]>> {
                set.iter().map(|byte| vec![*byte].into()).collect()
            };
            let expected = boxed(&(&keys - &others));
            prop_assert_eq!(difference(&boxed(&keys), &boxed(&others)), expected);
        }
    }
}
