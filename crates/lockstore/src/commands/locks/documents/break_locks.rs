//! `breakDocumentLocks`.

use docquery::{Error, Value};

use super::{answer, failure};
use crate::commands::Call;
use crate::commands::find::{collation, hint, owned};
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::info::BreakRecord;
use crate::operations::Selector;
use crate::records::REASON_BYTES_MAX;

pub(super) fn start(call: &Call<'_>) -> Started {
    answer(run(call), failure::write_lock)
}

fn run(call: &Call<'_>) -> Result<Reply, LockDocumentError> {
    let (selector, reason) = parse(call).map_err(DocumentError::from)?;
    if reason.len() > REASON_BYTES_MAX {
        let (bytes, bytes_max) = (reason.len(), REASON_BYTES_MAX);
        return Err(ArgumentError::ReasonTooLong { bytes, bytes_max }.into());
    }
    let namespace = call.namespace().map_err(DocumentError::from)?;
    Ok(reply(&call.place(namespace)?.break_document_locks(&selector, reason)?))
}

fn parse<'c>(call: &Call<'c>) -> Result<(Selector, &'c str), Error> {
    let mut arguments = call.arguments("breakDocumentLocks")?;
    let filter = arguments.document("filter")?;
    let selector = Selector {
        filter: owned(Some(arguments.required("filter", filter)?)).unwrap_or_default(),
        hint: hint(&mut arguments)?,
        variables: owned(arguments.document("let")?),
        ..Selector::default()
    };
    let reason = arguments.text("reason")?.unwrap_or_default();
    collation(&mut arguments)?;
    arguments.finish()?;
    Ok((selector, reason))
}

/// The records, without the reason, which is the same in all.
fn reply(broken: &[BreakRecord]) -> Reply {
    let mut reply = Reply::new();
    let fields = &mut reply.fields;
    fields.open_array("broken");
    for BreakRecord { number, key, holder, token, at, .. } in broken {
        fields.open_document_item();
        fields.field("number", Value::Int64(number.cast_signed()));
        fields.field("key", Value::String(key.as_str()));
        fields.field("holder", Value::String(holder.as_str()));
        fields.field("token", Value::Int64(token.get().cast_signed()));
        fields.field("atMS", Value::Int64(at.as_millis().cast_signed()));
        fields.close();
    }
    fields.close();
    reply
}
