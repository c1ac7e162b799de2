//! Updates, replacements and deletions of documents that a scan has found.

use std::ops::ControlFlow;

use bson::RawDocumentBuf;
use docquery::limits::DOCUMENT_BYTES_MAX;
use docquery::{Error, ErrorCode};

use super::DocumentWriter;
use crate::documents::RecordId;
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::{
    BYTES_PER_TASK, DOCUMENTS_PER_TASK, DocumentAnswer, Found, Modification, Modified, Modify,
    Reach,
};
use crate::documents::write_set::WriteSet;
use crate::error::DocumentError;

/// What is to become of a document.
enum Outcome {
    /// It is not there any more, or matches no more.
    Passed,
    /// It matches, and is already as it is to be.
    Same(RawDocumentBuf),
    /// It becomes `after`, or is gone.
    Changed { before: RawDocumentBuf, after: Option<RawDocumentBuf>, set: WriteSet },
}

impl DocumentWriter {
    pub(super) fn modify(&mut self, modify: &Modify, ground: &Ground<'_>) -> DocumentAnswer {
        if self.catalog.collection_with(modify.collection).is_none() {
            return DocumentAnswer::Again;
        }
        let mut done = Modified::default();
        let mut bytes = 0;
        for record in &modify.candidates {
            if done.taken >= DOCUMENTS_PER_TASK || bytes >= BYTES_PER_TASK {
                break;
            }
            match self.modify_one(modify, *record, &mut done, &mut bytes, ground) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    done.error = Some(error);
                    break;
                }
            }
        }
        match (modify.reach, &done) {
            (Reach::First, Modified { error: Some(error), .. }) => {
                DocumentAnswer::Failed(error.clone())
            }
            (Reach::First, Modified { found: None, .. }) => DocumentAnswer::Again,
            (Reach::First | Reach::Each, _) => DocumentAnswer::Modified(done),
        }
    }

    fn modify_one(
        &mut self,
        modify: &Modify,
        record: RecordId,
        done: &mut Modified,
        bytes: &mut usize,
        ground: &Ground<'_>,
    ) -> Result<ControlFlow<()>, DocumentError> {
        let outcome = contained(|| self.outcome(modify, record, bytes, ground))?;
        done.taken += 1;
        if !matches!(outcome, Outcome::Changed { .. }) {
            self.batch.documents += 1;
        }
        let (before, after) = match outcome {
            Outcome::Passed => return Ok(ControlFlow::Continue(())),
            Outcome::Same(before) => {
                let after = Some(before.clone());
                (before, after)
            }
            Outcome::Changed { before, after, set } => {
                done.modified += 1;
                self.write(modify.collection, record, after.clone(), set, true);
                (before, after)
            }
        };
        done.matched += 1;
        match modify.reach {
            Reach::Each => Ok(ControlFlow::Continue(())),
            Reach::First => {
                done.found = Some(Found { before, after });
                Ok(ControlFlow::Break(()))
            }
        }
    }

    /// What is to become of a document as it is now. Nothing is changed yet; `bytes` grows by what was read and made.
    fn outcome(
        &self,
        modify: &Modify,
        record: RecordId,
        bytes: &mut usize,
        ground: &Ground<'_>,
    ) -> Result<Outcome, DocumentError> {
        let current = self.batch.overlay.document(modify.collection, record, ground)?;
        let Some(current) = current else { return Ok(Outcome::Passed) };
        let before = current.raw();
        *bytes += before.as_bytes().len();
        if !modify.filter.matches(before)? {
            return Ok(Outcome::Passed);
        }
        let after = match &modify.change {
            Modification::Delete => None,
            Modification::Update(update) => match update.apply(before, &modify.filter)? {
                None => return Ok(Outcome::Same(before.to_owned())),
                Some(after) => {
                    *bytes += after.as_bytes().len();
                    Some(check_size(after)?)
                }
            },
        };
        let collection = self.catalog.collection_with(modify.collection).expect("it was found");
        let set = self.write_set(collection, record, (Some(before), after.as_deref()), ground)?;
        Ok(Outcome::Changed { before: before.to_owned(), after, set })
    }
}

/// An update may make a document larger than it may be.
pub(super) fn check_size(document: RawDocumentBuf) -> Result<RawDocumentBuf, Error> {
    let bytes = document.as_bytes().len();
    if bytes <= DOCUMENT_BYTES_MAX {
        return Ok(document);
    }
    let message = format!(
        "the document would be {bytes} bytes long after the update; at most {DOCUMENT_BYTES_MAX} are allowed"
    );
    Err(Error::new(ErrorCode::BSON_OBJECT_TOO_LARGE, message))
}
