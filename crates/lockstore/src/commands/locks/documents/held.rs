//! `renewDocumentLock` and `inspectDocumentLock`: about a lock that is held.

use docquery::{Error, Value};
use lockcore::Ttl;

use super::{answer, failure};
use crate::commands::Call;
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
    let (lock, ttl) = parse(call).map_err(DocumentError::from)?;
    let ttl = StoredLocks::new(call.engine).renew(&lock, ttl)?;
    Ok(Reply::new().with(field::TTL_MS, optional(ttl.map(Ttl::as_millis))))
}

fn parse(call: &Call<'_>) -> Result<(Fence, Option<Ttl>), Error> {
    let mut arguments = call.arguments("renewDocumentLock")?;
    call.namespace()?;
    let lock = fences::required(&mut arguments)?;
    let ttl = arguments.ttl(field::TTL_MS)?;
    arguments.finish()?;
    Ok((lock, ttl))
}

pub(super) fn inspect(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("inspectDocumentLock")?;
    call.namespace()?;
    let lock = fences::required(&mut arguments)?;
    arguments.finish()?;
    let holds = StoredLocks::new(call.engine).holds(&lock)?;
    Ok(Reply::new().with("holds", Value::Bool(holds)))
}
