//! `find`.

use bson::RawDocumentBuf;
use docquery::{Error, Value};

use super::Call;
use super::arguments::{Arguments, raw};
use super::cursors::BatchSize;
use super::explain::Explained;
use super::reply::Reply;
use crate::documents::plan::{Between, Hint};
use crate::documents::{DiskUse, Namespace};
use crate::error::DocumentError;
use crate::operations::{FindRequest, Selector, check_collation};

/// The arguments of the command.
struct Find {
    namespace: Namespace,
    request: FindRequest,
    batch: BatchSize,
    single_batch: bool,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let Find { namespace, request, batch, single_batch } = parse(call)?;
    let ns = namespace.to_string();
    let cursor = call.place(namespace)?.find(&request)?;
    call.reply_with_cursor(&ns, cursor, batch, single_batch)
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let Find { namespace, request, .. } = parse(call)?;
    let FindRequest { selector, projection, skip, limit, .. } = request;
    Ok(Explained { projection, skip, limit, ..Explained::new(namespace, selector, None) })
}

fn parse(call: &Call<'_>) -> Result<Find, DocumentError> {
    let mut arguments = call.arguments("FindCommandRequest")?;
    let namespace = call.namespace()?;
    let selector = Selector {
        filter: owned(arguments.strict_document("filter")?).unwrap_or_default(),
        sort: owned(arguments.strict_document("sort")?),
        hint: hint(&mut arguments)?,
        between: Between {
            min: owned(arguments.strict_document("min")?),
            max: owned(arguments.strict_document("max")?),
        },
        variables: owned(arguments.document("let")?),
    };
    let mut request = FindRequest {
        selector,
        projection: owned(arguments.strict_document("projection")?),
        skip: arguments.count("skip")?.unwrap_or(0),
        limit: arguments.count("limit")?.filter(|limit| *limit > 0),
        return_key: arguments.flag("returnKey")?.unwrap_or(false),
        show_record_id: arguments.flag("showRecordId")?.unwrap_or(false),
        disk_use: DiskUse::of(arguments.boolean("allowDiskUse")?.unwrap_or(true)),
    };
    let batch_size = arguments.count("batchSize")?;
    let single_batch = arguments.flag("singleBatch")?.unwrap_or(false);
    collation(&mut arguments)?;
    for flag in IGNORED_FLAGS {
        arguments.flag(flag)?;
    }
    arguments.count("ntoreturn")?;
    arguments.finish()?;
    let batch = BatchSize::of(batch_size);
    if single_batch {
        let most = batch.first() as u64;
        request.limit = Some(request.limit.map_or(most, |limit| limit.min(most)));
    }
    Ok(Find { namespace, request, batch, single_batch })
}

/// The `hint` of a command.
pub(super) fn hint(arguments: &mut Arguments<'_>) -> Result<Hint, Error> {
    match arguments.value("hint") {
        Value::Missing => Ok(Hint::None),
        Value::String(name) => Ok(Hint::Name(name.into())),
        Value::Document(keys) if keys.len() > 1 && !keys.get("$natural").is_missing() => {
            Err(Error::bad_value("Cannot include '$natural' in compound hint"))
        }
        Value::Document(keys) => Hint::parse(raw(keys)),
        _ => Err(Error::failed_to_parse("Hint must be a string or an object")),
    }
}

/// The `collation` of a command: strings are compared by their bytes, and no other way is known.
pub(super) fn collation(arguments: &mut Arguments<'_>) -> Result<(), Error> {
    match arguments.document("collation")? {
        Some(collation) => check_collation(collation),
        None => Ok(()),
    }
}

/// A copy of a document of a command.
pub(super) fn owned(document: Option<docquery::Document<'_>>) -> Option<RawDocumentBuf> {
    document.map(|document| raw(document).to_owned())
}

/// What tells the server how to work, and changes no result.
const IGNORED_FLAGS: [&str; 6] =
    ["allowPartialResults", "awaitData", "noCursorTimeout", "oplogReplay", "snapshot", "tailable"];
