//! Documents and entries as a reader finds them: what is on the disk, and on top of it what a transaction has changed.

use std::cmp::Ordering;
use std::iter::Peekable;

use bson::RawDocument;

use super::overlay::{Became, Current, Overlay, WHOLE};
use super::{CollectionId, Edge, IndexId, RecordId};
use crate::disk::{self, Direction, DiskError, Snapshot};
use crate::rows::RowKey;

/// The documents of a collection in their natural order, or against it.
pub(crate) enum Documents<'r> {
    Stored(disk::Documents<'r>),
    Merged(Merged<'r, disk::Documents<'r>, (RecordId, Option<&'r RawDocument>)>),
}

/// The entries of an index in the order of their keys, or against it.
pub(crate) enum Entries<'r> {
    Stored(disk::Entries<'r>),
    Merged(Merged<'r, disk::Entries<'r>, (&'r [u8], bool)>),
}

/// A document as a scan comes across it.
pub(crate) enum FoundDocument<'r> {
    Written(RecordId, &'r RawDocument),
    Stored(disk::ScannedDocument<'r>),
}

/// An entry of an index.
pub(crate) enum FoundEntry<'r> {
    Written(&'r [u8]),
    Stored(disk::Entry<'r>),
}

/// Two streams in one order, of which the second replaces what it has in common with the first.
pub(crate) struct Merged<'r, S: Iterator, W> {
    stored: Peekable<S>,
    written: Peekable<Box<dyn Iterator<Item = W> + 'r>>,
    direction: Direction,
}

impl<'r> Documents<'r> {
    pub(super) fn merged(
        stored: disk::Documents<'r>,
        overlay: &'r Overlay,
        collection: CollectionId,
        bounds: (std::ops::Bound<RecordId>, std::ops::Bound<RecordId>),
        direction: Direction,
    ) -> Self {
        let written = overlay.documents_within(collection, bounds);
        Self::Merged(Merged::new(stored, written, direction))
    }
}

impl<'r> Entries<'r> {
    pub(super) fn merged(
        stored: disk::Entries<'r>,
        overlay: &'r Overlay,
        index: IndexId,
        edges: (Edge<'_>, Edge<'_>),
        direction: Direction,
    ) -> Self {
        let written = overlay.entries_within(index, edges);
        Self::Merged(Merged::new(stored, written, direction))
    }
}

/// One document.
pub(super) fn document<'r>(
    rows: &'r Snapshot,
    overlay: &'r Overlay,
    collection: CollectionId,
    record: RecordId,
) -> Result<Option<Current<'r>>, DiskError> {
    match overlay.written(collection, record) {
        Some(Became(now)) => Ok(now.map(|document| Current::Written(record, document))),
        None => Ok(rows.document(collection, record)?.map(Current::Stored)),
    }
}

impl<'r, T, S, W> Merged<'r, S, W>
where
    S: Iterator<Item = Result<T, DiskError>>,
{
    fn new(
        stored: S,
        written: impl DoubleEndedIterator<Item = W> + 'r,
        direction: Direction,
    ) -> Self {
        let written: Box<dyn Iterator<Item = W> + 'r> = match direction {
            Direction::Forward => Box::new(written),
            Direction::Backward => Box::new(written.rev()),
        };
        Self { stored: stored.peekable(), written: written.peekable(), direction }
    }

    /// What comes next. `compare` tells in which order both stand, whatever the direction.
    fn next(
        &mut self,
        compare: impl Fn(&T, &W) -> Ordering,
    ) -> Option<Result<Either<T, W>, DiskError>> {
        let order = match (self.stored.peek(), self.written.peek()) {
            (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
            (Some(Ok(stored)), Some(written)) => match self.direction {
                Direction::Forward => compare(stored, written),
                Direction::Backward => compare(stored, written).reverse(),
            },
        };
        match order {
            Ordering::Less => self.stored.next().map(|stored| stored.map(Either::Stored)),
            Ordering::Equal => {
                self.stored.next();
                self.written.next().map(Either::Written).map(Ok)
            }
            Ordering::Greater => self.written.next().map(Either::Written).map(Ok),
        }
    }
}

enum Either<T, W> {
    Stored(T),
    Written(W),
}

impl<'r> Iterator for Documents<'r> {
    type Item = Result<FoundDocument<'r>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let merged = match self {
            Self::Stored(stored) => return Some(stored.next()?.map(FoundDocument::Stored)),
            Self::Merged(merged) => merged,
        };
        loop {
            let next = merged.next(|stored, (record, _)| stored.record().cmp(record))?;
            match next {
                Ok(Either::Stored(stored)) => return Some(Ok(FoundDocument::Stored(stored))),
                Ok(Either::Written((record, Some(document)))) => {
                    return Some(Ok(FoundDocument::Written(record, document)));
                }
                Ok(Either::Written((_, None))) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<'r> Iterator for Entries<'r> {
    type Item = Result<FoundEntry<'r>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let merged = match self {
            Self::Stored(stored) => return Some(stored.next()?.map(FoundEntry::Stored)),
            Self::Merged(merged) => merged,
        };
        loop {
            let next = merged.next(|stored, (row, _)| stored.row().cmp(row))?;
            match next {
                Ok(Either::Stored(stored)) => return Some(Ok(FoundEntry::Stored(stored))),
                Ok(Either::Written((row, true))) => return Some(Ok(FoundEntry::Written(row))),
                Ok(Either::Written((_, false))) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<'r> FoundDocument<'r> {
    /// Its place in its collection.
    pub(crate) fn record(&self) -> RecordId {
        match self {
            Self::Written(record, _) => *record,
            Self::Stored(document) => document.record(),
        }
    }

    /// Its fields, for whoever wants to know whether it is the one that is looked for.
    pub(crate) fn fields(&self) -> docquery::Document<'_> {
        match self {
            Self::Written(_, document) => (*document).into(),
            Self::Stored(document) => document.fields(),
        }
    }

    /// The document; one that is on the disk has been compared with its checksum now at the latest.
    pub(crate) fn read(self) -> Result<Current<'r>, DiskError> {
        Ok(match self {
            Self::Written(record, document) => Current::Written(record, document),
            Self::Stored(document) => Current::Stored(document.read()?),
        })
    }
}

impl FoundEntry<'_> {
    /// The key, without the index and the record.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Written(row) => RowKey::entry_of(row).expect(WHOLE).1,
            Self::Stored(entry) => entry.key(),
        }
    }

    /// The record that has the key.
    pub(crate) fn record(&self) -> RecordId {
        match self {
            Self::Written(row) => RowKey::entry_of(row).expect(WHOLE).2,
            Self::Stored(entry) => entry.record(),
        }
    }
}
