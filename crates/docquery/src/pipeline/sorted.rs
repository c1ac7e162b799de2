//! What is put in order: in memory, and where that is too small in sorted runs that are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use bson::RawDocumentBuf;

use super::Workspace;
use super::scratch::{Room, Run, RunReader};
use super::source::{Documents, Source};
use super::steps::Steps;
use crate::sort::{SortKey, Sorter};
use crate::{Document, Error, ErrorCode, Result};

/// Takes items, which are bytes, with their keys, and gives them in the order of the keys; those with equal keys as they
/// came. It holds as many bytes of keys and items as its workspace allows, and puts the rest into a scratch.
#[derive(Debug)]
pub struct Sorted<'w> {
    /// For whom it is.
    stage: &'static str,
    limit: Option<usize>,
    sorter: Sorter<(usize, Vec<u8>)>,
    bytes: usize,
    bytes_max: usize,
    workspace: &'w dyn Workspace,
    steps: Steps,
    away: Option<(Room, Vec<Run>)>,
}

/// Items in the order of their keys.
pub struct SortedItems(Order);

enum Order {
    InMemory(Box<dyn ExactSizeIterator<Item = Vec<u8>> + Send>),
    Merged(Merge),
}

/// The items of sorted runs.
struct Merge {
    room: Room,
    readers: Vec<RunReader>,
    /// How many are still given at most: each run holds as many as all together.
    left: usize,
    /// The next key of each run. Of equal ones that of the earlier run comes first.
    heads: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
}

impl<'w> Sorted<'w> {
    /// Keeps the first `limit` items; all of them without a limit. `stage` is who an error tells of.
    pub fn new(stage: &'static str, limit: Option<usize>, workspace: &'w dyn Workspace) -> Self {
        let sorter = Sorter::new(limit);
        let bytes_max = workspace.memory_bytes();
        let steps = Steps::default();
        Self { stage, limit, sorter, bytes: 0, bytes_max, workspace, steps, away: None }
    }

    /// Takes an item, which is made only if it is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT`]: there is no room for it in memory, and the workspace has none outside; what a
    /// [`Scratch`](super::Scratch) gives; what [`Workspace::check_for_interrupt`] gives.
    pub fn push(&mut self, key: SortKey, item: impl FnOnce() -> Vec<u8>) -> Result<()> {
        self.steps.take(1, self.workspace)?;
        if !self.sorter.would_keep(&key) {
            return Ok(());
        }
        let item = item();
        let taken = key.bytes() + item.len() + ENTRY_BYTES;
        self.bytes += taken;
        if let Some((given_back, _)) = self.sorter.push(key, (taken, item)) {
            self.bytes -= given_back;
        }
        if self.bytes > self.bytes_max { self.put_away() } else { Ok(()) }
    }

    /// Takes a document, which is copied only if it is kept.
    pub(crate) fn push_document(&mut self, key: SortKey, document: Document<'_>) -> Result<()> {
        self.push(key, || document.to_raw().into_bytes())
    }

    /// Puts what is in memory away as a run.
    fn put_away(&mut self) -> Result<()> {
        if self.away.is_none() {
            self.away = Some((Room::new(self.stage, self.workspace)?, Vec::new()));
        }
        let Some((room, runs)) = &mut self.away else { return Ok(()) };
        let sorter = std::mem::replace(&mut self.sorter, Sorter::new(self.limit));
        self.bytes = 0;
        let mut run = Run::default();
        for (key, (_, item)) in sorter.into_sorted_pairs() {
            run.push(key.as_bytes(), &item, room)?;
        }
        runs.push(run.finish(room)?);
        Ok(())
    }

    /// The items in order.
    ///
    /// # Errors
    ///
    /// As [`Sorted::push`].
    pub fn finish(mut self) -> Result<SortedItems> {
        if self.away.is_some() {
            self.put_away()?;
        }
        let Some((mut room, runs)) = self.away else {
            let items = self.sorter.into_sorted_pairs().map(|(_, (_, item))| item);
            return Ok(SortedItems(Order::InMemory(Box::new(items))));
        };
        let mut readers: Vec<_> = runs.into_iter().map(Run::into_reader).collect();
        let mut heads = BinaryHeap::new();
        for (number, reader) in readers.iter_mut().enumerate() {
            if reader.advance(&mut room)? {
                heads.push(Reverse((reader.key().into(), number)));
            }
        }
        let left = self.limit.unwrap_or(usize::MAX);
        Ok(SortedItems(Order::Merged(Merge { room, readers, left, heads })))
    }

    /// The documents that were taken, in order.
    pub(crate) fn documents(self) -> Result<Documents> {
        Ok(Box::new(self.finish()?))
    }
}

impl SortedItems {
    /// The next item; `None` after the last.
    ///
    /// # Errors
    ///
    /// What was put away cannot be read.
    pub fn next_item(&mut self) -> Result<Option<Vec<u8>>> {
        match &mut self.0 {
            Order::InMemory(items) => Ok(items.next()),
            Order::Merged(merge) => merge.next(),
        }
    }

    /// Whether all were given.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Order::InMemory(items) => items.len() == 0,
            Order::Merged(merge) => merge.left == 0 || merge.heads.is_empty(),
        }
    }
}

impl Source for SortedItems {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        self.next_item()?.map(stored).transpose()
    }
}

impl Merge {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        let Some(Reverse((_, number))) = self.heads.pop() else { return Ok(None) };
        self.left = left;
        let reader = &mut self.readers[number];
        let item = reader.item().to_vec();
        if reader.advance(&mut self.room)? {
            self.heads.push(Reverse((reader.key().into(), number)));
        }
        Ok(Some(item))
    }
}

impl fmt::Debug for SortedItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Order::InMemory(items) => write!(f, "SortedItems({} in memory)", items.len()),
            Order::Merged(merge) => write!(f, "SortedItems({} runs)", merge.readers.len()),
        }
    }
}

/// A document that was put away.
pub(crate) fn stored(bytes: Vec<u8>) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(bytes)
        .map_err(|error| Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()))
}

/// What an item takes besides its bytes and those of its key.
const ENTRY_BYTES: usize = 64;
