//! The records of collections: what they are called, how they were made, and their indexes.

use bincode::{Decode, Encode};

use super::{Record, bounded};
use crate::codec::CodecError;
use crate::rows::TableId;

/// Meta `ids`: ids of collections and indexes are given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct IdsRecordV1 {
    /// The id of the next collection: no row has this one or a higher one.
    pub(crate) next_collection: u32,
    /// The id of the next index: no row has this one or a higher one.
    pub(crate) next_index: u32,
}

/// Collections: one collection and its indexes. Its id is the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CollectionRecordV1 {
    /// The database that it belongs to.
    pub(crate) database: String,
    /// Its name in the database.
    pub(crate) name: String,
    /// Tells it from all other collections of that name, before and after.
    pub(crate) uuid: [u8; 16],
    /// Whether it was dropped, and is here only until its rows are gone.
    pub(crate) dropped: bool,
    /// What it was created with, in BSON.
    pub(crate) options: Vec<u8>,
    /// Its indexes, in the order in which they are listed.
    pub(crate) indexes: Vec<IndexRecordV1>,
    /// Indexes that were dropped, and are here only until their rows are gone.
    pub(crate) dropped_indexes: Vec<u32>,
}

/// Part of [`CollectionRecordV1`]: one index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct IndexRecordV1 {
    /// Its id.
    pub(crate) id: u32,
    /// Its specification as it is listed, in BSON.
    pub(crate) spec: Vec<u8>,
    /// Whether it is complete; one that is not is dropped at the next opening.
    pub(crate) ready: bool,
    /// Which of its fields have ever met an array: one bit for each, the first lowest.
    pub(crate) multikey: u64,
}

impl Default for IdsRecordV1 {
    fn default() -> Self {
        Self { next_collection: 1, next_index: 1 }
    }
}

impl Record for IdsRecordV1 {
    const WHAT: &'static str = "ids record";
    const TABLE: TableId = TableId::Meta;

    fn check(&self) -> Result<(), CodecError> {
        let next = self.next_collection.min(self.next_index);
        bounded("next id", next > 0, next, "at least 1")
    }
}

impl Record for CollectionRecordV1 {
    const WHAT: &'static str = "collection";
    const TABLE: TableId = TableId::Collections;
}
