//! `insert`.

use docquery::{Error, Value};

use super::Call;
use super::arguments::raw;
use super::reply::Reply;
use super::write_batch;
use crate::error::DocumentError;
use crate::operations::InsertRequest;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("insert")?;
    let namespace = call.namespace()?;
    let documents = arguments.array("documents")?;
    let ordered = arguments.boolean("ordered")?.unwrap_or(true);
    arguments.flag("bypassDocumentValidation")?;
    let documents = arguments.required("documents", documents)?;
    arguments.finish()?;
    let documents = documents.iter().enumerate().map(|(index, document)| match document {
        Value::Document(document) => Ok(raw(document).to_owned()),
        other => Err(Error::type_mismatch(format!(
            "BSON field 'insert.documents.{index}' is the wrong type '{}', expected type 'object'",
            other.type_name()
        ))),
    });
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    write_batch::check_length(documents.len())?;
    let place = call.place(namespace)?;
    let outcome = place.insert(InsertRequest { documents, ordered });
    if let Some(failure) = outcome.failure() {
        return Err(failure.clone());
    }
    if place.is_unacknowledged() {
        return Ok(Reply::new().with_count("n", 0));
    }
    let inserted = outcome.inserted.len() as u64;
    Ok(Reply::new().with_count("n", inserted).with_write_errors(&outcome.errors))
}
