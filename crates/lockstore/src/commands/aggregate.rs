//! `aggregate`.

use bson::RawArrayBuf;
use docquery::{Error, ErrorCode, Value};

use super::Call;
use super::arguments::{Arguments, raw};
use super::cursors::BatchSize;
use super::explain::{self, Explained};
use super::find::{collation, hint, owned};
use super::reply::Reply;
use crate::documents::plan::Verbosity;
use crate::documents::{DiskUse, Namespace};
use crate::error::DocumentError;
use crate::operations::{AggregateRequest, Leading};

/// The arguments of the command.
struct Aggregate {
    namespace: Namespace,
    request: AggregateRequest,
    batch: BatchSize,
    explain: bool,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let Aggregate { namespace, request, batch, explain } = parse(call)?;
    if explain {
        let explained = explained_in(call, namespace, &request)?;
        return explain::explain(call, explained, Verbosity::QueryPlanner);
    }
    let ns = namespace.to_string();
    let cursor = call.place(namespace)?.aggregate(&request)?;
    call.reply_with_cursor(&ns, cursor, batch, false)
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let Aggregate { namespace, request, .. } = parse(call)?;
    explained_in(call, namespace, &request)
}

/// What a pipeline asks of its collection.
fn explained_in(
    call: &Call<'_>,
    namespace: Namespace,
    request: &AggregateRequest,
) -> Result<Explained, DocumentError> {
    let Leading { selector, limit, .. } = call.place(namespace.clone())?.leading(request)?;
    Ok(Explained { limit, ..Explained::new(namespace, selector, None) })
}

fn parse(call: &Call<'_>) -> Result<Aggregate, DocumentError> {
    let mut arguments = call.arguments("aggregate")?;
    let pipeline = arguments.strict_array("pipeline")?;
    let pipeline = arguments.required("pipeline", pipeline)?;
    let hint = hint(&mut arguments)?;
    let variables = owned(arguments.document("let")?);
    let batch = batch_size(&mut arguments)?;
    let disk_use = DiskUse::of(arguments.boolean("allowDiskUse")?.unwrap_or(true));
    arguments.flag("bypassDocumentValidation")?;
    let explain = arguments.boolean("explain")?.unwrap_or(false);
    collation(&mut arguments)?;
    arguments.finish()?;
    if batch.is_none() && !explain {
        return Err(Error::failed_to_parse(
            "The 'cursor' option is required, except for aggregate with the explain argument",
        )
        .into());
    }
    let mut stages = RawArrayBuf::new();
    for stage in pipeline {
        let Value::Document(stage) = stage else {
            return Err(Error::type_mismatch(
                "Each element of the 'pipeline' array must be an object",
            )
            .into());
        };
        stages.push(raw(stage));
    }
    // A number stands for no collection: the pipeline makes its own documents.
    let namespace = match call.target {
        Value::String(_) => call.namespace()?,
        value if value.is_number() => Namespace::new(call.database, "$cmd.aggregate")?,
        _ => call.namespace()?,
    };
    check_source(&stages, call.target)?;
    let request = AggregateRequest { stages, hint, variables, disk_use };
    Ok(Aggregate { namespace, request, batch: batch.unwrap_or(BatchSize::of(None)), explain })
}

/// A pipeline takes its documents from a collection, or makes them itself.
fn check_source(stages: &RawArrayBuf, target: Value<'_>) -> Result<(), Error> {
    let first = stages.get_document(0).ok().map(docquery::Document::from);
    let makes_them = first.is_some_and(|stage| !stage.get("$documents").is_missing());
    match (makes_them, target.is_number()) {
        (true, false) => Err(Error::new(
            ErrorCode::INVALID_NAMESPACE,
            "'$documents' can only be run with {aggregate: 1}",
        )),
        (false, true) => Err(Error::new(
            ErrorCode::INVALID_NAMESPACE,
            "{aggregate: 1} is not valid for a pipeline whose first stage takes documents of a collection",
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

fn batch_size(arguments: &mut Arguments<'_>) -> Result<Option<BatchSize>, Error> {
    let cursor = match arguments.value("cursor") {
        Value::Missing => return Ok(None),
        Value::Document(cursor) => cursor,
        _ => return Err(Error::type_mismatch("cursor field must be missing or an object")),
    };
    let mut cursor = Arguments::new("aggregate.cursor", cursor)?;
    let size = cursor.count("batchSize")?;
    cursor.finish()?;
    Ok(Some(BatchSize::of(size)))
}
