//! Documents: collections and indexes, how they are read, and how the writer changes them.
//!
//! Reading happens on the caller's thread, on a [`View`](crate::view::View): the [`Catalog`] says which collections
//! and indexes there are, and the snapshot beside it has their documents and entries. Writing is planned on a
//! view too, and then asked of the writer as a [`DocumentTask`].

mod build;
mod calls;
mod catalog;
mod change;
mod check;
mod conflict;
pub(crate) mod contained;
mod deadline;
mod definition;
mod duplicate;
mod edge;
pub(crate) mod execution;
mod history;
mod ids;
mod index;
mod merged;
mod namespace;
mod overlay;
pub(crate) mod plan;
mod reading;
mod scope;
mod scratch;
mod task;
mod trial;
mod write_set;
mod writer;

pub(crate) use calls::{Ask, Attempt};
pub(crate) use catalog::{Catalog, Collection};
pub(crate) use change::{After, Modification};
pub(crate) use check::DocumentCheck;
pub(crate) use deadline::{CursorTime, Deadline};
pub(crate) use definition::Definition;
pub(crate) use edge::{Edge, is_empty};
pub(crate) use ids::{CollectionId, IndexId, RecordId};
pub(crate) use index::{Index, IndexState};
pub(crate) use namespace::{Namespace, TEMPORARY};
pub(crate) use overlay::{Became, Ground, Overlay};
pub(crate) use reading::{Inside, Reading};
pub(crate) use scope::Scope;
pub(crate) use scratch::{DiskUse, ScratchFiles};
pub(crate) use task::{
    Apply, BYTES_PER_TASK, DOCUMENTS_PER_TASK, Defined, DocumentAnswer, DocumentTask, Found,
    Insert, Inserted, Modified, Modify, NewCollection, NewIndexes, Reach, STEPS_PER_TASK, Upsert,
    Write, Writes,
};
pub(crate) use writer::{DocumentWriter, Match};

#[cfg(test)]
mod tests;
