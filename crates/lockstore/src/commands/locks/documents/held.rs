//! `renewDocumentLock` and `inspectDocumentLock`: about a lock that is held.

use docquery::{Error, Value};
use lockcore::Ttl;

use super::{answer, failure};
use crate::commands::Call;
use crate::commands::fences;
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::document_locks::{HeldLocks, StoredLocks};
use crate::error::{ArgumentError, DocumentError, ReleaseDocumentError};
use crate::fence::Fence;

pub(super) fn renew(call: &Call<'_>) -> Started {
    answer(try_renew(call), failure::write_release)
}

fn try_renew(call: &Call<'_>) -> Result<Reply, ReleaseDocumentError> {
    let (lock, ttl_ms) = parse(call).map_err(DocumentError::from)?;
    let ttl = ttl_ms.map(Ttl::from_millis).transpose().map_err(ArgumentError::from)?;
    let ttl = StoredLocks::new(call.engine).renew(&lock, ttl)?;
    let mut reply = Reply::new();
    if let Some(ttl) = ttl {
        reply = reply.with("ttlMS", Value::Int64(ttl.as_millis().cast_signed()));
    }
    Ok(reply)
}

fn parse(call: &Call<'_>) -> Result<(Fence, Option<u64>), Error> {
    let mut arguments = call.arguments("renewDocumentLock")?;
    call.namespace()?;
    let lock = fences::required(&mut arguments)?;
    let ttl_ms = arguments.count("ttlMS")?;
    arguments.finish()?;
    Ok((lock, ttl_ms))
}

pub(super) fn inspect(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("inspectDocumentLock")?;
    call.namespace()?;
    let lock = fences::required(&mut arguments)?;
    arguments.finish()?;
    let holds = StoredLocks::new(call.engine).holds(&lock)?;
    Ok(Reply::new().with("holds", Value::Bool(holds)))
}
