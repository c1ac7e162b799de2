//! Which index a request must use.

use bson::Document;

/// An index that a request must use. A name or the keys become one by themselves:
///
/// ```
/// use lockstore::Store;
/// use lockstore::bson::{Document, doc};
///
/// let store = Store::in_memory()?;
/// let jobs = store.database("factory").collection::<Document>("jobs");
/// jobs.insert_one(doc! { "_id": 1 })?;
/// assert!(jobs.find_one(doc! {}).hint("_id_").run()?.is_some());
/// assert!(jobs.find_one(doc! {}).hint(doc! { "_id": 1 }).run()?.is_some());
/// assert!(jobs.find_one(doc! {}).hint("no_such_index").run().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Hint {
    /// The index with this name.
    Name(String),
    /// The index with these keys; `{ "$natural": 1 }` or `-1` for none, but all documents in the order of their
    /// insertion, or against it.
    Keys(Document),
}

impl From<&str> for Hint {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Hint {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<Document> for Hint {
    fn from(keys: Document) -> Self {
        Self::Keys(keys)
    }
}
