//! `delete`.

use docquery::Error;

use super::Call;
use super::arguments::Arguments;
use super::explain::Explained;
use super::find::{collation, hint, owned};
use super::reply::Reply;
use super::write_batch;
use crate::error::DocumentError;
use crate::operations::{Change, ModifyRequest, Selector};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("delete")?;
    let namespace = call.namespace()?;
    let deletes = arguments.array("deletes")?;
    let ordered = arguments.flag("ordered")?.unwrap_or(true);
    let variables = owned(arguments.document("let")?);
    arguments.flag("bypassDocumentValidation")?;
    let deletes = arguments.required("deletes", deletes)?;
    let mut numbers = call.statements(&mut arguments, deletes.len())?;
    arguments.finish()?;
    let statements = write_batch::parse("delete.deletes", deletes, statement)?;
    let place = call.place(namespace)?;
    let mut count = 0;
    let errors = write_batch::carry_out(statements, ordered, |index, (mut selector, many)| {
        if numbers.past(index).is_some() {
            count += 1;
            return Ok(());
        }
        numbers.check_single(!many, "limit=0")?;
        let place = place.of(numbers.at(index, None));
        selector.variables.clone_from(&variables);
        let outcome = place.modify(&ModifyRequest { selector, change: Change::Delete, many })?;
        if let Some(error) = outcome.failure() {
            return Err(error);
        }
        count += outcome.modified;
        Ok(())
    })?;
    if place.is_unacknowledged() {
        return Ok(Reply::new().with_count("n", 0));
    }
    let reply = Reply::new().with_count("n", count).with_retried(numbers.retried());
    Ok(reply.with_write_errors(&errors))
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let mut arguments = call.arguments("delete")?;
    let deletes = arguments.array("deletes")?;
    let deletes = arguments.required("deletes", deletes)?;
    let statements = write_batch::parse("delete.deletes", deletes, statement)?;
    let (selector, _) = write_batch::only(statements)?;
    Ok(Explained::new(call.namespace()?, selector, Some("DELETE")))
}

/// One deletion, and whether it deletes all that match.
fn statement(mut arguments: Arguments<'_>) -> Result<(Selector, bool), Error> {
    let filter = arguments.document("q")?;
    let filter = owned(Some(arguments.required("q", filter)?)).unwrap_or_default();
    let limit = arguments.integer("limit")?;
    let limit = arguments.required("limit", limit)?;
    let hint = hint(&mut arguments)?;
    collation(&mut arguments)?;
    arguments.finish()?;
    if !(0..=1).contains(&limit) {
        return Err(Error::failed_to_parse(format!(
            "The limit field in delete objects must be 0 or 1. Got {limit}"
        )));
    }
    Ok((Selector { filter, hint, ..Selector::default() }, limit == 0))
}
