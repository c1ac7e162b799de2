//! `findAndModify`.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, Value, Writer};

use super::Call;
use super::arguments::Arguments;
use super::explain::Explained;
use super::find::{collation, hint, owned};
use super::reply::Reply;
use super::statements::{incomplete, remembered};
use super::update::UpdateSpec;
use crate::client_sessions::{Image, Past};
use crate::error::DocumentError;
use crate::operations::{Change, FindAndModifyRequest, Place, Selector};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("findAndModify")?;
    let namespace = call.namespace()?;
    let selector = selector(&mut arguments)?;
    let fields = owned(arguments.document("fields")?);
    let remove = arguments.flag("remove")?.unwrap_or(false);
    let new = arguments.flag("new")?.unwrap_or(false);
    let upsert = arguments.flag("upsert")?.unwrap_or(false);
    let update = match arguments.value("update") {
        Value::Missing => None,
        update => Some(UpdateSpec::parse(update, &mut arguments)?),
    };
    arguments.array("arrayFilters")?;
    let mut statements = call.statements(&mut arguments, 1)?;
    arguments.flag("bypassDocumentValidation")?;
    collation(&mut arguments)?;
    arguments.finish()?;
    Flags { remove, new, upsert }.check(update.is_some())?;

    let place = call.place(namespace)?;
    let environment = place.environment(selector.variables.as_ref())?;
    let change = match update {
        Some(update) => Change::Update { update: update.parsed(&environment)?, upsert },
        None => Change::Delete,
    };
    let request = FindAndModifyRequest { selector, change, projection: fields, after: new };
    if let Some(past) = statements.past(0) {
        return again(&place, &request, past, statements.number(0));
    }
    let image = if new { Image::After } else { Image::Before };
    let (outcome, value) = place.of(statements.at(0, Some(image))).find_and_modify(request)?;
    let upserted = outcome.upserted.as_deref();
    let happened = match (outcome.found.is_some(), upserted) {
        (true, _) if remove => Happened::Removed,
        (true, _) => Happened::Updated,
        (false, Some(upserted)) => Happened::Upserted(upserted),
        (false, None) => Happened::Nothing,
    };
    Ok(reply(&happened, value.as_ref(), remove))
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let mut arguments = call.arguments("findAndModify")?;
    let selector = selector(&mut arguments)?;
    let remove = arguments.flag("remove")?.unwrap_or(false);
    let root = if remove { "DELETE" } else { "UPDATE" };
    Ok(Explained { limit: Some(1), ..Explained::new(call.namespace()?, selector, Some(root)) })
}

fn selector(arguments: &mut Arguments<'_>) -> Result<Selector, Error> {
    Ok(Selector {
        filter: owned(arguments.document("query")?).unwrap_or_default(),
        sort: owned(arguments.document("sort")?),
        hint: hint(arguments)?,
        variables: owned(arguments.document("let")?),
        ..Selector::default()
    })
}

/// What excludes what.
#[derive(Clone, Copy)]
struct Flags {
    remove: bool,
    new: bool,
    upsert: bool,
}

impl Flags {
    fn check(self, update: bool) -> Result<(), Error> {
        let Self { remove, new, upsert } = self;
        let wrong = match (remove, update) {
            (true, true) => "Cannot specify both an update and remove=true",
            (true, false) if upsert => "Cannot specify both upsert=true and remove=true",
            (true, false) if new => {
                "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document"
            }
            (false, false) => "Either an update or remove=true must be specified",
            (true | false, _) => return Ok(()),
        };
        Err(Error::failed_to_parse(wrong))
    }
}

/// What a command has done.
enum Happened<'d> {
    Nothing,
    Updated,
    Removed,
    /// It has inserted a document, which has this `_id`.
    Upserted(&'d RawDocument),
}

/// The reply of a command that was done before.
fn again(
    place: &Place<'_>,
    request: &FindAndModifyRequest,
    past: Past<'_>,
    statement: i32,
) -> Result<Reply, DocumentError> {
    let Past::Written { upserted, image: Some(image) } = past else {
        return Err(incomplete("it was no findAndModify").into());
    };
    let remove = matches!(request.change, Change::Delete);
    let happened = match remembered(upserted)? {
        Some(upserted) => Happened::Upserted(upserted),
        None if remove => Happened::Removed,
        None => Happened::Updated,
    };
    let value = place.find_and_modify_again(request, remembered(image)?)?;
    Ok(reply(&happened, value.as_ref(), remove).with("retriedStmtId", Value::Int32(statement)))
}

fn reply(happened: &Happened<'_>, value: Option<&RawDocumentBuf>, remove: bool) -> Reply {
    let mut fields = Writer::new();
    fields.open_document("lastErrorObject");
    fields.field("n", Value::Int32(i32::from(!matches!(happened, Happened::Nothing))));
    if !remove {
        fields.field("updatedExisting", Value::Bool(matches!(happened, Happened::Updated)));
    }
    if let Happened::Upserted(upserted) = happened {
        fields.field("upserted", docquery::Document::from(*upserted).get("_id"));
    }
    fields.close();
    fields.field("value", value.map_or(Value::Null, |document| Value::from(&**document)));
    Reply::of(fields)
}
