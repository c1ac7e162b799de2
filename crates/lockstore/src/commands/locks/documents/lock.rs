//! `lockDocument`.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bson::RawDocumentBuf;
use docquery::{Document, Error, Value, Writer};
use lockcore::{Holder, Instant, SessionId, Ttl};

use super::failure;
use crate::client_sessions::{Memo, Past, ReplyOf};
use crate::commands::Call;
use crate::commands::arguments::Arguments;
use crate::commands::concern::{Concern, Takes};
use crate::commands::fences;
use crate::commands::find::{collation, hint, owned};
use crate::commands::reply::Reply;
use crate::commands::started::{CommandFuture, Started};
use crate::commands::statements;
use crate::commands::update::UpdateSpec;
use crate::document_locks::{
    Found, HeldDocument, LockAnswer, LockDocumentRequest, Locking, MAX_WAIT, Mode, Patience, Taken,
};
use crate::engine::Engine;
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::fence::Fence;
use crate::operations::Selector;
use crate::remote::document_locks::Replied;
use crate::remote::form::field;
use crate::remote::form::parts::{instant, optional};
use crate::request::Answer;

/// Looks at once, on this thread. What waits for a document, or for somebody else's commit, is pending then.
pub(super) fn start(call: &Call<'_>) -> Started {
    try_start(call).unwrap_or_else(|error| Started::Reply(failure::write_lock(&error)))
}

fn try_start(call: &Call<'_>) -> Result<Started, LockDocumentError> {
    let namespace = call.namespace().map_err(DocumentError::from)?;
    let mut request = parse(call.command, call.engine.clock.now())?;
    let lock_id = request.lock_id.clone();
    let may_be_done = request.is_new_lock_id && call.is_resent();
    let may_wait = request.patience.is_some();
    let past = call.write.and_then(|write| write.past(0)).map(remembered).transpose()?;
    // What nobody heard of went to the next: then it is asked for once more.
    let past = match past {
        Some(Found::Locked(held)) if !still_stands(call.engine, &held)? => None,
        past => past,
    };
    if past.is_none() {
        request.origin = call.write.map(|write| write.origin(memo(&lock_id)));
    }
    let begun = request.begin(call.engine, namespace)?;
    if let Some(found) = past {
        return Ok(Started::Reply(reply(&lock_id, begun.show(found))));
    }
    if may_be_done
        && let Some(held) = begun.stored.locked_before()?
        && still_stands(call.engine, &held)?
    {
        return Ok(Started::Reply(reply(&lock_id, begun.show(Found::Locked(held)))));
    }
    if call.waits.cover(may_wait) {
        return Ok(Started::Reply(reply(&lock_id, begun.run())));
    }
    let mut locking = Locking::started(begun)?;
    let polled = Pin::new(&mut locking).poll(&mut Context::from_waker(Waker::noop()));
    Ok(match polled {
        Poll::Ready(found) => Started::Reply(reply(&lock_id, found)),
        Poll::Pending => Started::Pending(CommandFuture::new(async move {
            let found = locking.await;
            reply(&lock_id, found)
        })),
    })
}

/// How it is remembered which document was locked: by the reply, with the whole document.
fn memo(lock_id: &Holder) -> Memo {
    let lock_id = lock_id.clone();
    let of = ReplyOf::new(move |answer| match answer {
        Answer::DocumentLock(answer) => match &**answer {
            LockAnswer::Taken(Taken::Locked(lock)) => {
                let held =
                    HeldDocument::of((**lock).clone(), lock.lease.map(|lease| lease.expires_at));
                Some(reply(&lock_id, Ok(Found::Locked(held))))
            }
            _ => None,
        },
        _ => None,
    });
    Memo::Reply { statement: 0, of }
}

/// Whether what was locked before still is, so that it may be told again: of what nobody heard, the lock may have been handed on.
fn still_stands(engine: &Engine, held: &HeldDocument) -> Result<bool, LockDocumentError> {
    let Fence { key, token, .. } = held.fence.clone();
    Ok(engine.recall(key, token).map_err(DocumentError::from)?)
}

/// What the command has locked when it came before.
fn remembered(past: Past<'_>) -> Result<Found<HeldDocument>, LockDocumentError> {
    let Past::Replied(reply) = past else {
        return Err(DocumentError::from(statements::incomplete("it was another command")).into());
    };
    match statements::remembered(reply)? {
        Some(reply) => Replied::found(reply),
        None => Err(DocumentError::from(statements::incomplete("it has no reply")).into()),
    }
}

