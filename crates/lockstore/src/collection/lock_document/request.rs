//! A lock of a document that is asked for, as it is wherever the collection is.

use std::sync::Arc;

use lockcore::{Holder, Ttl};

use super::{LockDocument, LockId};
use crate::collection::Collection;
use crate::document_locks::{LockDocumentRequest, LockUpdate, Mode, Patience};
use crate::documents::Namespace;
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::remote::Remote;
use crate::remote::document_locks::RemoteCollection;

impl<T> LockDocument<'_, T> {
    /// Checks what can be checked without the collection. The time to wait runs from here.
    pub(super) fn request(self) -> Result<LockDocumentRequest, LockDocumentError> {
        self.collection.refuse_in_transaction("a document is not locked")?;
        self.asked.check()?;
        let mode = Mode::of(self.break_lock, self.sleep.is_some() || self.get_locked_doc);
        let selector = self.asked.selector;
        let variables = selector.variables.clone();
        let array_filters = self.array_filters;
        let update = self.update.map(|update| LockUpdate {
            update: update.get().into(),
            array_filters,
            variables,
        });
        let (lock_id, is_new_lock_id) = match self.lock_id {
            LockId::Made => (uuid::Uuid::new_v4().to_string(), true),
            LockId::New(lock_id) => (lock_id, true),
            LockId::Given(lock_id) => (lock_id, false),
        };
        let deadline = self.collection.store.backend().now().saturating_add(self.max_wait);
        let patience = self.sleep.map(|sleep| Patience { sleep, deadline });
        Ok(LockDocumentRequest {
            selector,
            mode,
            update,
            projection: self.projection,
            lock_id: Holder::new(&lock_id).map_err(ArgumentError::from)?,
            is_new_lock_id,
            origin: None,
            patience: patience.filter(|_| mode == Mode::Meet),
            max_time: self.max_time,
            ttl: self.ttl.map(Ttl::new).transpose().map_err(ArgumentError::from)?,
            session: self.session,
            show_token: self.show_token,
            fences: self.collection.fences.clone(),
        })
    }
}

impl<T> Collection<T> {
    /// Its names, if a collection may have them.
    pub(in crate::collection) fn names(&self) -> Result<Namespace, DocumentError> {
        Ok(self.namespace.clone()?)
    }

    /// The collection of a store that lives elsewhere.
    pub(in crate::collection) fn elsewhere<'c>(
        &'c self,
        remote: &'c Arc<dyn Remote>,
    ) -> RemoteCollection<'c> {
        let database = &self.full_name[..self.database];
        RemoteCollection::new(remote, database, self.name(), &self.fences)
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use crate::store::Store;

    #[test]
    fn only_a_lock_id_that_others_may_have_is_not_looked_for_after_a_lost_reply() {
        let store = Store::in_memory().unwrap();
        let jobs = store.database("factory").collection::<Document>("jobs");
        let lock = jobs.lock_document(doc! {});
        for (lock, is_new) in [
            (lock.clone(), true),
            (lock.clone().lock_id(""), true),
            (lock.clone().lock_id("worker-1"), false),
            (lock.new_lock_id("worker-1"), true),
        ] {
            assert_eq!(lock.request().unwrap().is_new_lock_id, is_new);
        }
    }
}
