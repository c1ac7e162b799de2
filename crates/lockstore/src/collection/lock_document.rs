//! Locking a document: what to ask for, and the ways to wait for it.

mod future;
mod request;

use std::time::Duration;

use bson::RawDocumentBuf;
use lockcore::SessionId;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use future::LockDocumentFuture;

use super::Collection;
use super::document_lock::DocumentLock;
use super::given::{Asked, Held, argument};
use super::setters::setters;
use crate::backend::Backend;
use crate::document_locks::MAX_WAIT;
use crate::error::{LockDocumentError, ReleaseDocumentError};
use crate::session::Session;

impl<T> Collection<T> {
    /// Begins to lock the first document that matches `filter`: set what it needs, and then
    /// [`acquire`](LockDocument::acquire). A document is locked by its own field `lock_id`, which filters can ask for and any
    /// update can set or clear, and it may be updated in the same step.
    ///
    /// By default a document that is locked is passed over, and the next free one is taken. With
    /// [`get_locked_doc`](LockDocument::get_locked_doc) or [`sleep`](LockDocument::sleep) the first that matches is the one
    /// that is wanted, locked or not; with [`break_lock`](LockDocument::break_lock) it is taken from whoever holds it.
    ///
    /// ```
    /// use lockstore::Store;
    /// use lockstore::bson::{Document, doc};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "_id": 1, "state": "ready" }, doc! { "_id": 2, "state": "ready" }]).run()?;
    /// let mut lock = jobs
    ///     .lock_document(doc! { "state": "ready" })
    ///     .sort(doc! { "_id": 1 })
    ///     .update(doc! { "$set": { "state": "running" } })
    ///     .acquire()?;
    /// let job = lock.locked_document().expect("one is free");
    /// assert_eq!((job.get_i32("_id")?, job.get_str("state")?), (1, "running"));
    /// assert_eq!(job.get_str("lock_id")?, lock.lock_id());
    /// lock.set_update_on_release(doc! { "$set": { "state": "done" } })?;
    /// lock.release()?; // unlocked and done in one commit, durable when it returns
    /// assert_eq!(jobs.count_documents(doc! { "state": "done", "lock_id": null }).run()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_document(&self, filter: impl Serialize) -> LockDocument<'_, T> {
        LockDocument {
            collection: self,
            asked: Asked::about(&filter),
            update: None,
            array_filters: Vec::new(),
            projection: None,
            lock_id: LockId::Made,
            break_lock: false,
            get_locked_doc: false,
            sleep: None,
            max_wait: MAX_WAIT,
            max_time: None,
            ttl: None,
            session: None,
            show_token: false,
        }
    }

    /// Locks the first document that matches `filter`, runs `f`, and releases the document:
    /// [`lock_document`](Self::lock_document) and [`LockDocument::with`].
    ///
    /// ```
    /// # use lockstore::Store;
    /// # use lockstore::bson::{Document, doc};
    /// # let store = Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "_id": 1, "pages": 3 })?;
    /// let pages = jobs.with_document_lock(doc! { "_id": 1 }, |lock| {
    ///     let Some(job) = lock.locked_document() else { return Ok(0) };
    ///     let pages = job.get_i32("pages")?;
    ///     lock.set_update_on_release(doc! { "$set": { "printed": pages } })?;
    ///     Ok::<_, Box<dyn std::error::Error>>(pages)
    /// })?;
    /// assert_eq!(pages, 3);
    /// assert_eq!(jobs.count_documents(doc! { "printed": 3, "lock_id": null }).run()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`LockDocument::with`].
    pub fn with_document_lock<R, E>(
        &self,
        filter: impl Serialize,
        f: impl FnOnce(&mut DocumentLock<T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        T: DeserializeOwned + 'static,
        E: From<LockDocumentError> + From<ReleaseDocumentError>,
    {
        self.lock_document(filter).with(f)
    }
}

/// A document that is about to be locked, made by [`Collection::lock_document`].
#[derive(Clone, Debug)]
#[must_use = "nothing is locked before it is acquired"]
pub struct LockDocument<'c, T> {
    collection: &'c Collection<T>,
    asked: Asked,
    update: Option<Held>,
    array_filters: Vec<RawDocumentBuf>,
    projection: Option<RawDocumentBuf>,
    lock_id: LockId,
    break_lock: bool,
    get_locked_doc: bool,
    sleep: Option<Duration>,
    max_wait: Duration,
    max_time: Option<Duration>,
    ttl: Option<Duration>,
    session: Option<SessionId>,
    show_token: bool,
}

/// What stands in `lock_id` of a document while it is locked.
#[derive(Clone, Debug)]
enum LockId {
    /// A UUID that is made when it is acquired.
    Made,
    /// What the caller says that nobody has used before.
    New(String),
    /// What the caller says, and may use for other locks too.
    Given(String),
}

