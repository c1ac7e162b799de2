//! Locks of documents.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockstore::bson::{Document, RawDocumentBuf};
use lockstore::collection::LockDocument;
use lockstore::{Collection, LockDocumentError, Session, Token};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::encode;
use super::raise::{not_locked, not_released, refused};
use super::{Documents, Reading, invalid};
use crate::blocking::block_on;
use crate::seconds::Seconds;
use crate::shared::Shared;

/// What is asked for, as `lockstore.mongo_lock` writes it. What is `None` was not given.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
#[allow(clippy::struct_excessive_bools, reason = "Python names them")]
pub(super) struct Request<'py> {
    filter: Bound<'py, PyAny>,
    update: Option<Bound<'py, PyAny>>,
    break_lock: bool,
    lock_id: String,
    is_new_lock_id: bool,
    sleep: Option<Seconds>,
    max_wait: Seconds,
    projection: Option<Bound<'py, PyAny>>,
    get_locked_doc: bool,
    sort: Option<Bound<'py, PyAny>>,
    hint: Option<Bound<'py, PyAny>>,
    array_filters: Option<Vec<Bound<'py, PyAny>>>,
    collation: Option<Bound<'py, PyAny>>,
    #[pyo3(item("let"))]
    variables: Option<Bound<'py, PyAny>>,
    max_time: Option<Seconds>,
    ttl: Option<Seconds>,
    session: bool,
    keep_alive: bool,
    show_token: bool,
}

/// A document that is locked, or was looked for.
#[pyclass(frozen, module = "lockstore._native")]
#[derive(Debug)]
pub(crate) struct DocumentLock {
    shared: Arc<Shared>,
    reading: Reading,
    held: Mutex<Option<Held>>,
}

type Held = lockstore::DocumentLock<RawDocumentBuf>;

impl DocumentLock {
    pub(super) fn acquire(
        py: Python<'_>,
        documents: &Documents,
        request: Request<'_>,
    ) -> PyResult<Self> {
        let session = request.begun_session(py, &documents.shared)?;
        let mut found = request.find(py, documents, session.as_ref())?;
        if let (Err(LockDocumentError::SessionEnded), Some(ended)) = (&found, session) {
            documents.shared.forget(&ended)?;
            let session = request.begun_session(py, &documents.shared)?;
            found = request.find(py, documents, session.as_ref())?;
        }
        let found = found.map_err(not_locked)?;
        if request.keep_alive {
            found.keep_alive();
        }
        let shared = Arc::clone(&documents.shared);
        Ok(Self { shared, reading: documents.reading, held: Mutex::new(Some(found)) })
    }

    /// Never with Python's lock held: who renews has it for as long as that takes.
    fn with<T>(&self, f: impl FnOnce(&mut Held) -> T) -> PyResult<Option<T>> {
        self.shared.store()?;
        Ok(self.held.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f))
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        document: impl FnOnce(&Held) -> Option<&RawDocumentBuf> + Send,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let document = py.detach(|| self.with(|held| document(held).cloned()))?.flatten();
        document.map(|document| self.reading.document(py, document.as_bytes())).transpose()
    }
}

#[pymethods]
impl DocumentLock {
    /// The document as it was locked and updated.
    fn locked_document<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.read(py, Held::locked_document)
    }

    /// The document that was wanted and is locked by another.
    fn unavailable_document<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.read(py, Held::unavailable_document)
    }

    /// The fencing token, if something is locked.
    fn token(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(py.detach(|| self.with(|held| held.token()))?.flatten().map(Token::get))
    }

    /// Whether the document is locked by this, as of the last commit.
    fn holds(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| Ok(self.with(|held| held.holds())?.unwrap_or(false)))
    }

    /// Begins the lease anew.
    fn renew(&self, py: Python<'_>, ttl: Option<Seconds>) -> PyResult<()> {
        let renewed = py.detach(|| {
            self.with(|held| match ttl {
                Some(ttl) => held.renew_for(ttl.0),
                None => held.renew(),
            })
        })?;
        renewed.unwrap_or(Ok(())).map_err(not_released)
    }

    /// Checks an update that is to be made on release, before anything depends on it.
    fn set_update_on_release(&self, update: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, update) = (update.py(), encode::value(update)?);
        let set = py.detach(|| self.with(|held| held.set_update_on_release(&update)))?;
        set.unwrap_or(Ok(())).map_err(refused)
    }

    /// Releases the document, updates or deletes it; once, the second time there is nothing to do.
    fn release(&self, py: Python<'_>, delete: bool) -> PyResult<()> {
        self.shared.store()?;
        let released = py.detach(|| {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut held) = held else { return Ok(()) };
            if delete {
                held.set_delete_on_release()?;
            }
            held.release()
        });
        released.map_err(not_released)
    }
}

