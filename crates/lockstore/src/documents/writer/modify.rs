//! Updates, replacements and deletions of documents that a scan has found.
//!
//! A document that has not changed since the scan matches still. One that has is looked at again, if that is little
//! work: what may be much is left to the caller, who comes back with an [`Apply`](crate::documents::Apply).

use std::ops::ControlFlow;

use bson::RawDocumentBuf;

use super::DocumentWriter;
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::{
    BYTES_PER_TASK, DOCUMENTS_PER_TASK, DocumentAnswer, Found, Modified, Modify, Reach,
    STEPS_PER_TASK,
};
use crate::documents::write_set::WriteSet;
use crate::documents::{After, RecordId};
use crate::error::DocumentError;

/// What is to become of a document.
enum Outcome {
    /// It is not there any more, or matches no more.
    Passed,
    /// To find that out is too much work.
    Left,
    /// It matches, and is already as it is to be.
    Same(RawDocumentBuf),
    /// It becomes `after`, or is gone.
    Changed { before: RawDocumentBuf, after: Option<RawDocumentBuf>, set: WriteSet },
}

/// What a task has taken so far.
#[derive(Default)]
struct Spent {
    /// The bytes of documents, read and made.
    bytes: usize,
    /// See [`STEPS_PER_TASK`].
    steps: u64,
}

impl DocumentWriter {
    pub(super) fn modify(&mut self, modify: &Modify, ground: &Ground<'_>) -> DocumentAnswer {
        if self.catalog.collection_with(modify.collection).is_none() {
            return DocumentAnswer::Again;
        }
        let mut done = Modified::default();
        let mut spent = Spent::default();
        for record in &modify.candidates {
            if done.taken >= DOCUMENTS_PER_TASK || spent.is_enough() {
                break;
            }
            match self.modify_one(modify, *record, &mut done, &mut spent, ground) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    done.error = Some(error);
                    break;
                }
            }
        }
        self.batch.steps += spent.steps;
        match (modify.reach, &done) {
            (Reach::First, Modified { error: Some(error), .. }) => {
                DocumentAnswer::Failed(error.clone())
            }
            (Reach::First, Modified { found: None, left, .. }) if left.is_empty() => {
                DocumentAnswer::Again
            }
            (Reach::First | Reach::Each, _) => DocumentAnswer::Modified(Box::new(done)),
        }
    }

    fn modify_one(
        &mut self,
        modify: &Modify,
        record: RecordId,
        done: &mut Modified,
        spent: &mut Spent,
        ground: &Ground<'_>,
    ) -> Result<ControlFlow<()>, DocumentError> {
        let outcome = contained(|| self.outcome(modify, record, spent, ground))?;
        done.taken += 1;
        if !matches!(outcome, Outcome::Changed { .. }) {
            self.batch.documents += 1;
        }
        let (before, after) = match outcome {
            Outcome::Passed => return Ok(ControlFlow::Continue(())),
            Outcome::Left => {
                done.left.push(record);
                // Nobody behind it comes first before it is known whether it does.
                return Ok(match modify.reach {
                    Reach::Each => ControlFlow::Continue(()),
                    Reach::First => ControlFlow::Break(()),
                });
            }
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

    /// What is to become of a document as it is now. Nothing is changed yet.
    fn outcome(
        &self,
        modify: &Modify,
        record: RecordId,
        spent: &mut Spent,
        ground: &Ground<'_>,
    ) -> Result<Outcome, DocumentError> {
        let Modify { collection, filter, change, .. } = modify;
        let current = self.batch.overlay.document(*collection, record, ground)?;
        let Some(current) = current else { return Ok(Outcome::Passed) };
        let before = current.raw();
        spent.bytes += before.as_bytes().len();

        let unchanged = self.is_unchanged(modify.seen, *collection, record);
        let change_cost = change.cost(filter);
        let cost = if unchanged { change_cost } else { change_cost.and(filter.cost()) };
        let steps = cost.of(before);
        if steps > STEPS_PER_TASK {
            return Ok(Outcome::Left);
        }
        spent.steps += steps;

        if !unchanged && !filter.matches(before)? {
            return Ok(Outcome::Passed);
        }
        let after = match change.of(before, filter)? {
            After::Same => return Ok(Outcome::Same(before.to_owned())),
            After::Becomes(after) => Some(after),
            After::Deleted => None,
        };
        spent.bytes += after.as_ref().map_or(0, |after| after.as_bytes().len());
        let known = self.catalog.collection_with(*collection).expect("it was found");
        let set = self.write_set(known, record, (Some(before), after.as_deref()), ground)?;
        Ok(Outcome::Changed { before: before.to_owned(), after, set })
    }
}

impl Spent {
    fn is_enough(&self) -> bool {
        self.bytes >= BYTES_PER_TASK || self.steps >= STEPS_PER_TASK
    }
}
