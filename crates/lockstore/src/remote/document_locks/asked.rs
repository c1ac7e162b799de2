//! The commands.

use bson::RawDocumentBuf;
use docquery::{OwnedValue, Value};
use lockcore::{SessionId, Ttl};

use crate::commands::fences;
use crate::document_locks::{LockDocumentRequest, LockUpdate, Mode, Patience, Release};
use crate::fence::Fence;
use crate::remote::documents::Command;
use crate::remote::form::field;
use crate::remote::form::parts::{number, optional};

/// `lockDocument`. Without patience it does not wait for a document that is locked, and the reply shows that.
pub(super) fn lock(
    collection: &str,
    request: &LockDocumentRequest,
    patience: Option<Patience>,
) -> RawDocumentBuf {
    let mut command = Command::new("lockDocument", Value::String(collection));
    command.selector("filter", &request.selector);
    if let Some(update) = &request.update {
        write_update(&mut command, update);
    }
    command.document("projection", request.projection.as_ref());
    command.field("lockId", Value::String(&request.lock_id));
    if request.is_new_lock_id {
        command.field("newLockId", Value::Bool(true));
    }
    match request.mode {
        Mode::Pass => {}
        Mode::Meet => command.field("getLockedDoc", Value::Bool(true)),
        Mode::Break => command.field("breakLock", Value::Bool(true)),
    }
    if let Some(Patience { sleep, deadline }) = patience {
        // Less than one is one: 0 would be no patience.
        let sleep_ms = u64::try_from(sleep.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        command.field("sleepMS", number(sleep_ms));
        command.field("waitUntilNS", number(deadline.as_nanos()));
    }
    if let Some(limit) = request.max_time {
        command.max_time(limit);
    }
    command.field(field::TTL_MS, optional(request.ttl.map(Ttl::as_millis)));
    command.field(field::SESSION, optional(request.session.map(SessionId::get)));
    if request.show_token {
        command.field("showToken", Value::Bool(true));
    }
    command.fences(&request.fences);
    command.finish()
}

/// `unlockDocument`.
pub(super) fn unlock(
    collection: &str,
    lock: &Fence,
    release: &Release,
    relied_on: &[Fence],
) -> RawDocumentBuf {
    let mut command = about("unlockDocument", collection, lock);
    match release {
        Release::Unlock => {}
        Release::Update(update) => {
            write_update(&mut command, update);
            command.document("let", update.variables.as_ref());
        }
        Release::Delete => command.field("delete", Value::Bool(true)),
        Release::HandOn => command.field(field::UNLESS_REJOINED, Value::Bool(true)),
    }
    command.fences(relied_on);
    command.finish()
}

/// `renewDocumentLock`.
pub(super) fn renew(collection: &str, lock: &Fence, ttl: Option<Ttl>) -> RawDocumentBuf {
    let mut command = about("renewDocumentLock", collection, lock);
    command.field(field::TTL_MS, optional(ttl.map(Ttl::as_millis)));
    command.finish()
}

/// `inspectDocumentLock`.
pub(super) fn inspect(collection: &str, lock: &Fence) -> RawDocumentBuf {
    about("inspectDocumentLock", collection, lock).finish()
}

/// A command about a lock that is held.
fn about(name: &str, collection: &str, lock: &Fence) -> Command {
    let mut command = Command::new(name, Value::String(collection));
    command.field("fence", Value::from(&*fences::written(lock)));
    command
}

fn write_update(command: &mut Command, update: &LockUpdate) {
    command.field("update", OwnedValue::from(update.update.as_raw_bson_ref()).get());
    command.array_filters(&update.array_filters);
}
