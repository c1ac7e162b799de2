//! `compact`.

use docquery::{Error, ErrorCode, Value};

use super::Call;
use super::reply::Reply;
use crate::error::{DocumentError, StoreError};

/// Compacts the file. All collections share it, so what comes free is not the named collection's alone. The name
/// is checked as a server does that stands alone (6.0.5); it knows no argument that it would refuse.
pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    call.place(call.namespace()?)?.check_exists().map_err(|error| match error.code() {
        ErrorCode::NAMESPACE_NOT_FOUND => {
            Error::new(ErrorCode::NAMESPACE_NOT_FOUND, "collection does not exist").into()
        }
        _ => error,
    })?;
    let before = file_bytes(call)?;
    call.engine.compact()?;
    let freed = before.saturating_sub(file_bytes(call)?);
    Ok(Reply::new().with("bytesFreed", Value::Int64(i64::try_from(freed).unwrap_or(i64::MAX))))
}

fn file_bytes(call: &Call<'_>) -> Result<u64, StoreError> {
    call.engine.with_disk(|disk| Ok(disk.file_bytes()))
}
