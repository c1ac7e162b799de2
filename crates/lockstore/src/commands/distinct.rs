//! `distinct`.

use super::Call;
use super::explain::Explained;
use super::find::{collation, hint, owned};
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::Selector;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let (key, Explained { namespace, selector, .. }) = parse(call)?;
    let values = call.place(namespace)?.distinct(key, &selector)?;
    let mut reply = Reply::new();
    reply.fields.open_array("values");
    for value in &values {
        reply.fields.item(value.get());
    }
    reply.fields.close();
    Ok(reply)
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    Ok(parse(call)?.1)
}

fn parse<'c>(call: &Call<'c>) -> Result<(&'c str, Explained), DocumentError> {
    let mut arguments = call.arguments("distinct")?;
    let namespace = call.namespace()?;
    let key = arguments.text("key")?;
    let filter = owned(arguments.document("query")?).unwrap_or_default();
    collation(&mut arguments)?;
    let hint = hint(&mut arguments)?;
    // MongoDB's does not take them; what asks expressions may need them.
    let variables = owned(arguments.document("let")?);
    let key = arguments.required("key", key)?;
    arguments.finish()?;
    let selector = Selector { filter, hint, variables, ..Selector::default() };
    Ok((key, Explained::new(namespace, selector, None)))
}
