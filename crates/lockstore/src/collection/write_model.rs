//! One write, as it was asked for.

use bson::{RawBsonRef, RawDocumentBuf};
use serde::Serialize;

use super::given::{Asked, Held, argument, document, refused};
use super::setters::setters;
use crate::error::DocumentError;
use crate::operations::{Statement, Unparsed};

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

impl WriteModel {
    /// Checks that all that was given can be used, and takes over what holds for all writes of a request.
    pub(super) fn begin(&mut self, all: &Asked) -> Result<(), DocumentError> {
        let asked = match self {
            Self::InsertOne(insert) => return insert.0.as_ref().map(|_| ()).map_err(Clone::clone),
            Self::UpdateOne(update) | Self::UpdateMany(update) => &mut update.asked,
            Self::ReplaceOne(replace) => &mut replace.asked,
            Self::DeleteOne(delete) | Self::DeleteMany(delete) => &mut delete.asked,
        };
        asked.selector.variables.clone_from(&all.selector.variables);
        asked.check()
    }

    /// What is asked for by a write that is no insertion.
    pub(super) fn statement(self) -> Result<Statement, DocumentError> {
        match self {
            Self::InsertOne(_) => unreachable!("insertions are carried out together"),
            Self::UpdateOne(update) => update.statement(false),
            Self::UpdateMany(update) => update.statement(true),
            Self::ReplaceOne(replace) => replace.statement(),
            Self::DeleteOne(delete) => Ok(delete.statement(false)),
            Self::DeleteMany(delete) => Ok(delete.statement(true)),
        }
    }
}

/// A document to insert: [`WriteModel::InsertOne`].
#[derive(Clone, Debug)]
#[must_use = "a write does nothing before it is part of a bulk write"]
pub struct InsertModel(pub(super) Result<RawDocumentBuf, DocumentError>);

impl InsertModel {
    /// Inserts `document`. One without an `_id` gets one.
    pub fn new(document: impl Serialize) -> Self {
        Self(self::document(&document))
    }
}

/// An update: [`WriteModel::UpdateOne`] or [`WriteModel::UpdateMany`].
#[derive(Clone, Debug)]
#[must_use = "a write does nothing before it is part of a bulk write"]
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

    pub(super) fn statement(self, many: bool) -> Result<Statement, DocumentError> {
        let Self { asked, update, array_filters, upsert } = self;
        let update = update.expect(HELD);
        if is_replacement(&update) {
            return Err(refused(
                "an update is a document whose first field is an operator, such as $set, or an array of the stages of a \
                 pipeline; to replace a document, use replace_one or find_one_and_replace",
            ));
        }
        let change = Unparsed::Update { update, array_filters, upsert };
        Ok(Statement { selector: asked.selector, change, many })
    }
}

/// A replacement: [`WriteModel::ReplaceOne`].
#[derive(Clone, Debug)]
#[must_use = "a write does nothing before it is part of a bulk write"]
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

    pub(super) fn statement(self) -> Result<Statement, DocumentError> {
        let Self { asked, replacement, upsert } = self;
        let update = replacement.expect(HELD);
        if !is_replacement(&update) {
            return Err(refused(
                "a replacement is a document whose first field is no operator; to change single fields, use an update",
            ));
        }
        let change = Unparsed::Update { update, array_filters: Vec::new(), upsert };
        Ok(Statement { selector: asked.selector, change, many: false })
    }
}

/// A deletion: [`WriteModel::DeleteOne`] or [`WriteModel::DeleteMany`].
#[derive(Clone, Debug)]
#[must_use = "a write does nothing before it is part of a bulk write"]
pub struct DeleteModel {
    pub(super) asked: Asked,
}

impl DeleteModel {
    setters!([asked] => hint, collation);

    /// Deletes what matches `filter`.
    pub fn new(filter: impl Serialize) -> Self {
        Self { asked: Asked::about(&filter) }
    }

    pub(super) fn statement(self, many: bool) -> Statement {
        Statement { selector: self.asked.selector, change: Unparsed::Delete, many }
    }
}

/// Whether a value is a document whose first field is no operator.
fn is_replacement(update: &Held) -> bool {
    let RawBsonRef::Document(document) = update.get() else { return false };
    let first = docquery::Document::from(document).first();
    first.is_none_or(|(name, _)| !name.starts_with('$'))
}

const HELD: &str = "what could not be written as BSON has failed the request";
