//! `lockedDocuments`.

use crate::commands::Call;
use crate::commands::cursors::BatchSize;
use crate::commands::reply::Reply;
use crate::error::DocumentError;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("lockedDocuments")?;
    let namespace = call.namespace()?;
    let batch = BatchSize::of(arguments.count("batchSize")?);
    arguments.finish()?;
    let name = namespace.to_string();
    let cursor = call.place(namespace)?.locked_documents()?;
    call.reply_with_cursor(&name, cursor, batch, false)
}
