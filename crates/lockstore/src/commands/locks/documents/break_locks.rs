//! `breakDocumentLocks`.

use docquery::Error;

use super::{answer, failure};
use crate::commands::Call;
use crate::commands::find::{collation, hint, owned};
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::info::BreakRecord;
use crate::operations::Selector;
use crate::records::REASON_BYTES_MAX;
use crate::remote::form::field;
use crate::remote::form::info::write_break;

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

fn reply(records: &[BreakRecord]) -> Reply {
    let mut reply = Reply::new();
    let fields = &mut reply.fields;
    fields.open_array(field::RECORDS);
    for record in records {
        fields.open_document_item();
        write_break(record, fields);
        fields.close();
    }
    fields.close();
    reply
}
