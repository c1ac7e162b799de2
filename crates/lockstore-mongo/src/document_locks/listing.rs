//! `lockedDocuments`: MongoDB's cursor over the documents that are locked, each batch of which gets what their side grants tell.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use lockstore::remote::serving::{document_locks as serving, failed};
use lockstore::{DocumentError, ErrorCode, Refusal, StoreError};

use super::DocumentLocks;
use super::side_grant::Place;
use super::transaction::Ended;
use crate::documents::number;
use crate::locks::{Look, Standing, number as stored, number_of};

/// The cursors whose batches are made here, by number.
#[derive(Debug, Default)]
pub(super) struct Listings {
    open: Mutex<HashMap<i64, Open>>,
}

/// A cursor, and when somebody last asked for it.
#[derive(Debug)]
struct Open {
    place: Place,
    asked_at: Instant,
}

impl Listings {
    /// Whether a command asks for more of a list.
    pub(super) fn continues(&self, name: &str, command: &RawDocument) -> bool {
        name == "getMore"
            && number(command, "getMore").is_some_and(|id| self.open().contains_key(&id))
    }

    /// Forgets the lists that a `killCursors` leaves.
    pub(super) fn left(&self, command: &RawDocument) {
        let Ok(cursors) = command.get_array("cursors") else { return };
        for id in cursors.into_iter().flatten().filter_map(RawBsonRef::as_i64) {
            self.take(id);
        }
    }

    /// Whether there may be one more. Those that nobody has asked for lately MongoDB has given up.
    fn has_room(&self) -> bool {
        let mut open = self.open();
        if open.len() >= OPEN_MAX {
            open.retain(|_, list| list.asked_at.elapsed() < IDLE_MAX);
        }
        open.len() < OPEN_MAX
    }

    /// Keeps a cursor, if there is more of it.
    fn keep(&self, place: Place, reply: &RawDocument) {
        let id = reply.get_document("cursor").ok().and_then(|cursor| number(cursor, "id"));
        if let Some(id) = id.filter(|id| *id != 0) {
            self.open().insert(id, Open { place, asked_at: Instant::now() });
        }
    }

    fn place_of(&self, id: i64) -> Option<Place> {
        self.open().get(&id).map(|list| list.place.clone())
    }

