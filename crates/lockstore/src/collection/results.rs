//! What has become of a write.

use std::collections::BTreeMap;

use bson::Bson;

/// What [`insert_one`](crate::Collection::insert_one) gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InsertOneResult {
    /// The `_id` of the document: its own, or the one that was made.
    pub inserted_id: Bson,
}

/// What [`insert_many`](crate::Collection::insert_many) gives.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct InsertManyResult {
    /// The `_id` of each document, by its index among those that were given.
    pub inserted_ids: BTreeMap<usize, Bson>,
}

/// What an update or a replacement gives.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct UpdateResult {
    /// How many documents matched the filter.
    pub matched_count: u64,
    /// How many of them are different now.
    pub modified_count: u64,
    /// The `_id` of the document that was inserted, as nothing matched and `upsert` was set.
    pub upserted_id: Option<Bson>,
}

/// What a deletion gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteResult {
    /// How many documents were deleted.
    pub deleted_count: u64,
}

/// What [`bulk_write`](crate::Collection::bulk_write) gives.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BulkWriteResult {
    /// The `_id` of each document that was inserted, by the index of the write.
    pub inserted_ids: BTreeMap<usize, Bson>,
    /// How many documents matched the filters of updates and replacements.
    pub matched_count: u64,
    /// How many of them are different now.
    pub modified_count: u64,
    /// The `_id` of each document that an update or a replacement inserted, by the index of the write.
    pub upserted_ids: BTreeMap<usize, Bson>,
    /// How many documents were deleted.
    pub deleted_count: u64,
}
