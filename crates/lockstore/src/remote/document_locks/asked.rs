//! The commands.

use bson::raw::{BindRawBsonRef, CStr, cstr};
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use lockcore::Ttl;

use crate::commands::fences;
use crate::disk::Direction;
use crate::document_locks::{LockDocumentRequest, LockUpdate, Mode, Patience, Release};
use crate::documents::plan::Hint;
use crate::fence::Fence;
use crate::operations::Selector;

/// `lockDocument`. Without patience it does not wait for a document that is locked, and the reply shows that.
pub(super) fn lock(
    collection: &str,
    request: &LockDocumentRequest,
    patience: Option<Patience>,
) -> RawDocumentBuf {
    let mut command = about(cstr!("lockDocument"), collection, &request.selector);
    set(&mut command, cstr!("sort"), request.selector.sort.as_deref());
    if let Some(update) = &request.update {
        set_update(&mut command, update);
    }
    set(&mut command, cstr!("projection"), request.projection.as_deref());
    command.append(cstr!("lockId"), request.lock_id.as_str());
    match request.mode {
        Mode::Pass => {}
        Mode::Meet => command.append(cstr!("getLockedDoc"), true),
        Mode::Break => command.append(cstr!("breakLock"), true),
    }
    if let Some(Patience { sleep, deadline }) = patience {
        let sleep_ms = sleep.as_nanos().div_ceil(1_000_000);
        command.append(cstr!("sleepMS"), i64::try_from(sleep_ms).unwrap_or(i64::MAX));
        command.append(cstr!("waitUntilNS"), saturating(deadline.as_nanos()));
    }
    if let Some(limit) = request.max_time {
        // Less than one is one: 0 would be no limit.
        let limit_ms = i32::try_from(limit.as_millis().max(1)).unwrap_or(i32::MAX);
        command.append(cstr!("maxTimeMS"), limit_ms);
    }
    set_ttl(&mut command, request.ttl);
    set(&mut command, cstr!("session"), request.session.map(|it| saturating(it.get())));
    if request.show_token {
        command.append(cstr!("showToken"), true);
    }
    set_fences(&mut command, &request.fences);
    command
}

/// `unlockDocument`.
pub(super) fn unlock(
    collection: &str,
    lock: &Fence,
    release: &Release,
    relied_on: &[Fence],
) -> RawDocumentBuf {
    let mut command = about_lock(cstr!("unlockDocument"), collection, lock);
    match release {
        Release::Unlock => {}
        Release::Update(update) => {
            set_update(&mut command, update);
            set(&mut command, cstr!("let"), update.variables.as_deref());
        }
        Release::Delete => command.append(cstr!("delete"), true),
        Release::HandOn => command.append(cstr!("unlessRejoined"), true),
    }
    set_fences(&mut command, relied_on);
    command
}

/// `renewDocumentLock`.
pub(super) fn renew(collection: &str, lock: &Fence, ttl: Option<Ttl>) -> RawDocumentBuf {
    let mut command = about_lock(cstr!("renewDocumentLock"), collection, lock);
    set_ttl(&mut command, ttl);
    command
}

/// `inspectDocumentLock`.
pub(super) fn inspect(collection: &str, lock: &Fence) -> RawDocumentBuf {
    about_lock(cstr!("inspectDocumentLock"), collection, lock)
}

/// `lockedDocuments`.
pub(super) fn locked(collection: &str) -> RawDocumentBuf {
    rawdoc! { "lockedDocuments": collection }
}

/// `getMore`.
pub(super) fn more(collection: &str, cursor: i64) -> RawDocumentBuf {
    rawdoc! { "getMore": cursor, "collection": collection }
}

/// `killCursors`.
pub(super) fn kill(collection: &str, cursor: i64) -> RawDocumentBuf {
    rawdoc! { "killCursors": collection, "cursors": [cursor] }
}

/// `breakDocumentLocks`.
pub(super) fn break_locks(collection: &str, selector: &Selector, reason: &str) -> RawDocumentBuf {
    let mut command = about(cstr!("breakDocumentLocks"), collection, selector);
    command.append(cstr!("reason"), reason);
    command
}

/// A command about the documents that match.
fn about(name: &CStr, collection: &str, selector: &Selector) -> RawDocumentBuf {
    let mut command = named(name, collection);
    command.append(cstr!("filter"), &*selector.filter);
    match &selector.hint {
        Hint::None => {}
        Hint::Name(index) => command.append(cstr!("hint"), &**index),
        Hint::Key(keys) => command.append(cstr!("hint"), &**keys),
        Hint::Natural(direction) => {
            let direction = match direction {
                Direction::Forward => 1,
                Direction::Backward => -1,
            };
            command.append(cstr!("hint"), rawdoc! { "$natural": direction });
        }
    }
    set(&mut command, cstr!("let"), selector.variables.as_deref());
    command
}

/// A command about a lock that is held.
fn about_lock(name: &CStr, collection: &str, lock: &Fence) -> RawDocumentBuf {
    let mut command = named(name, collection);
    command.append(cstr!("fence"), fences::written(lock));
    command
}

fn named(name: &CStr, collection: &str) -> RawDocumentBuf {
    let mut command = RawDocumentBuf::new();
    command.append(name, collection);
    command
}

fn set_update(command: &mut RawDocumentBuf, update: &LockUpdate) {
    command.append(cstr!("update"), update.update.as_raw_bson_ref());
    if !update.array_filters.is_empty() {
        let filters: RawArrayBuf = update.array_filters.iter().map(|it| &**it).collect();
        command.append(cstr!("arrayFilters"), filters);
    }
}

fn set_ttl(command: &mut RawDocumentBuf, ttl: Option<Ttl>) {
    set(command, cstr!("ttlMS"), ttl.map(|ttl| saturating(ttl.as_millis())));
}

fn set_fences(command: &mut RawDocumentBuf, relied_on: &[Fence]) {
    if !relied_on.is_empty() {
        let written: RawArrayBuf = relied_on.iter().map(fences::written).collect();
        command.append(cstr!("lockFences"), written);
    }
}

/// Adds a field that has a value.
fn set(command: &mut RawDocumentBuf, name: &CStr, value: Option<impl BindRawBsonRef>) {
    if let Some(value) = value {
        command.append(name, value);
    }
}

fn saturating(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
