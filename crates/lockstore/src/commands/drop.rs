//! `drop` and `dropDatabase`.

use docquery::{Error, ErrorCode, Value};

use super::Call;
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::drop_database;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let arguments = call.arguments("drop")?;
    let namespace = call.namespace()?;
    arguments.finish()?;
    let ns = namespace.to_string();
    let dropped = call.place(namespace)?.drop_collection().map_err(|error| match error.code() {
        ErrorCode::NAMESPACE_NOT_FOUND => {
            Error::new(ErrorCode::NAMESPACE_NOT_FOUND, "ns not found").into()
        }
        _ => error,
    })?;
    Ok(Reply::new().with_count("nIndexesWas", dropped as u64).with("ns", Value::String(&ns)))
}

pub(super) fn run_database(call: &Call<'_>) -> Result<Reply, DocumentError> {
    call.arguments("dropDatabase")?.finish()?;
    let reply = Reply::new();
    Ok(if drop_database(&call.scope()?, call.database)? {
        reply.with("dropped", Value::String(call.database))
    } else {
        reply
    })
}
