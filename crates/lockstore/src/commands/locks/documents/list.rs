//! `lockedDocuments`.

use docquery::{Document, Error};

use crate::commands::Call;
use crate::commands::arguments::Arguments;
use crate::commands::cursors::BatchSize;
use crate::commands::reply::Reply;
use crate::error::DocumentError;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let namespace = call.namespace()?;
    let batch = BatchSize::of(parse(call.command)?);
    let name = namespace.to_string();
    let cursor = call.place(namespace)?.locked_documents()?;
    call.reply_with_cursor(&name, cursor, batch, false)
}

/// How many documents the first batch is to have.
pub(crate) fn parse(command: Document<'_>) -> Result<Option<u64>, Error> {
    let mut arguments = Arguments::of_command("lockedDocuments", command)?;
    let batch_size = arguments.count("batchSize")?;
    arguments.finish()?;
    Ok(batch_size)
}
