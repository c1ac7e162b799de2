//! `create`.

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode};

use super::Call;
use super::find::collation;
use super::reply::Reply;
use crate::error::DocumentError;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("create")?;
    let namespace = call.namespace()?;
    let capped = arguments.flag("capped")?.unwrap_or(false);
    arguments.integer("size")?;
    arguments.integer("max")?;
    collation(&mut arguments)?;
    arguments.document("idIndex")?;
    arguments.document("storageEngine")?;
    arguments.document("indexOptionDefaults")?;
    for unsupported in UNSUPPORTED {
        if arguments.present(unsupported).is_some() {
            return Err(unsupported_option(unsupported).into());
        }
    }
    arguments.finish()?;
    if capped {
        return Err(unsupported_option("capped").into());
    }
    call.place(namespace)?.create(RawDocumentBuf::new())?;
    Ok(Reply::new())
}

fn unsupported_option(option: &str) -> Error {
    Error::new(
        ErrorCode::COMMAND_NOT_SUPPORTED,
        format!("collections with the option '{option}' are not supported"),
    )
}

/// What would change what a collection means, and must not be passed over in silence.
const UNSUPPORTED: [&str; 10] = [
    "autoIndexId",
    "changeStreamPreAndPostImages",
    "clusteredIndex",
    "encryptedFields",
    "expireAfterSeconds",
    "pipeline",
    "timeseries",
    "validationAction",
    "validator",
    "viewOn",
];
