//! Locks of documents.
//!
//! A document is locked by its own fields, which are copied with it. Behind a lock that lockstore has taken stands a grant, under a key of the
//! store; so the document is locked once more in the target by the same `lock_id`, which is its own there and keeps what the document
//! says.

use std::collections::HashMap;
use std::time::Duration;

use bson::{Bson, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use lockstore::collection::LockedDocument;
use lockstore::remote::serving::document_locks::locked_by;
use lockstore::{DocumentError, LOCK_KEY, LOCK_TOKEN_KEY};

use super::copying::{delete, write};
use super::difference::{Difference, How};
use super::endpoint::{Endpoint, Namespace};
use super::error::{Bound, MigrationError};
use super::locks::{ENDS_SOON, TTL_MIN};
use super::plan::PlannedCollection;
use super::progress::{Observed, Step};

/// The documents of a collection whose locks end with sessions.
pub(super) fn bound(
    source: &Endpoint,
    collection: &PlannedCollection,
) -> Result<Vec<Bound>, MigrationError> {
    let namespace = &collection.namespace;
    let locked = locked(source, collection)?.into_values().filter_map(|it| {
        let (namespace, id, lock_id) = (namespace.clone(), it.id, it.lock_id);
        it.session.map(|session| Bound::Document { namespace, id, lock_id, session })
    });
    Ok(locked.collect())
}

/// Locks in the target what is locked in the source, for what is left of the leases, and gives how many these are. What ends with a session, and
/// what has run out, ends there too.
pub(super) fn copy(
    source: &Endpoint,
    target: &Endpoint,
    collection: &PlannedCollection,
    observed: &Observed<'_>,
) -> Result<u64, MigrationError> {
    let namespace = &collection.namespace;
    let (wanted, there) = (locked(source, collection)?, locked(target, collection)?);
    let mut copied = 0;
    let ids =
        wanted.values().chain(there.values().filter(|it| !wanted.contains_key(&bytes(&it.id))));
    for id in ids.map(|it| &it.id) {
        let (mut lock, copy) = (wanted.get(&bytes(id)), there.get(&bytes(id)));
        // One without a grant was locked by whoever has set the field, unless it was listed just when its grant was over.
        if lock.is_some_and(|it| it.token.is_none()) {
            let document = find(source, namespace, id)?;
            lock = lock.filter(|it| document.is_some_and(|document| is_locked_by(&document, it)));
        }
        if lock.map(|it| &it.lock_id) != copy.map(|it| &it.lock_id) {
            again(source, target, namespace, id)?;
        }
        let Some(document) = find(target, namespace, id)? else { continue };
        let Ok(lock_id) = document.get_str(LOCK_KEY) else { continue };
        let left = match lock {
            Some(lock) if lock.token.is_none() => continue,
            Some(lock) if lock.session.is_none() => lock.remaining,
            // It is over, or stays behind: so it ends here as well, in the way in which locks end.
            Some(_) | None => Some(TTL_MIN),
        };
        relock(target, namespace, (id, lock_id), left, shows_token(&document))?;
        if lock.is_some_and(|lock| lock.session.is_none()) {
            copied += 1;
            observed.tell(Step::Locked)?;
        }
    }
    Ok(copied)
}

/// In what the grants behind the locks of documents differ.
pub(super) fn differences(
    source: &Endpoint,
    target: &Endpoint,
    collection: &PlannedCollection,
) -> Result<Vec<Difference>, MigrationError> {
    let (wanted, there) = (locked(source, collection)?, locked(target, collection)?);
    let lasts = |it: &&LockedDocument| {
        let has_grant = it.token.is_some() && it.session.is_none();
        has_grant && it.remaining.is_none_or(|left| left >= ENDS_SOON)
    };
    let different = wanted.values().filter(lasts).filter_map(|it| {
        let how = match there.get(&bytes(&it.id)) {
            None => How::Missing,
            Some(copy)
                if copy.lock_id == it.lock_id
                    && copy.token.is_some()
                    && copy.remaining.is_some() == it.remaining.is_some() =>
            {
                return None;
            }
            Some(_) => How::Changed,
        };
        Some(Difference::DocumentLock {
            namespace: collection.namespace.clone(),
            id: it.id.clone(),
            how,
        })
    });
    Ok(different.collect())
}

/// Makes a document in the target what it is in the source now.
pub(super) fn again(
    source: &Endpoint,
    target: &Endpoint,
    namespace: &Namespace,
    id: &Bson,
) -> Result<(), MigrationError> {
    match find(source, namespace, id)? {
        Some(document) => write(target, namespace, vec![document]),
        None => delete(target, namespace, id),
    }
}

/// The document with this `_id`.
pub(super) fn find(
    endpoint: &Endpoint,
    namespace: &Namespace,
    id: &Bson,
) -> Result<Option<RawDocumentBuf>, MigrationError> {
    let found = endpoint.documents(namespace).find_one(doc! { "_id": { "$eq": id } }).run();
    found.map_err(|error| endpoint.failed(error))
}

/// The documents that are locked, by the bytes of their `_id`s.
fn locked(
    endpoint: &Endpoint,
    collection: &PlannedCollection,
) -> Result<HashMap<Vec<u8>, LockedDocument>, MigrationError> {
    if collection.is_view() {
        return Ok(HashMap::new());
    }
    let locked = endpoint.documents(&collection.namespace).locked_documents();
    let locked = locked.and_then(Iterator::collect::<Result<Vec<_>, DocumentError>>);
    let locked = locked.map_err(|error| endpoint.failed(error))?;
    Ok(locked.into_iter().map(|it| (bytes(&it.id), it)).collect())
}

/// Locks a document for who has locked it by its `lock_id`.
fn relock(
    target: &Endpoint,
    namespace: &Namespace,
    (id, lock_id): (&Bson, &str),
    left: Option<Duration>,
    shows_token: bool,
) -> Result<(), MigrationError> {
    let id = bson::RawBson::try_from(id.clone()).map_err(|_| target.senseless("an _id"))?;
    let mut command = rawdoc! {
        "lockDocument": namespace.collection.as_str(),
        "filter": { "_id": { "$eq": id } },
        "lockId": lock_id,
        "getLockedDoc": true,
        "projection": { "_id": 1 },
        "showToken": shows_token,
    };
    if let Some(left) = left {
        let millis = i64::try_from(left.max(TTL_MIN).as_millis()).unwrap_or(i64::MAX);
        command.append(cstr!("ttlMS"), millis);
    }
    // One that is another's by now is seen when all is compared.
    let locked = target.run(&namespace.database, &command);
    locked.map(drop).map_err(|error| target.failed(error))
}

/// What is no string is shown as people write it, and stays as it is.
fn is_locked_by(document: &RawDocument, lock: &LockedDocument) -> bool {
    locked_by(document).is_some_and(|lock_id| lock_id == lock.lock_id)
}

fn shows_token(document: &RawDocument) -> bool {
    matches!(document.get(LOCK_TOKEN_KEY), Ok(Some(_)))
}

/// What tells an `_id` from all others.
pub(super) fn bytes(id: &Bson) -> Vec<u8> {
    let document = RawDocumentBuf::try_from(&doc! { "_id": id });
    document.map(RawDocumentBuf::into_bytes).unwrap_or_default()
}