    fn take(&self, id: i64) {
        self.open().remove(&id);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<i64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DocumentLocks {
    /// Begins a list of the documents that are locked, in whatever way.
    pub(super) async fn list(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<lockcore::Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let batch_size = match serving::locked_documents(command) {
            Ok(batch_size) => batch_size,
            Err(refused) => return Ok(refused),
        };
        if !self.listings.has_room() {
            let message =
                format!("{OPEN_MAX} lists of locked documents are open: none more can be");
            let refusal = Refusal::new(ErrorCode::EXCEEDED_MEMORY_LIMIT, message);
            return Ok(failed(&DocumentError::from(refusal)));
        }
        let mut found = rawdoc! {
            "find": place.collection.as_str(),
            "filter": { "lock_id": { "$ne": null }, "$expr": { "$gt": ["$lock_id", null] } },
            "projection": { "lock_id": 1, "lock_time": 1 },
        };
        if let Some(size) = batch_size.and_then(|size| i64::try_from(size).ok()) {
            found.append(cstr!("batchSize"), size);
        }
        if let Some(limit) = number(command, "maxTimeMS") {
            found.append(cstr!("maxTimeMS"), limit);
        }
        let reply = self.documents.run(&place.database, &found, deadline).await?;
        self.told_of_locks(place.clone(), reply, deadline).await
    }

    /// Goes on with a list.
    pub(super) async fn list_more(
        self: &Arc<Self>,
        database: &str,
        command: &RawDocument,
        deadline: Option<lockcore::Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let id = number(command, "getMore").unwrap_or_default();
        let place = self.listings.place_of(id);
        let reply = self.documents.run(database, command, deadline).await?;
        let Some(place) = place else { return Ok(reply) };
        self.listings.take(id);
        self.told_of_locks(place, reply, deadline).await
    }

    /// A batch of documents as one of locks.
    async fn told_of_locks(
        self: &Arc<Self>,
        place: Place,
        reply: RawDocumentBuf,
        deadline: Option<lockcore::Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let work = move |own: Arc<Self>, _| async move {
            let told = own.try_told(&place, &reply).await?;
            Ok((place, reply, told))
        };
        match self.in_time(deadline, "listing locked documents", work).await {
            Ok((place, _, Some(told))) => {
                self.listings.keep(place, &told);
                Ok(told)
            }
            Ok((_, reply, None)) => Ok(reply),
            Err(ended) => ended.reply(),
        }
    }

    /// `None` where the reply has no batch.
    async fn try_told(
        &self,
        place: &Place,
        reply: &RawDocument,
    ) -> Result<Option<RawDocumentBuf>, Ended> {
        let Ok(cursor) = reply.get_document("cursor") else { return Ok(None) };
        let name = ["firstBatch", "nextBatch"]
            .into_iter()
            .find_map(|name| Some((name, cursor.get_array(name).ok()?)));
        let Some((name, batch)) = name else { return Ok(None) };
        let documents: Vec<&RawDocument> =
            batch.into_iter().flatten().filter_map(RawBsonRef::as_document).collect();
        let mut looks = HashMap::new();
        for page in documents.chunks(PAGE) {
            // One whose _id is too long for a key has no side grant.
            let keys = page.iter().filter_map(|document| place.key(document).ok());
            let keys: HashSet<String> = keys.map(|key| key.as_str().to_owned()).collect();
            let keys: Vec<String> = keys.into_iter().collect();
            let of_them = doc! { "$match": { "_id": { "$in": keys } } };
            let found = self.locks.all_seen(vec![of_them]).await?;
            looks.extend(found.into_iter().map(|look| (look.key.clone(), look)));
        }
        let mut told = RawArrayBuf::new();
        for document in documents {
            let look = place.key(document).ok().and_then(|key| looks.get(key.as_str()));
            if let Some(lock) = shown(document, look)? {
                told.push(lock);
            }
        }
        let mut cursor_told =
            rawdoc! { "id": number(cursor, "id").unwrap_or_default(), "ns": place.namespace() };
        if name == "firstBatch" {
            cursor_told.append(cstr!("firstBatch"), told);
        } else {
            cursor_told.append(cstr!("nextBatch"), told);
        }
        Ok(Some(rawdoc! { "cursor": cursor_told, "ok": 1.0 }))
    }
}

/// Who has locked a document; `None` if that has run out.
fn shown(
    document: &RawDocument,
    look: Option<&Look>,
) -> Result<Option<RawDocumentBuf>, StoreError> {
    let Some(lock_id) = serving::locked_by(document) else { return Ok(None) };
    let mut told = RawDocumentBuf::new();
    if let Ok(Some(id)) = document.get("_id") {
        told.append(cstr!("_id"), id);
    }
    told.append(cstr!("lockId"), lock_id.as_str());
    if let Ok(time) = document.get_datetime("lock_time") {
        told.append(cstr!("lockTime"), time);
    }
    let Some(look) = look else { return Ok(Some(told)) };
    let mut stored_there = look.document.iter().flat_map(|lock| &lock.grants);
    let Some(found) = stored_there.find(|grant| grant.has_locked(document)) else {
        return Ok(Some(told));
    };
    let standing = Standing::new(look)?;
    let mut grants = standing.lock().into_iter().flat_map(lockcore::Lock::grants);
    let Some(grant) = grants.find(|grant| stored(grant.token) == found.token) else {
        return Ok(None);
    };
    told.append(cstr!("token"), stored(grant.token));
    if let Some(session) = grant.session {
        told.append(cstr!("session"), number_of(session));
    }
    if let Some(lease) = grant.lease {
        let nanos = look.moment.here_at(lease.expires_at).as_nanos();
        told.append(cstr!("expiresAtNS"), i64::try_from(nanos).unwrap_or(i64::MAX));
    }
    Ok(Some(told))
}

/// How many side grants are looked at in one round trip.
const PAGE: usize = 1_000;
/// How long MongoDB keeps a cursor that nobody asks for, by default.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How many lists may be open at a time.
const OPEN_MAX: usize = 10_000;