impl<T> LockDocument<'_, T> {
    setters!([asked] => sort, hint, collation, let_vars, comment);

    /// What is done to the document in the same step: a document of operators, or an array of the stages of a pipeline. It may
    /// not touch the fields of the lock. If it fails, the document stays unlocked and as it was.
    pub fn update(mut self, update: impl Serialize) -> Self {
        self.update = self.asked.keep(Held::new(&update));
        self
    }

    /// Which items of arrays `$[name]` stands for in the update: `{ "name.state": "new" }`.
    pub fn array_filters<F: Serialize>(mut self, filters: impl IntoIterator<Item = F>) -> Self {
        let filters = filters.into_iter().map(|filter| argument(&filter)).collect();
        self.array_filters = self.asked.keep(filters).unwrap_or_default();
        self
    }

    /// Whether the first document that matches is taken from whoever has locked it. That one's lock is over: it can neither
    /// renew nor release it any more. Default no.
    pub fn break_lock(mut self, break_lock: bool) -> Self {
        self.break_lock = break_lock;
        self
    }

    /// What stands in `lock_id` while it is locked: at most 1,024 bytes. By default, and where it is empty, a new UUID. Who locks
    /// with the `lock_id` of a lock that is held, with [`sleep`](Self::sleep) or [`get_locked_doc`](Self::get_locked_doc),
    /// shares that lock, and its update is not made once more.
    pub fn lock_id(mut self, lock_id: impl Into<String>) -> Self {
        let lock_id = lock_id.into();
        self.lock_id = if lock_id.is_empty() { LockId::Made } else { LockId::Given(lock_id) };
        self
    }

    /// As [`lock_id`](Self::lock_id), with one that nobody has used before: a UUID that was made for this lock. So when the server of a
    /// store that lives elsewhere ends before it has answered, what it has locked is found again, as with the `lock_id` that is
    /// made by default.
    pub fn new_lock_id(mut self, lock_id: impl Into<String>) -> Self {
        let lock_id = lock_id.into();
        self.lock_id = if lock_id.is_empty() { LockId::Made } else { LockId::New(lock_id) };
        self
    }

    /// Waits while the document is locked by another, and looks again when it changes, and at the latest each time that `sleep`
    /// has passed. By default, and if it is zero, it does not wait.
    ///
    /// Who waits is served in the order of arrival, and so before who comes when the document is released. With a
    /// [`sort`](Self::sort) it is the first document that is waited for; without one, the first that becomes free.
    pub fn sleep(mut self, sleep: Duration) -> Self {
        self.sleep = Some(sleep).filter(|sleep| !sleep.is_zero());
        self
    }

    /// How long to wait at most, from when it is acquired. Default 600 s.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Which fields of the document are given: `{ "state": 1 }`. `_id`, `lock_id` and `lock_time` always are. By default, all.
    pub fn projection(mut self, projection: impl Serialize) -> Self {
        self.projection = self.asked.document(&projection);
        self
    }

    /// Whether the first document that matches is the one that is wanted even if it is locked: then it is not locked, and given as
    /// [`unavailable_document`](DocumentLock::unavailable_document). Default no: it is passed over.
    pub fn get_locked_doc(mut self, get_locked_doc: bool) -> Self {
        self.get_locked_doc = get_locked_doc;
        self
    }

    /// How long a look may take, as that of a `find_one_and_update`: then it ends with the error
    /// [`MAX_TIME_MS_EXPIRED`](docquery::ErrorCode::MAX_TIME_MS_EXPIRED). One that has to be planned anew, because what it found was
    /// changed or locked by others meanwhile, is the same look. Waiting does not count, and who has waited looks anew. Zero is
    /// no limit, and the default.
    pub fn max_time(mut self, max_time: Duration) -> Self {
        self.max_time = Some(max_time).filter(|limit| !limit.is_zero());
        self
    }

    /// Ends the lock by itself after `ttl`, unless it is [renewed](DocumentLock::renew): the document is unlocked then, whatever
    /// has become of this program. The document shows when, in `lock_expires_at`. At least 1 ms and at most
    /// [`Ttl::MAX`](crate::Ttl::MAX). Default: it lasts until it is released.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Binds the wait and the lock to `session`: when that ends, so do they.
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.id());
        self
    }

    /// Whether the document shows the fencing token, in `lock_token`. Default no.
    pub fn show_token(mut self, show_token: bool) -> Self {
        self.show_token = show_token;
        self
    }

    /// Locks the document, durably when it returns. Whether it has, [`DocumentLock::holds`] tells.
    ///
    /// # Errors
    ///
    /// [`LockDocumentError`]. Nothing has changed then.
    pub fn acquire(self) -> Result<DocumentLock<T>, LockDocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        let (collection, request) = (self.collection.clone(), self.request()?);
        let lock_id = request.lock_id.clone();
        let found = match collection.store.backend() {
            Backend::Here(engine) => request.begin(engine, collection.names()?)?.run()?,
            Backend::There(remote) => collection.elsewhere(remote).lock(&request)?,
        };
        DocumentLock::found(collection, lock_id, found)
    }

    /// As [`acquire`](Self::acquire), as a future that needs no particular runtime and no thread. It looks for the document in
    /// the thread that polls it, and waits in none. Nothing is looked for until it is first polled; dropping it ends the wait,
    /// and a document that was locked meanwhile is released.
    pub fn acquire_async(self) -> LockDocumentFuture<T> {
        LockDocumentFuture::new(self.collection.clone(), self.request())
    }

    /// Locks the document, runs `f` and releases it. `f` is run whatever was found: it asks
    /// [`locked_document`](DocumentLock::locked_document). When it fails or panics the document is released too; an update or a
    /// deletion on release is left out then, with a line in the log.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire), of `f`, and of [`DocumentLock::release`].
    pub fn with<R, E>(self, f: impl FnOnce(&mut DocumentLock<T>) -> Result<R, E>) -> Result<R, E>
    where
        T: DeserializeOwned + 'static,
        E: From<LockDocumentError> + From<ReleaseDocumentError>,
    {
        let mut lock = self.acquire()?;
        match f(&mut lock) {
            Ok(result) => {
                lock.release()?;
                Ok(result)
            }
            Err(error) => {
                lock.abandon();
                Err(error)
            }
        }
    }
}
