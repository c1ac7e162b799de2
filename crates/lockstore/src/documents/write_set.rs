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
        (old, new): (Option<&RawDocument>, Option<&RawDocument>),
        overlay: &Overlay,
        ground: &Ground<'_>,
    ) -> Result<Self, DocumentError> {
        let mut set = Self::default();
        for index in collection.indexes() {
            let before = keys_before(index, old)?;
            let after = set.keys_after(index, record, new)?;
            let added = difference(&after.keys, &before.keys);
            if index.is_unique() || index.is_id() {
                for key in &added {
                    if overlay.other_with_key(index.id(), key, record, ground)?.is_none() {
                        continue;
                    }
                    if index.is_ready() {
                        let document = new.expect("a document that is gone has no keys");
                        return Err(duplicate::error(collection, index, document, key).into());
                    }
                    set.doubts.push((index.id(), Doubt::Key(key.clone())));
                }
            }
            let removed = difference(&before.keys, &after.keys);
            if after.multikey & !index.multikey() != 0 {
                set.multikey.push((index.id(), after.multikey));
            }
            set.added.extend(added.into_iter().map(|key| (index.id(), key)));
            set.removed.extend(removed.into_iter().map(|key| (index.id(), key)));
        }
        Ok(set)
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