/// What is asked for, at `now`.
pub(crate) fn parse(
    command: Document<'_>,
    now: Instant,
) -> Result<LockDocumentRequest, LockDocumentError> {
    let asked = Asked::parse(command, now).map_err(DocumentError::from)?;
    let Asked {
        selector, mode, update, projection, lock_id, is_new_lock_id, patience, ttl, ..
    } = asked;
    let is_new_lock_id = is_new_lock_id || lock_id.is_none();
    let lock_id = lock_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let variables = selector.variables.clone();
    let concern =
        Concern::parse(command, Takes::WriteConcern, false).map_err(DocumentError::from)?;
    Ok(LockDocumentRequest {
        selector,
        mode,
        update: update.map(|update| update.of_lock(variables)),
        projection,
        lock_id: Holder::new(&lock_id).map_err(ArgumentError::from)?,
        is_new_lock_id,
        patience,
        max_time: concern.max_time,
        ttl,
        session: asked.session,
        show_token: asked.show_token,
        fences: fences::parse(command).map_err(DocumentError::from)?,
        origin: None,
    })
}

/// The arguments of the command.
struct Asked {
    selector: Selector,
    mode: Mode,
    update: Option<UpdateSpec>,
    projection: Option<RawDocumentBuf>,
    lock_id: Option<String>,
    is_new_lock_id: bool,
    patience: Option<Patience>,
    ttl: Option<Ttl>,
    session: Option<SessionId>,
    show_token: bool,
}

impl Asked {
    fn parse(command: Document<'_>, now: Instant) -> Result<Self, Error> {
        let mut arguments = Arguments::of_command("lockDocument", command)?;
        let selector = Selector {
            filter: owned(arguments.document("filter")?).unwrap_or_default(),
            sort: owned(arguments.document("sort")?),
            hint: hint(&mut arguments)?,
            variables: owned(arguments.document("let")?),
            ..Selector::default()
        };
        let update = match arguments.value("update") {
            Value::Missing => None,
            update => Some(UpdateSpec::parse(update, &mut arguments)?),
        };
        arguments.array("arrayFilters")?;
        let projection = owned(arguments.document("projection")?);
        let lock_id = arguments.text("lockId")?.filter(|lock_id| !lock_id.is_empty());
        let break_lock = arguments.flag("breakLock")?.unwrap_or(false);
        let get_locked_doc = arguments.flag("getLockedDoc")?.unwrap_or(false);
        let sleep = arguments.count("sleepMS")?.filter(|millis| *millis > 0);
        let mode = Mode::of(break_lock, sleep.is_some() || get_locked_doc);
        let deadline = deadline(&mut arguments, now)?;
        let sleep = sleep.map(Duration::from_millis).filter(|_| mode == Mode::Meet);
        let asked = Self {
            selector,
            mode,
            update,
            projection,
            lock_id: lock_id.map(str::to_owned),
            is_new_lock_id: arguments.flag("newLockId")?.unwrap_or(false),
            patience: sleep.map(|sleep| Patience { sleep, deadline }),
            ttl: arguments.ttl(field::TTL_MS)?,
            session: arguments.session(field::SESSION)?,
            show_token: arguments.flag("showToken")?.unwrap_or(false),
        };
        collation(&mut arguments)?;
        arguments.finish()?;
        Ok(asked)
    }
}

/// Until when it is waited.
fn deadline(arguments: &mut Arguments<'_>, now: Instant) -> Result<Instant, Error> {
    let max_wait = arguments.count("maxWaitMS")?;
    match (max_wait, arguments.count("waitUntilNS")?) {
        (Some(_), Some(_)) => Err(Error::bad_value(
            "'lockDocument' takes either 'maxWaitMS' or 'waitUntilNS', not both",
        )),
        (None, Some(nanos)) => Ok(Instant::from_nanos(nanos)),
        (max_wait, None) => {
            Ok(now.saturating_add(max_wait.map_or(MAX_WAIT, Duration::from_millis)))
        }
    }
}

/// The reply, which tells of errors too.
pub(crate) fn reply(
    lock_id: &Holder,
    found: Result<Found<HeldDocument>, LockDocumentError>,
) -> RawDocumentBuf {
    let found = match found {
        Ok(found) => found,
        Err(error) => return failure::write_lock(&error),
    };
    let document = match &found {
        Found::Locked(HeldDocument { document, .. }) | Found::Unavailable(document) => {
            document.as_bytes().len()
        }
        Found::Nothing => 0,
    };
    let mut fields = Writer::with_capacity(document + ROOM);
    fields.field("lockId", Value::String(lock_id.as_str()));
    match &found {
        Found::Nothing => {}
        Found::Unavailable(document) => {
            fields.field("unavailableDocument", Value::from(&**document));
        }
        Found::Locked(held) => {
            fields.field("lockedDocument", Value::from(&*held.document));
            fields.field("fence", Value::from(&*fences::written(&held.fence)));
            fields.field(field::REJOINED, Value::Bool(held.rejoined));
            fields.field(field::TTL_MS, optional(held.ttl.map(Ttl::as_millis)));
            fields.field("validUntilNS", instant(held.valid_until));
        }
    }
    Reply::of(fields).finish()
}

/// How many bytes the reply has besides the document, about.
const ROOM: usize = 512;
