//! One change as it was asked for: an update that has not been parsed, or a deletion.

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::Update;

use super::modify::{Change, ModifyRequest};
use super::{Place, Selector};
use crate::error::DocumentError;

/// Which documents are changed, and how. Where they are it is parsed; elsewhere it is sent as it is.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) selector: Selector,
    pub(crate) change: Unparsed,
    /// Whether all that match are changed, or the first.
    pub(crate) many: bool,
}

/// What is done to the documents.
#[derive(Clone, Debug)]
pub(crate) enum Unparsed {
    Update { update: Held, array_filters: Vec<RawDocumentBuf>, upsert: bool },
    Delete,
}

/// A value that is a document or an array: an update or a replacement, or a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Held(RawDocumentBuf);

impl Statement {
    pub(crate) fn is_deletion(&self) -> bool {
        matches!(self.change, Unparsed::Delete)
    }

    /// The request, its update parsed with the time and the variables of the operation.
    pub(crate) fn parsed(self, place: &Place<'_>) -> Result<ModifyRequest, DocumentError> {
        let Self { selector, change, many } = self;
        let change = match change {
            Unparsed::Delete => Change::Delete,
            Unparsed::Update { update, array_filters, upsert } => {
                let array_filters: Vec<&RawDocument> =
                    array_filters.iter().map(|filter| &**filter).collect();
                let environment = place.environment(selector.variables.as_ref())?;
                let update = Update::parse(update.get(), &array_filters, &environment)?;
                Change::Update { update: Arc::new(update), upsert }
            }
        };
        Ok(ModifyRequest { selector, change, many })
    }
}

impl Held {
    /// The value in the one field of `holder`.
    pub(crate) fn holding(holder: RawDocumentBuf) -> Self {
        Self(holder)
    }

    pub(crate) fn get(&self) -> RawBsonRef<'_> {
        let field = self.0.iter_elements().next().and_then(Result::ok);
        field.and_then(|field| field.value().ok()).expect("a holder is sound, and has a field")
    }

    /// The value, as documents are read.
    pub(crate) fn value(&self) -> docquery::Value<'_> {
        let field = docquery::Document::from(&*self.0).first();
        field.expect("a holder has a field").1
    }
}
