//! `update`.

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::{Environment, Error, OwnedValue, Pipeline, Update, Value, Writer};

use super::Call;
use super::arguments::{Arguments, raw};
use super::explain::Explained;
use super::find::{collation, hint, owned};
use super::reply::{Reply, count_value};
use super::statements::{incomplete, remembered};
use super::write_batch;
use crate::client_sessions::Past;
use crate::document_locks::LockUpdate;
use crate::error::DocumentError;
use crate::operations::{Change, ModifyRequest, Place, Selector};

/// One update.
struct Statement {
    selector: Selector,
    update: UpdateSpec,
    /// The constants of a pipeline.
    constants: Option<RawDocumentBuf>,
    upsert: bool,
    many: bool,
}

/// An update as a command has it: it is parsed when its turn comes, as its errors belong to it alone.
pub(super) struct UpdateSpec {
    /// A document whose field `u` it is.
    update: RawDocumentBuf,
    array_filters: Vec<RawDocumentBuf>,
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("update")?;
    let namespace = call.namespace()?;
    let updates = arguments.array("updates")?;
    let ordered = arguments.flag("ordered")?.unwrap_or(true);
    let variables = owned(arguments.document("let")?);
    arguments.flag("bypassDocumentValidation")?;
    let updates = arguments.required("updates", updates)?;
    let mut numbers = call.statements(&mut arguments, updates.len())?;
    arguments.finish()?;
    let statements = write_batch::parse("update.updates", updates, Statement::parse)?;
    let place = call.place(namespace)?;
    let (mut matched, mut modified, mut upserted) = (0, 0, Vec::new());
    let errors = write_batch::carry_out(statements, ordered, |index, mut statement| {
        if let Some(past) = numbers.past(index) {
            matched += 1;
            match upserted_before(past)? {
                Some(id) => upserted.push((index, id)),
                None => modified += 1,
            }
            return Ok(());
        }
        numbers.check_single(!statement.many, "multi=true")?;
        statement.selector.variables.clone_from(&variables);
        let place = place.of(numbers.at(index, None));
        let outcome = place.modify(&statement.request(&place)?)?;
        // An update that fails counts for nothing, though what it changed before stays changed: its error says how much that is.
        if let Some(error) = outcome.failure() {
            return Err(error);
        }
        matched += outcome.matched;
        modified += outcome.modified;
        if let Some(id) = outcome.upserted_id() {
            matched += 1;
            upserted.push((index, OwnedValue::from(id.as_raw_bson_ref())));
        }
        Ok(())
    })?;
    if place.is_unacknowledged() {
        return Ok(Reply::new().with_count("n", 0).with_count("nModified", 0));
    }
    let mut reply = Reply::new().with_count("n", matched).with_count("nModified", modified);
    if !upserted.is_empty() {
        write_upserted(&upserted, &mut reply.fields);
    }
    Ok(reply.with_retried(numbers.retried()).with_write_errors(&errors))
}

/// The `_id` of what a statement has inserted before; `None` if it has changed a document.
fn upserted_before(past: Past<'_>) -> Result<Option<OwnedValue>, DocumentError> {
    match past {
        Past::Written { upserted, .. } => {
            let id = remembered(upserted)?.and_then(|upserted| upserted.get("_id").ok().flatten());
            Ok(id.map(OwnedValue::from))
        }
        Past::Inserted => Ok(None),
        Past::Replied(_) => Err(incomplete("it was no update").into()),
    }
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let mut arguments = call.arguments("update")?;
    let updates = arguments.array("updates")?;
    let updates = arguments.required("updates", updates)?;
    let statements = write_batch::parse("update.updates", updates, Statement::parse)?;
    let statement = write_batch::only(statements)?;
    Ok(Explained::new(call.namespace()?, statement.selector, Some("UPDATE")))
}

