//! `renewDocumentLock` and `inspectDocumentLock`: about a lock that is held.

use bson::RawDocumentBuf;
use docquery::{Document, Error, Value};
use lockcore::Ttl;

use super::{answer, failure};
use crate::commands::Call;
use crate::commands::arguments::Arguments;
use crate::commands::fences;
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::document_locks::{HeldLocks, StoredLocks};
use crate::error::{DocumentError, ReleaseDocumentError};
use crate::fence::Fence;
use crate::remote::form::field;
use crate::remote::form::parts::optional;

pub(super) fn renew(call: &Call<'_>) -> Started {
    answer(try_renew(call), failure::write_release)
}

fn try_renew(call: &Call<'_>) -> Result<Reply, ReleaseDocumentError> {
    call.namespace().map_err(DocumentError::from)?;
    let (lock, ttl) = parse_renew(call.command).map_err(DocumentError::from)?;
    Ok(renewed(StoredLocks::new(call.engine).renew(&lock, ttl)?))
}

/// Which lock is to be renewed, and for how long.
pub(crate) fn parse_renew(command: Document<'_>) -> Result<(Fence, Option<Ttl>), Error> {
    let mut arguments = Arguments::of_command("renewDocumentLock", command)?;
    let lock = fences::required(&mut arguments)?;
    let ttl = arguments.ttl(field::TTL_MS)?;
    arguments.finish()?;
    Ok((lock, ttl))
}

pub(super) fn inspect(call: &Call<'_>) -> Result<Reply, DocumentError> {
    call.namespace()?;
    let lock = parse_inspect(call.command)?;
    Ok(holds(StoredLocks::new(call.engine).holds(&lock)?))
}

/// Which lock it is about.
pub(crate) fn parse_inspect(command: Document<'_>) -> Result<Fence, Error> {
    let mut arguments = Arguments::of_command("inspectDocumentLock", command)?;
    let lock = fences::required(&mut arguments)?;
    arguments.finish()?;
    Ok(lock)
}

/// How long the lease lasts now.
fn renewed(ttl: Option<Ttl>) -> Reply {
    Reply::new().with(field::TTL_MS, optional(ttl.map(Ttl::as_millis)))
}

fn holds(holds: bool) -> Reply {
    Reply::new().with("holds", Value::Bool(holds))
}

/// The reply of `renewDocumentLock`.
pub(crate) fn write_renewed(ttl: Option<Ttl>) -> RawDocumentBuf {
    renewed(ttl).finish()
}

/// The reply of `inspectDocumentLock`.
pub(crate) fn write_holds(it_does: bool) -> RawDocumentBuf {
    holds(it_does).finish()
}
