//! Changing one document, and giving it back.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Filter, Projection, Value};

use super::Place;
use super::find::projection;
use super::modify::{Change, ModifyOutcome, ModifyRequest};
use super::select::Selector;
use crate::documents::plan::Order;
use crate::error::DocumentError;

/// Which document is changed, how, and how it is given back.
#[derive(Debug)]
pub(crate) struct FindAndModifyRequest {
    pub(crate) selector: Selector,
    pub(crate) change: Change,
    pub(crate) projection: Option<RawDocumentBuf>,
    /// Whether the document is given as it is afterwards, or as it was.
    pub(crate) after: bool,
}

impl FindAndModifyRequest {
    /// Whether the server finds the document without looking at the sort, not even whether it is one.
    fn ignores_sort(&self) -> bool {
        let fields = self.projection.as_deref();
        let gives_all = fields.is_none_or(|fields| Document::from(fields).is_empty());
        gives_all && is_only_id((&*self.selector.filter).into())
    }
}

impl Place<'_> {
    /// Changes the first document that is selected. Gives what has become of it, and the document if there is one.
    pub(crate) fn find_and_modify(
        &self,
        mut request: FindAndModifyRequest,
    ) -> Result<(ModifyOutcome, Option<RawDocumentBuf>), DocumentError> {
        if request.ignores_sort() {
            request.selector.sort = None;
        }
        request.change.check_filter(&request.selector)?;
        let shape = self.shape(&request)?;
        let FindAndModifyRequest { selector, change, after, .. } = request;
        let mut outcome = self.modify(&ModifyRequest { selector, change, many: false })?;
        if let Some(error) = outcome.error.take() {
            return Err(error);
        }
        let document = shape.of(outcome.document(after))?;
        Ok((outcome, document))
    }

    /// The document as the request wants it, where it was changed before.
    pub(crate) fn find_and_modify_again(
        &self,
        request: &FindAndModifyRequest,
        document: Option<&RawDocument>,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        self.shape(request)?.of(document)
    }

    fn shape(&self, request: &FindAndModifyRequest) -> Result<Shape, DocumentError> {
        let FindAndModifyRequest { selector, projection: fields, after, .. } = request;
        let environment = self.environment(selector.variables.as_ref())?;
        let filter = Filter::parse(&selector.filter, &environment)?;
        if let Some(sort) = &selector.sort
            && !request.ignores_sort()
        {
            Order::parse(sort)?;
        }
        let projection = projection(fields.as_deref(), &filter, &environment)?;
        if *after && projection.as_ref().is_some_and(Projection::is_positional) {
            return Err(Error::bad_value(
                "cannot use a positional projection and return the new document",
            )
            .into());
        }
        Ok(Shape { filter, projection })
    }
}

/// How the document is given back.
struct Shape {
    filter: Filter,
    projection: Option<Projection>,
}

impl Shape {
    fn of(&self, document: Option<&RawDocument>) -> Result<Option<RawDocumentBuf>, DocumentError> {
        match (document, &self.projection) {
            (Some(document), Some(projection)) => {
                Ok(Some(projection.apply(document, &self.filter)?))
            }
            (document, _) => Ok(document.map(RawDocument::to_owned)),
        }
    }
}

/// Whether a filter asks for the document with one `_id`, and is written in the plainest way.
fn is_only_id(filter: Document<'_>) -> bool {
    let mut fields = filter.iter();
    let (Some(("_id", id)), None) = (fields.next(), fields.next()) else { return false };
    match id {
        Value::Document(id) => id.first().is_none_or(|(name, _)| !name.starts_with('$')),
        Value::Array(_) | Value::Regex { .. } | Value::Null | Value::Undefined => false,
        _ => true,
    }
}

impl ModifyOutcome {
    /// The document that was changed, as it was or as it is afterwards.
    fn document(&self, after: bool) -> Option<&RawDocument> {
        match &self.found {
            Some(found) if after => found.after.as_deref(),
            Some(found) => Some(&found.before),
            None if after => self.upserted.as_deref(),
            None => None,
        }
    }
}