fn write_upserted(upserted: &[(usize, OwnedValue)], fields: &mut Writer) {
    fields.open_array("upserted");
    for (index, id) in upserted {
        fields.open_document_item();
        fields.field("index", count_value(*index as u64));
        fields.field("_id", id.get());
        fields.close();
    }
    fields.close();
}

impl Statement {
    fn parse(mut arguments: Arguments<'_>) -> Result<Self, Error> {
        let filter = arguments.document("q")?;
        let filter = owned(Some(arguments.required("q", filter)?)).unwrap_or_default();
        let update = Some(arguments.value("u")).filter(|update| !update.is_missing());
        let update = arguments.required("u", update)?;
        let update = UpdateSpec::parse(update, &mut arguments)?;
        let constants = owned(arguments.document("c")?);
        let upsert = arguments.flag("upsert")?.unwrap_or(false);
        let many = arguments.flag("multi")?.unwrap_or(false);
        let hint = hint(&mut arguments)?;
        collation(&mut arguments)?;
        arguments.flag("upsertSupplied")?;
        arguments.finish()?;
        let selector = Selector { filter, hint, ..Selector::default() };
        Ok(Self { selector, update, constants, upsert, many })
    }

    fn request(self, place: &Place<'_>) -> Result<ModifyRequest, DocumentError> {
        let Self { selector, update, constants, upsert, many } = self;
        if constants.is_some() && !update.is_pipeline() {
            return Err(Error::location(
                51198,
                "Constant values may only be specified for pipeline updates",
            )
            .into());
        }
        let environment = place.environment(selector.variables.as_ref())?;
        let environment = match &constants {
            Some(constants) => environment.with_variables(constants),
            None => environment,
        };
        let update = update.parsed(&environment)?;
        if many && update.is_replacement() {
            return Err(Error::failed_to_parse(
                "multi update is not supported for replacement-style update",
            )
            .into());
        }
        Ok(ModifyRequest { selector, change: Change::Update { update, upsert }, many })
    }
}

impl UpdateSpec {
    /// Takes an update, and the array filters among the arguments.
    pub(super) fn parse(update: Value<'_>, arguments: &mut Arguments<'_>) -> Result<Self, Error> {
        if update.as_document().is_none() && update.as_array().is_none() {
            return Err(Error::failed_to_parse(
                "Update argument must be either an object or an array",
            ));
        }
        let filters = arguments.array("arrayFilters")?;
        let filters = filters.into_iter().flatten().map(|filter| match filter {
            Value::Document(filter) => Ok(raw(filter).to_owned()),
            other => Err(Error::type_mismatch(format!(
                "an array filter is of the wrong type '{}', expected type 'object'",
                other.type_name()
            ))),
        });
        let array_filters = filters.collect::<Result<Vec<_>, _>>()?;
        if update.as_array().is_some() {
            Pipeline::check_shape(update)?;
        }
        let mut fields = Writer::new();
        fields.field("u", update);
        let update =
            RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document");
        Ok(Self { update, array_filters })
    }

    /// As an update that goes with the lock of a document.
    pub(super) fn of_lock(self, variables: Option<RawDocumentBuf>) -> LockUpdate {
        let update = self.update().into();
        LockUpdate { update, array_filters: self.array_filters, variables }
    }

    fn is_pipeline(&self) -> bool {
        self.update().as_array().is_some()
    }

    fn update(&self) -> RawBsonRef<'_> {
        self.update.get("u").ok().flatten().expect("it was written")
    }

    /// The update, with the time and the variables of its command.
    pub(super) fn parsed(&self, environment: &Environment) -> Result<Arc<Update>, Error> {
        if self.is_pipeline() && !self.array_filters.is_empty() {
            return Err(Error::failed_to_parse(
                "arrayFilters may not be specified for pipeline-style updates",
            ));
        }
        let filters: Vec<&RawDocument> =
            self.array_filters.iter().map(|filter| &**filter).collect();
        Ok(Arc::new(Update::parse(self.update(), &filters, environment)?))
    }
}
