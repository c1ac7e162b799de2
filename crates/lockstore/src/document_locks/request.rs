//! The lock of a document, as it is asked for, and its arguments, checked.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Environment, Error, Filter, Projection, Value, Writer};
use lockcore::{Holder, SessionId, Ttl};

use super::fields::{LOCK_KEY, LOCK_TIME_KEY};
use super::{
    Acquisition, Found, HeldDocument, HeldLocks, LockUpdate, Mode, Patience, Release,
    StoredCollection, StoredLocks, Wanted,
};
use crate::client_sessions::Origin;
use crate::documents::{Namespace, Scope};
use crate::engine::Engine;
use crate::error::{DocumentError, LockDocumentError};
use crate::fence::Fence;
use crate::operations::{Place, Selector};

/// The lock of a document that somebody asks for, here or elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct LockDocumentRequest {
    pub(crate) selector: Selector,
    pub(crate) mode: Mode,
    pub(crate) update: Option<LockUpdate>,
    pub(crate) projection: Option<RawDocumentBuf>,
    pub(crate) lock_id: Holder,
    /// Whether the `lock_id` was made for this one request, so that what it holds was locked by it.
    pub(crate) is_new_lock_id: bool,
    /// How long it waits for a document that is locked; not at all by default.
    pub(crate) patience: Option<Patience>,
    /// How long one look may take.
    pub(crate) max_time: Option<Duration>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) session: Option<SessionId>,
    pub(crate) show_token: bool,
    pub(crate) fences: Vec<Fence>,
    /// By what it is remembered that it has locked, if it is.
    pub(crate) origin: Option<Arc<Origin>>,
}

/// A request whose arguments have been checked.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) stored: StoredCollection,
    pub(crate) acquisition: Acquisition,
    shown: Shown,
}

/// How a document is shown.
#[derive(Debug)]
struct Shown {
    filter: Arc<Filter>,
    projection: Option<Projection>,
}

impl LockDocumentRequest {
    /// Checks all that is asked for.
    pub(crate) fn begin(
        self,
        engine: &Arc<Engine>,
        namespace: Namespace,
    ) -> Result<Begun, LockDocumentError> {
        let place = Place::new(Scope::new(engine, None, Vec::new()), namespace.clone(), None);
        let mut selector = self.selector;
        if self.mode == Mode::Pass {
            selector.filter = only_free(&selector.filter);
        }
        let update = self.update.filter(|update| !update.is_empty());
        if let Some(update) = &update {
            update.check(place.now_ms())?;
        }
        let filter = place.query(&selector)?.filter;
        let projection = self.projection.filter(|projection| !projection.is_empty());
        let projection = match projection {
            Some(projection) => {
                let environment = place.environment(selector.variables.as_ref());
                let environment = environment.map_err(DocumentError::from)?;
                let shown = with_lock_fields(&projection, &environment);
                let shown = shown.map_err(DocumentError::from)?;
                let parse = |shown: RawDocumentBuf| Projection::parse(&shown, &environment);
                shown.map(parse).transpose().map_err(DocumentError::from)?
            }
            None => None,
        };
        let wanted = Wanted {
            mode: self.mode,
            lock_id: self.lock_id,
            update,
            ttl: self.ttl,
            session: self.session,
            show_token: self.show_token,
            fences: self.fences,
        };
        let stored = StoredCollection {
            engine: Arc::clone(engine),
            namespace,
            selector,
            max_time: self.max_time,
            wanted: Arc::new(wanted),
            origin: self.origin,
            works_out: AtomicBool::new(false),
        };
        let patience = self.patience.filter(|_| self.mode == Mode::Meet);
        let acquisition = Acquisition::new(patience);
        Ok(Begun { stored, acquisition, shown: Shown { filter, projection } })
    }
}

impl Begun {
    /// Does all of it, and blocks the thread while it waits.
    pub(crate) fn run(self) -> Result<Found<HeldDocument>, LockDocumentError> {
        let Self { stored, acquisition, shown } = self;
        let found = acquisition.run(&stored)?;
        shown.show(found, &stored)
    }

    /// What was found, as it is shown.
    pub(crate) fn show(
        &self,
        found: Found<HeldDocument>,
    ) -> Result<Found<HeldDocument>, LockDocumentError> {
        self.shown.show(found, &self.stored)
    }
}

impl Shown {
    /// A document that cannot be shown is released again.
    fn show(
        &self,
        found: Found<HeldDocument>,
        stored: &StoredCollection,
    ) -> Result<Found<HeldDocument>, LockDocumentError> {
        let Some(projection) = &self.projection else { return Ok(found) };
        let show = |document: &RawDocument| projection.apply(document, &self.filter);
        Ok(match found {
            Found::Nothing => Found::Nothing,
            Found::Unavailable(document) => {
                Found::Unavailable(show(&document).map_err(DocumentError::from)?)
            }
            Found::Locked(held) => match show(&held.document) {
                Ok(document) => Found::Locked(HeldDocument { document, ..held }),
                Err(error) => {
                    StoredLocks::new(&stored.engine).give_back_later(&held.fence, Release::Unlock);
                    return Err(DocumentError::from(error).into());
                }
            },
        })
    }
}

/// The filter that passes over what is locked, whatever the caller's own says of `lock_id`.
pub(crate) fn only_free(filter: &RawDocument) -> RawDocumentBuf {
    let mut fields = Writer::with_capacity(filter.as_bytes().len() + 16);
    for element in Elements::of(filter.as_bytes()).filter(|element| element.name() != LOCK_KEY) {
        fields.copy(&element);
    }
    fields.field(LOCK_KEY, Value::Null);
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}

/// The projection with what it always brings along; `None` when it shows everything then.
pub(crate) fn with_lock_fields(
    projection: &RawDocument,
    environment: &Environment,
) -> Result<Option<RawDocumentBuf>, Error> {
    let given = Projection::parse(projection, environment)?;
    if given.is_positional() {
        return Err(Error::bad_value(
            "cannot use a positional projection and return the new document",
        ));
    }
    let is_brought =
        |path: &str| matches!(path.split('.').next(), Some("_id" | LOCK_KEY | LOCK_TIME_KEY));
    let mut fields = Writer::with_capacity(projection.as_bytes().len() + 48);
    for element in Elements::of(projection.as_bytes()).filter(|it| !is_brought(it.name())) {
        fields.copy(&element);
    }
    if given.is_inclusion() {
        for field in ["_id", LOCK_KEY, LOCK_TIME_KEY] {
            fields.field(field, Value::Int32(1));
        }
    } else if fields.is_empty() {
        return Ok(None);
    }
    Ok(Some(RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")))
}
