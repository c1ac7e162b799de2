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
    let mut statements = call.statements(&mut arguments, documents.len())?;
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
    // What was inserted before is not inserted again.
    let is_fresh = |index: &usize| statements.past(*index).is_none();
    let fresh: Vec<usize> = (0..documents.len()).filter(is_fresh).collect();
    let mut inserted = (documents.len() - fresh.len()) as u64;
    let mut documents: Vec<_> = documents.into_iter().map(Some).collect();
    let documents = fresh.iter().filter_map(|index| documents[*index].take()).collect();
    let numbers: Vec<_> = fresh.iter().map(|index| statements.number(*index)).collect();
    let place = place.of(statements.at(0, None));
    let mut outcome = place.insert_by(&numbers, InsertRequest { documents, ordered });
    for (index, _) in &mut outcome.errors {
        *index = fresh[*index];
    }
    if let Some(failure) = outcome.failure() {
        return Err(failure.clone());
    }
    if place.is_unacknowledged() {
        return Ok(Reply::new().with_count("n", 0));
    }
    inserted += outcome.inserted.len() as u64;
    let reply = Reply::new().with_count("n", inserted).with_retried(statements.retried());
    Ok(reply.with_write_errors(&outcome.errors))
}
