//! A lock that is asked for again, by somebody who has never heard the answer.

use super::fields::is_locked_by;
use super::side_grant::document_of;
use super::{HeldDocument, StoredCollection};
use crate::error::DocumentError;
use crate::fence::Fence;

impl StoredCollection {
    /// The document that is locked with the wanted `lock_id`, if there is one. Where nobody else has this `lock_id`, it is what the
    /// caller has locked before, whatever has become of the filter: the update may have made the document another.
    ///
    /// Looks through all locks that are held, so it is only for what comes a second time.
    pub(crate) fn locked_before(&self) -> Result<Option<HeldDocument>, DocumentError> {
        let reading = self.engine.reading()?;
        let Some(collection) = reading.catalog().collection(self.namespace.as_str()) else {
            return Ok(None);
        };
        let lock_id = &self.wanted.lock_id;
        let here = reading.view().locks().filter_map(|lock| {
            let grant = lock.grant_of(lock_id)?;
            let (at, record) = document_of(lock.key())?;
            (at == collection.id()).then_some((lock.key(), grant, record))
        });
        for (key, grant, record) in here {
            let Some(document) = reading.document(collection.id(), record)? else { continue };
            if is_locked_by(document.raw(), lock_id) {
                let fence = Fence { key: key.clone(), holder: lock_id.clone(), token: grant.token };
                return Ok(Some(HeldDocument {
                    document: document.raw().to_owned(),
                    fence,
                    ttl: grant.lease.map(|lease| lease.ttl),
                    valid_until: grant.lease.map(|lease| lease.expires_at),
                    rejoined: false,
                }));
            }
        }
        Ok(None)
    }
}
