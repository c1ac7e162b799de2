//! Where a plan looks for documents.

use std::sync::Arc;

use docquery::key::{Bounds, KeyRanges};

use crate::disk::Direction;
use crate::documents::Index;

/// Where a plan looks for documents.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Nowhere: nothing can match.
    Nothing,
    /// Through the whole collection, in its natural order or against it.
    Collection(Direction),
    /// Through indexes, one after the other; a document that many of them find is taken once.
    Indexes(Vec<IndexScan>),
}

/// A scan of ranges of one index.
#[derive(Clone, Debug)]
pub(crate) struct IndexScan {
    index: Arc<Index>,
    keys: KeyRanges,
    /// One for each field: what `explain` shows, and what `keys` was made of.
    bounds: Vec<Bounds>,
    direction: Direction,
}

impl IndexScan {
    pub(super) fn new(
        index: Arc<Index>,
        keys: KeyRanges,
        bounds: Vec<Bounds>,
        direction: Direction,
    ) -> Self {
        Self { index, keys, bounds, direction }
    }

    /// The index as it was when the plan was made.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The keys that are looked at.
    pub(crate) fn keys(&self) -> &KeyRanges {
        &self.keys
    }

    /// What they are made of: bounds for each field.
    pub(crate) fn bounds(&self) -> &[Bounds] {
        &self.bounds
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether it looks for one `_id`.
    pub(super) fn is_id_lookup(&self) -> bool {
        self.index.is_id() && self.bounds.iter().all(Bounds::is_point)
    }
}
