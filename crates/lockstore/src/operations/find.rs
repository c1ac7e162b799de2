//! Finding documents, and counting them.

use bson::RawDocumentBuf;
use docquery::Projection;

use super::Place;
use super::select::Selector;
use crate::error::DocumentError;

/// Which documents are found, and how they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct FindRequest {
    pub(crate) selector: Selector,
    pub(crate) projection: Option<RawDocumentBuf>,
    pub(crate) skip: u64,
    /// 0 is no limit.
    pub(crate) limit: u64,
    /// The keys of the index that is hinted at between which it is looked: from the first, and before the second.
    pub(crate) min: Option<RawDocumentBuf>,
    pub(crate) max: Option<RawDocumentBuf>,
    /// Whether the keys of the index are given instead of the documents.
    pub(crate) return_key: bool,
    /// Whether the place of a document in its collection is given with it.
    pub(crate) show_record_id: bool,
}

impl Place<'_> {
    /// Finds documents.
    pub(crate) fn find(&self, request: &FindRequest) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let selection = self.selection(&request.selector)?;
        let environment = self.environment(request.selector.variables.as_ref());
        let projection = request.projection.as_deref().filter(|projection| !projection.is_empty());
        let projection =
            projection.map(|projection| Projection::parse(projection, &environment)).transpose()?;
        let skip = usize::try_from(request.skip).unwrap_or(usize::MAX);
        let end = match usize::try_from(request.limit).unwrap_or(usize::MAX) {
            0 => None,
            limit => Some(skip.saturating_add(limit)),
        };
        let mut found = Vec::new();
        let mut index = 0;
        self.select(&selection, end, |_, document| {
            if index >= skip {
                found.push(document.to_owned());
            }
            index += 1;
        })?;
        if let Some(projection) = projection {
            for document in &mut found {
                *document = projection.apply(document, selection.filter())?;
            }
        }
        Ok(found)
    }

    /// Counts documents.
    pub(crate) fn count(
        &self,
        selector: &Selector,
        skip: u64,
        limit: u64,
    ) -> Result<u64, DocumentError> {
        let selection = self.selection(selector)?;
        let mut counted = 0;
        self.select(&selection, None, |_, _| counted += 1)?;
        let counted = u64::saturating_sub(counted, skip);
        Ok(if limit == 0 { counted } else { counted.min(limit) })
    }
}
