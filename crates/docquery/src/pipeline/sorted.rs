//! Documents that are put in order: in memory, and where that is too small in sorted runs that are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bson::RawDocumentBuf;

use super::Database;
use super::scratch::{Room, Run, RunReader};
use super::source::{Documents, Source, ready};
use crate::sort::{SortKey, Sorter};
use crate::{Document, Error, ErrorCode, Result};

/// Takes documents with their keys, and gives them in the order of the keys; those with equal keys as they came.
#[derive(Debug)]
pub(crate) struct Sorted<'d> {
    /// Of which stage it is.
    stage: &'static str,
    limit: Option<usize>,
    sorter: Sorter<(usize, RawDocumentBuf)>,
    bytes: usize,
    bytes_max: usize,
    database: &'d dyn Database,
    away: Option<(Room, Vec<Run>)>,
}

/// The documents of sorted runs.
#[derive(Debug)]
struct Merge {
    room: Room,
    readers: Vec<RunReader>,
    /// The next key of each run. Of equal ones that of the earlier run comes first.
    heads: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
}

impl<'d> Sorted<'d> {
    /// Keeps the first `limit` documents; all of them without a limit.
    pub(crate) fn new(
        stage: &'static str,
        limit: Option<usize>,
        database: &'d dyn Database,
    ) -> Self {
        let sorter = Sorter::new(limit);
        let bytes_max = database.memory_bytes();
        Self { stage, limit, sorter, bytes: 0, bytes_max, database, away: None }
    }

    /// Takes a document. It is copied only if it is kept.
    pub(crate) fn push(&mut self, key: SortKey, document: Document<'_>) -> Result<()> {
        if !self.sorter.would_keep(&key) {
            return Ok(());
        }
        let document = document.to_raw();
        let taken = key.bytes() + document.as_bytes().len() + ENTRY_BYTES;
        self.bytes += taken;
        if let Some((given_back, _)) = self.sorter.push(key, (taken, document)) {
            self.bytes -= given_back;
        }
        if self.bytes > self.bytes_max { self.put_away() } else { Ok(()) }
    }

    /// Puts what is in memory away as a run.
    fn put_away(&mut self) -> Result<()> {
        if self.away.is_none() {
            self.away = Some((Room::new(self.stage, self.database)?, Vec::new()));
        }
        let Some((room, runs)) = &mut self.away else { return Ok(()) };
        let sorter = std::mem::replace(&mut self.sorter, Sorter::new(self.limit));
        self.bytes = 0;
        let mut run = Run::default();
        for (key, (_, document)) in sorter.into_sorted_pairs() {
            run.push(key.as_bytes(), document.as_bytes(), room)?;
        }
        runs.push(run.finish(room)?);
        Ok(())
    }

    /// The documents in order.
    pub(crate) fn finish(mut self) -> Result<Documents> {
        if self.away.is_some() {
            self.put_away()?;
        }
        let Some((mut room, runs)) = self.away else {
            return Ok(ready(self.sorter.into_sorted_pairs().map(|(_, (_, document))| document)));
        };
        let mut readers: Vec<_> = runs.into_iter().map(Run::into_reader).collect();
        let mut heads = BinaryHeap::new();
        for (number, reader) in readers.iter_mut().enumerate() {
            if reader.advance(&mut room)? {
                heads.push(Reverse((reader.key().into(), number)));
            }
        }
        Ok(Box::new(Merge { room, readers, heads }))
    }
}

impl Source for Merge {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        let Some(Reverse((_, number))) = self.heads.pop() else { return Ok(None) };
        let reader = &mut self.readers[number];
        let document = stored(reader.item())?;
        if reader.advance(&mut self.room)? {
            self.heads.push(Reverse((reader.key().into(), number)));
        }
        Ok(Some(document))
    }
}

/// A document that was put away.
pub(crate) fn stored(bytes: &[u8]) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(bytes.to_vec())
        .map_err(|error| Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()))
}

/// What a document takes besides its bytes and those of its key.
const ENTRY_BYTES: usize = 64;
