//! Changing one document, and giving it back.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, Filter, Projection};

use super::Place;
use super::modify::{Change, ModifyOutcome, ModifyRequest};
use super::select::Selector;
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

impl Place<'_> {
    /// Changes the first document that is selected. Gives what has become of it, and the document if there is one.
    pub(crate) fn find_and_modify(
        &self,
        request: FindAndModifyRequest,
    ) -> Result<(ModifyOutcome, Option<RawDocumentBuf>), DocumentError> {
        let FindAndModifyRequest { selector, change, projection, after } = request;
        let environment = self.environment(selector.variables.as_ref())?;
        let filter = Filter::parse(&selector.filter, &environment)?;
        let projection = projection.filter(|projection| !projection.is_empty());
        let projection = projection.map(|fields| Projection::parse(&fields, &environment));
        let projection = projection.transpose()?;
        if after && projection.as_ref().is_some_and(Projection::is_positional) {
            return Err(Error::bad_value(
                "cannot use a positional projection and return the new document",
            )
            .into());
        }
        let mut outcome = self.modify(&ModifyRequest { selector, change, many: false })?;
        if let Some(error) = outcome.error.take() {
            return Err(error);
        }
        let document = match (outcome.document(after), projection) {
            (Some(document), Some(projection)) => Some(projection.apply(document, &filter)?),
            (document, _) => document.map(RawDocument::to_owned),
        };
        Ok((outcome, document))
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
