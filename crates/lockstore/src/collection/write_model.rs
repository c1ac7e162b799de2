//! One write, as it was asked for.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use serde::Serialize;

use super::given::{Asked, Held, argument, document, refused};
use super::setters::setters;
use crate::error::DocumentError;
use crate::operations::{Change, ModifyOutcome, ModifyRequest, Place};

/// One write of a [`bulk_write`](crate::Collection::bulk_write).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteModel {
    /// Inserts a document.
    InsertOne(InsertModel),
    /// Updates the first document that matches.
    UpdateOne(UpdateModel),
    /// Updates all documents that match.
    UpdateMany(UpdateModel),
    /// Replaces the first document that matches.
    ReplaceOne(ReplaceModel),
    /// Deletes the first document that matches.
    DeleteOne(DeleteModel),
    /// Deletes all documents that match.
    DeleteMany(DeleteModel),
}

/// A document to insert: [`WriteModel::InsertOne`].
#[derive(Clone, Debug)]
pub struct InsertModel(pub(super) Result<RawDocumentBuf, DocumentError>);

impl InsertModel {
    /// Inserts `document`. One without an `_id` gets one.
    pub fn new(document: impl Serialize) -> Self {
        Self(self::document(&document))
    }
}

/// An update: [`WriteModel::UpdateOne`] or [`WriteModel::UpdateMany`].
#[derive(Clone, Debug)]
pub struct UpdateModel {
    pub(super) asked: Asked,
    update: Option<Held>,
    array_filters: Vec<RawDocumentBuf>,
    upsert: bool,
}

impl UpdateModel {
    setters!([asked] => hint, collation);

    /// Updates what matches `filter`. The update is a document of operators, or an array of the stages of a pipeline.
    pub fn new(filter: impl Serialize, update: impl Serialize) -> Self {
        let mut asked = Asked::about(&filter);
        let update = asked.keep(Held::new(&update));
        Self { asked, update, array_filters: Vec::new(), upsert: false }
    }

    /// Whether a document is inserted if none matches: what the filter demands, updated. By default, none is.
    pub fn upsert(mut self, upsert: bool) -> Self {
        self.upsert = upsert;
        self
    }

    /// Which items of arrays `$[name]` stands for: `{ "name.state": "new" }`.
    pub fn array_filters<F: Serialize>(mut self, filters: impl IntoIterator<Item = F>) -> Self {
        let filters = filters.into_iter().map(|filter| argument(&filter)).collect();
        self.array_filters = self.asked.keep(filters).unwrap_or_default();
        self
    }

    pub(super) fn change(&self, place: &Place<'_>) -> Result<Change, DocumentError> {
        let filters: Vec<&RawDocument> =
            self.array_filters.iter().map(|filter| &**filter).collect();
        let change = change(self.update.as_ref(), &filters, self.upsert, &self.asked, place)?;
        match &change {
            Change::Update { update, .. } if update.is_replacement() => Err(refused(
                "an update is a document whose first field is an operator, such as $set, or an array of the stages of a pipeline; \
                 to replace a document, use replace_one or find_one_and_replace",
            )),
            _ => Ok(change),
        }
    }
}

/// A replacement: [`WriteModel::ReplaceOne`].
#[derive(Clone, Debug)]
pub struct ReplaceModel {
    pub(super) asked: Asked,
    replacement: Option<Held>,
    upsert: bool,
}

impl ReplaceModel {
    setters!([asked] => hint, collation);

    /// Replaces the first document that matches `filter`. It keeps its `_id`.
    pub fn new(filter: impl Serialize, replacement: impl Serialize) -> Self {
        let mut asked = Asked::about(&filter);
        let replacement = asked.keep(Held::new(&replacement));
        Self { asked, replacement, upsert: false }
    }

    /// Whether the replacement is inserted if nothing matches. By default, it is not.
    pub fn upsert(mut self, upsert: bool) -> Self {
        self.upsert = upsert;
        self
    }

    pub(super) fn change(&self, place: &Place<'_>) -> Result<Change, DocumentError> {
        let change = change(self.replacement.as_ref(), &[], self.upsert, &self.asked, place)?;
        match &change {
            Change::Update { update, .. } if !update.is_replacement() => Err(refused(
                "a replacement is a document whose first field is no operator; to change single fields, use an update",
            )),
            _ => Ok(change),
        }
    }
}

/// A deletion: [`WriteModel::DeleteOne`] or [`WriteModel::DeleteMany`].
#[derive(Clone, Debug)]
pub struct DeleteModel {
    pub(super) asked: Asked,
}

impl DeleteModel {
    setters!([asked] => hint, collation);

    /// Deletes what matches `filter`.
    pub fn new(filter: impl Serialize) -> Self {
        Self { asked: Asked::about(&filter) }
    }
}

/// Parses an update or a replacement, if it could be written as BSON.
fn change(
    update: Option<&Held>,
    array_filters: &[&RawDocument],
    upsert: bool,
    asked: &Asked,
    place: &Place<'_>,
) -> Result<Change, DocumentError> {
    let Some(update) = update else {
        asked.check()?;
        unreachable!("what could not be written is remembered");
    };
    let environment = place.environment(asked.selector.variables.as_ref())?;
    let update = docquery::Update::parse(update.get(), array_filters, &environment)?;
    Ok(Change::Update { update: Arc::new(update), upsert })
}

/// Carries out one change.
pub(super) fn modify(
    place: &Place<'_>,
    asked: Asked,
    change: Change,
    many: bool,
) -> Result<ModifyOutcome, DocumentError> {
    place.modify(&ModifyRequest { selector: asked.selector, change, many })
}
