//! `distinct`.

use super::Call;
use super::find::{collation, hint, owned};
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::Selector;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("distinct")?;
    let namespace = call.namespace()?;
    let key = arguments.text("key")?;
    let filter = owned(arguments.document("query")?).unwrap_or_default();
    collation(&mut arguments)?;
    let hint = hint(&mut arguments)?;
    let key = arguments.required("key", key)?;
    arguments.finish()?;
    let selector = Selector { filter, hint, ..Selector::default() };
    let values = call.place(namespace)?.distinct(key, &selector)?;
    let mut reply = Reply::new();
    reply.fields.open_array("values");
    for value in &values {
        reply.fields.item(value.get());
    }
    reply.fields.close();
    Ok(reply)
}
