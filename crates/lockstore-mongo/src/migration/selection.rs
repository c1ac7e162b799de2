//! What of a store is migrated.

/// What of a store is migrated. Default: everything.
///
/// ```
/// use lockstore_mongo::migration::Selection;
///
/// let everything = Selection::default();
/// let jobs = Selection::databases(["jobs"]); // and the locks
/// let archive = Selection::databases(["archive"]).without_locks();
/// let only_locks = Selection::no_documents();
/// # let _ = (everything, jobs, archive, only_locks);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Selection {
    databases: Option<Vec<String>>,
    leaves_locks: bool,
}

impl Selection {
    /// The documents of these databases, and the locks.
    pub fn databases(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let databases = names.into_iter().map(Into::into).collect();
        Self { databases: Some(databases), ..Self::default() }
    }

    /// The locks only.
    pub fn no_documents() -> Self {
        Self::databases([""; 0])
    }

    /// The same without locks that have a name. Those of documents go with the documents in any case.
    #[must_use]
    pub fn without_locks(self) -> Self {
        Self { leaves_locks: true, ..self }
    }

    pub(super) fn with_locks(self) -> Self {
        Self { leaves_locks: false, ..self }
    }

    /// The databases that are named; `None` if all are meant.
    pub(super) fn named(&self) -> Option<&[String]> {
        self.databases.as_deref()
    }

    pub(super) fn has_locks(&self) -> bool {
        !self.leaves_locks
    }
}
