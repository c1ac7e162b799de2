//! `breakDocumentLocks`.

use bson::RawDocumentBuf;
use docquery::{Document, Error};

use super::failure;
use crate::commands::Call;
use crate::commands::arguments::Arguments;
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
    Started::Reply(run(call).unwrap_or_else(|error| failure::write_lock(&error)))
}

fn run(call: &Call<'_>) -> Result<RawDocumentBuf, LockDocumentError> {
    let (selector, reason) = parse(call.command)?;
    let namespace = call.namespace().map_err(DocumentError::from)?;
    Ok(reply(&call.place(namespace)?.break_document_locks(&selector, reason)?))
}

/// What is to be unlocked, and why.
pub(crate) fn parse(command: Document<'_>) -> Result<(Selector, &str), LockDocumentError> {
    let (selector, reason) = arguments(command).map_err(DocumentError::from)?;
    if reason.len() > REASON_BYTES_MAX {
        let (bytes, bytes_max) = (reason.len(), REASON_BYTES_MAX);
        return Err(ArgumentError::ReasonTooLong { bytes, bytes_max }.into());
    }
    Ok((selector, reason))
}

fn arguments(command: Document<'_>) -> Result<(Selector, &str), Error> {
    let mut arguments = Arguments::of_command("breakDocumentLocks", command)?;
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

pub(crate) fn reply(records: &[BreakRecord]) -> RawDocumentBuf {
    let mut reply = Reply::new();
    let fields = &mut reply.fields;
    fields.open_array(field::RECORDS);
    for record in records {
        fields.open_document_item();
        write_break(record, fields);
        fields.close();
    }
    fields.close();
    reply.finish()
}
