//! An index, as it is asked for and as it is listed.

use std::time::Duration;

use bson::{Bson, Document, RawDocument, doc};

use super::given::read;
use crate::error::DocumentError;

/// An index: its keys and its options.
///
/// ```
/// use std::time::Duration;
/// use lockstore::IndexModel;
/// use lockstore::bson::doc;
///
/// let by_worker = IndexModel::new(doc! { "worker": 1, "started": -1 })
///     .name("by_worker")
///     .partial_filter(doc! { "state": "running" });
/// let forgotten = IndexModel::new(doc! { "finished": 1 }).expire_after(Duration::from_secs(3_600));
/// # assert_ne!(by_worker, forgotten);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct IndexModel {
    /// The fields, each with 1 for ascending or -1 for descending.
    pub keys: Document,
    /// The name; without one it is made of the keys: `order_1_step_-1`.
    pub name: Option<String>,
    /// Whether no two documents may have the same key.
    pub unique: bool,
    /// Whether it leaves out documents that have none of its fields.
    pub sparse: bool,
    /// Whether searches act as if it were not there. A hint cannot name it either.
    pub hidden: bool,
    /// How long after the date in its one field a document is deleted, in whole seconds: a part of one counts as one.
    pub expire_after: Option<Duration>,
    /// It has only the documents that match this filter.
    pub partial_filter: Option<Document>,
}

impl IndexModel {
    /// An index on these fields, each with 1 for ascending or -1 for descending.
    pub fn new(keys: Document) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Sets the [name](Self::name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether it is [unique](Self::unique).
    #[must_use]
    pub fn unique(mut self, unique: bool) -> Self {
        self.unique = unique;
        self
    }

    /// Sets whether it is [sparse](Self::sparse).
    #[must_use]
    pub fn sparse(mut self, sparse: bool) -> Self {
        self.sparse = sparse;
        self
    }

    /// Sets whether it is [hidden](Self::hidden).
    #[must_use]
    pub fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Sets [when documents expire](Self::expire_after).
    #[must_use]
    pub fn expire_after(mut self, expire_after: Duration) -> Self {
        self.expire_after = Some(expire_after);
        self
    }

    /// Sets [which documents it has](Self::partial_filter).
    #[must_use]
    pub fn partial_filter(mut self, filter: Document) -> Self {
        self.partial_filter = Some(filter);
        self
    }

    /// The specification, as `createIndexes` takes it.
    pub(super) fn spec(self) -> Document {
        let name = self.name.unwrap_or_else(|| name_of(&self.keys));
        let mut spec = doc! { "key": self.keys, "name": name };
        for (option, is_set) in
            [("unique", self.unique), ("sparse", self.sparse), ("hidden", self.hidden)]
        {
            if is_set {
                spec.insert(option, true);
            }
        }
        if let Some(after) = self.expire_after {
            spec.insert("expireAfterSeconds", seconds(after));
        }
        if let Some(filter) = self.partial_filter {
            spec.insert("partialFilterExpression", filter);
        }
        spec
    }

    /// The index with this specification, as it is listed.
    ///
    /// # Errors
    ///
    /// It came from elsewhere, and is not sound.
    pub(super) fn listed(spec: &RawDocument) -> Result<Self, DocumentError> {
        let spec: Document = read(spec.to_owned())?;
        let is_set = |option: &str| spec.get_bool(option).unwrap_or(false);
        let document = |option: &str| spec.get_document(option).ok().cloned();
        let seconds = spec.get("expireAfterSeconds").and_then(|seconds| match seconds {
            Bson::Int32(seconds) => u64::try_from(*seconds).ok(),
            Bson::Int64(seconds) => u64::try_from(*seconds).ok(),
            _ => None,
        });
        Ok(Self {
            keys: document("key").unwrap_or_default(),
            name: spec.get_str("name").ok().map(str::to_owned),
            unique: is_set("unique"),
            sparse: is_set("sparse"),
            hidden: is_set("hidden"),
            expire_after: seconds.map(Duration::from_secs),
            partial_filter: document("partialFilterExpression"),
        })
    }
}

/// The name of an index that was given none: its fields with their directions.
fn name_of(keys: &Document) -> String {
    let parts = keys.iter().map(|(field, direction)| match direction {
        Bson::String(kind) => format!("{field}_{kind}"),
        Bson::Double(direction) => format!("{field}_{direction}"),
        direction => format!("{field}_{direction}"),
    });
    parts.collect::<Vec<_>>().join("_")
}

/// Whole seconds, so that nothing expires early. What is too much is refused where all specifications are checked.
fn seconds(after: Duration) -> i64 {
    let whole = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    i64::try_from(whole).unwrap_or(i64::MAX)
}