impl Drop for DocumentLock {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Who has let go of the object without a release leaves the document locked, as the original does: until its TTL or its
        // session ends it, if it has one. Where nothing is locked there is nothing to leave, and no store to keep open.
        if self.shared.is_inherited() || held.as_ref().is_some_and(|held| held.token().is_some()) {
            std::mem::forget(held);
        }
    }
}

impl Request<'_> {
    /// How long to wait, if at all.
    fn patience(&self) -> Option<(Duration, Duration)> {
        let sleep = self.sleep.filter(|sleep| !sleep.0.is_zero() && !self.break_lock)?;
        Some((sleep.0, self.max_wait.0))
    }

    /// The session to bind the lock to.
    fn begun_session(&self, py: Python<'_>, shared: &Shared) -> PyResult<Option<Session>> {
        Ok(if self.session { Some(block_on(py, shared.session())??) } else { None })
    }

    fn find(
        &self,
        py: Python<'_>,
        documents: &Documents,
        session: Option<&Session>,
    ) -> PyResult<Result<Held, LockDocumentError>> {
        let database = documents.shared.store()?.database(&documents.database);
        let collection: Collection<RawDocumentBuf> = database.collection(&documents.name);
        let asked = self.asked(&collection, session)?;
        let Some((sleep, max_wait)) = self.patience() else {
            return Ok(py.detach(|| asked.acquire()));
        };
        let waiting = asked.clone().sleep(sleep).max_wait(max_wait).acquire_async();
        // This thread asks first: that is the quickest way to a document that is free.
        match py.detach(|| asked.get_locked_doc(true).acquire()) {
            Ok(met) if met.unavailable_document().is_some() => block_on(py, waiting),
            met => Ok(met),
        }
    }

    fn asked<'c>(
        &self,
        collection: &'c Collection<RawDocumentBuf>,
        session: Option<&Session>,
    ) -> PyResult<LockDocument<'c, RawDocumentBuf>> {
        let mut asked = collection
            .lock_document(raw(&self.filter)?)
            .break_lock(self.break_lock)
            .get_locked_doc(self.get_locked_doc)
            .show_token(self.show_token);
        asked = if self.is_new_lock_id {
            asked.new_lock_id(&self.lock_id)
        } else {
            asked.lock_id(&self.lock_id)
        };
        if let Some(update) = &self.update {
            asked = asked.update(encode::value(update)?);
        }
        if let Some(projection) = &self.projection {
            asked = asked.projection(raw(projection)?);
        }
        if let Some(sort) = &self.sort {
            asked = asked.sort(raw(sort)?);
        }
        if let Some(hint) = &self.hint {
            asked = if let Ok(name) = hint.extract::<String>() {
                asked.hint(name)
            } else {
                let keys = Document::try_from(&*raw(hint)?);
                asked.hint(keys.map_err(|error| invalid(error.to_string()))?)
            };
        }
        if let Some(filters) = &self.array_filters {
            let filters = filters.iter().map(raw).collect::<PyResult<Vec<_>>>()?;
            asked = asked.array_filters(filters);
        }
        if let Some(collation) = &self.collation {
            asked = asked.collation(raw(collation)?);
        }
        if let Some(variables) = &self.variables {
            asked = asked.let_vars(raw(variables)?);
        }
        if let Some(max_time) = self.max_time {
            asked = asked.max_time(max_time.0);
        }
        if let Some(ttl) = self.ttl {
            asked = asked.ttl(ttl.0);
        }
        if let Some(session) = session {
            asked = asked.session(session);
        }
        Ok(asked)
    }
}

fn raw(given: &Bound<'_, PyAny>) -> PyResult<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(encode::document(given)?).map_err(|error| invalid(error.to_string()))
}
